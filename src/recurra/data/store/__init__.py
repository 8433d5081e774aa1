"""Where prepared rows and examples are kept: in memory, or in files that this process alone can see.

scratch    files without a name, read through memory maps whose pages are given back
stored     a sequence of rows or examples in such a file
keeping    the choice between both, behind one face
side_by_side  several readers of one pass
reread     rows that stay in their files, and examples that are made of them again
plain      rows and examples as plain values, by their fields
"""

from __future__ import annotations

from recurra.data.store.keeping import InMemory, Keeping, Numbers, OnDisk, Passing, numbers_beside
from recurra.data.store.plain import ARRAY, INTS, Fields, Way, maybe
from recurra.data.store.reread import Reread, RereadRows
from recurra.data.store.scratch import Scratch
from recurra.data.store.stored import (
    Apart,
    Codec,
    Column,
    MadeWhenAsked,
    Stored,
    chosen,
    digests_of,
    gathered_of,
    lengths_of,
)

__all__ = [
    "ARRAY",
    "INTS",
    "Apart",
    "Codec",
    "Column",
    "Fields",
    "InMemory",
    "Keeping",
    "MadeWhenAsked",
    "Numbers",
    "OnDisk",
    "Passing",
    "Reread",
    "RereadRows",
    "Scratch",
    "Stored",
    "Way",
    "chosen",
    "digests_of",
    "gathered_of",
    "lengths_of",
    "maybe",
    "numbers_beside",
]
