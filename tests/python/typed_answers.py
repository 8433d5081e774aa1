"""What a type checker knows of answers; `make types` reads this file, and nothing runs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_type

import recurra
from recurra.base.answers import AnyAnswer, Candidate, Label, Span


def one(run: recurra.Run) -> None:
    """The attributes of an answer, whichever task the run has."""
    answer = run.predict("a text")
    assert_type(answer, AnyAnswer)
    assert_type(answer.label, str)
    assert_type(answer.score, float | None)
    assert_type(answer.probabilities, Mapping[str, float])
    assert_type(answer.spans, tuple[Span, ...])
    assert_type(answer.output, str)
    assert_type(answer.n_best, tuple[Candidate, ...] | None)
    assert_type(answer.to_dict(), dict[str, Any])
    print(answer.lable)  # type: ignore[attr-defined]  # a misspelt name is found
    if isinstance(answer, Label):
        assert_type(answer.label, str)


def several(run: recurra.Run) -> None:
    """A list for a list, and for a file."""
    assert_type(run.predict(["a", "b"]), list[AnyAnswer])
    assert_type(run.predict(Path("new.csv")), list[AnyAnswer])
    assert_type(run.predict({"text": "a"}).text, str)
