"""The fused CPU engine as an executor: checks at the door, then one native call a layer and direction.

float32 only. Same bits for any number of threads; a sequence has the same bits alone and in any batch.
`RECURRA_ISA` (avx512, avx2, portable) forces an instruction set; the default is the best that the processor has.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import accumulate, islice
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.base.errors import ConfigError, RecurraError, RunError, ShapeError, did_you_mean
from recurra.cells import BUILT_IN, CELLS, Cell
from recurra.engine import user_cell
from recurra.engine.call import Call, Result, Zoneout, batched, transformed
from recurra.engine.compact import FLOAT32, NUMBERS, Compact
from recurra.engine.double_backward import refuse_double_backward
from recurra.engine.memory import PLAIN, address, in_order, kinds, restored
from recurra.engine.weights import Weights
from recurra.lower import layout, recurrent_width
from recurra.lower.program import PARAMETERS

_native: Any = None
with contextlib.suppress(ImportError):  # absent if recurra was installed without a compiler
    _native = importlib.import_module("recurra.engine._native")
    if not _native.isas():  # compiled for another machine alone
        _native = None

_log = logging.getLogger("recurra")

# Below this many operations a step, two threads lose more at the barrier (about 1 us) than they win.
SMALLEST_SHARED_STEP = 1_000_000
SMALLEST_SHARED_CALL = 4_000_000


def available() -> bool:
    """Whether this installation has the native engine."""
    return _native is not None


@cache
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


def fma_rounds(rounds: int) -> float:
    """Multiply and add numbers in registers, as fast as one core can; the number of floating-point operations done."""
    return float(_native.fma_rounds(instruction_set(), rounds))


def measures_stages() -> bool:
    """Whether `read_rounds` and `stage_rounds` are here: not in an engine built before the checkout was updated."""
    return hasattr(_native, "stage_rounds")


def read_rounds(memory: Tensor, rounds: int) -> float:
    """Read a tensor's memory again and again, as fast as one core can; the number of bytes that were read."""
    return float(_native.read_rounds(instruction_set(), memory.data_ptr(), memory.nbytes, rounds))


def stage_rounds(cell: Cell, H: int, rounds: int, *, training: bool, back: bool) -> None:
    """Do a cell's functions, without its products, for one row again and again.

    training: with what is kept for the gradient; back: the gradient's functions
    Raises ConfigError for a cell without a native kernel.
    """
    kernel, reason = kernel_of(cell, instruction_set())
    if kernel is None:
        raise ConfigError(f"cell '{cell.name}': {reason}.")
    _native.stage_rounds(kernel, H, training, back, rounds)


@cache
def kernel_of(cell: Cell, isa: str) -> tuple[Any, str]:
    """The native kernel of a cell and "", or None and the reason. A user's cell is compiled at first use."""
    try:
        if cell.name in BUILT_IN and CELLS[cell.name] is cell:
            return _native.Kernel(isa, cell.name, 0), ""
        return _native.Kernel(isa, cell.name, user_cell.plan(user_cell.library(cell, isa))), ""
    except (RecurraError, ValueError, OSError) as error:
        # Said once: the result is cached.
        _log.warning("cell '%s' runs on the reference executor, which is slower: %s", cell.name, error)
        return None, str(error)


def refusal(call: Call) -> str | None:
    """Why this call cannot run here, or None if it can."""
    if transformed(call.tensors):
        return "it takes no part in torch.func and in forward-mode derivatives"
    compact = call.weights.compact
    if compact is not None and (reason := _refusal_of(compact, call)):
        return reason
    for t in call.tensors if compact is None else (call.x, *call.states):
        if type(t) not in PLAIN:
            return "it takes plain tensors"
        if not t.is_cpu:
            return "it takes tensors on the CPU"
        if t.dtype is not torch.float32:
            return "it takes float32"
    if call.x.numel() == 0:
        return "the input is empty"
    if any(isinstance(m, Tensor) and m.requires_grad for m in (call.recurrent_mask, *call.zoneout)):
        return "it gives masks no gradient"
    if not available():
        return _without_compiler()
    return kernel_of(call.cell, instruction_set())[1] or None


def _refusal_of(compact: Compact, call: Call) -> str | None:
    if torch.is_grad_enabled() and any(t.requires_grad for t in call.tensors):
        return f"it has no gradients with weights of {compact.precision}"
    return compact.refusal()


def stepper(kernel: Any, sizes: list[int], parameters: list[int], precision: str, scales: list[int], kept: Any) -> Any:
    """A native stepper, with a copy of the parameters and scales at these addresses, or the one that is kept."""
    shared = () if kept is None or not hasattr(_native, "checksums") else (kept,)  # not in an engine built before
    return _native.Stepper(kernel, sizes, parameters, NUMBERS[precision], scales, *shared)


