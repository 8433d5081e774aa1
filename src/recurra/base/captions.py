"""What is seen in a picture, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from recurra.base.answers import AnswerKind, Candidate, as_dict


@dataclass(frozen=True, slots=True)
class Looked:
    """What each token of a caption (rows, R) looked at: weights (R, P) of places, in a grid of so many rows, columns"""

    rows: tuple[str, ...]
    grid: tuple[int, int]
    weights: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Caption:
    """The caption of a picture. score: the mean probability of its tokens, 0..1; picture: its file, where it has one

    n_best, attention: where they were asked for
    """

    kind: ClassVar[AnswerKind] = "text"

    output: str
    score: float
    picture: str | None
    n_best: tuple[Candidate, ...] | None = None
    attention: Looked | None = None
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return as_dict(self)

    def __str__(self) -> str:
        return self.output
