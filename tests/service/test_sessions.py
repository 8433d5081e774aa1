"""Which runs can be fed piece by piece: a task without it is refused, and a fault inside a task is no refusal."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from recurra.base.errors import ConfigError
from recurra.service import Limits, LoadedModel
from recurra.service.deadline import Deadline
from recurra.service.errors import RefusedError
from recurra.service.models import warm_up
from recurra.service.sessions import streaming_predictor_of
from service.service_room import Asked, Client, hurried, is_late


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


class Counting:
    """Reads pieces by counting their letters, while its gate is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()

    def begin(self) -> int:
        return 0

    def read(self, place: int, piece: str) -> tuple[int, dict[str, Any]]:
        self.gate.wait(3)
        return place + len(piece), {"letters": place + len(piece)}


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def asked(counting: Counting) -> Iterator[Asked]:
    run: Any = SimpleNamespace(task=Reading(lambda model: counting), model=None, folder=SimpleNamespace(path=Path("r")))
    stamp: Any = None
    cpu = torch.device("cpu")
    live = LoadedModel("live", "counting", run, cpu, "v1", stamp, datetime.now(UTC), "float32", ())
    one = Asked({"live": live}, Limits(), None)
    yield one
    assert one.service.stop(10)


def test_a_piece_whose_answer_came_too_late_is_not_read_and_may_be_sent_again(asked: Asked, counting: Counting) -> None:
    async def talk(client: Client) -> tuple[Any, Any, Any]:
        path = f"/sessions/{(await client.post('/sessions', json={})).json()['session']}"
        first = await client.post(path, json={"text": "ab"})
        counting.gate.clear()
        with hurried(asked, 0.02):
            late = await client.post(path, json={"text": "cde"})
        counting.gate.set()
        return first.json()["prediction"], late, (await client.post(path, json={"text": "cde"})).json()["prediction"]

    first, late, again = asked.run(talk)
    assert (first, again) == ({"letters": 2}, {"letters": 5})
    assert is_late(late, 0.02)


def test_work_is_given_up_or_answered_and_never_both() -> None:
    deadline = Deadline(1e12)
    deadline.check()
    assert [deadline.end(), deadline.end()] == [True, False]
