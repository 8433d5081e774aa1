"""Rows and examples as plain values: numbers, text, bytes, None, and tuples of these."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any, Generic, TypeVar

import numpy as np

from recurra.base.contracts import Origin

T = TypeVar("T")
ORIGIN = "origin"


class Way:
    """How a field becomes a plain value, and comes back."""

    def __init__(self, to_plain: Callable[[Any], Any], from_plain: Callable[[Any], Any]) -> None:
        self.to_plain, self.from_plain = to_plain, from_plain


def maybe(way: Way) -> Way:
    """The same of a field that may be None."""
    return Way(
        lambda value: None if value is None else way.to_plain(value),
        lambda plain: None if plain is None else way.from_plain(plain),
    )


class Fields(Generic[T]):
    """A dataclass as a tuple of its fields in order, but for `origin`, which the store keeps.

    ways: of fields that are no plain values, by name
    """

    def __init__(self, kind: Callable[..., T], **ways: Way) -> None:
        names = [one.name for one in fields(kind) if one.init]  # type: ignore[arg-type]
        self._kind, self._origin = kind, names.index(ORIGIN)
        names.remove(ORIGIN)
        # Of one name it gives a value in the place of a tuple: it is asked for it twice.
        self._get, self._number = attrgetter(*names, *names[: len(names) == 1]), len(names)
        self._ways = [(names.index(name), way) for name, way in ways.items()]

    def to_plain(self, one: T) -> Any:
        """The fields of one."""
        plain = self._get(one)[: self._number]
        if not self._ways:
            return plain
        values = list(plain)
        for place, way in self._ways:
            values[place] = way.to_plain(values[place])
        return tuple(values)

    def from_plain(self, plain: Any, origin: Origin) -> T:
        """The inverse of `to_plain`."""
        if not self._ways:
            return self._kind(*plain[: self._origin], origin, *plain[self._origin :])
        values = list(plain)
        for place, way in self._ways:
            values[place] = way.from_plain(values[place])
        values.insert(self._origin, origin)
        return self._kind(*values)


def _array_to_plain(values: Any) -> Any:
    return values.dtype.str, values.shape, values.tobytes()


def _array_from_plain(plain: Any) -> Any:
    dtype, shape, data = plain
    return np.frombuffer(data, dtype).reshape(shape)


# Of NumPy arrays, not to be written to when they come back; and of arrays of ints.
ARRAY = Way(_array_to_plain, _array_from_plain)
INTS = Way(lambda values: values.tobytes(), lambda data: array("i", data))
