"""Triton kernels as an executor, for cells that nobody has fused: made from the cell's graph (`lower.triton`).

One launch a sequence, forward and backward. Inputs of float32, bfloat16 or float16; states and their gradients are
float32 inside. On a CPU they run in Triton's interpreter alone, to be checked: TRITON_INTERPRET=1 in the environment,
before triton is imported.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import linecache
import os
import shutil
import sys
from collections.abc import Sequence
from functools import cache
from importlib.abc import ExecutionLoader
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.base.errors import RunError
from recurra.cells import Cell
from recurra.engine.call import Call, Result, batched, transformed, without_padding
from recurra.engine.cpu import fits_of
from recurra.engine.double_backward import refuse_double_backward
from recurra.engine.linear import steady_linear
from recurra.engine.memory import PLAIN, in_order, kinds, restored
from recurra.lower import gradient, layout, trace
from recurra.lower.program import PARAMETERS, gate_places
from recurra.lower.triton import Kernels, kernels

TYPES = (torch.float32, torch.bfloat16, torch.float16)
# Rows of a program: the least that a matrix instruction multiplies.
ROWS = 16
# The least and the most units that a tile of all units has; a power of two.
SMALLEST_TILE, WIDEST_TILE = 16, 128
# Above this a sequence's tape is not kept, and the backward kernel makes the values of each step again.
TAPE_BYTES = 1 << 30
# Units of a tile, and of a product's argument, where weights do not stay on the chip.
TILE, DEPTH = 64, 32
# What a block may have of the shared memory of an A100, for who interprets; a device is asked (H100: 227 KiB).
SHARED_BYTES = 163 * 1024

# Of it, room for what the formula leaves out: values that change threads, sums over units.
SPARE_BYTES = 8 * 1024
# Compute capability of the oldest devices that multiply bfloat16 and TF32.
OLDEST = (8, 0)

NO_DOUBLE_BACKWARD = 'backend "triton" has no second derivatives; use backend="reference".'
NO_BATCHES = 'backend "triton" has no batched gradients (vmap, is_grads_batched); use backend="reference".'


@cache
def installed() -> bool:
    """Whether triton is there. It is not imported, which takes a second."""
    return importlib.util.find_spec("triton") is not None


def interpreted() -> bool:
    """Whether kernels run in Triton's interpreter, on a CPU: it was asked for before triton was imported."""
    return bool(os.environ.get("TRITON_INTERPRET")) and installed() and _loaded_to_interpret()


@cache
def _loaded_to_interpret() -> bool:
    import triton

    # Triton's own functions were made to be interpreted, or to be compiled, when it was imported.
    return bool(triton.knobs.runtime.interpret) and type(triton.language.max).__name__ == "InterpretedFunction"


def refusal(call: Call) -> str | None:
    """Why this call cannot run here, or None if it can."""
    if not installed():
        return "triton is not installed (pip install 'recurra[gpu]', on Linux)"
    if transformed(call.tensors):
        return "it takes no part in torch.func and in forward-mode derivatives"
    if call.weights.compact is not None:
        return "it has no weights of fewer bits"
    if reason := _refused_tensors(call):
        return reason
    if any(z is not None for z in call.zoneout):
        return "its kernels have no zoneout"
    if call.recurrent_mask is not None:
        return "its kernels have no dropout inside the recurrence"
    if call.x.numel() == 0:
        return "the input is empty"
    return None


def _refused_tensors(call: Call) -> str | None:
    x = call.x
    if not x.is_cuda and not (x.is_cpu and interpreted()):
        return "it takes tensors on a CUDA device (TRITON_INTERPRET=1 before the start interprets it on a CPU, slowly)"
    if x.is_cuda and (reason := _refused_device(x.device)):
        return reason
    for t in call.tensors:
        if type(t) not in PLAIN:
            return "it takes plain tensors"
        if t.device != x.device:
            return f"it takes tensors of one device, and got {t.device} beside {x.device}"
        if t.dtype not in TYPES:
            return "it takes float32, bfloat16 and float16"
    others = {t.dtype for t in call.weights.tensors} - {x.dtype}
    if others and not torch.is_autocast_enabled(x.device.type):
        return f"the weights are {others.pop()} and the input is {x.dtype}"
    return None


