"""Linear layers on the engine's tiles, alone and with cross-entropy: float32 on the CPU; torch's functions elsewhere.

With cross-entropy, logits of a few rows at a time are all that is held, never (M, V). What runs on the tiles has the
same bits for any number of threads, and a row's answer and gradient have the same bits alone and among any others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.base.errors import RunError
from recurra.engine import cpu
from recurra.engine.call import batched, recording, transformed
from recurra.engine.double_backward import refuse_double_backward
from recurra.engine.memory import PLAIN, address, in_order, kinds, restored


def cross_entropy(x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, smoothing: float) -> Tensor:
    """Nats of each row, (M,): -log softmax(x W^T + b) at its target. The caller has checked shapes and targets."""
    if recording():
        # No target means "ignore me": the word for that is moved out of reach, since no target is looked at here.
        nothing, logits = torch.iinfo(torch.int64).min, F.linear(x, weight, bias)
        return F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing, ignore_index=nothing)
    if not _can_run(x, weight, bias):
        return F.cross_entropy(F.linear(x, weight, bias), targets, reduction="none", label_smoothing=smoothing)
    x, weight, targets = in_order(x), in_order(weight), targets.contiguous()
    bias = None if bias is None else in_order(bias)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, weight, bias)):
        nats: Tensor = _CrossEntropy.apply(x, weight, bias, targets, smoothing)  # type: ignore[no-untyped-call]
        return nats
    return _Work(x, weight, bias, targets, smoothing).run((False, False, False))[0]


# With fewer rows, packing the weights takes longer than the tiles win.
FEWEST_ROWS = 64


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x W^T + b: (..., D) -> (..., V), like torch.nn.functional.linear, on the engine's tiles where they are faster."""
    if recording() or not tiles_beat_torch():
        return F.linear(x, weight, bias)
    rows = x.numel() // max(1, x.size(-1)) if x.dim() > 1 else 0
    if rows < FEWEST_ROWS or not _fits(x, weight, bias) or not _can_run(x, weight, bias):
        return F.linear(x, weight, bias)
    return _on_tiles(x, weight, bias)


def steady_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x W^T + b, as `linear`; where the tiles can run, each row has the same bits whatever rows are beside it.

    torch sums products of one to three rows, or of one column, in another order than those of many.
    """
    if recording() or not _can_run(x, weight, bias) or not _fits(x, weight, bias):
        return F.linear(x, weight, bias)
    return _on_tiles(x, weight, bias)


def _fits(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether sizes agree: native code would read beyond an end, where torch has an error or repeats a bias."""
    V, D = weight.shape if weight.dim() == 2 else (-1, -1)
    return x.dim() > 0 and x.size(-1) == D and (bias is None or bias.shape == (V,))


