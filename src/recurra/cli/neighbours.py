"""What the commands on vectors of words share: their arguments, reading, and a table of words."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recurra.cli.terminal import one_line, put, put_json, say, width

if TYPE_CHECKING:
    from recurra.data.word_vectors import Neighbour, WordVectors


def add_vectors(parser: argparse.ArgumentParser) -> None:
    """Where the vectors are, and how many words are looked at and shown."""
    parser.add_argument("source", metavar="FILE|RUN", type=Path, help="a file of vectors, or a run that reads texts")
    parser.add_argument("--top", type=_positive, default=10, help="how many words are shown (default: 10)")
    parser.add_argument("--among", type=_positive, help="only the first so many words of the file, the frequent ones")
    parser.add_argument("--form", default="auto", help="text, binary, fasttext or safetensors; auto looks at the file")
    parser.add_argument("--skip-bad", action="store_true", help="leave out what cannot be read in the file, and say so")


def opened(args: argparse.Namespace) -> WordVectors:
    """The vectors that the arguments name."""
    from recurra import api

    return api.vectors(
        args.source, form=args.form, skip_bad=args.skip_bad, note=lambda message: say(f"note: {message}")
    )


def show(found: Sequence[Neighbour], score: str, *, as_json: bool) -> None:
    """A word a line with its score, or JSON."""
    if as_json:
        put_json([{"word": one.word, score: round(one.score, 6)} for one in found])
        return
    names = [one_line(one.word) for one in found]
    margin = max(map(width, names), default=0)
    for name, one in zip(names, found, strict=True):
        put(f"{name}{' ' * (margin - width(name))}  {one.score:.4f}")


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:20]) < 1 << 31):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got '{text}'")
    return int(text)
