"""Questions about a text with their answers, as records have them and as examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Origin, Record
from recurra.base.digest import digest_of
from recurra.base.errors import DataError
from recurra.base.normal import normal
from recurra.base.words import as_written
from recurra.data.formats import field
from recurra.tasks.blank import emptiness, is_blank
from recurra.tasks.tagging.readers import Numbers

# Characters of a text that a message shows.
SHOWN = 40
# Of a place in a text at most.
DIGITS = 9


@dataclass(frozen=True, slots=True)
class Given:
    """A right answer. start: its first character in the context"""

    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class QuestionRow:
    """A question about a context. answers: all that are right, none where there is no answer      group: of the
    split
    """

    question: str
    context: str
    answers: tuple[Given, ...]
    id: str
    group: str
    origin: Origin

    @property
    def key(self) -> str:
        """Rows with the same one stay in one split: those of one article, or of one context."""
        return self.group or normal(self.context)

    @property
    def stratum(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Cut:
    """A text as tokens. ids: their numbers; starts, ends: their characters in the text; words: of tokens that are no
    word pieces, what a model reads of each; folded: how they are compared with others"""

    ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    tokens: tuple[str, ...]
    words: Numbers | None = None
    folded: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.starts)

    def part(self, start: int, stop: int) -> Cut:
        """Tokens `start` up to `stop`, their places in the text as they were."""
        if start <= 0 and stop >= len(self):
            return self
        here, words = slice(start, stop), None
        if self.words is not None:
            ends = np.concatenate([[0], self.words.sizes.astype(np.int64).cumsum()])
            letters = self.words.letters[ends[here.start] : ends[min(stop, len(self))]]
            words = Numbers(self.words.words[here], self.words.patterns[here], letters, self.words.sizes[here])
        return Cut(self.ids[here], self.starts[here], self.ends[here], self.tokens[here], words, self.folded[here])

    def characters(self, first: int, last: int) -> tuple[int, int]:
        """Where the tokens `first` to `last` stand in the text, as (start, end)."""
        return int(self.starts[first]), int(self.ends[last])

    def covering(self, start: int, end: int) -> tuple[int, int] | None:
        """The tokens, first and last, that characters start to end lie in; None where there are none."""
        first, last = int(np.searchsorted(self.ends, start, "right")), int(np.searchsorted(self.starts, end)) - 1
        return (first, last) if first <= last else None


@dataclass(frozen=True, slots=True)
class QuestionExample:
    """A question about a context, as tokens. asked: those of the question that are read; all_asked: how many it has

    answers: the right ones, () where there is none, None where nobody knows      span: tokens of the one to learn
    steps: of all windows together      windows: how many there are
    widened: the answer to learn and the whole tokens it stands in, where these are more; else ""
    """

    question: str
    context: str
    asked: Cut
    passage: Cut
    answers: tuple[str, ...] | None
    span: tuple[int, int] | None
    id: str
    origin: Origin
    all_asked: int
    steps: int
    windows: int
    widened: str = ""

    @property
    def length(self) -> int:
        return self.steps

    @property
    def key(self) -> str:
        return f"{normal(self.question)}\n{normal(self.context)}"

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to answer, or nothing to find an answer in."""
        return is_blank(self.question) or not len(self.passage)

    def digest(self) -> bytes:
        gold = None if self.answers is None else tuple(self.answers)
        return digest_of(self.asked.ids, self.passage.ids, gold, self.span)

    def text(self, first: int, last: int) -> str:
        """What stands at these tokens of the context."""
        start, end = self.passage.characters(first, last)
        return self.context[start:end]


