"""Fields of features: in a file the name of a file of features, or lists; in a request lists of numbers alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recurra.data.fields.numbers import NUMBERS


class Features:
    """A list of numbers for each frame, or the name of a file of them where a file of the user names it."""

    smallest = ((0.0,), (0.0,))

    @property
    def schema(self) -> Mapping[str, Any]:
        """As JSON Schema has it."""
        return NUMBERS.schema

    def size(self, value: Any) -> int:
        """Frames; of a name one."""
        return len(value) if isinstance(value, list | tuple) else 1

    def of_request(self, value: Any) -> Any:
        """The lists themselves. Raises ValueError for text: a name is never opened."""
        if isinstance(value, str):
            raise ValueError("is text; expected a list of numbers for each frame, not a name")
        return NUMBERS.of_request(value)


FEATURES = Features()
