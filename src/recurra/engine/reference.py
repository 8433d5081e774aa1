"""The reference executor: the cell's own equations, called with tensors, step by step. The specification.

torch differentiates it, on any device and in any floating type. What does not wait for the state is one product for
all steps; products that share their argument are one product a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recurra.cells import Cell
from recurra.engine.call import Call, Result, Zoneout, masked, without_padding
from recurra.engine.weights import Weights
from recurra.lower import trace

if TYPE_CHECKING:
    from recurra.engine.step_recording import Recorder


def run(call: Call, watch: Recorder | None = None) -> Result:
    """One layer in one direction over all time steps. See `engine.call` for the shapes.

    The mask law: where a step is padding, each state stays as it was and the output is zero. It selects and never
    multiplies, so a NaN in the padding reaches nothing, gradients included.
    """
    x, lengths = call.x, call.lengths
    T = len(x)
    longest, shortest = (T, T) if lengths is None else _extent(lengths)
    p = _StepParameters(call.weights, call.recurrent_mask)
    Wx = _hoist(without_padding(x[:longest], lengths), call.weights)
    states = call.states
    zoneout = call.zoneout or (None,) * len(states)
    step = call.cell.step if watch is None else watch.step
    outputs: list[Tensor] = []
    for t in range(longest - 1, -1, -1) if call.reverse else range(longest):
        p.begin(Wx[t])
        states = states if watch is None else watch.enter(states)
        new = step(x[t], states, p)
        new = tuple(_zone(z, t, old, s) for z, old, s in zip(zoneout, states, new, strict=True))
        if t >= shortest:
            assert lengths is not None
            real = (lengths > t).unsqueeze(1)
            new = tuple(torch.where(real, s, old) for s, old in zip(new, states, strict=True))
            outputs.append(torch.where(real, new[0], torch.zeros_like(new[0])))
        else:
            outputs.append(new[0])
        states = new
        if watch is not None:
            watch.leave(t, states, None if lengths is None else lengths > t)
    if call.reverse:
        outputs.reverse()
    output = _stack(outputs, T, states[0])
    return Result(output, states) if longest else _untouched(call, output)


def branches(weights: Weights, Wx: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """All states (B, N, width) after one step of each row in B ways, from its states (N, width) before.

    Wx: (B, N, G*H), W x of each way. What is multiplied with the states as they are is multiplied once for all ways.
    """
    p = _StepParameters(weights, None)
    p.begin(Wx)
    after: tuple[Tensor, ...] = weights.cell.step(Wx, tuple(s.unsqueeze(0) for s in states), p)
    return after


def _extent(lengths: Tensor) -> tuple[int, int]:
    """The longest and the shortest length: steps before the shortest need no mask, steps after the longest no work."""
    longest, shortest = torch.stack([lengths.max(), lengths.min()]).tolist() if lengths.numel() else (0, 0)
    return longest, shortest


def _stack(outputs: list[Tensor], T: int, like: Tensor) -> Tensor:
    """(T, N, H), with zeros after the longest sequence."""
    padding = [torch.zeros_like(like)] * (T - len(outputs))
    return torch.stack(outputs + padding) if T else like.new_zeros((0, *like.shape))


def _untouched(call: Call, output: Tensor) -> Result:
    """Of no steps at all: zeros and the first states, whose gradients to everything are defined, and zero."""
    nothing = torch.stack([t.flatten()[:0].sum() for t in call.tensors]).sum().to(output.dtype)
    # a - 0 is a for every a, -0 and NaN too.
    return Result(output - nothing, tuple(s - nothing for s in call.states))


def _hoist(x: Tensor, weights: Weights) -> Sequence[Tensor]:
    """W x for all steps and gates: T tensors (N, G*H)."""
    # One GEMM for all steps: W x_t does not wait for h. unbind, since indexing T times would make T gradients of
    # the whole tensor, which is quadratic in T.
    return torch.nn.functional.linear(weights.argument(x), weights.packed["weight_ih"]).unbind(0)


def _zone(zoneout: Zoneout, t: int, old: Tensor, new: Tensor) -> Tensor:
    """Keep a state's old value where zoneout says so; in evaluation, its expectation (Krueger et al. 2017, eq. 3)."""
    if zoneout is None:
        return new
    if isinstance(zoneout, float):
        return zoneout * old + (1 - zoneout) * new
    return torch.where(zoneout[t], old, new)


class _StepParameters:
    """The `p` of the equations, for tensors. `begin` moves it to the next step."""

    def __init__(self, weights: Weights, recurrent_mask: Tensor | None) -> None:
        self.mask = recurrent_mask
        self.argument = weights.argument
        self.kinds = weights.by_kind()
        self.no_bias = weights.packed["weight_ih"].new_zeros(())
        self.input_gates = {gate: k for k, gate in enumerate(self.kinds["W"])}
        self.waves = _waves(weights.cell)
        self.wave_weights = {
            wave: torch.cat([self.kinds["R"][gate] for gate in wave]) for wave in set(self.waves.values())
        }
        self.products: dict[str, Tensor] = {}
        self.Wx: tuple[Tensor, ...] = ()

    def begin(self, Wx: Tensor) -> None:
        self.Wx = Wx.chunk(len(self.input_gates), -1)
        self.products = {}

    def W(self, gate: str, x: Tensor) -> Tensor:
        return self.Wx[self.input_gates[gate]]

    def R(self, gate: str, h: Tensor) -> Tensor:
        if gate not in self.products:
            wave = self.waves[gate]
            h = h if self.mask is None else masked(h, self.mask)
            blocks = torch.nn.functional.linear(self.argument(h), self.wave_weights[wave]).chunk(len(wave), -1)
            self.products.update(zip(wave, blocks, strict=True))
        return self.products[gate]

    def P(self, gate: str, h: Tensor) -> Tensor:
        return torch.nn.functional.linear(self.argument(h), self.kinds["P"][gate])

    def b(self, gate: str) -> Tensor:
        return self.kinds["b"][gate] if "b" in self.kinds else self.no_bias

    def b_R(self, gate: str) -> Tensor:
        return self.kinds["b_R"][gate] if "b_R" in self.kinds else self.no_bias

    def v(self, gate: str) -> Tensor:
        return self.kinds["v"][gate]

    def gain(self, gate: str) -> Tensor:
        return self.kinds["gain"][gate]


@cache
def _waves(cell: Cell) -> dict[str, tuple[str, ...]]:
    """For each recurrent gate, the gates whose products take the same value, itself among them."""
    products = [n for n in trace(cell).nodes if n.kind == "R"]
    by_argument: dict[int, list[str]] = {}
    for node in products:
        by_argument.setdefault(node.args[0], []).append(node.name)
    return {node.name: tuple(by_argument[node.args[0]]) for node in products}
