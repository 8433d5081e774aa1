"""Files that a field names, or holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recurra.base.contracts import Origin
from recurra.base.errors import DataError


def source_of(value: Any, origin: Origin, column: str, what: str) -> Path | bytes:
    """What a field stands for: bytes, a Path, or the name of a file, which is relative to the file that names it.

    what: is expected, such as "picture". Whether a file is there is not looked at. Raises DataError for anything else.
    """
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, Path):
        return value
    if isinstance(value, str) and value.strip():
        return Path(origin.path).parent / value.strip()
    raise DataError(f"{origin}: column '{column}' holds {value!r:.60}, expected the name of a {what} file.")
