"""The fused CPU engine as an executor: checks at the door, then one native call a layer and direction.

float32 only. Same bits for any number of threads; a sequence has the same bits alone and in any batch.
`RECURRA_ISA` (avx512, avx2, portable) forces an instruction set; the default is the best that the processor has.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn

import torch
from torch import Tensor

from recurra.base.errors import ConfigError, RecurraError, RunError, ShapeError, did_you_mean
from recurra.cells import CELLS, Cell
from recurra.engine import user_cell
from recurra.engine.call import Call, Result, Zoneout
from recurra.engine.weights import Weights
from recurra.lower import layout, recurrent_width
from recurra.lower.program import PARAMETERS

_native: Any = None
with contextlib.suppress(ImportError):  # absent if recurra was installed without a compiler
    _native = importlib.import_module("recurra.engine._native")

_log = logging.getLogger("recurra")

# Below this many operations a step, two threads lose more at the barrier (about 1 us) than they win.
SMALLEST_SHARED_STEP = 1_000_000
SMALLEST_SHARED_CALL = 4_000_000


def available() -> bool:
    """Whether this installation has the native engine."""
    return _native is not None


def instruction_sets() -> tuple[str, ...]:
    """The instruction sets that the engine can use on this processor, the fastest first."""
    return tuple(_native.isas()) if available() else ()


def instruction_set() -> str:
    """The one in use: the fastest, or what RECURRA_ISA asks for.

    Raises ConfigError if RECURRA_ISA names none that this processor has.
    """
    names, wanted = instruction_sets(), os.environ.get("RECURRA_ISA")
    if wanted is None:
        return names[0]
    if wanted not in names:
        hint = did_you_mean(wanted, names) or f" This processor has: {', '.join(names)}."
        raise ConfigError(f"RECURRA_ISA: unknown instruction set '{wanted}'.{hint}")
    return wanted


@cache
def kernel_of(cell: Cell, isa: str) -> tuple[Any, str]:
    """The native kernel of a cell and "", or None and the reason. A user's cell is compiled at first use."""
    try:
        if cell.name in CELLS and CELLS[cell.name] is cell:
            return _native.Kernel(isa, cell.name, ""), ""
        return _native.Kernel(isa, cell.name, str(user_cell.library(cell, isa))), ""
    except (RecurraError, ValueError, OSError) as error:
        # Said once: the result is cached.
        _log.warning("cell '%s' runs on the reference executor, which is slower: %s", cell.name, error)
        return None, str(error)


def refusal(call: Call) -> str | None:
    """Why this call cannot run here, or None if it can."""
    tensors = [call.x, *call.states, *call.weights.packed.values()]
    if any(type(t) not in (Tensor, torch.nn.Parameter) for t in tensors):
        return "it takes plain tensors"
    if any(t.device.type != "cpu" for t in tensors):
        return "it takes tensors on the CPU"
    if any(t.dtype != torch.float32 for t in tensors):
        return "it takes float32"
    if call.x.numel() == 0:
        return "the input is empty"
    masks = [m for m in (call.recurrent_mask, *call.zoneout) if isinstance(m, Tensor)]
    if any(m.requires_grad for m in masks):
        return "it gives masks no gradient"
    if not available():
        return _without_compiler()
    return kernel_of(call.cell, instruction_set())[1] or None


@cache
def _without_compiler() -> str:
    reason = "recurra was installed without its native engine (pip install . with a C++ compiler builds it)"
    _log.warning("%s; cells run on slower executors", reason)
    return reason


