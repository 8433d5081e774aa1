"""A task as it answers: with the options of `predict`, where those that it lacks are refused, or for validation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from recurra.base.errors import ConfigError, did_you_mean
from recurra.tasks.contract import TakesOptions, Task, ValidatesFaster


def task_with(task: Task, options: Mapping[str, Any], word: str) -> Task:
    """The task as it answers with these options. word: what it is called

    Raises ConfigError, one sentence each, for options that it does not have.
    """
    if isinstance(task, TakesOptions):
        return task.with_options(options)
    refuse_options(options, word, ())
    return task


def for_validation(task: Task) -> Task:
    """The task as it answers while epochs are compared: more cheaply, where it can."""
    return task.for_validation if isinstance(task, ValidatesFaster) else task


def refuse_options(options: Iterable[str], task: str, known: Sequence[str]) -> None:
    """Raise ConfigError, one sentence each, for options that a task does not have."""
    problems = [
        f"{name}: has no effect, because a {task} has no such option of predict."
        + (did_you_mean(name, known) or (f" Known: {', '.join(known)}." if known else " Leave it out."))
        for name in options
        if name not in known
    ]
    if problems:
        raise ConfigError(problems)


def refuse_accumulation(training: Mapping[str, Any]) -> None:
    """Raise ConfigError where batches are added up to a step, of a task that tells a pair from others of its batch."""
    if training["accumulate"] != 1:
        raise ConfigError(
            "accumulate: a pair is contrasted with the others of its batch, and batches that are added up have no "
            "more of them; raise training.batch_rows instead."
        )
