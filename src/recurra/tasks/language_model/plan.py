"""What a config says of a language model, before any data is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
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
from recurra.data.tokenizers import TOKENIZERS, Corpus, Vocabulary, VocabularyPlan, lines_of, vocabulary_from_json
from recurra.tasks.contract import Needs, Suggestion
from recurra.tasks.language_model.columns import suggested
from recurra.tasks.language_model.documents import Passage, TextRow, passages
from recurra.tasks.language_model.reading import cutter, text_of
from recurra.tasks.language_model.sizing import sized
from recurra.tasks.language_model.task import LanguageModelling
from recurra.tasks.language_model.tearing import torn
from recurra.tasks.letters import letters_of
from recurra.tasks.sizing import Choice, Options, Seen
from recurra.tasks.text import TextEncoder


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguageModelConfig:
    """Predict each token of a text from all tokens before it."""

    needs: ClassVar = Needs(
        "sequence_model",
        {
            "inputs": ("tokens", "characters"),
            "encoder": ("awd", "recurrent", "transformer"),
            "head": ("vocabulary",),
            "wide": ("none",),
        },
        {"inputs.embedding_size": 200, "encoder.hidden_size": 200},  # as wide as each other, to tie weights
    )

    text: Annotated[str, Opt("column with the text; of a text file `text`", named=True)] = "text"
    document: Annotated[
        Literal["file", "row"],
        Opt("what is read on with one state: all rows of a file, or each row, which then has an end to predict"),
    ] = "file"
    line_breaks: Annotated[
        bool, Opt("the end of a line is a token (the <eos> of WikiText); false: lines follow one another without one")
    ] = True
    tokenizer: Annotated[Section | Mapping[str, Any] | str, OneOf("how texts become tokens", TOKENIZERS)] = "words"
    min_count: Annotated[int, Opt("rarer tokens are read as unknown, as is <unk> in the text", ge=1)] = 1
    max_vocabulary: Annotated[
        int | None, Opt("entries of the vocabulary, 4 of them special; null is no limit", ge=5)
    ] = None
    letters: Annotated[
        bool, Opt("a token's letters are read, and not a vector of its own; model.inputs.name: characters sets it")
    ] = False
    bptt: Annotated[
        int,
        Opt(
            "truncated BPTT: steps that the gradient goes back; training.batch_rows is how many texts are read at once",
            ge=1,
        ),
    ] = 35

    def __post_init__(self) -> None:
        if not self.line_breaks and _word(self.tokenizer) == "characters":
            raise ConfigError(
                "line_breaks: false would glue the last word of a line to the first of the next with tokenizer: "
                "characters; leave it out."
            )
        if self.letters and _word(self.tokenizer) == "characters":
            raise ConfigError("letters: has no effect with tokenizer: characters, whose tokens are letters; use words.")

    def refuse_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Raise ConfigError for letters that nothing reads."""
        if self.letters and inputs["name"] != "characters":
            raise ConfigError(f"letters: has no effect with model.inputs {inputs['name']}; leave it out.")

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
        return {"tokens": 8, **({"characters": 5} if self.letters else {})}

    @classmethod
    def suggested(cls, rows: Sequence[Record], file: Path) -> Suggestion:
        """Options for a file, from its first rows. Raises DataError if no column holds text."""
        return suggested(rows, file)

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

    def fit(self, records: Sequence[Record], source: str) -> LanguageModelling:
        """The task from training records, as `fit_examples`; they may be blank."""
        rows = [TextRow(text_of(record, self.text, blank=True), record.origin) for record in records]
        return self.fit_examples(rows, source)[0]

    @property
    def row_codec(self) -> Fields[TextRow]:
        return Fields(TextRow)

    def fit_examples(
        self, rows: Collection[TextRow], source: str, means: Means = IN_MEMORY
    ) -> tuple[LanguageModelling, Iterator[Passage]]:
        """Tokenizer and vocabulary from training rows, and these as examples: each text is tokenized once.

        Raises DataError if there is nothing to learn.
        """
        if not any(row.text.strip() for row in rows):
            raise DataError(f"{source}: all {len(rows)} training rows are blank; expected text.")
        tokenizer = build(self.tokenizer, TOKENIZERS).train(line for row in rows for line in lines_of(row.text))
        corpus = Corpus(means.keeping.numbers)
        cut = cutter(tokenizer, line_breaks=self.line_breaks, end=self.line_breaks and self.document == "file")
        for _, block in means.blocks(cut, means.watched("cutting", rows, len(rows)), _text, corpus.places):
            corpus.add(block)
        counts = corpus.counts()
        vocabulary = VocabularyPlan(min_count=self.min_count, max_size=self.max_vocabulary).build(counts)
        letters = letters_of(counts) if self.letters else None
        task = self._task(TextEncoder(tokenizer, vocabulary, None, "start"), letters)
        both = zip(means.encoding(rows), corpus.encoded(vocabulary), strict=True)
        return task, passages(both, closed=task.closed, texts=False)

    def restore(self, data: Mapping[str, Any], origin: str) -> LanguageModelling:
        """The task as a run folder holds it. Raises RunError that names `origin`."""
        if not isinstance(data, Mapping) or "reader" not in data:
            raise RunError(f"{origin}: expected the tokenizer of a language model.")
        if self.letters and "letters" not in data:
            raise RunError(f"{origin}: expected the letters that the model reads.")
        letters = vocabulary_from_json(data["letters"]) if self.letters else None
        return self._task(TextEncoder.from_json(data["reader"], origin), letters)

    def _task(self, reader: TextEncoder, letters: Vocabulary | None) -> LanguageModelling:
        return LanguageModelling(
            reader,
            text=self.text,
            closed=self.document == "row",
            line_breaks=self.line_breaks,
            bptt=self.bptt,
            letters=letters,
        )


def _text(row: TextRow) -> str:
    return row.text


def _word(component: Section | Mapping[str, Any] | str) -> str:
    if isinstance(component, str):
        return component
    return str((component.options if isinstance(component, Section) else component)["name"])
