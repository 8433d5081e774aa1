"""What happens to a row that cannot be read: stop at the first one, or skip, count and remember the first few."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from recurra.base.errors import DataError
from recurra.base.registry import Registry

MAX_EXAMPLES = 5


class BadRows(Protocol):
    """Takes each refused row. count: how many so far. examples: the messages of the first five."""

    @property
    def count(self) -> int: ...
    @property
    def examples(self) -> tuple[str, ...]: ...
    def refuse(self, problem: DataError) -> None: ...


class StopAtBadRow:
    """Raise at the first bad row."""

    count = 0
    examples: tuple[str, ...] = ()

    def refuse(self, problem: DataError) -> None:
        """Raise `problem`."""
        raise problem


class SkippedRows:
    """Leave bad rows out, count them, and keep the first five messages."""

    def __init__(self) -> None:
        self._count = 0
        self._examples: list[str] = []

    @property
    def count(self) -> int:
        """Rows left out so far."""
        return self._count

    @property
    def examples(self) -> tuple[str, ...]:
        """The messages of the first five, each with `file:line`."""
        return tuple(self._examples)

    def refuse(self, problem: DataError) -> None:
        """Count `problem` and go on."""
        self._count += 1
        if len(self._examples) < MAX_EXAMPLES:
            self._examples.append(str(problem))


ON_ERROR: Registry[Callable[[], BadRows]] = Registry("on_error choice")
ON_ERROR.add("stop", StopAtBadRow)
ON_ERROR.add("skip", SkippedRows)
