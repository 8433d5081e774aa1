"""Long work looks at its deadline: where a model is entered, and at each step of what says one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from decode.decode_room import END, START, Toy
from recurra.base.contracts import Batch
from recurra.base.deadline import check_deadline, under_deadline
from recurra.decode import greedy
from recurra.models import MODELS, IncrementalModel, SequenceModel
from recurra.models.reconstructions import RECONSTRUCTIONS


class OverError(Exception):
    """The time is over."""


class Looks:
    """A deadline that is past at its look number `most`, counted from 0."""

    def __init__(self, most: int) -> None:
        self.most, self.number = most, 0

    def __call__(self) -> None:
        self.number += 1
        if self.number > self.most:
            raise OverError


def stops(work: Callable[[], Any], *, looks: int) -> bool:
    """Whether work looks so often, and more than that: it is given up at the next look, and not before."""
    deadline = Looks(looks)
    with torch.no_grad(), under_deadline(deadline), pytest.raises(OverError):
        work()
    return deadline.number == looks + 1


def test_what_has_no_deadline_is_never_given_up() -> None:
    with pytest.raises(OverError), under_deadline(Looks(0)):
        check_deadline()
    check_deadline()


def test_a_deadline_inside_another_is_asked_in_its_place() -> None:
    outer, inner = Looks(9), Looks(9)
    with under_deadline(outer):
        with under_deadline(inner):
            check_deadline()
        check_deadline()
        check_deadline()
    assert (outer.number, inner.number) == (2, 1)


def language_model() -> SequenceModel:
    encoder = {"name": "recurrent", "hidden_size": 3, "bidirectional": False}
    inputs = {"name": "tokens", "embedding_size": 3}
    return SequenceModel({"tokens": 5, "target": 5}, inputs=inputs, encoder=encoder, head="vocabulary").eval()


def test_a_sequence_model_looks_when_it_is_entered_and_at_each_step() -> None:
    model, tokens = language_model(), torch.tensor([[1, 2], [3, 4]])
    batch = Batch({"tokens": tokens}, torch.tensor([2, 2]), {}, ())
    assert stops(lambda: model(batch), looks=0)
    assert stops(lambda: model.advance(batch), looks=0)
    step = IncrementalModel(model)
    assert stops(lambda: [step(tokens[0], {}) for _ in range(5)], looks=3)


@pytest.mark.parametrize(("word", "options"), [("recurrent", {}), ("hierarchical", {"bar": 3, "conductor_size": 3})])
def test_rows_that_are_said_step_by_step_look_at_each_step(word: str, options: dict[str, Any]) -> None:
    sizes = {"code": 3, "values": 2, "parameters": 1, "shared": 0, "row": 40, "noisy": 0, "steps": 12, "features": 2}
    given = {"cell": "gru", "hidden_size": 4, "teacher_forcing": True, **options}
    model: Any = RECONSTRUCTIONS[word](3, None, {**sizes, "variational": 0}, **given).eval()
    codes, lengths = torch.zeros(2, 3), torch.tensor([10, 12])
    assert stops(lambda: model.alone(codes, lengths, lambda numbers: numbers), looks=11)


def test_a_forecast_step_by_step_looks_at_each_step() -> None:
    sizes = {"features": 1, "future": 0, "horizon": 4, "targets": 1, "numbers": 1, "categories": 0, "past": 0, "fed": 0}
    model = MODELS["forecaster"](sizes, encoder={"name": "recurrent", "hidden_size": 3}, head="recursive").eval()
    inputs = {
        "features": torch.zeros(6, 2, 1),
        "future": torch.zeros(4, 2, 0),
        "categories": torch.zeros(2, 0, dtype=torch.int64),
    }
    assert stops(lambda: model(Batch(inputs, torch.tensor([6, 6]), {}, ())), looks=4)  # once for all, and 4 steps


def test_a_search_looks_at_each_step() -> None:
    toy = Toy(num_tokens=3, seed=1)
    how = {"num_rows": 2, "start": START, "end": END, "min_length": 6, "max_length": 8}
    assert stops(lambda: greedy(toy, toy.state(2), **how), looks=5)
