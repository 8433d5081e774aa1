"""`recurra generate`: what a model writes after a prompt, as it comes, as MIDI too; or words for who is typing."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from recurra.base.atomic import replacing
from recurra.cli.arguments import Command, add_cells, add_device, add_json, add_run, natural
from recurra.cli.failures import DONE, UsageError
from recurra.cli.progress import watching
from recurra.cli.terminal import one_line, printable, put, put_json, say

if TYPE_CHECKING:
    from recurra.api import Piece

_WRITING = {"temperature": "--temperature", "top_k": "--top-k", "top_p": "--top-p", "seed": "--seed",
            "stop": "--stop", "length": "--length", "num": "--num"}  # fmt: skip


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--prompt", metavar="TEXT", default="", help="a text to continue (default: begin a new one)")
    parser.add_argument("--length", metavar="N", type=natural, help="tokens to write, at most (default: 200)")
    parser.add_argument("--stop", metavar="TEXT", help="stop sequence: end before this text")
    parser.add_argument(
        "--temperature",
        metavar="T",
        type=_number,
        help="sampling temperature: below 1 more predictable, above 1 more varied, 0 always the most probable token "
        "(default: 1)",
    )
    parser.add_argument("--top-k", metavar="K", type=natural, help="draw from the K most probable tokens")
    parser.add_argument(
        "--top-p", metavar="P", type=_number, help="draw from the fewest tokens that together have probability P"
    )
    parser.add_argument(
        "--seed", metavar="N", type=natural, help="random seed; the same seed gives the same texts (default: 0)"
    )
    parser.add_argument("--num", metavar="N", type=natural, help="texts to write (default: 1)")
    parser.add_argument(
        "--midi",
        metavar="FILE",
        type=Path,
        help="write what is played as a MIDI file too: of task music, or a tune in ABC notation",
    )
    parser.add_argument(
        "--suggest",
        metavar="N",
        type=natural,
        help="suggest N words that complete the prompt or follow it, and write nothing",
    )
    add_device(parser)
    add_cells(parser)
    add_json(parser, "texts, or words with probabilities,")


def _run(args: argparse.Namespace) -> int:
    given = {name: value for name in _WRITING if (value := getattr(args, name)) is not None}
    if args.suggest is not None and given:
        flags = ", ".join(_WRITING[name] for name in given)
        raise UsageError(f"recurra generate: --suggest writes nothing, so {flags} would have no effect; leave it out.")
    if args.suggest == 0:
        raise UsageError("recurra generate: --suggest 0 shows nothing; expected 1 or more.")
    if args.midi is not None:
        _refuse_midi(args)
    from recurra import api

    api.look_at_run(args.run)
    common = {"device": args.device, "cells": args.cells}
    with watching() as watch:
        if args.suggest is not None:
            words = api.suggest(args.run, args.prompt, args.suggest, watch=watch, **common)
            _show_words([(one.word, one.probability) for one in words], as_json=args.json)
            return DONE
        kept: list[Piece] = []
        pieces = _kept(api.generate(args.run, args.prompt, watch=watch, **given, **common), kept)
        if args.json:
            put_json(_as_json(args.prompt, pieces))
        else:
            _stream(args.prompt, pieces, several=(args.num or 1) > 1)
        if args.midi is not None:
            text = args.prompt + "".join(piece.text for piece in kept)
            content = api.midi(args.run, text, cells=args.cells)
            with replacing(args.midi) as file:
                file.write(content)
            say(f"{args.midi}: written.")
    return DONE


def _refuse_midi(args: argparse.Namespace) -> None:
    """A file that could not be written is refused before anything else is."""
    if args.suggest is not None:
        raise UsageError("recurra generate: --suggest plays nothing, so --midi would have no effect; leave it out.")
    if (args.num or 1) > 1:
        raise UsageError("recurra generate: --midi holds one piece; leave out --num.")
    if not args.midi.parent.is_dir():
        raise UsageError(f"--midi {args.midi}: there is no folder '{args.midi.parent}'. Make it, or choose another.")


def _kept(pieces: Iterable[Piece], kept: list[Piece]) -> Iterator[Piece]:
    for piece in pieces:
        kept.append(piece)
        yield piece


def _stream(prompt: str, pieces: Iterable[Piece], *, several: bool) -> None:
    """Each piece as soon as it is known."""
    for number, text in groupby(pieces, key=lambda piece: piece.number):
        if several:
            put(f"{'' if number == 0 else chr(10)}--- {number + 1} ---")
        sys.stdout.write(printable(prompt))
        for piece in text:
            sys.stdout.write(printable(piece.text))
            sys.stdout.flush()
        put("")


def _as_json(prompt: str, pieces: Iterable[Piece]) -> list[dict[str, object]]:
    found = []
    for _, group in groupby(pieces, key=lambda piece: piece.number):
        text = list(group)
        found.append(
            {
                "prompt": prompt,
                "text": "".join(piece.text for piece in text),
                "log_prob": math.fsum(piece.log_prob for piece in text),
                "ended": any(piece.ended for piece in text),
            }
        )
    return found


def _show_words(words: list[tuple[str, float]], *, as_json: bool) -> None:
    if as_json:
        put_json([{"word": word, "probability": probability} for word, probability in words])
        return
    for word, probability in words:
        put(f"{one_line(word)}\t{100 * probability:.1f} %")


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got '{text}'") from None
    return value


COMMAND = Command(
    _arguments,
    _run,
    '  recurra generate runs/shakespeare --prompt "ROMEO:" --temperature 0.8 --seed 1\n'
    '  recurra generate runs/shakespeare --prompt "ROMEO:" --stop "JULIET:" --num 3 --json\n'
    '  recurra generate runs/words --prompt "the quick bro" --suggest 5\n'
    "  recurra generate runs/chorales --length 64 --midi chorale.mid",
)
