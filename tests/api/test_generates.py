"""What a task can do is told by its members, a capability each: no verb knows a task by its name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from recurra import api
from recurra.api import OpenRun, Piece
from recurra.base.errors import ConfigError
from recurra.service import open_runs
from recurra.service.deadline import Deadline
from recurra.service.streams import Suggesters, can_generate, can_suggest, growing
from recurra.tasks import GenerationOptions, LanguageModelling, Music, SuggestedWord


class Counting:
    """Counts on from a number; `stop` has no effect."""

    use: Literal["generate", "play"] = "play"

    def writer(self, model: torch.nn.Module) -> Counting:
        return self

    def write(self, prompt: str, how: GenerationOptions) -> Iterator[Piece]:
        how.refuse(["stop"], "has no effect on numbers.")
        first = int(prompt) + 1
        return (Piece(how.number, f" {first + k}", -float(how.seed), k + 1 == how.length) for k in range(how.length))

    def unknown_in(self, prompt: str) -> list[str]:
        return ["7"] if prompt == "7" else []

    def midi(self, text: str) -> bytes:
        return text.encode()


class Reciting:
    """Goes on with one word, and suggests it; what it says cannot be played, and nothing is unknown to it."""

    use: Literal["generate", "play"] = "generate"

    def writer(self, model: torch.nn.Module) -> Reciting:
        return self

    def suggester(self, model: torch.nn.Module) -> Reciting:
        return self

    def write(self, prompt: str, how: GenerationOptions) -> Iterator[Piece]:
        return (Piece(how.number, " so", 0.0, False) for _ in range(how.length))

    def suggest(self, text: str, number: int = 5) -> list[SuggestedWord]:
        return [SuggestedWord(text + "so", 0.5)][:number]


class Silent:
    """Does not write."""


class Notes:
    def __init__(self) -> None:
        self.sentences: list[str] = []

    def note(self, message: str) -> None:
        self.sentences.append(message)


def run_of(path: Path, task: Any) -> OpenRun:
    """A trained run whose task is another one."""
    return replace(api.open_run(path), task=task)


def test_a_task_of_ones_own_is_generated_from_and_played(run: Path) -> None:
    counting, notes = run_of(run, Counting()), Notes()
    found = list(api.generate(counting, "7", length=2, num=2, seed=3, watch=notes))
    assert found == [Piece(n, f" {k}", -3.0, k == 9) for n in (0, 1) for k in (8, 9)]
    assert notes.sentences == ["the prompt holds tokens that training never saw, which are read as unknown: '7'."]
    assert api.midi(counting, "7 8") == b"7 8"
    for options, sentence in (
        ({"stop": "9"}, "stop: has no effect on numbers."),
        ({"length": 0}, "length: expected a whole number from 1 to 100,000, got 0."),
        ({"num": 0}, "num: expected a whole number from 1 to 1,000, got 0."),
    ):
        with pytest.raises(ConfigError, match=sentence):
            api.generate(counting, "1", **options)


def test_texts_are_read_and_music_is_played() -> None:
    assert (LanguageModelling.use, Music.use) == ("generate", "play")


def test_the_service_writes_with_it_too(run: Path) -> None:
    (one,) = open_runs([run], device="cpu").values()
    served = [replace(one, run=run_of(run, task)) for task in (Counting(), Reciting(), Silent())]
    assert list(map(can_generate, served)) == [True, True, False]
    assert list(map(can_suggest, served)) == [False, True, False]
    assert Suggesters().suggest(served[1], "al", 1) == [{"word": "also", "probability": 0.5}]
    grown = growing(served[0], "4", {"length": 3}, Deadline(1e12), Notes())
    assert [(one.text, one.is_rest) for one in grown] == [(" 5", True), (" 6", True), (" 7", True)]


def test_a_task_that_does_not_write_is_refused_with_what_to_do(run: Path) -> None:
    silent = run_of(run, Silent())
    expected = "is a run of task classification, expected one of task language_model"
    for verb in (lambda: api.generate(silent), lambda: api.midi(silent, "")):
        with pytest.raises(ConfigError, match=f"{expected}, or another that writes. Use `recurra predict` here."):
            verb()
    for verb in (lambda: api.suggest(silent, "a"), lambda: api.suggester(run_of(run, Counting()))):
        with pytest.raises(ConfigError, match=f"{expected}, which suggests words."):
            verb()


def test_words_are_suggested_and_a_text_written_by_a_task_that_cannot_be_heard(run: Path) -> None:
    reciting, notes = run_of(run, Reciting()), Notes()
    assert [piece.text for piece in api.generate(reciting, "7", length=2, watch=notes)] == [" so", " so"]
    assert (
        api.suggest(reciting, "al", watch=notes)
        == api.suggester(reciting).suggest("al")
        == [SuggestedWord("also", 0.5)]
    )
    assert notes.sentences == []
    with pytest.raises(ConfigError, match="expected one of task music, or another whose answers can be played"):
        api.midi(reciting, "so")