@cache
def _refused_device(device: torch.device) -> str | None:
    """Why Triton's kernels cannot be loaded for a device, or None."""
    if torch.cuda.get_device_capability(device) < OLDEST:
        return f"Triton's kernels need a device of compute capability {OLDEST[0]}.{OLDEST[1]} or above"
    if not (os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")):
        return "Triton needs a C compiler to load kernels (gcc, clang or $CC)"
    return None


def run(call: Call) -> Result:
    """One layer in one direction over all time steps; see `engine.call` for the shapes. `refusal` must have been asked.

    Raises ShapeError if the sizes do not fit one another.
    """
    tensors = [in_order(t) for t in _cast(call)]
    training = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    plan = _Plan.of(call, training=training)
    if training:
        output, *states = _Recurrence.apply(plan, *tensors)  # type: ignore[no-untyped-call]
    else:
        output, *states = plan.forward(tensors, training=False)[0]
    return Result(output, tuple(states))


def _cast(call: Call) -> Sequence[Tensor]:
    """x, states, parameters; under autocast x and parameters in its type, as torch's own layers have it."""
    kind = _kind(call)
    return call.x.to(kind), *call.states, *(t.to(kind) for t in call.weights.tensors)


def _kind(call: Call) -> torch.dtype:
    """What is multiplied: the type of x, or autocast's."""
    device = call.x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else call.x.dtype


# -- the modules of kernels --------------------------------------------------------------------------------------------


class _Text(ExecutionLoader):
    """A module from text in memory. Triton reads its functions' text, so `linecache` has it too."""

    def __init__(self, text: str, filename: str) -> None:
        self.text, self.filename = text, filename

    def is_package(self, fullname: str) -> bool:
        return False

    def get_source(self, fullname: str) -> str:
        return self.text

    def get_filename(self, fullname: str) -> str:
        return self.filename


@cache
def module(cell: Cell, *, bias: bool, held: bool, recompute: bool = False) -> tuple[ModuleType, Kernels]:
    """The kernels of a cell, ready to be launched: made from its graph, never from a file."""
    made = kernels(cell, bias=bias, held=held, recompute=recompute)
    # By its content, so that what Triton keeps on disk of a compiled kernel is found again by another process.
    name = f"recurra_triton_{cell.name}_{hashlib.sha256(made.text.encode()).hexdigest()[:16]}"
    filename = f"<{name}>"
    linecache.cache[filename] = (len(made.text), None, made.text.splitlines(keepends=True), filename)
    spec = importlib.util.spec_from_loader(name, _Text(made.text, filename))
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[name] = found
    spec.loader.exec_module(found)
    return found, made


# -- one call ----------------------------------------------------------------------------------------------------------


class _Saved(NamedTuple):
    """What the forward pass leaves to the backward pass, beside inputs and outputs."""

    tapes: dict[str, Tensor]
    arguments: dict[str, Tensor]


class _Plan(NamedTuple):
    """What follows from a call's shapes and options. sizes: of I, H, P; widths: of each state.

    held: whether the forward kernel has its weights on the chip, and whether the backward kernel has
    """

    cell: Cell
    names: tuple[str, ...]
    sizes: dict[str, int]
    widths: tuple[int, ...]
    lengths: Tensor
    ragged: bool
    reverse: bool
    held: tuple[bool, bool]
    recompute: bool

    @classmethod
    def of(cls, call: Call, *, training: bool) -> _Plan:
        """Raises ShapeError."""
        T, N, I = call.x.shape
        fits = fits_of(call.cell, I, call.weights.shapes)
        lengths = call.x.new_full((N,), T, dtype=torch.int32) if call.lengths is None else call.lengths.to(torch.int32)
        names = tuple(call.weights.packed)
        recompute = training and tape_bytes(call.cell, fits.sizes, T * N) > TAPE_BYTES
        available = shared_bytes(call.x.device)
        # The forward kernel's form does not depend on the batch, so that a sequence has its bits in any.
        each = [holds(call.cell, fits.sizes, _kind(call), available, recompute=again) for again in (False, recompute)]
        held = each[0], each[1]
        ragged = call.lengths is not None
        return cls(call.cell, names, fits.sizes, fits.widths, lengths, ragged, call.reverse, held, recompute)

    def module(self, *, held: bool) -> tuple[Any, Kernels]:
        return module(self.cell, bias="bias_ih" in self.names, held=held, recompute=self.recompute)

    def forward(self, tensors: Sequence[Tensor], *, training: bool) -> tuple[list[Tensor], _Saved]:
        """Output and last states, and what the gradient needs."""
        x, states, packed = self.split(tensors)
        found, made = self.module(held=self.held[0])
        T, N, _ = x.shape
        wx = self.input_products(x, packed)
        output = x.new_zeros(T, N, self.widths[0])
        ends = [s.new_empty(s.shape, dtype=torch.float32) for s in states]
        tapes = {w: self.room(x, made.tape[w], w, T if training else 0, torch.float32) for w in ("H", "P", "1")}
        arguments = {w: self.room(x, made.arguments[w], w, T if training else 1, x.dtype) for w in ("H", "P")}
        if training and self.ragged:
            # The kernel writes no padding, whose gradients are 0: 0 times what lay in this memory before may be NaN.
            arguments = {w: t.zero_() for w, t in arguments.items()}
        firsts = [s.float() for s in states]
        self.launch(
            found.forward,
            [wx, arguments["H"], arguments["P"], output],
            tapes,
            self.vectors(packed, made.vectors),
            packed,
            [t for pair in zip(firsts, ends, strict=True) for t in pair],
            made.scratch[0],
            N if training else 0,
            training,
            held=self.held[0],
        )
        results = [output, *(end.to(s.dtype) for end, s in zip(ends, states, strict=True))]
        return results, _Saved(tapes, arguments)

    def input_products(self, x: Tensor, packed: dict[str, Tensor]) -> Tensor:
        """W x of all steps and gates: (T, N, G * H)."""
        real = self.lengths.long() if self.ragged else None
        return steady_linear(without_padding(x, real), packed["weight_ih"], None)

    def room(self, x: Tensor, slabs: Sequence[object], width: str, T: int, kind: torch.dtype) -> Tensor:
        """Memory for (T, N, slabs, width)."""
        size = 1 if width == "1" else self.sizes[width]
        return x.new_empty(T, x.shape[1], len(slabs), size, dtype=kind)

    def vectors(self, packed: dict[str, Tensor], wanted: Sequence[tuple[str, str]]) -> Tensor:
        """(how many, H) float32; biases that are added are added here."""
        places, H = gate_places(self.cell), self.sizes["H"]
        rows = []
        for key in wanted:
            parts = [packed[PARAMETERS[p]][g * H : (g + 1) * H].float() for p, g in places[key]]
            rows.append(sum(parts[1:], start=parts[0]))
        return torch.stack(rows) if rows else self.lengths.new_zeros((1, H), dtype=torch.float32)

    def launch(
        self,
        kernel: Any,
        own: Sequence[Tensor],
        tapes: dict[str, Tensor],
        vectors: Tensor,
        packed: dict[str, Tensor],
        ends: Sequence[Tensor],
        counts: dict[str, int],
        kept_T: int,
        training: bool,
        *,
        held: bool,
    ) -> None:
        """Run a kernel over all rows: a program for each 16 of them."""
        N, H, P = len(self.lengths), self.sizes["H"], self.sizes["P"]
        nothing = vectors
        weights = [packed.get(name, nothing) for name in ("weight_hh", "weight_hr")]
        on_device = torch.cuda.device(own[0].device) if own[0].is_cuda else contextlib.nullcontext()
        wide = tile(H) if held else min(tile(H), TILE)
        carry = [self.carried(w, held=held) for w in ("H", "P")]
        scratch = [vectors.new_empty(N, counts[w], self.sizes[w]) for w in ("H", "P")]
        with on_device:
            kernel[(-(-N // ROWS),)](
                *own, tapes["H"], tapes["P"], tapes["1"], self.lengths, vectors, *weights, *ends, *carry, *scratch,
                kept_T, N, H=H, P=P, BN=ROWS, BH=wide, BP=tile(P) if held else min(tile(P), TILE), BK=DEPTH,
                REVERSE=self.reverse, TRAINING=training, PRECISION=precision(), WIDEN=interpreted(),
                **options(wide, held=held),
            )  # fmt: skip

    def carried(self, width: str, *, held: bool) -> Tensor:
        """Memory for the states of a width before and after a step, in the tiled form."""
        count = 0 if held else sum(self.cell.size(name) == width for name in self.cell.states)
        return self.lengths.new_empty(2, len(self.lengths), count, self.sizes[width], dtype=torch.float32)

    def backward(
        self, tensors: Sequence[Tensor], output: Tensor, saved: _Saved, tops: Sequence[Tensor | None]
    ) -> list[Tensor]:
        """Gradients to x, states and parameters, from those to the output and the last states; None is zeros."""
        x, states, packed = self.split(tensors)
        found, made = self.module(held=self.held[1])
        N, H = x.shape[1], self.sizes["H"]
        d_output, *d_ends = (
            t.new_zeros(t.shape) if d is None else in_order(d) for d, t in zip(tops, [output, *states], strict=True)
        )
        counts = {p.kind: len(p.gates) for p in layout(self.cell, bias="bias_ih" in self.names)}
        deltas = {
            kind: x.new_zeros(*x.shape[:2], counts.get(kind, 0) * self.sizes["P" if kind == "P" else "H"])
            for kind in ("W", "R", "P")
            if not (kind == "R" and made.shared)
        }
        if made.shared:
            deltas["R"] = deltas["W"]
        # Only who recomputes reads it.
        wx = self.input_products(x, packed) if self.recompute else deltas["W"]
        sums = x.new_zeros(N, len(made.sums), H, dtype=torch.float32)
        d_firsts = [s.new_empty(s.shape, dtype=torch.float32) for s in states]
        self.launch(
            found.backward,
            [wx, saved.arguments["H"], saved.arguments["P"], d_output, deltas["W"], deltas["R"], deltas["P"], sums],
            saved.tapes,
            self.vectors(packed, made.vectors),
            packed,
            [t for d, first in zip(d_ends, d_firsts, strict=True) for t in (d.float(), first)],
            made.scratch[1],
            N,
            True,
            held=self.held[1],
        )
        flows = _Flows(self, made, deltas, sums, saved.arguments)
        return [
            deltas["W"] @ packed["weight_ih"],
            *(d.to(s.dtype) for d, s in zip(d_firsts, states, strict=True)),
            *flows.of_parameters(x, output, states[0]),
        ]

    def split(self, tensors: Sequence[Tensor]) -> tuple[Tensor, list[Tensor], dict[str, Tensor]]:
        """x, states, parameters by name."""
        count = len(self.widths)
        return tensors[0], list(tensors[1 : 1 + count]), dict(zip(self.names, tensors[1 + count :], strict=True))


class _Flows(NamedTuple):
    """Gradients of parameters, as products over all steps of what the backward kernel left."""

    plan: _Plan
    made: Kernels
    deltas: dict[str, Tensor]
    sums: Tensor
    arguments: dict[str, Tensor]

    def of_parameters(self, x: Tensor, output: Tensor, first: Tensor) -> list[Tensor]:
        """In the order of the packed parameters."""
        plan = self.plan
        old = self.old_states(output, first.to(output.dtype))
        x = without_padding(x, plan.lengths.long() if plan.ragged else None)
        found = []
        for p in layout(plan.cell, bias="bias_ih" in plan.names):
            if p.kind == "W":
                found.append(_outer(self.deltas["W"], x))
            elif p.kind in ("R", "P"):
                found.append(self.of_products(p.kind, p.gates, old))
            else:
                found.append(torch.cat([self.of_vector(p.kind, gate) for gate in p.gates]).to(x.dtype))
        return found

    def old_states(self, output: Tensor, first: Tensor) -> Tensor:
        """(T, N, width): the first state before each step, as the products took it. Padded steps do not matter."""
        if not self.plan.reverse:
            return torch.cat([first.unsqueeze(0), output[:-1]])
        # Beyond the last real step stands the initial state.
        after = torch.cat([output[1:], first.unsqueeze(0)])
        step = torch.arange(len(output), device=output.device).view(-1, 1, 1)
        return torch.where(step + 1 < self.plan.lengths.view(1, -1, 1), after, first)

    def of_products(self, kind: str, gates: Sequence[str], old: Tensor) -> Tensor:
        """Neighbouring gates with one argument are one product."""
        width = self.plan.sizes["P" if kind == "P" else "H"]
        places = [self.made.argument[kind, gate] for gate in gates]
        blocks, start = [], 0
        for k in range(1, len(gates) + 1):
            if k == len(gates) or places[k] != places[start]:
                place = places[start]
                argument = old if place is None else self.arguments[place[0]][:, :, place[1]]
                blocks.append(_outer(self.deltas[kind][:, :, start * width : k * width], argument))
                start = k
        return torch.cat(blocks)

    def of_vector(self, kind: str, gate: str) -> Tensor:
        """The gradient of one block of a vector, in float32. A pair of biases that are added share theirs."""
        key = (kind, gate) if (kind, gate) in (*self.made.flows, *self.made.sums) else ("b", gate)
        if key in self.made.sums:
            return self.sums[:, self.made.sums.index(key)].sum(0)
        of, name = self.made.flows[key]
        H = self.plan.sizes["H"]
        gates = next(p.gates for p in layout(self.plan.cell) if p.kind == of)
        at = gates.index(name) * H
        return self.deltas[of][:, :, at : at + H].sum((0, 1), dtype=torch.float32)


def _outer(delta: Tensor, argument: Tensor) -> Tensor:
    """The sum over steps and rows of delta times argument: (T, N, a) and (T, N, b) give (a, b)."""
    return delta.flatten(0, 1).T @ argument.flatten(0, 1)


class _Recurrence(torch.autograd.Function):
    """The kernels for torch's autograd. Second derivatives are refused, not wrong."""

    @staticmethod
    def forward(ctx: Any, plan: _Plan, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        results, saved = plan.forward(tensors, training=True)
        ctx.plan, ctx.count = plan, len(tensors)
        ctx.words = [tuple(saved.tapes), tuple(saved.arguments)]
        kept = [results[0], *tensors, *saved.tapes.values(), *saved.arguments.values()]
        ctx.save_for_backward(*kept)
        ctx.kinds = kinds(kept)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *tops: Tensor | None) -> tuple[Tensor | None, ...]:
        if batched(tops):
            raise RunError(NO_BATCHES)
        # Products are of the types of the forward pass, wherever gradients are asked for.
        with torch.no_grad(), torch.autocast(ctx.plan.lengths.device.type, enabled=False):
            output, *rest = restored(ctx.saved_tensors, ctx.kinds)
            tensors, kept = rest[: ctx.count], rest[ctx.count :]
            tapes, arguments = ctx.words
            saved = _Saved(
                dict(zip(tapes, kept[: len(tapes)], strict=True)), dict(zip(arguments, kept[len(tapes) :], strict=True))
            )
            made = ctx.plan.backward(tensors, output, saved, tops)
        wanted = [d if w else None for d, w in zip(made, ctx.needs_input_grad[1:], strict=True)]
        above = (d for d in tops if d is not None)
        return None, *refuse_double_backward(wanted, (*tensors, *above), NO_DOUBLE_BACKWARD)


# -- limits ------------------------------------------------------------------------------------------------------------


def precision() -> str:
    """How float32 is multiplied: three products of TF32 (errors near float32's), or one where torch is told so."""
    return "tf32x3" if torch.get_float32_matmul_precision() == "highest" else "tf32"


def tile(size: int) -> int:
    """The power of two that a tile of so many units has."""
    return max(SMALLEST_TILE, 1 << (size - 1).bit_length())


def options(wide: int, *, held: bool) -> dict[str, Any]:
    """How Triton compiles. More than one stage would fetch the tape ahead, which takes the room of held weights."""
    return {"num_warps": 4 if wide <= 32 else 8, "num_stages": 1 if held else 2, "enable_fp_fusion": True}


def shared_bytes(device: torch.device) -> int:
    """How much of a device's shared memory one block may have."""
    if device.type != "cuda":
        return SHARED_BYTES
    return _shared_bytes(torch.cuda.current_device() if device.index is None else device.index)


@cache
def _shared_bytes(index: int) -> int:
    import triton

    # What Triton itself holds a kernel against when it is loaded.
    return int(triton.runtime.driver.active.utils.get_device_properties(index)["max_shared_mem"])


def holds(cell: Cell, sizes: dict[str, int], kind: torch.dtype, available: int, *, recompute: bool = False) -> bool:
    """Whether the recurrent weights of a cell stay on the chip: `held_bytes` fit, and a tile has all units.

    Who recomputes multiplies with each weight in two ways, and needs it twice.
    """
    widest = max(tile(sizes[word]) for word in ("H", "P"))
    return widest <= WIDEST_TILE and held_bytes(cell, sizes, kind) * (1 + recompute) + SPARE_BYTES <= available


def tape_bytes(cell: Cell, sizes: dict[str, int], rows: int) -> int:
    """Bytes of what the forward pass keeps of so many steps of rows."""
    widths = [trace(cell).nodes[at].width for at in gradient(cell).tape]
    return 4 * rows * sum(1 if width == "1" else sizes[width] for width in widths)


def held_bytes(cell: Cell, sizes: dict[str, int], kind: torch.dtype) -> int:
    """Bytes of shared memory of the held form: the recurrent weights as tiles of powers of two, and two arguments of 16
    rows; twice where float32 is multiplied as sums of two TF32 numbers."""
    matrices = [p for p in layout(cell) if p.kind in ("R", "P")]
    tiles = [(len(p.gates), tile(sizes[p.rows]), tile(sizes[p.columns or "H"])) for p in matrices]
    numbers = sum(gates * a * b for gates, a, b in tiles) + 2 * ROWS * max((max(a, b) for _, a, b in tiles), default=0)
    twice = 2 if kind is torch.float32 and precision() == "tf32x3" else 1
    return numbers * kind.itemsize * twice
