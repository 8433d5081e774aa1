"""How an answer is found: greedy or beam search over a model's steps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from recurra.base.contracts import Batch, most_steps
from recurra.base.errors import ConfigError
from recurra.data.tokenizers import BOS, EOS, PAD
from recurra.decode import Hypothesis, LengthPenalty, Token, beam_search, greedy, stream

# A wider beam is slower in proportion, and finds worse answers (Koehn & Knowles 2017, arXiv:1706.03872, section 3.6).
WIDEST_BEAM = 1000
# Tokens that an answer may have beyond what the length of its source suggests.
ROOM = 10


class Autoregressive(Protocol):
    """A model that can be asked for one token after the other. What a step returns is its caller's to change."""

    def start(self, batch: Batch) -> Any: ...
    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]: ...
    def select(self, state: Any, rows: Tensor) -> Any: ...


@dataclass(frozen=True, slots=True)
class Search:
    """beam: hypotheses a row, 1 is greedy      n_best: how many answers      penalty: how lengths compare

    factor: the longest answer, in tokens for each that training wrote on average for such a source
    attention: whether to keep what the best answer looked at
    """

    beam: int
    n_best: int
    penalty: LengthPenalty
    factor: float
    attention: bool = False

    def asked(self, *, beam: int | None, n_best: int | None, attention: bool) -> Search:
        """With other options. Raises ConfigError, all mistakes at once, for those that cannot take effect."""
        wider = replace(
            self, beam=beam or self.beam, n_best=n_best or self.n_best, attention=attention or self.attention
        )
        problems = [
            f"{name}: expected a whole number from 1 to {WIDEST_BEAM}, got {value!r}."
            for name, value in (("beam", beam), ("n_best", n_best))
            if value is not None and not (type(value) is int and 1 <= value <= WIDEST_BEAM)
        ]
        if not problems and wider.n_best > wider.beam:
            problems = [f"n_best: expected at most beam, which is {wider.beam}, got {wider.n_best}. Widen the beam."]
        if problems:
            raise ConfigError(problems)
        return wider

    def run(self, model: Autoregressive, batch: Batch, ratio: float) -> list[list[Hypothesis]]:
        """The answers for each row, best first. ratio: target tokens by source tokens in training."""
        device = batch.inputs["tokens"].device
        common: dict[str, Any] = {
            "num_rows": len(batch.lengths),
            "start": BOS,
            "end": EOS,
            "max_length": longest(batch.lengths, ratio * self.factor),
            "device": device,
        }
        speaker = Speaker(model)
        if self.beam == 1:
            return greedy(speaker, model.start(batch), **common)
        common |= {"beam": self.beam, "n_best": self.n_best, "length_penalty": self.penalty}
        return beam_search(speaker, model.start(batch), **common)

    def stream(self, model: Autoregressive, batch: Batch, ratio: float) -> Iterator[Token]:
        """The tokens of a greedy search for a batch of one row, each as soon as it is known."""
        device = batch.inputs["tokens"].device
        length = longest(batch.lengths, ratio * self.factor)
        with torch.no_grad():
            state = model.start(batch)
        return stream(Speaker(model), state, start=BOS, end=EOS, max_length=length, device=device)


def longest(lengths: Tensor, factor: float) -> Tensor:
    """The most steps for sources of these lengths (N,), the end among them."""
    return torch.tensor([math.ceil(factor * length) + ROOM for length in lengths.tolist()], dtype=torch.int64)


class Speaker:
    """A model that says neither padding nor a start."""

    def __init__(self, model: Autoregressive) -> None:
        self._model = model

    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        log_probs, state = self._model.step(tokens, state)
        never = torch.tensor([PAD, BOS], dtype=torch.int64, device=log_probs.device)
        return log_probs.index_fill_(1, never, -math.inf), state

    def most_steps(self, state: Any) -> int | Tensor | None:
        """As the model has them."""
        return most_steps(self._model, state)

    def best(self, tokens: Tensor, state: Any, k: int) -> tuple[Tensor, Tensor, Any] | None:
        """The k best of what it may say, from two more: what it never says are two."""
        tell = getattr(self._model, "best", None)
        found = None if tell is None else tell(tokens, state, k + 2)
        if found is None:
            return None
        values, chosen, state = found
        never = (chosen == PAD) | (chosen == BOS)
        if not never.any():  # nearly always
            return values[:, :k], chosen[:, :k], state
        order = never.to(torch.int8).argsort(dim=1, stable=True)[:, :k]
        return values.masked_fill(never, -math.inf).gather(1, order), chosen.gather(1, order), state

    def write_on(
        self, tokens: Tensor, state: Any, *, end: int, left: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Any] | None:
        """Steps of a greedy search among what it may say."""
        go_on = getattr(self._model, "write_on", None)
        found: tuple[Tensor, Tensor, Tensor, Any] | None = (
            None if go_on is None else go_on(tokens, state, end=end, left=left, never=(PAD, BOS))
        )
        return found

    def select(self, state: Any, rows: Tensor) -> Any:
        return self._model.select(state, rows)
