"""Classification: a text to its label, or its labels."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import Annotated, Any, ClassVar, Literal

import torch

from recurra.base.answers import Label, Labels
from recurra.base.contracts import Batch, Origin, Record, Table
from recurra.base.digest import digest_of
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.base.normal import normal, spellings
from recurra.base.option import OneOf, Opt
from recurra.base.words import as_written
from recurra.config import Section, build
from recurra.data.fields import Field
from recurra.data.formats import field as cell_of
from recurra.data.ngrams import NGRAMS, Counted, HashedNGrams
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.store import Fields, Way
from recurra.data.tokenizers import PAIR, TOKENIZERS, Encoded, Pieces, Vocabulary, way_of
from recurra.metrics import Compared
from recurra.metrics.mixing import Mix
from recurra.metrics.words import words_of
from recurra.models import SequenceModel
from recurra.models.inputs import BagOfNGrams
from recurra.models.options import word_of
from recurra.models.wide import Bag
from recurra.tasks.blank import blank_warnings, emptiness, is_blank
from recurra.tasks.bucketing import BucketSampler
from recurra.tasks.classification.columns import suggested
from recurra.tasks.classification.sizing import sized
from recurra.tasks.classification.streaming import StreamingPredictor
from recurra.tasks.columns import unfit
from recurra.tasks.contract import Needs, Suggestion
from recurra.tasks.explanation import ExplanationTarget
from recurra.tasks.label_explanation import label_explained
from recurra.tasks.label_task import LabelTask, class_weights, labels_from_json
from recurra.tasks.labels import LabelKind, ManyLabels, OneLabel, label_set
from recurra.tasks.mistakes import mistaken
from recurra.tasks.sizing import Choice, Options, Seen
from recurra.tasks.text import Keep, TextEncoder, pad_arrays
from recurra.tasks.wide import fit_scale, pad_ngrams, solve_bag

_NGRAMS = Way(
    lambda counted: None if counted is None else counted.to_plain(),
    lambda plain: None if plain is None else Counted.from_plain(plain),
)
# Texts whose words are counted, to see whether the tokenizer fits.
LOOKED_AT = 10_000
# Rows from which n-grams have their weights: tweets of 200 n-grams take 500 MB then.
MOST_SOLVED = 100_000


@dataclass(frozen=True, slots=True)
class TextRow:
    """A text and what it should be, before anything is fitted. spelt: the labels as the file has them"""

    text: str
    gold: Any
    stratum: str
    spelt: tuple[str, ...]
    origin: Origin

    @property
    def key(self) -> str:
        return normal(self.text)


@dataclass(frozen=True, slots=True)
class TextExample:
    """A text as the numbers of the tokens that are kept, and what it should be: None where nobody knows.

    text: as it was given, for reports      all_tokens: how many it has      ngrams: of all of it, if counted
    """

    text: str
    encoded: Encoded
    gold: Any
    origin: Origin
    all_tokens: int
    ngrams: Counted | None = None

    @property
    def tokens(self) -> tuple[str, ...]:
        return self.encoded.tokens

    @property
    def length(self) -> int:
        return len(self.encoded)

    @property
    def key(self) -> str:
        return normal(self.text)

    def digest(self) -> bytes:
        return digest_of(self.encoded.digest(), self.gold)

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to read."""
        return not self.length or is_blank(self.text)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassificationConfig:
    """The task as a config describes it, before any data is read."""

    needs: ClassVar = Needs(
        "sequence_model",
        {"inputs": ("tokens", "word_pieces", "bag"), "head": ("label",), "wide": ("none", "bag")},
        {"encoder.bidirectional": True},
    )

    keeps_tokens: ClassVar = False

    text: Annotated[
        str | tuple[str, ...],
        Opt(
            "column with the text, or several, such as [title, body], that are read as one, a line break between",
            named=True,
        ),
    ] = "text"
    pair: Annotated[
        str | None,
        Opt(
            "column with a second text, such as a hypothesis beside text: premise; needs tokenizer: pretrained",
            named=True,
        ),
    ] = None
    label: Annotated[str, Opt("column with the label", named=True)] = "label"
    labels: Annotated[Literal["one", "many"], Opt("how many labels a row has; many: any number, none too")] = "one"
    separator: Annotated[str | None, Opt("between labels in one cell; only with labels: many")] = None
    tokenizer: Annotated[Section | Mapping[str, Any] | str, OneOf("how texts become tokens", TOKENIZERS)] = "words"
    ngrams: Annotated[
        Section | Mapping[str, Any] | str,
        OneOf("n-grams of a text that are counted, for model.wide or .inputs", NGRAMS),
    ] = "none"
    min_count: Annotated[int, Opt("rarer tokens are read as unknown", ge=1)] = 1
    max_vocabulary: Annotated[
        int | None, Opt("entries of the vocabulary, 4 of them special; null is no limit", ge=5)
    ] = None
    max_length: Annotated[int | None, Opt("tokens of a text that are read; null is no limit", ge=1)] = None
    keep: Annotated[Keep, Opt("which end of a longer text is read")] = "start"
    class_weights: Annotated[
        Literal["none", "balanced"] | dict[str, float],
        Opt("weight of each label in the loss; balanced: every label counts alike", gt=0),
    ] = "none"
    label_smoothing: Annotated[
        float, Opt("share of the target that is spread over all labels; only with labels: one", ge=0, lt=1)
    ] = 0.0

    calibration: Annotated[
        Literal["temperature", "none"],
        Opt("calibration of probabilities; temperature: scaled to fit dev, no answer changes (Guo et al. 2017)"),
    ] = "temperature"

    # What counts n-grams; None where the config wants none.
    counter: HashedNGrams | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        found, problems = build(self.ngrams, NGRAMS), []
        object.__setattr__(self, "counter", found if isinstance(found, HashedNGrams) else None)
        if not self.texts or len(set(self.texts)) < len(self.texts):
            problems.append(f"text: expected a column, or different ones, got {list(self.texts)}.")
        if self.pair is not None and self.pair in (*self.texts, self.label):
            problems.append(f"pair: is '{self.pair}', another column's name too; expected a column of its own.")
        if self.pair is not None and word_of(self.tokenizer) != "pretrained":
            problems.append(
                f"pair: {word_of(self.tokenizer)} know no pair; set tokenizer: pretrained, or read both columns as one "
                f"text with text: [{', '.join((*self.texts, self.pair))}]."
            )
        if self.label in self.texts:
            problems.append(f"label: is '{self.label}', the text column too; expected another column.")
        if self.keep != "start" and self.max_length is None:
            problems.append("keep: has no effect without max_length; leave it out, or set max_length.")
        if self.labels == "one" and self.separator is not None:
            problems.append("separator: has no effect with labels: one; leave it out, or set labels: many.")
        if self.labels == "many" and self.label_smoothing:
            problems.append("label_smoothing: has no effect with labels: many; leave it out.")
        if self.labels == "many" and self.class_weights == "balanced":
            problems.append("class_weights: balanced needs labels: one; give a map of label: weight, or leave it out.")
        if self.separator == "":
            problems.append("separator: is empty; expected a text that stands between labels, such as ','.")
        if problems:
            raise ConfigError(problems)

    def refuse_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Raise ConfigError for options of tokens, where only n-grams are read."""
        if inputs["name"] != "bag":
            return
        idle = {
            "tokenizer": word_of(self.tokenizer) != "words",
            "min_count": self.min_count != 1,
            "max_vocabulary": self.max_vocabulary is not None,
            "max_length": self.max_length is not None,
            "keep": self.keep != "start",
        }
        if problems := [f"{name}: has no effect with model.inputs bag; leave it out." for name in idle if idle[name]]:
            raise ConfigError(problems)

    @property
    def kind(self) -> LabelKind:
        return OneLabel() if self.labels == "one" else ManyLabels(self.separator or ",")

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns that are read as one text."""
        return (self.text,) if isinstance(self.text, str) else self.text

    @property
    def inputs(self) -> tuple[Field, ...]:
        """The columns that are read as one text; `predict TEXT` fills the first one."""
        return tuple(map(Field, (*self.texts, *self.second)))

    @property
    def second(self) -> tuple[str, ...]:
        """The column with the second text of a pair, if there is one."""
        return () if self.pair is None else (self.pair,)

    @property
    def smallest_sizes(self) -> Mapping[str, int]:
        """`model_sizes` of the smallest data there is."""
        return {"tokens": 8, "labels": 2, **self.ngram_sizes}

    @property
    def ngram_sizes(self) -> dict[str, int]:
        """How many numbers n-grams have, for a model that reads them."""
        if self.counter is None:
            return {}
        return {"ngrams": self.counter.buckets, "word_ngrams": self.counter.word_buckets}

    def ngrams_of(self, text: str) -> Counted | None:
        """The n-grams of a text, all of it; None where none are counted."""
        if self.counter is None:
            return None
        text = normal(text)
        text = text.lower() if self.counter.lowercase else text
        return self.counter.count(text, words_of(text))

    @classmethod
    def suggested(cls, rows: Sequence[Record], file: Path) -> Suggestion:
        """Options for a file, from its first rows. Raises ConfigError or DataError if its columns do not fit."""
        return suggested(rows, file)

    @classmethod
    def sized(cls, options: Options, seen: Seen) -> list[Choice]:
        """Choices by the size of the data: options of any section, with the reason for each."""
        return sized(options, seen)

    @property
    def fields(self) -> tuple[str, ...]:
        """Columns that training data must have."""
        return (*self.texts, *self.second, self.label)

    def read(self, record: Record) -> TextRow:
        """The text and the labels of a record.

        Raises DataError, with file and line, if nothing can be learned from it.
        """
        text = self.text_of(record)
        gold, spelt = self.kind.read(cell_of(record, self.label), record.origin)
        stratum = "\n".join(sorted(self.kind.names([gold])))  # in whatever order the labels stand
        return TextRow(text, gold, sys.intern(stratum), spelt, record.origin)

    def text_of(self, record: Record, *, empty: bool = False) -> str:
        """The text of a record; of a pair both, with `PAIR` between. empty: they may be blank"""
        text = _text(record, self.texts, empty=empty)
        if self.pair is None:
            return text
        other = _cell(record, self.pair, empty=empty)
        return PAIR.join(part.replace(PAIR, " ") for part in (text, other))

    def fit(self, records: Sequence[Record], source: str) -> Classification:
        """The task from training records, as `fit_examples`."""
        return self.fit_examples([self.read(record) for record in records], source)[0]

    @property
    def row_codec(self) -> Fields[TextRow]:
        return Fields(TextRow)

    def fit_examples(
        self, rows: Collection[TextRow], source: str, means: Means = IN_MEMORY
    ) -> tuple[Classification, Iterator[TextExample]]:
        """Tokenizer, vocabulary and labels from training rows, and these as examples: each text is tokenized once.

        Raises DataError if there is nothing to learn.
        """
        seen = _Seen()
        reader, texts = TextEncoder.fit(
            build(self.tokenizer, TOKENIZERS),
            rows,
            means,
            min_count=self.min_count,
            max_vocabulary=self.max_vocabulary,
            max_length=self.max_length,
            keep=self.keep,
            see=seen.see,
        )
        labels = label_set(self.kind, seen.golds, source)
        weights = class_weights(self, labels, seen.golds)
        task = Classification(self, reader, labels, weights, spellings(seen.spelt))
        return task, (_example(self, row, *text) for row, text in zip(means.encoding(rows), texts, strict=True))

    def restore(self, data: Mapping[str, Any], origin: str) -> Classification:
        """The task as a run folder holds it. Raises RunError that names `origin`."""
        try:
            reader, (labels, weights, temperature) = data["reader"], labels_from_json(data)
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise RunError(f"{origin}: expected the labels of a classification: {str(error)[:300]}.") from error
        return Classification(self, TextEncoder.from_json(reader, origin), labels, weights, temperature=temperature)


