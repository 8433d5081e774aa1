"""From a code back to the numbers of a row.

dense   feed-forward layers, for rows that are one vector
"""

from __future__ import annotations

from collections.abc import Callable

from recurra.base.registry import Registry
from recurra.models.reconstructions.contract import Reconstruction
from recurra.models.reconstructions.dense import DenseReconstruction

RECONSTRUCTIONS: Registry[Callable[..., Reconstruction]] = Registry("reconstruction", "recurra.reconstructions")
RECONSTRUCTIONS.add("dense", DenseReconstruction)

__all__ = ["RECONSTRUCTIONS", "DenseReconstruction", "Reconstruction"]
