"""What a configuration takes at least on this machine, by what it has to do: measured in turn with the rest.

products  its multiply-adds at the FMA peak
gates     the cell's functions for all rows and steps, as the engine does them, without products
weights   reading the recurrent weights at each step, and the inputs' weights once, from where that many bytes lie
streams   reading and writing inputs, outputs, gradients and what is kept for the gradient, likewise

No constant of a machine stands here: as many bytes are read as the configuration has, so they come from the cache, or
the memory, that holds so many. Products and gates share the arithmetic units; reading goes beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.bench.clock import Work
from recurra.bench.problem import Problem
from recurra.cells import CELLS, Cell
from recurra.engine import cpu
from recurra.lower import gradient

PRODUCTS, GATES, WEIGHTS, STREAMS = "products", "gates", "weights", "streams"
# Measured in CPU time of the calling thread.
MEASURED = (GATES, WEIGHTS, STREAMS)
ROWS = 64
# A call of the native reader takes less than a microsecond, this some ten.
FEWEST_READ = 1 << 20
# Larger than every cache: more of it is read at the same speed.
MOST_HELD = 1 << 26


@dataclass(frozen=True)
class Roofline:
    """The floors of one problem."""

    problem: Problem

    def available(self) -> bool:
        """Whether the native engine is here, runs the cell, and measures: one of an earlier build does not."""
        return cpu.measures_stages() and cpu.kernel_of(self._cell, cpu.instruction_set())[0] is not None

    def works(self) -> dict[str, Work]:
        """What is measured in turn with the others."""
        if not self.available():
            return {}
        return {GATES: self._gates, **{name: partial(_read, memory) for name, memory in self._memory.items()}}

    def floors(self, seconds: Mapping[str, float], peak: float | None) -> dict[str, float] | None:
        """Seconds of each part; None where nothing was measured.

        seconds: of one call of each work; peak: operations a second of all threads
        """
        if peak is None or GATES not in seconds:
            return None
        threads, runs = self.problem.threads, len(self._inputs)
        found = {PRODUCTS: self.problem.operations / peak}
        found[GATES] = seconds[GATES] / ROWS * self.problem.tokens * runs / threads
        # Threads that share the rows of a batch read the same weights; directions have weights of their own.
        shared_by = {WEIGHTS: min(threads, self.problem.configuration.kind.directions), STREAMS: threads}
        for name, total in ((WEIGHTS, self._weight_bytes), (STREAMS, self._stream_bytes)):
            memory = self._memory[name]
            found[name] = seconds[name] * total / (_rounds(memory) * memory.nbytes) / shared_by[name]
        return found

    def _gates(self) -> None:
        c = self.problem.configuration
        for back in (False, True) if c.kind.trains else (False,):
            cpu.stage_rounds(self._cell, c.H, ROWS, training=c.kind.trains, back=back)

    @property
    def _cell(self) -> Cell:
        return CELLS[self.problem.configuration.cell]

    @cached_property
    def _memory(self) -> dict[str, Tensor]:
        """As many bytes as are read again and again: a step's weights, and all that streams."""
        a_step = self._recurrent if self.problem.configuration.T > 1 else self._weight_bytes
        sizes = {WEIGHTS: a_step, STREAMS: self._stream_bytes}
        return {
            name: torch.ones(max(min(size, MOST_HELD), 1024) // 4, dtype=torch.float32) for name, size in sizes.items()
        }

    @property
    def _weight_bytes(self) -> int:
        c = self.problem.configuration
        return (1 + c.kind.trains) * sum(c.T * self._recurrent + 4 * w.size for w in self._inputs)

    @property
    def _stream_bytes(self) -> int:
        """Inputs and outputs; with gradients, those, both a second time, and what is kept, written and read."""
        c = self.problem.configuration
        kept = 2 * len(gradient(self._cell).tape) * c.H if c.kind.trains else 0
        times = 3 if c.kind.trains else 1
        numbers = [times * (int(w.shape[1]) + c.H) + kept for w in self._inputs]
        return 4 * self.problem.tokens * sum(numbers)

    @cached_property
    def _inputs(self) -> list[NDArray[np.float32]]:
        """The inputs' weights of each layer and direction."""
        return [one["weight_ih"] for layer in self.problem.weights for one in layer]

    @cached_property
    def _recurrent(self) -> int:
        """Bytes of the other matrices of one layer in one direction."""
        matrices = [w for w in self.problem.weights[0][0].values() if w.ndim == 2]
        return 4 * (sum(w.size for w in matrices) - self._inputs[0].size)


def _rounds(memory: Tensor) -> int:
    return max(1, FEWEST_READ // memory.nbytes)


def _read(memory: Tensor) -> None:
    cpu.read_rounds(memory, _rounds(memory))
