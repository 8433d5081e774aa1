"""What a trained model says of one row, by kind: frozen values, each with the one form that it has as JSON.

The names of fields are the keys of the JSON that the command line and the service give. `str` of an answer is what a
person wants to read of it first. note: why there is little to say, as of a blank text; it is no key where it is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, ClassVar, Literal, Protocol

# For whoever draws answers or puts them into columns: labels with probabilities; a text; tags of tokens or spans; how
# probable a text is that can be continued, and the same of chords; what follows a series; numbers of a row; a part of a
# text that answers a question; what stands where a text leaves something open; a row, said again.
AnswerKind = Literal[
    "label", "text", "tags", "continuation", "chords", "forecast", "numbers", "span", "fill", "reconstruction"
]


class Answer(Protocol):
    """An answer of any kind."""

    kind: ClassVar[AnswerKind]

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON has it: maps, lists, text and numbers."""
        ...


@dataclass(frozen=True, slots=True)
class Label:
    """One label of a text. score: its probability, 0..1, None for a blank text; probabilities: of every label"""

    kind: ClassVar[AnswerKind] = "label"

    text: str
    label: str
    score: float | None
    probabilities: Mapping[str, float]
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return as_dict(self)

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True, slots=True)
class Labels:
    """Any number of labels of a text. probabilities: of every label, 0..1, each by itself"""

    kind: ClassVar[AnswerKind] = "label"

    text: str
    labels: tuple[str, ...]
    probabilities: Mapping[str, float]
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return as_dict(self)

    def __str__(self) -> str:
        return ", ".join(self.labels)


