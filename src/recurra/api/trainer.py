"""Everything that changes while a model learns, together: what a checkpoint holds, alive."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from recurra.api.finetuning import freeze_below, groups_of
from recurra.api.fingerprint import refuse_other_data
from recurra.api.inference import ahead
from recurra.api.pretrained_vectors import freeze_vectors
from recurra.api.schema import Settings
from recurra.base.contracts import Batch, Prediction, Progress, Score
from recurra.base.errors import ConfigError, RunError
from recurra.config import build
from recurra.data.store import Reread
from recurra.data.windows import ORDER
from recurra.tasks import MovesModel, Task
from recurra.training import (
    CLIPPINGS,
    COURSE,
    ON_NONFINITE,
    OPTIMIZERS,
    PENALTIES,
    SCHEDULES,
    AveragedSGD,
    Best,
    Checkpoint,
    EarlyStopping,
    OfTime,
    Ranks,
    Rows,
    SingleProcess,
    TruncatedBPTT,
    WeightAverage,
    averaged,
    fit,
    put_weights,
)
from recurra.training.nonfinite import Failure
from recurra.training.precision import FLOAT32, MixedPrecision

# Epochs whose steps are counted before the first one; the rest are taken to have as many. Planning one epoch of 25,000
# rows takes 14 ms, and those who stop early write down a thousand epochs.
COUNTED = 100


class Trainer:
    """Model, optimizer, schedule, best score, patience, and how far they have come.

    step: optimizer steps done      epoch: the one under way, from 1      position: its batches that are done
    """

    def __init__(
        self,
        settings: Settings,
        task: Task,
        examples: Sequence[Any],
        device: torch.device,
        fingerprint: str,
        ranks: Ranks | None = None,
    ) -> None:
        options = settings.training
        self.settings, self.task, self.examples, self.device = settings, task, examples, device
        self.fingerprint, self.ranks = fingerprint, ranks or SingleProcess()
        if isinstance(task, MovesModel) and device.type != "cpu":
            raise ConfigError(f"device {device}: this task learns on the CPU; take device cpu.")
        self.sampler = task.sampler(
            examples, batch_tokens=options.batch_tokens, batch_rows=options.batch_rows, seed=options.seed
        )
        self.total_steps = self.steps_of(options.epochs)
        self.model = settings.model(task.model_sizes).to(device)
        freeze_vectors(options, self.model)
        predict = self._predicting()
        self.carry = TruncatedBPTT(predict) if self.sampler.carries else None
        self.predict = self.carry or predict
        self.groups = groups_of(self.model)
        self.optimizer = self._optimizer()
        self.average = WeightAverage(self.model, last=options.average, decay=options.average_decay)
        self.schedule = build(options.schedule, SCHEDULES, self.total_steps if options.hours is None else COURSE)
        if options.hours is not None:
            self.schedule = OfTime(self.schedule, self._share_spent)
        self.clipping = build(options.clipping, CLIPPINGS)
        strengths = {"l1": options.l1, "l2": options.l2}
        self.penalties = [PENALTIES[name](strength=value) for name, value in strengths.items() if value]
        rows = Rows(lambda i: str(examples[i].origin), lambda i: task.collate([examples[i]], (i,)).to(device))
        self.on_nonfinite = build(options.on_nonfinite, ON_NONFINITE, rows)
        self.best, self.patience = Best(), self._patience()
        self.step, self.epoch, self.position = 0, 1, 0
        self.seconds, self._share = 0.0, 0.0
        self.changes: list[str] = []  # what was changed at resumes, as sentences

    def _predicting(self) -> Callable[[Batch], Prediction]:
        """The model, in the precision of its training. Raises ConfigError where that has no effect."""
        precision = self.settings.training.precision
        if precision == FLOAT32:
            return self.model
        if isinstance(self.task, MovesModel):
            raise ConfigError(f"training.precision: {precision} has no effect on this task; leave it out.")
        mixed = MixedPrecision(self.model, self.device)
        mixed.check(self.sampler.batch(self.sampler.plan(1)[0], slice(2)).to(self.device), self.task.loss)
        return mixed

    def steps_of(self, epochs: int) -> int:
        """Optimizer steps of a run of so many epochs."""
        counted = min(epochs, COUNTED)
        together = self.settings.training.accumulate
        return sum(-(-len(self.sampler.plan(epoch)) // together) for epoch in range(1, counted + 1)) * epochs // counted

    @property
    def time_is_up(self) -> bool:
        """Whether all of the time budget is spent, if there is one."""
        return self._share >= 1

    def count(self, seconds: float) -> None:
        """Take note of time in which no step was made. All ranks do so together."""
        self.seconds += seconds
        if self.settings.training.hours is not None:
            self._share_spent()

    def _share_spent(self) -> float:
        """What is spent of the time budget, 0..1, by the first rank's clock."""
        budget = 3600 * (self.settings.training.hours or math.inf)
        (seconds,) = self.ranks.from_first([self.seconds])
        self._share = min(seconds / budget, 1.0)
        return self._share

    def seconds_left(self, by_speed: float) -> float:
        """Seconds until the end. by_speed: until all steps are done"""
        hours = self.settings.training.hours
        return by_speed if hours is None else min(by_speed, max(3600 * hours - self.seconds, 0.0))

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside the block the model has the mean weights, where there are any: of the optimizer, or of `average`."""
        with averaged(self.optimizer), self.average.worn():
            yield

    @property
    def finished(self) -> bool:
        """All epochs are done, or patience is spent, or the time budget is and its last epoch has been scored."""
        spent = self.patience.spent or (self.time_is_up and not self.position)
        return spent or self.epoch > self.settings.training.epochs

    def stopped_early(self, select: str) -> str:
        """Why training ended before its last epoch, as a sentence; "" if it did not."""
        if not self.patience.spent or self.epoch > self.settings.training.epochs:
            return ""
        return (
            f"training stopped after epoch {self.epoch - 1} of {self.settings.training.epochs} (step {self.step:,} of "
            f"{self.total_steps:,}): {select} was not better than at step {self.best.step:,}. training.patience and "
            f"training.patience_share set how long to wait.{self._before_the_end()}"
        )

    def _before_the_end(self) -> str:
        """A sentence where the rate had not fallen as its schedule says; "" where it had, or does not.

        A schedule over a time budget is not asked: it asks the first rank's clock, and each rank comes here by itself.
        """
        if self.settings.training.hours is not None:
            return ""
        now, last = self.schedule(self.step), self.schedule(self.total_steps)
        if now <= 2 * last:
            return ""
        return (
            f" The learning rate had come to {now:.0%} of its highest, of {last:.0%} at the end of its schedule, and "
            "scores often rise once more as it falls: resume with --set training.patience=null."
        )

    @property
    def budget_left(self) -> str:
        """A sentence where the epochs were done before the time budget was, so that the rate had not fallen."""
        hours = self.settings.training.hours
        if hours is None or self.time_is_up or self.patience.spent:
            return ""
        return (
            f"training.hours: all {self.settings.training.epochs} epochs were done after {self.seconds / 3600:.2g} of "
            f"{hours:g} hours, so training.schedule has not come to its end; set training.epochs higher."
        )

    @property
    def skipped(self) -> str:
        """What was left out because it was not finite, as a sentence; "" if nothing was."""
        state = self.on_nonfinite.state()
        number, notes = int(state.get("skipped", 0)), state.get("notes") or [""]
        together = self.settings.training.accumulate
        one, several = ("batch", "batches") if together == 1 else ("step", "steps")
        each = "" if together == 1 else f" of up to {together} batches"
        what = f"1 {one}{each} was" if number == 1 else f"{number} {several}{each} were"
        return f"{what} skipped, because the loss or gradient was not finite. The first: {notes[0]}" if number else ""

    def steps(self) -> Iterator[Progress]:
        """The rest of this epoch, one optimizer step at a time; position and step are up to date at each."""
        if self.time_is_up:
            return
        if isinstance(self.examples, Reread):
            with self.examples.reading(self.settings.training.seed, self.epoch, self.ranks.rows):
                yield from self._steps()
        else:
            yield from self._steps()

    def _steps(self) -> Iterator[Progress]:
        if self.settings.training.gradual_unfreezing:
            freeze_below(self.groups, self.epoch)
        batches = ahead(self.task, self.sampler.plan(self.epoch)[self.position :], self._collate)
        for progress in fit(
            self.model,
            batches,
            loss=self.task.loss,
            optimizer=self.optimizer,
            schedule=self.schedule,
            on_nonfinite=self._nonfinite,
            seed=self.settings.training.seed,
            epoch=self.epoch,
            steps_done=self.step,
            clipping=self.clipping,
            penalties=self.penalties,
            forward=self.predict,
            ranks=self.ranks,
            update=partial(self.task.update, self.model) if isinstance(self.task, MovesModel) else None,
            accumulate=self.settings.training.accumulate,
        ):
            self.step, self.position = progress.step, self.position + self.settings.training.accumulate
            self.average.end_step(self.step)
            yield progress
            if self.time_is_up:
                return

    def end_epoch(self, score: Score, floor: float) -> bool:
        """Take note of the dev score and go to the next epoch. Is it the best so far?

        floor: what this score is without any learning, at which patience does not count
        """
        improved = self.best.offer(score, step=self.step)
        self.patience.note(improved, step=self.step, on_floor=not self.best.above(floor, score.better))
        self.schedule.observe(score)
        if isinstance(self.optimizer, AveragedSGD):
            self.optimizer.observe(score)
        self.epoch, self.position = self.epoch + 1, 0
        return improved

    def snapshot(self, log_lines: int, carried: Mapping[str, Tensor] | None = None) -> Checkpoint:
        """The state now, as a checkpoint holds it.

        carried: the states of all ranks' rows, where they are known; else every rank has to call this, with its own
        """
        if carried is None:
            carried = {} if self.carry is None else self.ranks.whole(self.carry.state())
        return Checkpoint(
            model=self.model.state_dict(),
            optimizer=self.optimizer.state_dict(),
            step=self.step,
            epoch=self.epoch,
            position=self.position,
            log_lines=log_lines,
            schedule=self.schedule.state(),
            best=self.best.state(),
            patience=self.patience.state(),
            on_nonfinite=self.on_nonfinite.state(),
            config={name: dict(section) for name, section in self.settings.tree.items()},
            carried=carried,
            averages=self.average.state(),
            extra={
                "task": self.task.to_json(),
                "data": self.fingerprint,
                "seconds": self.seconds,
                "changes": self.changes,
                **({"order": ORDER} if isinstance(self.examples, Reread) else {}),
            },
        )

    def restore(self, checkpoint: Checkpoint, origin: str) -> None:
        """Go back to a checkpoint. Raises RunError if it belongs to other data or other settings."""
        refuse_other_data(checkpoint.extra.get("data"), self.fingerprint, origin)
        if isinstance(self.examples, Reread) and checkpoint.position and checkpoint.extra.get("order") != ORDER:
            raise RunError(
                f"{origin}: stands within an epoch, and the version of recurra that wrote it had another order of the "
                "rows of data.shuffle_buffer, so some would be learned from twice. Finish the epoch with that version, "
                "or train again in another folder."
            )
        put_weights(self.model, checkpoint.model, origin)
        try:
            self._restore_parts(checkpoint)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise RunError(
                f"{origin}: holds no state of this training ({type(error).__name__}: {error}). "
                "Train again in another folder."
            ) from error

    def _restore_parts(self, checkpoint: Checkpoint) -> None:
        options = [group.keys() | {"initial_lr"} for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(dict(checkpoint.optimizer))
        _refuse_misshaped(self.optimizer, options)
        self.schedule.restore(checkpoint.schedule)
        self.best.restore(checkpoint.best)
        self.patience.restore(checkpoint.patience)
        self.on_nonfinite.restore(checkpoint.on_nonfinite)
        self.average.restore(checkpoint.averages)
        if self.carry is not None:
            ours = self.ranks.rows
            self.carry.restore({name: value[ours].to(self.device) for name, value in checkpoint.carried.items()})
        self.step, self.epoch, self.position = checkpoint.step, checkpoint.epoch, checkpoint.position
        self.seconds = float(checkpoint.extra.get("seconds", 0.0))
        if (hours := self.settings.training.hours) is not None:
            self._share = min(self.seconds / (3600 * hours), 1.0)
        self.changes = [str(change) for change in checkpoint.extra.get("changes", [])]

    def _patience(self) -> EarlyStopping:
        options = self.settings.training
        share = options.patience_share
        return EarlyStopping(
            evaluations=options.patience, steps=None if share is None else max(1, round(share * self.total_steps))
        )

    def _optimizer(self) -> torch.optim.Optimizer:
        """Over all parameters, or over groups whose rates fall from the top of the network."""
        options = self.settings.training
        if options.rate_decay == 1:
            return cast(torch.optim.Optimizer, build(options.optimizer, OPTIMIZERS, self.model.parameters()))
        made: torch.optim.Optimizer = build(options.optimizer, OPTIMIZERS, [{"params": group} for group in self.groups])
        for depth, group in enumerate(made.param_groups):
            group["lr"] /= options.rate_decay**depth
        return made

    def _collate(self, item: Any) -> Batch:
        return self.sampler.batch(item, self.ranks.rows).to(self.device)

    def _nonfinite(self, failure: Failure) -> None:
        """All ranks look at the whole batch, so that they come to one decision and one message."""
        place = self.position + failure.place
        whole = self.sampler.batch(self.sampler.plan(self.epoch)[place]).to(self.device)
        self.on_nonfinite(replace(failure, batch=whole))


def _refuse_misshaped(optimizer: torch.optim.Optimizer, options: Sequence[Set[str]]) -> None:
    """Raise ValueError unless an optimizer's state fits its parameters: torch's fused updates do not look."""
    if [group.keys() | {"initial_lr"} for group in optimizer.param_groups] != options:
        raise ValueError("other options of the optimizer")
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            shape = () if name == "step" else parameter.shape
            if value is not None and (not isinstance(value, torch.Tensor) or value.shape != shape):
                raise ValueError(
                    f"'{name}' of the optimizer does not fit a parameter of shape {tuple(parameter.shape)}"
                )