def run(call: Call) -> Result:
    """One layer in one direction over all time steps. See `engine.call` for the shapes.

    Raises ShapeError if the sizes do not fit one another. `refusal` must have been asked.
    """
    tensors = (call.x, *call.states, *call.weights.packed.values())
    plan = _Plan.of(call)
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        output, *states = _Recurrence.apply(plan, *tensors)  # type: ignore[no-untyped-call]
    else:
        output, states, _ = plan.forward([t.detach().contiguous() for t in tensors], training=False)
    return Result(output, tuple(states))


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a native call needs beside the tensors that have gradients: those are x, the states, the parameters."""

    cell: Cell
    kernel: Any
    names: tuple[str, ...]
    sizes: list[int]
    widths: tuple[int, ...]
    reverse: bool
    lengths: Tensor | None
    zone_masks: tuple[Tensor | None, ...]
    zone: list[float]
    mask: Tensor | None
    threads: int

    @classmethod
    def of(cls, call: Call) -> _Plan:
        """Check every size, once. Raises ShapeError."""
        cell, (T, N, I) = call.cell, _three(call.x)
        by_width = sizes(call.weights, I)
        widths = tuple(by_width[cell.size(name)] for name in cell.states)
        _expect("the number of states", len(call.states), len(cell.states))
        for name, state, width in zip(cell.states, call.states, widths, strict=True):
            _expect(f"initial state {name}", tuple(state.shape), (N, width))
        lengths = call.lengths
        if lengths is not None:
            _expect("lengths", tuple(lengths.shape), (N,))
            lengths = lengths.to(torch.int64).contiguous()
        zoneout = call.zoneout or (None,) * len(widths)
        _expect("the number of zoneouts", len(zoneout), len(widths))
        masks = tuple(_zone_mask(z, (T, N, w)) for z, w in zip(zoneout, widths, strict=True))
        mask = call.recurrent_mask
        if mask is not None:
            _expect("recurrent_mask", tuple(mask.shape), (N, by_width[recurrent_width(cell)]))
            mask = mask.to(torch.float32).contiguous()
        return cls(
            cell,
            kernel_of(cell, instruction_set())[0],
            tuple(call.weights.packed),
            [T, N, I, by_width["H"], by_width["P"]],
            widths,
            call.reverse,
            lengths,
            masks,
            [z if isinstance(z, float) else 0.0 for z in zoneout],
            mask,
            _threads(call, N),
        )

    def common(self, tensors: list[Tensor], output: Tensor) -> tuple[Any, ...]:
        """Inputs of the native call, as addresses."""
        S = len(self.widths)
        parameters = dict(zip(self.names, tensors[1 + S :], strict=True))
        return (
            _address(self.lengths),
            tensors[0].data_ptr(),
            [t.data_ptr() for t in tensors[1 : 1 + S]],
            [_address(parameters.get(name)) for name in PARAMETERS],
            [_address(m) for m in self.zone_masks],
            self.zone,
            _address(self.mask),
            output.data_ptr(),
        )

    def forward(self, tensors: list[Tensor], *, training: bool) -> tuple[Tensor, list[Tensor], Any]:
        """Output, final states and the tape, from contiguous tensors."""
        T, N = self.sizes[:2]
        output = torch.empty(T, N, self.widths[0])
        finals = [torch.empty(N, w) for w in self.widths]
        common = self.common(tensors, output)
        addresses = [t.data_ptr() for t in finals]
        try:
            tape = self.kernel.forward(self.sizes, self.reverse, training, self.threads, *common, addresses)
        except ValueError as error:
            raise ShapeError(f"{self.cell.name}: {error}") from None
        return output, finals, tape

    def backward(
        self, tape: Any, tensors: list[Tensor], output: Tensor, d_out: list[Tensor], wanted: list[bool]
    ) -> list[Tensor | None]:
        """Gradients to x, states and parameters, None where not wanted."""
        S = len(self.widths)
        made = [
            torch.empty_like(t) if w or 0 < k <= S else None
            for k, (t, w) in enumerate(zip(tensors, wanted, strict=True))
        ]
        parameters = dict(zip(self.names, made[1 + S :], strict=True))
        self.kernel.backward(
            tape,
            self.sizes,
            self.reverse,
            self.threads,
            *self.common(tensors, output),
            d_out[0].data_ptr(),
            [d.data_ptr() for d in d_out[1:]],
            _address(made[0]),
            [_address(d) for d in made[1 : 1 + S]],
            [_address(parameters.get(name)) for name in PARAMETERS],
        )
        return [d if w else None for d, w in zip(made, wanted, strict=True)]


class _Recurrence(torch.autograd.Function):
    """The native engine for torch's autograd. Second derivatives are refused, not wrong."""

    @staticmethod
    def forward(ctx: Any, plan: _Plan, *tensors: Tensor) -> tuple[Tensor, ...]:
        kept = [t.contiguous() for t in tensors]
        output, finals, ctx.tape = plan.forward(kept, training=True)
        ctx.plan = plan
        ctx.save_for_backward(output, *kept)
        return output, *finals

    @staticmethod
    def backward(ctx: Any, *d_out: Tensor) -> tuple[Tensor | None, ...]:
        output, *tensors = ctx.saved_tensors
        wanted = list(ctx.needs_input_grad[1:])
        # The backward pass writes over the tape; whoever asks again (retain_graph=True) waits for it to be made again.
        tape, ctx.tape = ctx.tape, None
        with torch.no_grad():
            tape = tape or ctx.plan.forward(tensors, training=True)[2]
            made = ctx.plan.backward(tape, tensors, output, [d.contiguous() for d in d_out], wanted)
        if not torch.is_grad_enabled():
            return None, *made
        # create_graph=True: these gradients depend on all of the inputs, in a way that this engine does not know.
        inputs = (*tensors, *d_out)
        return None, *(d if d is None else _Last.apply(d, *inputs) for d in made)  # type: ignore[no-untyped-call]


class _Last(torch.autograd.Function):
    """A gradient that cannot be differentiated again."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *inputs: Tensor) -> Tensor:
        return gradient.clone()

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> NoReturn:
        raise RunError('backend "cpu" has no second derivatives; use backend="reference".')


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _expect(thing: str, got: object, expected: object) -> None:
    if got != expected:
        raise ShapeError(f"{thing}: got {got}, expected {expected}.")


def _three(x: Tensor) -> tuple[int, int, int]:
    if x.dim() != 3:
        raise ShapeError(f"the input has shape {tuple(x.shape)}, expected (T, N, I): time, batch, features.")
    T, N, I = x.shape
    return T, N, I


def sizes(weights: Weights, I: int) -> dict[str, int]:
    """Sizes by width, read from the weights. Raises ShapeError unless every packed parameter agrees."""
    packed, cell = weights.packed, weights.cell
    parameters = layout(cell, bias="bias_ih" in packed)
    _expect(f"{cell.name}: parameters", set(packed), {p.name for p in parameters})
    found = {"I": I, "P": 1}
    for p in parameters:
        found[p.rows] = packed[p.name].shape[0] // len(p.gates)
    for p in parameters:
        _expect(p.name, tuple(packed[p.name].shape), p.shape(found))
    return found


def _zone_mask(zoneout: Zoneout, shape: tuple[int, int, int]) -> Tensor | None:
    if not isinstance(zoneout, Tensor):
        return None
    _expect("a zoneout mask", tuple(zoneout.shape), shape)
    return zoneout.to(torch.bool).contiguous()


def _threads(call: Call, N: int) -> int:
    """As many as torch has, unless the work is too small to be shared."""
    threads = torch.get_num_threads()
    numbers = sum(t.numel() for t in call.weights.packed.values())
    step = 2 * N * numbers
    if step * call.x.shape[0] < SMALLEST_SHARED_CALL or (threads * 8 > N and step < SMALLEST_SHARED_STEP):
        return 1
    return threads
