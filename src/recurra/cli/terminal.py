"""Results go to standard output, messages to standard error; colours and bars only where a person looks."""

from __future__ import annotations

import io
import json
import math
import os
import sys
import unicodedata
from collections.abc import Mapping
from typing import Any, TextIO


def say(message: str) -> None:
    """A message for a person, on standard error."""
    print(printable(message), file=sys.stderr, flush=True)


def put(text: str) -> None:
    """A result, on standard output."""
    print(text)


def put_json(value: Any) -> None:
    """A result for a program, on standard output; a number that is not finite becomes null, as JSON has none."""
    put(json.dumps(plain(value), ensure_ascii=False, indent=2, allow_nan=False))


def plain(value: Any) -> Any:
    """`value` in what JSON has: maps with text keys, lists, text, finite numbers, true, false, null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | None) else str(value)


def is_terminal(stream: TextIO) -> bool:
    """Does a person look at `stream`, on a terminal that can move its cursor?"""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def printable(text: str) -> str:
    """`text` without control characters, so that no data can drive a terminal; line ends and tabs stay."""
    return "".join(c if c in "\n\t" or unicodedata.category(c) != "Cc" else f"\\x{ord(c):02x}" for c in text)


def one_line(text: str) -> str:
    """`text` in one line, without control characters."""
    return printable(" ".join(text.split()))


def tolerate_narrow_encodings() -> None:
    """Write what a stream cannot encode as an escape: output in an ASCII locale must not end the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def width(text: str) -> int:
    """Columns that `text` takes on a terminal: two for wide East Asian characters, none for combining marks."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in text)
