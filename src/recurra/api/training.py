"""Train, resume: a recipe around the loop."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from recurra.api.answering import Stopped, device_of, outputs
from recurra.api.folder import RunFolder, add_cells, describe, open_settings, write_task
from recurra.api.learner import Learner
from recurra.api.prepare import Prepared, prepare
from recurra.api.reporting import final_report
from recurra.api.schema import Settings, read_settings
from recurra.api.watching import Nobody
from recurra.base.contracts import Progress, Report, Score, Watcher
from recurra.base.errors import ConfigError, RunError
from recurra.nn import Recurrent
from recurra.training import Checkpoints, FolderLock, Found, Log, Speed, Stopping, every

# A line of log.jsonl every so many steps: a curve of a thousand points costs 100 kB.
LOG_EVERY = 10


@dataclass(frozen=True, slots=True)
class Trained:
    """How training ended. report: None if it was stopped; stopped_by: the signal, or None."""

    run: Path
    report: Report | None
    stopped_by: signal.Signals | None


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
    if folder.mark.exists():
        raise RunError(
            f"{folder.path}: already holds a run. Go on with `recurra train --resume {folder.path}`, "
            "or choose another folder with --out."
        )
    with FolderLock(folder.path), Stopping() as stopping:
        describe(folder, settings)
        prepared = prepare(settings, watch)
        return _go(settings, prepared, folder, target, stopping, watch, found=None)


def resume(run: Path, *, device: str = "auto", cells: Iterable[Path] = (), watch: Watcher | None = None) -> Trained:
    """Go on with a run from its last checkpoint, bit for bit as if it had never stopped (on the same kind of device).

    Raises RunError if the folder is no run, another process writes to it, its checkpoints are all damaged, or its
    config or data were changed.
    """
    watch = watch or Nobody()
    folder, settings = open_settings(run, cells)
    target = device_of(device)
    with FolderLock(folder.path), Stopping() as stopping:
        found = Checkpoints(folder.path).newest()
        for message in found.notes if found else ("no checkpoint was written yet: training starts at the first step.",):
            watch.note(message)
        if found:
            _refuse_other_config(settings, found, folder)
        prepared = prepare(settings, watch)
        return _go(settings, prepared, folder, target, stopping, watch, found)


def name_of(config: Path) -> str:
    """A run's name: the config's own, or its folder's where it is called config.yaml."""
    return (config.resolve().parent.name if config.stem == "config" else config.stem) or "run"


def fresh(out: Path) -> Path:
    """`out`, or the first of `out`-2, `out`-3, ... that does not exist."""
    return next(p for p in [out, *(out.with_name(f"{out.name}-{n}") for n in range(2, 10_000))] if not p.exists())


def _go(
    settings: Settings,
    prepared: Prepared,
    folder: RunFolder,
    device: torch.device,
    stopping: Stopping,
    watch: Watcher,
    found: Found | None,
) -> Trained:
    """Learn, then report; or stop where somebody asked to."""
    write_task(folder, prepared.task)
    learner = Learner(settings, prepared.task, prepared.splits["train"], device, prepared.fingerprint)
    if found:
        learner.restore(found.checkpoint, str(found.path))
        watch.note(f"resumed at step {learner.step}, epoch {learner.epoch}.")
    _say_choices(learner, settings, device, watch)
    select = _selected(settings, prepared)
    checkpoints = Checkpoints(folder.path)
    log = Log(folder.log, keep=found.checkpoint.log_lines if found else 0)
    try:
        _learn(learner, prepared, checkpoints, log, select, stopping, watch)
        report = final_report(learner, prepared, checkpoints, folder, select, stopping, watch)
    except Stopped:
        return Trained(folder.path, None, stopping.signal)
    return Trained(folder.path, report, None)


def _learn(
    learner: Learner,
    prepared: Prepared,
    checkpoints: Checkpoints,
    log: Log,
    select: str,
    stopping: Stopping,
    watch: Watcher,
) -> None:
    """All epochs that are left. Raises Stopped after saving, when a signal asks for it."""
    watch.start(learner.total_steps, learner.settings.training.epochs)
    speed, clock = Speed(), time.perf_counter()
    while not learner.finished:
        for progress in learner.steps():
            speed.add(progress.tokens)
            now = time.perf_counter()
            learner.seconds, clock = learner.seconds + now - clock, now
            watch.step(progress, speed.tokens_per_second, speed.seconds_left(learner.total_steps - progress.step))
            if every(LOG_EVERY, progress):
                _log_step(log, progress, speed)
            if stopping.requested or every(learner.settings.training.checkpoint_every, progress):
                checkpoints.save_last(learner.snapshot(log.lines))
            if stopping.requested:
                raise Stopped
        try:
            scores = _dev_scores(learner, prepared, stopping)
        except Stopped:
            checkpoints.save_last(learner.snapshot(log.lines))
            raise
        epoch = learner.epoch
        is_best = learner.end_epoch(next(s for s in scores if s.name == select))
        log.write(event="dev", epoch=epoch, step=learner.step, best=is_best, **{s.name: s.value for s in scores})
        if is_best:
            checkpoints.save_best(learner.snapshot(log.lines))
        checkpoints.save_last(learner.snapshot(log.lines))
        watch.scores(epoch, scores, is_best)
    watch.done()


def _dev_scores(learner: Learner, prepared: Prepared, stopping: Stopping) -> tuple[Score, ...]:
    dev = prepared.splits["dev"]
    answers = outputs(learner.model, prepared.task, dev, device=learner.device, stop=lambda: stopping.requested)
    scores: tuple[Score, ...] = prepared.task.score(answers, dev, "dev")
    return scores


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


def _selected(settings: Settings, prepared: Prepared) -> str:
    """The dev score that chooses the best epoch. Raises ConfigError for one that this data does not have."""
    names: dict[str, Score] = {s.name: s for s in prepared.task.possible_scores(prepared.splits["dev"])}
    word = settings.training.select
    if word == "auto":
        return str(prepared.task.usual_score)
    if word not in names or names[word].better == "neither":
        known = ", ".join(name for name, score in names.items() if score.better != "neither")
        raise ConfigError(f"training.select: there is no score '{word}' to choose by. Known: {known}.")
    return word


def _refuse_other_config(settings: Settings, found: Found, folder: RunFolder) -> None:
    """A resumed run has the settings that it began with."""
    before = found.checkpoint.config
    changed = [
        f"{folder.config}: {name}.{key}: was {before[name].get(key)!r} when the run began, is {value!r} now."
        for name, section in settings.tree.items()
        for key, value in section.items()
        if name in before and before[name].get(key) != _as_json(value)
    ]
    if changed:
        raise RunError("\n".join([*changed, "Put it back to go on, or train anew in another folder."]))


def _as_json(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
