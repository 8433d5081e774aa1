"""A training under way: made from a config or a checkpoint, learnt to its end, alone or as one of several ranks."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from recurra.api.answering import outputs
from recurra.api.changes import Change, apply, changes, refuse_bound
from recurra.api.folder import describe, forget, open_run, write_config, write_task
from recurra.api.learner import Learner
from recurra.api.places import RunFolder
from recurra.api.prepare import Prepared, prepare, selected
from recurra.api.pretraining import begin_with
from recurra.api.schema import Settings
from recurra.api.stopping import Stopped
from recurra.base.contracts import Progress, Score, Watcher
from recurra.base.errors import RecurraError, RunError
from recurra.base.shell import as_word
from recurra.nn import Recurrent
from recurra.tasks import Task
from recurra.training import Checkpoint, Checkpoints, Found, Log, Ranks, Speed, Stopping, averaged, every

# A line of log.jsonl every so many steps: a curve of a thousand points costs 100 kB.
LOG_EVERY = 10
# What ranks tell one another in the place of a signal's number where the run is to end.
FINISH = -1.0


class Unwritten:
    """Checkpoints and log of a rank that is not the first: the first one writes them."""

    lines = 0

    def write(self, **values: object) -> None: ...
    def save_last(self, checkpoint: Checkpoint) -> None: ...
    def save_best(self, checkpoint: Checkpoint) -> None: ...


@dataclass(frozen=True, slots=True)
class Course:
    """A training that is ready to run: what learns, from what, chosen by which score, and where it is written down.

    floor: the chosen score of a model that gives every dev row the same answer
    """

    prepared: Prepared
    learner: Learner
    checkpoints: Checkpoints | Unwritten
    log: Log | Unwritten
    select: str
    folder: RunFolder
    floor: float


def begin(folder: RunFolder, settings: Settings, device: torch.device, watch: Watcher, ranks: Ranks) -> Course:
    """A new run; or no trace of it, if the user has to mend something first: the next try finds its place free."""
    try:
        if ranks.number == 0:
            describe(folder, settings)
        return _course(folder, settings, device, watch, None, ranks)
    except RecurraError:
        if ranks.number == 0:
            forget(folder)
        raise


def go_on(folder: RunFolder, settings: Settings, device: torch.device, watch: Watcher, ranks: Ranks) -> Course:
    """A run that was stopped, at its newest good checkpoint. Raises RunError if its config was changed."""
    found = Checkpoints(folder.path).newest()
    if found is None and folder.weights.is_file():
        raise RunError(
            f"{folder.path}: has ended, and no checkpoint of it is left (training.keep_checkpoints: none), so it "
            "cannot be resumed. Train a new run: "
            f"`recurra train {as_word(folder.config)} --set training.keep_checkpoints=last`."
        )
    for message in found.notes if found else ("no checkpoint was written yet: training starts at the first step.",):
        watch.note(message)
    changed = changes(found.checkpoint.config, settings) if found else []
    refuse_bound(changed, settings, folder.config)
    return _course(folder, settings, device, watch, found, ranks, changed)


def _course(
    folder: RunFolder,
    settings: Settings,
    device: torch.device,
    watch: Watcher,
    found: Found | None,
    ranks: Ranks,
    changed: Sequence[Change] = (),
) -> Course:
    """Read the data and build what learns. Only when nothing is refused any more is something written."""
    prepared = prepare(settings, watch)
    select = selected(settings, prepared, watch)
    possible = prepared.task.possible_scores(prepared.splits["dev"])
    floor = next(s.value for s in possible if s.name == select)
    learner = Learner(settings, prepared.task, prepared.splits["train"], device, prepared.fingerprint, ranks)
    keep = found.checkpoint.log_lines if found else 0
    if found:
        learner.restore(found.checkpoint, str(found.path))
        said = [f"resumed at step {learner.step}, epoch {learner.epoch}.", *apply(changed, learner)]
        learner.changes += [f"{change}, from step {learner.step + 1} on" for change in changed]
        for message in said:
            watch.note(message)
    elif settings.training.init_from is not None:
        run = open_run(Path(settings.training.init_from))
        watch.note(begin_with(run, learner.model, prepared.task, settings.training.init_layers))
    if ranks.number:
        return Course(prepared, learner, Unwritten(), Unwritten(), select, folder, floor)
    _say_choices(learner, settings, select, device, watch)
    if changed or not found:
        write_config(folder, settings)
    if not folder.weights.is_file():  # those of an end before belong to the temperature that stands there
        write_task(folder, prepared.task, prepared.fingerprint)
    log = Log(folder.log, keep=keep)
    if log.lines < keep:
        watch.note(f"{folder.log}: has lost {keep - log.lines} of {keep} lines; training goes on without them.")
    checkpoints = Checkpoints(folder.path)
    if found and found.path != checkpoints.last:  # the older one is the newest now, and a run that ends keeps that
        checkpoints.save_last(learner.snapshot(log.lines))
    return Course(prepared, learner, checkpoints, log, select, folder, floor)


def learn(course: Course, stopping: Stopping, watch: Watcher) -> None:
    """All epochs that are left. Raises Stopped after saving, when a signal asks for it."""
    learner, log = course.learner, course.log
    # Whoever reads another checkpoint than the first rank, or other data, must not go on.
    learner.ranks.check_alike("how far they are", lambda: _place(learner))
    watch.start(learner.total_steps, learner.settings.training.epochs)
    while not learner.finished:
        skipped = learner.skipped
        _learn_epoch(course, stopping, watch)
        if learner.skipped != skipped:
            watch.note(learner.skipped)
        try:
            scores = _judged(course, stopping)
        except Stopped:
            course.checkpoints.save_last(learner.snapshot(log.lines))
            raise
        epoch = learner.epoch
        is_best = learner.end_epoch(next(s for s in scores if s.name == course.select), course.floor)
        log.write(event="dev", epoch=epoch, step=learner.step, best=is_best, **{s.name: s.value for s in scores})
        if is_best:
            with averaged(learner.optimizer):
                course.checkpoints.save_best(learner.snapshot(log.lines))
        course.checkpoints.save_last(learner.snapshot(log.lines))
        watch.scores(epoch, scores, is_best)
        learner.ranks.check_alike("their weights", lambda: _place(learner))
        _stop_if_asked(course, stopping)
    watch.done()
    if early := learner.stopped_early(course.select):
        watch.note(early)


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
        try:
            _stop_if_asked(course, stopping)
        except Stopped:
            course.checkpoints.save_last(learner.snapshot(log.lines))
            raise
        if every(learner.settings.training.checkpoint_every, progress):
            course.checkpoints.save_last(learner.snapshot(log.lines))


def _stop_if_asked(course: Course, stopping: Stopping) -> None:
    """Raise Stopped on all ranks after the same step, if the first one has had a signal, or is to end the run."""
    ranks, ends = course.learner.ranks, False
    if ranks.number == 0 and stopping.signal is None:
        # Asking the file system takes 2 us. Where no epoch has been scored yet, there is nothing to end with.
        ends = course.folder.wish.exists() and course.learner.best.value is not None
    (number,) = ranks.from_first([FINISH if ends else float(stopping.signal or 0)])
    if number:
        raise Stopped(None if number == FINISH else signal.Signals(int(number)))


def _judged(course: Course, stopping: Stopping) -> tuple[Score, ...]:
    """The dev scores, of which other ranks than the first hear only the chosen one. Raises Stopped on all of them."""
    ranks, select = course.learner.ranks, course.select
    if ranks.number:
        number, value = ranks.from_first([0.0, 0.0])
        if number:
            raise Stopped(signal.Signals(int(number)))
        known = course.prepared.task.possible_scores(course.prepared.splits["dev"])
        return (replace(next(s for s in known if s.name == select), value=value),)
    try:
        scores = _dev_scores(course, stopping)
    except Stopped as stopped:
        ranks.from_first([float(stopped.signal or 0), 0.0])
        raise
    ranks.from_first([0.0, next(s.value for s in scores if s.name == select)])
    return scores


def _place(learner: Learner) -> list[float]:
    """Steps in all and done, epoch, batches of it, and the bits of all parameters as integers, added up modulo 2^52."""
    bits = sum(int(p.detach().view(torch.int32).sum()) for p in learner.model.parameters())
    return [learner.total_steps, learner.step, learner.epoch, learner.position, bits % 2**52]


def _dev_scores(course: Course, stopping: Stopping) -> tuple[Score, ...]:
    learner, task, dev = course.learner, course.prepared.task.draft, course.prepared.splits["dev"]
    with averaged(learner.optimizer):
        answers = outputs(learner.model, task, dev, device=learner.device, stop=lambda: stopping.signal)
    return task.score(answers, dev, "dev")


def _log_step(log: Log | Unwritten, progress: Progress, speed: Speed) -> None:
    log.write(
        event="step",
        step=progress.step,
        epoch=progress.epoch,
        loss=float(progress.loss),
        lr=progress.lr,
        grad_norm=float(progress.grad_norm),
        tokens_per_second=round(speed.tokens_per_second),
    )


def _say_choices(learner: Learner, settings: Settings, select: str, device: torch.device, watch: Watcher) -> None:
    """What `auto` has chosen."""
    if settings.tree["model"].get("backend") == "auto":
        words = {m.executor() for m in learner.model.modules() if isinstance(m, Recurrent)}
        watch.note(f"model.backend: auto takes {', '.join(sorted(words))} on {device}.")
    if settings.training.select == "auto":
        watch.note(f"training.select: auto takes {select}{_instead(learner.task, select)}.")


def _instead(task: Task, select: str) -> str:
    usual = task.usual_score
    return "" if select == usual else f" in place of {usual}, which is 0 for the right answers themselves"


def refuse_taken(folder: RunFolder, config: Path | Mapping[str, Any]) -> None:
    """A new run overwrites no other, and not the config that it is made from. Raises RunError."""
    checkpoints = Checkpoints(folder.path)
    if any(path.exists() for path in (folder.mark, checkpoints.last, checkpoints.previous, checkpoints.best)):
        raise RunError(
            f"{folder.path}: already holds a run. Go on with `recurra train --resume {as_word(folder.path)}`, "
            "or choose another folder with --out."
        )
    if isinstance(config, Path) and folder.config.exists() and folder.config.samefile(config):
        raise RunError(f"{config}: would be overwritten by the run's own config; choose another folder with --out.")
