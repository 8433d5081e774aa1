"""Which column of a file is which: by the names that people give to columns, else by what stands in them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError
from recurra.base.normal import name_of
from recurra.data.formats import resolved_format

# A header cell longer than this is rather a first row of data.
LONGEST_HEADER = 64
# Words of a text, on average: from where on characters are slow, and under which words say little.
LONG_TEXT, ONE_WORD = 30.0, 1.5
# Labels that are shown with their counts.
SHOWN = 8
_KEY_NAME = re.compile(r"(?:.*[ _.-])?(?:id|idx|index|uuid|uid)|.*[a-z]I[dD]", re.ASCII)
# Of columns that tell which rows, or steps, are anomalies.
LABEL_NAMES = {"label", "labels", "anomaly", "anomalies", "is_anomaly", "anomalous", "outlier", "is_outlier", "fault"}
# What programs write where they have no value (pandas, R, databases, spreadsheets), in lower case.
MISSING = frozenset({"", "nan", "na", "n/a", "#n/a", "null", "none", "nil", "<na>", "-nan", "-", "?"})


@dataclass(frozen=True, slots=True)
class Look:
    """What stands in a column. words, characters: of a row, on average      distinct: values, as a share of rows, 0..1

    key: has the name of an identifier      code: single words with digits that tell rows apart: numbers, dates, keys
    """

    name: str
    words: float
    characters: float
    distinct: float
    key: bool
    code: bool

    @property
    def as_text(self) -> float:
        """How much it looks like a text that rows differ in: long, and seldom twice the same; 0 for keys, codes."""
        return 0.0 if self.key or self.code else self.characters * self.distinct


def look(rows: Sequence[Record], name: str) -> Look:
    """A column's look, from these rows."""
    found = values(rows, name)
    distinct = len(set(found)) / len(found)
    words = mean(len(value.split()) for value in found)
    coded = words <= 1 and distinct > 0.9 and mean(any(map(str.isdigit, value)) for value in found) > 0.9
    key = words <= 1 and bool(_KEY_NAME.fullmatch(name) or _KEY_NAME.fullmatch(name.lower()))
    return Look(name, words, mean(map(len, found)), distinct, key, coded)


def counted(labels: Iterable[str]) -> str:
    """`3 labels: bug (120), praise (80), nan (3)`, the most frequent first; of many labels the first few."""
    counts = Counter(labels)
    shown = ", ".join(f"{printed(label)} ({count:,})" for label, count in counts.most_common(SHOWN))
    more = f" and {len(counts) - SHOWN:,} more" if len(counts) > SHOWN else ""
    return f"{len(counts):,} label{'' if len(counts) == 1 else 's'}: {shown}{more}"


def missing(labels: Iterable[str]) -> str:
    """A sentence on labels that look like values that are not there; "" where none does."""
    found = Counter({label: n for label, n in Counter(labels).items() if label.strip().lower() in MISSING})
    if not found:
        return ""
    shown = " and ".join(f"'{label}' ({count:,} times)" for label, count in found.most_common(3))
    return f"{shown} may be no label but a value that is missing; fill it in, or remove it."


def unfit(option: str, tokenizer: str, words: float) -> str:
    """A sentence where texts of so many words on average are cut in a way that does not fit; "" where it may do."""
    if tokenizer == "characters" and words >= LONG_TEXT:
        return f"{option}: is characters, and a text has {words:.0f} words on average; words are learned faster."
    if tokenizer in ("words", "spaces") and words < ONE_WORD:
        return f"{option}: is {tokenizer}, and a text has {words:.1f} words on average; characters may fit better."
    return ""


def printed(label: str) -> str:
    """A label in a sentence: as it is, or in quotes where it is empty or has a comma or a space at an edge."""
    return label if label.strip() == label and label and "," not in label else f"'{label}'"


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


def of_text(rows: Sequence[Record], names: Sequence[str], least: int) -> list[str]:
    """The columns that hold nothing but text, or null; all of them where that leaves fewer than `least`."""
    found = [name for name in names if all(isinstance(row.fields.get(name), str | None) for row in rows)]
    return found if len(found) >= least else list(names)


def named(known: Sequence[str], names: Sequence[str]) -> str | None:
    """The first word of `known` that is a column, in any case of letters."""
    by_lower = {name_of(name).lower(): name for name in reversed(names)}
    return next((by_lower[word] for word in known if word in by_lower), None)


def looks_like_labels(name: str, cells: Iterable[object]) -> bool:
    """Whether a column tells what is an anomaly: 0 and 1 alone; of zeros alone, or ones, its name must say so."""
    found = {_as_flag(cell) for cell in cells}
    return found == {0.0, 1.0} or (found <= {0.0, 1.0} and name_of(name).lower() in LABEL_NAMES)


def _as_flag(cell: object) -> float | None:
    try:
        return float(str(cell))
    except ValueError:
        return None


def values(rows: Sequence[Record], name: str) -> list[str]:
    """What stands in a column, as text. Rows of JSON need not have the same fields."""
    return [str(row.fields.get(name, "")) for row in rows]
