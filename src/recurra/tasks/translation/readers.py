"""Tokens and vocabulary of both sides, apart or shared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.errors import DataError, RunError
from recurra.data.preparing import Means
from recurra.data.store.side_by_side import in_one_pass
from recurra.data.tokenizers import (
    Corpus,
    Cutter,
    Encoded,
    Joining,
    Tokenizer,
    TokenizerPlan,
    VocabularyPlan,
    joining_from_json,
)
from recurra.tasks.text import TextEncoder
from recurra.tasks.translation.pairs import PairRow

Tokens = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """The longest source and target, in tokens, that training takes; None is no limit."""

    source: int | None
    target: int | None

    def __str__(self) -> str:
        """The options that are limits, with their values."""
        named = {"task.max_source_length": self.source, "task.max_target_length": self.target}
        return " or ".join(f"{name} {value:,}" for name, value in named.items() if value is not None)

    def allow(self, source: int, target: int) -> bool:
        """Whether a row of so many tokens is short enough."""
        return (self.source is None or source <= self.source) and (self.target is None or target <= self.target)

    def allowed(self, sources: NDArray[np.int32], targets: NDArray[np.int32]) -> NDArray[np.bool_]:
        """(N,), of rows of so many tokens."""
        kept = np.ones(len(sources), bool)
        for limit, lengths in ((self.source, sources), (self.target, targets)):
            if limit is not None:
                kept &= lengths <= limit
        return kept


@dataclass(frozen=True, slots=True)
class Sides:
    """How both sides are read, and how long they were in training.

    longest: tokens of the longest source      ratio: target tokens by source tokens, over all rows
    joining: how targets are written, for people; None in runs of before that was learned
    """

    source: TextEncoder
    target: TextEncoder
    shared: bool
    longest: int
    ratio: float
    joining: Joining | None = None

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON; what is shared stands once."""
        target = None if self.shared else self.target.to_json()
        found = {"source": self.source.to_json(), "target": target, "longest": self.longest, "ratio": self.ratio}
        return found | ({} if self.joining is None else {"joining": self.joining.to_json()})

    @classmethod
    def from_json(cls, data: Mapping[str, Any], origin: str) -> Sides:
        """The inverse of `to_json`. Raises RunError that names `origin`."""
        try:
            source, target, longest, ratio = data["source"], data["target"], data["longest"], data["ratio"]
            if type(longest) is not int or longest < 0 or not isinstance(ratio, float) or not 0 <= ratio < 1e9:
                raise ValueError(f"longest {longest!r} and ratio {ratio!r}")
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{origin}: expected the two sides of a translation: {str(error)[:300]}.") from error
        reader = TextEncoder.from_json(source, origin)
        other = reader if target is None else TextEncoder.from_json(target, origin)
        joining = joining_from_json(data["joining"], origin) if "joining" in data else None
        return cls(reader, other, target is None, longest, ratio, joining)


def fit_sides(
    source: TokenizerPlan,
    target: TokenizerPlan | None,
    vocabulary: VocabularyPlan,
    rows: Collection[PairRow],
    limits: Limits,
    means: Means,
    origin: str,
) -> tuple[Sides, Iterator[tuple[Encoded, Encoded]]]:
    """Tokenizers from all texts, vocabularies from the rows that are short enough; and both texts of all rows.

    target: None shares tokenizer and vocabulary of the source      origin: of the rows
    Raises DataError where a vocabulary would be empty, or no row is short enough.
    """
    first = source.train(map(_source, rows) if target else chain(map(_source, rows), map(_target, rows)))
    second = target.train(map(_target, rows)) if target else first
    one, other, some = in_one_pass(
        rows,
        lambda: _cut(first, rows, _source, means),
        lambda: _cut(second, rows, _target, means),
        lambda: list(islice(map(_target, rows), 0, None, Joining.step(len(rows)))),
    )
    kept = limits.allowed(one.lengths, other.lengths)
    if len(kept) and not kept.any():
        raise DataError(
            f"{origin}: all {len(kept):,} training rows are longer than {limits}; the shortest source has "
            f"{one.lengths.min():,} tokens, the shortest target {other.lengths.min():,}. Set them higher, or to null."
        )
    counts = one.counts(kept), other.counts(kept)
    known = vocabulary.build(counts[0] if target else Counter(counts[0]) + Counter(counts[1]))
    reader = TextEncoder(first, known, None, "start")
    writer = TextEncoder(second, vocabulary.build(counts[1]) if target else known, None, "start")
    longest = int(one.lengths[kept].max(initial=0))
    ratio = int(other.lengths[kept].sum()) / max(int(one.lengths[kept].sum()), 1)
    joining = Joining.learn(second, some)
    sides = Sides(reader, writer, target is None, longest, ratio, joining)
    return sides, zip(one.encoded(known), other.encoded(writer.vocabulary), strict=True)


def _source(row: PairRow) -> str:
    return row.source


def _target(row: PairRow) -> str:
    return row.answers[0]


def _cut(tokenizer: Tokenizer, rows: Collection[PairRow], text: Callable[[PairRow], str], means: Means) -> Corpus:
    corpus = Corpus(means.keeping.numbers)
    for _, block in means.blocks(Cutter(tokenizer), means.watched("cutting", rows, len(rows)), text, corpus.places):
        corpus.add(block)
    return corpus
