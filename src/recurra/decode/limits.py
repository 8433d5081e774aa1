"""How long a sequence may become, what may not come twice in it, and the checks of options that every search has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recurra.base.contracts import most_steps
from recurra.base.errors import ConfigError, RunError, ShapeError
from recurra.decode.steps import Bools, Floats, Ints


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a search. Made by `limits`, which checks them.

    max_length: (N,) steps at most, the end being one       min_length: tokens before the end may come
    no_repeat_ngram: no so many tokens in a row come twice; 0 allows everything
    """

    end: int
    max_length: Ints
    min_length: int
    no_repeat_ngram: int

    def allowed(self, log_probs: Tensor, tokens: Ints) -> Tensor:
        """The log-probabilities (B, V) of what may follow tokens (B, t), and -inf for what must not.

        The input is not written to. What remains is not normalised again: a search compares what the model said.
        """
        if tokens.shape[1] < self.min_length:
            end = torch.tensor([self.end], dtype=torch.int64, device=log_probs.device)
            log_probs = log_probs.index_fill(1, end, -torch.inf)
        if 0 < self.no_repeat_ngram <= tokens.shape[1]:
            where = torch.from_numpy(_would_repeat(tokens, self.no_repeat_ngram)).to(log_probs.device)
            log_probs = log_probs.index_put((where[0], where[1]), log_probs.new_tensor(-torch.inf))
        return log_probs

    def forbids(self, tokens: Ints) -> bool:
        """Whether something may be forbidden to follow tokens (B, t)."""
        steps = tokens.shape[1]
        return bool(steps < self.min_length or 0 < self.no_repeat_ngram <= steps)

    def closes(self, rows: Ints, tokens: Ints, *, length: int) -> Bools:
        """Whether a sequence of `length` steps that now has this last token goes no further."""
        closed: Bools = (tokens == self.end) | (length >= self.max_length[rows])
        return closed

    def refuse_dead(self, rows: Ints, log_probs: Floats, *, step: int) -> None:
        """Raise RunError where the best (B,) that a row has is nothing."""
        dead = np.flatnonzero(np.isneginf(log_probs))
        if len(dead):
            raise self.nothing_may_follow(int(rows[dead[0]]), step)

    def nothing_may_follow(self, row: int, step: int) -> RunError:
        """The error of a row that has no continuation left."""
        return RunError(
            f"decoding: row {row}, step {step}: no token may follow: every one has probability 0 or is forbidden "
            f"by min_length={self.min_length} and no_repeat_ngram={self.no_repeat_ngram}. Lower them."
        )


def _would_repeat(tokens: Ints, n: int) -> Ints:
    """(2, M) pairs of (sequence, token) that would end an n-gram for the second time. tokens: (B, t), t >= n."""
    windows = np.lib.stride_tricks.sliding_window_view(tokens, n, axis=1)  # (B, t - n + 1, n)
    newest = tokens[:, tokens.shape[1] - (n - 1) :]  # (B, n - 1)
    sequence, place = np.nonzero((windows[:, :, :-1] == newest[:, None, :]).all(2))
    return np.stack([sequence, windows[sequence, place, -1]])


def limits(
    steps: object,
    state: object,
    *,
    num_rows: int,
    start: int,
    end: int,
    max_length: int | Tensor,
    min_length: int,
    no_repeat_ngram: int,
) -> Limits:
    """Check the options of a search from this state; no row becomes longer than the steps it has (`HasMostSteps`).

    Raises ConfigError or ShapeError that names the option.
    """
    at_least("num_rows", num_rows, 0)
    at_least("start", start, 0)
    at_least("end", end, 0)
    at_least("min_length", min_length, 0)
    at_least("no_repeat_ngram", no_repeat_ngram, 0)
    longest, most = _longest(max_length, num_rows), most_steps(steps, state)
    if most is not None:  # a row that has no step left says so at its first one
        longest = np.minimum(longest, np.maximum(torch.as_tensor(most).cpu().numpy(), 1))
    if num_rows and min_length >= longest.max():
        raise ConfigError(
            f"min_length: expected less than max_length, which is {longest.max()} and counts the end, "
            f"got {min_length}: no sequence could end."
        )
    return Limits(end, longest, min_length, no_repeat_ngram)


def _longest(max_length: int | Tensor, num_rows: int) -> Ints:
    if isinstance(max_length, Tensor):
        if max_length.shape != (num_rows,) or max_length.is_floating_point() or max_length.dtype == torch.bool:
            raise ShapeError(
                f"max_length: expected a whole number, or one for each of {num_rows} rows, "
                f"got {max_length.dtype} of shape {tuple(max_length.shape)}."
            )
        lengths: Ints = max_length.detach().cpu().numpy().astype(np.int64)
    else:
        whole("max_length", max_length)
        lengths = np.full(num_rows, max_length, dtype=np.int64)
    if num_rows:
        at_least("max_length", int(lengths.min()), 1)
    return lengths


def whole(name: str, value: object) -> None:
    """Raise ConfigError unless `value` is an int."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError(f"{name}: expected a whole number, got {value!r}.")


def at_least(name: str, value: int, least: int) -> None:
    """Raise ConfigError unless `value` is an int, and at least `least`."""
    whole(name, value)
    if value < least:
        raise ConfigError(f"{name}: expected {least} or more, got {value}.")
