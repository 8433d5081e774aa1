"""`recurra doctor`: where gradients go, and what to change."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recurra.cli.arguments import Command, add_cells, add_device, add_json, add_overrides, natural
from recurra.cli.failures import DONE, UsageError
from recurra.cli.pages import page_to, picture_to, write_page, write_picture
from recurra.cli.progress import watching
from recurra.cli.show import text_table
from recurra.cli.terminal import one_line, put, put_json

if TYPE_CHECKING:
    from recurra.api import Diagnosed


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "config", metavar="CONFIG", type=Path, help="a config file; or the folder of a trained run, looked at as it is"
    )
    parser.add_argument("--steps", metavar="N", type=natural, default=100, help="steps of training (default: 100)")
    parser.add_argument(
        "--try", dest="experiments", action="store_true", help="try what is suggested, change by change"
    )
    parser.add_argument("--html", metavar="FILE", type=page_to, help="write the report as one page")
    parser.add_argument("--png", metavar="FILE", type=picture_to, help="write its charts as a picture")
    parser.add_argument("--seed", type=natural, help="random seed (default: the config's)")
    add_overrides(parser)
    add_device(parser)
    add_cells(parser)
    add_json(parser, "the diagnosis")


def _run(args: argparse.Namespace) -> int:
    if not args.steps:
        raise UsageError("recurra doctor: --steps: expected at least 1; a trained run is looked at without steps.")
    from recurra import api

    if args.config.is_dir():
        api.look_at_run(args.config)
    else:
        api.look_at_config(args.config, args.overrides)
    with watching() as watch:
        found = api.doctor(
            args.config,
            steps=args.steps,
            overrides=args.overrides,
            seed=args.seed,
            device=args.device,
            cells=args.cells,
            experiments=args.experiments,
            watch=watch,
        )
    if args.html:
        write_page(args.html, found.report, charts=found.charts)
    if args.png:
        write_picture(args.png, charts=found.charts)
    if args.json:
        put_json(_as_json(found))
    else:
        _show(found)
    return DONE


def _show(found: Diagnosed) -> None:
    verdict = found.diagnosis.verdict
    put(f"{verdict.word}: {f'{verdict.layer}: ' if verdict.layer else ''}{one_line(verdict.evidence)}")
    for finding in found.findings or ():
        put(one_line(str(finding)))
    for table in found.report.tables:
        if table.caption not in ("What to change", "How training went"):
            put(f"\n{text_table(table)}")
    for one in found.advice:
        put(f"\nTry {one.change}\n  because {one.why}")
    for table in found.report.tables:
        if table.caption == "What to change" and not found.experiments:
            put("\nThe experiments (--try makes them):\n" + "\n".join(f"  {row[-1]}" for row in table.rows))


def _as_json(found: Diagnosed) -> dict[str, Any]:
    diagnosis = found.diagnosis
    return {
        "verdict": dataclasses.asdict(diagnosis.verdict),
        "layers": [dataclasses.asdict(verdict) for verdict in diagnosis.verdicts],
        "advice": [dataclasses.asdict(one) for one in found.advice],
        "experiments": [dataclasses.asdict(one) for one in found.experiments],
        "probes": [dataclasses.asdict(one) for one in diagnosis.probes],
        "findings": None if found.findings is None else [dataclasses.asdict(one) for one in found.findings],
        "course": dataclasses.asdict(diagnosis.course),
    }


COMMAND = Command(
    _arguments,
    _run,
    "  recurra doctor config.yaml\n"
    "  recurra doctor config.yaml --try\n"
    "  recurra doctor config.yaml --set model.encoder.forget_bias=1 --html doctor.html\n"
    "  recurra doctor runs/first --json",
)
