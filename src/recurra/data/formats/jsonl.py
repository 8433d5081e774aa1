"""JSON Lines: one object a line. Values keep their JSON type: text, number, boolean, null, list, object."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from recurra.data.formats.format import Format
from recurra.data.formats.lines import Line, Lines, open_lines


class JsonRows:
    """Rows of a JSON Lines file; blank lines are no rows."""

    columns = None

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def next_row(self) -> tuple[Line, Mapping[str, Any]]:
        """The next object; BadRowError when the line is not JSON, not an object, or holds NaN or a key twice."""
        line = next(self._lines)
        while not line.text.strip():
            line = next(self._lines)
        try:
            row = parse_object(line.text)
        except ValueError as error:
            raise self._lines.bad(str(error), line) from None
        return line, row


def parse_object(text: str) -> dict[str, Any]:
    """A JSON object from its text, strictly.

    Raises ValueError with a sentence for: not JSON, not an object, a key twice, NaN or infinity (also by overflow),
    nesting too deep to read, half a surrogate pair (which no UTF-8 file can hold).
    """
    try:
        row = STRICT.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos + 1}.") from None
    except RecursionError:
        raise ValueError("the JSON is nested too deeply.") from None
    if not isinstance(row, dict):
        raise ValueError(f'expected a JSON object like {{"text": "..."}}, got {text.strip()[:40]!r}.')
    if "\\u" in text:
        refuse_lone_surrogates(row)
    return row


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for key, value in pairs:
        if key in row:
            raise ValueError(f"key {key!r} appears twice in one object.")
        row[key] = value
    return row


def _refused(word: str) -> float:
    raise ValueError(f"{word} is not JSON. Write null, or leave the row out.")


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"the number {number[:20]} is too large for a 64-bit float.")
    return value


def refuse_lone_surrogates(row: Any) -> None:
    """Raise ValueError for a text in a JSON value that no UTF-8 file can hold."""
    try:
        json.dumps(row, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("a \\u escape is half of a surrogate pair, which is no character.") from None


STRICT = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refused, parse_float=_finite)


# Bytes of a line that show whether it is an object.
LOOK = 2**20


def _takes(path: Path) -> str:
    """JSON Lines under the name .json: the first line is an object, and so seems the next one to be."""
    if Path(str(path).lower().removesuffix(".gz")).suffix != ".json" or not path.is_file():
        return ""
    try:
        with open_lines(path, LOOK) as lines:
            rows = [line.text for line in islice((one for one in lines if one.text.strip()), 2)]
            first = parse_object(rows[0]) if rows else {"": [{}]}
    except ValueError:  # a DataError too: whoever reads it as JSON says it better
        return ""
    # Alone in its file, such an object holds the rows, or the columns of pandas, and is no row.
    is_list = all(isinstance(value, dict | list) for value in first.values()) or any(
        isinstance(value, list) and value and isinstance(value[0], dict) for value in first.values()
    )
    return "each of its lines is an object" if (rows[1:] and rows[1].startswith("{")) or not is_list else ""


JSONL = Format(
    doc="JSON Lines: one object a line, values of any JSON type",
    suffixes=(".jsonl", ".ndjson"),
    open=lambda lines, options: JsonRows(lines),
    options=("paths", "encoding"),
    takes=_takes,
    marked=True,
)
