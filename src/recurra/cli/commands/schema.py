"""`recurra schema`: what a config may say, for editors."""

from __future__ import annotations

import argparse
from pathlib import Path

from recurra.base.atomic import write_text
from recurra.cli.arguments import Command, add_cells
from recurra.cli.failures import DONE
from recurra.cli.terminal import json_text, put_json, say


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="write the schema here, not to standard output"
    )
    parser.add_argument(
        "--spaces",
        action="store_true",
        help="of configs for recurra tune: {low: 64, high: 512} or {choices: [...]} fits in the place of a value",
    )
    add_cells(parser)


def _run(args: argparse.Namespace) -> int:
    from recurra import api

    schema = api.json_schema(cells=args.cells, spaces=args.spaces)
    if args.output is None:
        put_json(schema)
        return DONE
    write_text(args.output, f"{json_text(schema, indent=2)}\n")
    say(f"{args.output}: written.")
    return DONE


COMMAND = Command(
    _arguments,
    _run,
    "  recurra schema > recurra.schema.json\n  recurra schema --cell leaky.py -o recurra.schema.json\n"
    "  recurra schema --spaces -o recurra.search.schema.json",
)
