"""`recurra predict`: texts to predictions, as lines, JSON, CSV or JSONL."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import partial
from itertools import chain
from pathlib import Path

from recurra.base.contracts import Record
from recurra.cli.arguments import Command, add_cells, add_device, add_json, add_run, natural
from recurra.cli.failures import DONE, UsageError
from recurra.cli.terminal import flush, put, put_json, say
from recurra.cli.texts import from_arguments, from_standard_input, readable, writer_for
from recurra.cli.watcher import watching

_STANDARD_INPUT = "-"


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("texts", metavar="TEXT", nargs="*", help="texts; - reads one a line from standard input")
    parser.add_argument(
        "--input", metavar="FILE", help="a data file as the run's config describes them; labels may be missing"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help="write .csv or .jsonl, or with --attention a .png; in CSV, text that a spreadsheet would run as a formula "
        "gets '\\ in front, which recurra takes away again",
    )
    parser.add_argument("--beam", metavar="N", type=natural, help="hypotheses that a translation follows; 1 is greedy")
    parser.add_argument(
        "--n-best", metavar="N", type=natural, help="answers of a translation for each text, best first"
    )
    parser.add_argument("--attention", action="store_true", help="show what each token of the answer looked at")
    parser.add_argument("--tokens", action="store_true", help="show how probable a language model finds each token")
    add_device(parser)
    add_cells(parser)
    add_json(parser, "each prediction as one line,")


def _run(args: argparse.Namespace) -> int:
    if args.output and args.json:
        raise UsageError("recurra predict: --json prints and --output writes a file; choose one.")
    write = writer_for(args.output, with_attention=args.attention) if args.output else None
    _refuse_unclear_input(args)
    from recurra import api

    api.look_at_run(args.run)
    if args.input not in (None, _STANDARD_INPUT):
        api.look_at_file(Path(args.input))
    with watching() as watch:
        run = api.open_run(args.run, args.cells)
        answer = partial(api.predict, run, options=_options(args), device=args.device, watch=watch)
        groups = map(answer, _groups(args, run.settings.plan.input_field))
        if write is not None:
            say(f"{args.output}: {write(args.output, chain.from_iterable(groups))} predictions written.")
            return DONE
        for rows in groups:
            for row in rows:
                put_json(row, indent=None) if args.json else put(readable(row))
            flush()
    return DONE


def _options(args: argparse.Namespace) -> dict[str, object]:
    """The options of the task that were given."""
    given = {
        "beam": args.beam,
        "n_best": args.n_best,
        "attention": args.attention or None,
        "tokens": args.tokens or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _refuse_unclear_input(args: argparse.Namespace) -> None:
    if bool(args.texts) == bool(args.input):
        raise UsageError("recurra predict: expected either TEXT, or --input FILE, or - to read standard input.")
    if _STANDARD_INPUT in args.texts and len(args.texts) > 1:
        raise UsageError("recurra predict: - reads standard input, and stands alone.")


def _groups(args: argparse.Namespace, field: str) -> Iterable[Iterable[Record]]:
    """What to predict for, in groups of which each is answered before the next is read.

    field: where the run's data has its texts
    """
    from recurra import api

    if args.input not in (None, _STANDARD_INPUT):
        return [api.read_for(args.run, Path(args.input), cells=args.cells)]
    if _STANDARD_INPUT in (args.input, *args.texts):
        return from_standard_input(field)
    return [from_arguments(args.texts, field)]


COMMAND = Command(
    "predict for texts, a file or standard input",
    _arguments,
    _run,
    '  recurra predict runs/first "what a film" "never again"\n'
    "  recurra predict runs/first --input new.csv --output predicted.csv\n"
    '  recurra predict runs/dates "4. März 2001" --beam 5 --n-best 3 --attention\n'
    "  cat texts.txt | recurra predict runs/first - --json",
)
