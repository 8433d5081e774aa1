"""How forty languages write a date, from CLDR: every form of theirs, and the dates that a text can mean.

`forms` lists the forms; `Form.write` writes a date; `readings` finds every date of 1900-2100 that some form writes as
a given text. All dates are of the Gregorian calendar.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import product
from typing import Any

from recurra.data.embedded.locales import locale_reader
from recurra.data.embedded.names import LANGUAGES

FIRST, LAST = date(1900, 1, 1), date(2100, 12, 31)

# CLDR's four lengths. Its skeletons follow, in its own notation: yMMMEd is year, short month, short weekday, day.
_LENGTHS = ("full", "long", "medium", "short")
# The digit 0 of numbering systems with ten digits in a row; the others of these languages are read sign by sign.
_ZERO = {"latn": "0", "arab": "٠", "arabext": "۰", "beng": "০", "deva": "०", "tamldec": "௦", "thai": "๐"}
# Marks of direction and narrow spaces, which nobody types.
_TYPED = str.maketrans({"\u200e": None, "\u200f": None, "\u00a0": " ", "\u202f": " "})
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class _Number:
    """d, M or y in digits; width 1 is as many as needed, 2 at least two for d and M, and the last two for y."""

    field: str
    width: int


@dataclass(frozen=True, slots=True)
class _Word:
    """A name of each month (field M), from January, or of each weekday (field E), from Monday."""

    field: str
    names: tuple[str, ...]


_Part = str | _Number | _Word


@dataclass(frozen=True, slots=True)
class _Pattern:
    """What a form writes. zero: the digit 0 of its digits. Languages may share one."""

    parts: tuple[_Part, ...]
    zero: str

    def write(self, day: date) -> str:
        """The date as text."""
        return "".join(part if isinstance(part, str) else self._field(part, day) for part in self.parts)

    def _field(self, part: _Number | _Word, day: date) -> str:
        if isinstance(part, _Word):
            return part.names[day.month - 1 if part.field == "M" else day.weekday()]
        number = day.day if part.field == "d" else day.month if part.field == "M" else day.year
        if part.field == "y" and part.width == 2:
            number %= 100
        digits = f"{number:0{part.width}}"
        return digits if self.zero == "0" else digits.translate(_digits(self.zero))


@dataclass(frozen=True, slots=True)
class Form:
    """One way in which a language writes a date.

    language: in English        name: CLDR's length (short) or skeleton (yMMMd), and the digits if not the usual
    """

    language: str
    name: str
    pattern: _Pattern

    def write(self, day: date) -> str:
        """The date as text."""
        return self.pattern.write(day)


@cache
def forms() -> tuple[Form, ...]:
    """Every form of every language, by language; forms that write every date alike are one, under the first name.

    Raises ConfigError where the package babel is missing.
    """
    return tuple(form for code, language in LANGUAGES.items() for form in _forms_of(code, language))


def readings(text: str, language: str | None = None) -> frozenset[date]:
    """Every date of 1900-2100 that a form of this language, or of any of the forty, writes as exactly this text."""
    groups = _DIGITS.findall(text)
    if any(len(group) > 4 for group in groups):  # no year of ours; and no number that is too large to handle
        return frozenset()
    known = _index().get(_DIGITS.sub(_zeros, text), {})
    numbers = [int(group) for group in groups]
    return frozenset(
        day
        for clue, languages in known.items()
        if language is None or language in languages
        for day in clue.dates(numbers)
        if clue.pattern.write(day) == text
    )


@dataclass(frozen=True, slots=True)
class _Clue:
    """A pattern, the month that its words name, and which field each group of digits is ("": part of a name)."""

    pattern: _Pattern
    month: int | None
    fields: tuple[str, ...]

    def dates(self, numbers: Sequence[int]) -> Iterator[date]:
        """The dates that these numbers can mean. More than the pattern writes so: the caller looks."""
        values = {field: number for field, number in zip(self.fields, numbers, strict=True) if field}
        month = values.get("M", self.month)
        for year in _years(values["y"]):
            try:
                yield date(year, month or 0, values["d"])
            except ValueError:  # no such day, or a month of 13: the numbers stand for something else
                continue


def _years(number: int) -> tuple[int, ...]:
    years = (number,) if number > 99 else (1900 + number, 2000 + number, 2100 + number)
    return tuple(year for year in years if FIRST.year <= year <= LAST.year)


@cache
def _index() -> Mapping[str, Mapping[_Clue, set[str]]]:
    """By the text with every group of digits as one 0: what it may be, and in which languages."""
    index: dict[str, dict[_Clue, set[str]]] = defaultdict(lambda: defaultdict(set))
    for form in forms():
        words = [part for part in form.pattern.parts if isinstance(part, _Word)]
        for numbers in product(*(range(len(word.names)) for word in words)):
            spoken = {word.field: number for word, number in zip(words, numbers, strict=True)}
            key, clue = _spoken(form.pattern, spoken)
            index[key][clue].add(form.language)
    return index


def _spoken(pattern: _Pattern, spoken: Mapping[str, int]) -> tuple[str, _Clue]:
    """The key of a pattern whose words are these (month or weekday from 0), and the clue."""
    texts: list[str] = []
    fields: list[str] = []
    for part in pattern.parts:
        if isinstance(part, _Number):
            texts.append(pattern.zero)
            fields.append(part.field)
        else:
            texts.append(part if isinstance(part, str) else part.names[spoken[part.field]])
            fields += [""] * len(_DIGITS.findall(texts[-1]))
    month = spoken["M"] + 1 if "M" in spoken else None
    return _DIGITS.sub(_zeros, "".join(texts)), _Clue(pattern, month, tuple(fields))


def _zeros(group: re.Match[str]) -> str:
    """The digit 0 of the script of a group's first digit."""
    return chr(ord(group[0][0]) - int(group[0][0]))


