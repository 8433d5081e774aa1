"""`recurra generate`: what a model writes after a prompt, as it comes, as MIDI too; or words, or rows from codes."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from recurra.base.atomic import replacing
from recurra.cli.arguments import Command, add_cells, add_device, add_json, add_run, natural, positive
from recurra.cli.failures import DONE, UsageError
from recurra.cli.overwriting import refuse_one_place_for_two, refuse_what_is_read
from recurra.cli.progress import watching
from recurra.cli.terminal import one_line, printable, put, put_json, say

if TYPE_CHECKING:
    from recurra.api import OpenRun, Piece

_WRITING = {"temperature": "--temperature", "top_k": "--top-k", "top_p": "--top-p", "seed": "--seed",
            "stop": "--stop", "length": "--length", "num": "--num"}  # fmt: skip
# What rows from codes have no use for, and texts have none for.
_OF_TEXTS = {"prompt": "--prompt", "stop": "--stop", "top_k": "--top-k", "top_p": "--top-p",
             "suggest": "--suggest"}  # fmt: skip
_OF_ROWS = {"between": "--between", "input": "--input", "steps": "--steps", "path": "--path",
            "output": "--output"}  # fmt: skip


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--prompt", metavar="TEXT", help="a text to continue (default: begin a new one)")
    parser.add_argument(
        "--length",
        metavar="N",
        type=natural,
        help="tokens to write, at most (default: 200); of a series that is drawn its steps",
    )
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
        help="write what is played as a MIDI file too: chords of task music or of an autoencoder, or a tune in ABC "
        "notation",
    )
    parser.add_argument(
        "--suggest",
        metavar="N",
        type=natural,
        help="suggest N words that complete the prompt or follow it, and write nothing",
    )
    _add_rows(parser)
    add_device(parser)
    add_cells(parser)
    add_json(parser, "texts, words with probabilities, or rows,")


def _add_rows(parser: argparse.ArgumentParser) -> None:
    """What runs take that write from codes."""
    rows = parser.add_argument_group(
        "rows of numbers, pictures, and texts from codes",
        "RUN is an autoencoder: --num rows are drawn by --seed, with codes of deviation --temperature; or",
    )
    rows.add_argument(
        "--between",
        metavar="ROW",
        nargs=2,
        help="rows on the way from one row to another, by their codes: places in --input, from 1, or rows as JSON",
    )
    rows.add_argument("--input", metavar="FILE", type=Path, help="where the rows of --between stand")
    rows.add_argument("--steps", metavar="N", type=positive, help="rows of the way, both ends among them (default: 9)")
    rows.add_argument(
        "--path",
        choices=("linear", "spherical"),
        help="a straight line (the default), or a great circle, on which codes keep their length",
    )
    rows.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help=".csv, .tsv, .jsonl, .json; .npz with the codes, .npy; of pictures .png, all on one sheet, or, without an "
        "ending, a folder of them (default: print a row a line as JSON)",
    )


def _run(args: argparse.Namespace) -> int:
    _refuse_unclear(args)
    from recurra import api

    api.look_at_run(args.run)
    run = api.open_run(args.run, args.cells)
    if api.makes_rows(run):
        return _rows(args, run)
    _refuse_others(args, _OF_ROWS, "is for runs that make rows from codes, which this one does not")
    return _texts(args, run)


def _refuse_unclear(args: argparse.Namespace) -> None:
    """What no run can do is refused before one is opened."""
    if args.output is not None:
        from recurra.cli.row_files import refuse_row_file

        refuse_row_file(args.output, "generate", as_json=args.json)
    for option, path in (("--output", args.output), ("--midi", args.midi)):
        refuse_what_is_read(option, path, {"the input": args.input})
    refuse_one_place_for_two("generate", {"--output": args.output, "--midi": args.midi})
    if args.input is not None and args.between is None:
        raise UsageError("recurra generate: --input says where the rows of --between stand; give --between.")
    given = {name: value for name in _WRITING if (value := getattr(args, name)) is not None}
    if args.suggest is not None and given:
        flags = ", ".join(_WRITING[name] for name in given)
        raise UsageError(f"recurra generate: --suggest writes nothing, so {flags} would have no effect; leave it out.")
    if args.suggest == 0:
        raise UsageError("recurra generate: --suggest 0 shows nothing; expected 1 or more.")
    if args.midi is not None:
        _refuse_midi(args)


def _refuse_others(args: argparse.Namespace, options: Mapping[str, str], reason: str) -> None:
    if flags := [flag for name, flag in options.items() if getattr(args, name) is not None]:
        raise UsageError(
            f"recurra generate: {', '.join(flags)} {reason}; leave {'it' if len(flags) == 1 else 'them'} out."
        )


def _rows(args: argparse.Namespace, run: OpenRun) -> int:
    """Rows that are drawn, or between two others."""
    _refuse_others(args, _OF_TEXTS, "is for runs that write texts, and this one makes rows")
    from recurra import api
    from recurra.cli.row_files import row_given, tell_rows

    between = None
    if args.between is not None:
        rows = None if args.input is None else [*api.source_for(run, args.input).records]
        between = [row_given(one, rows) for one in args.between]
    found = api.generate_rows(
        run,
        num=args.num,
        temperature=args.temperature,
        seed=args.seed,
        length=args.length,
        between=between,
        steps=args.steps,
        path=args.path,
        device=args.device,
    )
    if args.midi is not None:
        # What a way between two pieces is can be heard in one go.
        _write_midi(args.midi, run, " ".join(str(value) for row in found.rows for value in row.values()))
    tell_rows(args.output, found, as_json=args.json)
    return DONE


def _texts(args: argparse.Namespace, run: OpenRun) -> int:
    """What follows a prompt, or words for who is typing."""
    from recurra import api

    given = {name: value for name in _WRITING if (value := getattr(args, name)) is not None}
    args.prompt = args.prompt or ""
    common = {"device": args.device}
    with watching() as watch:
        if args.suggest is not None:
            words = api.suggest(run, args.prompt, args.suggest, watch=watch, **common)
            _show_words([(one.word, one.probability) for one in words], as_json=args.json)
            return DONE
        kept: list[Piece] = []
        pieces = _kept(api.generate(run, args.prompt, watch=watch, **given, **common), kept)
        if args.json:
            put_json(_as_json(args.prompt, pieces))
        else:
            _stream(args.prompt, pieces, several=(args.num or 1) > 1)
        if args.midi is not None:
            text = args.prompt + "".join(piece.text for piece in kept)
            _write_midi(args.midi, run, text)
    return DONE


def _write_midi(path: Path, run: OpenRun, text: str) -> None:
    from recurra import api

    content = api.midi(run, text)
    with replacing(path) as file:
        file.write(content)
    say(f"{path}: written.")


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
    "  recurra generate runs/chorales --length 64 --midi chorale.mid\n"
    "  recurra generate runs/digits --num 16 --seed 1 --output digits.png\n"
    "  recurra generate runs/digits --between 1 2 --input digits.npz --steps 9 --output way.npz",
)
