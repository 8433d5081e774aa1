"""Which column of a file is which: by the names that people give to columns, else by what stands in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError
from recurra.data.formats import resolved_format

# A header cell longer than this is rather a first row of data.
LONGEST_HEADER = 64


def column_names(rows: Sequence[Record], file: Path, wanted: str) -> list[str]:
    """The columns of a file's first row, two at least. Raises ConfigError for what is no header. wanted: in words"""
    names = list(rows[0].fields)
    if any(len(name) > LONGEST_HEADER for name in names):
        raise ConfigError(
            f"{file}: its first line does not look like column names ({names[0][:30]!r}, ...). If there is no header, "
            "put one there, or write a config with data.columns: [label, text]."
        )
    if len(names) < 2:
        raise ConfigError(
            f"{file}: expected at least two columns, {wanted}, found {', '.join(map(repr, names))} "
            f"(read as {resolved_format(file)})."
        )
    return names


def named(known: Sequence[str], names: Sequence[str]) -> str | None:
    """The first word of `known` that is a column, in any case of letters."""
    by_lower = {name.lower(): name for name in reversed(names)}
    return next((by_lower[word] for word in known if word in by_lower), None)


def values(rows: Sequence[Record], name: str) -> list[str]:
    """What stands in a column, as text. Rows of JSON need not have the same fields."""
    return [str(row.fields.get(name, "")) for row in rows]
