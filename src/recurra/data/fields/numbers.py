"""Fields of numbers: one a step, or several; as lists, as arrays, or as text in a cell."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Origin
from recurra.base.errors import DataError
from recurra.base.words import as_written

# Of a field in a request: steps, and numbers in all.
MOST_STEPS, MOST_NUMBERS = 100_000, 1_000_000
# Characters of numbers that come as text.
LONGEST = 16 * MOST_NUMBERS
# What numbers stand apart by in a cell, and what a number is there that is missing.
_APART = re.compile(r"[\s,;]+")
_MISSING = frozenset({"nan", "na", "null", "none", "?", ""})


class Numbers:
    """A number for each step, or a list of numbers for each step."""

    smallest = (0.0, 0.0)

    @property
    def schema(self) -> Mapping[str, Any]:
        """As JSON Schema has it; null is a number that is missing."""
        number = {"type": ["number", "null"]}
        steps = {"type": "array", "maxItems": MOST_STEPS}
        return {"anyOf": [{**steps, "items": number}, {**steps, "items": {"type": "array", "items": number}}]}

    def size(self, value: Any) -> int:
        """Numbers, whatever is around them; characters of a text."""
        if isinstance(value, list | tuple):
            return sum(len(one) if isinstance(one, list | tuple) else 1 for one in value)
        return len(value) if isinstance(value, str) else int(getattr(value, "size", 0))

    def of_request(self, value: Any) -> Any:
        """The value itself. Raises ValueError for one of too many steps or numbers."""
        if isinstance(value, str) and len(value) > LONGEST:
            raise ValueError(f"has {len(value):,} characters; a field of numbers can have {LONGEST:,}")
        if isinstance(value, list) and len(value) > MOST_STEPS:
            raise ValueError(f"has {len(value):,} steps; a field of numbers can have {MOST_STEPS:,}")
        if (size := 0 if isinstance(value, str) else self.size(value)) > MOST_NUMBERS:
            raise ValueError(f"has {size:,} numbers; a field of numbers can have {MOST_NUMBERS:,}")
        return value


NUMBERS = Numbers()


def numbers_of(value: Any, origin: Origin, column: str) -> NDArray[np.float64]:
    """The numbers of a field, (T, F); F is 1 where each step has one. A number that is missing is NaN.

    value: an array, a list of numbers or of lists, or text: JSON, or numbers with spaces, commas or semicolons between
    Raises DataError, with file, line, column and step, for what is no number, and for steps of different lengths.
    """
    if isinstance(value, np.ndarray):
        return _shaped(value.astype(np.float64), origin, column)
    listed = _parsed(value, origin, column) if isinstance(value, str) else value
    if isinstance(listed, int | float) and not isinstance(listed, bool):
        listed = [listed]
    if not isinstance(listed, list | tuple):
        raise DataError(f"{origin}: column '{column}' holds {as_written(value)}, expected numbers, one a step.")
    several = bool({list, tuple} & set(map(type, listed)))
    if several:
        _refuse_ragged(listed, origin, column)
    try:  # fast where all are numbers
        return _shaped(np.array(listed, dtype=np.float64), origin, column)
    except (TypeError, ValueError, OverflowError):
        steps = listed if several else [[one] for one in listed]
        exact = [[_number(one, origin, column, t) for one in step] for t, step in enumerate(steps, start=1)]
        return _shaped(np.array(exact, dtype=np.float64), origin, column)


def _parsed(text: str, origin: Origin, column: str) -> Any:
    """The list in a cell: JSON where it begins like JSON, else numbers with something between."""
    stripped = text.strip()
    if not stripped.startswith(("[", "{")):
        return _APART.split(stripped) if stripped else []
    try:
        return json.loads(stripped)
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", "is nested too deeply")
        raise DataError(f"{origin}: column '{column}' holds {as_written(text)}, which is no JSON: {reason}.") from None


def _number(value: Any, origin: Origin, column: str, step: int) -> float:
    if value is None or (isinstance(value, str) and value.strip().lower() in _MISSING):
        return float("nan")
    try:
        if not isinstance(value, bool | list | tuple | dict):
            return float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise DataError(f"{origin}: column '{column}', step {step}: expected a number, got {as_written(value)}.")


def _refuse_ragged(steps: list[Any] | tuple[Any, ...], origin: Origin, column: str) -> None:
    """Raise DataError where steps have different numbers of numbers."""
    sizes = [len(one) if isinstance(one, list | tuple) else -1 for one in steps]
    wrong = next((t for t, size in enumerate(sizes) if size != sizes[0]), None)
    if wrong is not None:
        what = [f"{size} numbers" if size >= 0 else "one number and no list" for size in (sizes[0], sizes[wrong])]
        raise DataError(
            f"{origin}: column '{column}': step {wrong + 1} has {what[1]}, step 1 has {what[0]}; expected as many in "
            "every step."
        )


def _shaped(array: NDArray[np.float64], origin: Origin, column: str) -> NDArray[np.float64]:
    if array.ndim == 1:
        return array.reshape(-1, 1)
    if array.ndim != 2:
        raise DataError(
            f"{origin}: column '{column}' has numbers in {array.ndim} dimensions, expected steps, or steps by numbers."
        )
    return array
