"""`recurra demo`: a small model on real data that every machine has."""

from __future__ import annotations

import argparse
from pathlib import Path

from recurra.cli.arguments import Command
from recurra.cli.commands.train import finished
from recurra.cli.progress import watching


def _arguments(parser: argparse.ArgumentParser) -> None:
    known = "dates, tagging, language_model, chat, "
    known += "forecasting, airline, anomalies, word_vectors, speech, activity, captions"
    known += " or names"
    parser.add_argument("name", metavar="NAME", nargs="?", default="dates", help=f"{known} (default: dates)")
    parser.add_argument("--out", metavar="RUN", type=Path, help="the run folder to make (default: runs/demo-NAME)")


def _run(args: argparse.Namespace) -> int:
    from recurra import api

    out = args.out or Path("runs") / f"demo-{args.name}"
    with watching() as watch:
        trained = api.demo(args.name, out=out, watch=watch)
    return finished(trained, as_json=False)


COMMAND = Command(
    _arguments,
    _run,
    "  recurra demo\n  recurra demo names --out runs/names",
)
