"""What is done to the numbers of a row before a model reads them, so that it learns to undo it.

gaussian          a number of N(0, deviation) is added to each (Vincent et al. 2008)
mask              some are hidden, each by itself or whole steps (masking noise, Vincent et al. 2010, section 3.3)
salt_and_pepper   some become the least or the largest number of the training rows, each as often
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from recurra.base.option import Opt
from recurra.base.registry import Registry
from recurra.data.draws import drawn, normals

Floats = NDArray[np.float32]
# What is drawn, each from numbers of its own.
SIZE, PLACE, SIDE = 10, 11, 12
Share = Annotated[float, Opt("share of the numbers of a row", gt=0, lt=1)]


class Noise(Protocol):
    """NOISES[word](*, options): a row with noise, a function of the row's key."""

    def __call__(self, values: Floats, key: int, ends: tuple[float, float], /) -> tuple[Floats, NDArray[np.bool_]]:
        """values (T, D) with noise, and which are hidden. ends: least and largest number of the training rows"""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class GaussianNoise:
    """x + deviation N(0, 1)."""

    deviation: Annotated[float, Opt("of the noise, in scaled units", gt=0, le=100)] = 0.3

    def __call__(self, values: Floats, key: int, ends: tuple[float, float]) -> tuple[Floats, NDArray[np.bool_]]:
        noise = self.deviation * normals(key, values.size, SIZE).reshape(values.shape)
        return (values + noise).astype(np.float32), np.zeros(values.shape, bool)


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskNoise:
    """0 in some places, which are marked as missing where the model reads marks (`task.missing: mask`)."""

    share: Share = 0.3
    each: Annotated[Literal["number", "block"], Opt("hidden: numbers by themselves, or one stretch of them")] = "number"

    def __call__(self, values: Floats, key: int, ends: tuple[float, float]) -> tuple[Floats, NDArray[np.bool_]]:
        if self.each == "block":
            number = max(1, round(self.share * values.size))
            start = int(drawn(key, 1, PLACE)[0] * (values.size - number + 1))
            hidden = (np.arange(values.size) >= start) & (np.arange(values.size) < start + number)
        else:
            hidden = drawn(key, values.size, PLACE) < self.share
        hidden = hidden.reshape(values.shape)
        return np.where(hidden, np.float32(0), values), hidden


@dataclass(frozen=True, kw_only=True, slots=True)
class SaltAndPepper:
    """The least or the largest number in some places."""

    share: Share = 0.1

    def __call__(self, values: Floats, key: int, ends: tuple[float, float]) -> tuple[Floats, NDArray[np.bool_]]:
        changed = drawn(key, values.size, PLACE) < self.share
        new = np.where(drawn(key, values.size, SIDE) < 0.5, ends[0], ends[1])
        found = np.where(changed.reshape(values.shape), new.reshape(values.shape), values).astype(np.float32)
        return found, np.zeros(values.shape, bool)


NOISES: Registry[Callable[..., Noise]] = Registry("noise", "recurra.noises")
NOISES.add("gaussian", GaussianNoise)
NOISES.add("mask", MaskNoise)
NOISES.add("salt_and_pepper", SaltAndPepper)
