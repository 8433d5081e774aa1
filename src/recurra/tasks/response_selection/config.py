"""What a config says of response selection, before any data is read."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, RunError
from recurra.base.option import Opt
from recurra.data.fields import Field
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.store import Fields
from recurra.tasks.contract import Needs, Suggestion
from recurra.tasks.dialogue import options as o
from recurra.tasks.dialogue.columns import suggested
from recurra.tasks.dialogue.exchanges import Exchange
from recurra.tasks.dialogue.reading import Reading, fitted
from recurra.tasks.dialogue.sizing import sized_to_choose
from recurra.tasks.dialogue.turns import Conversation, TurnColumns
from recurra.tasks.options import refuse_accumulation
from recurra.tasks.response_selection.replies import Replies, checked
from recurra.tasks.response_selection.task import ResponseSelection
from recurra.tasks.sizing import Choice, Options, Seen


@dataclass(frozen=True, kw_only=True, slots=True)
class ResponseSelectionConfig:
    """Replies that are chosen from those of training, by vectors of two encoders and the words that texts share."""

    needs: ClassVar = Needs(
        "text_dual_encoder",
        {"inputs": ("tokens",), "encoder": ("recurrent", "transformer", "convolutional", "identity")},
        {"encoder.bidirectional": True},
    )

    turns: o.Turns = "turns"
    speaker: o.Speaker = None
    conversation: o.ConversationColumn = None
    separator: o.Separator = None
    replies_of: o.RepliesOf = None
    context: o.Context = 3
    max_context_tokens: o.MaxContextTokens = 128
    max_reply_tokens: Annotated[int, Opt("tokens of a reply that are read, the first ones", ge=1)] = 128
    max_turns: o.MaxTurns = 1000
    tokenizer: o.TokenizerOption = "words"
    min_count: o.MinCount = 1
    max_vocabulary: o.MaxVocabulary = None
    kept: Annotated[int, Opt("different replies of training to choose from, drawn if there are more", ge=1)] = 10_000
    words: Annotated[
        float | None,
        Opt("weight of shared words (TF-IDF) beside vectors; 0: vectors alone; null: the best of some on dev", ge=0),
    ] = None
    source: Annotated[str | None, Opt("column that says where a reply is from, which a chat shows", named=True)] = None
    refuse: o.Refuse = 0.05
    refusal: o.Refusal = o.REFUSAL

    def __post_init__(self) -> None:
        problems = o.problems_of(self)
        if self.source is not None and self.source in (*self.columns.turns, self.speaker):
            problems.append(f"source: is '{self.source}', a column of turns or speakers too; expected another column.")
        if problems:
            raise ConfigError(problems)

    @property
    def columns(self) -> TurnColumns:
        return o.columns_of(self)

    @property
    def inputs(self) -> tuple[Field, ...]:
        """What is read; `predict TEXT` fills the first one."""
        return tuple(map(Field, self.columns.turns[: max(len(self.columns.turns) - 1, 1)]))

    @property
    def fields(self) -> tuple[str, ...]:
        """Columns that training data must have."""
        return self.columns.all

    @property
    def step_fields(self) -> tuple[str, ...]:
        """Those with a value in each row, where a row is a turn."""
        return (*self.columns.turns, *(() if self.speaker is None else (self.speaker,)))

    @property
    def smallest_sizes(self) -> Mapping[str, int]:
        """`model_sizes` of the smallest data there is."""
        return {"tokens": 8}

    @classmethod
    def suggested(cls, rows: Sequence[Record], file: Path) -> Suggestion:
        """Options for a file, from its first rows. Raises ConfigError or DataError if its columns do not fit."""
        return suggested(rows, file)

    @classmethod
    def sized(cls, options: Options, seen: Seen) -> list[Choice]:
        """Choices by the size of the data: options of any section, with the reason for each."""
        return sized_to_choose(options, seen)

    def refuse_training(self, training: Mapping[str, Any]) -> None:
        """Raises ConfigError for batches that are only added up: a pair is told apart from those of its own batch."""
        refuse_accumulation(training)

    def read(self, record: Record) -> Conversation:
        """A conversation. Raises DataError, with file and line, if nothing can be learned from it."""
        return self.columns.read(record)

    @property
    def row_codec(self) -> Fields[Conversation]:
        return Fields(Conversation)

    def fit(self, records: Sequence[Record], source: str) -> ResponseSelection:
        """The task from training records, as `fit_examples`."""
        return self.fit_examples([self.read(record) for record in records], source)[0]

    def fit_examples(
        self, rows: Collection[Conversation], source: str, means: Means = IN_MEMORY
    ) -> tuple[ResponseSelection, Iterator[Exchange]]:
        """Tokenizer, vocabulary and replies from training rows, and these as examples: each turn is tokenized once.

        Raises DataError if there is nothing to learn.
        """
        reading, encoded = fitted(self, rows, source, means)
        replies, number = Replies.of(rows, self.replies_of, self.kept)
        task = ResponseSelection(self, reading, replies, number=number)
        return task, task.turns.learned(rows, encoded, means)

    def restore(self, data: Mapping[str, Any], origin: str) -> ResponseSelection:
        """The task as a run folder holds it. Raises RunError that names `origin`."""
        if not isinstance(data, Mapping):
            raise RunError(f"{origin}: expected what a chat reads.")
        replies = checked(data, origin)
        weight = data.get("words")
        if not (isinstance(weight, int | float) and math.isfinite(weight) and weight >= 0):
            raise RunError(f"{origin}: expected a weight of words, got {weight!r}.")
        return ResponseSelection(self, Reading.from_json(data, origin), replies, number=len(replies), weight=weight)
