"""Word vectors: from texts to a vector for each word."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.base.answers import AnswerKind, Numbers
from recurra.base.contracts import Batch, Loss, Prediction, Record, Score, Table
from recurra.base.errors import DataError
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.store import Fields
from recurra.data.tokenizers import Vocabulary, way_of
from recurra.data.word_vectors import WordVectors
from recurra.metrics import Compared
from recurra.models import TwoTables
from recurra.tasks.blank import blank_warnings, is_blank
from recurra.tasks.language_model.documents import TextRow
from recurra.tasks.language_model.reading import text_of
from recurra.tasks.text import TextEncoder
from recurra.tasks.word_vectors.glove import GloveLearning, PairSampler
from recurra.tasks.word_vectors.learning import Learning, Scored
from recurra.tasks.word_vectors.tables import groups, neighbours
from recurra.tasks.word_vectors.texts import TextSampler, WordText

# Places between two texts that are scored, so that what is drawn for one is not drawn for another.
APART = 2**24


@dataclass(frozen=True, slots=True)
class TextVector:
    """What a model says of a text. vector: (D,), the mean of its words'; words: that are known

    total: of all pairs, what the learning measures
    """

    vector: NDArray[np.float32]
    total: float
    pairs: float
    words: int


class WordVectorLearning:
    """Between the texts, the two tables of vectors and the scores.

    reader: words and their numbers      learning: what a text does to the tables      text: the column
    loss_unit: of the training loss
    """

    answer_kind: ClassVar[AnswerKind] = "numbers"
    input_key: ClassVar[str] = ""

    def __init__(self, reader: TextEncoder, learning: Learning | GloveLearning, *, text: str) -> None:
        self.reader, self.learning, self.text = reader, learning, text
        self.loss_unit = learning.loss_unit

    @property
    def vocabulary(self) -> Vocabulary:
        """The words that the rows of a model's table stand for, behind the special ones."""
        return self.reader.vocabulary

    @property
    def model_sizes(self) -> Mapping[str, int]:
        """What a model has to know of the data: rows of both tables."""
        return self.learning.sizes

    # -- the verbs -------------------------------------------------------------------------------------------------

    def example(self, record: Record, *, gold: bool = True) -> WordText:
        """Read a record. Raises DataError, with file and line, for what is no text."""
        text = text_of(record, self.text, blank=True)
        return WordText(self.reader.encode(text)[0], is_blank(text), text, record.origin)

    def examples(self, rows: Iterable[TextRow], means: Means = IN_MEMORY) -> Iterator[WordText]:
        """Rows as examples, which keep their text."""
        for row, encoded, _ in self.reader.encoded(rows, means):
            yield WordText(encoded, is_blank(row.text), row.text, row.origin)

    @property
    def example_codec(self) -> Fields[WordText]:
        return Fields(WordText, encoded=way_of(self.reader.vocabulary))

    def collate(self, examples: Sequence[WordText], indices: Sequence[int]) -> Batch:
        """Lengths alone: `predict` reads texts one by one, as their words have no common step."""
        lengths = torch.tensor([example.length for example in examples], dtype=torch.int64)
        return Batch({}, lengths, {}, tuple(indices))

    def sampler(
        self, examples: Sequence[WordText], *, batch_tokens: int, batch_rows: int, seed: int
    ) -> TextSampler | PairSampler:
        """Pieces of running text in the order of the file; of GloVe, pairs of words that stand together."""
        return self.learning.sampler(examples, batch_tokens=batch_tokens, batch_rows=batch_rows, seed=seed)

    def update(self, model: torch.nn.Module, batch: Batch, rate: float) -> Loss:
        """Move both tables by a piece of text, window by window. Raises TrainingError where the loss is no number."""
        return self.learning.move(cast(TwoTables, model), batch, rate)

    def loss(self, prediction: Prediction, batch: Batch) -> Loss:
        """The loss of a piece of text by these tables; it has no gradient, as `update` moves them."""
        return self.learning.loss(prediction.outputs, batch)

    def predict(self, model: torch.nn.Module, batch: Batch, examples: Sequence[WordText]) -> list[TextVector]:
        """The mean of the vectors of each text's known words, and the loss of telling them from others."""
        tables = cast(TwoTables, model)
        scored, vectors = self.learning.scored(tables), self.learning.vectors(tables).matrix
        return [self._said(scored, vectors, e, at) for e, at in zip(examples, batch.indices, strict=True)]

    def _said(self, scored: Scored, vectors: NDArray[np.float32], example: WordText, index: int) -> TextVector:
        words = example.words
        total, pairs = self.learning.told(scored, words, index * APART)
        vector = vectors[words].mean(0, dtype=np.float64) if len(words) else np.zeros(vectors.shape[1])
        return TextVector(vector.astype(np.float32), total, pairs, len(words))

    def score(self, outputs: Sequence[TextVector], examples: Sequence[WordText], split: str) -> tuple[Score, ...]:
        """Nats of a pair, of the right word and its negative samples; of GloVe, how often it is preferred to one."""
        pairs = math.fsum(said.pairs for said in outputs)
        return self._scores(math.fsum(said.total for said in outputs) / (pairs or 1), split)

    def filter(self, examples: Sequence[WordText], split: str) -> tuple[Sequence[WordText], tuple[str, ...]]:
        """All of them. Raises DataError if no text has two known words: there is no pair."""
        if not any(len(example.words) > 1 for example in examples):
            raise DataError(
                f"{split}: no text has two words that were seen often enough; expected more text, or a lower "
                "task.min_count."
            )
        return examples, ()

    # -- for predict -----------------------------------------------------------------------------------------------

    def warnings(self, outputs: Sequence[TextVector], examples: Sequence[WordText]) -> tuple[str, ...]:
        """Blank texts, and texts without a known word."""
        blank = blank_warnings(examples, ", and {have} zeros as vector")
        lost = [e for e, said in zip(examples, outputs, strict=True) if not said.words and not e.is_blank]
        if not lost:
            return blank
        hold = "holds" if len(lost) == 1 else "hold"
        return (
            *blank,
            f"{len(lost)} of {len(examples)} texts {hold} no word that has a vector, and their vector is zero; the "
            f"first: {lost[0].origin}.",
        )

    def answer(self, example: WordText, output: TextVector) -> Numbers:
        """The vector of a text, number by number. steps: its words that have one"""
        named = {f"v{k}": float(number) for k, number in enumerate(output.vector, start=1)}
        return Numbers(named, output.words, None if output.words else "no word with a vector")

    def vectors_of(self, model: torch.nn.Module) -> WordVectors:
        """The vectors of all words, the most frequent first."""
        return self.learning.vectors(cast(TwoTables, model))

    # -- for reports -----------------------------------------------------------------------------------------------

    def tables(self, outputs: Sequence[TextVector], examples: Sequence[WordText]) -> tuple[Table, ...]:
        """None: what there is to see is in the vectors (`samples`)."""
        return ()

    def samples(self, model: torch.nn.Module, device: torch.device) -> tuple[Table, ...]:
        """Frequent words with their neighbours, and in groups."""
        vectors = self.vectors_of(model)
        return neighbours(vectors), groups(vectors)

    def baselines(self, train: Sequence[WordText], splits: Mapping[str, Sequence[WordText]]) -> Compared:
        """What it reaches not to look at the words around: one answer for all words, or how frequent each is."""
        found = [score for split in splits for score in self._scores(self.learning.without_context, split)]
        return Compared({"without context": tuple(found)}, ())

    def facts(self, splits: Mapping[str, Sequence[WordText]]) -> dict[str, str | int | float]:
        """Sizes, and what was left out, by split."""
        found: dict[str, str | int | float] = {"vocabulary": len(self.learning.counts)}
        for name, examples in splits.items():
            texts = words = rare = 0
            for e in examples:
                texts, words, rare = texts + 1, words + len(e.encoded), rare + e.encoded.num_unknown
            found |= {f"{name} texts": texts, f"{name} words": words}
            found[f"{name} words without a vector"] = f"{rare / max(words, 1):.2%}"
        return found

    @property
    def usual_score(self) -> str:
        """The score that chooses the best epoch unless the config names another."""
        return self.learning.measure.name

    def possible_scores(self, examples: Sequence[WordText]) -> tuple[Score, ...]:
        """The scores that these rows can have, with the values of vectors of zeros."""
        return self._scores(self.learning.untrained, "dev")

    def _scores(self, value: float, split: str) -> tuple[Score, ...]:
        name, unit, better = self.learning.measure
        return (Score(name, value, unit, better, split),)

    def to_json(self) -> dict[str, Any]:
        """What a run folder must hold to read as in training."""
        return {"reader": self.reader.to_json(), "counts": self.learning.counts.tolist()}
