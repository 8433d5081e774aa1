"""How good written answers are: what every kind of text to text has in common, and the contract of its scores.

One row is a `Pair`. Each kind (translation, summaries, phones, anything exact) is one small class in SEQUENCE_SCORES.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from recurra.base.contracts import Score, Table
from recurra.base.errors import ConfigError
from recurra.base.normal import normal
from recurra.base.registry import Registry


@dataclass(frozen=True, slots=True)
class Pair:
    """What was written for a row, and what should have been; all in normal form, whichever form was given.

    reference: as the file has it
    right: every answer that is right, cut and joined as the output was; the reference first
    """

    output: str
    reference: str
    right: tuple[str, ...]

    def __post_init__(self) -> None:
        for name, value in (("output", normal(self.output)), ("reference", normal(self.reference))):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "right", tuple(map(normal, self.right)))

    @property
    def is_exact(self) -> bool:
        return self.output == self.right[0]

    @property
    def is_right(self) -> bool:
        """Exact, or another of the answers that are right."""
        return self.output in self.right


class SequenceScores(Protocol):
    """The scores of one kind of text to text. main: the name of the one that counts.

    compares_case: references are taken as the file has them, so that an output in lower case misses their capitals
    Every method takes at least one pair; `quality` is of one row, 0..1 with 1 for a perfect one, to sort examples by;
    `doubts` is a sentence for each reason why the scores say little of these references, whatever the outputs are.
    """

    @property
    def main(self) -> str: ...
    @property
    def compares_case(self) -> bool: ...
    def scores(self, pairs: Sequence[Pair], split: str) -> tuple[Score, ...]: ...
    def tables(self, pairs: Sequence[Pair]) -> tuple[Table, ...]: ...
    def quality(self, pair: Pair) -> float: ...
    def doubts(self, pairs: Sequence[Pair]) -> tuple[str, ...]: ...


class Exact:
    """An answer is right or wrong, and nothing between: dates, numbers, spellings."""

    main = "exact_match"
    compares_case = False

    def scores(self, pairs: Sequence[Pair], split: str) -> tuple[Score, ...]:
        """None beside those that every kind has."""
        return ()

    def tables(self, pairs: Sequence[Pair]) -> tuple[Table, ...]:
        """None."""
        return ()

    def quality(self, pair: Pair) -> float:
        """1 - edits / characters of the longer text."""
        if pair.is_right:
            return 1.0
        return 1 - edit_distance(pair.output, pair.right[0]) / max(len(pair.output), len(pair.right[0]))

    def doubts(self, pairs: Sequence[Pair]) -> tuple[str, ...]:
        """None."""
        return ()


SEQUENCE_SCORES: Registry[Callable[..., SequenceScores]] = Registry("scores", "recurra.scores")


def exact_scores(pairs: Sequence[Pair], split: str) -> tuple[Score, ...]:
    """exact_match, 0..1: outputs that are right; other_accepted: those among them that are not the reference.

    other_accepted is there only if a row has other right answers at all.
    """
    found = [Score("exact_match", _share(pair.is_right for pair in pairs), "0..1", "higher", split)]
    if any(len(pair.right) > 1 for pair in pairs):
        other = _share(pair.is_right and not pair.is_exact for pair in pairs)
        found.append(Score("other_accepted", other, "0..1", "neither", split))
    return tuple(found)


def main_score(kind: SequenceScores, pairs: Sequence[Pair]) -> Score:
    """The score that counts, of some pairs."""
    return next(s for s in (*kind.scores(pairs, ""), *exact_scores(pairs, "")) if s.name == kind.main)


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Fewest insertions, deletions and substitutions from one to the other (Levenshtein 1966)."""
    above = list(range(len(second) + 1))
    for i, a in enumerate(first, start=1):
        row = [i]
        for j, b in enumerate(second, start=1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (a != b)))
        above = row
    return above[-1]


def length_bins(lengths: Sequence[int], most: int = 8) -> list[tuple[int, int]]:
    """Bins (first, last) of equal and round width that hold all lengths, at most `most` of them, lowest first.

    A length of 0 has a bin of its own.
    """
    low, high = min(lengths), max(lengths)
    sizes = (m * 10**power for power in range(10) for m in (1, 2, 5))
    size = next(size for size in sizes if _index(high, size) - _index(low, size) < most)
    return [(max(k * size + 1, 0), (k + 1) * size) for k in range(_index(low, size), _index(high, size) + 1)]


def require(package: str, use: str) -> None:
    """Raise ConfigError unless a package of the extra `translation` is installed."""
    if importlib.util.find_spec(package) is None:
        raise ConfigError(f'{use} needs {package}, which is not installed; pip install "recurra[translation]".')


def rate(name: str, value: float, better: Literal["higher", "lower"], split: str) -> Score:
    """A score from 0 to 1."""
    return Score(name, value, "0..1", better, split)


def _index(length: int, size: int) -> int:
    return (length - 1) // size


def _share(answers: Iterable[bool]) -> float:
    found = list(answers)
    return sum(found) / len(found)
