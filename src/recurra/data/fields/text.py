"""Fields of text: a text, or a list of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Characters and values of a field, in a request.
LONGEST = 10_000


class Text:
    """A text, or a list of tokens with whatever belongs to them."""

    smallest = "-"

    @property
    def schema(self) -> Mapping[str, Any]:
        """As JSON Schema has it."""
        return {"type": "string", "maxLength": LONGEST}

    def size(self, value: Any) -> int:
        """Characters of a text, tokens of a list."""
        return len(value) if isinstance(value, str | list) else 0

    def of_request(self, value: Any) -> Any:
        """The value itself. Raises ValueError for one of more than `LONGEST` characters and values."""
        waiting, size = [value], 0
        while waiting:
            one = waiting.pop()
            if isinstance(one, dict):
                waiting += [*one, *one.values()]
            elif isinstance(one, list):
                waiting += one
            size += len(one) if isinstance(one, str) else 1
            if size > LONGEST:
                raise ValueError(f"a field can have at most {LONGEST:,} characters and values")
        return value


TEXT = Text()
