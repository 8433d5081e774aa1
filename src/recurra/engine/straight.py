"""One layer in one direction over whole sequences, from states of zeros or, without gradients, given ones: the shortest
way.

A call of a few steps is mostly questions. Here the engine reads the tensors itself, and asks only what can change from
call to call; the packed form of the weights is kept for as long as they are the same (`cpu.kept`). Of a module whose
options are those of its last call nothing is asked in Python: the engine compares them itself (`Straight.again`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.base.errors import RunError, ShapeError
from recurra.cells import Cell
from recurra.engine import cpu
from recurra.engine.call import Call, batched, transformed
from recurra.engine.compact import FLOAT32, NUMBERS, TYPES
from recurra.engine.double_backward import refuse_double_backward
from recurra.engine.memory import PLAIN, Kind, restored
from recurra.engine.weights import Weights
from recurra.lower.program import PARAMETERS

Made = tuple[Tensor, tuple[Tensor, ...]]
# What a call of a module depends on besides its parameters, in the module's dictionary.
OPTIONS = (
    "cell",
    "num_layers",
    "bidirectional",
    "batch_first",
    "variational_dropout",
    "zoneout",
    "backend",
    "watch",
    "precision",
)


class _Ready(NamedTuple):
    """What follows from the shapes of a call's parameters. layer: the native one."""

    layer: Any
    cell: Cell
    shapes: tuple[tuple[str, torch.Size], ...]
    widths: tuple[int, ...]


class Straight:
    """The shortest way of one layer and direction. A copy of it, or one from a file, starts anew."""

    __slots__ = ("_entry", "_ready", "kept")

    def __init__(self) -> None:
        self._ready: _Ready | None = None
        self._entry: Any = None
        self.kept = cpu.kept()

    def __deepcopy__(self, memo: object) -> Straight:
        return Straight()

    def __reduce__(self) -> tuple[type[Straight], tuple[()]]:
        return Straight, ()

    @property
    def kept_bytes(self) -> int:
        """Of the packed form that is kept."""
        return 0 if self.kept is None else int(self.kept.nbytes)

    def again(self, own: Mapping[str, Any], x: Tensor) -> Any:
        """Output and states as a module returns them, if all OPTIONS are as they were in the call before; else None.

        own: the module's dictionary      x: as the module gets it
        """
        return None if self._entry is None else self._entry(own, x)

    def remember(self, own: Mapping[str, Any], names: Sequence[str]) -> None:
        """The last call was of a module with this dictionary, from zeros, and was done. names: of its parameters."""
        if self._ready is None:
            return
        if self._entry is None:
            self._entry = cpu.entry(Tensor, _Recurrence.apply, OPTIONS)
        # The same objects as the dictionary has, which are found sooner than others that are equal.
        keys = {name: name for name in own["_parameters"]}
        places = tuple([keys[name] for name in names])
        self._entry.remember(own, self._ready.layer, self._ready, self.kept, places, own["batch_first"])

    def run(
        self,
        cell: Cell,
        x: Tensor,
        names: Sequence[str],
        weights: tuple[Tensor, ...],
        precision: str = FLOAT32,
        states: tuple[Tensor, ...] = (),
    ) -> Made | None:
        """Output (T, N, width) and final states (1, N, width), with the bits and gradients of `engine.run`.

        x (T, N, I), names and weights: the packed parameters. Nothing must be recorded.
        precision: of the matrices; behind weights of int8 stand their scales, and what is not float32 has no gradient.
        states: (1, N, width) before the first step, where no gradient is asked for; zeros where none are given.
        Returns None where the call needs more than this; `engine.run` takes it, or says why not.
        """
        if self.kept is None or transformed((x, *weights, *states)):
            return None
        training = torch.is_grad_enabled() and any(t.requires_grad for t in (x, *weights, *states))
        if states and (training or not _takes_states()):
            return None
        ready, made = self._ready, None
        if ready is not None:
            made = self._made(ready, x, weights, states, training=training)
        if made is None:
            ready = _ready_for(cell, x, names, weights, precision)
            if ready is None or ready is self._ready:
                return None
            self._ready = ready
            made = self._made(ready, x, weights, states, training=training)
        return made

    def _made(
        self, ready: _Ready, x: Tensor, weights: tuple[Tensor, ...], states: tuple[Tensor, ...], *, training: bool
    ) -> Made | None:
        if not training:
            given = (states,) if states else ()
            made: Made | None = ready.layer.run(x, weights, self.kept, False, *given)
            return made
        results = _Recurrence.apply(ready, self.kept, x, *weights)  # type: ignore[no-untyped-call]
        return None if results is None else (results[0], results[1:])


