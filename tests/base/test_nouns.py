"""Registries, errors and the few nouns that compute something."""

from __future__ import annotations

import pytest
import torch

from recurra.base.contracts import Batch, Loss, Origin
from recurra.base.errors import ConfigError, DataError, RecurraError, RunError, ShapeError, TrainingError, did_you_mean
from recurra.base.registry import Registry


def test_a_registry_answers_a_misspelt_word_with_its_neighbour() -> None:
    cells: Registry[int] = Registry("cell")
    assert cells.add("lstm", 1) == 1
    cells.add("gru", 2)
    with pytest.raises(ConfigError, match=r"^unknown cell 'lsmt'\. Did you mean 'lstm'\?$"):
        cells["lsmt"]
    with pytest.raises(ConfigError, match=r"^unknown cell 'xyzzy'\. Known: lstm, gru\.$"):
        cells["xyzzy"]


def test_a_registry_refuses_to_overwrite_unless_asked_to() -> None:
    cells: Registry[int] = Registry("cell")
    cells.add("lstm", 1)
    with pytest.raises(ConfigError, match=r"^cell 'lstm' is already registered; choose another name\.$"):
        cells.add("lstm", 2)
    assert cells["lstm"] == 1
    assert cells.replace("lstm", 3) == 3
    assert dict(cells) == {"lstm": 3}
    assert "lstm" in cells
    assert ["lstm"] not in cells.values()
    assert len(cells) == 1


def test_every_error_is_the_kind_that_callers_of_torch_and_of_python_catch() -> None:
    assert all(issubclass(kind, RecurraError) for kind in (ConfigError, DataError, ShapeError, RunError, TrainingError))
    assert all(issubclass(kind, ValueError) for kind in (ConfigError, DataError, ShapeError, RunError))
    assert issubclass(ShapeError, RuntimeError)
    assert issubclass(TrainingError, RuntimeError)
    assert not issubclass(TrainingError, ValueError)


def test_a_config_error_holds_every_problem() -> None:
    assert ConfigError("one.").problems == ("one.",)
    many = ConfigError(line for line in ("one.", "two."))
    assert many.problems == ("one.", "two.")
    assert str(many) == "one.\ntwo."


def test_only_what_is_near_is_suggested() -> None:
    assert did_you_mean("hiden_size", ["hidden_size", "cell"]) == " Did you mean 'hidden_size'?"
    assert did_you_mean("xyzzy", ["hidden_size", "cell"]) == ""


def test_an_origin_reads_as_file_and_line() -> None:
    assert str(Origin("a.csv", 3)) == "a.csv:3"
    assert str(Origin("request")) == "request"


def test_the_mean_of_a_loss_is_per_target_and_zero_for_none() -> None:
    assert Loss(torch.tensor(6.0), 4).mean == 1.5
    assert Loss(torch.tensor(0.0), 0).mean == 0.0


def test_a_batch_moves_its_inputs_and_targets_and_keeps_its_lengths() -> None:
    lengths = torch.tensor([1])
    batch = Batch({"tokens": torch.ones(1, 1)}, lengths, {"labels": torch.zeros(1)}, (7,))
    moved = batch.to(torch.device("meta"))
    assert (moved.inputs["tokens"].device.type, moved.targets["labels"].device.type) == ("meta", "meta")
    assert moved.lengths is lengths
    assert moved.indices == (7,)
