"""What to do when a loss or a gradient is NaN or infinite: find the row and the parameter, then stop or skip.

The search costs nothing until something is wrong: it runs on a copy of the model, one row at a time.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import torch
from torch import nn

from recurra.base.contracts import Batch, Loss
from recurra.base.errors import TrainingError
from recurra.base.option import Opt
from recurra.training.bounds import bounded
from recurra.training.clipping import gradient_norm
from recurra.training.randomness import seed_step

# A message lists at most this many origins of a batch, a report this many skipped batches.
MAX_LISTED = 5


@dataclass(frozen=True, slots=True)
class Rows:
    """How the caller names an example and makes a batch of it alone, by its index (`Batch.indices`)."""

    origin: Callable[[int], str]
    alone: Callable[[int], Batch]


@dataclass(frozen=True, slots=True)
class Failure:
    """A step without an update, as `fit` saw it; the parameters are still those from before the step.

    batch: the first one whose loss is not finite, of those that make the step, or the last; place: among them, from 0
    """

    step: int
    seed: int
    lr: float
    model: nn.Module
    loss_of: Callable[[Any, Batch], Loss]
    batch: Batch
    loss: Loss
    grad_norm: torch.Tensor
    place: int = 0


class OnNonfinite(Protocol):
    """What the loop and a checkpoint ask of a policy."""

    def __call__(self, failure: Failure) -> None:
        """Raise TrainingError, or return to go on without an update."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold, as JSON."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a `state`."""


class Stop:
    """End the training with a TrainingError that names the step, the row and the parameter."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def __call__(self, failure: Failure) -> None:
        raise TrainingError(describe(failure, self._rows))

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing: there is no state."""


class Skip:
    """Leave the parameters as they are, count the batch, and go on; stop if nothing but bad batches comes.

    skipped: batches so far      notes: the messages of the first few
    Raises TrainingError after `most_in_a_row` bad batches one after another: then the model is broken, not the data.
    """

    @bounded
    def __init__(
        self,
        rows: Rows,
        *,
        most_in_a_row: Annotated[int, Opt("bad batches one after another before a stop", ge=1)] = 10,
    ) -> None:
        self._rows, self._limit = rows, most_in_a_row
        self._last_step, self._in_a_row = 0, 0
        self.skipped = 0
        self.notes: list[str] = []

    def __call__(self, failure: Failure) -> None:
        self.skipped += 1
        self._in_a_row = self._in_a_row + 1 if failure.step == self._last_step + 1 else 1
        self._last_step = failure.step
        if self._in_a_row < self._limit and len(self.notes) >= MAX_LISTED:
            return
        message = describe(failure, self._rows)
        if self._in_a_row >= self._limit:
            raise TrainingError(f"{message} This was bad batch {self._in_a_row} in a row, so skipping does not help.")
        self.notes.append(message)

    def state(self) -> dict[str, Any]:
        return {"skipped": self.skipped, "notes": self.notes, "last_step": self._last_step, "in_a_row": self._in_a_row}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.skipped, self.notes = int(state["skipped"]), list(state["notes"])
        self._last_step, self._in_a_row = int(state["last_step"]), int(state["in_a_row"])


def describe(failure: Failure, rows: Rows) -> str:
    """One sentence or two: where, what was expected, what came, what to do next."""
    step, norm = failure.step, failure.grad_norm.item()
    if failure.loss.count == 0:
        where = _origins(failure, rows)
        return f"{where}: step {step}: expected a batch with targets, got none. Check the labels of these rows."
    if broken := first_nonfinite(failure.model.named_parameters()):
        return (
            f"step {step}: parameter '{broken}' was not finite before this step, so an earlier update overflowed."
            f" Lower the learning rate (now {failure.lr:g}) or clip the gradient."
        )
    loss = failure.loss.total.item()
    if not math.isfinite(loss):
        got = f"expected a finite loss, got {loss}"
        guilty = guilty_rows(failure, rows, lambda model, value: not _finite(value.total))
    elif first := first_nonfinite((name, p.grad) for name, p in failure.model.named_parameters()):
        got = f"expected a finite gradient, got {norm}, first in parameter '{first}' (the loss is {loss:g})"
        guilty = guilty_rows(failure, rows, _gradient_is_broken)
    else:
        got, guilty = f"expected a finite gradient norm, got {norm}: the gradient is too large for its number type", []
    where = ", ".join(guilty) if guilty else _origins(failure, rows)
    advice = "Look at the row" if guilty else "No row does this alone. Look at these rows"
    return f"{where}: step {step}: {got}. {advice}, lower the learning rate, or set on_nonfinite: skip."


def guilty_rows(failure: Failure, rows: Rows, is_bad: Callable[[nn.Module, Loss], bool]) -> list[str]:
    """Origins of the first rows that fail alone too; empty when none does, or when the model cannot run them alone."""
    found: list[str] = []
    try:
        model = copy.deepcopy(failure.model)
        for index in failure.batch.indices:
            alone = rows.alone(index)
            seed_step(failure.seed, failure.step, failure.loss.total.device)
            if is_bad(model, failure.loss_of(model(alone), alone)):
                found.append(rows.origin(index))
            if len(found) == MAX_LISTED:
                break
    except (RuntimeError, ValueError, TypeError):
        # The search explains a failure; it must not hide it behind one of its own (a state that fits one batch size).
        return found
    return found


def first_nonfinite(tensors: Iterable[tuple[str, torch.Tensor | None]]) -> str | None:
    """The name of the first tensor that holds NaN or infinity."""
    return next((name for name, tensor in tensors if tensor is not None and not _finite(tensor)), None)


def _gradient_is_broken(model: nn.Module, loss: Loss) -> bool:
    model.zero_grad(set_to_none=True)
    loss.mean.backward()  # type: ignore[no-untyped-call]
    return not _finite(gradient_norm(list(model.parameters())))


def _finite(tensor: torch.Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())


def _origins(failure: Failure, rows: Rows) -> str:
    """The batch in words: "a.csv:3, a.csv:9 and 6 more rows"."""
    indices = failure.batch.indices
    named = ", ".join(rows.origin(i) for i in indices[:MAX_LISTED])
    more = f" and {len(indices) - MAX_LISTED} more rows" if len(indices) > MAX_LISTED else ""
    return (named or "a batch without rows") + more
