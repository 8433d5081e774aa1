"""What tasks have in common whose answer is a label, or several labels, of a whole row: all but how a row is read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol, TypeVar

import torch

from recurra.base.answers import AnswerKind
from recurra.base.contracts import Batch, Loss, Origin, Prediction, Score, Table
from recurra.base.errors import ConfigError, DataError, did_you_mean
from recurra.base.normal import name_of
from recurra.losses import balanced_weights
from recurra.tasks.columns import counted, missing
from recurra.tasks.labels import LabelKind, ManyLabels, OneLabel

E = TypeVar("E", bound="Labelled")


class Labelled(Protocol):
    """An example with what it should be: None where nobody knows."""

    @property
    def gold(self) -> Any: ...
    @property
    def origin(self) -> Origin: ...


class LabelPlan(Protocol):
    """What the configuration of such a task says."""

    @property
    def label(self) -> str: ...
    @property
    def label_smoothing(self) -> float: ...
    @property
    def class_weights(self) -> Literal["none", "balanced"] | dict[str, float]: ...
    @property
    def calibration(self) -> str: ...
    @property
    def kind(self) -> LabelKind: ...


class LabelTask:
    """Loss, answers and scores of labels. A task adds how a row is read, collated and shown.

    labels: sorted      weights: of each label in the loss; None: alike
    merged: what to say of labels that stand in the training data in several spellings; "" for nothing
    """

    answer_kind: ClassVar[AnswerKind] = "label"

    def __init__(
        self,
        plan: LabelPlan,
        labels: tuple[str, ...],
        weights: torch.Tensor | None,
        merged: str = "",
        temperature: float = 1.0,
    ) -> None:
        self.labels = labels
        self.weights = weights
        self.temperature = temperature
        self.kind = plan.kind
        self._smoothing = plan.label_smoothing
        self._label = plan.label
        self._merged = merged
        self._place = {label: k for k, label in enumerate(labels)}

    def targets(self, examples: Sequence[Labelled]) -> dict[str, torch.Tensor]:
        """(N,) classes, or (N, C) zeros and ones; nothing unless all are known.

        Raises DataError for a label that training never saw.
        """
        if not examples or any(e.gold is None for e in examples):
            return {}
        self.refuse_unknown(examples)
        return {"labels": self.kind.targets([e.gold for e in examples], self._place)}

    def loss(self, prediction: Prediction, batch: Batch) -> Loss:
        """Cross-entropy over the labels, in nats; of many labels, the sum over yes/no questions."""
        return self.kind.loss(prediction.outputs["logits"], batch.targets["labels"], self.weights, self._smoothing)

    def predict(self, model: torch.nn.Module, batch: Batch, examples: Sequence[Any]) -> list[Any]:
        """A LabelOutput, or a LabelSetOutput, for each row; the model is in eval mode."""
        return self.decode(model(batch))

    def decode(self, prediction: Prediction) -> list[Any]:
        """The same, from what a model has said."""
        return self.kind.outputs(prediction.outputs["logits"], self.labels, self.temperature)

    def fitted_temperature(self, outputs: Sequence[Any], examples: Sequence[Labelled]) -> float:
        """The temperature that fits these outputs, of temperature 1, best (Guo et al. 2017, arXiv:1706.04599)."""
        return self.kind.temperature([e.gold for e in examples], outputs, self.labels)

    def score(self, outputs: Sequence[Any], examples: Sequence[Labelled], split: str) -> tuple[Score, ...]:
        """All scores of one split, in the order of `metrics`."""
        gold, origins = [e.gold for e in examples], [e.origin for e in examples]
        return self.kind.score(gold, outputs, self.labels, origins, split)

    def label_tables(self, outputs: Sequence[Any], examples: Sequence[Labelled]) -> tuple[Table, ...]:
        """Confusion, most confused pairs, reliability; what the labels of one kind have."""
        gold, origins = [e.gold for e in examples], [e.origin for e in examples]
        return self.kind.tables(gold, outputs, self.labels, origins)

    def refuse_unknown(self, examples: Iterable[Labelled]) -> None:
        """Raise DataError, with file and line, for a label that training never saw."""
        for example in examples:
            for label in self.kind.names([example.gold]):
                if label not in self._place:
                    near = did_you_mean(label, self.labels) or f" Known: {', '.join(self.labels[:8])}."
                    raise DataError(f"{example.origin}: label '{label}' does not occur in the training data.{near}")

    def filter(self, examples: Sequence[E], split: str) -> tuple[Sequence[E], tuple[str, ...]]:
        """All of them. Raises DataError, with file and line, for a label that training never saw."""
        if split != "train":
            self.refuse_unknown(examples)
            return examples, ()
        told = (*self.label_notes(examples), *self.input_notes(examples))
        return examples, tuple(note for note in told if note)

    def label_notes(self, examples: Sequence[Labelled]) -> tuple[str, ...]:
        """The labels with their counts, and what looks like none; "" where there is nothing to say.

        Raises DataError, with file and line, for a label that training never saw.
        """
        first: dict[str, Origin] = {}
        counts: Counter[str] = Counter()
        for example in examples:
            for label in self.kind.names([example.gold]):
                if label not in first:
                    self.refuse_unknown([example])
                    first[label] = example.origin
                counts[label] += 1
        column = f"train: column '{self._label}'"
        return (
            f"{column}: {counted(counts)}.",
            f"{column}: {found}" if (found := missing(counts)) else "",
            f"train: {self._merged}" if self._merged else "",
            _rare(counts, first),
        )

    def input_notes(self, examples: Sequence[Any]) -> tuple[str, ...]:
        """What a person should know of what is read."""
        return ()

    @property
    def usual_score(self) -> str:
        """The score that chooses the best epoch unless the config names another."""
        return "accuracy" if isinstance(self.kind, OneLabel) else "f1_micro"

    def possible_scores(self, examples: Sequence[Labelled]) -> tuple[Score, ...]:
        """The scores that these rows can have, with the values of a model that knows how frequent each label is."""
        counts = Counter(self.kind.names(e.gold for e in examples))
        shares = torch.tensor([counts[label] / max(len(examples), 1) for label in self.labels], dtype=torch.float64)
        constant = self.kind.outputs(self.kind.logits(shares).expand(len(examples), -1), self.labels)
        return self.score(constant, examples, "dev")

    @property
    def separator(self) -> str | None:
        """What stands between labels in one cell; None where a row has one."""
        return self.kind.separator if isinstance(self.kind, ManyLabels) else None

    def perfect(self, examples: Sequence[Labelled]) -> list[Any]:
        """What a model would say that is right and sure of it."""
        return [self.kind.said(e.gold, self.labels) for e in examples]

    def doubts(self, examples: Sequence[Labelled], short: Sequence[Score]) -> tuple[str, ...]:
        """Labels without a row, if scores are short of their best value: their own scores are 0 whatever is said."""
        absent = set(self.labels) - set(self.kind.names([e.gold for e in examples]))
        if not (absent and short):
            return ()
        shown = ", ".join(f"'{label}'" for label in sorted(absent)[:5]) + (", ..." if len(absent) > 5 else "")
        rows = "row has the label" if len(absent) == 1 else "row has the labels"
        return (f"no {rows} {shown}, and a rate of nothing is 0.",)

    def labels_json(self) -> dict[str, Any]:
        """What `labels_from_json` needs."""
        return {
            "labels": list(self.labels),
            "class_weights": None if self.weights is None else self.weights.tolist(),
            "temperature": self.temperature,
        }


def _rare(counts: Mapping[str, int], first: Mapping[str, Origin]) -> str:
    """A sentence on labels that one row has, by file and line; "" for none. No model learns much from one row."""
    alone = [label for label, number in counts.items() if number == 1]
    shown = ", ".join(f"'{label}' ({first[label]})" for label in alone[:5]) + (", ..." if len(alone) > 5 else "")
    what = "1 label has" if len(alone) == 1 else f"{len(alone)} labels have"
    return f"train: {what} a single row, too few to learn from: {shown}." if alone else ""


def class_weights(plan: LabelPlan, labels: Sequence[str], golds: Mapping[Any, int]) -> torch.Tensor | None:
    """The weight of each label in the loss, (C,); None where all count alike. golds: how many rows have each gold

    Raises ConfigError for a weight of a label that no row has.
    """
    if plan.class_weights == "none":
        return None
    if plan.class_weights == "balanced":
        return torch.tensor(balanced_weights([golds[label] for label in labels]), dtype=torch.float32)
    given = {name_of(label): weight for label, weight in plan.class_weights.items()}
    for label in given:
        if label not in labels:
            raise ConfigError(f"class_weights: unknown label '{label}'.{did_you_mean(label, labels)}")
    return torch.tensor([given.get(label, 1.0) for label in labels], dtype=torch.float32)


def labels_from_json(data: Mapping[str, Any]) -> tuple[tuple[str, ...], torch.Tensor | None, float]:
    """Labels, weights and temperature, of `labels_json`. Raises KeyError, TypeError or ValueError for anything else."""
    labels, weights = data["labels"], data["class_weights"]
    if not isinstance(labels, list) or not labels or not all(isinstance(label, str) for label in labels):
        raise ValueError("labels are not a list of text")
    labels = [name_of(label) for label in labels]
    if twice := [label for label, number in Counter(labels).items() if number > 1]:
        raise ValueError(f"the label {twice[0]!a} twice")
    if not (weights is None or len(weights) == len(labels)):
        raise ValueError(f"{len(labels)} labels and {weights!r} weights")
    tensor = None if weights is None else torch.tensor([float(w) for w in weights], dtype=torch.float32)
    temperature = float(data.get("temperature", 1.0))
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature {temperature}")
    return tuple(labels), tensor, temperature
