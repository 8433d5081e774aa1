"""One time step after another, for streaming and decoding: the weights are packed once, and each step is one call."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from recurra.base.errors import ConfigError, ShapeError
from recurra.engine import cpu
from recurra.engine.call import Call
from recurra.engine.weights import Weights
from recurra.lower.program import PARAMETERS


class Stepper:
    """Steps of one layer on the native engine, without gradients.

    The weights are copied: a later change of theirs is not seen. Results have the bits of `engine.run`.
    Raises ConfigError if the native engine cannot run the cell.
    """

    def __init__(self, weights: Weights) -> None:
        cell, W = weights.cell, weights.packed["weight_ih"]
        empty = tuple(torch.zeros(1, 1) for _ in cell.states)
        if reason := cpu.refusal(Call(torch.zeros(1, 1, W.shape[1]), empty, weights)):
            raise ConfigError(f"cell '{cell.name}': {reason}; use engine.run, a step at a time.")
        sizes = cpu.sizes(weights, W.shape[1])
        self._kernel, _ = cpu.kernel_of(cell, cpu.instruction_set())
        self._sizes = [sizes["I"], sizes["H"], sizes["P"]]
        self._widths = [sizes[cell.size(s)] for s in cell.states]
        kept = {name: t.detach().contiguous() for name, t in weights.packed.items()}
        addresses = [kept[name].data_ptr() if name in kept else 0 for name in PARAMETERS]
        self._packed = self._kernel.pack(self._sizes, addresses)
        self._no_parameters = [0] * len(PARAMETERS)
        self._no_masks, self._no_zone = [0] * len(empty), [0.0] * len(empty)

    def __call__(self, x: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
        """The new states from x (N, I) and the old ones (N, width), all float32 on the CPU. The first is the output.

        Raises ShapeError if a tensor has another shape, type or device.
        """
        I, N = self._sizes[0], x.shape[0]
        _check("x", x, (N, I))
        for k, (state, width) in enumerate(zip(states, self._widths, strict=True)):
            _check(f"state {k}", state, (N, width))
        x, old = x.contiguous(), [s.contiguous() for s in states]
        new = [torch.empty(N, width) for width in self._widths]
        at = [t.data_ptr() for t in new]
        # The output of one step is its first state: both are written to one place.
        self._kernel.forward(
            [1, N, *self._sizes],
            False,
            False,
            1,
            0,
            x.data_ptr(),
            [s.data_ptr() for s in old],
            self._no_parameters,
            self._no_masks,
            self._no_zone,
            0,
            at[0],
            at,
            self._packed,
        )
        return new


def _check(name: str, tensor: Tensor, shape: tuple[int, int]) -> None:
    if tensor.shape != shape or tensor.dtype != torch.float32 or tensor.device.type != "cpu":
        raise ShapeError(
            f"{name}: got {tuple(tensor.shape)} {tensor.dtype} on {tensor.device}, expected {shape} float32 on the CPU."
        )
