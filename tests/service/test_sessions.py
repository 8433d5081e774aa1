"""Which runs can be fed piece by piece: a task without it is refused, and a fault inside a task is no refusal."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from recurra.base.errors import ConfigError
from recurra.service import LoadedModel
from recurra.service.errors import RefusedError
from recurra.service.models import warm_up
from recurra.service.sessions import streaming_predictor_of


class Reading:
    """A task that makes what reads pieces by a function."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.predictor = make


def with_task(task: object) -> Any:
    return SimpleNamespace(word="weather", run=SimpleNamespace(task=task, model=3))


def broken(model: Any) -> Any:
    return (3).layers  # type: ignore[attr-defined]


def refused(model: Any) -> Any:
    raise ConfigError(["model: is cold.", "task: is wet."])


def test_a_fault_inside_a_task_is_a_fault_and_no_refusal() -> None:
    with pytest.raises(AttributeError, match="'int' object has no attribute 'layers'"):
        streaming_predictor_of(with_task(Reading(broken)))


def test_who_cannot_read_pieces_is_refused_with_the_reasons() -> None:
    for task, problems in (
        (object(), ("model: a weather reads all of a text before it answers; use /predict.",)),
        (Reading(refused), ("model: is cold.", "task: is wet.")),
    ):
        with pytest.raises(RefusedError) as caught:
            streaming_predictor_of(with_task(task))
        assert (caught.value.status, tuple(caught.value.problems)) == (409, problems)
    assert streaming_predictor_of(with_task(Reading(lambda model: [model]))) == [3]


def test_a_task_that_fails_to_read_pieces_is_found_before_it_is_served(served: dict[str, LoadedModel]) -> None:
    task: Any = copy.copy(served["moods"].run.task)
    one = replace(served["moods"], run=replace(served["moods"].run, task=task))
    task.predictor = refused
    warm_up(one)
    task.predictor = broken
    with pytest.raises(AttributeError, match="has no attribute 'layers'"):
        warm_up(one)
