"""What a config says of a masked language model, before any text is read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.base.option import OneOf, Opt
from recurra.config import Section, build
from recurra.data.fields import Field
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.splits import OrderedSplit
from recurra.data.store import Fields
from recurra.data.tokenizers import TOKENIZERS, Corpus, Cutter, Encoded, Pieces, lines_of
from recurra.tasks.contract import Needs, Suggestion
from recurra.tasks.language_model.columns import text_column
from recurra.tasks.language_model.documents import TextRow
from recurra.tasks.language_model.reading import text_of
from recurra.tasks.language_model.tearing import torn
from recurra.tasks.masked_lm.masks import MaskRule
from recurra.tasks.masked_lm.sequences import Sequence as Pieced
from recurra.tasks.masked_lm.sizing import sized, suggested
from recurra.tasks.masked_lm.task import MaskedLM
from recurra.tasks.sizing import Choice, Options, Seen
from recurra.tasks.text import TextEncoder


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskedLMConfig:
    """Tell hidden pieces of a text from all that stands around them: how a BERT is trained before it has a task."""

    needs: ClassVar = Needs(
        "sequence_model",
        {"inputs": ("word_pieces",), "encoder": ("pretrained", "transformer"), "head": ("masked",), "wide": ("none",)},
        {"encoder.pooler": False},
        training={
            "batch_tokens": 4096,
            "optimizer": "adamw",
            "optimizer.lr": 1e-3,
            "schedule": "linear",
            "patience": None,
        },
    )

    text: Annotated[str, Opt("column with the text; of a text file `text`", named=True)] = "text"
    document: Annotated[
        Literal["file", "row"],
        Opt(
            "what is read together; file: rows are packed one behind the other into a sequence, up to a blank one; "
            "row: each row is a sequence of its own"
        ),
    ] = "file"
    tokenizer: Annotated[
        Section | Mapping[str, Any] | str, OneOf("how texts become pieces: wordpiece or pretrained", TOKENIZERS)
    ] = "wordpiece"
    max_length: Annotated[int, Opt("pieces of a sequence, marks and all; a longer row is cut into several", ge=8)] = 128
    mask_share: Annotated[
        float, Opt("share of the pieces that is hidden: of it 80 % by [MASK], 10 % by another piece", gt=0, lt=1)
    ] = 0.15
    next_sentence: Annotated[
        bool,
        Opt(
            "sequences are pairs: half go on where the first ends, half are of two documents; the model tells which; "
            "needs document: file, a row for a sentence and blank rows between documents"
        ),
    ] = False
    whole_words: Annotated[bool, Opt("all pieces of a word are hidden together; needs word pieces (##)")] = False

    def __post_init__(self) -> None:
        word = _word(self.tokenizer)
        if word not in ("wordpiece", "pretrained"):
            raise ConfigError(f"tokenizer: '{word}' has no [MASK]; expected wordpiece, or pretrained with a folder.")
        if self.next_sentence and self.document == "row":
            raise ConfigError(
                "next_sentence: needs documents of several rows; set document: file, with blank rows between documents."
            )

    @classmethod
    def implies(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """What next_sentence means for the model: BERT tells it from the pooler, which nothing else here needs."""
        return {"model": {"encoder": {"name": "pretrained", "pooler": True}}} if options.get("next_sentence") else {}

    def refuse_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Raise ConfigError for inputs that have no place for the last pieces of a sequence."""
        places = inputs["max_positions"]
        if self.max_length > places:
            raise ConfigError(
                f"max_length: a sequence has {self.max_length:,} pieces, and model.inputs.max_positions has positions "
                f"for {places:,}; set it to {places}, or max_positions to {self.max_length}."
            )

    @property
    def inputs(self) -> tuple[Field, ...]:
        """What is read; `predict TEXT` fills the first one."""
        return (Field(self.text),)

    @property
    def fields(self) -> tuple[str, ...]:
        """Columns that training data must have."""
        return (self.text,)

    @property
    def splits(self) -> tuple[str, ...]:
        """A file that is one document is not torn into lines."""
        return ("ordered",) if self.document == "file" else ("random", "hash", "folds", "ordered")

    @property
    def smallest_sizes(self) -> Mapping[str, int]:
        """`model_sizes` of the smallest data there is."""
        return {"tokens": 10, "unknown_piece": 1, "separator_piece": 3, "mask_piece": 4}

    @classmethod
    def suggested(cls, rows: Sequence[Record], file: Path) -> Suggestion:
        """Options for a file, from its first rows. Raises DataError if no column holds text."""
        return suggested(rows, file, *text_column(rows, file))

    @classmethod
    def sized(cls, options: Options, seen: Seen) -> list[Choice]:
        """Choices by the size of the data: options of any section, with the reason for each."""
        return sized(options, seen)

    def read(self, record: Record) -> TextRow:
        """The text of a record. Raises DataError, with file and line, if nothing can be learned from it."""
        return TextRow(text_of(record, self.text, blank=self.document == "file"), record.origin)

    def torn(self, rows: Sequence[TextRow], rule: OrderedSplit) -> list[TextRow]:
        """Rows of which one is cut where train or dev ends: for a text of so few lines that a split has none."""
        if self.document == "row":
            return list(rows)
        return torn(rows, rule)

    def fit(self, records: Sequence[Record], source: str) -> MaskedLM:
        """The task from training records, as `fit_examples`."""
        return self.fit_examples([self.read(record) for record in records], source)[0]

    @property
    def row_codec(self) -> Fields[TextRow]:
        return Fields(TextRow)

    def fit_examples(
        self, rows: Collection[TextRow], source: str, means: Means = IN_MEMORY
    ) -> tuple[MaskedLM, Iterator[Pieced]]:
        """Pieces from training rows, and these rows as sequences: each text is cut once.

        Raises DataError if there is nothing to learn, or the pieces lack [MASK].
        """
        if not any(row.text.strip() for row in rows):
            raise DataError(f"{source}: all {len(rows):,} training rows are blank; expected text.")
        pieces = build(self.tokenizer, TOKENIZERS).train(line for row in rows for line in lines_of(row.text))
        task = self._task(pieces, source)
        corpus = Corpus(means.keeping.numbers)
        for _, block in means.blocks(Cutter(pieces), means.watched("cutting", rows, len(rows)), _text, corpus.places):
            corpus.add(block)
        both: Iterable[tuple[TextRow, Encoded]] = zip(
            means.encoding(rows), corpus.encoded(task.vocabulary), strict=True
        )
        return task, task.sequences(both)

    def restore(self, data: Mapping[str, Any], origin: str) -> MaskedLM:
        """The task as a run folder holds it. Raises RunError that names `origin`."""
        if not isinstance(data, Mapping) or "reader" not in data:
            raise RunError(f"{origin}: expected the pieces of a masked language model.")
        return self._task(TextEncoder.from_json(data["reader"], origin).tokenizer, origin)

    def _task(self, pieces: Any, source: str) -> MaskedLM:
        """Raises DataError for pieces without [MASK], ConfigError for whole words of others than word pieces."""
        if not isinstance(pieces, Pieces) or "mask" not in pieces.marks:
            raise DataError(
                f"{source}: the vocabulary has no [MASK], so nothing can be hidden with it; expected the pieces of a "
                "BERT, or task.tokenizer: wordpiece, which learns them."
            )
        if self.next_sentence and pieces.mask_takes_space:
            raise ConfigError("next_sentence: RoBERTa's pieces tell no pair of sentences apart; set it to false.")
        rule = MaskRule.of(pieces, self.mask_share, whole_words=self.whole_words)
        if rule.inside is not None and not rule.inside.any():
            raise ConfigError(
                "whole_words: these pieces do not say which of them go on with a word (##); set it to false."
            )
        reader = TextEncoder(pieces, pieces.vocabulary, self.max_length, "start")
        return MaskedLM(reader, rule, text=self.text, packed=self.document == "file", pairs=self.next_sentence)


def _text(row: TextRow) -> str:
    return row.text


def _word(component: Section | Mapping[str, Any] | str) -> str:
    if isinstance(component, str):
        return component
    return str((component.options if isinstance(component, Section) else component)["name"])
