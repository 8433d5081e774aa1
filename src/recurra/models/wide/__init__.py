"""What is said of a whole sequence beside inputs, encoder and head, from what is counted, or measured, in it.

none    nothing
bag     a linear score of n-grams: the wide part of "wide and deep" (Cheng et al. 2016, arXiv:1606.07792)
forest  votes of trees on statistics of a series
kernels a ridge classifier on how often many small kernels are above a threshold in a series
"""

from __future__ import annotations

from collections.abc import Callable

from recurra.base.registry import Registry
from recurra.models.contract import Wide
from recurra.models.wide.bag import Bag
from recurra.models.wide.forest import Forest
from recurra.models.wide.kernels import Kernels
from recurra.models.wide.none import NoWide

WIDES: Registry[Callable[..., Wide]] = Registry("wide", "recurra.wides")
WIDES.add("none", NoWide)
WIDES.add("bag", Bag)
WIDES.add("forest", Forest)
WIDES.add("kernels", Kernels)

__all__ = ["WIDES", "Bag", "Forest", "Kernels", "NoWide"]
