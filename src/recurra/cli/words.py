"""`recurra evaluate` on vectors of words: its options, and a line for each file and category."""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict
from pathlib import Path

from recurra.cli.failures import DONE, UsageError
from recurra.cli.terminal import one_line, put, put_json, say


def add_questions(parser: argparse.ArgumentParser) -> None:
    """Files of questions, and how they are asked."""
    group = parser.add_argument_group("vectors of words", "RUN is a run or a file of vectors (word2vec, GloVe, ...)")
    group.add_argument(
        "--analogies", metavar="FILE", type=Path, action="append", help="four words a line, below ': category' lines"
    )
    group.add_argument(
        "--similarity", metavar="FILE", type=Path, action="append", help="two words and people's mark a line"
    )
    group.add_argument("--among", metavar="N", type=int, help="only the first N words are known, and can be answers")
    group.add_argument(
        "--rule", choices=("add", "multiply"), help="of analogies, as in `recurra analogy` (default: add)"
    )
    group.add_argument(
        "--case", choices=("lower", "keep"), help="lower: all words in lower case (the default); keep: as they are"
    )


def asked(args: argparse.Namespace) -> int:
    """Ask, and show a line for each file; behind one of analogies its categories."""
    if args.file or args.split or args.overrides:
        raise UsageError("recurra evaluate: FILE, --split and --set have no effect on --analogies and --similarity.")
    from recurra import api

    case = args.case or "lower"
    found = api.ask(
        args.run,
        analogies=args.analogies or (),
        similarity=args.similarity or (),
        among=args.among,
        lowercase=case == "lower",
        rule=args.rule or "add",
        note=lambda message: say(f"note: {message}"),
    )
    if args.json:
        put_json([asdict(one) for one in found])
        return DONE
    names = [f"  {one_line(one.category)}" if one.category else one_line(one.file) for one in found]
    for name, one in zip(names, found, strict=True):
        value = "none known" if math.isnan(one.value) else f"{one.score} {one.value:.4f}"
        put(f"{name:<{max(map(len, names))}}  {value}  {one.known:,} of {one.total:,} known")
    words = "all words" if args.among is None else f"the first {args.among:,} words"
    say(
        f"Of what is known among {words}, {'in lower case' if case == 'lower' else 'as written'}; the rest is left out."
    )
    return DONE
