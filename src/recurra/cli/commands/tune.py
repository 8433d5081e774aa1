"""`recurra tune`: search over the settings of a config."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from recurra.base.shell import as_word
from recurra.cli.arguments import Command, add_cells, add_device, add_json, add_overrides, natural, positive
from recurra.cli.failures import DONE
from recurra.cli.progress import watching
from recurra.cli.show import report_json, show_report
from recurra.cli.terminal import one_line, put, put_json, say

if TYPE_CHECKING:
    from recurra.api import Tuned

# Options of the search that are given on where the command line has them; the rest is as it was, or the default.
_OPTIONS = ("trials", "hours", "seeds", "sampler", "pruner", "study", "seed")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "config",
        metavar="CONFIG",
        type=Path,
        help="a config with spaces in the place of values, such as hidden_size: {low: 64, high: 512, log: true} or "
        "cell: {choices: [lstm, gru]}; or the folder of a search, to go on with it",
    )
    parser.add_argument("--trials", type=positive, metavar="N", help="trials of all workers together (default: 40)")
    parser.add_argument(
        "--hours",
        type=float,
        metavar="H",
        help="end after so many hours, repeating the best among them (default: never)",
    )
    parser.add_argument(
        "--study",
        metavar="URL",
        help="where the study is: a file of SQLite, or the URL of a database that several machines share (default: "
        "study.db in the folder of the search)",
    )
    parser.add_argument(
        "--seeds",
        type=natural,
        metavar="N",
        help="seeds from which the best three and the config's own values are trained again; 0: none (default: 3)",
    )
    parser.add_argument("--sampler", choices=("tpe", "random"), help="what draws values (default: tpe)")
    parser.add_argument(
        "--pruner",
        choices=("median", "hyperband", "none"),
        help="what ends trials early by their dev scores (default: median)",
    )
    parser.add_argument("--seed", type=natural, help="seed of what is drawn (default: the config's)")
    parser.add_argument(
        "--out", metavar="FOLDER", type=Path, help="the folder of the search (default: runs/NAME-search)"
    )
    add_overrides(parser)
    add_device(parser)
    add_cells(parser)
    add_json(parser, "what was found")


def _run(args: argparse.Namespace) -> int:
    from recurra import api

    if not api.is_search(args.config):
        api.look_at_config(args.config, args.overrides)
    given = {name: value for name in _OPTIONS if (value := getattr(args, name)) is not None}
    with watching() as watch:
        tuned = api.tune(
            args.config,
            out=args.out,
            overrides=args.overrides,
            device=args.device,
            cells=args.cells,
            watch=watch,
            **given,
        )
    return _show(tuned, as_json=args.json)


def _show(tuned: Tuned, *, as_json: bool) -> int:
    name = None if tuned.stopped_by is None else signal.Signals(tuned.stopped_by).name
    if as_json:
        put_json(_as_json(tuned, name))
    elif tuned.report is not None:
        if tuned.report.scores:
            show_report(tuned.report)
        for path, value in tuned.values.items():
            put(f"{path}: {one_line(str(value))}")
        for sentence in tuned.verdict:
            put(one_line(sentence))
    folder = as_word(tuned.folder)
    if tuned.stopped_by is not None:
        ended = sum(number for state, number in tuned.trials.items() if state not in ("running", "waiting"))
        say(f"Stopped by {name}; everything is saved, {ended} trials have ended. Go on with: recurra tune {folder}")
        return 128 + int(tuned.stopped_by)
    if tuned.config is not None:
        say(f"\nThe report is {as_word(tuned.folder / 'report.html')}. Next:\n  recurra train {as_word(tuned.config)}")
    return DONE


def _as_json(tuned: Tuned, stopped_by: str | None) -> dict[str, object]:
    return {
        "folder": str(tuned.folder),
        "stopped_by": stopped_by,
        "trials": dict(tuned.trials),
        "best": tuned.best,
        "values": dict(tuned.values),
        "config": None if tuned.config is None else str(tuned.config),
        "verdict": list(tuned.verdict),
        "report": None if tuned.report is None else report_json(tuned.report),
    }


COMMAND = Command(
    _arguments,
    _run,
    "  recurra tune config.yaml --trials 40 --hours 3\n"
    "  recurra tune config.yaml --set 'model.encoder.hidden_size={low: 64, high: 512, log: true}'\n"
    "  recurra tune runs/config-search --trials 80\n"
    "  recurra tune config.yaml --study postgresql://user:secret@host/studies",
    about="Search over the settings of a config: trials that are ended early where they fall behind, then the best "
    "three and the config's own values from several seeds. The same command again goes on with a search, and several "
    "at the same time share it. Needs recurra[tune].",
)
