"""`recurra init`: a commented config from the user's own file."""

from __future__ import annotations

import argparse
from pathlib import Path

from recurra.base.atomic import write_text
from recurra.base.shell import as_word
from recurra.cli.arguments import Command
from recurra.cli.failures import DONE, UsageError
from recurra.cli.overwriting import refuse_what_is_read
from recurra.cli.progress import watching
from recurra.cli.terminal import put_text_file, say


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "task", metavar="TASK", help="what to learn, e.g. classification, or its usual name (sentiment, ner, lm)"
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        help="your training data: CSV, JSON, Excel, Parquet, text, ..., or a folder (recurra explain format)",
    )
    parser.add_argument(
        "-o", "--output", metavar="CONFIG", type=Path, help="write the config here, not to standard output"
    )
    parser.add_argument(
        "--head", metavar="WORD", help="of several that a task has, e.g. transducer or attention of transcription"
    )
    parser.add_argument(
        "--lexicon",
        metavar="FILE",
        type=Path,
        help="words with their pronunciations, for speech: CMUdict, or Kaldi's lexicon.txt",
    )
    parser.add_argument("--force", action="store_true", help="overwrite the config that --output names")


def _run(args: argparse.Namespace) -> int:
    output: Path | None = args.output
    if output is None and args.force:
        raise UsageError("recurra init: --force has no effect without --output.")
    if output is not None and output.exists() and not args.force:
        raise UsageError(f"recurra init: {output} exists already. Choose another name, or add --force.")
    refuse_what_is_read("--output", output, {"the data": args.file, "the file of --lexicon": args.lexicon})
    from recurra import api

    api.look_at_file(args.file)
    with watching() as watch:
        text = api.init(args.task, args.file, head=args.head, lexicon=args.lexicon, watch=watch)
    if output is None:
        put_text_file(text)
        return DONE
    write_text(output, text)
    say(f"{output}: written. Next: recurra check {as_word(output)}")
    return DONE


COMMAND = Command(
    _arguments,
    _run,
    "  recurra init classification reviews.csv -o config.yaml\n  recurra init ner sentences.conll -o config.yaml\n"
    "  recurra init transcription train.csv --head transducer -o config.yaml\n"
    "  recurra init speech train.csv --lexicon cmudict.dict -o config.yaml",
)
