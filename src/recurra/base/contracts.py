"""The nouns of the data's way through recurra.

    raw file -format-> Record -example-> Example -collate-> Batch -model-> Prediction -loss-> Loss
                                                                               |-decode-> Output -metric-> Score

Each is a frozen value. What a noun never holds is as much a part of the contract as what it holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record came from. line: 1-based, or None where a source has no lines (a request, an embedded set)."""

    path: str
    line: int | None = None

    def __str__(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class Record:
    """One row: named fields exactly as the file has them, and where they stood. Knows nothing of the task.

    steps: where the rows stood that are its steps, of a record that several rows make (`data.layout`)
    """

    fields: Mapping[str, Any]
    origin: Origin
    steps: tuple[Origin, ...] = ()


class Example(Protocol):
    """What a task reads from a record, in plain Python: no tensors, no vocabulary ids.

    `length` is the number of time steps (used to make buckets); `origin` is carried along for error messages.
    """

    @property
    def length(self) -> int: ...
    @property
    def origin(self) -> Origin: ...


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded tensors of some examples. Never the data set, never a device policy.

    inputs:  named tensors, time-major: tokens (T, N) int64 or features (T, N, I) float
    lengths: (N,) int64, real steps of each sequence, on the CPU
    targets: named tensors; empty when nobody knows the answer (prediction)
    indices: the example's place in the list it was taken from, N of them
    """

    inputs: Mapping[str, torch.Tensor]
    lengths: torch.Tensor
    targets: Mapping[str, torch.Tensor]
    indices: tuple[int, ...]

    def to(self, device: torch.device) -> Batch:
        """The same batch with inputs and targets on `device` (lengths stay on the CPU)."""
        return Batch(
            inputs={k: v.to(device) for k, v in self.inputs.items()},
            lengths=self.lengths,
            targets={k: v.to(device) for k, v in self.targets.items()},
            indices=self.indices,
        )


@dataclass(frozen=True, slots=True)
class Prediction:
    """A model's named outputs, e.g. logits (N, C). Never labels, never a loss."""

    outputs: Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Loss:
    """A sum in nats and the number of targets it is over. Never a mean: means of means are wrong under padding.

    parts: sums of what the total consists of, by name, over the same targets and without a gradient: for the log
    """

    total: torch.Tensor
    count: int
    parts: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @property
    def mean(self) -> torch.Tensor:
        """Nats per target; 0 for an empty batch."""
        return self.total / max(self.count, 1)


@dataclass(frozen=True, slots=True)
class Score:
    """One measured number. better: which way is up. unit: "0..1", "nats", "tokens/s", ..."""

    name: str
    value: float
    unit: str
    better: Literal["higher", "lower", "neither"]
    split: str


@dataclass(frozen=True, slots=True)
class Table:
    """A small table for a report: a caption, column heads, and rows of cells that are already text or numbers."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What ran, on what, with which settings, and what came out. Nothing live.

    scores:    of the model, on every split that was scored
    baselines: the same names and splits, by the name of the baseline
    tables:    confusion, most confused pairs, examples
    facts:     short label -> value: data sizes, vocabulary, parameters, seconds, versions, warnings
    """

    title: str
    scores: tuple[Score, ...]
    baselines: Mapping[str, tuple[Score, ...]] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    facts: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """One optimizer step, as `training.fit` yields it. step and epoch count from 1.

    loss: nats per target of this step's batch      tokens: real time steps in it      grad_norm: before clipping
    parts: what the loss consists of, by name, per target too
    """

    step: int
    epoch: int
    loss: torch.Tensor
    tokens: int
    lr: float
    grad_norm: torch.Tensor
    parts: Mapping[str, torch.Tensor] = field(default_factory=dict)


@runtime_checkable
class CountsUpdates(Protocol):
    """A module that counts the updates of its weights."""

    def updated(self) -> None:
        """Hear that a step of training is done; called once, however many batches the step had."""


@runtime_checkable
class MarksUse(Protocol):
    """A module that counts updates by what their batches have used. used: (Z,) bool; of all ranks before `updated`"""

    used: torch.Tensor


class HasMostSteps(Protocol):
    """Steps that end somewhere: a search closes a sequence there, as at its longest length."""

    def most_steps(self, state: Any) -> int | torch.Tensor | None:
        """How many are left from a state on, of each row (N,), or of all; None: any number."""
        ...


def most_steps(steps: object, state: Any) -> int | torch.Tensor | None:
    """How many a model, a part of one, or what a search asks in its place can take from a state; None: any number."""
    tell = getattr(steps, "most_steps", None)
    most: int | torch.Tensor | None = None if tell is None else tell(state)
    return most


class Listener(Protocol):
    """Whoever should hear what happens."""

    def note(self, message: str) -> None:
        """Something a person should know: a choice that `auto` made, rows that were skipped, a fallback."""


class Callback(Listener, Protocol):
    """Whoever watches a training: a progress bar, a notebook, or nobody. `start` comes first, `done` last.

    progress.loss is a tensor: reading it may wait for a device, so it is read only when it is shown.
    """

    def start(self, total_steps: int, epochs: int) -> None:
        """Training begins, or goes on."""

    def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
        """One optimizer step is done. speed: tokens per second."""

    def scores(self, epoch: int, scores: tuple[Score, ...], is_best: bool) -> None:
        """The dev scores of an epoch."""

    def done(self) -> None:
        """Training has ended."""
