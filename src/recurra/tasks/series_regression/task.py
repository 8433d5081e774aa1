"""Regression of series: numbers, step by step or as one vector, to numbers in the units of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.base.answers import AnswerKind, Numbers
from recurra.base.contracts import Batch, Loss, Prediction, Score, Table
from recurra.data.scaling import Scaler
from recurra.losses import fixed_sum
from recurra.losses.forecasts import KINDS, Gaussian, Kind, point_of
from recurra.metrics import Compared
from recurra.metrics.regression import BOX, regression_scores
from recurra.report import Chart
from recurra.tasks.explanation import ExplanationTarget
from recurra.tasks.series_reader import SeriesReader
from recurra.tasks.series_regression.baselines import compared
from recurra.tasks.series_regression.explain import explained
from recurra.tasks.series_regression.tables import regression_charts, regression_tables
from recurra.tasks.series_task import NOTE, AnyExample, SeriesTask

if TYPE_CHECKING:
    from recurra.tasks.series_regression.config import SeriesRegressionConfig

Floats = NDArray[np.float64]


class SeriesRegression(SeriesTask):
    """Five verbs between the data and the model: example, collate, loss, predict, score.

    scaler: of the targets (D,), by training rows alone; an output is D numbers in the units of the data, of a loss
    that has deviations these behind them (2 D,)
    """

    answer_kind: ClassVar[AnswerKind] = "numbers"

    def __init__(self, plan: SeriesRegressionConfig, reader: SeriesReader, scaler: Scaler) -> None:
        super().__init__(plan, reader)
        self.scaler = scaler
        self.kind: Kind = KINDS[plan.loss](())
        self.names = _names(plan, len(scaler.shift))

    @property
    def loss_unit(self) -> str:
        """What the loss is measured in."""
        return self.kind.unit

    @property
    def model_sizes(self) -> Mapping[str, int]:
        """What a model has to know of the data: numbers of a step, numbers to predict."""
        return {"features": self.reader.width, "targets": len(self.names) * self.kind.size}

    # -- the verbs -------------------------------------------------------------------------------------------------

    def targets(self, examples: Sequence[AnyExample]) -> dict[str, torch.Tensor]:
        """(N, D) in deviations of the training rows; nothing unless all are known."""
        if not examples or any(e.gold is None for e in examples):
            return {}
        return {"numbers": torch.from_numpy(self.scaler(self.truth(examples)).astype(np.float32))}

    def truth(self, examples: Sequence[AnyExample]) -> Floats:
        """(N, D) what examples should be, in the units of the data."""
        return np.array([e.gold for e in examples], np.float64)

    def loss(self, prediction: Prediction, batch: Batch) -> Loss:
        """What each number costs, in scaled units; every number of a row counts."""
        said, wanted = self.by_target(prediction.outputs["numbers"]), batch.targets["numbers"]
        return Loss(fixed_sum(self.kind.loss(said, wanted, wanted)), wanted.numel())

    def by_target(self, said: torch.Tensor) -> torch.Tensor:
        """(N, D, P) of the head's (N, D P): P numbers of each target."""
        return said.view(len(said), len(self.names), self.kind.size)

    def points(self, said: torch.Tensor) -> torch.Tensor:
        """(N, D) of the head's (N, D P): what is answered, in deviations of the targets."""
        return point_of(self.kind, self.by_target(said))

    def predict(self, model: torch.nn.Module, batch: Batch, examples: Sequence[Any]) -> list[Floats]:
        """(D,) for each row, in the units of the data, or (2 D,); the model is in eval mode."""
        return list(self._in_units(model(batch).outputs["numbers"]))

    def _in_units(self, said: torch.Tensor) -> Floats:
        numbers = self.by_target(said.detach().double()).cpu().numpy()
        found = self.shaped(self.kind.point(numbers) * self.scaler.scale + self.scaler.shift)
        if not isinstance(self.kind, Gaussian):
            return found
        return np.concatenate([found, self.kind.deviations(numbers) * self.scaler.scale], 1)

    def shaped(self, said: Floats) -> Floats:
        """(N, D) as answers may be: a box has no size below 0."""
        if not self.plan.boxes:
            return said
        return np.concatenate([said[:, :2], np.maximum(said[:, 2:], 0.0)], 1)

    def score(self, outputs: Sequence[Floats], examples: Sequence[AnyExample], split: str) -> tuple[Score, ...]:
        """All scores of one split, in the order of `metrics.regression`."""
        return self.scores_of(self.truth(examples), np.stack(outputs), split)

    def scores_of(self, truth: Floats, said: Floats, split: str) -> tuple[Score, ...]:
        """The scores of numbers as arrays (N, D)."""
        return regression_scores(truth, said, self.names, split=split, boxes=self.plan.boxes)

    def numbers_of(self, said: Floats) -> dict[str, float]:
        """What is said of a row, by its target."""
        return dict(zip(self.names, said[: len(self.names)].tolist(), strict=True))

    def deviations_of(self, said: Floats) -> dict[str, float] | None:
        """How far off it may be, by its target; None of a loss that does not say so."""
        return dict(zip(self.names, said[len(self.names) :].tolist(), strict=False)) or None

    def filter(self, examples: Sequence[AnyExample], split: str) -> tuple[Sequence[AnyExample], tuple[str, ...]]:
        """All of them; of training rows with what was read, and targets that never change."""
        if split != "train":
            return examples, ()
        same = [self.names[k] for k in self.scaler.constant]
        told = f"train: the same number to predict in every row: {', '.join(same)}." if same else ""
        return examples, tuple(note for note in (*self.series_notes(examples), told) if note)

    @property
    def usual_score(self) -> str:
        """The score that chooses the best epoch unless the config names another."""
        return "iou" if self.plan.boxes else "rmse" if self.plan.loss == "mse" else "mae"

    def possible_scores(self, examples: Sequence[AnyExample]) -> tuple[Score, ...]:
        """The scores that these rows can have, with those of the mean of the training rows."""
        return self.scores_of(self.truth(examples), np.tile(self.scaler.shift, (len(examples), 1)), "dev")

    def perfect(self, examples: Sequence[AnyExample]) -> list[Floats]:
        """What a model would say that is right."""
        return list(self.truth(examples))

    def doubts(self, examples: Sequence[AnyExample], short: Sequence[Score]) -> tuple[str, ...]:
        """None: right numbers have every score's best value."""
        return ()

    # -- for predict -----------------------------------------------------------------------------------------------

    def answer(self, example: AnyExample, output: Floats) -> Numbers:
        """The numbers of a series; one without steps has none, and a note."""
        if example.is_blank:
            return Numbers({}, example.all_steps, NOTE)
        return self._answered(output, example.all_steps)

    def _answered(self, said: Floats, steps: int) -> Numbers:
        return Numbers(self.numbers_of(said), steps, deviations=self.deviations_of(said))

    def streamed(self, outputs: Mapping[str, torch.Tensor] | None) -> dict[str, Any]:
        """The numbers, in the units of the data."""
        if outputs is None:
            return Numbers({}, 0, NOTE).to_dict()
        return self._answered(self._in_units(outputs["numbers"])[0], 0).to_dict()

    def explain(self, model: torch.nn.Module, example: AnyExample, device: torch.device) -> ExplanationTarget:
        """What can be seen of a model while it answers."""
        return explained(self, model, example, device)

    # -- for reports -----------------------------------------------------------------------------------------------

    def tables(self, outputs: Sequence[Floats], examples: Sequence[AnyExample]) -> tuple[Table, ...]:
        """What the scores are, and the worst rows."""
        return regression_tables(self, outputs, examples)

    def charts(self, outputs: Sequence[Floats], examples: Sequence[AnyExample]) -> tuple[Chart, ...]:
        """Truth against prediction, of each target."""
        return regression_charts(self, outputs, examples)

    def baselines(self, train: Sequence[AnyExample], splits: Mapping[str, Sequence[AnyExample]]) -> Compared:
        """What the mean, the median, a ridge and a random forest on statistics of each series reach."""
        return compared(self, train, splits)

    def facts(self, splits: Mapping[str, Sequence[AnyExample]]) -> dict[str, str | int | float]:
        """Sizes, and what was cut, by split."""
        return {"numbers to predict": len(self.names), **self.size_facts(splits)}

    def to_json(self) -> dict[str, Any]:
        """What a run folder must hold to read and answer as in training."""
        return {"reader": self.reader.to_json(), "targets": self.scaler.to_json()}


def _names(plan: SeriesRegressionConfig, number: int) -> tuple[str, ...]:
    """What the numbers are called: their columns, or the places in a list of one column."""
    if len(plan.targets) == number:
        return plan.targets
    return BOX if plan.boxes else tuple(f"{plan.targets[0]}_{k}" for k in range(1, number + 1))