def _on_tiles(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    bias = None if bias is None else in_order(bias)
    flat = x.dim() == 2  # mostly; two calls of reshape take a sixth of what a product of a few rows costs in Python
    rows, weight = in_order(x if flat else x.reshape(-1, x.size(-1))), in_order(weight)
    # A Function costs as much as the product of a few rows, even where nothing asks for a gradient.
    work: Any = _Linear.apply if torch.is_grad_enabled() else _product
    y: Tensor = work(rows, weight, bias)
    return y if flat else y.reshape(*x.shape[:-1], weight.size(0))


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    (M, D), V = x.shape, weight.size(0)
    y = x.new_empty(M, V)
    sizes = [M, D, V]
    threads = _threads(M, D, V)
    cpu._native.linear(cpu.instruction_set(), sizes, threads, *(address(t) for t in (x, weight, bias, y)))
    return y


def tiles_beat_torch() -> bool:
    """Whether plain products are faster on the tiles, where there are any, than in torch.

    On AMD, where torch's BLAS (MKL) leaves AVX-512 unused: about 100 of 265 GFLOP/s a core (Zen 5). Not on Intel, where
    MKL is as fast as the tiles forward and 1.1 to 1.2 times as fast backward (Cascade Lake).
    """
    return cpu.available() and bool(cpu._native.processor_is_amd()) and cpu.instruction_set() == "avx512"


class _Linear(torch.autograd.Function):
    """A linear layer on the tiles."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.kinds = kinds((x, weight))
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, d_y: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        # create_graph=True, or a batch of gradients: torch knows how to go on from its own products.
        if torch.is_grad_enabled() or batched([d_y]):
            made = (d_y @ weight, d_y.T @ x, d_y.sum(0))
            return tuple(g if w else None for g, w in zip(made, wanted, strict=True))
        x, weight = restored((x, weight), ctx.kinds)
        (M, D), V = x.shape, len(weight)
        shapes = ((M, D), (V, D), (V,))
        gradients = [x.new_empty(shape) if w else None for shape, w in zip(shapes, wanted, strict=True)]
        d_y, sizes, isa = in_order(d_y), [M, D, V], cpu.instruction_set()
        addresses = [address(g) for g in gradients]
        cpu._native.linear_gradients(
            isa, sizes, _threads(*sizes), x.data_ptr(), weight.data_ptr(), d_y.data_ptr(), addresses
        )
        return tuple(gradients)


def _threads(M: int, D: int, V: int) -> int:
    return cpu.threads_of_call(2 * M * D * V)


def _can_run(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    tensors = (x, weight) if bias is None else (x, weight, bias)
    for t in tensors:  # in place, as this is a tenth of the product of a few rows
        if type(t) not in PLAIN or t.dtype is not torch.float32 or not t.is_cpu:
            return False
    return x.numel() > 0 and cpu.available() and not transformed(tensors)


@dataclass(frozen=True, slots=True)
class _Made:
    """Gradients of the sum of nats, None where not wanted. x: of each row's own nats."""

    x: Tensor | None
    weight: Tensor | None
    bias: Tensor | None


@dataclass(frozen=True, slots=True)
class _Work:
    """What a native call reads: contiguous tensors."""

    x: Tensor
    weight: Tensor
    bias: Tensor | None
    targets: Tensor
    smoothing: float

    def run(self, wanted: tuple[bool, bool, bool], row_weights: Tensor | None = None) -> tuple[Tensor, _Made]:
        """Nats, and the wanted gradients of their sum; rows weighed in those of W and b."""
        tensors = (self.x, self.weight, self.bias)
        made = _Made(
            *(torch.empty_like(t) if w and t is not None else None for t, w in zip(tensors, wanted, strict=True))
        )
        (M, D), V = self.x.shape, len(self.weight)
        nats = self.x.new_empty(M)
        cpu._native.linear_cross_entropy(
            cpu.instruction_set(),
            [M, D, V],
            _threads(M, D, V),
            *(address(t) for t in tensors),
            self.targets.data_ptr(),
            self.smoothing,
            address(row_weights),
            nats.data_ptr(),
            [address(made.x), address(made.weight), address(made.bias)],
        )
        return nats, made


REFUSAL = (
    "linear_cross_entropy has no second derivatives in float32 on the CPU; use float64, or "
    "torch.nn.functional.linear and cross_entropy."
)


NO_BATCHES = (
    "linear_cross_entropy has no gradients in batches (vmap, is_grads_batched) in float32 on the CPU; use float64, or "
    "torch.nn.functional.linear and cross_entropy."
)


class _CrossEntropy(torch.autograd.Function):
    """The gradient is made together with the nats, as if rows had equal weight: a sum or a mean only scales it.

    So the logits are computed once: three products, where a backward pass that recomputes them needs four. If the rows
    turn out to have different weights, the gradients of W and b are made again.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, smoothing: float) -> Tensor:
        nats, ctx.made = _Work(x, weight, bias, targets, smoothing).run(ctx.needs_input_grad[:3])
        ctx.smoothing = smoothing
        ctx.save_for_backward(x, weight, bias, targets)
        ctx.kinds = kinds((x, weight, bias, targets))
        return nats

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:
        if batched([d]):
            raise RunError(NO_BATCHES)
        x, weight, bias, targets = restored(ctx.saved_tensors, ctx.kinds)
        # Given away once, and scaled in place; whoever goes backward a second time has it made anew.
        made, ctx.made = ctx.made, None
        with torch.no_grad():
            gradients = _weighed(_Work(x, weight, bias, targets, ctx.smoothing), made, d, ctx.needs_input_grad[:3])
        return (
            *refuse_double_backward(gradients, [t for t in (x, weight, bias, d) if t is not None], REFUSAL),
            None,
            None,
        )


def _weighed(work: _Work, made: _Made | None, d: Tensor, wanted: tuple[bool, bool, bool]) -> tuple[Tensor | None, ...]:
    """Gradients of the sum of d times nats."""
    if made is None:
        made = work.run(wanted)[1]
    d_x = None if made.x is None else made.x.mul_(d.unsqueeze(1))
    if bool((d == d[0]).all()):
        return d_x, *(t if t is None else t.mul_(d[0]) for t in (made.weight, made.bias))
    again = work.run((False, *wanted[1:]), in_order(d))[1] if any(wanted[1:]) else made
    return d_x, again.weight, again.bias
