"""What was said in a recording, word by word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from recurra.base.answers import AnswerKind, as_dict


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """start, end: seconds; score: the mean probability of its units, 0..1"""

    word: str
    start: float
    end: float
    score: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """The text of a recording. score: the mean probability of its units, None where nothing is said; seconds: read"""

    kind: ClassVar[AnswerKind] = "text"

    output: str
    score: float | None
    seconds: float
    words: tuple[SpokenWord, ...]
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return as_dict(self)

    def __str__(self) -> str:
        return self.output
