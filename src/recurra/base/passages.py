"""The part of a text that answers a question about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from recurra.base.answers import AnswerKind, as_dict


@dataclass(frozen=True, slots=True)
class PassageCandidate:
    """One of several answers, "" for no answer. score: its probability, 0..1; start, end: its characters"""

    answer: str
    score: float
    start: int | None
    end: int | None


@dataclass(frozen=True, slots=True)
class PassageAnswer:
    """The part of a context that answers a question, "" for no answer.

    score: its probability, 0..1, None for blank texts
    start, end: its characters in the context; None for no answer      n_best: answers of different texts, if asked for
    """

    kind: ClassVar[AnswerKind] = "span"

    answer: str
    score: float | None
    start: int | None
    end: int | None
    question: str
    n_best: tuple[PassageCandidate, ...] | None = None
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return as_dict(self)

    def __str__(self) -> str:
        return self.answer
