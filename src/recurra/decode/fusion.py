"""Language models in a search over units: what they are asked, and one of them, a network that goes step by step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

import torch

from recurra.base.errors import ConfigError
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


@dataclass(slots=True, eq=False)
class _Read(Generic[S]):
    """A text that a network has read, or will have when it is asked what follows. block: of its states, row: its own"""

    token: int
    before: _Read[S] | None = None
    block: S | None = None
    row: int = 0
    log_probs: Floats | None = field(default=None)


class NetworkScores(Generic[S]):
    """A network of `Steps` as a language model, such as a `Generator` of a run.

    state: one row, before `start` is read      numbers: of tokens      unknown: of all others; None: they cannot be
    end: the number of the end; None where the network knows none
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
        device: torch.device | str = "cpu",
    ) -> None:
        self._steps, self._numbers, self._unknown, self._end = steps, numbers, unknown, end
        self._device = torch.device(device)
        self._root: _Read[S] = _Read(start)
        self._begin = state

    def start(self) -> _Read[S]:
        """Before a text."""
        return self._root

    def score(self, asked: Sequence[tuple[_Read[S], str]]) -> list[tuple[float, _Read[S]]]:
        """ln p of each token after its history, and the history with it."""
        self._read([history for history, _ in asked])
        return [self._score(history, self._numbers.get(token, self._unknown)) for history, token in asked]

    def end(self, histories: Sequence[_Read[S]]) -> list[float]:
        """ln p that a text ends here."""
        if self._end is None:
            return [0.0] * len(histories)
        self._read(histories)
        return [self._score(history, self._end)[0] for history in histories]

    def _score(self, history: _Read[S], number: int | None) -> tuple[float, _Read[S]]:
        if number is None:
            return -math.inf, history
        assert history.log_probs is not None
        return float(history.log_probs[number]), _Read(number, before=history)

    def _read(self, histories: Sequence[_Read[S]]) -> None:
        """Read what nobody has asked about before, states of one block together."""
        waiting: dict[int, list[_Read[S]]] = {}
        for history in dict.fromkeys(h for h in histories if h.log_probs is None):
            waiting.setdefault(id(history.before and history.before.block), []).append(history)
        for some in waiting.values():
            before = some[0].before
            block = self._begin if before is None else before.block
            assert block is not None
            rows = torch.tensor([0 if h.before is None else h.before.row for h in some], device=self._device)
            tokens = torch.tensor([h.token for h in some], dtype=torch.int64, device=self._device)
            log_probs, after = self._steps.step(tokens, self._steps.select(block, rows))
            found: Floats = log_probs.detach().double().cpu().numpy()
            for row, history in enumerate(some):
                history.block, history.row, history.log_probs, history.before = after, row, found[row], None
