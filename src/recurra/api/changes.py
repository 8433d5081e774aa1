"""Which options may change when a run is resumed, and what the others are bound to."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recurra.api.schema import Settings
from recurra.api.trainer import Trainer
from recurra.base.errors import RunError
from recurra.base.shell import as_word
from recurra.config import build
from recurra.training import COURSE, SCHEDULES, OfTime

# The whole table. May change: what they decide is decided anew at each step, at the end of an epoch, or (of data) each
# time that the rows are read, and is no part of what they say.
MAY_CHANGE = frozenset({
    "training.epochs", "training.hours", "training.patience", "training.patience_share", "training.optimizer.lr",
    "training.checkpoint_every", "training.keep_checkpoints", "training.max_model_gib", "training.features_gib",
    "training.report", "training.trackers",
    "data.store", "data.scratch", "data.workers",
})  # fmt: skip
# May not change, and why: the first one whose name an option begins with.
BOUND: Mapping[str, str] = {
    "task.": "the vocabulary and the labels of this run come from it",
    "data.": "the rows of this run come from it",
    "model.": "the weights of this run have its shape",
    "training.seed": "the order of the rows and dropout follow from it",
    "training.batch_": "the place in the epoch is counted in its batches",
    "training.accumulate": "the place in the epoch is counted in its steps",
    "training.precision": "the steps so far were made in it",
    "training.select": "the best epoch so far was chosen by it",
    "training.schedule": "it is the course of the learning rate over the whole run",
    "training.optimizer": "the optimizer's state belongs to it",
    "training.": "the steps so far were made with it",
}
MISSING = object()


@dataclass(frozen=True, slots=True)
class Change:
    """An option that is not what it was: its dotted name, and both values."""

    name: str
    before: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.name}: was {_shown(self.before)}, is {_shown(self.now)} now"


def changes(before: Mapping[str, Any], settings: Settings) -> list[Change]:
    """The options that differ from those of a checkpoint, by name. A section that is no section differs whole."""
    now = json.loads(json.dumps(settings.tree))
    return [
        change
        for name, section in now.items()
        for key, value in section.items()
        for change in _differing(f"{name}.{key}", _at(before, name, key), value)
    ]


def refuse_bound(found: Sequence[Change], settings: Settings, config: Path) -> None:
    """Raise RunError for the changes that would make another run; it says why, and how to train that one."""
    bound = [change for change in found if change.name not in MAY_CHANGE]
    if not bound:
        return
    sentences = []
    for change in bound:
        line = settings.resolved.document.line(tuple(change.name.split(".")))
        where = "--set " if line == 0 else f"{config}: "
        sentences.append(f"{where}{change}; it cannot change in a run: {_reason(change.name)}.")
    flags = " ".join(f"--set {as_word(f'{change.name}={_shown(change.now)}')}" for change in bound)
    free = ", ".join(sorted(name[9:] for name in MAY_CHANGE if name.startswith("training.")))
    raise RunError(
        "\n".join([
            *sentences,
            f"Put it back to resume (of training, {free} may change), or train a new run: "
            f"`recurra train {as_word(config)} {flags}`.",
        ])
    )  # fmt: skip


def apply(found: Sequence[Change], trainer: Trainer) -> list[str]:
    """Let changed options take effect in a learner that has just been restored; a sentence for each.

    Raises RunError where a change cannot take effect: fewer epochs than are done, or more epochs or time or patience
    where another of these is spent already.
    """
    before = {change.name: change.before for change in found}
    _refuse_too_few_epochs(trainer)
    _refuse_without_effect(before, trainer)
    notes = [f"{change}." for change in found]
    for change in found:
        if change.name == "training.optimizer.lr":
            notes.append(_set_peak(trainer, float(change.now)))
    if "training.hours" in before:
        notes += _timed(trainer, before)
    elif "training.epochs" in before:
        notes += _stretched(trainer, int(before["training.epochs"]))
    return notes


def _refuse_without_effect(names: Collection[str], trainer: Trainer) -> None:
    """Raise RunError for an option that lets training go on, where another one has ended it."""
    waited = trainer.patience.state()["waited"]
    longer = [name for name in ("training.epochs", "training.hours") if name in names]
    if longer and trainer.patience.spent:
        by_share = trainer.settings.training.patience is None
        name, value = ("training.patience_share", "null") if by_share else ("training.patience", str(2 * waited))
        raise RunError(
            f"{longer[0]}: has no effect: training has ended early, because {waited} epochs in a row brought no "
            f"better score. To resume it, set {name} too: higher, or null (`--set {name}={value}`)."
        )
    longer = [name for name in ("training.epochs", "training.patience", "training.patience_share") if name in names]
    if longer and trainer.time_is_up:
        raise RunError(
            f"{longer[0]}: has no effect: training has ended, because the time of training.hours is spent. To resume "
            "it, set training.hours too: higher, or null (`--set training.hours=null`)."
        )


def _refuse_too_few_epochs(trainer: Trainer) -> None:
    least = trainer.epoch if trainer.position else trainer.epoch - 1
    epochs = trainer.settings.training.epochs
    if epochs < least:
        raise RunError(
            f"training.epochs: expected at least {least}, because epoch {least} has begun, got {epochs}. "
            "To end a run early with its best weights, use `recurra finish RUN`."
        )


def _set_peak(trainer: Trainer, lr: float) -> str:
    """The peak of the learning rate; layers below others keep their share of it."""
    for depth, group in enumerate(trainer.optimizer.param_groups):
        group["initial_lr"] = lr / trainer.settings.training.rate_decay**depth
    rate = lr * trainer.schedule(trainer.step + 1)
    return f"training.schedule {_schedule_of(trainer)}: the learning rate of step {trainer.step + 1} is {rate:.3g}."


def _stretched(trainer: Trainer, epochs: int) -> Iterator[str]:
    """A sentence if the learning rates of the steps so far would have been others in a run of the new length."""
    if trainer.settings.training.hours is not None:  # the schedule follows the time
        return
    before = build(trainer.settings.training.schedule, SCHEDULES, trainer.steps_of(epochs))
    before.restore(trainer.schedule.state())
    step = trainer.step
    if step == 0 or all(before(n) == trainer.schedule(n) for n in range(1, step + 1)):
        return
    yield (
        f"training.schedule {_schedule_of(trainer)}: depends on the number of epochs, and now follows the course of a "
        f"run of {trainer.settings.training.epochs} epochs ({trainer.total_steps:,} steps): "
        f"{_rates(trainer, before(step))}. "
        f"A run of {trainer.settings.training.epochs} epochs from its first step would end with other weights."
    )


def _timed(trainer: Trainer, before: Mapping[str, Any]) -> Iterator[str]:
    """A sentence if the learning rate moves because the schedule follows another time, or steps in its place."""
    options, step, old = trainer.settings.training, trainer.step, before["training.hours"]
    epochs = int(before.get("training.epochs", options.epochs))
    course = build(options.schedule, SCHEDULES, trainer.steps_of(epochs) if old is None else COURSE)
    course.restore(trainer.schedule.state())
    was = course if old is None else OfTime(course, lambda: min(trainer.seconds / (3600 * float(old)), 1.0))
    if step == 0 or was(step + 1) == trainer.schedule(step + 1):
        return
    now = f"{trainer.total_steps:,} steps" if options.hours is None else f"{options.hours:g} hours"
    yield (
        f"training.schedule {_schedule_of(trainer)}: now follows the course of a run of {now}: "
        f"{_rates(trainer, was(step))}."
    )


def _rates(trainer: Trainer, factor: float) -> str:
    """The learning rate of the last step, which had this factor, and that of the next one."""
    peak = float(trainer.optimizer.param_groups[0].get("initial_lr", trainer.optimizer.param_groups[0]["lr"]))
    last, following = trainer.step, trainer.step + 1
    return (
        f"learning rate {peak * factor:.3g} at step {last:,}, {peak * trainer.schedule(following):.3g} at step "
        f"{following:,}"
    )


def _schedule_of(trainer: Trainer) -> str:
    return str(trainer.settings.tree["training"]["schedule"]["name"])


def _differing(name: str, before: Any, now: Any) -> Iterator[Change]:
    """Options inside a component differ one by one; another component, or a map of a user's keys, differs whole."""
    if _is_component(now) and _is_component(before) and now["name"] == before["name"]:
        for key, value in now.items():
            yield from _differing(f"{name}.{key}", before.get(key, MISSING), value)
    elif before is MISSING:
        return  # an option that this recurra knows and the one before did not: it has its default
    elif now != before:
        yield Change(name, before, now)


def _is_component(value: Any) -> bool:
    """Whether a value has options of its own, and is no map of labels to weights, of which one may be called name."""
    return isinstance(value, Mapping) and isinstance(value.get("name"), str)


def _at(tree: Mapping[str, Any], name: str, key: str) -> Any:
    """MISSING only where the section is there and has no such option."""
    section = tree.get(name)
    return section.get(key, MISSING) if isinstance(section, Mapping) and section else None


def _reason(name: str) -> str:
    return next(reason for start, reason in BOUND.items() if name.startswith(start))


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
