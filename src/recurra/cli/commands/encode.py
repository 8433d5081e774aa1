"""`recurra encode`: vectors of texts, by the encoder of a run or of published weights."""

from __future__ import annotations

import argparse
from pathlib import Path

from recurra.cli.arguments import Command, add_device, add_json
from recurra.cli.failures import DONE, UsageError
from recurra.cli.overwriting import refuse_what_is_read
from recurra.cli.terminal import put, put_json, say


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="FOLDER_OR_RUN", type=Path, help="a run, or a folder of published weights")
    parser.add_argument("texts", metavar="TEXT", nargs="*", help="texts to encode")
    parser.add_argument(
        "--input", metavar="FILE", type=Path, help="rows: as the run's config describes them, or with a column `text`"
    )
    parser.add_argument(
        "--pooling",
        choices=("mean", "cls", "none"),
        default="mean",
        help="mean of all steps (the default); cls: the first one, [CLS] of a BERT; none: a vector for each step",
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        required=True,
        help=".npy with an array (rows, numbers); .csv or .npz with the file and row of each beside, and its id; with "
        "--pooling none .npz with vectors and lengths",
    )
    parser.add_argument(
        "--id", metavar="COLUMN", help="column of --input that names rows, for .csv and .npz (default: id, if any)"
    )
    add_device(parser)
    add_json(parser, "how many vectors were written")


def _run(args: argparse.Namespace) -> int:
    if bool(args.texts) == bool(args.input):
        raise UsageError("recurra encode: expected texts, or --input FILE, one of them.")
    if args.id is not None and (args.input is None or args.output.suffix == ".npy"):
        raise UsageError("recurra encode: --id names a column of --input, for .csv and .npz; leave it out here.")
    refuse_what_is_read("--output", args.output, {"the input": args.input})
    from recurra import api

    api.refuse_vector_file(args.output, args.pooling)
    vectors = api.text_vectors(args.source)
    rows = args.texts or api.rows_to_encode(vectors, args.source, args.input)
    records = rows.records if isinstance(rows, api.Source) else rows
    origins = api.Origins(args.id)
    seen = records if args.texts else origins.of(records)
    found = vectors.encode(seen, pooling=args.pooling, device=args.device, note=say)
    number, size = api.write_vectors(args.output, found, args.pooling, None if args.texts else origins)
    if args.json:
        put_json({"rows": number, "numbers": size, "output": str(args.output)})
    else:
        put(f"{args.output}: {number:,} rows, vectors of {size:,} numbers.")
    return DONE


COMMAND = Command(
    _arguments,
    _run,
    '  recurra encode minilm "a film" "a book" --output vectors.npy\n'
    "  recurra encode runs/first --input texts.csv --pooling cls --output vectors.npy\n"
    "  recurra encode runs/digits --input digits.npz --output codes.csv",
)
