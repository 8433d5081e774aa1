"""How numbers and values stand in a sentence."""

from __future__ import annotations

import json

LONGEST = 80


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 row`, `1,024 rows`; plural: where it is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def as_written(value: object) -> str:
    """A value of a data file as JSON writes it (`null`, `true`, `["a"]`), at most LONGEST characters of it."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
