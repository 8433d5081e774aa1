"""`recurra evaluate`: the scores of a trained model, beside its baselines; what vectors of words know."""

from __future__ import annotations

import argparse
from pathlib import Path

from recurra.cli.arguments import Command, add_cells, add_device, add_json, add_weights
from recurra.cli.failures import DONE, UsageError
from recurra.cli.progress import watching
from recurra.cli.searching import add_beam, add_search, search_options
from recurra.cli.show import report_json, show_report
from recurra.cli.terminal import put_json
from recurra.cli.words import add_questions, asked


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run",
        metavar="RUN",
        type=Path,
        help="the folder of a training run; with questions to words also a file of vectors",
    )
    parser.add_argument("file", metavar="FILE", type=Path, nargs="?", help="data with labels (default: the run's own)")
    parser.add_argument("--split", help="which part of the run's own data: train, dev or test (default: test)")
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="how the data is read: data.on_error=skip leaves broken rows out and counts them; data.format, "
        "data.columns; without FILE also where it is: data.train, data.dev, data.test",
    )
    add_questions(parser)
    add_beam(parser, "a translation or of speech")
    add_search(parser)
    add_device(parser)
    add_weights(parser)
    add_cells(parser)
    add_json(parser, "the report")


def _run(args: argparse.Namespace) -> int:
    if args.analogies or args.similarity:
        if unused := search_options(args):
            word = next(iter(unused)).replace("_", "-")
            raise UsageError(f"recurra evaluate: --{word} has no effect on questions to words; leave it out.")
        return asked(args)
    if args.among or args.rule or args.case:
        raise UsageError("recurra evaluate: --among, --rule and --case need --analogies FILE or --similarity FILE.")
    if args.file and args.split:
        raise UsageError("recurra evaluate: --split chooses a part of the run's own data; leave it out with FILE.")
    from recurra import api

    api.look_at_run(args.run)
    if args.file is not None:
        api.look_at_file(args.file)
    with watching() as watch:
        run = args.run if args.weights == "float32" else api.open_run(args.run, args.cells, args.weights)
        report = api.evaluate(
            run,
            args.file,
            split=args.split or "test",
            overrides=args.overrides,
            options=search_options(args),
            device=args.device,
            cells=args.cells,
            watch=watch,
        )
    if args.json:
        put_json(report_json(report))
    else:
        show_report(report)
    return DONE


COMMAND = Command(
    _arguments,
    _run,
    "  recurra evaluate runs/first\n"
    "  recurra evaluate runs/first new.csv --json\n"
    "  recurra evaluate runs/first --weights int8\n"
    "  recurra evaluate runs/speech --beam 16 --lm words.arpa\n"
    "  recurra evaluate runs/words --analogies questions-words.txt --similarity wordsim353.txt",
)
