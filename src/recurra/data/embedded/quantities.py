"""Where are the dates and the numbers? Lists of things in forty languages, some of which are dates, times or amounts.

From the Unicode Common Locale Data Repository (CLDR), through the package Babel: how a language joins things ("France,
12 km and 4 March 2005"), writes numbers, money, percent, lengths, times and dates; between them stand names of
countries, languages, currencies, months and weekdays, which are nothing. What a span says (12 km), and what a name
stands for, is in one split only, in all languages.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import time, timedelta
from functools import cache
from itertools import count
from typing import Any

from recurra.base.contracts import Origin, Record
from recurra.data.embedded.dataset import EmbeddedSet
from recurra.data.embedded.date_forms import FIRST, LAST, Form, forms
from recurra.data.embedded.locales import require_babel
from recurra.data.embedded.names import LANGUAGES, NAMES_SET
from recurra.data.splits import DEV, NAMES, TEST, TRAIN, hash_split
from recurra.data.tokenizers import CUTTERS

# Rows of each language.
_ROWS = {TRAIN: 150, DEV: 15, TEST: 30}
_CURRENCIES = ("EUR", "USD", "GBP", "JPY", "CHF", "INR", "CNY")
_UNITS = ("length-kilometer", "length-meter", "mass-kilogram", "volume-liter", "temperature-celsius", "duration-hour")
_STYLES = ("long", "short")
# A letter of no script stands for each thing until the list is joined.
_HOLDER = 0xE000
# Marks of direction and narrow spaces, which nobody types.
_TYPED = str.maketrans({"\u200e": None, "\u200f": None, "\u061c": None, "\u00a0": " ", "\u202f": " "})


@dataclass(frozen=True, slots=True)
class _Thing:
    """One thing of a list. label: None for a name"""

    text: str
    label: str | None


class _Draw:
    """Numbers that depend on a key alone."""

    def __init__(self, key: str) -> None:
        self._bits = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=48).digest())

    def below(self, limit: int) -> int:
        """A number from 0 to limit - 1; 384 bits are enough for all that a row asks."""
        self._bits, found = divmod(self._bits, limit)
        return found

    def of(self, things: Sequence[Any]) -> Any:
        return things[self.below(len(things))]


def _load(split: str) -> Iterator[Record]:
    for number, fields in enumerate(_rows(split), start=1):
        yield Record(fields, Origin(f"quantities/{split}", number))


@cache
def _rows(split: str) -> tuple[Mapping[str, str], ...]:
    """Rows of a split, language by language; within a language no text twice."""
    require_babel("quantities")
    names, dates = _names(split), _dates()
    return tuple(
        row
        for code, language in LANGUAGES.items()
        for row in _rows_of(code, language, split, names[language], dates[language])
    )


def _rows_of(
    code: str, language: str, split: str, names: Sequence[str], dates: Sequence[Form]
) -> Iterator[Mapping[str, str]]:
    seen: set[str] = set()
    for attempt in count():
        if len(seen) == _ROWS[split]:
            return
        draw = _Draw(f"{split}/{language}/{attempt}")
        things = [_thing(draw, code, split, names, dates) for _ in range(2 + draw.below(3))]
        text, spans = _joined(things, code)
        if spans and text not in seen and _stand_apart(text, spans):
            seen.add(text)
            yield {"text": text, "spans": json.dumps(spans, ensure_ascii=False), "language": language}


def _thing(draw: _Draw, code: str, split: str, names: Sequence[str], dates: Sequence[Form]) -> _Thing:
    """A name, in two of five cases, or a quantity that belongs to the split."""
    if draw.below(5) < 2:
        return _Thing(draw.of(names), None)
    label = draw.of(tuple(_WRITERS))
    start = draw.below(2**32)
    written = (_typed(_WRITERS[label](_Draw(f"{label}/{start + step}"), code, dates)) for step in count())
    return _Thing(next(text for text in written if hash_split(text) == split), label)


def _joined(things: Sequence[_Thing], code: str) -> tuple[str, list[dict[str, Any]]]:
    """The list as text, and its spans: start and end in characters, and label."""
    from babel.lists import format_list

    holders = [chr(_HOLDER + k) for k in range(len(things))]
    text, spans = "", []
    for part in re.split(f"([{holders[0]}-{holders[-1]}])", _typed(format_list(holders, locale=code))):
        if part not in holders:
            text += part
            continue
        thing = things[holders.index(part)]
        if thing.label is not None:
            spans.append({"start": len(text), "end": len(text) + len(thing.text), "label": thing.label})
        text += thing.text
    return text, spans


def _stand_apart(text: str, spans: Sequence[Mapping[str, Any]]) -> bool:
    """Whether no word lies half in a span: some languages write "and" and a name as one word."""
    edges = {place for span in spans for place in (span["start"], span["end"])}
    return not any(start < edge < end for start, end in CUTTERS["words"](text) for edge in edges)


def _number(draw: _Draw) -> float:
    """From 0.01 to 9,999,999, as often of each size, with up to two digits behind the point."""
    whole = draw.below(10 ** (1 + draw.below(7)))
    return whole + (0, draw.below(10) / 10, draw.below(100) / 100)[draw.below(3)]


def _write_date(draw: _Draw, code: str, dates: Sequence[Form]) -> str:
    form: Form = draw.of(dates)
    return form.write(FIRST + timedelta(days=draw.below((LAST - FIRST).days + 1)))


def _write_time(draw: _Draw, code: str, dates: Sequence[Form]) -> str:
    from babel.dates import format_time

    return str(format_time(time(draw.below(24), draw.below(60)), "short", locale=code))


def _write_number(draw: _Draw, code: str, dates: Sequence[Form]) -> str:
    from babel.numbers import format_decimal

    return str(format_decimal(_number(draw), locale=code, numbering_system="default"))


def _write_percent(draw: _Draw, code: str, dates: Sequence[Form]) -> str:
    from babel.numbers import format_percent

    share = draw.below(10_000) / 1000
    return str(format_percent(share, locale=code, decimal_quantization=False, numbering_system="default"))


def _write_money(draw: _Draw, code: str, dates: Sequence[Form]) -> str:
    from babel.numbers import format_currency

    return str(format_currency(_number(draw), draw.of(_CURRENCIES), locale=code, numbering_system="default"))


def _write_measure(draw: _Draw, code: str, dates: Sequence[Form]) -> str:
    from babel.units import format_unit

    unit = draw.of(_UNITS)
    number, style = _number(draw), draw.of(_STYLES)
    found = str(format_unit(number, unit, style, locale=code, numbering_system="default"))
    # Where CLDR has no long name of a unit, Babel writes its code.
    return found if unit not in found else str(format_unit(number, unit, "short", locale=code))


_WRITERS: Mapping[str, Callable[[_Draw, str, Sequence[Form]], str]] = {
    "date": _write_date,
    "time": _write_time,
    "number": _write_number,
    "percent": _write_percent,
    "money": _write_money,
    "measure": _write_measure,
}


def _names(split: str) -> Mapping[str, Sequence[str]]:
    """The names of a split by language, without those that hold a digit (1月)."""
    found: dict[str, list[str]] = {}
    for record in NAMES_SET.records(split):
        if not any(c.isdigit() for c in record.fields["name"]):
            found.setdefault(record.fields["language"], []).append(_typed(record.fields["name"]))
    return found


def _dates() -> Mapping[str, Sequence[Form]]:
    found: dict[str, list[Form]] = {}
    for form in forms():
        found.setdefault(form.language, []).append(form)
    return found


def _typed(text: str) -> str:
    """As it would be typed: plain spaces, no marks of direction, and letters with their accents in one."""
    return unicodedata.normalize("NFC", text.translate(_TYPED))


QUANTITIES_SET = EmbeddedSet(
    description="where are the dates, times, numbers, percentages, money and measures? lists of things in 40 languages",
    licence="Unicode License v3 (CLDR)",
    columns=("text", "spans", "language"),
    splits=NAMES,
    load=_load,
    size=lambda split: _ROWS[split] * len(LANGUAGES),
)
