"""Importing much at once, without the garbage collector looking at all of it again and again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# A young collection of so many objects takes some milliseconds, about as long as a step of training.
FEW: Final = 50_000


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the cyclic garbage collector from running while modules are imported.

    Importing torch and all of recurra makes half a million objects that stay, and the collector would walk over them
    some ten times: 0.5 s of 3 s. Afterwards they count as old, as they would have come to. A collector that was off
    stays off; where objects are frozen (gc.freeze), they stay so, and the collector finds the new ones in its own time,
    as it does where they are few: Python counts frozen objects one by one, a tenth of a second for a million.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if gc.get_count()[0] > FEW and gc.get_freeze_count() == 0:
            gc.freeze()
            gc.unfreeze()  # into the oldest generation
        gc.enable()
