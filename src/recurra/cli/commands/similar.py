"""`recurra similar`: the words that are nearest to a word, by their vectors."""

from __future__ import annotations

import argparse

from recurra.cli.arguments import Command, add_json
from recurra.cli.failures import DONE
from recurra.cli.neighbours import add_vectors, opened, show


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_vectors(parser)
    parser.add_argument(
        "words", metavar="WORD", nargs="+", help="a word; of several, the mean of their vectors is taken"
    )
    add_json(parser, "the words with their cosines")


def _run(args: argparse.Namespace) -> int:
    show(opened(args).similar(*args.words, top=args.top, among=args.among), "cosine", as_json=args.json)
    return DONE


COMMAND = Command(
    _arguments,
    _run,
    "  recurra similar glove.6B.50d.txt king\n  recurra similar runs/first good --top 5",
)
