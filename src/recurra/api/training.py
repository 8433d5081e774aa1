"""Train, resume, finish: a recipe around the loop."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch

from recurra.api.callbacks import NoCallback
from recurra.api.cards import may_write, write_card
from recurra.api.defaults import in_float32
from recurra.api.distributed import Distributed, launch
from recurra.api.folder import add_cells, has_best, has_ended, open_settings
from recurra.api.given import AnyPath, config_of, overrides_of, path_of, paths_of
from recurra.api.inference import device_of
from recurra.api.interrupts import Stopped, at_once, second_interrupt
from recurra.api.joined import Joined, Order, Rank
from recurra.api.places import RunFolder, read_json
from recurra.api.reporting import final_report, read_report, take_best
from recurra.api.schema import Settings, read_settings, several_runs
from recurra.api.training_run import TrainingRun, refuse_taken, resume_from, run_epochs, start
from recurra.base.contracts import Callback, Report
from recurra.base.errors import ConfigError, RecurraError, RunError
from recurra.base.shell import as_word
from recurra.config import document_of
from recurra.tasks import FindsPictures, Generates, GivesVectors, Task, TrainsItself
from recurra.training import Checkpoints, FolderLock, LostError, SingleProcess, Stopping, TakenError

Use: TypeAlias = Literal["predict", "predict_file", "generate", "play", "similar", "search"]

# Seconds between two looks at a folder that another process holds.
LOOK = 0.1


@dataclass(frozen=True, slots=True)
class Trained:
    """How training ended. report: None if it was stopped; stopped_by: the signal, or None.

    use: what a person wants next: predict a text, or a file of what is no text; generate a text, or play what was;
      ask for words similar to one
    can_finish: whether a run that was stopped has a best epoch, with which `finish` could end it
    """

    run: Path
    report: Report | None
    stopped_by: signal.Signals | None
    use: Use = "predict"
    can_finish: bool = False


@in_float32
def train(
    config: AnyPath | Mapping[str, Any],
    *,
    out: AnyPath | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
    distributed: Distributed | Joined | None = None,
    grace: float = 0.0,
    watch: Callback | None = None,
) -> Trained:
    """Train as a config says, into a new run folder (by default runs/NAME after the config).

    config: a file, or a dict of its sections, whose run is named after the task
    overrides: "dotted.key=value" each      cells: files with a user's own cells, which are run
    distributed: train in several processes, which share each batch; or as one of those that a launcher has started
    grace: seconds after a Ctrl-C in which a second one ends the run with its best weights; 0 where no person waits
    Raises ConfigError, DataError, RunError (the folder holds a run) or TrainingError.
    """
    watch, cells = watch or NoCallback(), paths_of(cells, "cells")
    config, overrides = config_of(config), overrides_of(overrides)
    if isinstance(distributed, Joined):
        return _go_joined(distributed, Order(config, _named(out), overrides, seed, cells, device), watch, grace)
    add_cells(cells)
    settings = read_settings(config, overrides, seed)
    if several := several_runs(settings):
        split, first = settings.tree["data"]["split"]["name"], next(iter(several.values()))
        raise ConfigError(
            f"data.split: {split} makes {len(several)} runs here; take recurra.api.train_group, or choose one of them, "
            f"as data.split.{first}."
        )
    target = device_of(device)
    name = name_of(config) if isinstance(config, Path) else str(settings.tree["task"]["name"])
    folder = RunFolder(fresh(Path("runs") / name) if out is None else path_of(out, "out"))
    if folder.path.exists() and not folder.path.is_dir():
        raise RunError(f"{folder.path}: is a file; expected the name of a new folder after --out.")
    if distributed is not None:
        _refuse_ranks(settings)
        refuse_taken(folder, config)
        orders = {
            "config": str(config) if isinstance(config, Path) else document_of(config).tree,
            "overrides": overrides,
            "changes": [],
            "seed": seed,
            "cells": [*map(str, cells)],
        }
        return _go_together(distributed, folder, orders, target, watch, grace)
    with FolderLock(folder.path, watch.note):
        refuse_taken(folder, config)
        return _go(folder, lambda: start(folder, settings, target, watch, SingleProcess()), watch, grace)


@in_float32
def resume(
    run: AnyPath,
    *,
    overrides: Sequence[str] = (),
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
    distributed: Distributed | Joined | None = None,
    grace: float = 0.0,
    watch: Callback | None = None,
) -> Trained:
    """Resume a run from its last checkpoint, bit for bit as if it had never stopped (on the same kind of device).

    A run that has ended is resumed too, if it has epochs left: with more of them in `overrides`.
    overrides: "dotted.key=value" each, of the options in `recurra.api.changes.MAY_CHANGE`; the run's config keeps them
    distributed: in several processes, however many it was before
    Raises RunError if the folder is no run, another process writes to it, its checkpoints are all damaged, its data
    was changed, or an option that may not change; ConfigError for an override that is no option.
    """
    watch, cells = watch or NoCallback(), paths_of(cells, "cells")
    if isinstance(distributed, Joined):
        order = Order(None, path_of(run, "run"), overrides_of(overrides), None, cells, device)
        return _go_joined(distributed, order, watch, grace)
    folder, settings = open_settings(run, cells, overrides_of(overrides))
    target = device_of(device)
    if distributed is not None:
        _refuse_ranks(settings)
        orders = {"config": None, "changes": [*overrides], "cells": [*map(str, cells)]}
        return _go_together(distributed, folder, orders, target, watch, grace)
    with FolderLock(folder.path, watch.note):
        return _go(folder, lambda: resume_from(folder, settings, target, watch, SingleProcess()), watch, grace)


def name_of(config: Path) -> str:
    """A run's name: the config's own, or its folder's where it is called config.yaml."""
    return (config.resolve().parent.name if config.stem == "config" else config.stem) or "run"


