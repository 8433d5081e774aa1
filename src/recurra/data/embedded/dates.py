"""Which day is this? Dates of 1900-2100 as forty languages write them, and the same dates in ISO 8601.

From the Unicode Common Locale Data Repository (CLDR), through the package Babel: its patterns, its names of months and
weekdays, its digits. No date of dev or test is in train, and no text of theirs, whatever date it stands for there.

Some texts can mean several dates: 3/4/05 has the day or the month first, in this century or the last. The column
`accepted` holds all of them, with `|` between, of any of the forty languages: a text does not say in which it is.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from itertools import count

from recurra.base.contracts import Origin, Record
from recurra.data.embedded.dataset import EmbeddedSet
from recurra.data.embedded.date_forms import FIRST, LAST, Form, forms, readings
from recurra.data.splits import DEV, NAMES, TEST, TRAIN, hash_split

# Rows of each language, spread over its forms: enough to learn from in three minutes on two cores.
_ROWS = {TRAIN: 750, DEV: 50, TEST: 100}


@dataclass(frozen=True, slots=True)
class _Row:
    text: str
    day: date
    form: Form
    accepted: tuple[date, ...]

    def fields(self) -> dict[str, str]:
        return {
            "text": self.text,
            "date": self.day.isoformat(),
            "language": self.form.language,
            "form": self.form.name,
            "accepted": "|".join(day.isoformat() for day in self.accepted),
        }


def ambiguous(split: str) -> int:
    """How many texts of a split can mean more than one date."""
    return sum(len(row.accepted) > 1 for row in _rows(split))


def _load(split: str) -> Iterator[Record]:
    for number, row in enumerate(_rows(split), start=1):
        yield Record(row.fields(), Origin(f"dates/{split}", number))


@cache
def _rows(split: str) -> tuple[_Row, ...]:
    """Rows of a split, form by form; within a form they differ, and are in the order in which they were drawn."""
    of_language: dict[str, list[Form]] = defaultdict(list)
    for form in forms():
        of_language[form.language].append(form)
    return tuple(
        row
        for its in of_language.values()
        for i, form in enumerate(its)
        for row in _rows_of(form, split, (_ROWS[split] + i) // len(its))
    )


def _rows_of(form: Form, split: str, num_rows: int) -> Iterator[_Row]:
    """Dates of the split, written in this form. A text that another split may have is left out."""
    drawn: set[date] = set()
    for attempt in count():
        if len(drawn) == num_rows:
            return
        day = _draw(f"{split}/{form.language}/{form.name}/{attempt}")
        if day in drawn or _split_of_day(day) != split:
            continue
        text = form.write(day)
        accepted = tuple(sorted(readings(text)))
        if _split_of(accepted) == split:
            drawn.add(day)
            yield _Row(text, day, form, accepted)


def _draw(key: str) -> date:
    """A date as a function of the key: the rows of a form do not depend on which other forms there are."""
    number = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest())
    return FIRST + timedelta(days=number % ((LAST - FIRST).days + 1))


def _split_of(accepted: tuple[date, ...]) -> str:
    """The split of a text: test if one of its dates is there, else dev, else train. So it is in no other split."""
    return max((_split_of_day(day) for day in accepted), key=NAMES.index)


@cache
def _split_of_day(day: date) -> str:
    return hash_split(day.isoformat())


DATES_SET = EmbeddedSet(
    description="which day is this? dates of 1900-2100 as they are written in 40 languages, and in ISO 8601",
    licence="Unicode License v3 (CLDR)",
    columns=("text", "date", "language", "form", "accepted"),
    splits=NAMES,
    load=_load,
    size=lambda split: _ROWS[split] * len({form.language for form in forms()}),
)
