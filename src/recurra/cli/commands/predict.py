"""`recurra predict`: texts to predictions, as lines, as JSON, or as columns behind those of a file."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recurra.cli.arguments import Command, add_beside, add_cells, add_device, add_json, add_run, add_weights, natural
from recurra.cli.failures import DONE, UsageError
from recurra.cli.overwriting import refuse_what_is_read
from recurra.cli.progress import watching
from recurra.cli.searching import add_beam, add_search, search_options
from recurra.cli.terminal import flush, put, put_json, say
from recurra.cli.texts import fields_beside, from_arguments, from_standard_input, readable, write_png

if TYPE_CHECKING:
    from recurra.api import OpenRun, Source
    from recurra.base.contracts import Listener, Record

_STANDARD_INPUT = "-"


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("texts", metavar="TEXT", nargs="*", help="texts; - reads one a line from standard input")
    add_beside(parser)
    parser.add_argument(
        "--input",
        metavar="FILE",
        help="a data file as the run's config describes them, or several: 'part-*.csv', a folder of Parquet files, "
        "s3://bucket/part-*; labels may be missing",
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help="write .csv, .tsv, .jsonl, or a folder with a part for each file of --input, whose parts are kept when "
        "it is run again: the columns of the input, then predicted, score, probability_LABEL, note; "
        "of a tagger also .conll, or .conllu from .conllu; with --attention a .png; in CSV, text that a spreadsheet "
        "would run as a formula gets '\\ in front, which recurra takes away again",
    )
    parser.add_argument(
        "--probabilities",
        choices=("all", "none"),
        help="a column for the probability of each label in --output; default: all of at most 50 labels, else none",
    )
    add_beam(parser, "a translation or of speech")
    add_search(parser)
    parser.add_argument(
        "--n-best",
        metavar="N",
        type=natural,
        help="answers of a translation or to a question, or pieces for a [MASK], best first",
    )
    parser.add_argument("--attention", action="store_true", help="show what each token of the answer looked at")
    parser.add_argument("--join", action="store_true", help="detokenize a translation whose training text is tokenized")
    parser.add_argument("--tokens", action="store_true", help="show how probable a language model finds each token")
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="how --input is read: data.on_error=skip leaves broken rows out and names them; data.format, data.columns",
    )
    add_device(parser)
    add_weights(parser)
    add_cells(parser)
    add_json(parser, "each prediction as one line,")


def _run(args: argparse.Namespace) -> int:
    _refuse_unclear_output(args)
    _refuse_unclear_input(args)
    from recurra import api

    api.look_at_run(args.run)
    if args.input not in (None, _STANDARD_INPUT):
        api.look_at_file(Path(args.input))
    with watching() as watch:
        run = api.open_run(args.run, args.cells, args.weights)
        if args.output and not args.output.suffix:
            say(f"{args.output}: {_in_parts(args, run, watch)} predictions written.")
            return DONE
        names = [one.name for one in run.settings.plan.inputs]
        groups = _groups(args, names[0], fields_beside(args.beside, names), watch)
        if args.output:
            say(f"{args.output}: {_written(args, run, groups, watch)} predictions written.")
            return DONE
        for some in groups:
            for row in api.predict(run, some, options=_options(args), device=args.device, watch=watch):
                put_json(row, indent=None) if args.json else put(readable(row))
            flush()
    return DONE


def _in_parts(args: argparse.Namespace, run: OpenRun, watch: Listener) -> int:
    """Write a part for each file of the input into a folder; return how many answers there are in those made now."""
    from recurra.cli.parts import write_parts

    return write_parts(
        args.output,
        args.input,
        run,
        overrides=args.overrides,
        options=_options(args),
        probabilities=args.probabilities,
        weights=args.weights,
        device=args.device,
        watch=watch,
    )


def _written(args: argparse.Namespace, run: OpenRun, groups: Iterable[Any], watch: Listener) -> int:
    """Write all answers to a file; return how many."""
    from recurra import api
    from recurra.cli.columns import SUFFIXES, write_conll
    from recurra.cli.tables import TABLES, rows_of
    from recurra.data.formats.sentences import LINE

    path, suffix = args.output, args.output.suffix.lower()
    first = next(iter(groups)) if args.input not in (None, _STANDARD_INPUT) else None
    source = first if isinstance(first, api.Source) else None
    records = chain.from_iterable(groups) if source is None else source
    answers = api.answered(run, records, options=_options(args), device=args.device, watch=watch)
    if suffix == ".png":
        return write_png(path, (one.answer.to_dict() for one in answers))
    if suffix in SUFFIXES:
        return write_conll(path, answers, source, str(run.settings.tree["task"].get("tags")))
    wanted = None if args.probabilities is None else args.probabilities == "all"
    columns = api.columns_of(run, probabilities=wanted, watch=watch)
    without = (LINE,) if source is not None and source.format in ("conll", "conllu") else ()
    rows = rows_of(answers, columns, without=without, as_table=suffix != ".jsonl")
    return TABLES[suffix](path, rows)


def _options(args: argparse.Namespace) -> dict[str, object]:
    """The options of the task that were given."""
    given = {
        "n_best": args.n_best,
        "attention": args.attention or None,
        "tokens": args.tokens or None,
        "join": args.join or None,
    }
    return search_options(args) | {name: value for name, value in given.items() if value is not None}


def _refuse_unclear_output(args: argparse.Namespace) -> None:
    if args.output is None:
        if args.probabilities:
            raise UsageError("recurra predict: --probabilities has no effect without --output.")
        return
    from recurra.cli.columns import SUFFIXES
    from recurra.cli.tables import TABLES

    if args.json:
        raise UsageError("recurra predict: --json prints and --output writes a file; choose one.")
    suffix = args.output.suffix.lower()
    if not suffix and args.input in (None, _STANDARD_INPUT):
        raise UsageError(f"--output {args.output}: a folder has a part for each file of --input, and there is none.")
    known = (*TABLES, *SUFFIXES, *([".png"] if args.attention else []))
    if suffix and suffix not in known:
        hint = " A picture needs --attention." if suffix == ".png" else ""
        *names, last = known
        listed = f"{', '.join(names)} or {last}, or a folder, whose name has no ending"
        raise UsageError(f"--output {args.output}: expected a name that ends in {listed}.{hint}")
    if args.probabilities and suffix and suffix not in TABLES:
        raise UsageError(f"--output {args.output}: --probabilities has no effect on a {suffix} file.")
    if not args.output.parent.is_dir():
        raise UsageError(
            f"--output {args.output}: there is no folder '{args.output.parent}'. Make it, or choose another."
        )
    refuse_what_is_read("--output", args.output, {"the input": args.input})


def _refuse_unclear_input(args: argparse.Namespace) -> None:
    if bool(args.texts) == bool(args.input):
        raise UsageError("recurra predict: expected either TEXT, or --input FILE, or - to read standard input.")
    if _STANDARD_INPUT in args.texts and len(args.texts) > 1:
        raise UsageError("recurra predict: - reads standard input, and stands alone.")
    if args.beside and (args.input or _STANDARD_INPUT in args.texts):
        raise UsageError("recurra predict: --with stands beside TEXT; a file has a column for each field.")
    if args.overrides and args.input in (None, _STANDARD_INPUT):
        raise UsageError("recurra predict: --set says how --input FILE is read, and has no effect without one.")


def _groups(
    args: argparse.Namespace, field: str, beside: Mapping[str, str], watch: Listener
) -> Iterable[Source | Iterable[Record]]:
    """What to predict for, in groups of which each is answered before the next is read.

    field: where the run's data has its texts      beside: other fields of these
    """
    from recurra import api

    if args.input not in (None, _STANDARD_INPUT):
        path = Path(args.input)
        return [api.source_for(args.run, path, overrides=args.overrides, cells=args.cells, watch=watch)]
    if _STANDARD_INPUT in (args.input, *args.texts):
        return from_standard_input(field)
    return [from_arguments(args.texts, field, beside)]


COMMAND = Command(
    _arguments,
    _run,
    '  recurra predict runs/first "what a film" "never again"\n'
    "  recurra predict runs/first --input new.csv --output predicted.csv\n"
    '  recurra predict runs/dates "4. März 2001" --beam 5 --n-best 3 --attention\n'
    "  cat texts.txt | recurra predict runs/first - --json",
)
