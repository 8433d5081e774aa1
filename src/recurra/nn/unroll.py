"""Recurrent layers one differentiable step at a time, for a decoder whose next input depends on its last output.

The step comes from the cell's graph, as everything does: its sums of products (`lower.sums`) are matrix products on top
of what is known beforehand, one for all that share an argument, and the rest is unit-wise.

Weight gradients are not made step by step. A pre-activation is a_t = base_t + v_t W^T, so dL/dbase_t = dL/da_t, and
dL/dW = sum over t of da_t^T v_t is one product of what arrives at base, all rows of all steps, and the v in the same
order. Step by step it would be S small products, and S additions to a matrix that is larger than the caches.

Steps may have fewer rows than the ones before. So everything that is known beforehand is packed: the N_0 rows of the
first step, then the N_1 of the second, and so on, R in all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear, logsigmoid

from recurra.base.errors import RunError
from recurra.cells import Cell
from recurra.cells.language import log_nonzero
from recurra.engine import Weights, masked
from recurra.engine.step_recording import Recorder
from recurra.lower import Graph, Node, recurrent_width, trace
from recurra.lower.sums import Slot, Sums, find_sums
from recurra.nn.dropout import dropout, locked_mask, zoneout_mask
from recurra.nn.recurrent import Recurrent

States = tuple[Tensor, ...]
# Of a sum: (group, place in it) of each slot, and the places of the other values that are added.
_Terms = tuple[tuple[tuple[int, int], ...], tuple[int, ...]]
_Zoneout = Sequence[Tensor] | float | None


class Unrolled:
    """The layers of one direction, prepared once for all steps.

    layers:  a Recurrent of one direction
    known:   (R, K), the first K features of the first layer's input, packed; the others come with each step
    heights: rows of each step, never more than of the one before; those that go on are the first ones. Their sum is R
    In training mode the layers' dropouts act, with locked masks drawn here. Each step is taken once, in order, and then
    `finish` is called: it completes the gradients, which cannot be differentiated again.
    """

    def __init__(self, layers: Recurrent, known: Tensor, heights: Sequence[int]) -> None:
        self.between = layers.dropout if layers.training else 0.0
        nothing = known[..., :0]
        self.layers = [
            _Layer(
                layers.weights_of(k, 0),
                nothing if k else known,
                heights,
                _Masks.draw(layers, known, heights, layers.output_size if k else layers.input_size),
            )
            for k in range(layers.num_layers)
        ]
        self.watch = layers.watch
        if self.watch is not None:
            for layer in self.layers:
                layer.recorder = Recorder(layers.cell)

    def step(self, t: int, x: Tensor | None, states: Sequence[States]) -> tuple[States, ...]:
        """All layers' states after step t, from their states before and x (N_t, I - K), None if nothing is left."""
        new: list[States] = []
        for layer, old in zip(self.layers, states, strict=True):
            if new:
                x = dropout(new[-1][0], self.between)
            new.append(layer.step(t, x, old))
        return tuple(new)

    def finish(self) -> None:
        """All steps are taken: keep what the weight gradients need."""
        for k, layer in enumerate(self.layers):
            for sums in layer.sums:
                sums.box.close()
            if self.watch is not None and layer.recorder is not None:
                self.watch(k, 0, layer.recorder.trail())


@dataclass(frozen=True, slots=True)
class _Masks:
    """What the dropouts of one layer select: input (N_0, I), recurrent (N_0, width), and zoneout, state by state.

    zoneout: a mask (N_t, width) a step in training, else a probability, or None
    """

    input: Tensor | None
    recurrent: Tensor | None
    zoneout: tuple[_Zoneout, ...]

    @classmethod
    def draw(cls, layers: Recurrent, like: Tensor, heights: Sequence[int], input_size: int) -> _Masks:
        R, N = len(like), heights[0]
        packed = (
            zoneout_mask(like, (R, width), p, training=layers.training)
            for p, width in zip(layers.zoneout, layers.state_sizes(), strict=True)
        )
        zoneout = tuple(torch.split(mask, list(heights)) if isinstance(mask, Tensor) else mask for mask in packed)
        p = layers.variational_dropout
        if not (p and layers.training):
            return cls(None, None, zoneout)
        width = layers.proj_size if recurrent_width(layers.cell) == "P" else layers.hidden_size
        return cls(locked_mask(like, (N, input_size), p), locked_mask(like, (N, width), p), zoneout)


@dataclass(frozen=True, slots=True)
class _Group:
    """Slots of a step that are one product: the same argument, and an input product in all of them or in none.

    argument: the place of what the inner product takes; None if there is none      kind: "R", "P", or "" for none
    """

    argument: int | None
    kind: str
    slots: list[Slot] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Plan:
    """One step of a cell. order: places of the values to compute; terms: place -> (group, slot) pairs, and the rest."""

    nodes: tuple[Node, ...]
    order: tuple[int, ...]
    terms: Mapping[int, _Terms]
    groups: tuple[_Group, ...]
    states: tuple[int | None, ...]
    results: tuple[int, ...]


