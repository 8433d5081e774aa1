"""`recurra analogy`: which word is to a third one what the second is to the first."""

from __future__ import annotations

import argparse

from recurra.cli.arguments import Command, add_json
from recurra.cli.failures import DONE
from recurra.cli.neighbours import add_vectors, opened, show


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_vectors(parser)
    for name, what in (("A", "as in: A is to B"), ("B", "what A is to"), ("C", "what C is to is wanted")):
        parser.add_argument(name.lower(), metavar=name, help=what)
    parser.add_argument(
        "--rule",
        choices=("add", "multiply"),
        default="add",
        help="add: nearest to B - A + C (3CosAdd); multiply: 3CosMul of Levy and Goldberg 2014 (default: add)",
    )
    add_json(parser, "the words with their scores")


def _run(args: argparse.Namespace) -> int:
    found = opened(args).analogy(args.a, args.b, args.c, top=args.top, among=args.among, rule=args.rule)
    show(found, "cosine" if args.rule == "add" else "score", as_json=args.json)
    return DONE


COMMAND = Command(
    _arguments,
    _run,
    "  recurra analogy glove.6B.50d.txt man king woman\n  recurra analogy vectors.bin paris france berlin --top 3",
)