@dataclass(frozen=True, slots=True)
class SeriesLabel:
    """One label of a series of numbers. score: its probability, 0..1, None for no steps; steps: how many were read"""

    kind: ClassVar[AnswerKind] = "label"

    label: str
    score: float | None
    probabilities: Mapping[str, float]
    steps: int
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return as_dict(self)

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True, slots=True)
class SeriesLabels:
    """Any number of labels of a series of numbers. probabilities: of every label, 0..1; steps: how many were read"""

    kind: ClassVar[AnswerKind] = "label"

    labels: tuple[str, ...]
    probabilities: Mapping[str, float]
    steps: int
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return as_dict(self)

    def __str__(self) -> str:
        return ", ".join(self.labels)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of several texts. score: the mean probability of a token, 0..1; log_prob: nats of the whole"""

    output: str
    score: float
    log_prob: float


@dataclass(frozen=True, slots=True)
class Attention:
    """What each token of an answer (rows, R) looked at: weights (R, C) of the tokens that were read (columns, C)."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Text:
    """A text for a text. output: the answer; score: the mean probability of its tokens, None for a blank text

    n_best, attention: where they were asked for
    """

    kind: ClassVar[AnswerKind] = "text"

    output: str
    score: float | None
    text: str
    n_best: tuple[Candidate, ...] | None = None
    attention: Attention | None = None
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return as_dict(self)

    def __str__(self) -> str:
        return self.output


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text with its label. start, end: its characters; score: 0..1, None where no model has one"""

    text: str
    label: str
    start: int
    end: int
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Spans:
    """The spans of a text. tags: each token with its tag, in the scheme of the files of training"""

    kind: ClassVar[AnswerKind] = "tags"

    spans: tuple[Span, ...]
    tags: tuple[tuple[str, str], ...]
    text: str
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return as_dict(self)

    def __str__(self) -> str:
        return ", ".join(f"{span.text} ({span.label})" for span in self.spans)


@dataclass(frozen=True, slots=True)
class Tags:
    """A tag for every token of a text."""

    kind: ClassVar[AnswerKind] = "tags"

    tokens: tuple[Span, ...]
    text: str
    note: str | None = None

    @property
    def tags(self) -> tuple[tuple[str, str], ...]:
        """Each token with its tag."""
        return tuple((token.text, token.label) for token in self.tokens)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return as_dict(self)

    def __str__(self) -> str:
        return " ".join(f"{token.text}/{token.label}" for token in self.tokens)


@dataclass(frozen=True, slots=True)
class TokenLogProb:
    """A token, "" for the end of a text. log_prob: nats"""

    token: str
    log_prob: float


@dataclass(frozen=True, slots=True)
class LogProb:
    """How probable a text is. log_prob: nats of the whole; perplexity: of a token; tokens: where they were asked for"""

    kind: ClassVar[AnswerKind] = "continuation"

    log_prob: float
    perplexity: float
    num_tokens: int
    text: str
    tokens: tuple[TokenLogProb, ...] | None = None
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return as_dict(self)

    def __str__(self) -> str:
        return f"{self.log_prob:.1f} nats"


@dataclass(frozen=True, slots=True)
class PieceGuess:
    """A piece for a [MASK]. probability: 0..1, given all that is not hidden"""

    piece: str
    probability: float


@dataclass(frozen=True, slots=True)
class Filled:
    """A text whose [MASK]s are filled. output: with the best pieces; score: their mean probability, None without any

    masks: for each [MASK] the best pieces, the most probable first
    """

    kind: ClassVar[AnswerKind] = "fill"

    output: str
    score: float | None
    masks: tuple[tuple[PieceGuess, ...], ...]
    text: str
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return as_dict(self)

    def __str__(self) -> str:
        return self.output


@dataclass(frozen=True, slots=True)
class Chords:
    """How probable a piece of music is. log_prob: nats of the whole; chords: as a file has them"""

    kind: ClassVar[AnswerKind] = "chords"

    log_prob: float
    nats_per_step: float
    num_steps: int
    chords: str
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return as_dict(self)

    def __str__(self) -> str:
        return f"{self.log_prob:.1f} nats"


@dataclass(frozen=True, slots=True)
class Forecast:
    """What follows a series. time: of each step, as the data has it; columns: a number for each, by what it is

    A target `y` is under its name, and its quantiles under y_q0.1, y_q0.9, in the units of the data.
    """

    kind: ClassVar[AnswerKind] = "forecast"

    series: str
    time: tuple[str | int, ...]
    columns: Mapping[str, tuple[float, ...]]
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it: `series`, `time`, and the columns by their names, a list each."""
        found = {"series": self.series, "time": list(self.time)} | {k: list(v) for k, v in self.columns.items()}
        return found if self.note is None else found | {"note": self.note}

    def rows(self) -> list[dict[str, Any]]:
        """One for each step, for tables."""
        return [
            {"series": self.series, "time": stamp} | {name: values[k] for name, values in self.columns.items()}
            for k, stamp in enumerate(self.time)
        ]

    def __str__(self) -> str:
        first = next(iter(self.columns.values()), ())
        return ", ".join(f"{value:.5g}" for value in first)


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers of a row, by what they are, in the units of the data; none for no steps. steps: how many were read

    deviations: how far off each may be, where a model says so
    """

    kind: ClassVar[AnswerKind] = "numbers"

    numbers: Mapping[str, float]
    steps: int
    note: str | None = None
    deviations: Mapping[str, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return as_dict(self)

    def __str__(self) -> str:
        if len(self.numbers) == 1:
            return f"{next(iter(self.numbers.values())):.5g}"
        return ", ".join(f"{name} {value:.5g}" for name, value in self.numbers.items())


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """A row, said again: by column, what the row had, a number or a list, in the units of the data

    error: the mean squared error, of scaled numbers, None for a row without any
    """

    kind: ClassVar[AnswerKind] = "reconstruction"

    reconstruction: Mapping[str, Any]
    error: float | None
    steps: int
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return as_dict(self)

    def __str__(self) -> str:
        return "no error" if self.error is None else f"error {self.error:.5g}"


class AnyAnswer(Answer, Protocol):
    """An answer as type checkers see it: every attribute that some kind of answer has.

    Which ones there are follows from the run's task (docs/guide/python.md has a table); others raise AttributeError.
    `isinstance(answer, Label)` tells one kind from the others.
    """

    text: str
    note: str | None
    label: str
    labels: tuple[str, ...]
    score: float | None
    probabilities: Mapping[str, float]
    steps: int
    output: str
    n_best: tuple[Candidate, ...] | None
    masks: tuple[tuple[PieceGuess, ...], ...]
    attention: Attention | None
    spans: tuple[Span, ...]
    tags: tuple[tuple[str, str], ...]
    tokens: Any
    log_prob: float
    perplexity: float
    num_tokens: int
    chords: str
    nats_per_step: float
    num_steps: int
    series: str
    time: tuple[str | int, ...]
    columns: Mapping[str, tuple[float, ...]]
    numbers: Mapping[str, float]
    deviations: Mapping[str, float] | None
    reconstruction: Mapping[str, Any]
    error: float | None
    answer: str
    start: int | None
    end: int | None
    question: str


def as_dict(answer: Any) -> dict[str, Any]:
    """Its fields as JSON has them. One whose default is None is left out where it is None."""
    named = ((name, optional, getattr(answer, name)) for name, optional in _fields_of(answer.__class__))
    return {name: _plain(value) for name, optional, value in named if not (value is None and optional)}


@cache
def _fields_of(kind: Any) -> tuple[tuple[str, bool], ...]:
    """Names, and whether None is what stands there by default."""
    return tuple((field.name, field.default is None) for field in fields(kind))


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return as_dict(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value