class _Seen:
    """What training rows have for labels, counted while their texts are cut. spelt: each spelling once, in order"""

    def __init__(self) -> None:
        self.golds: Counter[Any] = Counter()
        self.spelt: dict[str, None] = {}

    def see(self, row: TextRow) -> None:
        self.golds[row.gold] += 1
        self.spelt.update(dict.fromkeys(row.spelt))


class Classification(LabelTask):
    """Five verbs between the data and the model: example, collate, loss, predict, score."""

    input_key: ClassVar[str] = "text"

    def __init__(
        self,
        plan: ClassificationConfig,
        reader: TextEncoder,
        labels: tuple[str, ...],
        weights: torch.Tensor | None,
        merged: str = "",
        temperature: float = 1.0,
    ) -> None:
        super().__init__(plan, labels, weights, merged, temperature)
        self.plan = plan
        self.reader = reader

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens that the rows of a model's table stand for."""
        return self.reader.vocabulary

    @property
    def pieces(self) -> Pieces | None:
        """The word pieces that texts are cut into, if they are."""
        return self.reader.pieces

    @property
    def head_labels(self) -> tuple[str, ...]:
        """What the model's head tells apart."""
        return self.labels

    @property
    def model_sizes(self) -> Mapping[str, int]:
        """What a model has to know of the data: size of the vocabulary, number of labels."""
        return {**self.reader.sizes, "labels": len(self.labels), **self.plan.ngram_sizes}

    # -- the five verbs --------------------------------------------------------------------------------------------

    def example(self, record: Record, *, gold: bool = True) -> TextExample:
        """Read a record; without `gold` the label column may be missing, and the text may be empty.

        Raises DataError, with file and line, for a text or label that is not there.
        """
        if gold:
            row = self.plan.read(record)
            return _example(self.plan, row, *self.reader.encode(row.text))
        text = self.plan.text_of(record, empty=True)
        encoded, number = self.reader.encode(text)
        text = _shown(self.plan, text)
        return TextExample(text, encoded, None, record.origin, number, self.plan.ngrams_of(text))

    def examples(self, rows: Iterable[TextRow], means: Means = IN_MEMORY) -> Iterator[TextExample]:
        """Rows as examples, one by one; their texts are cut a block at a time."""
        return (_example(self.plan, *one) for one in self.reader.encoded(rows, means))

    @property
    def example_codec(self) -> Fields[TextExample]:
        return Fields(TextExample, encoded=way_of(self.reader.vocabulary), ngrams=_NGRAMS)

    def sampler(
        self, examples: Sequence[TextExample], *, batch_tokens: int, batch_rows: int, seed: int
    ) -> BucketSampler:
        """Those of like lengths together."""
        return BucketSampler(examples, self.collate, batch_tokens, batch_rows, seed)

    def collate(self, examples: Sequence[TextExample], indices: Sequence[int]) -> Batch:
        """Token ids (T, N), n-grams where they are counted, and, where all are known, targets: (N,) classes, or (N, C)
        zeros and ones.

        Raises DataError for a label that training never saw.
        """
        tokens, lengths = pad_arrays([e.encoded.ids for e in examples])
        counted = {} if self.plan.counter is None else pad_ngrams([e.ngrams for e in examples if e.ngrams is not None])
        return Batch({"tokens": tokens, **counted}, lengths, self.targets(examples), tuple(indices))

    def solve(self, model: torch.nn.Module, examples: Sequence[TextExample]) -> str:
        """Fit the wide part to training rows, in place; a sentence on what came of it, "" for a model without one.

        Of very many rows some are taken, evenly apart, as their n-grams are all in memory at once.
        """
        if not isinstance(model, SequenceModel):
            return ""
        step = -(-len(examples) // MOST_SOLVED)
        taken = [examples[i] for i in range(0, len(examples), step)]
        if isinstance(model.inputs, BagOfNGrams):
            fit_scale(model.inputs, [e.ngrams for e in taken if e.ngrams is not None])
        if not isinstance(model.wide, Bag):
            return ""
        targets = self.targets(taken)["labels"]

        def loss(logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            return self.kind.loss(logits, targets[rows], self.weights, self.plan.label_smoothing).total

        l2 = solve_bag(model.wide, [e.ngrams for e in taken if e.ngrams is not None], loss)
        known = int((model.wide.scale > 0).sum())
        how = "as the config says" if model.wide.l2 else "by cross-validation"
        return f"model.wide: {known:,} n-grams of {len(taken):,} training rows have weights (l2 {l2:g}, {how})."

    def mixed(
        self, wide: Sequence[Any], deep: Sequence[Any], examples: Sequence[TextExample], share: float | None = None
    ) -> Mix:
        """How much of the wide part and of the deep one fits these rows best. wide, deep: outputs of each alone"""
        return self.kind.mix([e.gold for e in examples], wide, deep, self.labels, share)

    def calibrated(self, outputs: Sequence[Any], examples: Sequence[TextExample]) -> Classification:
        """The task with the temperature that fits these outputs of its own best; itself where the config wants none."""
        if self.plan.calibration == "none":
            return self
        found = self.fitted_temperature(outputs, examples)
        return Classification(self.plan, self.reader, self.labels, self.weights, self._merged, found)

    def input_notes(self, examples: Sequence[TextExample]) -> tuple[str, ...]:
        """A way to cut the texts that does not fit them."""
        words = mean(len(e.text.split()) for e in islice(examples, LOOKED_AT))
        return (unfit("task.tokenizer", str(self.reader.tokenizer.to_json()["name"]), words),)

    # -- for predict -----------------------------------------------------------------------------------------------

    def warnings(self, outputs: Sequence[Any], examples: Sequence[TextExample]) -> tuple[str, ...]:
        """Blank texts, and those that are cut; unknown words are counted in the facts of a report."""
        return (*blank_warnings(examples), *_cut(examples))

    def answer(self, example: TextExample, output: Any) -> Label | Labels:
        """The text and its label; a blank text has none, and a note."""
        return self.kind.answer(example.text, None if example.is_blank else output)

    def predictor(self, model: torch.nn.Module) -> StreamingPredictor:
        """What reads a text piece by piece. Raises ConfigError, with all reasons, for a model that cannot."""
        return StreamingPredictor(self, model)

    def explain(self, model: torch.nn.Module, example: TextExample, device: torch.device) -> ExplanationTarget:
        """What can be seen of a model while it answers. Raises ConfigError for one without recurrent layers."""
        one_step = isinstance(model, SequenceModel) and isinstance(model.inputs, BagOfNGrams)
        return label_explained(self, model, example, ("all n-grams",) if one_step else example.tokens, device)

    # -- for reports -----------------------------------------------------------------------------------------------

    def tables(self, outputs: Sequence[Any], examples: Sequence[TextExample]) -> tuple[Table, ...]:
        """Confusion, most confused pairs, reliability; what the labels of one kind have; and the mistaken texts."""
        return (*self.label_tables(outputs, examples), mistaken(outputs, examples))

    def baselines(self, train: Sequence[TextExample], splits: Mapping[str, Sequence[TextExample]]) -> Compared:
        """What a majority vote and a bag of n-grams reach on the same rows."""
        analyzer: Literal["characters", "words"] = "characters" if self._reads_characters else "words"
        return self.kind.baselines(
            self.labels, analyzer, _texts_and_gold(train), {k: _texts_and_gold(v) for k, v in splits.items()}
        )

    def facts(self, splits: Mapping[str, Sequence[TextExample]]) -> dict[str, str | int | float]:
        """Sizes, what was cut, and what was unknown, by split."""
        found: dict[str, str | int | float] = {"labels": len(self.labels), "vocabulary": len(self.reader.vocabulary)}
        for name, examples in splits.items():
            tokens = unknown = cut = lost = 0
            for e in examples:
                tokens, unknown = tokens + e.length, unknown + e.encoded.num_unknown
                cut, lost = cut + (e.all_tokens > e.length), lost + e.all_tokens - e.length
            found[f"{name} rows"] = len(examples)
            found[f"{name} tokens"] = tokens
            found[f"{name} unknown tokens"] = f"{unknown / max(tokens, 1):.2%}"
            if cut:
                found[f"{name} texts cut"] = (
                    f"{cut} of {len(examples)}, {lost} tokens (max_length {self.plan.max_length})"
                )
        return found

    def to_json(self) -> dict[str, Any]:
        """What a run folder must hold to read and answer as in training."""
        counter = self.plan.counter
        counted = {} if counter is None else {"ngrams": counter.to_json()}
        return {"reader": self.reader.to_json(), **counted, **self.labels_json()}

    @property
    def _reads_characters(self) -> bool:
        return bool(self.reader.tokenizer.to_json()["name"] == "characters")


def _cut(examples: Sequence[TextExample]) -> tuple[str, ...]:
    """A sentence on texts of which a part is not read."""
    found = [e for e in examples if e.all_tokens > e.length]
    if not found:
        return ()
    first = found[0]
    number = f"{len(found):,} of {len(examples):,} texts {'is' if len(found) == 1 else 'are'}"
    return (
        f"{number} longer than max_length, and the rest is not read; the first: {first.origin}, {first.length:,} of "
        f"{first.all_tokens:,} tokens.",
    )


def _example(plan: ClassificationConfig, row: TextRow, encoded: Encoded, number: int) -> TextExample:
    text = _shown(plan, row.text)
    return TextExample(text, encoded, row.gold, row.origin, number, plan.ngrams_of(text))


def _shown(plan: ClassificationConfig, text: str) -> str:
    """A text as people see it: the two of a pair in two lines."""
    return text if plan.pair is None else text.replace(PAIR, "\n")


def _text(record: Record, columns: Sequence[str], *, empty: bool = False) -> str:
    """The text of a record; of several columns those that are not empty, a line break between.

    empty: it may be blank, and of several columns one at least must be there
    """
    if len(columns) == 1:
        return _cell(record, columns[0], empty=empty)
    there = [name for name in columns if name in record.fields] if empty else columns
    parts = [_cell(record, name, empty=True) for name in there or columns[:1]]
    text = "\n".join(part for part in parts if not is_blank(part))
    if not empty and not text:
        shown = ", ".join(f"'{name}'" for name in columns)
        raise DataError(
            f"{record.origin}: columns {shown} are all empty, expected text. Fill one in, or set data.on_error: skip."
        )
    return text


def _cell(record: Record, column: str, *, empty: bool) -> str:
    value = cell_of(record, column)
    if not isinstance(value, str):
        raise DataError(f"{record.origin}: column '{column}' holds {as_written(value)}, expected text.")
    if not empty and (wrong := emptiness(value)):
        raise DataError(
            f"{record.origin}: column '{column}' {wrong}, expected text. Fill it in, or set data.on_error: skip."
        )
    return value


def _texts_and_gold(examples: Iterable[TextExample]) -> tuple[list[str], list[Any]]:
    rows = list(examples)
    return [normal(e.text) for e in rows], [e.gold for e in rows]