def fresh(out: Path) -> Path:
    """`out`, or the first of `out`-2, `out`-3, ... that does not exist."""
    return next(p for p in [out, *(out.with_name(f"{out.name}-{n}") for n in range(2, 10_000))] if not p.exists())


@in_float32
def finish(
    run: AnyPath, *, device: str = "auto", cells: Iterable[AnyPath] = (), watch: Callback | None = None
) -> Trained:
    """End a run where it is: scores, report and model.safetensors of the best weights so far, without more training.

    A stopped run is ended by this process; one that another process trains is asked to end, and waited for.
    Raises RunError if the folder is no run, or no epoch of it has been scored yet.
    """
    watch, cells = watch or NoCallback(), paths_of(cells, "cells")
    folder, settings = open_settings(run, cells)
    target = device_of(device)
    if not has_ended(folder) and not has_best(folder):
        raise RunError(
            f"{run}: no epoch of it has been scored yet, so there are no best weights to end it with. Resume it with "
            f"`recurra train --resume {as_word(run)}`."
        )
    with _in_turn(folder, watch):
        if not has_ended(folder):
            return _go(folder, lambda: resume_from(folder, settings, target, watch, SingleProcess()), watch, now=True)
    watch.note(f"{run}: has ended. To train it longer: recurra train --resume {as_word(run)} --set training.epochs=N")
    task = settings.plan.restore(read_json(folder.task), str(folder.task))
    return Trained(folder.path, read_report(folder), None, use_of(task, settings))


@contextmanager
def _in_turn(folder: RunFolder, watch: Callback) -> Iterator[None]:
    """Hold the folder's lock; a process that holds it is asked to end the run, for as long as it takes."""
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(FolderLock(folder.path, watch.note))
            except TakenError as taken:
                if not folder.wish.exists():
                    said, _, _ = str(taken).partition(" Wait for it")
                    watch.note(f"{said} It is asked to end the run after its step.")
                    folder.wish.touch()
                time.sleep(LOOK)
            else:
                folder.wish.unlink(missing_ok=True)
                break
        yield


def _go(
    folder: RunFolder, make: Callable[[], TrainingRun], watch: Callback, grace: float = 0.0, *, now: bool = False
) -> Trained:
    """Begin, learn (or `now` end where it is), report; or stop where asked to.

    Nothing is lost by a stop while data is read or scored.
    """
    folder.wish.unlink(missing_ok=True)
    try:
        with at_once():
            training_run = make()
        early = now or _learn_until_asked(training_run, watch, grace)
        with at_once():
            take_best(training_run.trainer, Checkpoints(folder.path), folder)
        if early and training_run.trainer.best.value is not None:
            watch.note(_where(training_run))
        training_run.trainer.ranks = SingleProcess()  # what is left is this process's alone
        with at_once():
            report = final_report(
                training_run.trainer,
                training_run.prepared,
                folder,
                training_run.select,
                watch,
            )
    except Stopped as stopped:
        return Trained(folder.path, None, stopped.signal, can_finish=has_best(folder))
    _close(training_run, folder, watch)
    settings = training_run.trainer.settings
    use = use_of(training_run.prepared.task, settings)
    if may_write(folder):
        write_card(folder, settings, use=use)
    return Trained(folder.path, report, None, use)


def use_of(task: Task, settings: Settings) -> Use:
    """What a person wants next: by what the task can do, and by what its first field holds."""
    if isinstance(task, Generates):
        return task.use
    if isinstance(task, GivesVectors):
        return "similar"
    if isinstance(task, FindsPictures):
        return "search"
    return "predict" if settings.plan.inputs[0].kind == "text" else "predict_file"