@cache
def _plan(cell: Cell) -> _Plan:
    graph = trace(cell)
    sums = find_sums(graph, set())
    groups, terms = _grouped(graph, sums)
    states = {node.name: at for at, node in enumerate(graph.nodes) if node.kind == "state"}
    given = sums.absorbed | {at for at, node in enumerate(graph.nodes) if node.kind in ("x", "state", "const")}
    return _Plan(
        graph.nodes,
        tuple(at for at in range(len(graph.nodes)) if at not in given),
        terms,
        groups,
        tuple(states.get(name) for name in cell.states),
        tuple(graph.outputs[name] for name in cell.states),
    )


def _grouped(graph: Graph, sums: Sums) -> tuple[tuple[_Group, ...], dict[int, _Terms]]:
    """The slots of all sums in groups, and for each sum where its slots are and what else is added."""
    groups: dict[tuple[int | None, str, bool], _Group] = {}
    terms: dict[int, _Terms] = {}
    for at, (slots, rest) in sorted(sums.terms.items()):
        places = []
        for slot in slots:
            inner = graph.nodes[slot.inner[0]] if slot.inner else None
            key = (inner.args[0] if inner else None, inner.kind if inner else "", slot.W is not None)
            group = groups.setdefault(key, _Group(*key[:2]))
            places.append((list(groups).index(key), len(group.slots)))
            group.slots.append(slot)
        terms[at] = (tuple(places), tuple(rest))
    return tuple(groups.values()), terms


class _Layer:
    """One layer: its plan, its parameters, and its sums of products."""

    def __init__(self, weights: Weights, known: Tensor, heights: Sequence[int], masks: _Masks) -> None:
        self.recorder: Recorder | None = None
        self.plan = _plan(weights.cell)
        self.kinds = weights.by_kind()
        self.masks = masks
        K = known.shape[1]
        self.rest_mask = None if masks.input is None else masks.input[:, K:]
        if masks.input is not None:
            known = masked(known, torch.cat([masks.input[:rows, :K] for rows in heights]))
        self.rounded = weights.argument
        known = self.rounded(known)
        self.sums = [_Sums(group, self.plan.nodes, self.kinds, known, heights) for group in self.plan.groups]
        self.constants = {at: known.new_tensor(n.value) for at, n in enumerate(self.plan.nodes) if n.kind == "const"}

    def step(self, t: int, x: Tensor | None, states: States) -> States:
        if x is not None and self.rest_mask is not None:
            x = masked(x, self.rest_mask[: len(x)])
        x = None if x is None else self.rounded(x)
        if self.recorder is not None:
            states = self.recorder.enter(states)
        values = dict(self.constants)
        values.update((at, s) for at, s in zip(self.plan.states, states, strict=True) if at is not None)
        done: dict[int, Sequence[Tensor]] = {}
        for at in self.plan.order:
            if at in self.plan.terms:
                values[at] = self._sum(at, t, x, values, done)
            else:
                values[at] = self._value(self.plan.nodes[at], values)
        new = (values[at] for at in self.plan.results)
        after = tuple(_zone(z, t, old, s) for z, old, s in zip(self.masks.zoneout, states, new, strict=True))
        if self.recorder is not None:
            self.recorder.keep(values)
            self.recorder.leave(t, after, None)
        return after

    def _sum(
        self, at: int, t: int, x: Tensor | None, values: Mapping[int, Tensor], done: dict[int, Sequence[Tensor]]
    ) -> Tensor:
        """A sum of products: its slots, computed with all others of their group, and what else is added."""
        places, rest = self.plan.terms[at]
        for k, _ in places:
            if k not in done:
                done[k] = self.sums[k](t, x, self._argument(self.plan.groups[k], values))
        total, *others = [done[k][place] for k, place in places] + [values[a] for a in rest]
        for other in others:
            total = total + other
        return total

    def _argument(self, group: _Group, values: Mapping[int, Tensor]) -> Tensor | None:
        if group.argument is None:
            return None
        argument, mask = values[group.argument], self.masks.recurrent
        dropped = argument if mask is None or group.kind != "R" else masked(argument, mask[: len(argument)])
        return self.rounded(dropped)

    def _value(self, node: Node, values: Mapping[int, Tensor]) -> Tensor:
        if not node.args:
            return self.kinds[node.kind][node.name] if node.kind in self.kinds else _no_bias(values)
        arguments = [values[a] for a in node.args]
        if node.kind == "mean":
            return arguments[0].mean(-1, keepdim=True)
        if node.kind == "log_sigmoid":
            return logsigmoid(*arguments)
        if node.kind == "log_nonzero":
            return log_nonzero(*arguments)  # type: ignore[no-any-return]
        value: Tensor = getattr(torch, node.kind)(*arguments)
        return value


