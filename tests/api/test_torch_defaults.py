"""A run is float32, and says the same things, whatever torch's defaults for new tensors are in the calling program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from api.api_room import kept_of, write_config
from recurra import api
from recurra.base.contracts import Origin, Record
from recurra.training.checkpoint import load, split_optimizer
from recurra.training.tensors import digest


@contextmanager
def default_type(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    yield
    assert torch.get_default_dtype() == dtype
    torch.set_default_dtype(torch.float32)


@contextmanager
def default_device(word: str) -> Iterator[None]:
    torch.set_default_device(word)
    yield
    assert torch.get_default_device().type == word
    torch.set_default_device(None)


DEFAULTS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "float64": lambda: default_type(torch.float64),
    "bfloat16": lambda: default_type(torch.bfloat16),
    "default device": lambda: default_device("meta"),
    "with device": lambda: torch.device("meta"),
}


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)


def files_of(run: str) -> tuple[object, ...]:
    last = load(Path(run, "last.ckpt"))
    return *kept_of(run), digest(last.model), digest(split_optimizer(last.optimizer)[0])


def record(field: str, text: str) -> Record:
    return Record({field: text}, Origin("a"))


@pytest.mark.parametrize("default", DEFAULTS)
def test_a_run_has_the_same_bytes_and_the_same_answers_under_every_default(default, data):
    write_config(
        task={"class_weights": "balanced"},
        model={"encoder": {"variational_dropout": 0.2, "zoneout": 0.1}},
        training={"epochs": 2},
    )

    def verbs(out: str) -> list[Any]:
        api.check(Path("c.yaml"))
        api.train(Path("c.yaml"), out=Path(out))
        answers = list(api.predict(Path(out), [record("text", "fine item")]))
        return [
            answers,
            api.evaluate(Path(out), Path("data.csv")).scores,
            api.inspect(Path(out), "fine item").saliency,
            repr(api.doctor(Path("c.yaml"), steps=2).diagnosis),
        ]

    expected = verbs("one")
    with DEFAULTS[default]():
        assert verbs("two") == expected
        assert {p.dtype for p in api.open_run(Path("two")).model.parameters()} == {torch.float32}
    assert files_of("two") == files_of("one")
    assert list(api.predict(Path("two"), [record("text", "fine item")])) == expected[0]
