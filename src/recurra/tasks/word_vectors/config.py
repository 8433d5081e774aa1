"""What a config says of word vectors, before any text is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.base.option import OneOf, Opt
from recurra.config import Section, build
from recurra.data.fields import Field
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.splits import OrderedSplit
from recurra.data.store import Fields
from recurra.data.tokenizers import TOKENIZERS, Corpus, Cutter, VocabularyPlan
from recurra.data.tokenizers.vocabulary import SPECIALS
from recurra.data.word_vectors import NGrams
from recurra.tasks.contract import Needs, Suggestion
from recurra.tasks.language_model.columns import text_column
from recurra.tasks.language_model.documents import TextRow
from recurra.tasks.language_model.reading import text_of
from recurra.tasks.language_model.tearing import torn
from recurra.tasks.sizing import Choice, Options, Seen
from recurra.tasks.text import TextEncoder
from recurra.tasks.word_vectors.glove import Counting, GloveLearning
from recurra.tasks.word_vectors.learning import Learning, Recipe
from recurra.tasks.word_vectors.sizing import sized
from recurra.tasks.word_vectors.task import WordVectorLearning
from recurra.tasks.word_vectors.texts import WordText

# Samples of a word, for texts that are not large (Mikolov et al. 2013, section 2.2: 5 to 20).
NEGATIVES = 5
# Of the section training: what the native training has in their place.
WITHOUT_EFFECT = {"accumulate": 1, "l1": 0.0, "l2": 0.0, "rate_decay": 1.0, "gradual_unfreezing": False,
                  "init_from": None, "init_vectors": None}  # fmt: skip
# What `init` is asked for, and the method that it means.
NAMES = {"glove": "glove", "fasttext": "subwords", "cbow": "cbow", "skip_gram": "skip_gram", "skipgram": "skip_gram"}
# Options of some methods or objectives alone.
OF_SAMPLES = ("negatives", "power")
OF_WINDOWS = ("dynamic_window", "sample", "sample_formula")
OF_COUNTS = ("x_max", "alpha", "symmetric", "distance_weighting", "count_memory")
OF_NGRAMS = ("min_ngram", "max_ngram", "buckets")


@dataclass(frozen=True, kw_only=True, slots=True)
class WordVectorsConfig:
    """A vector for each word, from the words around it."""

    needs: ClassVar = Needs(
        "word_vectors",
        {},
        training={
            "epochs": 5,
            "batch_rows": 10_000,
            "optimizer": "sgd",
            "optimizer.lr": 0.025,
            "schedule": "linear",
            "schedule.warmup": 0.0,
            "schedule.floor": 0.004,
            "clipping": "none",
            "patience": None,
        },
    )

    text: Annotated[str, Opt("column with the text; of a text file `text`", named=True)] = "text"
    tokenizer: Annotated[Section | Mapping[str, Any] | str, OneOf("how texts become words", TOKENIZERS)] = "words"
    min_count: Annotated[int, Opt("rarer words have no vector, and are left out of the text", ge=1)] = 5
    max_vocabulary: Annotated[int | None, Opt("words at most, the most frequent ones; null is no limit", ge=1)] = None
    method: Annotated[
        Literal["skip_gram", "cbow", "subwords", "glove"],
        Opt(
            "skip_gram: a word is told by each word around it; cbow: by their mean; subwords: as skip_gram, and a word "
            "is the mean of itself and its character n-grams; glove: by how often words stand together"
        ),
    ] = "skip_gram"
    objective: Annotated[
        Literal["negative_sampling", "hierarchical_softmax"],
        Opt("what it is told from: words that are drawn, or, at each node of a Huffman tree, the other side"),
    ] = "negative_sampling"
    window: Annotated[int, Opt("words on each side at most", ge=1, le=64)] = 5
    dynamic_window: Annotated[
        bool, Opt("each window has 1 to `window` words on each side, by even chances; false: all have `window`")
    ] = True
    negatives: Annotated[
        int | None, Opt("negative samples, which the words of a window share; null: 5", ge=1, le=63)
    ] = None
    sample: Annotated[
        float, Opt("sub-sampling: words with a larger share of the text are left out now and then; 0: none", ge=0, lt=1)
    ] = 1e-3
    sample_formula: Annotated[
        Literal["code", "paper"],
        Opt("how often a word of share f stays; code: sqrt(t/f) + t/f, as word2vec's program; paper: sqrt(t/f)"),
    ] = "code"
    power: Annotated[float, Opt("negative samples are drawn by counts to this power", ge=0, le=1)] = 0.75
    min_ngram: Annotated[int, Opt("of subwords: letters of the shortest n-grams", ge=1, le=20)] = 3
    max_ngram: Annotated[int, Opt("of subwords: letters of the longest n-grams", ge=1, le=20)] = 6
    buckets: Annotated[
        int, Opt("of subwords: vectors that all n-grams share, by their hash; fastText: 2,000,000", ge=1, le=2**30)
    ] = 200_000
    x_max: Annotated[float, Opt("of glove: counts from here on have the full weight", gt=0)] = 100.0
    alpha: Annotated[float, Opt("of glove: smaller counts x have the weight (x / x_max)^alpha", ge=0, le=1)] = 0.75
    symmetric: Annotated[bool, Opt("of glove: words on both sides are counted; false: on the left alone")] = True
    distance_weighting: Annotated[bool, Opt("of glove: a word d words away counts as 1/d; false: as 1")] = True
    count_memory: Annotated[
        int, Opt("of glove: MiB for counts; more of them go to files, and the result is the same", ge=1, le=2**20)
    ] = 512

    def __post_init__(self) -> None:
        usual = {field.name: field.default for field in dataclass_fields(self)}
        problems = [
            f"{name}: has no effect with {reason}; leave it out."
            for names, reason in self._without_effect
            for name in names
            if getattr(self, name) != usual[name]
        ]
        if self.min_ngram > self.max_ngram:
            problems += [f"min_ngram: expected at most max_ngram, {self.max_ngram}, got {self.min_ngram}."]
        if problems:
            raise ConfigError(problems)

    @property
    def _without_effect(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """Options that the others leave nothing to do for, and why."""
        if self.method == "glove":
            yield ("objective", *OF_WINDOWS, *OF_SAMPLES), "method: glove, which goes over counts, not over texts"
        else:
            yield OF_COUNTS, f"method: {self.method}, which counts no pairs"
            if self.objective == "hierarchical_softmax":
                yield OF_SAMPLES, "objective: hierarchical_softmax, which draws no samples"
        if self.method != "subwords":
            yield OF_NGRAMS, f"method: {self.method}, in which a word is one vector"

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
        """The end of the file is dev, or any rows are."""
        return ("ordered", "random", "hash")

    @property
    def smallest_sizes(self) -> Mapping[str, int]:
        """`model_sizes` of the smallest data there is."""
        buckets = self.buckets if self.method == "subwords" else 0
        return {"words": 1 + buckets, "outputs": 1, "adagrad": int(self.method == "glove")}

    @classmethod
    def suggested(cls, rows: Sequence[Record], file: Path) -> Suggestion:
        """Options for a file, from its first rows. Raises DataError if no column holds text."""
        text, why = text_column(rows, file)
        split = {"name": "ordered", "dev": 0.02, "test": 0.0}
        options = {"text": text, "tokenizer": {"name": "words", "lowercase": True}}
        return Suggestion(options, {"split": split}, (f"text: column '{text}', {why}.",))

    @classmethod
    def called(cls, name: str) -> Mapping[str, Any]:
        """The method that a name of the task asks for."""
        method = NAMES.get(name.strip().lower())
        return {} if method is None else {"method": method}

    @classmethod
    def sized(cls, options: Options, seen: Seen) -> list[Choice]:
        """Choices by the size of the data: options of any section, with the reason for each."""
        return sized(options, seen)

    def refuse_training(self, training: Mapping[str, Any]) -> None:
        """Raises ConfigError for what the native training does not have."""
        problems = [
            f"{name}: has no effect on word vectors, which the engine moves word by word; leave it out."
            for name, usual in WITHOUT_EFFECT.items()
            if training[name] != usual
        ]
        optimizer = training["optimizer"]
        if optimizer["name"] != "sgd" or optimizer["momentum"] or optimizer["weight_decay"]:
            problems += ["optimizer: word vectors are moved by plain sgd; expected sgd with its lr alone."]
        if training["clipping"]["name"] != "none":
            problems += ["clipping: has no effect on word vectors, which have no gradient as a whole; expected none."]
        if problems:
            raise ConfigError(problems)

    def read(self, record: Record) -> TextRow:
        """The text of a record. Raises DataError, with file and line, for what is no text."""
        return TextRow(text_of(record, self.text, blank=True), record.origin)

    def torn(self, rows: Sequence[TextRow], rule: OrderedSplit) -> list[TextRow]:
        """Rows of which one is cut where train or dev ends: for a text of so few lines that a split has none."""
        return torn(rows, rule)

    def fit(self, records: Sequence[Record], source: str) -> WordVectorLearning:
        """The task from training records, as `fit_examples`."""
        return self.fit_examples([self.read(record) for record in records], source)[0]

    @property
    def row_codec(self) -> Fields[TextRow]:
        return Fields(TextRow)

    def fit_examples(
        self, rows: Collection[TextRow], source: str, means: Means = IN_MEMORY
    ) -> tuple[WordVectorLearning, Iterator[WordText]]:
        """Words with their counts from training rows, and these as examples: each text is cut once.

        Raises DataError if there is nothing to learn.
        """
        tokenizer = build(self.tokenizer, TOKENIZERS).train(row.text for row in rows)
        corpus = Corpus(means.keeping.numbers)
        for _, block in means.blocks(
            Cutter(tokenizer), means.watched("cutting", rows, len(rows)), _text, corpus.places
        ):
            corpus.add(block)
        counts = corpus.counts()
        if not counts:
            raise DataError(f"{source}: all {len(rows):,} training rows are blank; expected text.")
        if self.objective == "hierarchical_softmax" and sum(n >= self.min_count for n in counts.values()) < 2:
            raise DataError(f"{source}: a tree needs two words that were seen {self.min_count} times; got fewer.")
        most = None if self.max_vocabulary is None else self.max_vocabulary + len(SPECIALS)
        vocabulary = VocabularyPlan(min_count=self.min_count, max_size=most).build(counts)
        seen = np.array([counts[word] for word in vocabulary.tokens(range(len(SPECIALS), len(vocabulary)))], np.int64)
        task = self._task(TextEncoder(tokenizer, vocabulary, None, "start"), seen)
        both = zip(means.encoding(rows), corpus.encoded(vocabulary), strict=True)
        return task, (WordText(encoded, False, "", row.origin) for row, encoded in both)

    def restore(self, data: Mapping[str, Any], origin: str) -> WordVectorLearning:
        """The task as a run folder holds it. Raises RunError that names `origin`."""
        if not isinstance(data, Mapping) or not {"reader", "counts"} <= data.keys():
            raise RunError(f"{origin}: expected the words of word vectors, with their counts.")
        reader, counts = TextEncoder.from_json(data["reader"], origin), data["counts"]
        size = len(reader.vocabulary) - len(SPECIALS)
        if not (
            isinstance(counts, list) and len(counts) == size and all(type(n) is int and 0 < n < 2**62 for n in counts)
        ):
            raise RunError(f"{origin}: expected counts of {size:,} words, each a whole number from 1.")
        return self._task(reader, np.array(counts, np.int64))

    def _task(self, reader: TextEncoder, counts: Any) -> WordVectorLearning:
        names = reader.vocabulary.tokens(range(len(SPECIALS), len(reader.vocabulary)))
        learning = self._glove(names, counts) if self.method == "glove" else self._windows(names, counts)
        return WordVectorLearning(reader, learning, text=self.text)

    def _glove(self, names: Sequence[str], counts: Any) -> GloveLearning:
        counting = Counting(
            window=self.window,
            symmetric=self.symmetric,
            weighted=self.distance_weighting,
            x_max=self.x_max,
            alpha=self.alpha,
            memory=self.count_memory,
        )
        return GloveLearning(counting, names, counts)

    def _windows(self, names: Sequence[str], counts: Any) -> Learning:
        recipe = Recipe(
            cbow=self.method == "cbow",
            tree=self.objective == "hierarchical_softmax",
            window=self.window,
            dynamic=self.dynamic_window,
            negatives=NEGATIVES if self.negatives is None else self.negatives,
            sample=self.sample,
            sample_formula=self.sample_formula,
            power=self.power,
        )
        ngrams = NGrams(self.buckets, self.min_ngram, self.max_ngram) if self.method == "subwords" else None
        return Learning(recipe, names, counts, ngrams)


def _text(row: TextRow) -> str:
    return row.text
