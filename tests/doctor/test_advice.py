"""Advice is in the words of the config: every option that is suggested is one that the config takes."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from api.api_room import write_config, write_csv
from doctor.test_verdict import layer
from recurra.api.schema import Settings, read_settings
from recurra.cells import CELLS
from recurra.doctor import Advice, Course, Diagnosis, Probe, advice
from recurra.doctor.advice import commands, forget_bias
from recurra.lower import projects

WORDS = {
    "vanishing": (0.0, *(-0.3 * k for k in range(1, 21))),
    "exploding": (0.0, *(0.3 * k for k in range(1, 21))),
    "healthy": (0.0,) * 21,
}


def settings(here: Path, **sections: Any) -> Settings:
    return read_settings(write_config(here / "c.yaml", **sections))


def found(word: str, given: Settings, ratios: dict[str, float] | None = None) -> tuple[Advice, ...]:
    return advice(diagnosed(word, ratios), given.tree)


def diagnosed(word: str, ratios: dict[str, float] | None = None) -> Diagnosis:
    sick = layer((0.0, 0.0), dead=3) if word == "saturated" else layer(WORDS[word])
    diagnosis = Diagnosis((Probe(100, 1.0, 1.0, (sick,)),), Course(ratios=ratios or {}))
    assert diagnosis.verdict.word == word
    return diagnosis


def test_a_gate_that_starts_half_closed_is_opened(here: Path) -> None:
    first, *_ = found("vanishing", settings(here))
    assert first.change == "model.encoder.forget_bias: 3"
    assert first.settings == ("model.encoder.forget_bias=3",)
    assert "Jozefowicz" in first.why
    already = found("vanishing", settings(here, model={"encoder": {"forget_bias": 3.0}}))
    assert all("forget_bias" not in one.change for one in already)


ATTENTION = {"name": "transformer", "hidden_size": 8}
READS_WIDELY = {"encoder": ATTENTION, "decoder": {"name": "recurrent", "cell": "gru", "attention": {"name": "none"}}}


@pytest.mark.parametrize("name", ["transformer", "convolutional", "identity", "dense", "image"])
def test_an_encoder_without_a_cell_is_told_of_no_cell_when_another_layer_vanishes(name: str) -> None:
    tree = {"task": {}, "training": {}, "model": {**READS_WIDELY, "encoder": {"name": name}}}
    (only,) = advice(diagnosed("vanishing"), tree)
    assert only.settings == ("model.decoder.attention=additive",)


@pytest.mark.parametrize(
    ("cell", "settings"), [("lstm", []), ("gru", ["model.encoder.cell=lstm"]), ("rnn", ["model.encoder.cell=lstm"])]
)
def test_an_encoder_without_a_forget_bias_is_told_of_none(cell: str, settings: list[str]) -> None:
    tree = {"task": {}, "training": {}, "model": {"encoder": {"name": "lrcn", "cell": cell}}}
    found = [one for word in ("vanishing", "exploding") for one in advice(diagnosed(word), tree)]
    assert sorted({setting for one in found for setting in one.settings}) == settings


def test_an_ungated_cell_is_replaced(here: Path) -> None:
    changes = [one.change for one in found("vanishing", settings(here, model={"encoder": {"cell": "rnn"}}))]
    assert changes[:2] == ["model.encoder.cell: lstm, model.encoder.forget_bias: 3", "model.encoder.init: orthogonal"]


def test_clipping_comes_first_where_there_is_none(here: Path) -> None:
    without = settings(here, model={"encoder": {"cell": "rnn_relu"}}, training={"clipping": "none"})
    changes = [one.change for one in found("exploding", without)]
    assert changes[0] == "training.clipping: norm"
    assert "training.optimizer.lr: 0.009" in changes
    assert "training.clipping: norm" not in [one.change for one in found("exploding", settings(here))]


def test_nothing_is_said_where_all_is_well(here: Path) -> None:
    assert found("healthy", settings(here)) == ()


def test_updates_that_are_too_large_or_too_small_change_the_rate(here: Path) -> None:
    assert [one.change for one in found("healthy", settings(here), {"a": 0.2})] == ["training.optimizer.lr: 0.009"]
    assert [one.change for one in found("healthy", settings(here), {"a": 1e-7})] == ["training.optimizer.lr: 0.3"]
    assert found("healthy", settings(here), {"a": 0.001}) == ()


def test_the_bias_keeps_a_memory_for_as_long_as_it_is_needed() -> None:
    """log(steps - 1), between 1 (Jozefowicz et al. 2015) and 4."""
    assert [forget_bias(steps) for steps in (1, 2, 4, 10, 21, 200)] == [1, 1, 1, 2, 3, 4]


@pytest.mark.parametrize("cell", ["rnn_relu", "lstm_projected", "gru"])
def test_every_option_that_is_suggested_can_be_set(cell: str, here: Path) -> None:
    projected = {"proj_size": 2} if projects(CELLS[cell]) else {}
    given = settings(here, model={"encoder": {"cell": cell, **projected}}, training={"clipping": "none"})
    for word in ("vanishing", "exploding", "saturated"):
        for one in found(word, given, {"a": 0.2}):
            extra = (
                ["model.encoder.proj_size=0"] if projected and "model.encoder.cell=lstm" in str(one.settings) else []
            )
            assert read_settings(here / "c.yaml", [*one.settings, *extra]).tree != given.tree


def test_the_experiment_is_a_command() -> None:
    one = Advice("a: 1, b: 2", "why", ("a=1", "b=2"))
    assert commands([one], "c.yaml") == ("recurra doctor c.yaml --set a=1 --set b=2",)


def test_the_experiment_can_be_pasted_into_a_shell() -> None:
    one = advice(diagnosed("exploding"), {"task": {}, "training": {}, "model": {"encoder": ATTENTION}})[0]
    assert one.settings == ("training.schedule={name: inverse_sqrt, warmup: 0.1}",)
    (command,) = commands([one], "c.yaml")
    assert shlex.split(command) == ["recurra", "doctor", "c.yaml", "--set", *one.settings]


@pytest.mark.parametrize(("length", "half"), [(1, []), (2, ["1"]), (9, ["4"]), (None, ["128"])])
def test_half_of_a_row_has_a_step_at_least(length: int | None, half: list[str]) -> None:
    tree = {"task": {"max_length": length}, "training": {}, "model": {"encoder": {"name": "dense"}}}
    found = [one.settings[0].partition("=") for one in advice(diagnosed("exploding"), tree)]
    assert [value for path, _, value in found if path == "task.max_length"] == half


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "data.csv", [("a", "b")])
    return tmp_path