def _learn_until_asked(training_run: TrainingRun, watch: Callback, grace: float) -> bool:
    """Learn. Whether the end was asked for before all was learned; raises Stopped where the run is to be resumed."""
    with Stopping() as stopping:
        try:
            run_epochs(training_run, stopping, watch)
        except Stopped as stopped:
            watch.done()
            if stopped.signal is None:
                return True
            scored = training_run.trainer.best.value is not None
            if stopped.signal != signal.SIGINT or not scored or not second_interrupt(stopping, grace, watch):
                raise
            return True
    return False


def _where(training_run: TrainingRun) -> str:
    trainer = training_run.trainer
    return (
        f"ended early, as asked, after step {trainer.step:,} of {trainer.total_steps:,} (epoch {trainer.epoch}): the "
        f"weights are those of step {trainer.best.step:,}, the best by {training_run.select}."
    )


def _close(training_run: TrainingRun, folder: RunFolder, watch: Callback) -> None:
    """Mark the run as ended, and let go of the checkpoints that are not kept."""
    trainer, keep = training_run.trainer, training_run.trainer.settings.training.keep_checkpoints
    training_run.log.write(event="end", step=trainer.step, best_step=trainer.best.step)
    checkpoints = Checkpoints(folder.path)
    checkpoints.thin(keep)
    if keep == "last" and checkpoints.last.is_file():
        watch.note(
            f"{checkpoints.last}: kept ({checkpoints.last.stat().st_size:,} bytes), to train the run longer; "
            "training.keep_checkpoints: none keeps no checkpoint."
        )


def _refuse_ranks(settings: Settings) -> None:
    """Raise ConfigError for a task that has no gradient to add up."""
    if isinstance(settings.plan, TrainsItself):
        raise ConfigError("--ranks: this task learns with the threads of one process; leave it out.")


def _named(out: AnyPath | None) -> Path:
    """The run folder of ranks that a launcher has started. Raises ConfigError where it has no name."""
    if out is None:
        raise ConfigError("--out: several processes make one run, and a restart must find it; name its folder.")
    return path_of(out, "out")


def _go_joined(joined: Joined, order: Order, watch: Callback, grace: float) -> Trained:
    """Learn as one of the ranks that a launcher has started; the first one reports, and all end when it has."""
    rank = Rank(joined, order, watch if joined.place.number == 0 else NoCallback())
    try:
        return _go_as(rank, order, watch, grace)
    except LostError:
        raise
    except RecurraError as error:
        if rank.told_by_another(error):
            raise type(error)("") from None
        raise
    finally:
        rank.close()


def _go_as(rank: Rank, order: Order, watch: Callback, grace: float) -> Trained:
    folder = RunFolder(order.out)

    def make() -> TrainingRun:
        made = rank.made(folder)
        _refuse_ranks(made.trainer.settings)
        return made

    if rank.first:
        trained = _go(folder, make, watch, grace)
        rank.agreed([float(trained.stopped_by or 0)])
        return trained
    with at_once():
        try:
            made = make()
        except Stopped as stopped:  # this host's processes alone may be asked to end: the others notice
            return Trained(folder.path, None, stopped.signal)
    with Stopping() as stopping, suppress(Stopped):
        run_epochs(made, stopping, NoCallback())
    (number,) = rank.agreed([0.0])
    return Trained(folder.path, None, signal.Signals(int(number)) if number else None)


def _go_together(
    distributed: Distributed,
    folder: RunFolder,
    orders: Mapping[str, Any],
    device: torch.device,
    watch: Callback,
    grace: float,
) -> Trained:
    """Let the ranks learn, and report when they have ended: then this process has the machine to itself."""
    if device.type != "cpu":
        raise ConfigError(f"ranks: share the cores of the CPU; device {device} is trained by one process. Take cpu.")
    folder.wish.unlink(missing_ok=True)
    stopped = launch(distributed, {**orders, "run": str(folder.path)}, folder.mark, watch, grace)
    if isinstance(stopped, signal.Signals):
        if not folder.mark.exists():
            signal.raise_signal(stopped)  # nothing has begun: as if this process alone had been asked to end
        return Trained(folder.path, None, stopped, can_finish=has_best(folder))
    if stopped == "finish" and not has_best(folder):
        return Trained(folder.path, None, signal.SIGINT)
    with FolderLock(folder.path, watch.note):
        _, settings = open_settings(folder.path)
        now = stopped == "finish"
        heard = watch if now else NoCallback()
        return _go(folder, lambda: resume_from(folder, settings, device, heard, SingleProcess()), heard, now=now)
