"""What is said of a whole sequence beside inputs, encoder and head, from what is counted in it.

none  nothing
bag   a linear score of n-grams: the wide part of "wide and deep" (Cheng et al. 2016, arXiv:1606.07792)
"""

from __future__ import annotations

from collections.abc import Callable

from recurra.base.registry import Registry
from recurra.models.contract import Wide
from recurra.models.wide.bag import Bag
from recurra.models.wide.none import NoWide

WIDES: Registry[Callable[..., Wide]] = Registry("wide", "recurra.wides")
WIDES.add("none", NoWide)
WIDES.add("bag", Bag)

__all__ = ["WIDES", "Bag", "NoWide"]
