"""Several functions that each go through the same items, in one pass over these."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

T = TypeVar("T")
U = TypeVar("U")
# Items that are handed to a reader at once; none is more than so many ahead of another.
SOME = 256


# The number of the function that a thread works at, until it reads.
_READER = threading.local()


class _StoppedError(Exception):
    """Nobody wants what a reader makes."""


class SharedPass(Generic[T]):
    """One pass over items for several threads: each gets all of them, and waits for who is behind."""

    def __init__(self, items: Iterator[T], readers: int) -> None:
        self._items, self._waiting = items, [deque[list[T]]() for _ in range(readers)]
        self._readers = set(range(readers))
        self._change, self._ended = threading.Condition(), False
        self._error: BaseException | None = None

    def read(self, reader: int) -> Iterator[T]:
        """The items, for one of the readers, once. Raises what the items raise, for each of them."""
        try:
            while some := self._next(reader):
                yield from some
        finally:
            self.leave(reader)

    def once(self) -> Iterator[T] | None:
        """The items, the first time that a thread of `side_by_side` asks for them; else None."""
        number, _READER.number = getattr(_READER, "number", None), None
        return None if number is None else self.read(number)

    def leave(self, reader: int) -> None:
        """One who reads no more is waited for no more."""
        with self._change:
            self._readers.discard(reader)
            self._waiting[reader].clear()
            self._change.notify_all()

    def finish(self) -> None:
        """Go on to the end, at the pace of those who read. Whoever asks reads no more."""
        if (number := getattr(_READER, "reading", None)) is not None:
            _READER.number = None
            self.leave(number)
        with self._change:
            while not self._ended and self._error is None:
                if any(self._waiting[other] for other in self._readers):
                    self._change.wait()
                else:
                    self._make()

    def stop(self) -> None:
        """Whoever asks for more is stopped."""
        with self._change:
            self._error = self._error or _StoppedError()
            self._change.notify_all()

    def _next(self, reader: int) -> list[T]:
        with self._change:
            assert reader in self._readers, "who has finished reads no more"
            while not self._waiting[reader] and not self._ended and self._error is None:
                if any(self._waiting[other] for other in self._readers):
                    self._change.wait()
                else:
                    self._make()
            if self._error is not None:
                raise self._error
            some = self._waiting[reader].popleft() if self._waiting[reader] else []
            self._change.notify_all()
            return some

    def _make(self) -> None:
        try:
            some = list(islice(self._items, SOME))
        except BaseException as error:  # noqa: BLE001 - raised again for each reader
            self._error, some = error, []
        self._ended = not some
        for other in self._readers if some else ():
            self._waiting[other].append(some)
        self._change.notify_all()


@runtime_checkable
class ReadTogether(Protocol):
    """Items that several functions can go through in one pass."""

    def read_by(self, *works: Callable[[], Any]) -> list[Any]: ...


def in_one_pass(items: object, *works: Callable[[], Any]) -> list[Any]:
    """What functions give that go through some items; of items that are costly to go through, in one pass."""
    return items.read_by(*works) if isinstance(items, ReadTogether) else [work() for work in works]


def side_by_side(share: Callable[[SharedPass[T] | None], None], items: Iterator[T], *works: Callable[[], U]) -> list[U]:
    """What some functions give, each in a thread of its own, the first in this one; the others have ended by then.

    share: told of the pass over `items` that is theirs, and of its end
    Raises what the first one raises, the others being stopped then, or else what another one raises.
    """
    passing, found, errors = SharedPass(items, len(works)), dict[int, U](), dict[int, BaseException]()

    def work(number: int) -> None:
        _READER.number = _READER.reading = number
        try:
            found[number] = works[number]()
        except BaseException as error:  # noqa: BLE001 - raised again in the first thread
            errors[number] = error
        finally:
            passing.leave(number)
            _READER.number = _READER.reading = None

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(1, len(works))]
    share(passing)
    try:
        for thread in threads:
            thread.start()
        work(0)
        if errors:
            passing.stop()
        for thread in threads:
            thread.join()
    finally:
        passing.stop()
        share(None)
    for number in sorted(errors):
        raise errors[number]
    return [found[number] for number in range(len(works))]
