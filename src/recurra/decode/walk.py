"""One sequence per row, one token after the other: the loop that greedy search, sampling and streaming share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from recurra.decode.limits import Limits, limits
from recurra.decode.steps import Floats, Hypothesis, Ints, S, Steps, best_tokens, next_log_probs


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


class Best:
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
    return _walk(steps, state, start=start, bounds=bounds, choose=choose or Best(), device=torch.device(device))


def _walk(
    steps: Steps[S], state: S, *, start: int, bounds: Limits, choose: Choose, device: torch.device
) -> Iterator[Token]:
    rows = np.arange(len(bounds.max_length))
    said = np.empty((len(rows), 0), dtype=np.int64)
    last = np.full(len(rows), start, dtype=np.int64)
    while len(rows):
        step = said.shape[1] + 1
        with (
            torch.no_grad()
        ):  # around the model alone: a generator that pauses inside would switch gradients off outside
            log_probs, state = next_log_probs(steps, last, state, end=bounds.end, device=device)
            values, last = choose.choose(bounds.allowed(log_probs, said), rows=rows, step=step)
        dead = np.flatnonzero(np.isneginf(values))
        if len(dead):
            raise bounds.nothing_may_follow(int(rows[dead[0]]), step)
        for row, token, value in zip(rows.tolist(), last.tolist(), values.tolist(), strict=True):
            yield Token(row, token, value, token == bounds.end)

        goes_on = np.flatnonzero(~bounds.closes(rows, last, length=step))
        said = np.concatenate([said[goes_on], last[goes_on, None]], axis=1)
        if len(goes_on) < len(rows):
            rows, last = rows[goes_on], last[goes_on]
            if len(rows):
                state = steps.select(state, torch.from_numpy(goes_on).to(device))


def collect(tokens: Iterable[Token], num_rows: int) -> list[list[Hypothesis]]:
    """One hypothesis per row from a stream; its score is the sum of its log-probabilities."""
    said: list[list[Token]] = [[] for _ in range(num_rows)]
    for token in tokens:
        said[token.row].append(token)
    return [[_hypothesis(row)] for row in said]


def _hypothesis(said: list[Token]) -> Hypothesis:
    log_probs = tuple(token.log_prob for token in said)
    return Hypothesis(
        tokens=tuple(token.token for token in said if not token.ended),
        log_probs=log_probs,
        score=sum(log_probs),
        ended=said[-1].ended,
    )
