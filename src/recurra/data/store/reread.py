"""Rows that stay in their files, and are read again whenever they are asked for; examples made of them, a window at a
time. Neither memory nor the disk holds more of them than a window, 52 bytes for each, and 25 for each mark."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from recurra.base.errors import ConfigError, DataError
from recurra.data.batches import Batches
from recurra.data.formats.cursor import Cursor
from recurra.data.formats.lines import Mark
from recurra.data.store.scratch import Scratch
from recurra.data.store.stored import CHUNK, Column, key_digest
from recurra.data.windows import Stream, windowed_batches

T = TypeVar("T")
# The good rows of one of the files, from its first, or where the cursor leads.
ReadFile = Callable[[int, Cursor], Iterator[Any]]
ALL = slice(None)


class Marks:
    """Marks of some rows, in their order."""

    def __init__(self) -> None:
        self._rows, self._places, self._numbers = array("q"), array("q"), array("q")
        self._near = bytearray()

    def add(self, row: int, mark: Mark) -> None:
        """The mark that leads to a row."""
        self._rows.append(row)
        self._places.append(mark.place)
        self._numbers.append(mark.number)
        self._near.append(mark.near)

    def last(self, first: int, row: int) -> tuple[int, Mark] | None:
        """The last row of first..row that has a mark, and the mark."""
        at = bisect_right(self._rows, row) - 1
        return self._at(at) if at >= 0 and self._rows[at] >= first else None

    def next(self, row: int, end: int) -> tuple[int, Mark] | None:
        """The first row behind this one and before `end` that has a mark, and the mark."""
        at = bisect_right(self._rows, row)
        return self._at(at) if at < len(self._rows) and self._rows[at] < end else None

    def _at(self, at: int) -> tuple[int, Mark]:
        return self._rows[at], Mark(self._places[at], self._numbers[at], bool(self._near[at]))

    def pieces(self, bounds: NDArray[np.int64], size: int) -> NDArray[np.int64]:
        """(P + 1,) number of the first row of each piece of files, and the end: of at least `size` rows, but the last
        of a file, and begun where a mark leads alone. bounds: (F + 1,) the same of the files"""
        rows = np.frombuffer(self._rows, np.int64)[np.frombuffer(self._near, np.bool_)]
        cuts = [np.zeros(1, np.int64)]
        for first, end in pairwise(bounds.tolist()):
            inside = rows[np.searchsorted(rows, first, side="right") : np.searchsorted(rows, end)]
            places = np.searchsorted(inside, np.arange(first + size, end, size)) if size else np.zeros(0, np.int64)
            cuts += [np.unique(inside[places[places < len(inside)]]), np.full(int(first < end), end)]
        return np.concatenate(cuts)


class RereadRows(Collection[T]):
    """Good rows of several files, all or some. bounds: (P + 1,) number of the first one of each piece, and the end"""

    def __init__(
        self,
        read: ReadFile,
        names: Sequence[str],
        counts: NDArray[np.int64],
        marks: Marks,
        pieces: NDArray[np.int64],
        kept: NDArray[np.bool_],
        ranged: bool,
    ) -> None:
        """counts: (F + 1,) first row of each file, pieces: of each piece, among all good ones      kept: of these

        ranged: whether files are opened for a range of bytes
        """
        self._read, self._names, self._counts, self._marks, self._kept = read, names, counts, marks, kept
        self._pieces, self._ranged, self._since, self._until = pieces, ranged, 0, 0
        self.bounds = np.concatenate([[0], kept.cumsum(dtype=np.int64)])[pieces]
        self._file, self._next, self._cursor = -1, 0, Cursor()
        self._coming: Iterator[Any] = iter(())

    @classmethod
    def counted(
        cls, rows: Iterable[T], read: ReadFile, names: Sequence[str], cursor: Cursor, *, piece: int, ranged: bool
    ) -> RereadRows[T]:
        """These rows, which are read once to be counted. Raises ConfigError for one of no file.

        cursor: of who reads them      piece: rows of a piece of a file at least; 0: files are in one piece
        ranged: whether files are opened for a range of bytes, where marks are bytes
        """
        places, counts, last = {name: place for place, name in enumerate(names)}, np.zeros(len(names) + 1, np.int64), 0
        marks = Marks()
        one: Any
        for number, one in enumerate(rows):
            place = places.get(one.origin.path, -1)
            if place < last:
                raise ConfigError(
                    f"data.shuffle_buffer: {one.origin} stands in no file by itself, so it cannot be read again; leave "
                    "it out."
                )
            last = place
            counts[place + 1] += 1
            if (mark := cursor.taken()) is not None:
                marks.add(number, mark)
        bounds = counts.cumsum()
        return cls(read, names, bounds, marks, marks.pieces(bounds, piece), np.ones(int(bounds[-1]), bool), ranged)

    def __len__(self) -> int:
        return int(self.bounds[-1])

    def __iter__(self) -> Iterator[T]:
        for file in range(len(self._names)):
            yield from self._of(file)

    def __contains__(self, one: object) -> bool:
        return any(row == one for row in self)

    def at(self, numbers: NDArray[np.int64]) -> Iterator[T]:
        """Those with some numbers, in this order. What stands between two is passed over where a mark leads behind it.

        Raises DataError where a file has fewer good rows than before.
        """
        pieces = np.searchsorted(self.bounds, numbers, side="right") - 1
        cuts = np.flatnonzero(np.diff(pieces)) + 1
        for part, piece in zip(np.split(numbers, cuts), pieces[[0, *cuts]] if len(pieces) else (), strict=False):
            first, end = self._pieces[piece : piece + 2].tolist()
            rows = first + np.flatnonzero(self._kept[first:end])[part - self.bounds[piece]]
            yield from self._some(int(np.searchsorted(self._counts, first, side="right")) - 1, rows.tolist())

    def taken(self, kept: NDArray[np.bool_]) -> RereadRows[T]:
        """Those of a mask (N,), to be read in order, again and again."""
        mask = self._kept.copy()
        mask[self._kept] = kept
        return RereadRows(self._read, self._names, self._counts, self._marks, self._pieces, mask, self._ranged)

    def _of(self, file: int) -> Iterator[T]:
        """Those of one file, in order. Raises DataError where it has another number of good rows than before."""
        wanted = self._kept[int(self._counts[file]) : int(self._counts[file + 1])]
        if not wanted.any():
            return
        place = -1
        for place, row in enumerate(self._read(file, Cursor())):
            if place < len(wanted) and wanted[place]:
                yield row
        if place + 1 != len(wanted):
            raise self._changed(file, place + 1)

    def _some(self, file: int, rows: Sequence[int]) -> Iterator[Any]:
        """Good rows of a file, by their number among all."""
        for row in rows:
            if (file, row) != (self._file, self._next) or not self._since <= row < self._until:
                self._go(file, row, rows[-1])
            one = None
            while self._next <= row:
                one = next(self._coming, None)
                if one is None:
                    raise self._changed(file, self._next - int(self._counts[file]))
                self._next += 1
            yield one

    def _go(self, file: int, row: int, last: int) -> None:
        """Read on from the last row up to this one that a mark leads to, or that is next. last: of those that follow"""
        found = self._marks.last(int(self._counts[file]), row)
        open = file == self._file and self._since <= row < self._until
        if open and self._next <= row and (found is None or found[0] <= self._next):
            return
        if not open or found is None:
            self._open(file, found, last)
        if found is not None:
            self._next, self._cursor.wanted = found

    def _open(self, file: int, found: tuple[int, Mark] | None, last: int) -> None:
        """Open a file at its first row, or at a row that a mark leads to, so that rows up to `last` can be read."""
        self.close()
        first, end = self._counts[file : file + 2].tolist()
        self._file, self._next, self._since, self._until, self._cursor = file, first, first, end, Cursor()
        self._cursor.wanted = None if found is None else found[1]
        head, after = (self._marks.next(row, end) for row in (first, last))
        if self._ranged and found is not None and found[1].near and head is not None:
            stop = None if after is None else after[1].place
            self._since, self._until = found[0], end if after is None else after[0]
            self._cursor.ranges = (0, head[1].place), (found[1].place, stop)
        self._coming = self._read(file, self._cursor)

    def close(self) -> None:
        """Let the file go that is read."""
        if isinstance(self._coming, Generator):
            self._coming.close()
        self._file, self._until, self._coming = -1, 0, iter(())

    def _changed(self, file: int, number: int) -> DataError:
        self.close()
        had = int(self._counts[file + 1] - self._counts[file])
        return DataError(
            f"{self._names[file]}: has {number:,} good rows, and had {had:,} when the data was prepared. Was it "
            "changed meanwhile? Put it back, and resume."
        )


class Reread(Sequence[T], Generic[T]):
    """Examples of rows that are in files, one of each row, each made anew whenever it is asked for.

    A window of rows is in memory, or what a rank needs of it. Those that come in the order of an epoch (`reading`), or
    in their own, cost one pass over the files.
    make: examples of some rows, in order      buffer: rows of a window      lengths: (N,) int32, time steps of each
    keys, digests: of each, in files of their own
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
        self._known, self._numbers = known, numbers
        self._window: dict[int, Any] = {}
        self._planned: tuple[int, int, Batches] | None = None
        self._order(Stream(rows.bounds))

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

    def planned(self, seed: int, epoch: int, *, token_budget: int, max_sequences: int) -> Batches:
        """The batches of an epoch, within windows. Raises ConfigError as `windowed_batches` does."""
        limits: Any = {"token_budget": token_budget, "max_sequences": max_sequences, "seed": seed, "epoch": epoch}
        found = windowed_batches(self.lengths, self._rows.bounds, buffer=self.buffer, **limits)
        self._planned = seed, epoch, found
        return found

    @contextmanager
    def reading(self, seed: int, epoch: int, part: slice = ALL) -> Iterator[None]:
        """Inside the block rows are read in the order of an epoch, and of each window those of the part of a rank.

        part: slice(rank, None, ranks), of the batches that were planned last
        """
        self._order(Stream(self._rows.bounds, seed, epoch), (seed, epoch), part)
        try:
            yield
        finally:
            self._order(Stream(self._rows.bounds))

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
            self._order(self._stream, self._epoch, self._part)  # what was read is forgotten
            raise DataError(
                f"{one.origin}: is not what it was when the data was prepared. Was the file changed meanwhile? Put it "
                "back, and resume."
            )

    def _order(self, stream: Stream, epoch: tuple[int, int] | None = None, part: slice = ALL) -> None:
        self._stream, self._epoch, self._part, self._first = stream, epoch, part, -1
        self._window.clear()
        self._rows.close()

    def _load(self, number: int) -> None:
        """Read the window that a row is in, or, of a window that is there but for this row, the row."""
        first = self._stream.place(number) // self.buffer * self.buffer
        if first != self._first:
            self._first, numbers = -1, self._ours(first)
            self._window.clear()  # two of them are never in memory
            self._window.update(zip(numbers.tolist(), self._rows.at(numbers), strict=True))
            self._first = first
        if number not in self._window:
            self._window[number] = next(self._rows.at(np.array([number])))

    def _ours(self, first: int) -> NDArray[np.int64]:
        """The rows of a window that this rank needs, in the order of the stream."""
        rows = self._stream.rows(first, first + self.buffer)
        if self._planned is None or self._planned[:2] != self._epoch or self._part.step is None:
            return rows
        ours = self._planned[2].examples_of_part(first, first + len(rows), self._part.start, self._part.step)
        return rows[np.isin(rows, ours)]
