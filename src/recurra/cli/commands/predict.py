"""`recurra predict`: texts to predictions, as lines, JSON, CSV or JSONL."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from recurra.base.contracts import Record
from recurra.cli.arguments import Command, add_cells, add_device, add_json, add_run
from recurra.cli.failures import DONE, UsageError
from recurra.cli.terminal import put, say
from recurra.cli.texts import from_arguments, from_standard_input, json_line, readable, writer_for

_STANDARD_INPUT = "-"


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("texts", metavar="TEXT", nargs="*", help="texts; - reads one a line from standard input")
    parser.add_argument(
        "--input", metavar="FILE", help="a data file as the run's config describes them; labels may be missing"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help="write .csv or .jsonl; in CSV, text that a spreadsheet would run as a formula gets an apostrophe in front",
    )
    add_device(parser)
    add_cells(parser)
    add_json(parser, "each prediction as one line,")


def _run(args: argparse.Namespace) -> int:
    if args.output and args.json:
        raise UsageError("recurra predict: --json prints and --output writes a file; choose one.")
    write = writer_for(args.output) if args.output else None
    _refuse_unclear_input(args)
    from recurra import api

    rows = api.predict(args.run, _records(args), device=args.device, cells=args.cells)
    if write is not None:
        say(f"{args.output}: {write(args.output, rows)} predictions written.")
        return DONE
    form = json_line if args.json else readable
    for row in rows:
        put(form(row))
    return DONE


def _refuse_unclear_input(args: argparse.Namespace) -> None:
    if bool(args.texts) == bool(args.input):
        raise UsageError("recurra predict: expected either TEXT, or --input FILE, or - to read standard input.")
    if _STANDARD_INPUT in args.texts and len(args.texts) > 1:
        raise UsageError("recurra predict: - reads standard input, and stands alone.")


def _records(args: argparse.Namespace) -> Iterable[Record]:
    """What to predict for. A text of the command line goes where the run's data has its texts."""
    from recurra import api

    if args.input not in (None, _STANDARD_INPUT):
        records: Iterable[Record] = api.read_for(args.run, Path(args.input), cells=args.cells)
        return records
    field: str = api.text_column(args.run, cells=args.cells)
    if _STANDARD_INPUT in (args.input, *args.texts):
        return from_standard_input(field)
    return from_arguments(args.texts, field)


COMMAND = Command(
    "predict for texts, a file or standard input",
    _arguments,
    _run,
    '  recurra predict runs/first "what a film" "never again"\n'
    "  recurra predict runs/first --input new.csv --output predicted.csv\n"
    "  cat texts.txt | recurra predict runs/first - --json",
)
