"""Train, resume: a recipe around the loop."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from recurra.api.answering import device_of, outputs
from recurra.api.folder import RunFolder, add_cells, describe, forget, open_run, open_settings, write_task
from recurra.api.learner import Learner
from recurra.api.prepare import Prepared, prepare, selected
from recurra.api.pretraining import begin_with
from recurra.api.reporting import final_report
from recurra.api.schema import Settings, read_settings
from recurra.api.stopping import Stopped, at_once
from recurra.api.watching import Nobody
from recurra.base.contracts import Progress, Report, Score, Watcher
from recurra.base.errors import RecurraError, RunError
from recurra.nn import Recurrent
from recurra.tasks import Writes
from recurra.training import Checkpoints, FolderLock, Found, Log, Speed, Stopping, averaged, every

# A line of log.jsonl every so many steps: a curve of a thousand points costs 100 kB.
LOG_EVERY = 10


@dataclass(frozen=True, slots=True)
class Trained:
    """How training ended. report: None if it was stopped; stopped_by: the signal, or None.

    use: what a person wants next: predict, generate a text, or play what is generated
    """

    run: Path
    report: Report | None
    stopped_by: signal.Signals | None
    use: Literal["predict", "generate", "play"] = "predict"


def train(
    config: Path,
    *,
    out: Path | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    device: str = "auto",
    cells: Iterable[Path] = (),
    watch: Watcher | None = None,
) -> Trained:
    """Train as a config file says, into a new run folder (by default runs/NAME after the config).

    overrides: "dotted.key=value" each      cells: files with a user's own cells, which are run
    Raises ConfigError, DataError, RunError (the folder holds a run) or TrainingError.
    """
    watch = watch or Nobody()
    add_cells(cells)
    settings = read_settings(config, overrides, seed)
    target = device_of(device)
    folder = RunFolder(out or fresh(Path("runs") / name_of(config)))
    if folder.path.exists() and not folder.path.is_dir():
        raise RunError(f"{folder.path}: is a file; expected the name of a new folder after --out.")
    with FolderLock(folder.path):
        _refuse_taken(folder, config)
        return _go(folder, lambda: _begin(folder, settings, target, watch), watch)


def resume(run: Path, *, device: str = "auto", cells: Iterable[Path] = (), watch: Watcher | None = None) -> Trained:
    """Go on with a run from its last checkpoint, bit for bit as if it had never stopped (on the same kind of device).

    Raises RunError if the folder is no run, another process writes to it, its checkpoints are all damaged, or its
    config or data were changed.
    """
    watch = watch or Nobody()
    folder, settings = open_settings(run, cells)
    target = device_of(device)
    with FolderLock(folder.path):
        return _go(folder, lambda: _go_on(folder, settings, target, watch), watch)


def name_of(config: Path) -> str:
    """A run's name: the config's own, or its folder's where it is called config.yaml."""
    return (config.resolve().parent.name if config.stem == "config" else config.stem) or "run"


def fresh(out: Path) -> Path:
    """`out`, or the first of `out`-2, `out`-3, ... that does not exist."""
    return next(p for p in [out, *(out.with_name(f"{out.name}-{n}") for n in range(2, 10_000))] if not p.exists())


@dataclass(frozen=True, slots=True)
class Course:
    """A training that is ready to run: what learns, from what, chosen by which score, and where it is written down."""

    prepared: Prepared
    learner: Learner
    checkpoints: Checkpoints
    log: Log
    select: str


def _go(folder: RunFolder, begin: Callable[[], Course], watch: Watcher) -> Trained:
    """Begin, learn, report; or stop where somebody asks to. Nothing is lost by a stop while data is read or scored."""
    try:
        with at_once():
            course = begin()
        with Stopping() as stopping:
            _learn(course, stopping, watch)
        with at_once():
            report = final_report(course.learner, course.prepared, course.checkpoints, folder, course.select, watch)
    except Stopped as stopped:
        return Trained(folder.path, None, stopped.signal)
    task = course.prepared.task
    return Trained(folder.path, report, None, task.use if isinstance(task, Writes) else "predict")


def _begin(folder: RunFolder, settings: Settings, device: torch.device, watch: Watcher) -> Course:
    """A new run; or no trace of it, if the user has to mend something first: the next try finds its place free."""
    try:
        describe(folder, settings)
        return _course(folder, settings, device, watch, None)
    except RecurraError:
        forget(folder)
        raise


def _go_on(folder: RunFolder, settings: Settings, device: torch.device, watch: Watcher) -> Course:
    """A run that was stopped, at its newest good checkpoint."""
    found = Checkpoints(folder.path).newest()
    for message in found.notes if found else ("no checkpoint was written yet: training starts at the first step.",):
        watch.note(message)
    if found:
        _refuse_other_config(settings, found, folder)
    return _course(folder, settings, device, watch, found)


