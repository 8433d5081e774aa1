"""One layer in one direction over whole sequences, from states of zeros, without gradients: the shortest way.

A call of a few steps is mostly questions. Here are those alone whose answers may differ from call to call; what follows
from the shapes is looked up.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.base.errors import ShapeError
from recurra.cells import Cell
from recurra.engine import cpu
from recurra.engine.call import transformed
from recurra.engine.memory import PLAIN


class _Ready(NamedTuple):
    kernel: Any
    fits: cpu.Fits
    widths: tuple[int, ...]
    sizes: list[int]


def run(cell: Cell, x: Tensor, packed: Mapping[str, Tensor]) -> tuple[Tensor, tuple[Tensor, ...]] | None:
    """Output (T, N, width) and final states (1, N, width), with the bits of `engine.run`.

    x (T, N, I), packed: parameters by name. Gradients must be off, and nothing recorded.
    Returns None where the call needs more than this; `engine.run` takes it, or says why not.
    """
    tensors = (x, *packed.values())
    for t in tensors:
        if type(t) not in PLAIN or t.dtype is not torch.float32 or not t.is_cpu or not t.is_contiguous() or t.is_neg():
            return None
    if x.dim() != 3 or not x.numel() or transformed(tensors) or not cpu.goes_straight():
        return None
    T, N, I = x.shape
    ready = _ready(cell, cpu.instruction_set(), I, tuple([(name, t.shape) for name, t in packed.items()]))
    if ready is None:
        return None
    kernel, fits, widths, sizes = ready
    # By what x is, not by torch's defaults: the native call writes float32 to the CPU's memory, whatever they are.
    output, finals = x.new_empty((T, N, widths[0])), tuple([x.new_empty((1, N, width)) for width in widths])
    at = fits.by_parameter([t.data_ptr() for t in tensors[1:]])
    threads = cpu.threads_for(T, N, fits.numbers)
    cpu.straight(kernel, [T, N, *sizes], threads, x.data_ptr(), at, output.data_ptr(), [t.data_ptr() for t in finals])
    return output, finals


@lru_cache(maxsize=256)
def _ready(cell: Cell, isa: str, I: int, shapes: tuple[tuple[str, torch.Size], ...]) -> _Ready | None:
    kernel, _ = cpu.kernel_of(cell, isa)
    try:
        fits = cpu.fits_of(cell, I, shapes)
    except ShapeError:
        return None
    return None if kernel is None else _Ready(kernel, fits, fits.widths, [I, fits.sizes["H"], fits.sizes["P"]])
