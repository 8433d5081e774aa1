"""Which step of the input spoke for an answer: integrated gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recurra.base.contracts import Batch, Prediction
from recurra.nn.modes import in_evaluation

# Gauss-Legendre: exact for polynomials of degree 127, so for smooth networks the sum misses the whole by rounding; for
# those with corners (ReLU, pooling by the largest) by a hundredth.
POINTS = 64


@dataclass(frozen=True, slots=True)
class Saliency:
    """What the input adds to a score. whole, nothing: the score of the input, and of zeros in its place.

    parts: (T, I), what each number of each step adds; steps: (T,), what each step adds, the sum of its parts
    The steps together are whole - nothing, up to `gap` (completeness: Sundararajan et al. 2017, proposition 1).
    """

    parts: tuple[tuple[float, ...], ...]
    whole: float
    nothing: float

    @property
    def steps(self) -> tuple[float, ...]:
        return tuple(map(math.fsum, self.parts))

    @property
    def gap(self) -> float:
        return sum(self.steps) - (self.whole - self.nothing)


def integrated_gradients(
    model: nn.Module,
    entry: nn.Module,
    copies: Callable[[int], Batch],
    score: Callable[[Prediction, Batch], Tensor],
    *,
    points: int = POINTS,
) -> Saliency:
    """The path integral of the gradient, from zeros to what the layers `entry` read.

    entry:  the part of the model that reads the steps of the input, (T, N, I), and is called once
    copies: a batch of so many equal rows      score: the sum over rows of what is explained, such as a log-probability
    With x (T, I) the input of `entry`: sum over i of x_ti times the integral over a in 0..1 of dF(a x) / dx_ti, in
    evaluation mode, by Gauss-Legendre quadrature, one row of the batch for each point.
    Source: Sundararajan, Taly & Yan 2017, arXiv:1703.01365, eq. 1.
    """
    nodes, shares = np.polynomial.legendre.leggauss(points)
    with in_evaluation(model):
        found, _ = _gradient(model, entry, copies(points), score, (nodes + 1) / 2, shares / 2)
        ends = [float(_gradient(model, entry, copies(1), score, np.array([at]), np.ones(1))[1]) for at in (1.0, 0.0)]
    return Saliency(tuple(map(tuple, found.tolist())), *ends)


def _gradient(
    model: nn.Module,
    entry: nn.Module,
    batch: Batch,
    score: Callable[[Prediction, Batch], Tensor],
    at: np.ndarray[Any, Any],
    shares: np.ndarray[Any, Any],
) -> tuple[Tensor, Tensor]:
    """(T, I) of x times the mean gradient over rows scaled by `at` (N,), weighted by `shares`; and the score."""
    kept: list[Tensor] = []
    with torch.enable_grad(), _scaled(entry, torch.from_numpy(at), kept):
        total = score(model(batch), batch)
    whole, scaled = kept
    nothing = whole.new_zeros(len(whole), whole.shape[2], dtype=torch.float64).cpu()
    if not total.requires_grad:  # no step at all
        return nothing, total
    gradients: tuple[Tensor | None, ...] = torch.autograd.grad(total, scaled, allow_unused=True)
    gradient = gradients[0]
    if gradient is None:
        return nothing, total
    weighted = torch.einsum("tni,n->ti", whole.double() * gradient.double(), torch.from_numpy(shares).to(whole.device))
    return weighted.detach().cpu(), total.detach()


@contextmanager
def _scaled(entry: nn.Module, at: Tensor, kept: list[Tensor]) -> Iterator[None]:
    """What `entry` reads, each row times its factor; kept: x, and x scaled."""

    def scale(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        x = args[0].detach()
        scaled = (x * at.to(x).view(1, -1, 1)).requires_grad_()
        kept.extend((x, scaled))
        return (scaled, *args[1:]), kwargs

    handle = entry.register_forward_pre_hook(scale, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
