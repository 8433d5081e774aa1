"""`recurra detect`: a score for each point of series, and flags above a threshold from clean data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from recurra.cli.arguments import Command, add_cells, add_device, add_json, positive
from recurra.cli.failures import DONE
from recurra.cli.overwriting import refuse_one_place_for_two, refuse_what_is_read
from recurra.cli.progress import watching
from recurra.cli.show import report_json, show_report
from recurra.cli.terminal import put_json, say

if TYPE_CHECKING:
    from recurra.api.detecting import Detected


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        metavar="RUN_OR_BASELINE",
        help="the folder of a run that forecasts or reconstructs series; or pca, isolation_forest, gaussian, "
        "matrix_profile",
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="series, with a row a step")
    parser.add_argument(
        "--threshold",
        metavar="RULE|FILE",
        help="quantile=0.999 of clean scores, alarms=0.5 a day on clean data, tail=0.0001 (a clean point lies above "
        "with this probability, by its tail), value=3; or what --save has written (default: scores without flags)",
    )
    parser.add_argument(
        "--clean",
        metavar="FILE|N",
        help="series without anomalies, for scales and thresholds; a number: the first N steps of each series of FILE",
    )
    parser.add_argument(
        "--labels",
        metavar="COLUMN|FILE",
        help="what is known to be an anomaly: a column of 0 and 1, or a file with columns start, end (and series)",
    )
    parser.add_argument("--save", metavar="FILE", type=Path, help="write the threshold, for the same source again")
    parser.add_argument("--output", metavar="FILE", type=Path, help="a row a point: series, time, score, flag (.csv)")
    parser.add_argument("--report", metavar="FILE", type=Path, help="a page with scores and charts (.html)")
    parser.add_argument("--window", type=positive, help="steps of a baseline's window (default: by the clean data)")
    parser.add_argument("--stride", type=positive, help="steps from window to window (default: a quarter of a window)")
    parser.add_argument("--smooth", type=positive, default=1, help="score: the mean of so many steps (default: 1)")
    parser.add_argument(
        "--causal", action="store_true", help="no point's score waits for a later one: of windows, the last step's"
    )
    parser.add_argument("--columns", metavar="NAME", nargs="+", default=[], help="columns of numbers, for a baseline")
    parser.add_argument("--time", metavar="NAME", help="column of stamps, for a baseline (default: by its name)")
    parser.add_argument("--id", metavar="NAME", help="column that tells series apart, for a baseline")
    parser.add_argument(
        "--beside", metavar="NAME", nargs="*", help="baselines that labels compare with (default: those that are there)"
    )
    add_device(parser)
    add_cells(parser)
    add_json(parser, "the report")


def _run(args: argparse.Namespace) -> int:
    from recurra import api

    api.look_at_file(args.file)
    api.refuse_other_ending(args.output, ".csv")
    api.refuse_other_ending(args.report, ".html")
    _refuse_losses(args)
    options = api.DetectOptions(
        threshold=args.threshold,
        clean=_clean(args.clean),
        labels=args.labels,
        window=args.window,
        stride=args.stride,
        smooth=args.smooth,
        causal=args.causal,
        columns=tuple(args.columns),
        time=args.time,
        id=args.id,
        beside=args.beside,
    )
    with watching() as watch:
        found = api.detect(
            args.source,
            args.file,
            options=options,
            save=args.save,
            device=args.device,
            cells=args.cells,
            watch=watch,
        )
    _write(args, found)
    if args.json:
        put_json(report_json(found.report))
    else:
        show_report(found.report)
    return DONE


def _refuse_losses(args: argparse.Namespace) -> None:
    """Before any work, raise UsageError for a file that would be lost."""
    written = {"--output": args.output, "--save": args.save, "--report": args.report}
    clean = _clean(args.clean)
    read = {
        "the input": args.file,
        "the file of --clean": None if isinstance(clean, int) else clean,
        "the file of --labels": args.labels,
        "the file of --threshold": args.threshold,
    }
    for option, path in written.items():
        refuse_what_is_read(option, path, read)
    refuse_one_place_for_two("detect", written)


def _write(args: argparse.Namespace, found: Detected) -> None:
    from recurra import api

    if args.output is not None:
        api.write_scores(args.output, found)
        say(f"{args.output}: {sum(len(one.scores) for one in found.series):,} rows.")
    if args.report is not None:
        api.write_detection_page(args.report, found)
        say(f"{args.report}: the page.")


def _clean(text: str | None) -> str | int | None:
    """A number of steps, or a file."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else text


COMMAND = Command(
    _arguments,
    _run,
    "  recurra detect runs/load new.csv --threshold quantile=0.999 --clean last_month.csv --output scores.csv\n"
    "  recurra detect pca sensor.csv --clean 2000 --threshold tail=0.0001 --labels incidents.csv\n"
    "  recurra detect runs/load new.csv --threshold threshold.json",
)