def kept() -> Any:
    """Where the packed form of a layer's weights stays from call to call; None without an engine, or with one that was
    built before the checkout was updated."""
    return _native.Kept() if hasattr(_native, "Kept") else None


def reader(base: type, types: tuple[type, ...], float32: torch.dtype) -> Any:
    """What reads torch's tensors for a native layer."""
    return _native.Torch(base, types, float32, bfloat16=torch.bfloat16, int8=torch.int8)


def entry(*arguments: Any) -> Any:
    """What takes a module's call without a question in Python, of `engine.straight`."""
    return _native.Entry(*arguments)


def layer(*arguments: Any) -> Any:
    """A native layer, of `engine.straight`."""
    return _native.Layer(*arguments)


@cache
def _without_compiler() -> str:
    reason = "recurra was installed without its native engine (pip install . with a C++ compiler builds it)"
    _log.warning("%s; cells run on slower executors", reason)
    return reason


def run(calls: Sequence[Call]) -> list[Result]:
    """Independent calls, each one layer in one direction over all time steps. See `engine.call` for the shapes.

    With as many calls as threads (the two directions of a layer, on two cores) they run side by side.
    Raises ShapeError if the sizes do not fit one another. `refusal` must have been asked.
    """
    plans = [_Plan.of(call) for call in calls]
    # Copied here, not in _Recurrence, whose second derivatives would not see what a copy of its own depends on.
    tensors = [in_order(t) for call in calls for t in call.tensors]
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        made: Sequence[Tensor] = _Recurrence.apply(plans, *tensors)  # type: ignore[no-untyped-call]
    else:
        made, _ = _forward(plans, tensors, training=False)
    results, rest = [], iter(made)
    for plan in plans:
        output, *states = islice(rest, 1 + len(plan.widths))
        results.append(Result(output, tuple(states)))
    return results


def _forward(plans: Sequence[_Plan], tensors: Sequence[Tensor], *, training: bool) -> tuple[list[Tensor], list[Any]]:
    """Output and final states of each plan, one after the other, and the tapes; from contiguous tensors."""
    made: list[Tensor] = []
    calls = []
    for plan, mine in zip(plans, _split(plans, tensors), strict=True):
        T, N = plan.sizes[:2]
        # By what x is, not by torch's defaults: the native call writes float32 to the CPU's memory, whatever they are.
        x = mine[0]
        output, finals = x.new_empty(T, N, plan.widths[0]), [x.new_empty(N, w) for w in plan.widths]
        calls.append(plan.native(mine, output))
        if plan.kept is not None:
            calls[-1].keep(plan.kept)
        calls[-1].finals([t.data_ptr() for t in finals])
        made += [output, *finals]
    return made, _native.forward(calls, training, _threads(plans))


