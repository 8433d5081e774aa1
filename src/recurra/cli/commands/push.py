"""`recurra push` and `recurra pull`: a run as a folder in Hugging Face's layout, and back."""

from __future__ import annotations

import argparse
from pathlib import Path

from recurra.base.shell import as_word
from recurra.cli.arguments import Command, add_cells, add_run
from recurra.cli.failures import DONE
from recurra.cli.terminal import put, say


def _push_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="the folder to make: new, or empty")
    add_cells(parser)


def _push(args: argparse.Namespace) -> int:
    from recurra import api

    api.look_at_run(args.run)
    folder = api.push(args.run, args.folder, cells=args.cells, note=say)
    put(str(folder))
    say(f"Upload it with the tools of the hub; `recurra pull {as_word(folder)}` makes a run of it again.")
    return DONE


def _pull_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="FOLDER", type=Path, help="a folder that `recurra push` wrote")
    parser.add_argument(
        "--out", metavar="FOLDER", type=Path, help="the run folder to make (default: a new one in runs/)"
    )
    add_cells(parser)


def _pull(args: argparse.Namespace) -> int:
    from recurra import api

    put(str(api.pull(args.source, out=args.out, cells=args.cells)))
    return DONE


PUSH = Command(_push_arguments, _push, "  recurra push runs/first hub/reviews")
PULL = Command(_pull_arguments, _pull, "  recurra pull hub/reviews\n  recurra pull hub/reviews --out runs/reviews")
