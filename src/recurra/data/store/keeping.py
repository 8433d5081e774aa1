"""Where rows, examples and the numbers between both are kept while data is prepared: two ways, with one result."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from recurra.data.store.scratch import Scratch
from recurra.data.store.stored import Codec, Column, Stored, Writer


class Numbers(Protocol):
    """Numbers that are written in order, then read."""

    def __len__(self) -> int: ...
    def extend(self, values: Any) -> None: ...
    def read(self, start: int, stop: int) -> NDArray[Any]: ...
    def at(self, places: NDArray[np.int64]) -> NDArray[Any]: ...


class Keeping(Protocol):
    """Keeps what it is given, in order."""

    def rows(self, rows: Iterable[Any], codec: Any) -> Sequence[Any]: ...
    def examples(self, examples: Iterable[Any], codec: Any) -> Sequence[Any]: ...
    def numbers(self, dtype: Any) -> Numbers: ...


class InMemory:
    """As lists and arrays."""

    def rows(self, rows: Iterable[Any], codec: Any) -> Sequence[Any]:
        """All rows."""
        return list(rows)

    def examples(self, examples: Iterable[Any], codec: Any) -> Sequence[Any]:
        """All examples, as they are where they are a sequence."""
        return examples if isinstance(examples, Sequence) else list(examples)

    def numbers(self, dtype: Any) -> Numbers:
        """None yet."""
        return _Held(dtype)


class OnDisk:
    """In files of a folder that have no names."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch = scratch

    def rows(self, rows: Iterable[Any], codec: Codec[Any]) -> Sequence[Any]:
        """All rows. Raises DataError where the disk is full."""
        return self._kept(rows, Writer(self.scratch, codec, examples=False))

    def examples(self, examples: Iterable[Any], codec: Codec[Any]) -> Sequence[Any]:
        """All examples, with their lengths, keys and digests. Raises DataError where the disk is full."""
        return self._kept(examples, Writer(self.scratch, codec, examples=True))

    def numbers(self, dtype: Any) -> Numbers:
        """None yet."""
        return Column(self.scratch, dtype)

    def _kept(self, some: Iterable[Any], writer: Writer) -> Sequence[Any]:
        for one in some:
            writer.add(one)
        return writer.done()


class Passing:
    """Keeps rows and examples where another does; numbers are counted, and gone."""

    def __init__(self, keeping: Keeping) -> None:
        self.rows, self.examples = keeping.rows, keeping.examples

    def numbers(self, dtype: Any) -> Numbers:
        """None yet."""
        return _Passed()


class _Passed:
    """Numbers that nobody reads."""

    def __init__(self) -> None:
        self._number = 0

    def __len__(self) -> int:
        return self._number

    def extend(self, values: Any) -> None:
        self._number += len(values)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        raise AssertionError("numbers are read that were not kept")

    def at(self, places: NDArray[np.int64]) -> NDArray[Any]:
        raise AssertionError("numbers are read that were not kept")


class _Held:
    """Numbers in memory."""

    def __init__(self, dtype: Any) -> None:
        self._dtype = np.dtype(dtype)
        self._values = array(self._dtype.char)

    def __len__(self) -> int:
        return len(self._values)

    def extend(self, values: Any) -> None:
        self._values.frombytes(np.ascontiguousarray(values, self._dtype).tobytes())

    def read(self, start: int, stop: int) -> NDArray[Any]:
        return np.frombuffer(self._values, self._dtype)[start:stop]

    def at(self, places: NDArray[np.int64]) -> NDArray[Any]:
        found: NDArray[Any] = np.frombuffer(self._values, self._dtype)[places]
        return found


def numbers_beside(examples: Sequence[Any], dtype: Any) -> Numbers:
    """Numbers that are kept where the examples are: in a file beside theirs, or in memory."""
    return Column(examples.scratch, dtype) if isinstance(examples, Stored) else _Held(dtype)
