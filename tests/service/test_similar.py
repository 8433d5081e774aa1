"""Vectors of words behind HTTP: neighbours and analogies, as the verbs say them."""

from __future__ import annotations

from pathlib import Path

import pytest

from recurra import api
from recurra.engine import cpu
from recurra.service import Limits, open_runs
from service.service_room import Ask, Asked, full, is_told_to_come_again, late_though_another_computes

pytestmark = pytest.mark.skipif(not cpu.available(), reason="needs the native engine")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words")
    (folder / "t.txt").write_text("the king and the queen\nthe man and the woman saw the king\n" * 4)
    task = {"name": "word_vectors", "min_count": 1, "sample": 0.0}
    data = {"train": str(folder / "t.txt"), "dev": str(folder / "t.txt")}
    config = {"task": task, "data": data, "model": {"vector_size": 8}, "training": {"epochs": 2}}
    return api.train(config, out=folder / "words", device="cpu").run


def test_neighbours_and_analogies_are_those_of_the_verbs(run: Path) -> None:
    asked, vectors = Asked(open_runs([run], device="cpu"), Limits(), None), api.vectors(run)
    for body, expected in (
        ({"words": ["king"], "number": 3}, vectors.similar("king", top=3)),
        ({"words": ["king", "man"]}, vectors.similar("king", "man", top=10)),
        ({"words": ["man", "king", "woman"], "analogy": True}, vectors.analogy("man", "king", "woman", top=10)),
    ):
        found = asked.post("/similar", body).json()
        assert found["model"] == "words"
        assert [one["word"] for one in found["neighbours"]] == [one.word for one in expected]
        assert [one["score"] for one in found["neighbours"]] == pytest.approx([one.score for one in expected])
    (model,) = asked.get("/models").json()["models"]
    assert model["similar"] is True
    for body, said in (
        ({"words": ["kink"]}, "no vector for 'kink'"),
        ({"words": ["man", "king"], "analogy": True}, "words: an analogy has 3 words, got 2."),
        ({"words": []}, "words: "),
        ({"words": ["king"], "number": 101}, "number: "),
    ):
        answer = asked.post("/similar", body)
        assert answer.status_code == 422
        assert said in answer.json()["error"]
    assert late_though_another_computes(asked, "/similar", {"words": ["king"]})
    with full(asked):
        assert is_told_to_come_again(asked.post("/similar", {"words": ["king"]}))
    assert asked.service.stop(10)


def test_a_run_without_vectors_of_words_says_so(ask: Ask) -> None:
    answer = ask("moods").post("/similar", {"words": ["fine"]})
    assert answer.status_code == 409
    assert "has no vectors of words" in answer.json()["error"]
