"""What a config says of a translation, before any data is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, RunError
from recurra.base.option import OneOf, Opt
from recurra.config import Section, build
from recurra.data.fields import Field
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.store import Fields
from recurra.data.tokenizers import TOKENIZERS, VocabularyPlan
from recurra.decode import LENGTH_PENALTIES
from recurra.metrics import SEQUENCE_SCORES, SequenceScores
from recurra.tasks.contract import Needs, Suggestion
from recurra.tasks.sizing import Choice, Options, Seen
from recurra.tasks.translation.columns import suggested
from recurra.tasks.translation.pairs import Columns, PairRow, TextPair, text_of
from recurra.tasks.translation.readers import Limits, Sides, fit_sides
from recurra.tasks.translation.search import WIDEST_BEAM, Search
from recurra.tasks.translation.sizing import sized
from recurra.tasks.translation.task import Translation

Component = Section | Mapping[str, Any] | str


@dataclass(frozen=True, kw_only=True, slots=True)
class TranslationConfig:
    """Any text to another text: translation, summaries, replies, phones, dates."""

    needs: ClassVar = Needs(
        "encoder_decoder",
        {"inputs": ("tokens",)},
        {"inputs.embedding_size": 128, "encoder.bidirectional": True},
    )

    keeps_tokens: ClassVar = True

    source: Annotated[str, Opt("column with the text that is read", named=True)] = "source"
    target: Annotated[str, Opt("column with the text that is written", named=True)] = "target"
    accepted: Annotated[
        str | None, Opt("column with further right answers; such an output is no mistake", named=True)
    ] = None
    accepted_separator: Annotated[str, Opt("between accepted answers in one cell; a JSON list needs none")] = "|"
    group: Annotated[
        str | None, Opt("column by whose values scores are compared, such as the language", named=True)
    ] = None
    scores: Annotated[Component, OneOf("scores beside exact matches and perplexity", SEQUENCE_SCORES)] = "translation"
    source_tokenizer: Annotated[Component, OneOf("tokenizer of the source", TOKENIZERS)] = "words"
    target_tokenizer: Annotated[
        Component | None, OneOf("tokenizer of the target; null: as of the source", TOKENIZERS)
    ] = None
    vocabulary: Annotated[
        Literal["separate", "shared"], Opt("shared: one tokenizer and vocabulary, learnt from both sides")
    ] = "separate"
    min_count: Annotated[int, Opt("rarer tokens are read as unknown", ge=1)] = 1
    max_vocabulary: Annotated[
        int | None, Opt("entries of each vocabulary, 4 of them special; null is no limit", ge=5)
    ] = None
    max_source_length: Annotated[
        int | None, Opt("training leaves out rows with more source tokens; null is no limit", ge=1)
    ] = None
    max_target_length: Annotated[
        int | None, Opt("training leaves out rows with more target tokens; null is no limit", ge=1)
    ] = None
    label_smoothing: Annotated[
        float, Opt("share of the target that is spread over the vocabulary; 0 for a model that copies", ge=0, lt=1)
    ] = 0.0
    beam: Annotated[
        int,
        Opt("beam size; 1 is greedy search, as when epochs are compared", ge=1, le=WIDEST_BEAM),
    ] = 5
    length_penalty: Annotated[
        Component, OneOf("how hypotheses of different lengths compare; without effect on beam: 1", LENGTH_PENALTIES)
    ] = "mean"
    max_length_factor: Annotated[
        float,
        Opt("longest answer: this times the mean length for such a source, plus 10 tokens", gt=0, le=1000),
    ] = 2.0

    def __post_init__(self) -> None:
        problems = []
        columns = {name: getattr(self, name) for name in ("source", "target", "accepted", "group")}
        for name, column in columns.items():
            same = [other for other, value in columns.items() if value == column and other != name]
            if column is not None and same and list(columns).index(same[0]) < list(columns).index(name):
                problems.append(f"{name}: is '{column}', the column of {same[0]} too; expected another column.")
        if self.vocabulary == "shared" and self.target_tokenizer is not None:
            problems.append("target_tokenizer: has no effect with vocabulary: shared; leave it out.")
        if self.accepted is None and self.accepted_separator != "|":
            problems.append("accepted_separator: has no effect without accepted; leave it out.")
        if not self.accepted_separator:
            problems.append("accepted_separator: is empty; expected a text that stands between answers, such as '|'.")
        problems += _refused(lambda: self.kind) or self._wrong_case()
        if problems:
            raise ConfigError(problems)

    def _wrong_case(self) -> tuple[str, ...]:
        written = self.source_tokenizer if self.target_tokenizer is None else self.target_tokenizer
        if not (_folds_case(written) and self.kind.compares_case):
            return ()
        return (
            "scores: compare capital letters, and the target's tokenizer folds to lower case, so that no output could "
            "be right; set scores: {name: translation, lowercase: true}, or lowercase: false for that tokenizer.",
        )

    @property
    def kind(self) -> SequenceScores:
        """The scores that count. Raises ConfigError where their package is not installed."""
        made: SequenceScores = build(self.scores, SEQUENCE_SCORES)
        return made

    @property
    def columns(self) -> Columns:
        return Columns(self.source, self.target, self.accepted, self.accepted_separator, self.group)

    @property
    def limits(self) -> Limits:
        return Limits(self.max_source_length, self.max_target_length)

    @property
    def search(self) -> Search:
        return Search(self.beam, 1, build(self.length_penalty, LENGTH_PENALTIES), self.max_length_factor)

    @property
    def inputs(self) -> tuple[Field, ...]:
        """What is read; `predict TEXT` fills the first one."""
        return (Field(self.source),)

    @property
    def fields(self) -> tuple[str, ...]:
        """Columns that training data must have."""
        return self.columns.all

    @property
    def smallest_sizes(self) -> Mapping[str, int]:
        """`model_sizes` of the smallest data there is."""
        return {"tokens": 8, "target": 8}

    @classmethod
    def called(cls, name: str) -> Mapping[str, Any]:
        """Options of the task that a name asks for."""
        return {"scores": "summarization"} if name.startswith("summar") or name == "headlines" else {}

    @classmethod
    def suggested(cls, rows: Sequence[Record], file: Path) -> Suggestion:
        """Options for a file, from its first rows. Raises ConfigError or DataError if its columns do not fit."""
        return suggested(rows, file)

    @classmethod
    def sized(cls, options: Options, seen: Seen) -> list[Choice]:
        """Choices by the size of the data: options of any section, with the reason for each."""
        return sized(options, seen)

    def for_model(self, model: Mapping[str, Any]) -> TranslationConfig:
        """The same. Raises ConfigError for label smoothing with a decoder that copies: words that can neither be said
        nor copied have probability 0, and no share of the target."""
        if self.label_smoothing and model["decoder"].get("copying"):
            raise ConfigError("label_smoothing: cannot be used with a model that copies; set it to 0.")
        return self

    def read(self, record: Record) -> PairRow:
        """Both texts of a record. Raises DataError, with file and line, if nothing can be learned from it."""
        return self.columns.read(record)

    def fit(self, records: Sequence[Record], source: str) -> Translation:
        """The task from training records, as `fit_examples`; nothing but the two texts is read."""
        rows = [
            PairRow(text_of(record, self.source), (text_of(record, self.target),), None, record.origin)
            for record in records
        ]
        return self.fit_examples(rows, source)[0]

    @property
    def row_codec(self) -> Fields[PairRow]:
        return Fields(PairRow)

    def fit_examples(
        self, rows: Collection[PairRow], source: str, means: Means = IN_MEMORY
    ) -> tuple[Translation, Iterator[TextPair]]:
        """Tokenizers and vocabularies from training rows, and these as examples: each text is tokenized once.

        Raises DataError if there is nothing to learn.
        """
        target = self.source_tokenizer if self.target_tokenizer is None else self.target_tokenizer
        sides, texts = fit_sides(
            build(self.source_tokenizer, TOKENIZERS),
            None if self.vocabulary == "shared" else build(target, TOKENIZERS),
            VocabularyPlan(min_count=self.min_count, max_size=self.max_vocabulary),
            rows,
            self.limits,
            means,
            source,
        )
        task = self._task(sides)
        return task, (task.pair(row, *both) for row, both in zip(means.encoding(rows), texts, strict=True))

    def restore(self, data: Mapping[str, Any], origin: str) -> Translation:
        """The task as a run folder holds it. Raises RunError that names `origin`."""
        if not isinstance(data, Mapping) or not isinstance(data.get("sides"), Mapping):
            raise RunError(f"{origin}: expected the two sides of a translation.")
        return self._task(Sides.from_json(data["sides"], origin))

    def _task(self, sides: Sides) -> Translation:
        return Translation(
            sides=sides,
            columns=self.columns,
            limits=self.limits,
            kind=self.kind,
            search=self.search,
            label_smoothing=self.label_smoothing,
        )


def _folds_case(tokenizer: Component) -> bool:
    options = tokenizer.options if isinstance(tokenizer, Section) else tokenizer
    return isinstance(options, Mapping) and bool(options.get("lowercase"))


def _refused(make: Any) -> tuple[str, ...]:
    try:
        make()
    except ConfigError as error:
        return error.problems
    return ()