def _course(folder: RunFolder, settings: Settings, device: torch.device, watch: Watcher, found: Found | None) -> Course:
    """Read the data and build what learns. Only when nothing is refused any more is something written."""
    prepared = prepare(settings, watch)
    select = selected(settings, prepared)
    learner = Learner(settings, prepared.task, prepared.splits["train"], device, prepared.fingerprint)
    keep = found.checkpoint.log_lines if found else 0
    if found:
        learner.restore(found.checkpoint, str(found.path))
        watch.note(f"resumed at step {learner.step}, epoch {learner.epoch}.")
    elif settings.training.init_from is not None:
        watch.note(begin_with(open_run(Path(settings.training.init_from)), learner.model, prepared.task))
    _say_choices(learner, settings, device, watch)
    write_task(folder, prepared.task, prepared.fingerprint)
    log = Log(folder.log, keep=keep)
    if log.lines < keep:
        watch.note(f"{folder.log}: has lost {keep - log.lines} of {keep} lines; training goes on without them.")
    return Course(prepared, learner, Checkpoints(folder.path), log, select)


def _learn(course: Course, stopping: Stopping, watch: Watcher) -> None:
    """All epochs that are left. Raises Stopped after saving, when a signal asks for it."""
    learner, log = course.learner, course.log
    watch.start(learner.total_steps, learner.settings.training.epochs)
    while not learner.finished:
        skipped = learner.skipped
        _learn_epoch(course, stopping, watch)
        if learner.skipped != skipped:
            watch.note(learner.skipped)
        try:
            scores = _dev_scores(course, stopping)
        except Stopped:
            course.checkpoints.save_last(learner.snapshot(log.lines))
            raise
        epoch = learner.epoch
        is_best = learner.end_epoch(next(s for s in scores if s.name == course.select))
        log.write(event="dev", epoch=epoch, step=learner.step, best=is_best, **{s.name: s.value for s in scores})
        if is_best:
            with averaged(learner.optimizer):
                course.checkpoints.save_best(learner.snapshot(log.lines))
        course.checkpoints.save_last(learner.snapshot(log.lines))
        watch.scores(epoch, scores, is_best)
        if stopping.signal is not None:
            raise Stopped(stopping.signal)
    watch.done()


def _learn_epoch(course: Course, stopping: Stopping, watch: Watcher) -> None:
    """The steps that are left of this epoch, logged and saved now and then."""
    learner, log, speed, clock = course.learner, course.log, Speed(), time.perf_counter()
    for progress in learner.steps():
        speed.add(progress.tokens)
        now = time.perf_counter()
        learner.seconds, clock = learner.seconds + now - clock, now
        watch.step(progress, speed.tokens_per_second, speed.seconds_left(learner.total_steps - progress.step))
        if every(LOG_EVERY, progress):
            _log_step(log, progress, speed)
        if stopping.requested or every(learner.settings.training.checkpoint_every, progress):
            course.checkpoints.save_last(learner.snapshot(log.lines))
        if stopping.signal is not None:
            raise Stopped(stopping.signal)


def _dev_scores(course: Course, stopping: Stopping) -> tuple[Score, ...]:
    learner, task, dev = course.learner, course.prepared.task.draft, course.prepared.splits["dev"]
    with averaged(learner.optimizer):
        answers = outputs(learner.model, task, dev, device=learner.device, stop=lambda: stopping.signal)
    return task.score(answers, dev, "dev")


def _log_step(log: Log, progress: Progress, speed: Speed) -> None:
    log.write(
        event="step",
        step=progress.step,
        epoch=progress.epoch,
        loss=float(progress.loss),
        lr=progress.lr,
        grad_norm=float(progress.grad_norm),
        tokens_per_second=round(speed.tokens_per_second),
    )


def _say_choices(learner: Learner, settings: Settings, device: torch.device, watch: Watcher) -> None:
    """What `auto` has chosen."""
    if settings.tree["model"].get("backend") == "auto":
        words = {m.executor() for m in learner.model.modules() if isinstance(m, Recurrent)}
        watch.note(f"model.backend: auto takes {', '.join(sorted(words))} on {device}.")
    if settings.training.select == "auto":
        watch.note(f"training.select: auto takes {learner.task.usual_score}.")


def _refuse_taken(folder: RunFolder, config: Path) -> None:
    """A new run overwrites no other, and not the config that it is made from."""
    checkpoints = Checkpoints(folder.path)
    if any(path.exists() for path in (folder.mark, checkpoints.last, checkpoints.previous, checkpoints.best)):
        raise RunError(
            f"{folder.path}: already holds a run. Go on with `recurra train --resume {folder.path}`, "
            "or choose another folder with --out."
        )
    if folder.config.exists() and folder.config.samefile(config):
        raise RunError(f"{config}: would be overwritten by the run's own config; choose another folder with --out.")


def _refuse_other_config(settings: Settings, found: Found, folder: RunFolder) -> None:
    """A resumed run has the settings that it began with."""
    before, now = found.checkpoint.config, json.loads(json.dumps(settings.tree))
    changed = [
        f"{folder.config}: {name}.{key}: was {was!r} when the run began, is {value!r} now."
        for name, section in now.items()
        for key, value in section.items()
        if (was := _at(before, name, key)) != value
    ]
    if changed:
        raise RunError("\n".join([*changed, "Put it back to go on, or train anew in another folder."]))


def _at(tree: Mapping[str, object], name: str, key: str) -> object:
    section = tree.get(name)
    return section.get(key) if isinstance(section, Mapping) else None
