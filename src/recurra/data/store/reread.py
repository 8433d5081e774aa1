"""Rows that stay in their files, and are read again whenever they are asked for; examples made of them, a window at a
time. Neither memory nor the disk holds more of them than a window, and 52 bytes for each."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from recurra.base.errors import ConfigError, DataError
from recurra.data.store.scratch import Scratch
from recurra.data.store.stored import CHUNK, Column, key_digest
from recurra.data.windows import Stream

T = TypeVar("T")
# The good rows of one of the files, from its first.
ReadFile = Callable[[int], Iterator[Any]]


class RereadRows(Collection[T]):
    """Good rows of several files, all or some. bounds: (F + 1,) number of the first one of each file, and the end"""

    def __init__(
        self, read: ReadFile, names: Sequence[str], counts: NDArray[np.int64], kept: NDArray[np.bool_]
    ) -> None:
        """counts: (F + 1,) as of `bounds`, of all good rows      kept: of these, which ones"""
        self._read, self._names, self._counts, self._kept = read, names, counts, kept
        self.bounds = np.concatenate([[0], kept.cumsum(dtype=np.int64)])[counts]

    @classmethod
    def counted(cls, rows: Iterable[T], read: ReadFile, names: Sequence[str]) -> RereadRows[T]:
        """These rows, which are read once to be counted. Raises ConfigError for one of no file."""
        places, counts, last = {name: place for place, name in enumerate(names)}, np.zeros(len(names) + 1, np.int64), 0
        one: Any
        for one in rows:
            place = places.get(one.origin.path, -1)
            if place < last:
                raise ConfigError(
                    f"data.shuffle_buffer: {one.origin} stands in no file by itself, so it cannot be read again; leave "
                    "it out."
                )
            last = place
            counts[place + 1] += 1
        bounds = counts.cumsum()
        return cls(read, names, bounds, np.ones(int(bounds[-1]), bool))

    def __len__(self) -> int:
        return int(self.bounds[-1])

    def __iter__(self) -> Iterator[T]:
        for file in range(len(self._names)):
            yield from self.of(file)

    def __contains__(self, one: object) -> bool:
        return any(row == one for row in self)

    def of(self, file: int) -> Iterator[T]:
        """Those of one file, in order. Raises DataError where it has another number of good rows than before."""
        wanted = self._kept[int(self._counts[file]) : int(self._counts[file + 1])]
        if not wanted.any():
            return
        place = -1
        for place, row in enumerate(self._read(file)):
            if place < len(wanted) and wanted[place]:
                yield row
        if place + 1 != len(wanted):
            raise DataError(
                f"{self._names[file]}: has {place + 1:,} good rows, and had {len(wanted):,} when the data was "
                "prepared. Was it changed meanwhile? Put it back, and resume."
            )

    def taken(self, kept: NDArray[np.bool_]) -> RereadRows[T]:
        """Those of a mask (N,), to be read in order, again and again."""
        mask = self._kept.copy()
        mask[self._kept] = kept
        return RereadRows(self._read, self._names, self._counts, mask)


class Reread(Sequence[T], Generic[T]):
    """Examples of rows that are in files, one of each row, each made anew whenever it is asked for.

    A window of rows is in memory. Those that come in the order of an epoch (`reading`), or in their own, cost one pass
    over the files; what is asked for out of this order begins another one.
    make: examples of some rows, in order      buffer: rows of a window      lengths: (N,) int32, time steps of each
    keys, digests: of each, in files of their own      bounds: (F + 1,) of the rows of each file
    """

    def __init__(
        self,
        rows: RereadRows[Any],
        make: Callable[[Iterable[Any]], Iterable[T]],
        buffer: int,
        lengths: NDArray[np.int32],
        known: tuple[Column, Column],
        numbers: NDArray[Any] | None = None,
    ) -> None:
        """known: keys and digests, of which these examples have those at `numbers`; None: all"""
        self._rows, self._make, self.buffer, self.lengths = rows, make, buffer, lengths
        self._known, self._numbers, self.bounds = known, numbers, rows.bounds
        self._window: dict[int, Any] = {}
        self._order(Stream(self.bounds))

    @classmethod
    def of(
        cls,
        rows: RereadRows[Any],
        watched: Iterable[Any],
        make: Callable[[Iterable[Any]], Iterable[T]],
        buffer: int,
        scratch: Scratch,
    ) -> Reread[T]:
        """The examples of rows. watched: these rows, as they are read. Raises ConfigError where one makes several."""
        lengths, keys, digests = array("i"), Column(scratch, np.uint64), Column(scratch, "V32")
        one: Any
        for one in make(watched):
            lengths.append(one.length)
            keys.write(key_digest(one.key))
            digests.write(one.digest())
        if len(lengths) != len(rows):
            raise ConfigError(
                f"data.shuffle_buffer: {len(rows):,} rows make {len(lengths):,} examples, and must make one each; "
                "leave it out."
            )
        return cls(rows, make, buffer, np.frombuffer(lengths, np.int32), (keys, digests))

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> list[T]: ...
    def __getitem__(self, at: int | slice) -> T | list[T]:
        if isinstance(at, slice):
            return self.gathered(range(*at.indices(len(self))))
        return self.gathered([range(len(self))[at]])[0]

    def __iter__(self) -> Iterator[T]:
        return iter(self._make(self._rows))

    def gathered(self, at: Any) -> list[T]:
        """Those with some numbers. Raises DataError where a file says something else than before."""
        numbers = [int(number) for number in at]
        rows = []
        for number in numbers:
            if number not in self._window:
                self._load(number)
            rows.append(self._window[number])
        found = list(self._make(rows))
        for number, one in zip(numbers, found, strict=True):
            self._check(number, one)
        return found

    @contextmanager
    def reading(self, seed: int, epoch: int) -> Iterator[None]:
        """Inside the block rows are read in the order of an epoch."""
        self._order(Stream(self.bounds, seed, epoch))
        try:
            yield
        finally:
            self._order(Stream(self.bounds))

    def taken(self, kept: NDArray[np.bool_]) -> Reread[T]:
        """Those of a mask (N,)."""
        numbers = np.flatnonzero(kept) if self._numbers is None else self._numbers[kept]
        return Reread(self._rows.taken(kept), self._make, self.buffer, self.lengths[kept], self._known, numbers)

    def keys(self) -> Iterator[NDArray[np.uint64]]:
        """8 bytes for each that tell different ones apart, in order, a chunk of them at a time."""
        return self._column(self._known[0])

    def digests(self) -> Iterator[bytes]:
        """The digests, in order, some of them at a time."""
        return (part.tobytes() for part in self._column(self._known[1]))

    def _column(self, column: Column) -> Iterator[NDArray[Any]]:
        for first in range(0, len(self), CHUNK):
            last = min(first + CHUNK, len(self))
            yield column.read(first, last) if self._numbers is None else column.at(self._numbers[first:last])

    def _check(self, number: int, one: Any) -> None:
        place = number if self._numbers is None else int(self._numbers[number])
        if self._known[1].read(place, place + 1).tobytes() != one.digest():
            raise DataError(
                f"{one.origin}: is not what it was when the data was prepared. Was the file changed meanwhile? Put it "
                "back, and resume."
            )

    def _order(self, stream: Stream) -> None:
        self._stream, self._next = stream, -1
        self._window.clear()

    def _load(self, number: int) -> None:
        """Read the window that a row is in; of one that follows the last window, from there on."""
        first = self._stream.place(number) // self.buffer * self.buffer
        if first != self._next:
            self._coming = self._from(first)
        self._window.clear()  # two of them are never in memory
        numbers = self._stream.rows(first, first + self.buffer).tolist()
        self._window.update(zip(numbers, self._coming, strict=False))
        self._next = first + len(numbers)

    def _from(self, place: int) -> Iterator[Any]:
        """The rows of the stream from a place on."""
        turn, before = self._stream.turn(place)
        for file in self._stream.files[turn:].tolist():
            for row in self._rows.of(file):
                if before:
                    before -= 1
                else:
                    yield row
