"""Weights of fewer bits, for inference: matrices of bfloat16, or of int8 with a scale a row; sums stay float32.

A matrix stands for the float32 numbers that `opened` gives, and the native engine computes with just these: results
have the bits of the same layer with them as its weights. With `bfloat16_products`, inputs and states are rounded too
where a matrix multiplies them, and the processor's instructions decide in which order float32 sums are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from recurra.base.errors import ConfigError
from recurra.engine.memory import PLAIN

FLOAT32 = "float32"
# The types, and the numbers by which the native engine knows them (native/recurrent/job.h).
# What products of PRODUCTS take is rounded too; processors multiply pairs of such numbers faster than float32.
PRODUCTS = "bfloat16_products"
TYPES = {"bfloat16": torch.bfloat16, "int8": torch.int8, PRODUCTS: torch.bfloat16}
NUMBERS = {FLOAT32: 0, "bfloat16": 1, "int8": 2, PRODUCTS: 3}
LARGEST = 127


def rounded(matrix: Tensor, precision: str) -> tuple[Tensor, Tensor | None]:
    """A float32 matrix (rows, columns) in fewer bits, and the scales (rows,) of int8, else None.

    bfloat16, for its products too: the nearest, ties to even. int8: the nearest of -127 .. 127 times the row's largest
    magnitude / 127.
    Raises ConfigError if a number is not finite.
    """
    if not torch.isfinite(matrix).all():
        raise ConfigError("holds numbers that are not finite; train again, or use weights of float32.")
    if precision != "int8":
        return matrix.to(TYPES[precision]), None
    # The smallest normal number: a row of zeros has some scale too.
    scale = (matrix.abs().amax(1) / LARGEST).clamp_min(torch.finfo(torch.float32).tiny)
    return (matrix / scale.unsqueeze(1)).round().clamp(-LARGEST, LARGEST).to(torch.int8), scale


def opened(matrix: Tensor, scale: Tensor | None) -> Tensor:
    """The numbers that a matrix stands for; float32, unless a module's `to` has made its floats others."""
    if scale is not None:
        return matrix.to(scale.dtype) * scale.unsqueeze(1)
    return matrix.float() if matrix.dtype is torch.bfloat16 else matrix


class Compact(NamedTuple):
    """The packed parameters of one layer and direction, with matrices of fewer bits.

    precision: of TYPES      stored: by name, vectors as they are      scales: (rows,) by matrix, of int8 alone
    """

    precision: str
    stored: Mapping[str, Tensor]
    scales: Mapping[str, Tensor]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All of them: what is stored, then the scales."""
        return *self.stored.values(), *self.scales.values()

    @property
    def rounds_arguments(self) -> bool:
        """Whether what a matrix multiplies is rounded as well."""
        return self.precision == PRODUCTS

    def refusal(self) -> str | None:
        """Why the native engine cannot take these as they are, or None."""
        for t in self.tensors:
            if type(t) not in PLAIN:
                return "it takes plain tensors"
            if not t.is_cpu:
                return "it takes tensors on the CPU"
        expected = TYPES[self.precision]
        for name, t in self.stored.items():
            if t.dtype is not (expected if t.dim() > 1 else torch.float32):
                return f"{name} is {t.dtype}, of weights that were made {self.precision}"
        if any(scale.dtype is not torch.float32 for scale in self.scales.values()):
            return "it takes scales of float32"
        return None


class Opened(Mapping[str, Tensor]):
    """The packed parameters of a Compact as the numbers that they stand for, made when one is asked for."""

    __slots__ = ("compact",)

    def __init__(self, compact: Compact) -> None:
        self.compact = compact

    def __getitem__(self, name: str) -> Tensor:
        return opened(self.compact.stored[name], self.compact.scales.get(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self.compact.stored)

    def __len__(self) -> int:
        return len(self.compact.stored)
