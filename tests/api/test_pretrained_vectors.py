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


def test_words_of_the_file_join_the_vocabulary(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (begun / "v.txt").write_text("the 1 2\ngrand 3 4\ntwo words 8 8\nunused 9 9\n")
    write("c.yaml", CLASSIFIER, {"training": {"init_words": 3}})
    trainer = learner_of("c.yaml", monkeypatch)
    words = trainer.task.reader.vocabulary  # type: ignore[attr-defined]
    table = trainer.model.state_dict()["inputs.embedding.weight"]
    assert words.tokens([len(words) - 1]) == ["grand"]  # "two words" is no token, "unused" is the fourth
    assert words.ids(["unused"]) == [1]
    assert table[-1].tolist() == [3, 4]


def test_a_run_reads_a_word_that_no_training_row_has(begun: Path) -> None:
    write("c.yaml", CLASSIFIER, {"training": {"init_words": 4, "init_frozen": True}})
    done("train", "c.yaml", "--out", "r")
    (begun / "v.txt").unlink()
    run = api.open_run(Path("r"))
    table = run.model.state_dict()["inputs.embedding.weight"]
    words = run.task.reader.vocabulary  # type: ignore[attr-defined]
    assert table[words.ids(["unused"])[0]].tolist() == [9, 9]
    known, unknown = api.predict("r", ["the unused film", "the unheard film"])
    assert known != {**unknown, "text": known["text"]}


def test_a_tagger_takes_the_words_that_it_looks_up(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (begun / "t.conll").write_text("".join(f"the D\nfilm N\nn{k} N\n\n" for k in range(40)))
    (begun / "v.txt").write_text("the 1 2\ngrand 3 4\nGrand 5 6\n1990 7 8\n0000 9 9\n")
    tagger = {"task": {"name": "tagging"}, "data": {"train": "t.conll"}}
    write("c.yaml", CLASSIFIER | tagger, {"training": {"init_words": 5}})
    trainer = learner_of("c.yaml", monkeypatch)
    words = trainer.task.reader.words  # type: ignore[attr-defined]
    assert words.tokens(range(4, len(words)))[-2:] == ["grand", "0000"]


def test_a_language_model_refuses_words_that_it_would_have_to_tell(begun: Path) -> None:
    (begun / "t.txt").write_text("the film was so fine\n" * 40)
    reader = {"task": {"name": "language_model", "tokenizer": "spaces"}, "data": {"train": "t.txt"}}
    write("c.yaml", CLASSIFIER | reader, {"training": {"init_words": 2}})
    assert "training.init_words: 2 words cannot join" in refused("check", "c.yaml")


def test_added_vectors_begin_at_the_sum(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("c.yaml", CLASSIFIER, {"training": {"init_vectors": None}})
    before = rows("c.yaml", monkeypatch)
    for missing, rest in {"mean": [3, 4], "zero": [0, 0], "random": [0, 0]}.items():
        write("c.yaml", CLASSIFIER, {"training": {"init_added": True, "init_missing": missing}})
        known = {"the": [1, 2], "fine": [3, 4], "So": [5, 6], "film": rest}
        for word, found in rows("c.yaml", monkeypatch).items():
            assert found == pytest.approx([a + b for a, b in zip(before[word], known[word], strict=True)])
    write("c.yaml", CLASSIFIER, {"training": {"init_added": True, "init_frozen": True}})
    assert "leave it or init_frozen out" in refused("check", "c.yaml")


def test_words_of_which_none_can_be_read_are_refused(begun: Path) -> None:
    write("c.yaml", CLASSIFIER, {"training": {"init_words": 3}})
    Path("c.yaml").write_text(Path("c.yaml").read_text().replace("spaces", "characters"))
    (begun / "v.txt").write_text("so 1 2\nthe 3 4\nfine 5 6\n")  # each is several letters
    assert "training.init_words: none of the first 3 words of v.txt joins the vocabulary" in refused("check", "c.yaml")
