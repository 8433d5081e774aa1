"""Classification of series: numbers, step by step, to a label or labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from recurra.base.answers import SeriesLabel, SeriesLabels
from recurra.base.contracts import Prediction, Table
from recurra.data.preparing import IN_MEMORY, Means
from recurra.metrics import Compared
from recurra.metrics.mixing import Mix
from recurra.models import SequenceModel
from recurra.models.wide import Forest, Kernels
from recurra.tasks.explanation import ExplanationTarget
from recurra.tasks.label_explanation import label_explained
from recurra.tasks.label_task import LabelTask
from recurra.tasks.mistakes import mistaken
from recurra.tasks.series_classification.baselines import compared
from recurra.tasks.series_classification.forest import grow_forest
from recurra.tasks.series_classification.kernels import solve_kernels
from recurra.tasks.series_reader import SeriesReader
from recurra.tasks.series_task import NOTE, AnyExample, Readable, SeriesTask, example_of

if TYPE_CHECKING:
    from recurra.tasks.series_classification.config import SeriesClassificationConfig


def label_sizes(plan: SeriesClassificationConfig, features: int, labels: int) -> dict[str, int]:
    """What a model has to know: numbers of a step, labels; "many": 1 where a series has any number of them."""
    many = {"many": 1} if plan.labels == "many" else {}
    return {"features": features, "labels": labels, **many}


class SeriesClassification(LabelTask, SeriesTask):
    """Five verbs between the data and the model: example, collate, loss, predict, score."""

    def __init__(
        self,
        plan: SeriesClassificationConfig,
        reader: SeriesReader,
        labels: tuple[str, ...],
        weights: torch.Tensor | None,
        merged: str = "",
        temperature: float = 1.0,
    ) -> None:
        LabelTask.__init__(self, plan, labels, weights, merged, temperature)
        SeriesTask.__init__(self, plan, reader)

    @property
    def model_sizes(self) -> Mapping[str, int]:
        """What a model has to know of the data: numbers of a step, number of labels, whether a series has many."""
        return label_sizes(self.plan, self.reader.width, len(self.labels))

    def training_examples(self, rows: Iterable[Readable], means: Means = IN_MEMORY) -> Iterator[AnyExample]:
        """The same of rows that are learned from: with the numbers of the file, where epochs change them."""
        keep = self.plan.augmentation is not None
        return (example_of(self.reader, row, keep_raw=keep) for row in rows)

    def solve(self, model: torch.nn.Module, examples: Sequence[AnyExample]) -> str:
        """Fit the wide part, in place; a sentence on what came of it, "" for a model without one."""
        wide = model.wide if isinstance(model, SequenceModel) else None
        if isinstance(wide, Forest):
            number = grow_forest(wide, self, examples)
            return f"model.wide: {wide.trees:,} trees on statistics of {number:,} training series."
        if isinstance(wide, Kernels):
            number = solve_kernels(wide, self, examples)
            return f"model.wide: {wide.weight.shape[0]:,} shares of steps, weighed by {number:,} training series."
        return ""

    def mixed(
        self, wide: Sequence[Any], deep: Sequence[Any], examples: Sequence[AnyExample], share: float | None = None
    ) -> Mix:
        """How much of the wide part and of the deep one fits these rows best. wide, deep: outputs of each alone"""
        return self.kind.mix([e.gold for e in examples], wide, deep, self.labels, share)

    def calibrated(self, outputs: Sequence[Any], examples: Sequence[AnyExample]) -> SeriesClassification:
        """The task with the temperature that fits these outputs of its own best; itself where the config wants none."""
        if self.plan.calibration == "none":
            return self
        found = self.fitted_temperature(outputs, examples)
        return SeriesClassification(self.plan, self.reader, self.labels, self.weights, self._merged, found)

    def input_notes(self, examples: Sequence[AnyExample]) -> tuple[str, ...]:
        """What the axes were taken for, and numbers that are always the same."""
        return self.series_notes(examples)

    # -- for predict -----------------------------------------------------------------------------------------------

    def answer(self, example: AnyExample, output: Any) -> SeriesLabel | SeriesLabels:
        """The label of a series; one without steps has none, and a note."""
        said = self.kind.answer("", None if example.is_blank else output)
        note = NOTE if example.is_blank else None
        steps = example.all_steps
        if self.separator is not None:
            return SeriesLabels(said.labels, said.probabilities, steps, note)  # type: ignore[union-attr]
        return SeriesLabel(said.label, said.score, said.probabilities, steps, note)  # type: ignore[union-attr]

    def streamed(self, outputs: Mapping[str, torch.Tensor] | None) -> dict[str, Any]:
        """The label and its probabilities."""
        said = self.kind.answer("", None if outputs is None else self.decode(Prediction(dict(outputs)))[0])
        return {name: value for name, value in said.to_dict().items() if name != "text"}

    def explain(self, model: torch.nn.Module, example: AnyExample, device: torch.device) -> ExplanationTarget:
        """What can be seen of a model while it answers. Raises ConfigError for one without recurrent layers."""
        steps, features = tuple(map(str, range(1, example.length + 1))), self.feature_names()
        return label_explained(self, model, example, steps, device, unit="step", features=features)

    # -- for reports -----------------------------------------------------------------------------------------------

    def tables(self, outputs: Sequence[Any], examples: Sequence[AnyExample]) -> tuple[Table, ...]:
        """Confusion, most confused pairs, reliability; and the series that got another label."""
        wrong = mistaken(outputs, examples, "series", lambda e: f"{e.all_steps:,} steps")
        return (*self.label_tables(outputs, examples), wrong)

    def baselines(self, train: Sequence[AnyExample], splits: Mapping[str, Sequence[AnyExample]]) -> Compared:
        """What a majority vote, and a random forest on statistics of each series, reach on the same rows."""
        return compared(self, train, splits)

    def facts(self, splits: Mapping[str, Sequence[AnyExample]]) -> dict[str, str | int | float]:
        """Sizes, and what was cut, by split."""
        return {"labels": len(self.labels), **self.size_facts(splits)}

    def to_json(self) -> dict[str, Any]:
        """What a run folder must hold to read and answer as in training."""
        return {"reader": self.reader.to_json(), **self.labels_json()}