def _forms_of(code: str, language: str) -> Iterator[Form]:
    data = locale_reader("dates").load(code, merge_inherited=False)  # what CLDR says of this language itself
    usual = data.get("default_numbering_system") or "latn"
    native = data["numbering_systems"].get("native", usual)
    seen: set[_Pattern] = set()
    for digits in dict.fromkeys((usual, native if native in _ZERO else usual)):
        for name, text in _patterns(data):
            pattern = _Pattern(_parts(text, data), _ZERO[digits])
            if pattern not in seen:
                seen.add(pattern)
                yield Form(language, name if digits == usual else f"{name} ({digits})", pattern)


def _patterns(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(name, CLDR pattern) of every full date; skeletons with an era are left out, for they differ in no more."""
    yield from ((length, data["date_formats"][length].pattern) for length in _LENGTHS)
    for skeleton, pattern in data["datetime_skeletons"].items():
        if set("yMd") <= set(skeleton) <= set("yMdEc"):
            yield skeleton, pattern.pattern


def _parts(pattern: str, data: Mapping[str, Any]) -> tuple[_Part, ...]:
    """A CLDR pattern as parts. Source of the letters: Unicode Technical Standard 35, part 4, date field symbols."""
    from babel.dates import tokenize_pattern

    # Letters as ("field", (letter, width)), what stands between them as ("chars", text).
    tokens = (value for _, value in tokenize_pattern(pattern))
    return tuple(_typed(value) if isinstance(value, str) else _field(*value, data) for value in tokens)


def _field(letter: str, width: int, data: Mapping[str, Any]) -> _Part:
    if letter in "dy" or (letter in "ML" and width < 3):
        return _Number("M" if letter == "L" else letter, width)
    if letter in "ML":
        return _Word("M", _names(data["months"], letter == "L", wide=width == 4, numbers=range(1, 13)))
    if letter in "Ec":
        return _Word("E", _names(data["days"], letter == "c", wide=width == 4, numbers=range(7)))
    assert letter == "G", f"no full date of CLDR 48 has the field {letter}"
    return _typed(data["eras"]["abbreviated"][1])


def _names(table: Mapping[str, Any], alone: bool, *, wide: bool, numbers: range) -> tuple[str, ...]:
    """Names by number. Those that CLDR leaves out are as the ones in a date, and the short ones as the wide."""
    contexts = ("stand-alone", "format") if alone else ("format",)
    widths = ("wide",) if wide else ("abbreviated", "wide")
    found = (table.get(context, {}).get(width) for width in widths for context in contexts)
    names = next(one for one in found if one)
    return tuple(_typed(names[number]) for number in numbers)


def _typed(text: str) -> str:
    """As it would be typed: plain spaces, and letters with their accents in one."""
    return unicodedata.normalize("NFC", text.translate(_TYPED))


@cache
def _digits(zero: str) -> Mapping[int, str]:
    return {ord("0") + i: chr(ord(zero) + i) for i in range(10)}
