"""Language models in a search over units: what they are asked, and one of them, a network that goes step by step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from recurra.base.errors import ConfigError
from recurra.decode.reading import Read, Reading
from recurra.decode.steps import Floats, S, Steps

H = TypeVar("H")


class Scores(Protocol[H]):
    """A language model over tokens, which are units or words. A history is the model's own; nobody looks into it."""

    def start(self) -> H:
        """Before a text."""
        ...

    def score(self, asked: Sequence[tuple[H, str]]) -> list[tuple[float, H]]:
        """ln p of each token after its history, and the history with it; a token that cannot be is -inf."""
        ...

    def end(self, histories: Sequence[H]) -> list[float]:
        """ln p that a text ends here; 0 where the model knows no end."""
        ...


@runtime_checkable
class KnowsWords(Protocol):
    """A language model that tells the words it knows from others, which share what it has for an unknown one."""

    def knows(self, word: str) -> bool:
        """Whether it is no unknown word."""
        ...


@runtime_checkable
class KnowsUnigrams(Protocol):
    """A language model that can judge a word without a history, so that a search looks ahead within a word."""

    def alone(self, word: str) -> float:
        """ln p of a word, whatever was before it."""
        ...


@dataclass(frozen=True, slots=True)
class Fusion:
    """Shallow fusion: weight * ln p + bonus for each token of a text (Hannun et al. 2014, section 3).

    by: what a token is. A unit counts when it is said, a word when it is over. bonus: nats; it makes up for the shorter
    texts that a language model prefers
    Raises ConfigError for a weight below 0, or numbers that are not finite.
    """

    scores: Scores[Any]
    by: Literal["unit", "word"]
    weight: float = 0.5
    bonus: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ConfigError(f"weight: expected a number from 0 on, got {self.weight}.")
        if not math.isfinite(self.bonus):
            raise ConfigError(f"bonus: expected a number, got {self.bonus}.")


class NetworkScores(Generic[S]):
    """A network of `Steps` as a language model, such as a `Generator` of a run.

    state: one row, before `start` is read      numbers: of tokens      unknown: of all others; None: they cannot be
    end: the number of the end; None where the network knows none      written: a token as the network's texts have it
    What is asked together is one step for all texts whose states came from one step.
    """

    def __init__(
        self,
        steps: Steps[S],
        state: S,
        *,
        start: int,
        numbers: Mapping[str, int],
        unknown: int | None = None,
        end: int | None = None,
        written: Callable[[str], str] = str,
        device: torch.device | str = "cpu",
    ) -> None:
        self._reading = Reading(steps, state, _rows, device)
        self._numbers, self._unknown, self._end, self._written = numbers, unknown, end, written
        self._root: Read[S] = Read(start)

    def start(self) -> Read[S]:
        """Before a text."""
        return self._root

    def score(self, asked: Sequence[tuple[Read[S], str]]) -> list[tuple[float, Read[S]]]:
        """ln p of each token after its history, and the history with it."""
        self._reading.read([history for history, _ in asked])
        return [
            self._score(history, self._numbers.get(self._written(token), self._unknown)) for history, token in asked
        ]

    def end(self, histories: Sequence[Read[S]]) -> list[float]:
        """ln p that a text ends here."""
        if self._end is None:
            return [0.0] * len(histories)
        self._reading.read(histories)
        return [self._score(history, self._end)[0] for history in histories]

    def knows(self, word: str) -> bool:
        """Whether it has a number of its own."""
        return self._written(word) in self._numbers

    def _score(self, history: Read[S], number: int | None) -> tuple[float, Read[S]]:
        if number is None:
            return -math.inf, history
        return float(history.value[number]), Read(number, before=history)


def _rows(log_probs: Tensor) -> list[Floats]:
    return list(log_probs.double().cpu().numpy())
