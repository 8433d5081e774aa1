"""`recurra demo`: a small model on real data that every machine has."""

from __future__ import annotations

import argparse
from pathlib import Path

from recurra.cli.arguments import Command
from recurra.cli.commands.train import finished
from recurra.cli.completion.names import demos
from recurra.cli.progress import watching


def _arguments(parser: argparse.ArgumentParser) -> None:
    known = ", ".join(demos())
    parser.add_argument("name", metavar="DEMO", nargs="?", default="dates", help=f"{known} (default: dates)")
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="the run folder to make (default: runs/demo-DEMO)")


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