def _backward(
    plans: Sequence[_Plan],
    tapes: list[Any],
    tensors: Sequence[Tensor],
    outputs: Sequence[Tensor],
    d_out: Sequence[Tensor | None],
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    """Gradients to x, states and parameters of each plan, None where not wanted; from those above, None for zeros."""
    made: list[Tensor | None] = []
    calls, tops, asked = [], iter(d_out), iter(wanted)
    for plan, mine, output in zip(plans, _split(plans, tensors), outputs, strict=True):
        d_output, *d_finals = islice(tops, 1 + len(plan.widths))
        calls.append(plan.native(mine, output))
        made += plan.gradients(calls[-1], mine, d_output, d_finals, list(islice(asked, len(mine))))
    _native.backward(calls, tapes, _threads(plans))
    return made


def forward(call: Call) -> list[Tensor]:
    """Output and final states of one call, without autograd; from contiguous tensors."""
    return _forward([_Plan.of(call)], call.tensors, training=False)[0]


def backward(
    call: Call, results: Sequence[Tensor], tops: Sequence[Tensor | None], wanted: Sequence[bool]
) -> list[Tensor]:
    """The wanted gradients of x, states and parameters, without autograd, from those of the results."""
    plans = [_Plan.of(call)]
    _, tapes = _forward(plans, call.tensors, training=True)
    above = [None if d is None else in_order(d) for d in tops]
    made = _backward(plans, tapes, call.tensors, [in_order(results[0])], above, wanted)
    return [d for d in made if d is not None]


def _split(plans: Sequence[_Plan], tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    """The tensors of each plan: x, states, parameters, scales."""
    rest = iter(tensors)
    return [list(islice(rest, 1 + len(plan.widths) + plan.fits.parameters + len(plan.scaled))) for plan in plans]


class _Plan(NamedTuple):
    """What a native call needs beside the tensors that have gradients: those are x, the states, the parameters."""

    cell: Cell
    kernel: Any
    fits: Fits
    sizes: list[int]
    widths: tuple[int, ...]
    reverse: bool
    lengths: Tensor | None
    zone_masks: list[Tensor | None]
    zone: list[float]
    mask: Tensor | None
    kept: Any
    precision: str
    scaled: tuple[str, ...]

    @classmethod
    def of(cls, call: Call) -> _Plan:
        """Check every size, once. Raises ShapeError."""
        T, N, I = _three(call.x)
        fits = fits_of(call.cell, I, call.weights.shapes)
        compact = call.weights.compact
        widths = fits.widths
        _check_states(call, N, widths)
        lengths = call.lengths
        if lengths is not None:
            _expect("lengths", tuple(lengths.shape), (N,))
            # A copy, since the backward pass reads them again: the caller may have changed them by then.
            lengths = lengths.to(torch.int64, copy=True).contiguous()
        zoneout = call.zoneout or (None,) * len(widths)
        _expect("the number of zoneouts", len(zoneout), len(widths))
        mask = call.recurrent_mask
        if mask is not None:
            _expect("recurrent_mask", tuple(mask.shape), (N, fits.sizes[recurrent_width(call.cell)]))
            mask = in_order(mask.to(torch.float32))
        return cls(
            call.cell,
            kernel_of(call.cell, instruction_set())[0],
            fits,
            [T, N, I, fits.sizes["H"], fits.sizes["P"]],
            widths,
            call.reverse,
            lengths,
            [_zone_mask(z, (T, N, w)) for z, w in zip(zoneout, widths, strict=True)],
            [z if isinstance(z, float) else 0.0 for z in zoneout],
            mask,
            call.weights.kept,
            FLOAT32 if compact is None else compact.precision,
            () if compact is None else tuple(compact.scales),
        )

    @property
    def masks(self) -> tuple[Tensor | None, ...]:
        """Of the zoneouts, and of the recurrent products."""
        return *self.zone_masks, self.mask

    def with_masks(self, masks: Sequence[Tensor | None]) -> _Plan:
        """The same with these as its masks."""
        if not any(mask is not None for mask in masks):
            return self
        *zone_masks, mask = masks
        return self._replace(zone_masks=zone_masks, mask=mask)

    def native(self, tensors: Sequence[Tensor], output: Tensor) -> Any:
        """The native call, with the addresses of its inputs."""
        at = [t.data_ptr() for t in tensors]
        S, P = len(self.widths), self.fits.parameters
        try:
            call = _native.Call(
                self.kernel,
                self.sizes,
                self.reverse,
                address(self.lengths),
                at[0],
                at[1 : 1 + S],
                self.fits.by_parameter(at[1 + S : 1 + S + P]),
                [address(m) for m in self.zone_masks],
                self.zone,
                address(self.mask),
                output.data_ptr(),
            )
        except ValueError as error:
            raise ShapeError(f"{self.cell.name}: {error}") from None
        if self.precision != FLOAT32:
            call.weights(NUMBERS[self.precision], scales_of(self.scaled, at[1 + S + P :]))
        return call

    def gradients(
        self,
        call: Any,
        tensors: Sequence[Tensor],
        d_output: Tensor | None,
        d_finals: Sequence[Tensor | None],
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """Memory for the gradients to x, states and parameters, told to the call; None where not wanted."""
        S = len(self.widths)
        made = [torch.empty_like(t) if w else None for t, w in zip(tensors, wanted, strict=True)]
        at = [address(d) for d in made]
        call.gradients(
            address(d_output),
            [address(d) for d in d_finals],
            at[0],
            at[1 : 1 + S],
            self.fits.by_parameter(at[1 + S :]),
        )
        return made


NO_BATCHES = 'backend "cpu" has no batched gradients (vmap, is_grads_batched); use backend="reference".'
NO_DOUBLE_BACKWARD = 'backend "cpu" has no second derivatives; use backend="reference".'


class _Recurrence(torch.autograd.Function):
    """The native engine for torch's autograd. Second derivatives are refused, not wrong."""

    @staticmethod
    def forward(ctx: Any, plans: Sequence[_Plan], *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        made, ctx.tapes = _forward(plans, tensors, training=True)
        ctx.plans = plans
        places = accumulate((1 + len(plan.widths) for plan in plans[:-1]), initial=0)
        # All that the backward pass reads and the caller can write to: torch notices a change, and refuses it.
        saved = [*(made[k] for k in places), *tensors, *(mask for plan in plans for mask in plan.masks)]
        ctx.save_for_backward(*saved)
        ctx.kinds = kinds(saved)
        return tuple(made)

    @staticmethod
    def backward(ctx: Any, *d_out: Tensor | None) -> tuple[Tensor | None, ...]:
        if batched(d_out):
            raise RunError(NO_BATCHES)
        # The backward pass writes over the tapes; whoever asks again (retain_graph=True) waits for new ones.
        tapes, ctx.tapes = ctx.tapes, None
        with torch.no_grad() if torch.is_grad_enabled() else contextlib.nullcontext():  # the first takes a microsecond
            rest = iter(restored(ctx.saved_tensors, ctx.kinds))
            outputs = list(islice(rest, len(ctx.plans)))
            tensors = list(islice(rest, len(ctx.needs_input_grad) - 1))
            plans = [plan.with_masks(list(islice(rest, len(plan.masks)))) for plan in ctx.plans]
            if tapes is None:
                _, tapes = _forward(plans, tensors, training=True)
            tops = [d if d is None else in_order(d) for d in d_out]
            made = _backward(plans, tapes, tensors, outputs, tops, ctx.needs_input_grad[1:])
        above = (d for d in d_out if d is not None)
        return None, *refuse_double_backward(made, (*tensors, *above), NO_DOUBLE_BACKWARD)


def _expect(thing: str, got: object, expected: object) -> None:
    if got != expected:
        raise ShapeError(f"{thing}: got {got}, expected {expected}.")


def _three(x: Tensor) -> tuple[int, int, int]:
    if x.dim() != 3:
        raise ShapeError(f"the input has shape {tuple(x.shape)}, expected (T, N, I): time, batch, features.")
    T, N, I = x.shape
    return T, N, I


def scales_of(names: Sequence[str], addresses: Sequence[int]) -> list[int]:
    """Addresses of scales in the order of PARAMETERS, 0 for those that are not there."""
    found = dict(zip(names, addresses, strict=True))
    return [found.get(name, 0) for name in PARAMETERS]


def sizes(weights: Weights, I: int) -> dict[str, int]:
    """Sizes by width, read from the weights. Raises ShapeError unless every packed parameter agrees."""
    return fits_of(weights.cell, I, weights.shapes).sizes


@dataclass(frozen=True, slots=True)
class Fits:
    """What follows from the shapes of a cell's parameters.

    sizes: by width      widths: of each state      places: of each of PARAMETERS among the packed ones, or None
    parameters: how many      numbers: in all of them
    """

    sizes: dict[str, int]
    widths: tuple[int, ...]
    places: tuple[int | None, ...]
    parameters: int
    numbers: int

    def by_parameter(self, addresses: Sequence[int]) -> list[int]:
        """Addresses in the order of PARAMETERS, 0 for those that are not there, from those of the packed ones."""
        return [0 if k is None else addresses[k] for k in self.places]


@lru_cache(maxsize=256)
def fits_of(cell: Cell, I: int, shapes: tuple[tuple[str, torch.Size], ...]) -> Fits:
    """Raises ShapeError unless every packed parameter agrees with the others, with I and with the cell."""
    packed = dict(shapes)
    parameters = layout(cell, bias="bias_ih" in packed)
    _expect(f"{cell.name}: parameters", set(packed), {p.name for p in parameters})
    found = {"I": I, "P": 1}
    for p in parameters:
        found[p.rows] = packed[p.name][0] // len(p.gates)
    for p in parameters:
        _expect(p.name, tuple(packed[p.name]), p.shape(found))
    names = list(packed)
    return Fits(
        found,
        tuple(found[cell.size(name)] for name in cell.states),
        tuple(names.index(name) if name in packed else None for name in PARAMETERS),
        len(packed),
        sum(shape.numel() for shape in packed.values()),
    )


def _check_states(call: Call, N: int, widths: tuple[int, ...]) -> None:
    _expect("the number of states", len(call.states), len(widths))
    for name, state, width in zip(call.cell.states, call.states, widths, strict=True):
        if state.shape != (N, width):
            _expect(f"initial state {name}", tuple(state.shape), (N, width))


def _zone_mask(zoneout: Zoneout, shape: tuple[int, int, int]) -> Tensor | None:
    if not isinstance(zoneout, Tensor):
        return None
    _expect("a zoneout mask", tuple(zoneout.shape), shape)
    return zoneout.to(torch.bool).contiguous()


def _threads(plans: Sequence[_Plan]) -> int:
    T, N = plans[0].sizes[:2]
    return threads_for(T, N, plans[0].fits.numbers, calls=len(plans))


def threads_of_call(operations: int) -> int:
    """As many threads as torch has, unless a call of so many operations is too small to be shared."""
    return torch.get_num_threads() if operations >= SMALLEST_SHARED_CALL else 1


def threads_for(T: int, N: int, numbers: int, *, calls: int = 1) -> int:
    """As many as torch has, unless the work is too small to be shared. numbers: in all parameters of a call."""
    threads = torch.get_num_threads()
    step = 2 * N * numbers
    if step * T < SMALLEST_SHARED_CALL:
        return 1
    # Side by side, calls need not wait for one another at each step.
    alone = calls < threads
    return 1 if alone and threads * 8 > N and step < SMALLEST_SHARED_STEP else threads