@dataclass(frozen=True, slots=True)
class QuestionColumns:
    """Which column is which; None where there is none."""

    question: str
    context: str
    answer: str
    start: str | None
    id: str | None
    group: str | None

    def read(self, record: Record) -> QuestionRow:
        """A row to learn from. Raises DataError, with file and line, for what is none."""
        question, context = self.texts(record)
        for name, text in ((self.question, question), (self.context, context)):
            if wrong := emptiness(text):
                raise DataError(
                    f"{record.origin}: column '{name}' {wrong}, expected text. Fill it in, or set data.on_error: skip."
                )
        own, group = _said(record, self.id), _said(record, self.group)
        where = f"{record.origin}: question '{own}'" if own else str(record.origin)
        answers = tuple(_checked(text, start, context, where) for text, start in self._answers(record, where))
        return QuestionRow(question, context, answers, own, group, record.origin)

    def texts(self, record: Record) -> tuple[str, str]:
        """Question and context. Raises DataError for what is no text."""
        found = [field(record, name) for name in (self.question, self.context)]
        for name, value in zip((self.question, self.context), found, strict=True):
            if not isinstance(value, str):
                raise DataError(f"{record.origin}: column '{name}' holds {as_written(value)}, expected text.")
        return found[0], found[1]

    def _answers(self, record: Record, where: str) -> list[tuple[str, int | None]]:
        found = _pairs(field(record, self.answer))
        if found is None:
            raise DataError(
                f"{where}: column '{self.answer}' holds {as_written(field(record, self.answer))}, expected an answer "
                "as text, or answers as SQuAD has them: a list of {text, answer_start}."
            )
        if self.start is None:
            return found
        start = field(record, self.start)
        if start in (None, "") or len(found) != 1:
            return found
        said = str(start).strip()
        if not said.isdecimal() or len(said) > DIGITS:
            raise DataError(
                f"{where}: column '{self.start}' holds {as_written(start)}, expected a place in the context."
            )
        return [(found[0][0], int(said))]


def most_given(answers: Sequence[Given]) -> Given:
    """The answer that most people gave, the first of several: the one to learn."""
    counts = Counter((one.start, one.text) for one in answers)
    return max(answers, key=lambda one: counts[one.start, one.text])


def _said(record: Record, column: str | None) -> str:
    value = None if column is None else field(record, column)
    return "" if value is None else str(value)


def _pairs(value: Any) -> list[tuple[str, int | None]] | None:
    """Answers with their places, if they are known: of a text, of SQuAD's list, of a table of both; None for
    neither.
    """
    if value is None or isinstance(value, str):
        return [(value, None)] if value and value.strip() else []
    if isinstance(value, Mapping):
        texts, starts = value.get("text"), value.get("answer_start")
        if isinstance(texts, str):
            texts, starts = [texts], [starts]
        if not isinstance(texts, list) or not (
            starts is None or (isinstance(starts, list) and len(starts) == len(texts))
        ):
            return None
        value = [
            {"text": text, "answer_start": start}
            for text, start in zip(texts, starts or [None] * len(texts), strict=True)
        ]
    if not isinstance(value, list):
        return None
    found = [(one, None) if isinstance(one, str) else _pair(one) for one in value]
    good = [pair for pair in found if pair is not None and isinstance(pair[0], str)]
    return good if len(good) == len(found) else None


def _pair(one: Any) -> tuple[str, int | None] | None:
    if not isinstance(one, Mapping):
        return None
    text, start = one.get("text"), one.get("answer_start")
    return (text, start) if isinstance(text, str) and (start is None or type(start) is int) else None


def _checked(text: str, start: int | None, context: str, where: str) -> Given:
    """An answer at its place. Raises DataError for one that does not stand there."""
    found = context.find(text) if text.strip() else -1
    if found < 0:
        raise DataError(
            f"{where}: the answer {text[:SHOWN]!r} does not stand in its context ({context[:SHOWN]!r}...), expected a "
            "part of it, letter by letter. Mend it, or set data.on_error: skip."
        )
    if start is None:
        return Given(text, found)
    if start < 0 or not context.startswith(text, start):
        there = context[start : start + len(text)] if start >= 0 else ""
        raise DataError(
            f"{where}: the answer {text[:SHOWN]!r} is said to begin at character {start}, where the context has "
            f"{there[:SHOWN]!r}; it stands at {found}. Mend answer_start, or set data.on_error: skip."
        )
    return Given(text, start)
