"""What a config says of multiple choice, before any data is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, RunError
from recurra.base.option import OneOf, Opt
from recurra.config import Section
from recurra.data.fields import Field
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.tokenizers import TOKENIZERS
from recurra.tasks.contract import Needs, Suggestion
from recurra.tasks.multiple_choice.columns import suggested
from recurra.tasks.multiple_choice.rows import ChoiceColumns, ChoiceExample, ChoiceRow
from recurra.tasks.multiple_choice.sizing import sized
from recurra.tasks.multiple_choice.task import MultipleChoice
from recurra.tasks.sizing import Choice, Options, Seen
from recurra.tasks.text import TextEncoder, reader_of


@dataclass(frozen=True, kw_only=True, slots=True)
class MultipleChoiceConfig:
    """The task as a config describes it, before any data is read."""

    needs: ClassVar = Needs(
        "sequence_model",
        {"inputs": ("tokens", "word_pieces"), "head": ("choice",), "wide": ("none",)},
        {"encoder.bidirectional": True},
    )

    context: Annotated[
        str | None, Opt("column with the text that choices are about; null: there is none", named=True)
    ] = "context"
    question: Annotated[
        str | None, Opt("column with what each choice follows, such as a question; null: there is none", named=True)
    ] = None
    choices: Annotated[
        str | tuple[str, ...], Opt("column with a list of choices, or several with one each", named=True)
    ] = "choices"
    label: Annotated[str, Opt("column that says which choice is right", named=True)] = "label"
    label_is: Annotated[Literal["index", "letter", "text"], Opt("how it names a choice")] = "index"
    first: Annotated[int, Opt("number of the first choice, with label_is: index", ge=0, le=1)] = 0
    tokenizer: Annotated[Section | Mapping[str, Any] | str, OneOf("how texts become tokens", TOKENIZERS)] = "words"
    min_count: Annotated[int, Opt("rarer tokens are read as unknown", ge=1)] = 1
    max_vocabulary: Annotated[
        int | None, Opt("entries of the vocabulary, 4 of them special; null is no limit", ge=5)
    ] = None
    max_length: Annotated[
        int | None,
        Opt("tokens that are read for a choice, marks and all; the longer text is cut; null is no limit", ge=8),
    ] = None

    def __post_init__(self) -> None:
        problems = []
        if not self.columns.texts:
            problems.append("context: is null, and question too; expected one of them at least.")
        named = [*self.columns.texts, *self.columns.choices, self.label]
        if len(set(named)) < len(named):
            problems.append(f"choices: columns must be different ones, got {', '.join(named)}.")
        if self.first and self.label_is != "index":
            problems.append(f"first: has no effect with label_is: {self.label_is}; leave it out.")
        if problems:
            raise ConfigError(problems)

    @property
    def columns(self) -> ChoiceColumns:
        choices = (self.choices,) if isinstance(self.choices, str) else self.choices
        return ChoiceColumns(self.context, self.question, choices, self.label, self.label_is, self.first)

    @property
    def inputs(self) -> tuple[Field, ...]:
        """What is read; `predict TEXT` fills the first one."""
        return tuple(map(Field, (*self.columns.texts, *self.columns.choices)))

    @property
    def fields(self) -> tuple[str, ...]:
        """Columns that training data must have."""
        return (*self.columns.texts, *self.columns.choices, self.label)

    @property
    def splits(self) -> tuple[str, ...]:
        """Ways to take dev and test from train; the first one where the config names none."""
        return ("random", "hash", "folds")

    @property
    def smallest_sizes(self) -> Mapping[str, int]:
        """`model_sizes` of the smallest data there is."""
        return {"tokens": 8, "scores": 1}

    @classmethod
    def suggested(cls, rows: Sequence[Record], file: Path) -> Suggestion:
        """Options for a file, from its first rows. Raises ConfigError or DataError if its columns do not fit."""
        return suggested(rows, file)

    @classmethod
    def sized(cls, options: Options, seen: Seen) -> list[Choice]:
        """Choices by the size of the data: options of any section, with the reason for each."""
        return sized(options, seen)

    def read(self, record: Record) -> ChoiceRow:
        """A question with its choices. Raises DataError, with file and line, if nothing can be learned from it."""
        return self.columns.read(record)

    def fit(self, records: Sequence[Record], source: str) -> MultipleChoice:
        """The task from training records, as `fit_examples`."""
        return self.fit_examples([self.read(record) for record in records], source)[0]

    def fit_examples(
        self, rows: Collection[ChoiceRow], source: str, means: Means = IN_MEMORY
    ) -> tuple[MultipleChoice, Iterator[ChoiceExample]]:
        """Tokenizer and vocabulary from training rows, and these as examples."""
        texts = dict.fromkeys(text for row in rows for pair in row.pairs() for text in pair)
        reader = reader_of(self, texts, means)
        task = MultipleChoice(self, reader)
        return task, task.examples(means.encoding(rows), means)

    def restore(self, data: Mapping[str, Any], origin: str) -> MultipleChoice:
        """The task as a run folder holds it. Raises RunError that names `origin`."""
        if not isinstance(data, Mapping) or "reader" not in data:
            raise RunError(f"{origin}: expected how the texts of choices are read.")
        return MultipleChoice(self, TextEncoder.from_json(data["reader"], origin))
