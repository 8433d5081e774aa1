"""Rows that stay in their files, and are read again whenever they are asked for; examples made of them, a window at a
time. Neither memory nor the disk holds more of them than a window, 52 bytes for each, and 25 for each mark."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from recurra.base.errors import ConfigError, DataError
from recurra.data.batches import Batches
from recurra.data.formats.cursor import Cursor
from recurra.data.formats.lines import Mark
from recurra.data.store.scratch import Scratch
from recurra.data.store.side_by_side import SharedPass, side_by_side
from recurra.data.store.stored import CHUNK, Column, Writer, key_digest
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
        self._beside: list[SetAside[T]] = []
        self._shared: SharedPass[T] | None = None
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
        return (self._shared and self._shared.once()) or self._all()

    def read_by(self, *works: Callable[[], Any]) -> list[Any]:
        """What functions give that each go through these rows once, in one pass; as `side_by_side`."""
        return side_by_side(partial(setattr, self, "_shared"), self._all(), *works)

    def _all(self) -> Iterator[T]:
        others, kept = [one for one in self._beside if one.waits], self._kept
        writers = [one.writer() for one in others]
        wanted = kept.copy()
        for one in others:
            wanted |= one.mask
        for number, row in self._every(wanted):
            if kept[number]:
                yield row
                continue
            for one, writer in zip(others, writers, strict=True):
                if one.mask[number]:
                    writer.add(row)
        for one, writer in zip(others, writers, strict=True):
            one.found = writer.done()

    def __contains__(self, one: object) -> bool:
        return any(row == one for row in self)

    def beside(self, others: RereadRows[T], writer: Callable[[], Writer]) -> SetAside[T]:
        """Other rows of these files, which a writer keeps when these are gone through first."""
        self._beside.append(SetAside(others, others._kept, writer))
        return self._beside[-1]

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

    def _every(self, wanted: NDArray[np.bool_]) -> Iterator[tuple[int, T]]:
        """The good rows of a mask, each with its number. Raises DataError for a file with another number of good rows
        than before; one of which nothing is wanted is not read."""
        for file, (first, end) in enumerate(pairwise(self._counts.tolist())):
            if not wanted[first:end].any():
                continue
            number = first - 1
            for number, row in enumerate(self._read(file, Cursor()), start=first):
                if number < end and wanted[number]:
                    yield number, row
            if number + 1 != end:
                raise self._changed(file, number + 1 - first)

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


class SetAside(Collection[T]):
    """Rows that are kept when others of their files are gone through; before that, they are read there.

    waits: whether they are still to be kept
    """

    def __init__(self, rows: RereadRows[T], mask: NDArray[np.bool_], writer: Callable[[], Writer]) -> None:
        """mask: of all good rows of the files"""
        self._rows, self.mask, self.writer = rows, mask, writer
        self.found: Sequence[T] | None = None

    @property
    def waits(self) -> bool:
        return self.found is None

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[T]:
        return iter(self._rows if self.found is None else self.found)

    def __contains__(self, one: object) -> bool:
        return any(row == one for row in self)


@dataclass(frozen=True, slots=True)
class _Known:
    """lengths: (N,) time steps of examples      numbers: of theirs among keys and digests; None: all of these"""

    lengths: NDArray[np.int32]
    keys: Column
    digests: Column
    numbers: NDArray[Any] | None


class Reread(Sequence[T], Generic[T]):
    """Examples of rows that are in files, one of each row, each made anew whenever it is asked for.

    A window of rows is in memory, or what a rank needs of it. Those that come in the order of an epoch (`reading`), or
    in their own, cost one pass over the files. What is known of each is noted in the first pass, whoever makes it.
    make: examples of some rows, in order      buffer: rows of a window      lengths: (N,) int32, time steps of each
    keys, digests: of each, in files of their own
    """

    def __init__(
        self,
        rows: RereadRows[Any],
        make: Callable[[Iterable[Any]], Iterable[T]],
        buffer: int,
        first: Callable[[], Iterator[T]],
        scratch: Scratch,
    ) -> None:
        """first: all examples, the first time: while these are gone through it is noted what is known of each

        scratch: for that
        """
        self._rows, self._make, self.buffer, self._first_pass, self._scratch = rows, make, buffer, first, scratch
        self._known: _Known | None = None
        self._window: dict[int, Any] = {}
        self._shared: SharedPass[T] | None = None
        self._planned: tuple[int, int, Batches] | None = None
        self._order(Stream(rows.bounds))

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def lengths(self) -> NDArray[np.int32]:
        return self._noted.lengths

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> list[T]: ...
    def __getitem__(self, at: int | slice) -> T | list[T]:
        if isinstance(at, slice):
            return self.gathered(range(*at.indices(len(self))))
        return self.gathered([range(len(self))[at]])[0]

    def __iter__(self) -> Iterator[T]:
        return (self._shared and self._shared.once()) or self._all()

    def read_by(self, *works: Callable[[], Any]) -> list[Any]:
        """What functions give that each go through these examples once, in one pass; as `side_by_side`."""
        return side_by_side(partial(setattr, self, "_shared"), self._all(), *works)

    def _all(self) -> Iterator[T]:
        return self._noting() if self._known is None else iter(self._make(self._rows))

    def _noting(self) -> Iterator[T]:
        """All examples, of which it is noted what is known. Raises ConfigError where a row makes several."""
        lengths = array("i")
        keys, digests = Column(self._scratch, np.uint64), Column(self._scratch, "V32")
        one: Any
        for one in self._first_pass():
            lengths.append(one.length)
            keys.write(key_digest(one.key))
            digests.write(one.digest())
            yield one
        if len(lengths) != len(self._rows):
            raise ConfigError(
                f"data.shuffle_buffer: {len(self._rows):,} rows make {len(lengths):,} examples, and must make one "
                "each; leave it out."
            )
        self._known = _Known(np.frombuffer(lengths, np.int32), keys, digests, None)

    @property
    def _noted(self) -> _Known:
        """What is known of each, once all were gone through."""
        if self._known is None and self._shared is not None:
            self._shared.finish()
        if self._known is None:
            deque(self._noting(), maxlen=0)
        assert self._known is not None, "all were gone through"
        return self._known

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
        known, rows = self._noted, self._rows.taken(kept)
        found = Reread(rows, self._make, self.buffer, self._first_pass, self._scratch)
        numbers = np.flatnonzero(kept) if known.numbers is None else known.numbers[kept]
        found._known = replace(known, lengths=known.lengths[kept], numbers=numbers)
        return found

    def keys(self) -> Iterator[NDArray[np.uint64]]:
        """8 bytes for each that tell different ones apart, in order, a chunk of them at a time."""
        return self._column(self._noted.keys)

    def digests(self) -> Iterator[bytes]:
        """The digests, in order, some of them at a time."""
        return (part.tobytes() for part in self._column(self._noted.digests))

    def _column(self, column: Column) -> Iterator[NDArray[Any]]:
        for first in range(0, len(self), CHUNK):
            last = min(first + CHUNK, len(self))
            numbers = self._noted.numbers
            yield column.read(first, last) if numbers is None else column.at(numbers[first:last])

    def _check(self, number: int, one: Any) -> None:
        known = self._noted
        place = number if known.numbers is None else int(known.numbers[number])
        if known.digests.read(place, place + 1).tobytes() != one.digest():
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
