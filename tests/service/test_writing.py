"""A language model behind HTTP: it writes on token by token, and suggests words to who is typing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recurra import api
from recurra.service import Limits, open_runs
from recurra.service.deadline import DeadlineExceededError
from recurra.service.streams import Suggesters
from service.service_room import (
    Asked,
    events,
    full,
    is_late,
    is_told_to_come_again,
    late_at_look,
    late_though_another_computes,
)


@pytest.fixture
def asked(writer: Path) -> Iterator[Asked]:
    one = Asked(open_runs([writer], device="cpu"), Limits(), None)
    yield one
    assert one.service.stop(10)


@pytest.mark.parametrize(
    "options",
    [{}, {"length": 5, "temperature": 0}, {"length": 30, "temperature": 0.7, "top_k": 3, "seed": 5}, {"stop": "dog"}],
)
def test_it_writes_what_the_verb_generate_writes(asked: Asked, writer: Path, options: dict[str, Any]) -> None:
    answer = asked.post("/generate", {"text": "the cat", "options": options})
    *tokens, (last, whole) = events(answer.text)
    pieces = list(api.generate(writer, "the cat", **options, device="cpu"))
    assert [data["piece"] for _, data in tokens] == [piece.text for piece in pieces]
    assert (last, whole) == ("done", {"text": "".join(p.text for p in pieces), "tokens": len(pieces), "notes": []})


def test_writing_stops_when_its_time_is_over(writer: Path) -> None:
    one = Asked(open_runs([writer], device="cpu"), Limits(seconds=0.1), None)
    answer = one.post("/generate", {"text": "the", "options": {"length": 1000}})
    assert one.service.stop(10)
    if answer.status_code == 200:  # on a machine so busy that the first token came too late, 504 is right
        *_, (last, said) = events(answer.text)
        assert last == "error"
        assert said["error"].startswith("took longer than 0.1 s; ")
    else:
        assert answer.status_code == 504


@pytest.mark.parametrize("path", ["/generate", "/suggest"])
def test_a_text_that_takes_too_long_to_read_is_given_up(asked: Asked, path: str) -> None:
    for text in ("the cat sat", "the bird sang "):
        with late_at_look(0):
            assert is_late(asked.post(path, {"text": text}), 30)
    assert late_though_another_computes(asked, path, {"text": "the cat"})


def test_a_long_text_is_given_up_between_two_parts(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recurra.tasks.language_model.generation.READ", 4)
    for path in ("/generate", "/suggest"):
        with late_at_look(9):
            assert is_late(asked.post(path, {"text": "the dog " * 30}), 30), path


def test_what_suggests_is_made_anew_once_it_was_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has read of a text when it is given up is neither that text nor the one before."""

    class Reading:
        def suggest(self, text: str, number: int) -> list[Any]:
            if text == "slow":
                raise DeadlineExceededError
            return []

    made: list[Reading] = []

    def suggester(run: Any, *, device: str) -> Reading:
        made.append(Reading())
        return made[-1]

    monkeypatch.setattr("recurra.service.streams.suggester", suggester)
    served: Any = SimpleNamespace(name="cats", run=None, device="cpu")
    suggesters, numbers = Suggesters(), []
    for text in ("the ", "the cat ", "slow", "the dog "):
        with suppress(DeadlineExceededError):
            suggesters.suggest(served, text, 5)
        numbers.append(len(made))
    assert numbers == [1, 1, 1, 2]


def test_unknown_words_of_the_beginning_are_named(asked: Asked) -> None:
    *_, (_, whole) = events(asked.post("/generate", {"text": "the zebra", "options": {"length": 2}}).text)
    (note,) = whole["notes"]
    assert "'zebra'" in note


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        ({"length": 1001}, 422, "options.length: "),
        ({"temperature": -1}, 422, "options.temperature: "),
        ({"top_k": 0}, 422, "options.top_k: "),
        ({"top_p": 1.5}, 422, "options.top_p: "),
        ({"stop": ""}, 422, "options.stop: "),
        ({"temperature": 0, "top_k": 3}, 422, "top_k: has no effect at temperature 0"),
        ({"beam": 3}, 422, "options.beam: Extra inputs"),
    ],
)
def test_an_option_out_of_its_range_is_refused_before_anything_is_written(
    asked: Asked, options: dict[str, Any], status: int, said: str
) -> None:
    answer = asked.post("/generate", {"text": "the", "options": options})
    assert answer.status_code == status
    assert answer.json()["error"].startswith(said)


def test_words_are_suggested_as_one_types(asked: Asked, writer: Path) -> None:
    for text in ("the ", "the c", "the ca", "the cat sat on the ", "the", "", "zz"):
        answer = asked.post("/suggest", {"text": text, "number": 4}).json()
        words = api.suggest(writer, text, 4, device="cpu")
        assert [one["word"] for one in answer["suggestions"]] == [one.word for one in words], text
        # The state of what was read before is gone on from, instead of read anew.
        shares = [one["probability"] for one in answer["suggestions"]]
        assert shares == pytest.approx([one.probability for one in words], abs=1e-6)
    assert asked.post("/suggest", {"text": "a", "number": 21}).status_code == 422
    with full(asked):
        assert is_told_to_come_again(asked.post("/suggest", {"text": "a"}))


def test_an_infinite_perplexity_is_null(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recurra.tasks.language_model.task.perplexity", lambda nats, count: float("inf"))
    (row,) = asked.post("/predict", {"texts": ["the cat"]}).json()["predictions"]
    assert row["perplexity"] is None
    assert row["log_prob"] < 0


def test_a_text_in_pieces_is_judged_as_its_whole(asked: Asked) -> None:
    async def talk(client: Any) -> tuple[Any, Any]:
        path = f"/sessions/{(await client.post('/sessions', json={})).json()['session']}"
        for piece in ("the c", "at sat on ", "the m"):
            fed = await client.post(path, json={"text": piece})
        whole = await client.post("/predict", json={"texts": ["the cat sat on the m"]})
        return fed.json()["prediction"], whole.json()["predictions"][0]

    pieces, whole = asked.run(talk)
    assert pieces == pytest.approx({name: whole[name] for name in pieces}, rel=1e-5)
    assert set(pieces) == {"log_prob", "perplexity", "num_tokens"}


def test_it_says_how_probable_a_text_is(asked: Asked, writer: Path) -> None:
    (row,) = asked.post("/predict", {"texts": ["the cat sat"], "options": {"tokens": True}}).json()["predictions"]
    assert [one["token"] for one in row["tokens"]][:3] == ["the", "cat", "sat"]
    (model,) = asked.get("/models").json()["models"]
    assert (model["generates"], model["suggests"], model["options"]) == (True, True, ["tokens"])


def test_a_translation_writes_without_options_and_suggests_nothing(folder: Path) -> None:
    one = Asked(open_runs([folder / "digits"], device="cpu"), Limits(), None)
    refused = one.post("/generate", {"text": "1", "options": {"length": 3}})
    assert (refused.status_code, refused.json()["error"][:7]) == (422, "length:")
    assert one.post("/suggest", {"text": "1"}).status_code == 409
    assert one.service.stop(10)
