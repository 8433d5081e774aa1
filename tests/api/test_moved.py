"""A model is moved where it is not, and left alone where it is."""

from __future__ import annotations

import torch
from torch import nn

from recurra.api.inference import moved


class Watched(nn.Linear):
    calls = 0

    def to(self, *args, **kwargs):
        Watched.calls += 1
        return super().to(*args, **kwargs)


def test_a_model_that_is_there_is_not_gone_through() -> None:
    Watched.calls, model = 0, Watched(3, 2)
    assert moved(model, torch.device("cpu")) is model
    assert Watched.calls == 0


def test_a_model_that_is_elsewhere_is_moved_whole() -> None:
    model = nn.Sequential(Watched(3, 2), nn.BatchNorm1d(2))
    made = moved(model, torch.device("meta"))
    assert {t.device.type for t in (*made.parameters(), *made.buffers())} == {"meta"}


def test_a_model_without_numbers_and_one_of_buffers_alone_can_be_moved() -> None:
    assert moved(nn.Identity(), torch.device("cpu")) is not None
    only = nn.Module()
    only.register_buffer("table", torch.ones(2))
    assert moved(only, torch.device("meta")).table.device.type == "meta"
