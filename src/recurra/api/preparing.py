"""How far the preparation of data is, told to whoever watches and wants to know."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar, runtime_checkable

from recurra.base.contracts import Listener

T = TypeVar("T")
# Rows between two looks at the clock, and seconds between two words.
ROWS, SECONDS = 256, 0.5


@runtime_checkable
class WatchesPreparation(Protocol):
    """What a watcher may have besides: it hears how far the preparation of data is, twice a second.

    stage: "reading FILE", "cutting" texts into tokens, "encoding"      done: rows      total: None while nobody knows
    speed: rows per second      seconds_left: of this stage, infinite while nobody knows
    """

    def preparing(self, stage: str, done: int, total: int | None, speed: float, seconds_left: float) -> None: ...


class Watching:
    """Tells a listener how far rows have come, if it wants to know."""

    def __init__(self, watch: Listener, clock: Callable[[], float] = time.monotonic) -> None:
        self._watch, self._clock = watch, clock

    def rows(self, stage: str, rows: Iterable[T], total: int | None) -> Iterator[T]:
        """The rows as they are."""
        if not isinstance(self._watch, WatchesPreparation):
            yield from rows
            return
        began = last = self._clock()
        done = 0
        for done, row in enumerate(rows, start=1):
            yield row
            if done % ROWS == 0 and (now := self._clock()) - last >= SECONDS:
                last, speed = now, done / (now - began)
                left = float("inf") if total is None else (total - done) / speed
                self._watch.preparing(stage, done, total, speed, left)
