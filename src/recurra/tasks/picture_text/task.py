"""A label of a picture and a text: five verbs between the data and the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from recurra.base.answers import Label, Labels
from recurra.base.contracts import Batch, Record, Table
from recurra.data.pictures import png_of
from recurra.data.preparing import IN_MEMORY, Means
from recurra.metrics import Compared
from recurra.tasks.blank import blank_warnings
from recurra.tasks.drawn import DrawnSampler
from recurra.tasks.explanation import ExplanationTarget
from recurra.tasks.label_task import LabelTask
from recurra.tasks.mistakes import mistaken
from recurra.tasks.picture_options import moves_of
from recurra.tasks.picture_reader import Moves, PictureReader
from recurra.tasks.picture_text.explain import explained
from recurra.tasks.picture_text.rows import PictureTextExample, PictureTextRow, read_text
from recurra.tasks.text import TextEncoder, pad_arrays

if TYPE_CHECKING:
    from recurra.tasks.picture_text.config import PictureTextConfig


class PictureTextClassification(LabelTask):
    """Example, collate, loss, predict, score; an output is a `LabelOutput`."""

    input_key: ClassVar[str] = "text"
    decodes: ClassVar[bool] = True

    def __init__(
        self,
        plan: PictureTextConfig,
        reader: PictureReader,
        words: TextEncoder,
        labels: tuple[str, ...],
        weights: torch.Tensor | None,
        merged: str = "",
        temperature: float = 1.0,
    ) -> None:
        super().__init__(plan, labels, weights, merged, temperature)
        self.plan, self.reader, self.words = plan, reader, words

    @property
    def head_labels(self) -> tuple[str, ...]:
        """What the model's head tells apart."""
        return self.labels

    @property
    def model_sizes(self) -> Mapping[str, int]:
        """What a model has to know of the data: a picture's sides, the vocabulary, and how many labels there are."""
        return {**self.reader.sizes, **self.words.sizes, "labels": len(self.labels)}

    @property
    def trial_fields(self) -> Mapping[str, Any]:
        """A white picture, or features of zeros, and a word."""
        picture: Any = png_of(np.full((8, 8, 3), 255, np.uint8))
        shown = [[0.0] * self.reader.width] if self.reader.size is None else picture
        return {self.plan.image: shown, self.plan.text: "a"}

    # -- the five verbs --------------------------------------------------------------------------------------------

    def example(self, record: Record, *, gold: bool = True) -> PictureTextExample:
        """Read a record; without `gold` the label may be missing, and the text blank.

        Raises DataError, with file and line, for what is no picture, no text or no label.
        """
        if gold:
            return self._example(self.plan.read(record))
        text = read_text(record, self.plan.text, empty=True)
        return self._example(PictureTextRow(self.reader.read(record), text, None, ()))

    def examples(self, rows: Iterable[PictureTextRow], means: Means = IN_MEMORY) -> Iterator[PictureTextExample]:
        """Rows as examples, one by one."""
        return map(self._example, rows)

    def _example(self, row: PictureTextRow) -> PictureTextExample:
        return PictureTextExample(row.shown, row.text, self.words.encode(row.text)[0], row.gold)

    def sampler(
        self, examples: Sequence[PictureTextExample], *, batch_tokens: int, batch_rows: int, seed: int
    ) -> DrawnSampler:
        """Those of like lengths together; each epoch draws how a picture is moved."""
        return DrawnSampler(examples, self.drawn, batch_tokens, batch_rows, seed)

    def drawn(self, examples: Sequence[PictureTextExample], indices: Sequence[int], seed: int, epoch: int) -> Batch:
        """A batch of training: pictures moved, by (seed, epoch, picture)."""
        return self._batch(examples, indices, (moves_of(self.plan), seed, epoch))

    def collate(self, examples: Sequence[PictureTextExample], indices: Sequence[int]) -> Batch:
        """Pixels (N, H, W, C), or features (T, N, F), tokens (S, N) with their text_lengths (N,); and, where all are
        known, labels (N,). Raises DataError for a label that training never saw."""
        return self._batch(examples, indices, None)

    def _batch(
        self, examples: Sequence[PictureTextExample], indices: Sequence[int], draw: tuple[Moves, int, int] | None
    ) -> Batch:
        inputs, lengths = self.reader.inputs([e.shown for e in examples], draw)
        tokens, text_lengths = pad_arrays([e.encoded.ids for e in examples])
        inputs |= {"tokens": tokens, "text_lengths": text_lengths}
        return Batch(inputs, lengths, self.targets(examples), tuple(indices))

    def calibrated(self, outputs: Sequence[Any], examples: Sequence[PictureTextExample]) -> PictureTextClassification:
        """The task with the temperature that fits these outputs best; itself where the config wants none."""
        if self.plan.calibration == "none":
            return self
        found, parts = self.fitted_temperature(outputs, examples), (self.reader, self.words, self.labels, self.weights)
        return PictureTextClassification(self.plan, *parts, self._merged, found)

    # -- around them -----------------------------------------------------------------------------------------------

    def warnings(self, outputs: Sequence[Any], examples: Sequence[PictureTextExample]) -> tuple[str, ...]:
        """Blank texts."""
        return blank_warnings(examples)

    def answer(self, example: PictureTextExample, output: Any) -> Label | Labels:
        """The text and the label of it with its picture; a blank text has none, and a note."""
        return self.kind.answer(example.text, None if example.is_blank else output)

    def explain(self, model: torch.nn.Module, example: PictureTextExample, device: torch.device) -> ExplanationTarget:
        """What can be seen of a model while it answers: what words add, and what the label loses without a square."""
        return explained(self, model, example, device)

    def tables(self, outputs: Sequence[Any], examples: Sequence[PictureTextExample]) -> tuple[Table, ...]:
        """Confusion, most confused pairs, reliability; and the mistaken texts."""
        return (*self.label_tables(outputs, examples), mistaken(outputs, examples))

    def baselines(
        self, train: Sequence[PictureTextExample], splits: Mapping[str, Sequence[PictureTextExample]]
    ) -> Compared:
        """What a majority vote and words of the text alone reach: a model that is not above them sees no picture."""

        def pairs(examples: Sequence[PictureTextExample]) -> tuple[list[str], list[Any]]:
            return [e.text for e in examples], [e.gold for e in examples]

        found = {name: pairs(examples) for name, examples in splits.items()}
        return self.kind.baselines(self.labels, "words", pairs(train), found)

    def facts(self, splits: Mapping[str, Sequence[PictureTextExample]]) -> dict[str, str | int | float]:
        """Rows, different pictures and words."""
        found: dict[str, str | int | float] = {"labels": len(self.labels), "vocabulary": len(self.words.vocabulary)}
        for name, examples in splits.items():
            tokens = max(sum(len(e.encoded) for e in examples), 1)
            found[f"{name} rows"] = len(examples)
            found[f"{name} pictures"] = len({e.shown.digest for e in examples})
            found[f"{name} unknown tokens"] = f"{sum(e.encoded.num_unknown for e in examples) / tokens:.2%}"
        return found

    def to_json(self) -> dict[str, Any]:
        """What a run folder must hold to read and answer as in training."""
        return {"words": self.words.to_json(), "width": self.reader.width, **self.labels_json()}
