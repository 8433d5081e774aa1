"""`recurra compress` and `recurra decompress`: rows as codes of a few bits in a file, and back."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from recurra.cli.arguments import Command, add_cells, add_device, add_json, add_run, positive
from recurra.cli.failures import DONE, UsageError
from recurra.cli.overwriting import refuse_what_is_read
from recurra.cli.progress import watching
from recurra.cli.terminal import put, put_json

if TYPE_CHECKING:
    from recurra.api import Compressed


def _compressing(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument(
        "--input", metavar="FILE", type=Path, required=True, help="rows, as the run's config describes them"
    )
    parser.add_argument("--output", metavar="FILE", type=Path, required=True, help="the codes, rounded")
    parser.add_argument("--bits", metavar="N", type=positive, help="of each number of a code, at most 24 (default: 8)")
    parser.add_argument(
        "--error", metavar="E", type=_error, help="take the fewest bits with at most this mean squared error, scaled"
    )
    parser.add_argument(
        "--no-beside", action="store_true", help="leave PCA out, for which the run's training data is read again"
    )
    add_device(parser)
    add_cells(parser)
    add_json(parser, "sizes and errors")


def _error(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got '{text}'")
    return value


def _compress(args: argparse.Namespace) -> int:
    from recurra import api

    refuse_what_is_read("--output", args.output, {"the input": args.input})
    api.look_at_run(args.run)
    api.look_at_file(args.input)
    if not args.output.absolute().parent.is_dir():
        raise UsageError(f"--output {args.output}: there is no folder '{args.output.parent}'. Make it first.")
    with watching() as watch:
        run = api.open_run(args.run, args.cells)
        found = api.compress(
            run,
            api.source_for(run, args.input, watch=watch),
            args.output,
            bits=args.bits,
            error=args.error,
            beside=not args.no_beside,
            device=args.device,
            watch=watch,
        )
    _show(args, found)
    return DONE


def _show(args: argparse.Namespace, found: Compressed) -> None:
    size = len(found.content)
    if args.json:
        put_json(
            {
                "output": str(args.output),
                "bytes": size,
                "rows": found.rows,
                "numbers": found.numbers,
                "bits": found.bits,
                "bits_a_value": found.bits_a_value,
                "error": found.error,
                "unrounded": found.unrounded,
                "pca": found.pca,
            }
        )
        return
    put(f"{args.output}: {size:,} bytes for {found.rows:,} rows of {found.numbers / found.rows:g} numbers each.")
    put(f"{found.bits_a_value:.4g} bits a value; a number of a code has {found.bits}.")
    beside = "" if found.pca is None else f"; {found.pca:.4g} by PCA with as many numbers at as many bits"
    put(f"mean squared error, in scaled units: {found.error:.4g}, {found.unrounded:.4g} before rounding{beside}.")


def _decompressing(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--input", metavar="FILE", type=Path, required=True, help="what compress has written")
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help=".csv, .tsv, .jsonl, .json, .npz, .npy; of pictures .png, or, without an ending, a folder of them "
        "(default: print a row a line as JSON)",
    )
    add_device(parser)
    add_cells(parser)
    add_json(parser, "rows")


def _decompress(args: argparse.Namespace) -> int:
    from recurra import api
    from recurra.cli.row_files import refuse_row_file, tell_rows

    refuse_row_file(args.output, "decompress", as_json=args.json)
    refuse_what_is_read("--output", args.output, {"the input": args.input})
    api.look_at_run(args.run)
    api.look_at_file(args.input)
    found = api.decompress(args.run, args.input, device=args.device, cells=args.cells)
    tell_rows(args.output, found, as_json=args.json)
    return DONE


COMPRESS = Command(
    _compressing,
    _compress,
    "  recurra compress runs/digits --input digits.npz --output digits.codes --bits 6\n"
    "  recurra compress runs/digits --input digits.npz --output digits.codes --error 0.01",
)
DECOMPRESS = Command(
    _decompressing, _decompress, "  recurra decompress runs/digits --input digits.codes --output again.npz"
)
