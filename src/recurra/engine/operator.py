"""The native engine as an operator of torch, for who records calls to run them later: torch.compile, export, jit.trace.

They see one node, `recurra::recurrence`, with its shapes and its gradient. What is not recorded goes to `engine.cpu`
directly, which is faster. The backward operator runs the forward pass once more: a tape has no place in a graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from recurra.base.errors import ShapeError
from recurra.cells import BUILT_IN, CELLS, Cell
from recurra.engine import cpu, reference
from recurra.engine.call import Call, Result, Zoneout
from recurra.engine.memory import in_order
from recurra.engine.weights import Weights
from recurra.lower import layout

# In the place of a probability: the next of the zoneout masks is this state's.
MASKED = -1.0
_CALL = (
    "Tensor x, Tensor[] states, Tensor[] parameters, Tensor? lengths, Tensor[] zone_masks, Tensor? mask, "
    "str cell, bool reverse, float[] zone"
)
_library = torch.library.Library("recurra", "DEF")  # type: ignore[no-untyped-call]
_library.define(f"recurrence({_CALL}) -> Tensor[]")  # type: ignore[no-untyped-call]
_library.define(  # type: ignore[no-untyped-call]
    f"recurrence_backward({_CALL}, Tensor[] results, Tensor?[] tops, bool[] wanted) -> Tensor[]"
)


def has_operator(cell: Cell) -> bool:
    """Whether the operator knows a cell: a built-in one, whose name says all, if the native engine is there."""
    return cpu.available() and cell.name in BUILT_IN and CELLS[cell.name] is cell


def fits(call: Call, backend: str) -> bool:
    """Whether a call with this backend can be recorded as the operator, which rounds nothing."""
    x, compact = call.x, call.weights.compact
    if compact is not None and compact.rounds_arguments:
        return False
    return backend in ("auto", "cpu") and x.dtype is torch.float32 and x.device.type == "cpu"


def run(call: Call) -> Result:
    """Record one layer in one direction."""
    zoneout = call.zoneout or (None,) * len(call.states)
    output, *states = torch.ops.recurra.recurrence(
        call.x,
        list(call.states),
        list(call.weights.packed.values()),
        call.lengths,
        [z for z in zoneout if isinstance(z, Tensor)],
        call.recurrent_mask,
        call.cell.name,
        call.reverse,
        [MASKED if isinstance(z, Tensor) else 0.0 if z is None else z for z in zoneout],
    )
    return Result(output, tuple(states))


def _call(
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None,
    zone_masks: Sequence[Tensor],
    mask: Tensor | None,
    cell: str,
    reverse: bool,
    zone: Sequence[float],
) -> Call:
    """What the operator's arguments mean."""
    kind = CELLS[cell]
    names = [p.name for p in layout(kind)]
    if len(names) != len(parameters):
        names = [p.name for p in layout(kind, bias=False)]
    masks = iter(zone_masks)
    zoneout: tuple[Zoneout, ...] = tuple([next(masks) if p == MASKED else p or None for p in zone])
    weights = Weights(kind, dict(zip(names, map(in_order, parameters), strict=True)))
    return Call(in_order(x), tuple(map(in_order, states)), weights, lengths, reverse, zoneout, mask)


def _forward(*arguments: Any) -> list[Tensor]:
    call = _call(*arguments)
    if (
        call.lengths is not None
        and call.lengths.numel()
        and not 0 <= int(call.lengths.min()) <= int(call.lengths.max()) <= len(call.x)
    ):
        raise ShapeError(f"lengths are {call.lengths.tolist()}, expected 0 to T = {len(call.x)}.")
    if call.x.numel():
        return cpu.forward(call)
    result = reference.run(call)
    return [result.output.clone(), *(state.clone() for state in result.states)]


def _backward(*arguments: Any) -> list[Tensor]:
    *given, results, tops, wanted = arguments
    call = _call(*given)
    if call.x.numel():
        return cpu.backward(call, results, tops, wanted)
    # Without a step the last states are the first ones.
    made = [torch.zeros_like(t) for t in call.tensors]
    for k, top in enumerate(tops[1:], start=1):
        made[k] = torch.zeros_like(call.states[k - 1]) if top is None else top.clone()
    return [d for d, w in zip(made, wanted, strict=True) if w]


def _shapes(x: Tensor, states: Sequence[Tensor], *rest: Any) -> list[Tensor]:
    T, N, _ = x.shape
    return [x.new_empty(T, N, states[0].shape[1]), *(s.new_empty(N, s.shape[1]) for s in states)]


def _gradient_shapes(x: Tensor, states: Sequence[Tensor], parameters: Sequence[Tensor], *rest: Any) -> list[Tensor]:
    return [t.new_empty(t.shape) for t, w in zip((x, *states, *parameters), rest[-1], strict=True) if w]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Sequence[Tensor]) -> None:
    x, states, parameters, lengths, zone_masks, mask, *ctx.rest = inputs
    ctx.counts = len(states), len(parameters), len(zone_masks)
    ctx.save_for_backward(x, *states, *parameters, lengths, *zone_masks, mask, *output)


def _gradients(ctx: Any, tops: Sequence[Tensor | None]) -> tuple[Any, ...]:
    S, P, Z = ctx.counts
    x, *rest = ctx.saved_tensors
    states, parameters = rest[:S], rest[S : S + P]
    lengths, *rest = rest[S + P :]
    zone_masks, mask, results = rest[:Z], rest[Z], rest[Z + 1 :]
    of_x, of_states, of_parameters = ctx.needs_input_grad[:3]
    wanted = [of_x, *of_states, *of_parameters]
    made = iter(
        torch.ops.recurra.recurrence_backward(
            x, states, parameters, lengths, zone_masks, mask, *ctx.rest, results, list(tops), wanted
        )
    )
    found = [next(made) if w else None for w in wanted]
    return found[0], found[1 : 1 + S], found[1 + S :], None, [None] * Z, None, None, None, None


_library.impl("recurrence", _forward, "CPU")  # type: ignore[no-untyped-call]
_library.impl("recurrence_backward", _backward, "CPU")  # type: ignore[no-untyped-call]
torch.library.register_fake("recurra::recurrence", _shapes, lib=_library)
torch.library.register_fake("recurra::recurrence_backward", _gradient_shapes, lib=_library)
torch.library.register_autograd("recurra::recurrence", _gradients, setup_context=_keep, lib=_library)
