"""`recurra card`: the model card of a run, for runs that were trained before there were cards, or with a license."""

from __future__ import annotations

import argparse

from recurra.cli.arguments import Command, add_run
from recurra.cli.failures import DONE
from recurra.cli.terminal import put


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument(
        "--license",
        metavar="WORD",
        default="unknown",
        help="of the weights, as Hugging Face writes it: apache-2.0 (default: unknown)",
    )


def _run(args: argparse.Namespace) -> int:
    from recurra import api

    api.look_at_run(args.run)
    put(str(api.card(args.run, license=args.license)))
    return DONE


COMMAND = Command(_arguments, _run, "  recurra card runs/first\n  recurra card runs/first --license cc-by-4.0")
