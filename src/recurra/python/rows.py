"""Frames, arrays, dicts and texts as rows, and rows as a file that a run can be resumed from.

Frames are read through narwhals, which knows pandas, polars, pyarrow and others, and needs none of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from math import isfinite, isnan
from pathlib import Path
from typing import Any

from recurra.api.given import refusal
from recurra.base.atomic import replacing
from recurra.base.contracts import Listener, Record
from recurra.base.errors import ConfigError, DataError

# A value that JSON has no form for.
_NONE_OF_JSON = object()
# What frames of pandas have where there is no value, beside NaN and None.
_MISSING = frozenset({"NAType", "NaTType"})
_NO_FRAMES = (str, bytes, os.PathLike, Mapping, list, tuple, set, range, int, float, type(None), Iterator)


def is_path(data: object) -> bool:
    """Whether data are named by a path."""
    return isinstance(data, str | os.PathLike)


def frame_of(data: object) -> Any:
    """A data frame of narwhals for one of any library, read whole if it is lazy; None for what is no frame.

    Raises ConfigError for one with two columns of one name, or names that are no text.
    """
    if isinstance(data, _NO_FRAMES):  # importing narwhals takes 0.1 s, which these need not wait for
        return None
    import narwhals as nw

    try:
        frame = nw.from_native(data, pass_through=True)
    except nw.exceptions.DuplicateError as error:
        raise ConfigError(f"data: {str(error).replace(chr(10), ' ')}. Give each column a name of its own.") from None
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    if not isinstance(frame, nw.DataFrame):
        return None
    if odd := [name for name in frame.columns if not isinstance(name, str)]:
        raise ConfigError(
            f"data: expected columns whose names are text, got {odd[0]!r}. Name them: df.columns = ['text', 'label']."
        )
    return frame


def list_of(row: object) -> list[Any] | None:
    """A list, tuple, array or column as a list; None for what is none."""
    if isinstance(row, list | tuple):
        return list(row)
    plain = _plainer(row)
    return plain if isinstance(plain, list) else None


def rows_of_frame(frame: Any) -> Iterator[dict[str, Any]]:
    """The rows of a frame of narwhals; a missing value is None, and so is what no file of rows can hold."""
    for row in frame.iter_rows(named=True):
        cells = {name: _cell(value) for name, value in row.items()}
        yield {name: None if value is _NONE_OF_JSON else value for name, value in cells.items()}


def rows_of(data: object, name: str, text: str = "text") -> Iterable[Any]:
    """Rows of a frame, of a dict of columns, or of any iterable of dicts, records, or texts, which go to `text`.

    Raises ConfigError for what is none of these, or a row that is none. name: of the argument
    """
    if (frame := frame_of(data)) is not None:
        return (dict(row) for row in frame.iter_rows(named=True))
    if isinstance(data, Mapping):
        return _of_columns(data, name)
    if isinstance(data, bytes) or not isinstance(data, Iterable) or isinstance(data, type):
        raise refusal(name, "a path, a data frame, a list of dicts, or a dict of columns", data)
    return (_row(row, f"{name}[{number}]", text) for number, row in enumerate(data))


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]], name: str, watch: Listener) -> None:
    """Write rows as JSON Lines, whole or not at all. A column that holds what JSON cannot have is left out, and said.

    Raises DataError if there are no rows, or none of their columns is left.
    """
    found: list[dict[str, Any]] = []
    odd: dict[str, str] = {}
    for number, row in enumerate(rows):
        cells = {key: _cell(value) for key, value in row.items()}
        odd |= {
            key: f"{name}[{number}] holds {type(row[key]).__name__} there"
            for key, cell in cells.items()
            if cell is _NONE_OF_JSON and key not in odd
        }
        found.append(cells)
    if not found:
        raise DataError(f"{name}: holds no rows.")
    if not any(key not in odd for cells in found for key in cells):
        raise DataError(f"{name}: {_nothing_left(odd)}")
    for key, why in odd.items():
        watch.note(f"{name}: column '{key}' is left out: {why}, expected text, numbers or lists.")
    with replacing(path) as file:
        for number, row in enumerate(found):
            file.write(_line({key: cell for key, cell in row.items() if key not in odd}, f"{name}[{number}]"))


def _nothing_left(odd: Mapping[str, str]) -> str:
    if not odd:
        return "its rows have no columns. Give each a name and a value: {'text': ...}."
    left_out = "; ".join(f"'{key}': {why}" for key, why in list(odd.items())[:3])
    return f"no column is left that a file of rows can hold: {left_out}; expected text, numbers or lists."


def _line(row: Mapping[str, Any], where: str) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"
    except UnicodeEncodeError:
        raise DataError(f"{where}: holds half of a surrogate pair, which is no character.") from None


def _of_columns(data: Mapping[Any, Any], name: str) -> Iterator[dict[str, Any]]:
    columns = {key: list(values) for key, values in data.items() if _is_column(values)}
    lengths = {len(values) for values in columns.values()}
    if len(columns) != len(data) or len(lengths) != 1 or not all(isinstance(key, str) for key in data):
        raise ConfigError(
            f"{name}: expected a dict of columns of one length, such as {{'text': [...], 'label': [...]}}, got "
            f"{_shape(data)}. A single row goes into a list: [row]."
        )
    return (dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True))


def _is_column(values: object) -> bool:
    return isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping)


def _shape(data: Mapping[Any, Any]) -> str:
    shown = [
        f"{key!r}: {len(list(values)):,} values" if _is_column(values) else f"{key!r}: {type(values).__name__}"
        for key, values in list(data.items())[:3]
    ]
    return ", ".join(shown) or "none"


def _row(row: object, where: str, text: str) -> Mapping[str, Any]:
    if isinstance(row, Record):
        return row.fields
    if isinstance(row, str):
        return {text: row}
    if not isinstance(row, Mapping):
        raise refusal(where, "a row as a dict, such as {'text': ..., 'label': ...}", row)
    if odd := [key for key in row if not isinstance(key, str)]:
        raise refusal(f"{where}: a key", "the name of a column (str)", odd[0])
    return row


def _cell(value: Any) -> Any:
    """A value as JSON has it: a missing one is None, a date is text in ISO 8601; or a mark that it has none."""
    if isinstance(value, str):
        return str(value)  # numpy's are a class of their own
    if value is None or type(value).__name__ in _MISSING:
        return None
    if isinstance(value, float):
        return None if isnan(value) else float(value) if isfinite(value) else _NONE_OF_JSON
    if isinstance(value, bool | int):
        return value
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return _cell(float(value))
    if isinstance(value, Mapping):
        return _map(value)
    if isinstance(value, list | tuple):
        return _list(value)
    plain = _plainer(value)
    return _NONE_OF_JSON if type(plain) is type(value) else _cell(plain)


def _plainer(value: Any) -> Any:
    """A value of numpy, pandas or polars as one of Python; any other as it is."""
    plainer = getattr(value, "tolist", None) or getattr(value, "to_list", None)
    return plainer() if callable(plainer) and not isinstance(value, type) else value


def _list(values: Sequence[Any]) -> Any:
    cells = [_cell(value) for value in values]
    return _NONE_OF_JSON if any(cell is _NONE_OF_JSON for cell in cells) else cells


def _map(values: Mapping[Any, Any]) -> Any:
    cells = {key: _cell(value) for key, value in values.items()}
    plain = all(isinstance(key, str) and cell is not _NONE_OF_JSON for key, cell in cells.items())
    return cells if plain else _NONE_OF_JSON
