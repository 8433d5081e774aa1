"""Which language is this name? Names of places, languages, currencies, months and weekdays in forty languages.

From the Unicode Common Locale Data Repository (CLDR), through the package Babel. A concept ("the country FR", "the
third month") is in one split only, in all languages: a score is about things that training never named.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from recurra.base.contracts import Origin, Record
from recurra.data.embedded.dataset import EmbeddedSet
from recurra.data.embedded.locales import locale_reader
from recurra.data.splits import NAMES, hash_split

# One locale per language, its English name, chosen for complete CLDR data and many scripts: 24 write Latin letters.
LANGUAGES: Mapping[str, str] = {
    "ar": "Arabic",
    "bg": "Bulgarian",
    "bn": "Bangla",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "et": "Estonian",
    "fa": "Persian",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "hr": "Croatian",
    "hu": "Hungarian",
    "hy": "Armenian",
    "id": "Indonesian",
    "is": "Icelandic",
    "it": "Italian",
    "ja": "Japanese",
    "ka": "Georgian",
    "ko": "Korean",
    "lt": "Lithuanian",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sk": "Slovak",
    "sv": "Swedish",
    "sw": "Swahili",
    "ta": "Tamil",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "zh": "Chinese",
}

# Tables of CLDR, as Babel names them, and the kind of concept they name.
_TABLES = {"territories": "territory", "languages": "language", "currency_names": "currency"}
_CALENDAR = {"months": "month", "days": "weekday"}


@dataclass(frozen=True, slots=True)
class Name:
    """A name, its language in English, and what it is a name of: territory:FR, language:de, currency:EUR, month:3."""

    name: str
    language: str
    concept: str


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The best that any classifier can reach on a split, for some names are the same in several languages.

    num_ambiguous: names (rows) that more than one language has.  accuracy: 0..1, of always answering the language that
    has the name most often.
    """

    num_rows: int
    num_ambiguous: int
    accuracy: float


def ceiling(split: str) -> Ceiling:
    """The ceiling of a split of the names."""
    languages: dict[str, Counter[str]] = defaultdict(Counter)
    for record in NAMES_SET.records(split):
        languages[record.fields["name"]][record.fields["language"]] += 1
    rows = sum(seen.total() for seen in languages.values())
    ambiguous = sum(seen.total() for seen in languages.values() if len(seen) > 1)
    return Ceiling(rows, ambiguous, sum(max(seen.values()) for seen in languages.values()) / rows)


def _load(split: str) -> Iterator[Record]:
    for number, name in enumerate(_all_names()[split], start=1):
        yield Record(
            {"name": name.name, "language": name.language, "concept": name.concept}, Origin(f"names/{split}", number)
        )


@cache
def _all_names() -> Mapping[str, tuple[Name, ...]]:
    """Every split's names, by concept, then language."""
    names = {
        Name(name, language, concept)
        for code, language in LANGUAGES.items()
        for concept, name in _names_of(_locale_data(code))
        if _is_name(name, concept)
    }
    key = _split_keys(names)
    parts: dict[str, list[Name]] = {split: [] for split in NAMES}
    for name in sorted(names, key=_order):
        parts[hash_split(key[name.concept])].append(name)
    return {split: tuple(part) for split, part in parts.items()}


def _split_keys(names: Iterable[Name]) -> Mapping[str, str]:
    """What decides the split of each concept: its code, or the first code of those that share a name with it.

    A language may call a country and what is spoken there by one name (Palau in German, Japan in Thai). Such concepts
    stay together, or a test name would have been seen in training.
    """
    same: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name in names:
        same[name.name, name.language].add(name.concept)
    first = {name.concept: name.concept for name in names}
    changed = True
    while changed:  # two rounds: in CLDR 48 these are pairs
        changed = False
        for concepts in same.values():
            lowest = min(first[concept] for concept in concepts)
            changed = changed or any(first[concept] != lowest for concept in concepts)
            first.update(dict.fromkeys(concepts, lowest))
    return first


def _order(name: Name) -> tuple[str, str, str]:
    return name.concept, name.language, name.name


def _names_of(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(concept, name) pairs of one locale."""
    for table, kind in _TABLES.items():
        for code, name in data[table].items():
            yield f"{kind}:{code}", unicodedata.normalize("NFC", name).strip()
    for table, kind in _CALENDAR.items():
        for context in ("format", "stand-alone"):
            # A locale that says nothing of one context means the same as in the other.
            for number, name in data[table].get(context, {}).get("wide", {}).items():
                yield f"{kind}:{number}", unicodedata.normalize("NFC", name).strip()


def _is_name(name: str, concept: str) -> bool:
    """Not a bare code such as "XYZ", and not digits alone."""
    return any(letter.isalpha() for letter in name) and name != concept.partition(":")[2]


def _locale_data(code: str) -> Mapping[str, Any]:
    """What CLDR says of this language itself, without what it would inherit from another."""
    loaded: Mapping[str, Any] = locale_reader("names").load(code, merge_inherited=False)
    return loaded


NAMES_SET = EmbeddedSet(
    description="which language is this name? places, languages, currencies, months, weekdays in 40 languages",
    licence="Unicode License v3 (CLDR)",
    columns=("name", "language", "concept"),
    splits=NAMES,
    load=_load,
    size=lambda split: sum(1 for _ in _load(split)),
)
