"""`recurra explain`: equations, options, choices and defaults, from the code that runs."""

from __future__ import annotations

import argparse

from recurra.cli.arguments import Command, add_cells, add_json
from recurra.cli.failures import DONE
from recurra.cli.terminal import printable, put, put_json


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("topic", metavar="TOPIC", nargs="?", help="e.g. cell, task, optimizer; without it, all topics")
    parser.add_argument("name", metavar="NAME", nargs="?", help="e.g. lstm; without it, all names of the topic")
    add_cells(parser)
    add_json(parser, "the explanation")


def _run(args: argparse.Namespace) -> int:
    from recurra import api

    explanation = api.explain(args.topic, args.name, cells=args.cells)
    if args.json:
        put_json(explanation.data)
    else:
        put(printable(explanation.text).removesuffix("\n"))
    return DONE


COMMAND = Command(
    _arguments,
    _run,
    "  recurra explain\n  recurra explain cell lstm",
)
