"""What a config says of dialogue, before any data is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, RunError
from recurra.base.option import OneOf, Opt
from recurra.config import build
from recurra.data.fields import Field
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.store import Fields
from recurra.decode import LENGTH_PENALTIES
from recurra.tasks.contract import Needs, Suggestion
from recurra.tasks.dialogue import options as o
from recurra.tasks.dialogue.columns import suggested
from recurra.tasks.dialogue.exchanges import Exchange
from recurra.tasks.dialogue.reading import Reading, fitted
from recurra.tasks.dialogue.replying import Replying
from recurra.tasks.dialogue.sizing import sized
from recurra.tasks.dialogue.task import Dialogue
from recurra.tasks.dialogue.turns import Conversation, TurnColumns
from recurra.tasks.sizing import Choice, Options, Seen
from recurra.tasks.translation.search import WIDEST_BEAM

# Names that mean a language model.
CHAT_LM = ("dialogue_lm", "chat_lm", "chat_language_model", "dialogue_language_model")


@dataclass(frozen=True, kw_only=True, slots=True)
class DialogueConfig:
    """Replies that are written, from what was said last."""

    needs: ClassVar = Needs(
        "encoder_decoder",
        {"inputs": ("tokens",)},
        {"inputs.embedding_size": 128, "encoder.bidirectional": True},
        others=(
            Needs(
                "decoder_only",
                {"inputs": ("tokens",), "encoder": ("recurrent", "transformer"), "head": ("vocabulary",)},
                {"inputs.embedding_size": 128, "encoder.hidden_size": 128},
            ),
        ),
    )

    turns: o.Turns = "turns"
    speaker: o.Speaker = None
    conversation: o.ConversationColumn = None
    separator: o.Separator = None
    replies_of: o.RepliesOf = None
    context: o.Context = 3
    max_context_tokens: o.MaxContextTokens = 128
    max_reply_tokens: Annotated[
        int, Opt("longest reply that is written; training leaves out longer ones", ge=1, le=10_000)
    ] = 60
    max_turns: o.MaxTurns = 1000
    tokenizer: o.TokenizerOption = "words"
    min_count: o.MinCount = 1
    max_vocabulary: o.MaxVocabulary = None
    label_smoothing: Annotated[float, Opt("share of the target that is spread over the vocabulary", ge=0, lt=1)] = 0.0
    beam: Annotated[int, Opt("beam size; 1 is greedy search", ge=1, le=WIDEST_BEAM)] = 1
    length_penalty: Annotated[
        o.Component, OneOf("how hypotheses of different lengths compare; without effect on beam: 1", LENGTH_PENALTIES)
    ] = "mean"
    no_repeat_ngram: Annotated[int, Opt("so many tokens in a row are not written twice in a reply; 0: off", ge=0)] = 3
    refuse: o.Refuse = 0.05
    refusal: o.Refusal = o.REFUSAL

    def __post_init__(self) -> None:
        if problems := o.problems_of(self):
            raise ConfigError(problems)

    @property
    def columns(self) -> TurnColumns:
        return o.columns_of(self)

    @property
    def replying(self) -> Replying:
        return Replying(
            self.beam, build(self.length_penalty, LENGTH_PENALTIES), self.max_reply_tokens, self.no_repeat_ngram
        )

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
        return {"tokens": 8, "target": 8}

    @classmethod
    def called(cls, name: str) -> Mapping[str, Any]:
        """The model that a name asks for, beside options of the task."""
        return {"model": "decoder_only"} if name in CHAT_LM else {}

    @classmethod
    def suggested(cls, rows: Sequence[Record], file: Path) -> Suggestion:
        """Options for a file, from its first rows. Raises ConfigError or DataError if its columns do not fit."""
        return suggested(rows, file)

    @classmethod
    def sized(cls, options: Options, seen: Seen) -> list[Choice]:
        """Choices by the size of the data: options of any section, with the reason for each."""
        return sized(options, seen)

    def read(self, record: Record) -> Conversation:
        """A conversation. Raises DataError, with file and line, if nothing can be learned from it."""
        return self.columns.read(record)

    @property
    def row_codec(self) -> Fields[Conversation]:
        return Fields(Conversation)

    def fit(self, records: Sequence[Record], source: str) -> Dialogue:
        """The task from training records, as `fit_examples`."""
        return self.fit_examples([self.read(record) for record in records], source)[0]

    def fit_examples(
        self, rows: Collection[Conversation], source: str, means: Means = IN_MEMORY
    ) -> tuple[Dialogue, Iterator[Exchange]]:
        """Tokenizer and vocabulary from training rows, and these as examples: each turn is tokenized once.

        Raises DataError if there is nothing to learn.
        """
        reading, encoded = fitted(self, rows, source, means)
        task = Dialogue(self, reading)
        return task, task.turns.learned(rows, encoded, means)

    def restore(self, data: Mapping[str, Any], origin: str) -> Dialogue:
        """The task as a run folder holds it. Raises RunError that names `origin`."""
        if not isinstance(data, Mapping):
            raise RunError(f"{origin}: expected what a dialogue reads.")
        return Dialogue(self, Reading.from_json(data, origin))
