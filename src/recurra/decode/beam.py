"""Beam search, batched over rows and beams.

A hypothesis that ends leaves the beam (Sutskever et al. 2014, arXiv:1409.3215, section 3.2) and takes its place with
it: the rest of the row is searched with one beam less. So a row ends with K hypotheses at most, a beam of 1 is greedy
search under every penalty, and the search is well defined without any rule for when to stop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recurra.base.errors import ConfigError
from recurra.decode.limits import Limits, at_least, limits
from recurra.decode.penalties import LengthPenalty, NoPenalty
from recurra.decode.steps import Bools, Floats, Hypothesis, Ints, S, Steps, best_tokens, next_log_probs, told_best


def beam_search(
    steps: Steps[S],
    state: S,
    *,
    num_rows: int,
    start: int,
    end: int,
    max_length: int | Tensor,
    beam: int = 5,
    n_best: int = 1,
    length_penalty: LengthPenalty | None = None,
    min_length: int = 0,
    no_repeat_ngram: int = 0,
    device: torch.device | str = "cpu",
) -> list[list[Hypothesis]]:
    """The n_best hypotheses of each row, best first; of equals the one that closed first.

    beam: K hypotheses of each row are followed        n_best: at most K; a row may have fewer if no more are possible
    length_penalty: one of LENGTH_PENALTIES, made; None is `none`. Length counts the end.
    A hypothesis that reaches max_length without its end is closed there, and competes by its score.
    Other options, and what is raised, are those of `greedy`; n_best greater than beam is a ConfigError.
    """
    at_least("beam", beam, 1)
    at_least("n_best", n_best, 1)
    if n_best > beam:
        raise ConfigError(f"n_best: expected at most beam, which is {beam}, got {n_best}. Widen the beam.")
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
    closed = _Closed(bounds, beam=beam, n_best=n_best, penalty=length_penalty or NoPenalty())
    _search(steps, state, start=start, bounds=bounds, closed=closed, device=torch.device(device))
    return closed.best()


def _search(steps: Steps[S], state: S, *, start: int, bounds: Limits, closed: _Closed, device: torch.device) -> None:
    live = _first(len(bounds.max_length))
    last = np.full(len(live.rows), start, dtype=np.int64)
    while len(live.rows):
        step = live.tokens.shape[1] + 1
        with torch.no_grad():
            values, tokens, state = _best_of(steps, last, state, live, bounds, k=closed.beam, device=device)

        parents, choices = _best_of_rows(live, values, places=closed.beam - closed.counts)
        grown = live.grown(parents, values[parents, choices], tokens[parents, choices])
        closes = bounds.closes(grown.rows, grown.tokens[:, -1], length=step)
        closed.add(grown.taken(closes))
        closed.refuse_lost(grown.rows, step)

        goes_on = ~closes
        goes_on &= closed.can_change(grown.rows[goes_on], grown.sums[goes_on])[grown.rows]
        live, parents = grown.taken(goes_on), parents[goes_on]
        last = live.tokens[:, -1]
        if len(parents) and not np.array_equal(parents, np.arange(len(values))):
            state = steps.select(state, torch.from_numpy(parents).to(device))


def _best_of(
    steps: Steps[S], last: Ints, state: S, live: _Paths, bounds: Limits, *, k: int, device: torch.device
) -> tuple[Floats, Ints, S]:
    """The k best continuations of each path, as `best_tokens` gives them, and the state after the step."""
    step = live.tokens.shape[1] + 1
    if not bounds.forbids(live.tokens):
        told = told_best(steps, last, state, k, rows=live.rows, step=step, device=device)
        if told is not None:
            return told
    log_probs, state = next_log_probs(steps, last, state, end=bounds.end, device=device)
    return *best_tokens(bounds.allowed(log_probs, live.tokens), k, rows=live.rows, step=step), state


@dataclass(frozen=True, slots=True)
class _Paths:
    """B hypotheses of the same length t, ordered by row. rows, sums: (B,)   tokens, log_probs: (B, t)."""

    rows: Ints
    sums: Floats
    tokens: Ints
    log_probs: Floats

    def grown(self, parents: Ints, log_probs: Floats, tokens: Ints) -> _Paths:
        """The paths of the parents, each with one more token."""
        return _Paths(
            self.rows[parents],
            self.sums[parents] + log_probs,
            np.concatenate([self.tokens[parents], tokens[:, None]], axis=1),
            np.concatenate([self.log_probs[parents], log_probs[:, None]], axis=1),
        )

    def taken(self, chosen: Bools) -> _Paths:
        """The paths that are chosen (B,)."""
        return _Paths(self.rows[chosen], self.sums[chosen], self.tokens[chosen], self.log_probs[chosen])


def _first(num_rows: int) -> _Paths:
    """One empty path per row: at the first step all K would be the same."""
    empty = (num_rows, 0)
    return _Paths(np.arange(num_rows), np.zeros(num_rows), np.empty(empty, dtype=np.int64), np.empty(empty))


def _best_of_rows(live: _Paths, values: Floats, *, places: Ints) -> tuple[Ints, Ints]:
    """The best continuations of each row: (parent, which of its k choices), by row, best first.

    values: (B, k) log-probabilities of the best k continuations of each hypothesis: more of one cannot be among the
    K best of its row.        places: (N,) how many a row may have
    """
    num_paths, k = values.shape
    first = np.searchsorted(live.rows, np.arange(len(places)))  # where each row begins
    slots = np.arange(num_paths) - first[live.rows]
    sums = np.full((len(places), slots.max() + 1, k), -np.inf)
    sums[live.rows, slots] = live.sums[:, None] + values
    sums = sums.reshape(len(places), -1)

    order = np.argsort(-sums, axis=1, kind="stable")[:, : places.max()]
    ranked = sums[np.arange(len(places))[:, None], order]
    rows, ranks = np.nonzero((np.arange(order.shape[1]) < places[:, None]) & (ranked > -np.inf))
    chosen = order[rows, ranks]
    return first[rows] + chosen // k, chosen % k


class _Closed:
    """The hypotheses that go no further, of every row, and whether the others can still matter."""

    def __init__(self, bounds: Limits, *, beam: int, n_best: int, penalty: LengthPenalty) -> None:
        num_rows = len(bounds.max_length)
        self.beam = beam
        self.counts = np.zeros(num_rows, dtype=np.int64)
        self._bounds = bounds
        self._n_best = n_best
        self._penalty = penalty
        self._scores = np.full((num_rows, beam), -np.inf)
        self._of_row: list[list[Hypothesis]] = [[] for _ in range(num_rows)]
        self._greatest_divisor = penalty.divisor(bounds.max_length)

    def add(self, paths: _Paths) -> None:
        """Keep paths that are closed. Each hypothesis comes here once, so this loop is no part of the time per step."""
        scores = paths.sums / self._penalty.divisor(np.full(len(paths.rows), paths.tokens.shape[1]))
        for i, row in enumerate(paths.rows.tolist()):
            tokens = paths.tokens[i].tolist()
            ended = tokens[-1] == self._bounds.end
            self._of_row[row].append(
                Hypothesis(
                    tokens=tuple(tokens[:-1] if ended else tokens),
                    log_probs=tuple(paths.log_probs[i].tolist()),
                    score=float(scores[i]),
                    ended=ended,
                )
            )
            self._scores[row, self.counts[row]] = scores[i]
            self.counts[row] += 1

    def can_change(self, rows: Ints, sums: Floats) -> Bools:
        """(N,) Whether live hypotheses, of these rows and with these sums, can still get among the n best of a row.

        A live hypothesis has the sum s <= 0 and can only add log-probabilities <= 0. However it ends, its score is
        s' / d(l) with s' <= s and l <= max_length. Since d > 0 never falls with l, d(l) <= d(max_length), and
        s' / d(l) <= s / d(l) <= s / d(max_length), the last step because s <= 0. If that is not above the n-th best
        closed score, it cannot get among the n best: of equals, the one that closed first is better. The greatest s
        of a row speaks for all of them. With fewer than n closed, the n-th best is -inf, and no s is below that.
        This holds for `none` (d = 1), `mean` (d = l) and `wu` (d = ((5 + l) / 6) ** alpha, alpha >= 0) alike; for
        `none` it is the test whether the best live hypothesis is worse than the n-th best closed one.
        """
        greatest = np.full(len(self.counts), -np.inf)
        np.maximum.at(greatest, rows, sums)
        nth = np.partition(self._scores, -self._n_best, axis=1)[:, -self._n_best]
        promising: Bools = greatest / self._greatest_divisor > nth
        return promising

    def refuse_lost(self, live: Ints, step: int) -> None:
        """Raise RunError for a row without a hypothesis: none is closed, none is among the live ones of these rows."""
        lost = np.flatnonzero(self.counts + np.bincount(live, minlength=len(self.counts)) == 0)
        if len(lost):
            raise self._bounds.nothing_may_follow(int(lost[0]), step)

    def best(self) -> list[list[Hypothesis]]:
        """The n best of every row."""
        return [sorted(row, key=lambda h: -h.score)[: self._n_best] for row in self._of_row]
