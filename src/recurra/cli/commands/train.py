"""`recurra train`: a config to a run folder, or a stopped run to its end."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from recurra.base.importing import uncollected
from recurra.base.launchers import Place, place_of
from recurra.base.shell import as_word
from recurra.cli.arguments import Command, add_cells, add_device, add_json, add_overrides, natural
from recurra.cli.failures import DONE, UsageError
from recurra.cli.progress import watching
from recurra.cli.show import report_json, show_report
from recurra.cli.terminal import is_terminal, one_line, put_json, say

if TYPE_CHECKING:
    from recurra.api import Distributed, Joined, Trained, TrainedGroup

GRACE = 3.0


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", type=Path, nargs="?", help="a config file")
    parser.add_argument(
        "--resume",
        metavar="RUN",
        type=Path,
        help="resume a stopped run, or one that has ended with more epochs",
    )
    parser.add_argument(
        "--out", metavar="FOLDER", type=Path, help="the run folder to make (default: a new one under runs/)"
    )
    parser.add_argument("--seed", type=natural, help="random seed (default: the config's)")
    parser.add_argument(
        "--seeds", type=_seeds, metavar="N,N,...", help="train once from each seed; mean and spread of the scores"
    )
    add_overrides(parser)
    add_device(parser)
    add_cells(parser)
    parser.add_argument(
        "--ranks", type=natural, default=1, metavar="N", help="processes that share each batch (default: 1, no sharing)"
    )
    parser.add_argument(
        "--rank-timeout",
        type=float,
        metavar="SECONDS",
        help="seconds without a heartbeat before a process counts as failed (60)",
    )
    parser.add_argument(
        "--restarts", type=natural, metavar="TIMES", help="restarts from the last checkpoint after a process failed (3)"
    )
    parser.add_argument(
        "--auto-resume",
        action="store_true",
        help="under torchrun, srun, mpirun: resume the run in --out if there is one, else begin it",
    )
    add_json(parser, "the run folder and its report")


def _run(args: argparse.Namespace) -> int:
    _refuse_what_has_no_effect(args)
    from recurra import api

    if (place := place_of(os.environ)) is not None:
        return _join(args, place)
    if args.auto_resume:
        raise UsageError("recurra train: --auto-resume is for torchrun, srun and mpirun; give --resume RUN.")
    if args.resume and api.is_group(args.resume):
        return _group(args)
    if args.resume:
        api.look_at_run(args.resume, trained=False)
    else:
        api.look_at_config(args.config, args.overrides)
        if args.seeds or api.asks_for_runs(args.config, args.overrides):
            return _group(args)
    return _trained(args, _distributed(args))


def _trained(args: argparse.Namespace, distributed: Distributed | Joined | None) -> int:
    """Train one run, or resume it."""
    from recurra import api

    _keep_freed_memory()
    with watching() as watch:
        if args.resume:
            trained = api.resume(
                args.resume,
                overrides=args.overrides,
                device=args.device,
                cells=args.cells,
                distributed=distributed,
                grace=grace(),
                watch=watch,
            )
        else:
            trained = api.train(
                args.config,
                out=args.out,
                overrides=args.overrides,
                seed=args.seed,
                device=args.device,
                cells=args.cells,
                distributed=distributed,
                grace=grace(),
                watch=watch,
            )
    if isinstance(distributed, api.Joined) and distributed.place.number:
        return DONE if trained.stopped_by is None else 128 + int(trained.stopped_by)
    return finished(trained, as_json=args.json)


def _join(args: argparse.Namespace, place: Place) -> int:
    """Train as one of the processes that a launcher has started. Only the first one says how it went."""
    from recurra import api

    given = {"--ranks": args.ranks > 1, "--restarts": args.restarts is not None, "--seeds": bool(args.seeds)}
    refused = [flag for flag, value in given.items() if value]
    if args.resume and args.auto_resume:
        raise UsageError(
            "recurra train: --resume RUN resumes anyway; leave out --auto-resume, or give CONFIG --out RUN."
        )
    if refused:
        raise UsageError(
            f"recurra train: {', '.join(refused)} has no effect on processes that {place.launcher} has started; "
            "its own options say how many there are, and how often they restart."
        )
    if not args.resume and api.asks_for_runs(args.config, args.overrides):
        raise UsageError("recurra train: a launcher's processes make one run; train folds by --ranks on one host.")
    timeout = 60.0 if args.rank_timeout is None else args.rank_timeout
    return _trained(args, api.Joined(place, timeout, args.auto_resume))


def _group(args: argparse.Namespace) -> int:
    """Train several runs, or resume them."""
    if args.resume and args.overrides:
        raise UsageError("recurra train: a group keeps its options; resume one of its runs with --set.")
    if not args.resume and args.seed is not None:
        raise UsageError("recurra train: --seed has no effect on several runs; set training.seed in the config.")
    from recurra import api

    _keep_freed_memory()
    given = {"device": args.device, "cells": args.cells, "distributed": _distributed(args), "grace": grace()}
    with watching() as watch:
        if args.resume:
            group = api.resume_group(args.resume, **given, watch=watch)
        else:
            group = api.train_group(
                args.config, seeds=args.seeds or (), out=args.out, overrides=args.overrides, **given, watch=watch
            )
    return _group_finished(group, as_json=args.json)


def _group_finished(group: TrainedGroup, *, as_json: bool) -> int:
    name = None if group.stopped_by is None else signal.Signals(group.stopped_by).name
    if as_json:
        report = None if group.report is None else report_json(group.report)
        summary = [asdict(spread) for spread in group.summary]
        runs = [str(run) for run in group.runs]
        put_json({"run": str(group.folder), "stopped_by": name, "runs": runs, "summary": summary, "report": report})
    elif group.report is not None:
        show_report(group.report)
    folder = as_word(group.folder)
    if group.stopped_by is not None:
        count = f"{group.ended} of {len(group.runs)} runs have ended"
        say(f"Stopped by {name}; everything is saved, {count}. Resume with: recurra train --resume {folder}")
        return 128 + int(group.stopped_by)
    say(f"\nThe runs are in {folder}. Next:\n  recurra {_usage(group.use, as_word(group.last))}")
    return DONE


def _seeds(text: str) -> tuple[int, ...]:
    """Several seeds, such as 1,2,3."""
    return tuple(natural(part.strip()) for part in text.split(","))


def _refuse_what_has_no_effect(args: argparse.Namespace) -> None:
    if (args.config is None) == (args.resume is None):
        raise UsageError("recurra train: expected either CONFIG or --resume RUN. See `recurra train --help`.")
    given = {"--out": args.out, "--seed": args.seed, "--seeds": args.seeds}
    refused = [flag for flag, value in given.items() if value is not None]
    if args.resume and refused:
        raise UsageError(f"recurra train: a resumed run keeps its folder and seed; leave out {', '.join(refused)}.")
    given = {"--rank-timeout": args.rank_timeout, "--restarts": args.restarts}
    refused = [flag for flag, value in given.items() if value is not None]
    if args.ranks == 1 and refused and place_of(os.environ) is None:
        raise UsageError(f"recurra train: {', '.join(refused)} needs --ranks of at least 2.")


def _keep_freed_memory() -> None:
    with uncollected():  # its room imports torch
        from recurra.training.memory import keep_freed_memory

    keep_freed_memory()


def _distributed(args: argparse.Namespace) -> Distributed | None:
    if args.ranks == 1:
        return None
    from recurra.api import Distributed

    given = {"timeout": args.rank_timeout, "restarts": args.restarts}
    return Distributed(args.ranks, **{name: value for name, value in given.items() if value is not None})


def finished(trained: Trained, *, as_json: bool) -> int:
    """Show what a training run has come to, and say what to do next; return the exit code."""
    if as_json:
        put_json(_as_json(trained))
    elif trained.report is not None:
        show_report(trained.report)
    run = as_word(trained.run)
    if trained.stopped_by is not None:
        name = signal.Signals(trained.stopped_by).name
        say(f"Stopped by {name}; everything is saved. {_next(run, can_finish=trained.can_finish)}")
        return 128 + int(trained.stopped_by)
    for name, value in (trained.report.facts if trained.report else {}).items():
        if name.startswith("finding "):
            say(one_line(str(value)))
    say(f"\nThe run is in {run}. Next:\n  recurra {_usage(trained.use, run)}\n  recurra evaluate {run} your_file.csv")
    return DONE


def _usage(use: str, run: str) -> str:
    """How a run is asked, as a command without its first word."""
    return {
        "predict": f'predict {run} "some text"',
        "predict_file": f"predict {run} --input your_file.csv",
        "generate": f'generate {run} --prompt "some text"',
        "play": f"generate {run} --midi piece.mid",
        "similar": f"similar {run} some_word",
        "search": f'search {run} "what is in the picture" --images your_folder',
    }[use]


def grace() -> float:
    """Seconds in which a second Ctrl-C ends the run: some where a person has a terminal before them."""
    return GRACE if is_terminal(sys.stderr) else 0.0


def _next(run: str, *, can_finish: bool) -> str:
    resume = f"Resume with: recurra train --resume {run}"
    if can_finish:
        return f"{resume}\nTo end it now with its best weights so far: recurra finish {run}"
    return f"No epoch has been scored yet, so there are no best weights. {resume}"


def _as_json(trained: Trained) -> dict[str, object]:
    name = None if trained.stopped_by is None else signal.Signals(trained.stopped_by).name
    report = None if trained.report is None else report_json(trained.report)
    return {"run": str(trained.run), "stopped_by": name, "report": report}


COMMAND = Command(
    _arguments,
    _run,
    "  recurra train config.yaml --out runs/first\n"
    "  recurra train config.yaml --set model.encoder.hidden_size=512 --seed 2\n"
    "  recurra train --resume runs/first\n"
    "  recurra train --resume runs/first --set training.epochs=20\n"
    "  recurra train config.yaml --seeds 1,2,3,4,5\n"
    "  recurra train config.yaml --set data.split=folds\n"
    "  recurra train config.yaml --ranks 2",
)
