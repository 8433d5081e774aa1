"""What callers hand over, in the forms that the verbs take: paths as text, a run that is open, texts and dicts as rows.

Everything else is refused in a sentence that names what was given, and what to give in its place.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError

AnyPath: TypeAlias = str | os.PathLike[str]
# A text goes where the run's data has its texts; a dict is a row.
Row: TypeAlias = Record | Mapping[str, Any] | str

# What other libraries call the way from a table to rows, by the method that makes them.
_TABLES = {
    "to_dicts": "frame.to_dicts()",  # polars
    "to_dict": "frame.to_dict('records')",  # pandas
    "to_pylist": "table.to_pylist()",  # pyarrow
}


def path_of(value: object, name: str) -> Path:
    """A path, given as text or as a path. Raises ConfigError for anything else. name: of the argument"""
    if isinstance(value, str | os.PathLike):
        path = os.fspath(value)
        if isinstance(path, str):
            return Path(path)
    raise refusal(name, "a path, as text or pathlib.Path", value)


def paths_of(values: object, name: str) -> tuple[Path, ...]:
    """Paths; one of them may stand alone. Raises ConfigError."""
    if isinstance(values, str | os.PathLike):
        return (path_of(values, name),)
    if not isinstance(values, Iterable):
        raise refusal(name, "a list of paths", values)
    return tuple(path_of(value, f"{name}[{number}]") for number, value in enumerate(values))


def text_of(value: object, name: str) -> str:
    """A text. Raises ConfigError for anything else."""
    if not isinstance(value, str):
        raise refusal(name, "a text (str)", value, _step(value))
    return value


def overrides_of(overrides: object) -> list[str]:
    """Settings such as "model.encoder.hidden_size=8". Raises ConfigError for what is no list of texts."""
    if isinstance(overrides, str) or not isinstance(overrides, Sequence):
        raise refusal("overrides", "a list of settings, such as ['model.encoder.hidden_size=8']", overrides)
    return [text_of(one, f"overrides[{number}]") for number, one in enumerate(overrides)]


def config_of(value: object) -> Path | Mapping[str, Any]:
    """A config: the path of its file, or the same as a dict of sections. Raises ConfigError for anything else."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, str | os.PathLike):
        return path_of(value, "config")
    raise refusal("config", "the path of a config file, or a dict of its sections", value)


def are_rows(value: object) -> bool:
    """Whether something is rows, and no path. Raises ConfigError for a table of another library."""
    _refuse_table(value, "file")
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | os.PathLike)


def records_of(rows: object, column: str) -> Iterator[Record]:
    """Rows as records: texts, which go to `column`, dicts, or records. A single text or dict is one row.

    Raises ConfigError, at once, for what cannot be rows, and with its number for a row that is none.
    """
    _refuse_table(rows, "records")
    if isinstance(rows, Record | Mapping):
        return iter([_record(rows, 0, column)])
    if isinstance(rows, str):
        return iter([_record(_no_file(rows), 0, column)])
    if isinstance(rows, os.PathLike):
        raise refusal("records", "texts, dicts or records", rows, "Read a file with api.read_for(run, file).")
    if isinstance(rows, bytes) or not isinstance(rows, Iterable):
        raise refusal("records", "a list of texts (str) or of dicts, one for each row", rows, _step(rows))
    return (_record(row, number, column) for number, row in enumerate(rows))


def refusal(name: str, expected: str, got: object, step: str = "") -> ConfigError:
    """`records: expected texts, got DataFrame. Use frame.to_dict('records').`"""
    shown = "None" if got is None else type(got).__name__
    return ConfigError(f"{name}: expected {expected}, got {shown}.{' ' * bool(step)}{step}")


def _record(row: object, number: int, column: str) -> Record:
    if isinstance(row, Record):
        return row
    origin = Origin(f"records[{number}]")
    if isinstance(row, str):
        return Record({column: str(row)}, origin)
    if not isinstance(row, Mapping):
        raise refusal(origin.path, "a text (str) or a dict", row, _step(row))
    for key in row:
        if not isinstance(key, str):
            raise refusal(f"{origin.path}: a key", "the name of a column (str)", key)
    return Record(dict(row), origin)


def _no_file(text: str) -> str:
    """A single text. Raises ConfigError where it is the name of a file: who gives that wants its rows."""
    if len(text) < 1024 and "\0" not in text and os.path.isfile(text):
        raise ConfigError(
            f"records: {text!r} is the name of a file. For its rows use api.read_for(run, {text!r}); for an answer to "
            f"these words, [{text!r}]."
        )
    return text


def _refuse_table(value: object, name: str) -> None:
    """Raise ConfigError for a table of pandas and the like: to go through it gives the names of its columns."""
    if isinstance(value, Mapping | type):
        return
    for method, step in _TABLES.items():
        if hasattr(value, method) and hasattr(value, "columns"):
            raise refusal(name, "a list of texts or dicts", value, f"Use {step}.")


def _step(value: object) -> str:
    """The next step for a value that is nearly right."""
    if isinstance(value, bytes):
        return "Decode it: value.decode('utf-8')."
    if isinstance(value, Mapping):
        return "Take the text out of it: row['text']."
    if isinstance(value, float) and value != value:
        return "A missing value (NaN) is no text; leave the row out, or put '' in its place."
    if isinstance(value, int | float):
        return "Make a text of it: str(value)."
    return ""
