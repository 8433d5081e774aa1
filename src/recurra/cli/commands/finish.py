"""`recurra finish`: end a run now, with its best weights so far."""

from __future__ import annotations

import argparse

from recurra.cli.arguments import Command, add_cells, add_device, add_json, add_run
from recurra.cli.commands.train import finished
from recurra.cli.progress import watching


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    add_device(parser)
    add_cells(parser)
    add_json(parser, "the run folder and its report")


def _run(args: argparse.Namespace) -> int:
    from recurra import api

    api.look_at_run(args.run, trained=False)
    with watching() as watch:
        trained = api.finish(args.run, device=args.device, cells=args.cells, watch=watch)
    return finished(trained, as_json=args.json)


COMMAND = Command(
    _arguments,
    _run,
    "  recurra finish runs/first",
)
