"""`recurra data`: the data sets that every machine has."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from recurra.base.contracts import Table
from recurra.cli.arguments import Command, add_json
from recurra.cli.failures import DONE
from recurra.cli.show import text_table
from recurra.cli.terminal import put, put_json, say


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    add_json(parser, "the list")


def _list(args: argparse.Namespace) -> int:
    from recurra import api

    sets = api.data_list()
    if args.json:
        put_json([dataclasses.asdict(one) for one in sets])
        return DONE
    rows = tuple((one.name, one.rows, ", ".join(one.columns), one.licence, one.description) for one in sets)
    put(text_table(Table("", ("name", "rows", "columns", "licence", "description"), rows)))
    say("\nWith a file of your own: recurra init classification your_file.csv -o config.yaml")
    return DONE


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="DATASET", help="a data set of `recurra data list`")
    parser.add_argument(
        "folder", metavar="FOLDER", type=Path, nargs="?", default=Path(), help="where to (default: here)"
    )


def _export(args: argparse.Namespace) -> int:
    from recurra import api

    for path in api.data_export(args.name, args.folder):
        put(str(path))
    return DONE


LIST = Command(_list_arguments, _list, "  recurra data list --json")
EXPORT = Command(_export_arguments, _export, "  recurra data export names data/names")
