"""Where prepared rows and examples are kept: in memory, or in files that this process alone can see.

scratch    files without a name, read through memory maps whose pages are given back
stored     a sequence of rows or examples in such a file
keeping    the choice between both, behind one face
"""

from __future__ import annotations

from recurra.data.store.keeping import InMemory, Keeping, OnDisk
from recurra.data.store.scratch import Scratch
from recurra.data.store.stored import Codec, Column, Stored, chosen, digests_of, lengths_of

__all__ = [
    "Codec",
    "Column",
    "InMemory",
    "Keeping",
    "OnDisk",
    "Scratch",
    "Stored",
    "chosen",
    "digests_of",
    "lengths_of",
]
