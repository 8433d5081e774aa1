"""What decoding asks of a model, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.errors import RunError, ShapeError

S = TypeVar("S")
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# A logarithm of a sum that is 1 up to rounding may be this much above 0; more means that logits were given.
_ABOVE_ZERO = 1e-3
# Columns of a class in which `_top` looks first, 16 passes over contiguous memory.
_STRIDES = 16


class Steps(Protocol[S]):
    """A model that says one token after the other. The state is the model's own; nothing here looks into it.

    A state's rows are ordered by the row of the batch they belong to, at every step. So what all hypotheses of one
    sentence share (the encoder's outputs) need not be moved while as many of them are alive as before.
    """

    def step(self, tokens: Tensor, state: S) -> tuple[Tensor, S]:
        """Log-probabilities (B, V) of the next token, and the new state. tokens: (B,) int64, the last of each."""
        ...

    def select(self, state: S, rows: Tensor) -> S:
        """Take rows (K,) int64 of the state's B: some may be dropped, repeated or moved."""
        ...


Told = tuple[Floats, Ints, S] | None


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One decoded sequence.

    tokens: without start and end        log_probs: nats, of each token, and of the end if it came
    score: by which it was ranked; the sum of log_probs, divided by the length penalty if there is one
    ended: whether the end came before the longest length
    """

    tokens: tuple[int, ...]
    log_probs: tuple[float, ...]
    score: float
    ended: bool


def next_log_probs(steps: Steps[S], last: Ints, state: S, *, end: int, device: torch.device) -> tuple[Tensor, S]:
    """One step of the model: log-probabilities (B, V), detached. Raises ShapeError for another shape than asked for."""
    log_probs, state = steps.step(torch.from_numpy(last).to(device), state)
    if log_probs.ndim != 2 or len(log_probs) != len(last):
        raise ShapeError(
            f"decoding: the model's step gave log-probabilities of shape {tuple(log_probs.shape)}, "
            f"expected ({len(last)}, V) for {len(last)} sequences."
        )
    if end >= log_probs.shape[1]:
        raise ShapeError(f"decoding: the end is token {end}, but the model knows only {log_probs.shape[1]} tokens.")
    return log_probs.detach(), state


class TellsBest(Protocol[S]):
    """Steps that need not say all log-probabilities to say the best of them."""

    def best(self, tokens: Tensor, state: S, k: int) -> tuple[Tensor, Tensor, S] | None:
        """The k greatest of what `step` gives (B, k), or all of fewer, best first, of equals the first token first;
        their tokens (B, k); the new state. NaN stands first where there is one. None where `step` has to be asked."""
        ...


def told_best(steps: object, last: Ints, state: S, k: int, *, rows: Ints, step: int, device: torch.device) -> Told[S]:
    """What `best_tokens` finds of a step, and the state after it, of a model that tells the best itself; else None."""
    tell = getattr(steps, "best", None)
    found = None if tell is None else tell(torch.from_numpy(last).to(device), state, k)
    if found is None:
        return None
    top, tokens, state = found
    values: Floats = top.double().cpu().numpy()
    refuse_bad(values[:, 0], rows=rows, step=step)
    return np.minimum(values, 0), tokens.cpu().numpy(), state


class WritesOn(Protocol[S]):
    """Steps that can take several of a greedy search at once."""

    def write_on(self, tokens: Tensor, state: S, *, end: int, left: Tensor) -> tuple[Tensor, Tensor, Tensor, S] | None:
        """Log-probabilities (t, B) of the best tokens, and these (t, B), each of which the next step reads; which of
        the B rows say them (t, B), -1 behind the last; the state of those that have not closed.

        A row closes with its end, or with the last of the steps that are left to it, left (B,) int64. Behind a step in
        which a row has no token, or NaN, there is no other. None where each step has to be asked for.
        """
        ...


def best_tokens(log_probs: Tensor, k: int, *, rows: Ints, step: int) -> tuple[Floats, Ints]:
    """The k most probable of (B, V), as (B, k) log-probabilities and tokens, best first.

    Raises RunError when one of a row's log-probabilities is NaN or above 0.
    """
    # max finds the first of equals, by torch's promise; topk promises no order.
    top, tokens = log_probs.max(1, keepdim=True) if k == 1 else _top(log_probs, min(k, log_probs.shape[1]))
    values: Floats = top.double().cpu().numpy()
    # max and topk take NaN for the greatest number, so the first column shows every NaN.
    refuse_bad(values[:, 0], rows=rows, step=step)
    return np.minimum(values, 0), tokens.cpu().numpy()


def _top(log_probs: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k greatest of each row of (B, V) and where they are, in falling order; 1 <= k <= V, NaN is the greatest."""
    V = log_probs.shape[1]
    width = V // _STRIDES
    if k * _STRIDES > width:
        return log_probs.topk(k, dim=1)
    # Columns j, j + width, j + 2 width, ... are a class. The k greatest are in the k classes with the greatest maxima,
    # or in the columns that are left over. topk alone copies every row with its positions: for 320 rows it takes 1.2
    # times as long with V = 5,000, 2.4 times with 10,000 and 3 times with 30,000.
    maxima = log_probs[:, : _STRIDES * width].view(len(log_probs), _STRIDES, width).amax(1)
    classes = maxima.topk(k, dim=1, sorted=False).indices
    members = classes.unsqueeze(1) + width * torch.arange(_STRIDES, device=classes.device).unsqueeze(1)
    rest = torch.arange(_STRIDES * width, V, device=classes.device).expand(len(classes), -1)
    columns = torch.cat([members.flatten(1), rest], 1)
    values, places = log_probs.gather(1, columns).topk(k, dim=1)
    return values, columns.gather(1, places)


def refuse_bad(best: Floats, *, rows: Ints, step: int) -> None:
    """Raise RunError when the greatest log-probability of a row is NaN, or above 0."""
    bad = np.flatnonzero(~(best <= _ABOVE_ZERO))
    if len(bad):
        row, value = rows[bad[0]], best[bad[0]]
        if np.isnan(value):
            raise RunError(
                f"decoding: row {row}, step {step}: the model's log-probabilities hold NaN. "
                "Its input or its weights are not finite."
            )
        raise RunError(
            f"decoding: row {row}, step {step}: expected log-probabilities, 0 at most, got {value:.4g}. "
            "Apply log_softmax to logits first."
        )
