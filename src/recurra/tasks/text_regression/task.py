"""Regression of texts: five verbs between the data and the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from recurra.base.answers import AnswerKind, Numbers
from recurra.base.contracts import Batch, Loss, Prediction, Record, Score, Table
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.scaling import Scaler
from recurra.data.tokenizers import Pieces, Vocabulary
from recurra.losses import fixed_sum
from recurra.metrics import Compared
from recurra.metrics.regression import regression_scores
from recurra.metrics.spearman import pearson, spearman
from recurra.tasks.blank import NOTE, blank_warnings
from recurra.tasks.bucketing import BucketSampler
from recurra.tasks.encoder_attention import attention_maps, attention_table, attention_weights
from recurra.tasks.explanation import ExplanationTarget, answer_of, copies_of, entry_of
from recurra.tasks.text import TextEncoder, cut_note, pad_arrays
from recurra.tasks.text_regression.baselines import compared
from recurra.tasks.text_regression.rows import ScoredCodec, ScoredExample, ScoredRow
from recurra.tasks.two_texts import encoded_pair

if TYPE_CHECKING:
    from recurra.tasks.text_regression.config import TextRegressionConfig

WORST = 20
# Characters of a text that a table shows.
SHOWN = 300


class TextRegression:
    """Between texts, the model and the scores. An output is the number, in the units of the data.

    scaler: of the numbers, by training rows alone
    """

    answer_kind: ClassVar[AnswerKind] = "numbers"
    input_key: ClassVar[str] = ""
    loss_unit: ClassVar[str] = "squared error in scaled units"

    def __init__(self, plan: TextRegressionConfig, reader: TextEncoder, scaler: Scaler) -> None:
        self.plan, self.reader, self.scaler = plan, reader, scaler

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
        """What the model's head says."""
        return (self.plan.target,)

    @property
    def model_sizes(self) -> Mapping[str, int]:
        """What a model has to know of the data: size of the vocabulary, and that there is one number."""
        return {**self.reader.sizes, "targets": 1}

    # -- the five verbs --------------------------------------------------------------------------------------------

    def example(self, record: Record, *, gold: bool = True) -> ScoredExample:
        """Read a record; without `gold` the number may be missing, and texts may be empty.

        Raises DataError, with file and line, for a text or a number that is not there.
        """
        return self._example(self.plan.read(record) if gold else self.plan.columns.unscored(record))

    def examples(self, rows: Iterable[ScoredRow], means: Means = IN_MEMORY) -> Iterator[ScoredExample]:
        """Rows as examples, one by one."""
        return map(self._example, rows)

    def _example(self, row: ScoredRow) -> ScoredExample:
        if row.second is None:
            return ScoredExample(row, *self.reader.encode(row.first))
        return ScoredExample(row, *encoded_pair(self.reader, row.first, row.second))

    @property
    def example_codec(self) -> ScoredCodec:
        return ScoredCodec(self.vocabulary)

    def sampler(
        self, examples: Sequence[ScoredExample], *, batch_tokens: int, batch_rows: int, seed: int
    ) -> BucketSampler:
        """Those of like lengths together."""
        return BucketSampler(examples, self.collate, batch_tokens, batch_rows, seed)

    def collate(self, examples: Sequence[ScoredExample], indices: Sequence[int]) -> Batch:
        """tokens (T, N); targets numbers (N, 1), in deviations of the training rows, where all are known."""
        tokens, lengths = pad_arrays([e.encoded.ids for e in examples])
        known = [[e.gold] for e in examples if e.gold is not None]
        targets = {}
        if examples and len(known) == len(examples):
            targets = {"numbers": torch.from_numpy(self.scaler(np.array(known)).astype(np.float32))}
        return Batch({"tokens": tokens}, lengths, targets, tuple(indices))

    def loss(self, prediction: Prediction, batch: Batch) -> Loss:
        """The squared error of each number, in deviations of the training rows."""
        errors = (prediction.outputs["numbers"] - batch.targets["numbers"]) ** 2
        return Loss(fixed_sum(errors), len(errors))

    def predict(self, model: torch.nn.Module, batch: Batch, examples: Sequence[ScoredExample]) -> list[float]:
        """The number of each row, in the units of the data; the model is in eval mode."""
        said = model(batch).outputs["numbers"].detach().double().cpu().numpy()[:, 0]
        return [float(one) for one in said * self.scaler.scale[0] + self.scaler.shift[0]]

    def score(self, outputs: Sequence[float], examples: Sequence[ScoredExample], split: str) -> tuple[Score, ...]:
        """Correlations of Pearson and of Spearman, mean errors, R2."""
        return self.scores_of([e.gold or 0.0 for e in examples], outputs, split)

    def scores_of(self, truth: Sequence[float], said: Sequence[float], split: str) -> tuple[Score, ...]:
        """The same of numbers. A correlation with what is always the same is 0."""
        each = (("pearson", pearson(truth, said)), ("spearman", spearman(truth, said)))
        known = [Score(name, 0.0 if value != value else value, "", "higher", split) for name, value in each]
        one, other = (np.array(row, np.float64).reshape(-1, 1) for row in (truth, said))
        return (*known, *regression_scores(one, other, (self.plan.target,), split=split))

    def filter(self, examples: Sequence[ScoredExample], split: str) -> tuple[Sequence[ScoredExample], tuple[str, ...]]:
        """All of them, with what was cut, and a number that never changes."""
        cut = self._cut(examples, f"{split}: ")
        same = f"train: the same number to predict in every row: {self.plan.target}."
        constant = (same,) if split == "train" and _alike(e.gold for e in examples) else ()
        return examples, (*constant, *cut)

    def _cut(self, examples: Sequence[ScoredExample], where: str = "") -> tuple[str, ...]:
        return cut_note(examples, self.reader.max_length, "rows", where)

    # -- for predict -----------------------------------------------------------------------------------------------

    def warnings(self, outputs: Sequence[float], examples: Sequence[ScoredExample]) -> tuple[str, ...]:
        """Blank texts, and those that are cut."""
        return (*blank_warnings(examples), *self._cut(examples))

    def answer(self, example: ScoredExample, output: float) -> Numbers:
        """The number of a row; a blank text has none, and a note. steps: tokens that were read"""
        if example.is_blank:
            return Numbers({}, 0, NOTE)
        return Numbers({self.plan.target: output}, example.length)

    def explain(self, model: torch.nn.Module, example: ScoredExample, device: torch.device) -> ExplanationTarget:
        """The number, in the units of the data, and what each token adds to it."""
        output: float = answer_of(self, model, example, device)
        unknown = replace(example, row=replace(example.row, gold=None))
        weights = attention_weights(model, self.collate([unknown], [0]).to(device))
        shift, scale = float(self.scaler.shift[0]), float(self.scaler.scale[0])
        tokens = example.encoded.tokens
        return ExplanationTarget(
            self.answer(example, output).to_dict(),
            tokens,
            entry_of(model),
            {"encoder": tokens},
            copies_of(self, unknown, device),
            lambda prediction, batch: (prediction.outputs["numbers"].double()[:, 0] * scale + shift).sum(),
            f"the prediction of {self.plan.target}",
            tuple(attention_maps(weights, tokens, slice(None))),
            attention_table(weights),
        )

    # -- for reports -----------------------------------------------------------------------------------------------

    def tables(self, outputs: Sequence[float], examples: Sequence[ScoredExample]) -> tuple[Table, ...]:
        """The rows with the largest errors."""
        pairs = zip(outputs, examples, strict=True)
        worst = sorted(pairs, key=lambda pair: -abs(pair[0] - (pair[1].gold or 0.0)))[:WORST]
        rows = tuple((e.row.text[:SHOWN], f"{e.gold:.5g}", f"{said:.5g}", str(e.origin)) for said, e in worst)
        return (Table("The worst rows", ("text", "true", "predicted", "place"), rows),)

    def baselines(self, train: Sequence[ScoredExample], splits: Mapping[str, Sequence[ScoredExample]]) -> Compared:
        """What the mean of training, and a line through how many words there are or are shared, reach."""
        return compared(self, train, splits)

    def facts(self, splits: Mapping[str, Sequence[ScoredExample]]) -> dict[str, str | int | float]:
        """Sizes by split, and the mean of the number in training."""
        found: dict[str, str | int | float] = {"vocabulary": len(self.vocabulary)}
        found["mean of training"] = float(self.scaler.shift[0])
        for name, examples in splits.items():
            found |= {f"{name} rows": len(examples), f"{name} tokens": sum(e.length for e in examples)}
        return found

    @property
    def usual_score(self) -> str:
        """The score that chooses the best epoch unless the config names another."""
        return "pearson"

    def possible_scores(self, examples: Sequence[ScoredExample]) -> tuple[Score, ...]:
        """The scores that these rows can have, with those of the mean of the training rows."""
        return self.score([float(self.scaler.shift[0])] * len(examples), examples, "dev")

    def perfect(self, examples: Sequence[ScoredExample]) -> list[float]:
        """What a model would say that is right."""
        return [e.gold or 0.0 for e in examples]

    def doubts(self, examples: Sequence[ScoredExample], short: Sequence[Score]) -> tuple[str, ...]:
        """A number that never changes has no correlation."""
        same = len({e.gold for e in examples}) == 1
        return ("the number is the same in all rows, and correlates with nothing.",) if same and short else ()

    def to_json(self) -> dict[str, Any]:
        """What a run folder must hold to read and answer as in training."""
        return {"reader": self.reader.to_json(), "target": self.scaler.to_json()}


def _alike(values: Iterable[Any]) -> bool:
    """Whether all are the same; of none, no."""
    some = iter(values)
    first = next(some, None)
    return first is not None and all(one == first for one in some)
