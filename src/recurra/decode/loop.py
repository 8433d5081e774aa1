"""One sequence per row, one token after the other: the loop that greedy search, sampling and streaming share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol

import numpy as np
import torch
from torch import Tensor

from recurra.base.deadline import check_deadline
from recurra.decode.limits import Limits, limits
from recurra.decode.steps import (
    Floats,
    Hypothesis,
    Ints,
    S,
    Steps,
    best_tokens,
    next_log_probs,
    refuse_bad,
    told_best,
)


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
        steps,
        state,
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
    steps: Steps[S],
    state: S,
    *,
    start: int,
    bounds: Limits,
    choose: Choose,
    device: torch.device,
    at_once: bool = False,
) -> Iterator[StepTokens]:
    """Yield step after step until every row has closed. at_once: several may be made before the first is told."""
    rows = np.arange(len(bounds.max_length))
    said = np.empty((len(rows), 0), dtype=np.int64)
    last = np.full(len(rows), start, dtype=np.int64)
    at_once = at_once and type(choose) is Greedy and not bounds.no_repeat_ngram
    while len(rows):
        check_deadline()
        step = said.shape[1] + 1
        if at_once and not bounds.forbids(said):
            run = _written_on(steps, last, state, rows=rows, step=step, bounds=bounds, device=device)
            if run is not None:
                yield from run.steps
                rows, last, state = run.rows, run.last, run.state
                said = np.empty((len(rows), step - 1 + len(run.steps)), dtype=np.int64)  # only its length counts now
                continue
        with torch.no_grad():  # no yield inside: it would switch gradients off for whoever reads the tokens
            told = None
            if type(choose) is Greedy and not bounds.forbids(said):
                told = told_best(steps, last, state, 1, rows=rows, step=step, device=device)
            if told is not None:
                values, last, state = told[0][:, 0], told[1][:, 0], told[2]
            else:
                log_probs, state = next_log_probs(steps, last, state, end=bounds.end, device=device)
                values, last = choose.choose(bounds.allowed(log_probs, said), rows=rows, step=step)
        bounds.refuse_dead(rows, values, step=step)
        yield StepTokens(rows, last, values)

        goes_on = ~bounds.closes(rows, last, length=step)
        said = np.concatenate([said[goes_on], last[goes_on, None]], axis=1)
        if not goes_on.all():
            rows, last = rows[goes_on], last[goes_on]
            if len(rows):
                state = steps.select(state, torch.from_numpy(np.flatnonzero(goes_on)).to(device))


@dataclass(frozen=True, slots=True)
class _Run(Generic[S]):
    """Steps that were made at once, and of the rows that go on: their numbers, last tokens and state."""

    steps: list[StepTokens]
    rows: Ints
    last: Ints
    state: S


def _written_on(
    steps: Steps[S], last: Ints, state: S, *, rows: Ints, step: int, bounds: Limits, device: torch.device
) -> _Run[S] | None:
    """Several steps from `step` on of a model that takes them at once; else None. Raises RunError, as the loop does."""
    go_on = getattr(steps, "write_on", None)
    if go_on is None:
        return None
    left = torch.from_numpy(bounds.max_length[rows] - (step - 1))
    with torch.no_grad():
        found = go_on(torch.from_numpy(last).to(device), state, end=bounds.end, left=left)
    if found is None:
        return None
    values, tokens, which = (one.cpu().numpy() for one in found[:3])
    counts = (which >= 0).sum(1).tolist()
    # Behind the last row may stand anything, which numpy would warn of as it does of a signalling NaN.
    values = np.minimum(np.where(which >= 0, values, 0).astype(np.float64), 0)
    made = [StepTokens(rows[which[s, :n]], tokens[s, :n], values[s, :n]) for s, n in enumerate(counts)]
    now, end = made[-1], step + len(made) - 1  # of a step that is no last one, all is sound
    refuse_bad(now.log_probs, rows=now.rows, step=end)
    bounds.refuse_dead(now.rows, now.log_probs, step=end)
    goes_on = ~bounds.closes(now.rows, now.tokens, length=end)
    return _Run(made, now.rows[goes_on], now.tokens[goes_on], found[3])


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
