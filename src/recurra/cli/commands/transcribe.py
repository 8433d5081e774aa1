"""`recurra transcribe`: what is said in files of sound, or in samples that come on standard input."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from recurra.cli.arguments import Command, add_cells, add_device, add_json, add_run, add_weights
from recurra.cli.failures import DONE, UsageError
from recurra.cli.progress import watching
from recurra.cli.searching import add_beam, add_search, search_options
from recurra.cli.terminal import flush, one_line, put, put_json, say, shows_progress

if TYPE_CHECKING:
    from recurra.api.hearing import HeardPiece

_STANDARD_INPUT = "-"
# Rates of samples that are taken.
RATES = range(1_000, 400_001)
# Characters of what may still change that a terminal shows.
_SHOWN = 100


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        help="sound files; - reads WAV, or samples of 16 bits, little-endian, one channel",
    )
    parser.add_argument(
        "--rate",
        metavar="HZ",
        type=int,
        help="samples a second of what comes on standard input without a header (default: as the run has them)",
    )
    parser.add_argument(
        "--partial", action="store_true", help="with --json, a line too for each change of what may still change"
    )
    add_beam(parser, "the search; what it is at odds about is final later")
    add_search(parser)
    add_device(parser)
    add_weights(parser)
    add_cells(parser)
    add_json(parser, "each stretch of speech as one line,")


def _run(args: argparse.Namespace) -> int:
    if _STANDARD_INPUT in args.files and len(args.files) > 1:
        raise UsageError("recurra transcribe: - reads standard input, and stands alone.")
    if args.partial and not args.json:
        raise UsageError("recurra transcribe: --partial has no effect without --json.")
    if args.rate is not None and (_STANDARD_INPUT not in args.files or args.rate not in RATES):
        raise UsageError(
            "recurra transcribe: --rate is for standard input (-), from 1,000 to 400,000 Hz; files say theirs."
        )
    options = search_options(args)
    from recurra import api

    api.look_at_run(args.run)
    with watching() as watch:
        run = api.open_run(args.run, args.cells, args.weights)
        for file in args.files:
            if file == _STANDARD_INPUT:
                heard = api.hear_stream(run, sys.stdin.buffer, rate=args.rate, options=options, device=args.device)
                _tell(heard, args, "")
            else:
                several = f"{file}: " if len(args.files) > 1 else ""
                _tell(api.hear_file(run, file, options=options, device=args.device, watch=watch), args, several)
    return DONE


def _tell(pieces: Iterable[HeardPiece], args: argparse.Namespace, name: str) -> None:
    """What is final on standard output as it comes; what may change on a terminal's last line."""
    shows, last, before = shows_progress() and not args.json, None, ""
    for last in pieces:
        for one in last.final:
            _clear(before)
            before = ""
            put_json(one, indent=None) if args.json else put(
                f"{name}[{one['start']:.2f} - {one['end']:.2f}] {one_line(one['text'])}"
            )
        if args.partial and last.partial:
            put_json({"partial": last.partial, "seconds": last.seconds}, indent=None)
        if shows and last.partial != before:
            _clear(before)
            before = last.partial
            sys.stderr.write(f"\r{one_line(before)[-_SHOWN:]}")
            sys.stderr.flush()
        flush()
    _clear(before)
    if last is not None and last.seconds:
        factor = last.spent / last.seconds
        say(f"{name}{last.seconds:.1f} s of sound in {last.spent:.2f} s, a real-time factor of {factor:.3f}.")


def _clear(shown: str) -> None:
    if shown:
        sys.stderr.write("\r" + " " * min(len(shown), _SHOWN) + "\r")


COMMAND = Command(
    _arguments,
    _run,
    "  recurra transcribe runs/speech call.wav\n  arecord -t raw -f S16_LE -r 8000 | recurra transcribe runs/speech -",
)
