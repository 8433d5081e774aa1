"""`recurra compare`: runs side by side."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from recurra.base.shell import as_word
from recurra.cli.arguments import Command, add_cells, add_device, add_json, natural
from recurra.cli.failures import DONE
from recurra.cli.progress import watching
from recurra.cli.show import report_json, show_report
from recurra.cli.terminal import put_json, say


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        metavar="RUN",
        type=Path,
        nargs="+",
        help="folders of runs, or of groups of one config from several seeds (`--seeds` of train); differences are "
        "those to the first",
    )
    parser.add_argument(
        "--split", default="test", metavar="NAME", help="rows to compare by: test or dev (default: test)"
    )
    parser.add_argument(
        "--resamples", type=natural, default=1000, metavar="N", help="draws of the rows; 0: none (default: 1000)"
    )
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page with the tables and curves")
    add_device(parser)
    add_cells(parser)
    add_json(parser, "the comparison")


def _run(args: argparse.Namespace) -> int:
    from recurra import api

    for run in args.runs:
        if not api.is_group(run):
            api.look_at_run(run)
    with watching() as watch:
        found = api.compare(
            args.runs, split=args.split, resamples=args.resamples, device=args.device, cells=args.cells, watch=watch
        )
    if args.html is not None:
        api.write_comparison(args.html, found)
        say(f"{as_word(args.html)}: written.")
    if args.json:
        differences = [{name: asdict(one) for name, one in each.items()} for each in found.differences]
        settings = {path: list(values) for path, values in found.settings.items()}
        put_json({"differences": differences, "settings": settings, "report": report_json(found.report)})
    else:
        show_report(found.report)
    return DONE


COMMAND = Command(
    _arguments,
    _run,
    "  recurra compare runs/lstm runs/gru --html compared.html\n"
    "  recurra compare runs/small-seeds runs/large-seeds --split dev",
)
