"""Questions from files to vectors of words: how many analogies they answer, and how they agree with people's marks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recurra.api.given import AnyPath, paths_of
from recurra.api.word_vectors import vectors
from recurra.base.errors import ConfigError
from recurra.data.word_vectors import WordVectors
from recurra.data.word_vectors.questions import folded, read_analogies, read_pairs, right_answers
from recurra.data.word_vectors.table import RULES, Rule
from recurra.metrics.spearman import spearman


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of a file, or of a category of it.

    score: "accuracy", of the questions whose words are all known, or "spearman", of such pairs; value: NaN if none is
    known: questions or pairs whose words all have a vector      total: all of the file
    """

    file: str
    category: str
    score: str
    value: float
    known: int
    total: int


def ask(
    source: AnyPath | WordVectors,
    *,
    analogies: Sequence[AnyPath] = (),
    similarity: Sequence[AnyPath] = (),
    among: int | None = None,
    lowercase: bool = True,
    rule: Rule = "add",
    note: Callable[[str], None] = lambda message: None,
    **reading: Any,
) -> tuple[Asked, ...]:
    """Ask vectors of a file or a run what files ask: a row for each file, and behind one of analogies its categories.

    among: only the first so many words are known, and can be answers      lowercase: words of both sides in lower case
    rule: of analogies, as `WordVectors.analogy` has it      reading: of a file, as `vectors` has it
    Raises DataError, with file and line, RunError, and ConfigError for numbers and words that cannot be.
    """
    if among is not None and among < 1:
        raise ConfigError(f"among: expected a number of words from 1, got {among}.")
    if rule not in RULES:
        raise ConfigError(f"rule: unknown rule '{rule}'; expected one of {', '.join(RULES)}.")
    whole = source if isinstance(source, WordVectors) else vectors(source, note=note, **reading)
    table = folded(whole, among=among, lowercase=lowercase)
    found: list[Asked] = []
    for path in paths_of(analogies, "analogies"):
        found += _analogies(table, path, rule, lowercase)
    for path in paths_of(similarity, "similarity"):
        pairs = [(_as_asked(one.a, lowercase), _as_asked(one.b, lowercase), one.mark) for one in read_pairs(path)]
        known = [(a, b, mark) for a, b, mark in pairs if a in table and b in table]
        value = spearman([table.similarity(a, b) for a, b, _ in known], [mark for *_, mark in known])
        found.append(Asked(path.name, "", "spearman", value, len(known), len(pairs)))
    return tuple(found)


def _analogies(table: WordVectors, path: Path, rule: Rule, lowercase: bool) -> list[Asked]:
    every = [one._replace(**{k: _as_asked(getattr(one, k), lowercase) for k in "abcd"}) for one in read_analogies(path)]
    known = [one for one in every if all(word in table for word in one[1:])]
    right = right_answers(table, known, rule)
    categories = dict.fromkeys(one.category for one in every)

    def row(category: str | None) -> Asked:
        hits = [hit for one, hit in zip(known, right, strict=True) if category in (None, one.category)]
        total = sum(category in (None, one.category) for one in every)
        value = sum(hits) / len(hits) if hits else float("nan")
        return Asked(path.name, category or "", "accuracy", value, len(hits), total)

    return [row(None), *(row(category) for category in categories if len(categories) > 1)]


def _as_asked(word: str, lowercase: bool) -> str:
    return word.lower() if lowercase else word
