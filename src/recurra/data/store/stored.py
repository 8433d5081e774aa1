"""A sequence of rows or examples that is in a file: each is made anew whenever it is asked for."""

from __future__ import annotations

import hashlib
import marshal
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar, overload, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Origin
from recurra.data.store.scratch import Pages, Scratch, ScratchFile

T = TypeVar("T")
# Rows that are read at once where one follows the other, and numbers that are collected before they are written.
CHUNK = 2048
# Rows between the first and the last of a chunk from which on each is read by itself.
FAR = 8 * CHUNK


class Codec(Protocol[T]):
    """Rows or examples as plain values (None, numbers, text, bytes, and tuples of these), and back; but for origins."""

    def to_plain(self, one: T) -> Any: ...
    def from_plain(self, plain: Any, origin: Origin) -> T: ...


class Column:
    """Numbers of one dtype in a file: written in order, then read."""

    def __init__(self, scratch: Scratch, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self._file: ScratchFile = scratch.file()
        self._pages: Pages | None = None

    def __len__(self) -> int:
        return int(self._file.size // self.dtype.itemsize)

    def extend(self, values: Any) -> None:
        """Put numbers behind the others."""
        self._file.write(np.ascontiguousarray(values, self.dtype).tobytes())

    def write(self, data: bytes) -> None:
        """The same of their bytes."""
        self._file.write(data)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Numbers start..stop; nothing is written after the first call."""
        return self.pages.numbers(self.dtype, start, stop)

    def at(self, places: NDArray[np.int64]) -> NDArray[Any]:
        """The numbers at some places; nothing is written after the first call."""
        found: NDArray[Any] = np.frombuffer(self.pages.view, self.dtype)[places]
        self.pages.touch(places.size)
        return found

    @property
    def pages(self) -> Pages:
        self._pages = self._pages or self._file.pages()
        return self._pages


class Stored(Sequence[T]):
    """Rows or examples in files; most that is in memory at once is a chunk of them, and 4 bytes for each length.

    lengths: (N,) int32, time steps of each      keys: 8 bytes for each that tell different ones apart
    digests: the 32 bytes of each, one after the other, where they were written      scratch: where the files are
    """

    def __init__(
        self,
        codec: Codec[T],
        pages: Pages,
        ends: Column,
        paths: Sequence[str],
        lengths: NDArray[np.int32],
        keys: Column | None,
        digests: Pages | None,
        scratch: Scratch,
        places: NDArray[Any] | None = None,
    ) -> None:
        self.codec, self.lengths, self.scratch = codec, lengths, scratch
        self._pages, self._ends, self._paths = pages, ends, paths
        self._keys, self._digests, self._places = keys, digests, places

    def __len__(self) -> int:
        return len(self._ends) if self._places is None else len(self._places)

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> list[T]: ...
    def __getitem__(self, at: int | slice) -> T | list[T]:
        if isinstance(at, slice):
            return [self[place] for place in range(*at.indices(len(self)))]
        place = range(len(self))[at]
        return next(self._read([place if self._places is None else int(self._places[place])]))

    def __iter__(self) -> Iterator[T]:
        return self.at(None)

    def at(self, kept: NDArray[np.bool_] | None) -> Iterator[T]:
        """Those of a mask (N,), in order; None: all of them."""
        for first in range(0, len(self), CHUNK):
            last = min(first + CHUNK, len(self))
            places: Any = range(first, last) if self._places is None else self._places[first:last].tolist()
            if kept is not None:
                places = [place for place, keep in zip(places, kept[first:last].tolist(), strict=True) if keep]
            for part in _near(places):
                yield from self._read(part)

    def taken(self, kept: NDArray[np.bool_]) -> Stored[T]:
        """Those of a mask (N,), as a sequence; a place takes 8 bytes more."""
        places = np.flatnonzero(kept) if self._places is None else self._places[kept]
        lengths = self.lengths[kept]
        files = (self._pages, self._ends, self._paths, lengths, self._keys, self._digests)
        return Stored(self.codec, *files, self.scratch, places)

    def keys(self) -> Iterator[NDArray[np.uint64]]:
        """The keys, in order, a chunk of them at a time."""
        assert self._keys is not None, "rows have no keys"
        for first in range(0, len(self), CHUNK):
            last = min(first + CHUNK, len(self))
            if self._places is None:
                yield self._keys.read(first, last)
            else:
                for part in _near(self._places[first:last].tolist()):
                    yield self._keys.read(part[0], part[-1] + 1)[np.array(part) - part[0]]

    def digests(self) -> Iterator[bytes]:
        """The digests, in order, some of them at a time."""
        assert self._digests is not None, "rows have no digests"
        for first in range(0, len(self), CHUNK):
            last = min(first + CHUNK, len(self))
            if self._places is None:
                yield self._digests.read(first * 32, last * 32)
            else:
                yield from (self._digests.read(k * 32, k * 32 + 32) for k in self._places[first:last].tolist())

    def _read(self, places: Sequence[int]) -> Iterator[T]:
        """Those of some places, in order; what stands between them is read too."""
        low, high = places[0], places[-1] + 1
        ends = self._ends.read(max(low - 1, 0), high).tolist()
        bounds = [0, *ends] if low == 0 else ends
        data = self._pages.read(bounds[0], bounds[-1])
        base = bounds[0]
        for place in places:
            yield self._made(data[bounds[place - low] - base : bounds[place - low + 1] - base])

    def _made(self, data: bytes) -> T:
        # Only this process can have written it: the file has no name.
        path, line, plain = marshal.loads(data)  # noqa: S302
        return self.codec.from_plain(plain, Origin(self._paths[path], line))


class Writer:
    """Writes rows or examples into files, one by one."""

    def __init__(self, scratch: Scratch, codec: Codec[Any], *, examples: bool) -> None:
        """examples: they have lengths, keys and digests, which are written too"""
        self._codec, self._scratch = codec, scratch
        self._file, self._ends = scratch.file(), Column(scratch, np.int64)
        self._paths: dict[str, int] = {}
        self._new_ends = array("q")
        self._lengths = array("i")
        self._keys = Column(scratch, np.uint64) if examples else None
        self._digests = scratch.file() if examples else None

    def add(self, one: Any) -> None:
        """Put one behind the others. Raises DataError where the disk is full."""
        origin = one.origin
        path = self._paths.setdefault(origin.path, len(self._paths))
        self._file.write(marshal.dumps((path, origin.line, self._codec.to_plain(one))))
        self._new_ends.append(self._file.size)
        if self._keys is not None and self._digests is not None:
            self._lengths.append(one.length)
            self._keys.write(key_digest(one.key))
            self._digests.write(one.digest())
        if len(self._new_ends) == CHUNK:
            self._ends.extend(self._new_ends)
            del self._new_ends[:]

    def done(self) -> Stored[Any]:
        """All of them, to be read."""
        self._ends.extend(self._new_ends)
        lengths = np.frombuffer(self._lengths, np.int32)
        digests = None if self._digests is None else self._digests.pages()
        files = (self._file.pages(), self._ends, list(self._paths), lengths, self._keys, digests)
        return Stored(self._codec, *files, self._scratch)


def _near(places: Sequence[int]) -> Iterator[Sequence[int]]:
    """Places that are read at once: all of them, unless much lies between."""
    if places and places[-1] - places[0] >= FAR:
        yield from ([place] for place in places)
    elif places:
        yield places


def key_digest(key: str | bytes) -> bytes:
    """8 bytes that stand for a key. Of 20 million keys two have the same ones with a probability of 1e-5."""
    data = key if isinstance(key, bytes) else key.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=8).digest()


@runtime_checkable
class Apart(Protocol):
    """A sequence of examples that are not in memory, whose keys and digests are kept beside them."""

    def __getitem__(self, at: int) -> Any: ...
    def keys(self) -> Iterator[NDArray[np.uint64]]: ...
    def digests(self) -> Iterator[bytes]: ...
    def taken(self, kept: NDArray[np.bool_]) -> Sequence[Any]: ...


@runtime_checkable
class MadeWhenAsked(Protocol):
    """A sequence of examples that knows (N,) time steps of each without making it, and gives some of them at once."""

    @property
    def lengths(self) -> NDArray[Any]: ...
    def gathered(self, at: Any) -> Sequence[Any]: ...


def gathered_of(examples: Sequence[T], places: Sequence[int]) -> Sequence[T]:
    """The examples at these places."""
    if not isinstance(examples, list) and isinstance(examples, MadeWhenAsked):
        return examples.gathered(np.asarray(places, np.int64))
    return [examples[place] for place in places]


def lengths_of(examples: Sequence[Any]) -> NDArray[Any]:
    """(N,) time steps of each."""
    if not isinstance(examples, list) and isinstance(examples, Stored | MadeWhenAsked):
        return examples.lengths
    return np.array([e.length for e in examples], dtype=np.int64)


def digests_of(examples: Sequence[Any]) -> Iterable[bytes]:
    """The digests of all, in order, some of them at a time."""
    if not isinstance(examples, list) and isinstance(examples, Apart):
        return examples.digests()
    return (e.digest() for e in examples)


def chosen(examples: Sequence[T], kept: Iterable[bool]) -> Sequence[T]:
    """The examples of a mask; all of them as they are."""
    mask = np.fromiter(kept, bool)
    if mask.all():
        return examples
    if not isinstance(examples, list) and isinstance(examples, Apart):
        return examples.taken(mask)
    return [e for e, keep in zip(examples, mask.tolist(), strict=True) if keep]
