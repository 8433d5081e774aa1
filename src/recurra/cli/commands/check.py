"""`recurra check`: every mistake of a config at once, before any work."""

from __future__ import annotations

import argparse
from pathlib import Path

from recurra.base.errors import ConfigError
from recurra.cli.arguments import Command, add_cells, add_json, add_overrides
from recurra.cli.failures import DONE, YOUR_INPUT
from recurra.cli.show import facts_table, text_table
from recurra.cli.terminal import put, put_json, say


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", type=Path, help="a config file, as `recurra init` writes it")
    add_overrides(parser)
    add_cells(parser)
    add_json(parser, "the resolved config, notes and facts, or the problems,")


def _run(args: argparse.Namespace) -> int:
    from recurra import api

    try:
        api.look_at_config(args.config, args.overrides)
        checked = api.check(args.config, overrides=args.overrides, cells=args.cells)
    except ConfigError as error:
        if not args.json:
            raise
        put_json({"ok": False, "problems": error.problems})
        return YOUR_INPUT
    if args.json:
        put_json({"ok": True, "config": checked.config, "notes": checked.notes, "facts": checked.facts})
        return DONE
    for note in checked.notes:
        say(f"note: {note}")
    put(f"{args.config}: no mistakes found.")
    for table in facts_table(checked.facts):
        put(text_table(table))
    return DONE


COMMAND = Command(
    _arguments,
    _run,
    "  recurra check config.yaml\n  recurra check config.yaml --set model.encoder.hidden_size=512 --json",
)
