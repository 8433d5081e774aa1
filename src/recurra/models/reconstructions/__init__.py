"""From a code back to the numbers of a row.

dense     feed-forward layers, for rows that are one vector
pictures  convolutions, for pictures, the encoder's layers in the opposite order
"""

from __future__ import annotations

from collections.abc import Callable

from recurra.base.registry import Registry
from recurra.models.reconstructions.contract import Reconstruction
from recurra.models.reconstructions.dense import DenseReconstruction
from recurra.models.reconstructions.pictures import PictureReconstruction

RECONSTRUCTIONS: Registry[Callable[..., Reconstruction]] = Registry("reconstruction", "recurra.reconstructions")
RECONSTRUCTIONS.add("dense", DenseReconstruction)
RECONSTRUCTIONS.add("pictures", PictureReconstruction)

__all__ = ["RECONSTRUCTIONS", "DenseReconstruction", "PictureReconstruction", "Reconstruction"]
