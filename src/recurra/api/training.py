"""Train, resume: a recipe around the loop."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from recurra.api.answering import device_of
from recurra.api.course import Course, begin, go_on, learn, refuse_taken
from recurra.api.defaults import in_float32
from recurra.api.folder import add_cells, open_settings
from recurra.api.given import AnyPath, config_of, overrides_of, path_of, paths_of
from recurra.api.places import RunFolder
from recurra.api.reporting import final_report
from recurra.api.schema import read_settings
from recurra.api.stopping import Stopped, at_once
from recurra.api.together import Together, teach
from recurra.api.watching import Nobody
from recurra.base.contracts import Report, Watcher
from recurra.base.errors import ConfigError, RunError
from recurra.config import document_of
from recurra.tasks import Writes
from recurra.training import Alone, Checkpoints, FolderLock, Stopping


@dataclass(frozen=True, slots=True)
class Trained:
    """How training ended. report: None if it was stopped; stopped_by: the signal, or None.

    use: what a person wants next: predict, generate a text, or play what is generated
    """

    run: Path
    report: Report | None
    stopped_by: signal.Signals | None
    use: Literal["predict", "generate", "play"] = "predict"


@in_float32
def train(
    config: AnyPath | Mapping[str, Any],
    *,
    out: AnyPath | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
    together: Together | None = None,
    watch: Watcher | None = None,
) -> Trained:
    """Train as a config says, into a new run folder (by default runs/NAME after the config).

    config: a file, or a dict of its sections, whose run is named after the task
    overrides: "dotted.key=value" each      cells: files with a user's own cells, which are run
    together: train in several processes, which share each batch
    Raises ConfigError, DataError, RunError (the folder holds a run) or TrainingError.
    """
    watch, cells = watch or Nobody(), paths_of(cells, "cells")
    config, overrides = config_of(config), overrides_of(overrides)
    add_cells(cells)
    settings = read_settings(config, overrides, seed)
    target = device_of(device)
    name = name_of(config) if isinstance(config, Path) else str(settings.tree["task"]["name"])
    folder = RunFolder(fresh(Path("runs") / name) if out is None else path_of(out, "out"))
    if folder.path.exists() and not folder.path.is_dir():
        raise RunError(f"{folder.path}: is a file; expected the name of a new folder after --out.")
    if together is not None:
        refuse_taken(folder, config)
        orders = {
            "config": str(config) if isinstance(config, Path) else document_of(config).tree,
            "overrides": overrides,
            "changes": [],
            "seed": seed,
            "cells": [*map(str, cells)],
        }
        return _go_together(together, folder, orders, target, watch)
    with FolderLock(folder.path, watch.note):
        refuse_taken(folder, config)
        return _go(folder, lambda: begin(folder, settings, target, watch, Alone()), watch)


@in_float32
def resume(
    run: AnyPath,
    *,
    overrides: Sequence[str] = (),
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
    together: Together | None = None,
    watch: Watcher | None = None,
) -> Trained:
    """Resume a run from its last checkpoint, bit for bit as if it had never stopped (on the same kind of device).

    A run that has ended is resumed too, if it has epochs left: with more of them in `overrides`.
    overrides: "dotted.key=value" each, of the options in `recurra.api.changes.MAY_CHANGE`; the run's config keeps them
    together: in several processes, however many it was before
    Raises RunError if the folder is no run, another process writes to it, its checkpoints are all damaged, its data
    was changed, or an option that may not change; ConfigError for an override that is no option.
    """
    watch, cells = watch or Nobody(), paths_of(cells, "cells")
    folder, settings = open_settings(run, cells, overrides_of(overrides))
    target = device_of(device)
    if together is not None:
        orders = {"config": None, "changes": [*overrides], "cells": [*map(str, cells)]}
        return _go_together(together, folder, orders, target, watch)
    with FolderLock(folder.path, watch.note):
        return _go(folder, lambda: go_on(folder, settings, target, watch, Alone()), watch)


def name_of(config: Path) -> str:
    """A run's name: the config's own, or its folder's where it is called config.yaml."""
    return (config.resolve().parent.name if config.stem == "config" else config.stem) or "run"


def fresh(out: Path) -> Path:
    """`out`, or the first of `out`-2, `out`-3, ... that does not exist."""
    return next(p for p in [out, *(out.with_name(f"{out.name}-{n}") for n in range(2, 10_000))] if not p.exists())


def _go(folder: RunFolder, make: Callable[[], Course], watch: Watcher) -> Trained:
    """Begin, learn, report; or stop where somebody asks to. Nothing is lost by a stop while data is read or scored."""
    try:
        with at_once():
            course = make()
        with Stopping() as stopping:
            learn(course, stopping, watch)
        with at_once():
            report = final_report(
                course.learner, course.prepared, Checkpoints(folder.path), folder, course.select, watch
            )
    except Stopped as stopped:
        return Trained(folder.path, None, stopped.signal)
    task = course.prepared.task
    return Trained(folder.path, report, None, task.use if isinstance(task, Writes) else "predict")


def _go_together(
    together: Together, folder: RunFolder, orders: Mapping[str, Any], device: torch.device, watch: Watcher
) -> Trained:
    """Let the ranks learn, and report when they have ended: then this process has the machine to itself."""
    if device.type != "cpu":
        raise ConfigError(f"ranks: share the cores of the CPU; device {device} is trained by one process. Take cpu.")
    stopped = teach(together, {**orders, "run": str(folder.path)}, folder.mark, watch)
    if stopped is not None:
        if not folder.mark.exists():
            signal.raise_signal(stopped)  # nothing has begun: as if this process alone had been asked to end
        return Trained(folder.path, None, stopped)
    with FolderLock(folder.path, watch.note):
        _, settings = open_settings(folder.path)
        return _go(folder, lambda: go_on(folder, settings, device, Nobody(), Alone()), watch)
