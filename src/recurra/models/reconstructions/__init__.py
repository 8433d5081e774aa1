"""From a code back to the numbers of a row.

dense         feed-forward layers, for rows that are one vector
pictures      convolutions, for pictures, the encoder's layers in the opposite order
recurrent     a recurrent layer, step after step
hierarchical  a recurrent layer over bars, above one over the steps of each
transformer   layers of attention, all steps at once
"""

from __future__ import annotations

from collections.abc import Callable

from recurra.base.registry import Registry
from recurra.models.reconstructions.contract import ReadsBack, Reconstruction
from recurra.models.reconstructions.dense import DenseReconstruction
from recurra.models.reconstructions.hierarchical import HierarchicalReconstruction
from recurra.models.reconstructions.pictures import PictureReconstruction
from recurra.models.reconstructions.recurrent import RecurrentReconstruction
from recurra.models.reconstructions.transformer import TransformerReconstruction

RECONSTRUCTIONS: Registry[Callable[..., Reconstruction]] = Registry("reconstruction", "recurra.reconstructions")
RECONSTRUCTIONS.add("dense", DenseReconstruction)
RECONSTRUCTIONS.add("pictures", PictureReconstruction)
RECONSTRUCTIONS.add("recurrent", RecurrentReconstruction)
RECONSTRUCTIONS.add("hierarchical", HierarchicalReconstruction)
RECONSTRUCTIONS.add("transformer", TransformerReconstruction)

__all__ = [
    "RECONSTRUCTIONS",
    "DenseReconstruction",
    "HierarchicalReconstruction",
    "PictureReconstruction",
    "ReadsBack",
    "Reconstruction",
    "RecurrentReconstruction",
    "TransformerReconstruction",
]
