"""A training under way: made from a config or a checkpoint, learnt to its end, alone or as one of several ranks."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from recurra.api.changes import Change, apply, changes, refuse_bound
from recurra.api.finetuning import load_pretrained, load_published
from recurra.api.folder import at_home, describe, forget, open_run, write_config, write_task
from recurra.api.inference import outputs
from recurra.api.interrupts import Stopped
from recurra.api.places import RunFolder
from recurra.api.prepare import Prepared, prepare, selected
from recurra.api.pretrained_vectors import load_vectors
from recurra.api.schema import Settings
from recurra.api.tracking import tracked
from recurra.api.trainer import Trainer
from recurra.base.contracts import Callback, Progress, Score
from recurra.base.errors import RecurraError, RunError
from recurra.base.shell import as_word
from recurra.models import SequenceModel
from recurra.models.contract import SaysSteps
from recurra.models.ngrams import NGramFeatures
from recurra.nn import Recurrent
from recurra.tasks import SolvesWide, Task
from recurra.tasks.options import for_validation
from recurra.training import Checkpoint, Checkpoints, Found, Log, Ranks, Speed, Stopping, every
from recurra.training.precision import FLOAT32

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
class TrainingRun:
    """A training that is ready to run: what learns, from what, chosen by which score, and where it is written down.

    floor: the chosen score of a model that gives every dev row the same answer
    """

    prepared: Prepared
    trainer: Trainer
    checkpoints: Checkpoints | Unwritten
    log: Log | Unwritten
    select: str
    folder: RunFolder
    floor: float


def start(folder: RunFolder, settings: Settings, device: torch.device, watch: Callback, ranks: Ranks) -> TrainingRun:
    """A new run; or no trace of it, if the user has to mend something first: the next try finds its place free."""
    try:
        if ranks.number == 0:
            describe(folder, settings)
        return _course(folder, settings, device, watch, None, ranks, described=True)
    except RecurraError:
        if ranks.number == 0:
            forget(folder)
        raise


def resume_from(
    folder: RunFolder, settings: Settings, device: torch.device, watch: Callback, ranks: Ranks
) -> TrainingRun:
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
    changed = changes(at_home(found.checkpoint.config, folder), settings) if found else []
    refuse_bound(changed, settings, folder.config)
    return _course(folder, settings, device, watch, found, ranks, changed)


def _course(
    folder: RunFolder,
    settings: Settings,
    device: torch.device,
    watch: Callback,
    found: Found | None,
    ranks: Ranks,
    changed: Sequence[Change] = (),
    *,
    described: bool = False,
) -> TrainingRun:
    """Read the data and build what learns. Only when nothing is refused any more is something written.

    described: whether the folder has the config as it is here
    """
    prepared = prepare(settings, watch, exchange=ranks if ranks.size > 1 else None)
    select = selected(settings, prepared, watch)
    possible = prepared.task.possible_scores(prepared.splits["dev"])
    floor = next(s.value for s in possible if s.name == select)
    trainer = Trainer(settings, prepared.task, prepared.splits["train"], device, prepared.fingerprint, ranks)
    keep = found.checkpoint.log_lines if found else 0
    if found:
        trainer.restore(found.checkpoint, str(found.path))
        said = [f"resumed at step {trainer.step}, epoch {trainer.epoch}.", *apply(changed, trainer)]
        trainer.changes += [f"{change}, from step {trainer.step + 1} on" for change in changed]
        for message in said:
            watch.note(message)
    else:
        _begin(trainer, prepared, watch)
    if ranks.number:
        return TrainingRun(prepared, trainer, Unwritten(), Unwritten(), select, folder, floor)
    _say_choices(trainer, settings, select, device, watch)
    if changed or not (found or described):
        write_config(folder, settings)
    if not folder.weights.is_file():  # those of an end before belong to the temperature that stands there
        write_task(folder, prepared.task, prepared.fingerprint)
    log = Log(folder.log, keep=keep)
    if log.lines < keep:
        watch.note(f"{folder.log}: has lost {keep - log.lines} of {keep} lines; training continues without them.")
    checkpoints = Checkpoints(folder.path)
    if found and found.path != checkpoints.last:  # the older one is the newest now, and a run that ends keeps that
        checkpoints.save_last(trainer.snapshot(log.lines, found.checkpoint.carried))
    return TrainingRun(prepared, trainer, checkpoints, log, select, folder, floor)


def _begin(trainer: Trainer, prepared: Prepared, watch: Callback) -> None:
    """What a new run has before its first step: weights from elsewhere, and a wide part that is solved.

    Of several ranks the first one solves it: it scores dev and saves, and no step of training reads it. What steps do
    read, such as how rare an n-gram is, every rank finds.
    """
    options, task = trainer.settings.training, prepared.task
    if options.init_from is not None:
        watch.note(load_pretrained(open_run(Path(options.init_from)), trainer.model, task, options.init_layers))
    else:
        load_vectors(options, trainer.model, task, watch)
        if said := load_published(trainer.model):
            watch.note(said)
    steps_read = isinstance(trainer.model, SequenceModel) and isinstance(trainer.model.inputs, NGramFeatures)
    if (trainer.ranks.number and not steps_read) or not isinstance(task, SolvesWide):
        return
    if said := task.solve(trainer.model, prepared.splits["train"]):
        watch.note(said)


def run_epochs(training_run: TrainingRun, stopping: Stopping, watch: Callback) -> None:
    """All epochs that are left. Raises Stopped after saving, when a signal asks for it."""
    trainer = training_run.trainer
    with _features_kept(trainer, watch), tracked(trainer, training_run.folder.path, watch) as watch:
        _run_epochs(training_run, stopping, watch)


@contextmanager
def _features_kept(trainer: Trainer, watch: Callback) -> Iterator[None]:
    """Inside the block what frozen layers say of a text is computed once, while there is room; nothing else changes."""
    model, room = trainer.model, trainer.settings.training.features_gib
    if not isinstance(model, SequenceModel) or not model.keep_features(round(room * 2**30)):
        yield
        return
    if not trainer.ranks.number:
        watch.note(
            f"training.features_gib: what the frozen layers say of a text is computed once and kept, in {room:g} GiB "
            "of memory at most."
        )
    try:
        yield
    finally:
        kept = model.forget_features()
        if kept.is_full and not trainer.ranks.number:
            watch.note(
                f"training.features_gib: {room:g} GiB were full after {len(kept):,} texts, and the others were "
                "computed in each epoch."
            )


def _run_epochs(training_run: TrainingRun, stopping: Stopping, watch: Callback) -> None:
    trainer, log = training_run.trainer, training_run.log
    # Whoever reads another checkpoint than the first rank, or other data, must not go on.
    trainer.ranks.check_alike("how far they are", lambda: _place(trainer))
    watch.start(trainer.total_steps, trainer.settings.training.epochs)
    while not trainer.finished:
        skipped = trainer.skipped
        _run_epoch(training_run, stopping, watch)
        if trainer.skipped != skipped:
            watch.note(trainer.skipped)
        try:
            clock = time.perf_counter()
            scores = _judged(training_run, stopping)
            trainer.count(time.perf_counter() - clock)
        except Stopped:
            training_run.checkpoints.save_last(trainer.snapshot(log.lines))
            raise
        epoch = trainer.epoch
        is_best = trainer.end_epoch(next(s for s in scores if s.name == training_run.select), training_run.floor)
        log.write(event="dev", epoch=epoch, step=trainer.step, best=is_best, **{s.name: s.value for s in scores})
        if is_best:
            with trainer.averaged():
                training_run.checkpoints.save_best(trainer.snapshot(log.lines))
        trainer.average.end_epoch()
        training_run.checkpoints.save_last(trainer.snapshot(log.lines))
        watch.scores(epoch, scores, is_best)
        trainer.ranks.check_alike("their weights", lambda: _place(trainer))
        _stop_if_asked(training_run, stopping)
    watch.done()
    if early := trainer.stopped_early(training_run.select) or trainer.budget_left:
        watch.note(early)


def _run_epoch(training_run: TrainingRun, stopping: Stopping, watch: Callback) -> None:
    """The steps that are left of this epoch, logged and saved now and then."""
    trainer, log, speed, clock = training_run.trainer, training_run.log, Speed(), time.perf_counter()
    for progress in trainer.steps():
        speed.add(progress.tokens)
        now = time.perf_counter()
        trainer.seconds, clock = trainer.seconds + now - clock, now
        left = trainer.seconds_left(speed.seconds_left(trainer.total_steps - progress.step))
        watch.step(progress, speed.tokens_per_second, left)
        if every(LOG_EVERY, progress):
            _log_step(log, progress, speed)
        try:
            _stop_if_asked(training_run, stopping)
        except Stopped:
            training_run.checkpoints.save_last(trainer.snapshot(log.lines))
            raise
        if every(trainer.settings.training.checkpoint_every, progress):
            training_run.checkpoints.save_last(trainer.snapshot(log.lines))


def _stop_if_asked(training_run: TrainingRun, stopping: Stopping) -> None:
    """Raise Stopped on all ranks after the same step, if the first one has had a signal, or is to end the run."""
    ranks, ends = training_run.trainer.ranks, False
    if ranks.number == 0 and stopping.signal is None:
        # Asking the file system takes 2 us. Where no epoch has been scored yet, there is nothing to end with.
        ends = training_run.folder.wish.exists() and training_run.trainer.best.value is not None
    (number,) = ranks.from_first([FINISH if ends else float(stopping.signal or 0)])
    if number:
        raise Stopped(None if number == FINISH else signal.Signals(int(number)))


def _judged(training_run: TrainingRun, stopping: Stopping) -> tuple[Score, ...]:
    """The dev scores, of which other ranks than the first hear only the chosen one. Raises Stopped on all of them."""
    ranks, select = training_run.trainer.ranks, training_run.select
    if ranks.number:
        number, value = ranks.from_first([0.0, 0.0])
        if number:
            raise Stopped(signal.Signals(int(number)))
        known = training_run.prepared.task.possible_scores(training_run.prepared.splits["dev"])
        return (replace(next(s for s in known if s.name == select), value=value),)
    try:
        scores = _dev_scores(training_run, stopping)
    except Stopped as stopped:
        ranks.from_first([float(stopped.signal or 0), 0.0])
        raise
    ranks.from_first([0.0, next(s.value for s in scores if s.name == select)])
    return scores


def _place(trainer: Trainer) -> list[float]:
    """Steps, epoch, batches of it, the bits of all parameters, added up as integers, and of the data (modulo 2^52)."""
    bits = sum(int(p.detach().view(torch.int32).sum()) for p in trainer.model.parameters())
    data = int(trainer.fingerprint[-13:], 16)
    return [trainer.total_steps, trainer.step, trainer.epoch, trainer.position, bits % 2**52, data]


def _dev_scores(training_run: TrainingRun, stopping: Stopping) -> tuple[Score, ...]:
    trainer, task, dev = (
        training_run.trainer,
        for_validation(training_run.prepared.task),
        training_run.prepared.splits["dev"],
    )
    with trainer.averaged():
        answers = outputs(trainer.model, task, dev, device=trainer.device, stop=lambda: stopping.signal)
    return task.score(answers, dev, "dev")


def _log_step(log: Log | Unwritten, progress: Progress, speed: Speed) -> None:
    log.write(
        event="step",
        step=progress.step,
        epoch=progress.epoch,
        loss=float(progress.loss),
        lr=progress.lr,
        grad_norm=float(progress.grad_norm),
        **{f"loss_{name}": float(part) for name, part in progress.parts.items()},
        tokens_per_second=round(speed.tokens_per_second),
    )


def _say_choices(trainer: Trainer, settings: Settings, select: str, device: torch.device, watch: Callback) -> None:
    """What `auto` has chosen."""
    parts = {name: part for name, part in settings.tree["model"].items() if isinstance(part, Mapping)}
    chosen = [name for name, part in parts.items() if part.get("backend") == "auto"]
    words = sorted({m.executor() for m in trainer.model.modules() if isinstance(m, Recurrent)})
    if chosen and words:
        options = ", ".join(f"model.{name}.backend" for name in chosen)
        watch.note(f"{options}: auto selected {', '.join(map(repr, words))} (device: {device}).")
    for decoder in [m for m in trainer.model.modules() if isinstance(m, SaysSteps)]:
        watch.note(f"model.decoder: in the steps of a search {decoder.steps_run()} (device: {device}).")
    if settings.training.precision != FLOAT32:
        watch.note(
            f"training.precision: products in {settings.training.precision} (device: {device}); weights, losses and "
            f"the optimizer stay float32{', and so do the recurrent layers on the engine' if 'cpu' in words else ''}."
        )
    if said := _effective(trainer):
        watch.note(said)
    if settings.training.select == "auto":
        watch.note(f"training.select: auto selected '{select}'{_instead(trainer.task, select)}.")


def _effective(trainer: Trainer) -> str:
    """How large a batch is in effect where several make one step; "" where one does."""
    options = trainer.settings.training
    if options.accumulate == 1:
        return ""
    return (
        f"training.accumulate: each step is of {options.accumulate} batches: at most "
        f"{options.accumulate * options.batch_rows:,} rows and {options.accumulate * options.batch_tokens:,} tokens."
    )


def _instead(task: Task, select: str) -> str:
    usual = task.usual_score
    return "" if select == usual else f" in place of {usual}, which is 0 for the right answers themselves"


def refuse_taken(folder: RunFolder, config: Path | Mapping[str, Any]) -> None:
    """A new run overwrites no other, and not the config that it is made from. Raises RunError."""
    checkpoints = Checkpoints(folder.path)
    if any(path.exists() for path in (folder.mark, checkpoints.last, checkpoints.previous, checkpoints.best)):
        raise RunError(
            f"{folder.path}: already holds a run. Resume it with `recurra train --resume {as_word(folder.path)}`, "
            "or choose another folder with --out."
        )
    if isinstance(config, Path) and folder.config.exists() and folder.config.samefile(config):
        raise RunError(f"{config}: would be overwritten by the run's own config; choose another folder with --out.")