def _no_bias(values: Mapping[int, Tensor]) -> Tensor:
    """The bias of a layer that has none."""
    return next(iter(values.values())).new_zeros(())


def _zone(zoneout: _Zoneout, t: int, old: Tensor, new: Tensor) -> Tensor:
    """Keep the old value where zoneout says so; in evaluation, its expectation (Krueger et al. 2017, eq. 3)."""
    if zoneout is None:
        return new
    return zoneout * old + (1 - zoneout) * new if isinstance(zoneout, float) else torch.where(zoneout[t], old, new)


class _Sums:
    """The products of one group at every step: base_t, plus the rest of the input, plus the inner product."""

    def __init__(
        self,
        group: _Group,
        nodes: Sequence[Node],
        kinds: Mapping[str, Mapping[str, Tensor]],
        known: Tensor,
        heights: Sequence[int],
    ) -> None:
        K = known.shape[1]
        inner = [kinds[group.kind][nodes[slot.inner[0]].name] for slot in group.slots if slot.inner]
        inputs = [kinds["W"][nodes[slot.W].name] for slot in group.slots if slot.W is not None]
        self.rows = [len(weight) for weight in inner or inputs]
        W = torch.cat(inputs) if inputs else None
        self.inner = torch.cat(inner) if inner else None
        self.rest = None if W is None or W.shape[1] == K else W[:, K:]
        bias = torch.cat(
            [_bias(slot, nodes, kinds, known, rows) for slot, rows in zip(group.slots, self.rows, strict=True)]
        )
        base = bias.expand(len(known), -1) if W is None or not K else linear(known, W[:, :K], bias)
        self.box = _Box()
        if torch.is_grad_enabled():
            base = _Base.apply(self.box, base, self.rest, self.inner)  # type: ignore[no-untyped-call]
        self.base = torch.split(base, list(heights))
        # Detached: their gradients are made by _Base, for all steps at once.
        self.rest_t, self.inner_t = (None if w is None else w.detach().t() for w in (self.rest, self.inner))

    def __call__(self, t: int, x: Tensor | None, argument: Tensor | None) -> Sequence[Tensor]:
        """One value a slot, (N_t, H) each."""
        a = self.base[t]
        if self.rest_t is not None:
            assert x is not None
            self.box.take(self.box.inputs, x)
            a = torch.addmm(a, x, self.rest_t)
        if self.inner_t is not None:
            assert argument is not None
            self.box.take(self.box.arguments, argument)
            a = torch.addmm(a, argument, self.inner_t)
        return torch.split(a, self.rows, 1)


def _bias(
    slot: Slot, nodes: Sequence[Node], kinds: Mapping[str, Mapping[str, Tensor]], like: Tensor, rows: int
) -> Tensor:
    """The sum of a slot's biases, zeros where the layer has none."""
    found = [kinds[n.kind][n.name] for n in (nodes[at] for at in slot.biases) if n.name in kinds.get(n.kind, ())]
    return torch.stack(found).sum(0) if found else like.new_zeros(rows)


class _Box:
    """What the products took, step by step; `close` makes one tensor of each."""

    def __init__(self) -> None:
        self.inputs: list[tuple[Tensor, int]] = []
        self.arguments: list[tuple[Tensor, int]] = []
        self.stacked: tuple[Tensor | None, Tensor | None] = (None, None)

    def take(self, kept: list[tuple[Tensor, int]], tensor: Tensor) -> None:
        kept.append((tensor.detach(), _version(tensor)))

    def close(self) -> None:
        x, v = (_joined(kept) if kept else None for kept in (self.inputs, self.arguments))
        self.stacked = (x, v)
        self.inputs, self.arguments = [], []


def _joined(kept: Sequence[tuple[Tensor, int]]) -> Tensor:
    """One tensor of all. Raises RunError if one is not any more what the step took."""
    if any(_version(tensor) != version for tensor, version in kept):
        raise RunError(
            "an input or a state of an unrolled layer has been modified by an inplace operation before finish(), and "
            "the gradients need it as it was: give each step a tensor that nothing writes to."
        )
    return torch.cat([tensor for tensor, _ in kept])


def _version(tensor: Tensor) -> int:
    """How often a tensor has been written to, as torch counts; it does not count in inference mode."""
    return 0 if tensor.is_inference() else tensor._version


class _Base(torch.autograd.Function):
    """Lets `base` through; on the way back, makes the weights' gradients of everything that was added to it."""

    @staticmethod
    def forward(ctx: Any, box: _Box, base: Tensor, rest: Tensor | None, inner: Tensor | None) -> Tensor:
        ctx.box = box
        return base.view_as(base)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:
        products = (None if v is None else d.t() @ v for v in ctx.box.stacked)
        return None, d, *products