class _Recurrence(torch.autograd.Function):
    """The same for torch's autograd, as `cpu._Recurrence` is for calls of every kind. None if the engine cannot."""

    @staticmethod
    def forward(ctx: Any, ready: _Ready, kept: Any, x: Tensor, *weights: Tensor) -> tuple[Tensor, ...] | None:
        made = ready.layer.run(x, weights, kept, True)
        if made is None:
            return None
        output, finals, ctx.tape = made
        ctx.set_materialize_grads(False)
        ctx.ready, ctx.shape = ready, x.shape
        ctx.save_for_backward(output, x, *weights)
        return output, *finals

    @staticmethod
    def backward(ctx: Any, *tops: Tensor | None) -> tuple[Tensor | None, ...]:
        # The backward pass writes over the tape; whoever asks again (retain_graph=True) gets a new one.
        made: tuple[Tensor | None, ...] | None = ctx.ready.layer.back(ctx, tops)
        if made is not None:
            return made
        if batched(tops):
            raise RunError(cpu.NO_BATCHES)
        return None, None, *_again(ctx, tops)


def _again(ctx: Any, tops: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    """The same gradients by the long way, which takes whatever autograd gives."""
    output, x, *weights = restored(ctx.saved_tensors, _kinds(ctx.ready, ctx.shape))
    names = [name for name, _ in ctx.ready.shapes]
    wanted_x, *wanted = ctx.needs_input_grad[2:]
    with torch.no_grad():
        states = tuple([x.new_zeros(x.shape[1], width) for width in ctx.ready.widths])
        call = Call(x, states, Weights(ctx.ready.cell, dict(zip(names, weights, strict=True))))
        made = iter(cpu.backward(call, [output], tops, [wanted_x, *(False for _ in states), *wanted]))
    gradients = [next(made) if w else None for w in (wanted_x, *wanted)]
    return refuse_double_backward(gradients, (x, *weights, *(d for d in tops if d is not None)), cpu.NO_DOUBLE_BACKWARD)


def _kinds(ready: _Ready, shape: torch.Size) -> list[Kind | None]:
    """Of what was saved: the output, x, the weights."""
    shapes = (torch.Size((*shape[:2], ready.widths[0])), shape, *(shape for _, shape in ready.shapes))
    return [(one, torch.float32, torch.device("cpu")) for one in shapes]


def _ready_for(cell: Cell, x: Tensor, names: Sequence[str], weights: Sequence[Tensor], precision: str) -> _Ready | None:
    for t in (x, *weights):
        if type(t) not in PLAIN or t.is_nested or t.dtype not in (torch.float32, TYPES.get(precision)) or not t.is_cpu:
            return None
    if x.dim() != 3 or not x.numel():
        return None
    shapes = tuple([(name, t.shape) for name, t in zip(names, weights, strict=False)])
    return _ready(cell, os.environ.get("RECURRA_ISA"), x.shape[2], shapes, precision)


@lru_cache(maxsize=256)
def _ready(
    cell: Cell, wanted: str | None, I: int, shapes: tuple[tuple[str, torch.Size], ...], precision: str
) -> _Ready | None:
    """wanted: what RECURRA_ISA says, since a native layer is for that alone."""
    kernel, _ = cpu.kernel_of(cell, cpu.instruction_set())
    try:
        fits = cpu.fits_of(cell, I, shapes)
    except ShapeError:
        return None
    if kernel is None:
        return None
    sizes, places = [I, fits.sizes["H"], fits.sizes["P"]], [PARAMETERS.index(name) for name, _ in shapes]
    shared_from = cpu.SMALLEST_SHARED_CALL / (2 * fits.numbers)
    layer = cpu.layer(
        kernel,
        _torch(),
        sizes,
        places,
        lambda T, N: cpu.threads_for(T, N, fits.numbers),
        NUMBERS[precision],
        shared_from,
    )
    # Not in an engine that was built before the checkout was updated.
    return _Ready(layer, cell, shapes, fits.widths) if hasattr(layer, "back") else None


@cache
def _takes_states() -> bool:
    """Not in an engine that was built before the checkout was updated."""
    return hasattr(cpu._native.Layer, "takes_states")


@cache
def _torch() -> Any:
    return cpu.reader(Tensor, tuple(PLAIN), torch.float32)
