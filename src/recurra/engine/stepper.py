"""One time step after another, for streaming and decoding: the weights are packed once, and each step is one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from recurra.base.errors import ConfigError, ShapeError
from recurra.engine import cpu
from recurra.engine.call import Call
from recurra.engine.compact import FLOAT32
from recurra.engine.memory import in_order
from recurra.engine.weights import Weights
from recurra.lower.program import PARAMETERS


class Stepper:
    """Steps of one layer on the native engine, without gradients.

    numbers: in all its weights      native: what takes the steps, for whoever takes those of several layers at once

    The weights are copied: a later change of theirs is not seen; of weights that a stepper was made of before, and that
    are the same, the copy is shared (`weights.kept`). Results have the bits of `engine.run`.
    Raises ConfigError if the native engine cannot run the cell.
    """

    def __init__(self, weights: Weights) -> None:
        cell, compact = weights.cell, weights.compact
        I, first = dict(weights.shapes)["weight_ih"][1], weights.tensors[0]
        dtype = first.dtype if compact is None else torch.float32
        empty = tuple(first.new_zeros(1, 1, dtype=dtype) for _ in cell.states)
        if reason := cpu.refusal(Call(first.new_zeros(1, 1, I, dtype=dtype), empty, weights)):
            raise ConfigError(f"cell '{cell.name}': {reason}; use engine.run, a step at a time.")
        sizes = cpu.sizes(weights, I)
        kernel, _ = cpu.kernel_of(cell, cpu.instruction_set())
        self._widths = [sizes["I"], *(sizes[cell.size(s)] for s in cell.states)]
        kept = _kept(weights.packed if compact is None else compact.stored)
        scales = {} if compact is None else _kept(compact.scales)
        self.numbers = sum(t.numel() for t in kept.values())
        addresses = [kept[name].data_ptr() if name in kept else 0 for name in PARAMETERS]
        self.native = cpu.stepper(
            kernel,
            [sizes["I"], sizes["H"], sizes["P"]],
            addresses,
            FLOAT32 if compact is None else compact.precision,
            cpu.scales_of(tuple(scales), [t.data_ptr() for t in scales.values()]),
            weights.kept,
        )

    @property
    def widths(self) -> tuple[int, ...]:
        """Of each state."""
        return tuple(self._widths[1:])

    @property
    def nbytes(self) -> int:
        """Of the packed weights."""
        return int(self.native.nbytes)

    def __call__(self, x: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
        """The new states from x (N, I) and the old ones (N, width), all float32 on the CPU. The first is the output.

        Raises ShapeError if a tensor has another shape, type or device.
        """
        N = x.shape[0]
        given = [
            t if t.shape == (N, width) and t.dtype is torch.float32 and t.is_cpu and t.is_contiguous()
            and not t.is_neg() else _checked(k, t, (N, width))
            for k, (t, width) in enumerate(zip((x, *states), self._widths, strict=True))
        ]  # fmt: skip
        # By what x is, not by torch's defaults: the native call writes float32 to the CPU's memory, whatever they are.
        new = [given[0].new_empty(N, width) for width in self._widths[1:]]
        threads = cpu.threads_of_call(2 * N * self.numbers)
        old, made = [t.data_ptr() for t in given[1:]], [t.data_ptr() for t in new]
        self.native.step(N, threads, given[0].data_ptr(), old, made)
        return new


def _kept(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: in_order(t.detach()) for name, t in tensors.items()}


def _checked(k: int, tensor: Tensor, shape: tuple[int, int]) -> Tensor:
    """The same numbers, contiguous. Raises ShapeError."""
    if tensor.shape != shape or tensor.dtype != torch.float32 or tensor.device.type != "cpu":
        name = f"state {k - 1}" if k else "x"
        raise ShapeError(
            f"{name}: got {tuple(tensor.shape)} {tensor.dtype} on {tensor.device}, expected {shape} float32 on the CPU."
        )
    return in_order(tensor)
