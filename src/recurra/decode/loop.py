"""One sequence per row, one token after the other: the loop that greedy search, sampling and streaming share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from recurra.decode.limits import Limits, limits
from recurra.decode.steps import Floats, Hypothesis, Ints, S, Steps, best_tokens, next_log_probs, told_best


@dataclass(frozen=True, slots=True)
class Token:
    """One step of one row. log_prob: nats, as the model gave it. ended: this is the end, and no token of the answer."""

    row: int
    token: int
    log_prob: float
    ended: bool


class Choose(Protocol):
    """How one token is chosen."""

    def choose(self, log_probs: Tensor, *, rows: Ints, step: int) -> tuple[Floats, Ints]:
        """The log-probability (B,) and the token (B,) of each row; log_probs is (B, V), -inf for what is forbidden."""
        ...


class Greedy:
    """The most probable token; of equals the one with the lowest number."""

    def choose(self, log_probs: Tensor, *, rows: Ints, step: int) -> tuple[Floats, Ints]:
        """The maximum of each row, and where it is."""
        values, tokens = best_tokens(log_probs, 1, rows=rows, step=step)
        return values[:, 0], tokens[:, 0]


def stream(
    steps: Steps[S],
    state: S,
    *,
    num_rows: int = 1,
    start: int,
    end: int,
    max_length: int | Tensor,
    min_length: int = 0,
    no_repeat_ngram: int = 0,
    choose: Choose | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[Token]:
    """Yield each token as soon as it is known, row by row within a step; the model goes on when more is asked for.

    Options are as in `greedy`. choose: `Best()` (the default) or `Draw(...)`.
    Raises what `greedy` raises; a wrong option at once, before the first token is asked for.
    """
    bounds = limits(
        num_rows=num_rows,
        start=start,
        end=end,
        max_length=max_length,
        min_length=min_length,
        no_repeat_ngram=no_repeat_ngram,
    )
    said = decode_loop(steps, state, start=start, bounds=bounds, choose=choose or Greedy(), device=torch.device(device))
    return (Token(row, token, log_prob, token == end) for step in said for row, token, log_prob in step.triples())


@dataclass(frozen=True, slots=True)
class StepTokens:
    """One step of all rows that still say something. rows, tokens, log_probs: (B,)."""

    rows: Ints
    tokens: Ints
    log_probs: Floats

    def triples(self) -> Iterator[tuple[int, int, float]]:
        """(row, token, log-probability) of each row."""
        return zip(self.rows.tolist(), self.tokens.tolist(), self.log_probs.tolist(), strict=True)


def decode_loop(
    steps: Steps[S], state: S, *, start: int, bounds: Limits, choose: Choose, device: torch.device
) -> Iterator[StepTokens]:
    """Yield step after step until every row has closed."""
    rows = np.arange(len(bounds.max_length))
    said = np.empty((len(rows), 0), dtype=np.int64)
    last = np.full(len(rows), start, dtype=np.int64)
    while len(rows):
        step = said.shape[1] + 1
        with torch.no_grad():  # no yield inside: it would switch gradients off for whoever reads the tokens
            told = None
            if type(choose) is Greedy and not bounds.forbids(said):
                told = told_best(steps, last, state, 1, rows=rows, step=step, device=device)
            if told is not None:
                values, last, state = told[0][:, 0], told[1][:, 0], told[2]
            else:
                log_probs, state = next_log_probs(steps, last, state, end=bounds.end, device=device)
                values, last = choose.choose(bounds.allowed(log_probs, said), rows=rows, step=step)
        dead = np.flatnonzero(np.isneginf(values))
        if len(dead):
            raise bounds.nothing_may_follow(int(rows[dead[0]]), step)
        yield StepTokens(rows, last, values)

        goes_on = ~bounds.closes(rows, last, length=step)
        said = np.concatenate([said[goes_on], last[goes_on, None]], axis=1)
        if not goes_on.all():
            rows, last = rows[goes_on], last[goes_on]
            if len(rows):
                state = steps.select(state, torch.from_numpy(np.flatnonzero(goes_on)).to(device))


def collect(said: Iterable[StepTokens], *, num_rows: int, end: int) -> list[list[Hypothesis]]:
    """One hypothesis per row; its score is the sum of its log-probabilities."""
    tokens: list[list[int]] = [[] for _ in range(num_rows)]
    log_probs: list[list[float]] = [[] for _ in range(num_rows)]
    for step in said:
        for row, token, log_prob in step.triples():
            tokens[row].append(token)
            log_probs[row].append(log_prob)
    return [[_hypothesis(*row, end=end)] for row in zip(tokens, log_probs, strict=True)]


def _hypothesis(tokens: list[int], log_probs: list[float], *, end: int) -> Hypothesis:
    ended = tokens[-1] == end
    return Hypothesis(tuple(tokens[:-1] if ended else tokens), tuple(log_probs), sum(log_probs), ended)
