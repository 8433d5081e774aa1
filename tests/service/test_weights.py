"""Runs that are served with weights of fewer bits: the same answers but for the rounding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from api.api_room import done, rows, write_config, write_csv
from recurra.api.inference import outputs
from recurra.base.errors import ConfigError
from recurra.nn import Recurrent
from recurra.service import LoadedModel, open_runs
from recurra.service.models import first_record, warm_up


def answer(served: LoadedModel) -> object:
    task = served.run.task
    return outputs(served.run.model, task, [task.example(first_record(served), gold=False)], device=served.device)[0]


@pytest.mark.parametrize(("weights", "dtype"), [("bfloat16", torch.bfloat16), ("int8", torch.int8)])
def test_runs_are_served_with_rounded_weights(
    folder: Path, served: dict[str, LoadedModel], weights: str, dtype: torch.dtype
) -> None:
    names = ("moods", "both", "digits")
    rounded = open_runs([folder / name for name in names], device="cpu", weights=weights)
    for name in names:
        layers = [part for part in rounded[name].run.model.modules() if isinstance(part, Recurrent)]
        assert layers
        assert all(layer.weight_hh_l0.dtype == dtype for layer in layers)
        assert rounded[name].parameters == served[name].parameters
        warm_up(rounded[name])
    for name in ("moods", "both"):
        whole, fewer = (one[name].run.model.state_dict() for one in (served, rounded))
        assert set(whole) <= set(fewer)
        got, expected = (answer(one[name]).probabilities for one in (rounded, served))  # type: ignore[attr-defined]
        # Weights of some 0.3 are rounded by at most 2^-8 of themselves, or a 254th of the largest.
        assert got == pytest.approx(expected, abs=0.01)
        assert got != expected


def test_a_run_without_recurrent_layers_refuses_rounded_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "data.csv", rows(24))
    write_config(model={"encoder": {"name": "identity"}})
    done("train", "c.yaml", "--out", "means")
    with pytest.raises(ConfigError, match="has no recurrent layer, whose weights could be int8"):
        open_runs([tmp_path / "means"], device="cpu", weights="int8")
