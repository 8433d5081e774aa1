"""Begin with vectors of words from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from api.api_room import done, refused, write_csv
from api.test_finetuning import learner_of, write
from recurra import api

CLASSIFIER: Mapping[str, Mapping[str, Any]] = {
    "task": {"name": "classification", "tokenizer": "spaces"},
    "data": {"train": "data.csv"},
    "model": {"inputs": {"embedding_size": 2}, "encoder": {"hidden_size": 3}},
    "training": {"epochs": 2, "batch_rows": 8, "patience": None, "init_vectors": "v.txt"},
}


@pytest.fixture
def begun(here: Path) -> Path:
    pairs = [(f"the {w} film {k} was So", "good" if w in ("fine", "warm") else "bad")
             for k in range(10) for w in ("fine", "warm", "dull", "cold")]  # fmt: skip
    write_csv(here / "data.csv", pairs)
    (here / "v.txt").write_text("the 1 2\nfine 3 4\nso 5 6\nunused 9 9\n")
    write("c.yaml", CLASSIFIER)
    return here


def rows(config: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[float]]:
    trainer = learner_of(config, monkeypatch)
    words = trainer.task.reader.vocabulary  # type: ignore[attr-defined]
    table = trainer.model.state_dict()["inputs.embedding.weight"]
    return {word: table[words.ids([word])[0]].tolist() for word in ("the", "fine", "So", "film")}


def test_words_begin_with_their_vectors_and_the_rest_as_is_asked(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"the": [1, 2], "fine": [3, 4], "So": [5, 6]}
    assert rows("c.yaml", monkeypatch) == known | {"film": [3, 4]}
    write("c.yaml", CLASSIFIER, {"training": {"init_missing": "zero"}})
    assert rows("c.yaml", monkeypatch) == known | {"film": [0, 0]}
    write("c.yaml", CLASSIFIER, {"training": {"init_vectors": None}})
    before = rows("c.yaml", monkeypatch)["film"]
    write("c.yaml", CLASSIFIER, {"training": {"init_missing": "random"}})
    assert rows("c.yaml", monkeypatch) == known | {"film": before}


def test_check_and_train_say_how_many_words_have_a_vector(begun: Path) -> None:
    said = "training.init_vectors: v.txt: 3 of "
    checked = done("check", "c.yaml")
    assert said in checked.out + checked.err
    trained = done("train", "c.yaml", "--out", "r")
    assert said in trained.out + trained.err
    assert "1 of them by their lower case; the rest begin with the mean of those." in trained.out + trained.err


@pytest.mark.parametrize("penalty", [{}, {"l2": 0.1}])
def test_frozen_vectors_stay_and_others_learn(begun: Path, penalty: Mapping[str, float]) -> None:
    write("c.yaml", CLASSIFIER, {"training": {"init_frozen": True, **penalty}})
    done("train", "c.yaml", "--out", "frozen")
    (begun / "v.txt").unlink()  # the run holds everything
    run = api.open_run(Path("frozen"))
    words = run.task.reader.vocabulary  # type: ignore[attr-defined]
    table = run.model.state_dict()["inputs.embedding.weight"]
    torch.testing.assert_close(
        table[words.ids(["the", "fine", "So", "film"])], torch.tensor([[1.0, 2], [3, 4], [5, 6], [3, 4]])
    )
    assert done("predict", "frozen", "the fine film").out.endswith("the fine film\n")


def test_vectors_learn_unless_they_are_frozen(begun: Path) -> None:
    done("train", "c.yaml", "--out", "r")
    run = api.open_run(Path("r"))
    words = run.task.reader.vocabulary  # type: ignore[attr-defined]
    assert run.model.state_dict()["inputs.embedding.weight"][words.ids(["the"])[0]].tolist() != [1, 2]


def test_what_does_not_fit_is_refused_with_what_to_set(begun: Path) -> None:
    write("c.yaml", CLASSIFIER, {"model": {"inputs": {"embedding_size": 8}}})
    assert "has vectors of 2 numbers; set model.inputs.embedding_size: 2." in refused("check", "c.yaml")
    (begun / "v.txt").write_text("der 1 2\ndie 3 4\n")
    write("c.yaml", CLASSIFIER)
    assert "its own are such as 'der', 'die'." in refused("check", "c.yaml")
    (begun / "v.txt").write_text("the 1 2\ndie 3 nan\n")
    assert "v.txt:2: 'die': a number is not finite." in refused("check", "c.yaml")
    write("c.yaml", CLASSIFIER, {"training": {"init_vectors": "none.txt"}})
    assert "none.txt: no such file" in refused("check", "c.yaml")
    write("c.yaml", CLASSIFIER, {"model": {"inputs": {"embedding_size": "one_hot"}}})
    assert "the inputs of this model have no table of vectors" in refused("check", "c.yaml")


def test_options_without_a_file_are_refused(begun: Path) -> None:
    write("c.yaml", CLASSIFIER, {"training": {"init_vectors": None, "init_frozen": True, "init_missing": "zero"}})
    message = refused("check", "c.yaml")
    assert "init_frozen: has no effect without init_vectors" in message
    assert "init_missing: has no effect without init_vectors" in message
