"""A layer that is looked into while it runs: every value of its equations at every step, with the gradient's graph.

It runs on the reference executor, whatever the cell: built in, or of a user's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from recurra.cells import Cell
from recurra.engine import reference
from recurra.engine.call import Call, Result
from recurra.lower import trace
from recurra.lower.serial import values_of

States: TypeAlias = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step, of the N_t rows that take part in it.

    t:      the time step
    given:  the states before it, (N_t, width) each, as nothing but this step took them: a gradient that is asked for
            here has come back through the recurrence, not from an output at t - 1
    values: place in the cell's graph (`lower.trace`) -> value, of all places that were computed
    after:  the states after it, masked and under zoneout: what the next step and the layers above take
    real:   (N_t,) bool, True where the step is no padding; None if it is none anywhere
    """

    t: int
    given: States
    values: Mapping[int, Tensor]
    after: States
    real: Tensor | None


@dataclass(frozen=True, slots=True)
class Recording:
    """All steps of one layer in one direction, in the order in which they were computed."""

    cell: Cell
    moments: tuple[StepRecord, ...]


# What is called with a layer's number, its direction (1 is backward) and its steps, when they are done.
Watch: TypeAlias = Callable[[int, int, Recording], None]


class Recorder:
    """Writes down the steps of one layer in one direction: `enter` before each, `leave` after it."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.graph = trace(cell)
        self.moments: list[StepRecord] = []
        self._given: States = ()
        self._values: Mapping[int, Tensor] = {}

    def enter(self, states: States) -> States:
        """The states, as views that only this step takes."""
        self._given = tuple(state.view_as(state) for state in states)
        return self._given

    def step(self, x: Tensor, states: States, p: Any) -> States:
        """The new states, by the cell's graph."""
        values = values_of(self.graph, x, dict(zip(self.cell.states, states, strict=True)), p)
        self.keep({at: value for at, value in enumerate(values) if isinstance(value, Tensor)})
        return tuple(values[at] for at in self.graph.outputs.values())

    def keep(self, values: Mapping[int, Tensor]) -> None:
        """The values of this step, from whoever computed them."""
        self._values = values

    def leave(self, t: int, after: States, real: Tensor | None) -> None:
        """The step is done."""
        self.moments.append(StepRecord(t, self._given, self._values, after, real))

    def trail(self) -> Recording:
        """Everything so far."""
        return Recording(self.cell, tuple(self.moments))


def run(call: Call, see: Callable[[Recording], None]) -> Result:
    """As `engine.reference.run`, with the same results; `see` gets the steps."""
    recorder = Recorder(call.cell)
    result = reference.run(call, recorder)
    see(recorder.trail())
    return result


def real_rows(moment: StepRecord) -> Tensor:
    """(N_t,) bool, True where the step is real."""
    if moment.real is not None:
        return moment.real
    return torch.ones(len(moment.after[0]), dtype=torch.bool, device=moment.after[0].device)
