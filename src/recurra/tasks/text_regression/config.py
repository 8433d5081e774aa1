"""What a config says of a regression of texts, before any data is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, RunError
from recurra.base.option import OneOf, Opt
from recurra.config import Section
from recurra.data.fields import Field
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.scaling import Scaler
from recurra.data.store import Fields
from recurra.data.store.side_by_side import in_one_pass
from recurra.data.tokenizers import TOKENIZERS
from recurra.tasks.contract import Needs, Suggestion
from recurra.tasks.sizing import Choice, Options, Seen
from recurra.tasks.text import TextEncoder, reader_of_rows
from recurra.tasks.text_regression.columns import suggested
from recurra.tasks.text_regression.rows import EachText, ScoredColumns, ScoredExample, ScoredRow
from recurra.tasks.text_regression.sizing import sized
from recurra.tasks.text_regression.task import TextRegression


@dataclass(frozen=True, kw_only=True, slots=True)
class TextRegressionConfig:
    """The task as a config describes it, before any data is read."""

    needs: ClassVar = Needs(
        "sequence_model",
        {"inputs": ("tokens", "word_pieces"), "head": ("numbers",), "wide": ("none",)},
        {"encoder.bidirectional": True},
    )

    keeps_tokens: ClassVar = False

    text: Annotated[str, Opt("column with the text", named=True)] = "text"
    pair: Annotated[str | None, Opt("column with a second text; null: there is none", named=True)] = None
    target: Annotated[str, Opt("column with the number", named=True)] = "score"
    tokenizer: Annotated[Section | Mapping[str, Any] | str, OneOf("how texts become tokens", TOKENIZERS)] = "words"
    min_count: Annotated[int, Opt("rarer tokens are read as unknown", ge=1)] = 1
    max_vocabulary: Annotated[
        int | None, Opt("entries of the vocabulary, 4 of them special; null is no limit", ge=5)
    ] = None
    max_length: Annotated[
        int | None, Opt("tokens of a row that are read; of a pair the longer text is cut; null is no limit", ge=8)
    ] = None

    def __post_init__(self) -> None:
        named = [*self.columns.texts, self.target]
        if len(set(named)) < len(named):
            raise ConfigError(f"target: columns must be different ones, got {', '.join(named)}.")

    @property
    def columns(self) -> ScoredColumns:
        return ScoredColumns(self.text, self.pair, self.target)

    @property
    def inputs(self) -> tuple[Field, ...]:
        """What is read; `predict TEXT` fills the first one."""
        return tuple(map(Field, self.columns.texts))

    @property
    def fields(self) -> tuple[str, ...]:
        """Columns that training data must have."""
        return (*self.columns.texts, self.target)

    @property
    def splits(self) -> tuple[str, ...]:
        """Ways to take dev and test from train; the first one where the config names none."""
        return ("random", "hash", "folds")

    @property
    def smallest_sizes(self) -> Mapping[str, int]:
        """`model_sizes` of the smallest data there is."""
        return {"tokens": 8, "targets": 1}

    @classmethod
    def suggested(cls, rows: Sequence[Record], file: Path) -> Suggestion:
        """Options for a file, from its first rows. Raises ConfigError if its columns do not fit."""
        return suggested(rows, file)

    @classmethod
    def sized(cls, options: Options, seen: Seen) -> list[Choice]:
        """Choices by the size of the data: options of any section, with the reason for each."""
        return sized(options, seen)

    def read(self, record: Record) -> ScoredRow:
        """A text with its number. Raises DataError, with file and line, if nothing can be learned from it."""
        return self.columns.read(record)

    @property
    def row_codec(self) -> Fields[ScoredRow]:
        return Fields(ScoredRow)

    def fit(self, records: Sequence[Record], source: str) -> TextRegression:
        """The task from training records, as `fit_examples`."""
        return self.fit_examples([self.read(record) for record in records], source)[0]

    def fit_examples(
        self, rows: Collection[ScoredRow], source: str, means: Means = IN_MEMORY
    ) -> tuple[TextRegression, Iterator[ScoredExample]]:
        """Tokenizer, vocabulary and scale from training rows, and these as examples."""
        reader, scaler = in_one_pass(
            rows,
            lambda: reader_of_rows(self, EachText(rows, len(self.columns.texts)), means),
            lambda: Scaler.fit("standard", (np.array([[row.gold]], np.float64) for row in rows), 1),
        )
        task = TextRegression(self, reader, scaler)
        return task, task.examples(means.encoding(rows), means)

    def restore(self, data: Mapping[str, Any], origin: str) -> TextRegression:
        """The task as a run folder holds it. Raises RunError that names `origin`."""
        try:
            reader, scaler = data["reader"], Scaler.from_json(data["target"])
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{origin}: expected a reader of texts and a scale: {str(error)[:300]}.") from error
        return TextRegression(self, TextEncoder.from_json(reader, origin), scaler)
