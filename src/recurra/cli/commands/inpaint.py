"""`recurra inpaint`: fill in the numbers that rows lack, or a region of a picture, by a run that has learned to."""

from __future__ import annotations

import argparse
from pathlib import Path

from recurra.cli.arguments import Command, add_cells, add_device, add_json, add_run
from recurra.cli.failures import DONE
from recurra.cli.overwriting import refuse_what_is_read
from recurra.cli.progress import watching
from recurra.cli.terminal import put, put_json, say


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument(
        "--input", metavar="FILE", type=Path, required=True, help="rows, as the run's config describes them"
    )
    parser.add_argument(
        "--lines", metavar="A-B", type=places, help="hide these lines of every picture, or steps of a series, from 1"
    )
    parser.add_argument(
        "--columns", metavar="A-B", type=places, help="hide these columns; with --lines where both meet"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help=".csv, .tsv, .jsonl, .json, .npz, .npy; of pictures .png, or, without an ending, a folder of them "
        "(default: print a row a line as JSON)",
    )
    add_device(parser)
    add_cells(parser)
    add_json(parser, "rows, how many numbers of each were filled in, and errors of what was hidden,")


def places(text: str) -> tuple[int, int]:
    """Places from one to another: 3-5, or 4 for one alone."""
    first, dash, last = text.partition("-")
    if not all(one.isascii() and one.isdigit() and len(one) < 10 for one in (first, last if dash else first)):
        raise argparse.ArgumentTypeError(f"expected places such as 3-5, got '{text}'")
    return int(first), int(last if dash else first)


def _run(args: argparse.Namespace) -> int:
    from recurra import api
    from recurra.cli.row_files import refuse_row_file, tell_rows

    refuse_row_file(args.output, "inpaint", as_json=args.json)
    refuse_what_is_read("--output", args.output, {"the input": args.input})
    api.look_at_run(args.run)
    api.look_at_file(args.input)
    with watching() as watch:
        run = api.open_run(args.run, args.cells)
        source = api.source_for(run, args.input, watch=watch)
        found = api.inpaint(run, source, lines=args.lines, columns=args.columns, device=args.device, watch=watch)
    if args.json:
        put_json({"rows": found.rows, "filled": found.filled, "errors": found.errors})
        return DONE
    tell_rows(args.output, found)
    say(f"{sum(found.filled):,} numbers filled in, in {sum(map(bool, found.filled)):,} of {len(found.rows):,} rows.")
    if found.errors:
        each = ", ".join(f"{name} {value:.4g}" for name, value in found.errors.items())
        (put if args.output is not None else say)(f"mean squared error of what was hidden, in scaled units: {each}")
    return DONE


COMMAND = Command(
    _arguments,
    _run,
    "  recurra inpaint runs/filling --input broken.csv --output whole.csv\n"
    "  recurra inpaint runs/filling --input digits.npz --lines 3-6 --columns 3-6 --output filled.png",
)
