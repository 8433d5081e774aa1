"""One ONNX file of a model: its graph, random inputs, and what the model itself says of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from recurra.export.onnx_graph import Array, Drawing, Shape, Value

Named = dict[str, Array]
# Steps of the pieces in which a sequence is compared, one behind the other.
PIECES = (7, 1, 0, 25, 3)


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a model.

    name:   what tells it from the model's other files; "" where there is one file
    draw:   its graph
    ask:    (random numbers, N, T) -> inputs by name, of sequences of 0 to T steps with anything in the padding
    answer: (the model in any floating type, inputs in the same) -> outputs by name
    pieces: whether sequences of any length go through it in pieces, by its states
    """

    name: str
    draw: Drawing
    ask: Callable[[np.random.Generator, int, int], Named]
    answer: Callable[[Any, Named], Named]
    pieces: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """Something that a step reads. changes: whether it comes out anew

    shape: of N rows, T steps of a source, P steps before; with P it comes out one step longer
    """

    dtype: type[np.generic]
    shape: Shape
    changes: bool

    def sizes(self, **known: int) -> list[int]:
        """The shape in numbers."""
        return [known[size] if isinstance(size, str) else size for size in self.shape]

    @property
    def after(self) -> Shape:
        """The shape in which it comes out."""
        return ["P + 1" if size == "P" else size for size in self.shape]


@dataclass(frozen=True, slots=True)
class Stepped:
    """A step as it is drawn. new: what is kept after it, by name      said: its other outputs, with their shapes"""

    new: dict[str, Value]
    said: dict[str, tuple[Value, Shape]]


def random_lengths(random: np.random.Generator, N: int, T: int) -> Array:
    """(N,) whole numbers in 0..T; the first is T, and of three or more the second is 0."""
    lengths = random.integers(0, T + 1, N)
    lengths[:1] = T
    lengths[1:2] = 0 if N > 2 else lengths[1:2]
    return lengths.astype(np.int64)


def random_numbers(random: np.random.Generator, *shape: int) -> Array:
    """Normal, float32."""
    return random.standard_normal(shape).astype(np.float32)


def padding(lengths: Array, T: int) -> Array:
    """(T, N) bool, True where a step is padding."""
    return np.asarray(np.arange(T)[:, None] >= lengths)


def some_state(random: np.random.Generator, name: str, shape: Sequence[int]) -> Array:
    """A state as the layers could have left it: a normaliser is never near 0, so above 1; steps are counted."""
    numbers = random_numbers(random, *shape)
    if name == "steps":
        return np.floor(np.abs(numbers) * np.float32(8))
    return np.abs(numbers) + np.float32(1) if name == "n" else numbers


def table_size(embedding: nn.Module) -> int:
    """Tokens that an embedding knows."""
    table = embedding.weight if hasattr(embedding, "weight") else embedding.rows
    assert isinstance(table, torch.Tensor)
    return len(table)
