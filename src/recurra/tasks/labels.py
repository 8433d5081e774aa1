"""One label a row, or any number of them: what differs between the two, and nothing else."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from recurra.base.answers import Label, Labels
from recurra.base.contracts import Loss, Origin, Score, Table
from recurra.base.errors import DataError
from recurra.base.normal import name_of, parts_of
from recurra.base.words import as_written, counted
from recurra.losses import binary_cross_entropy, cross_entropy
from recurra.metrics import (
    Compared,
    LabelOutput,
    LabelSetOutput,
    compare,
    confusion,
    label_baselines,
    label_counts,
    label_set_baselines,
    labelling,
    most_confused,
    reliability,
    scores,
    set_labelling,
    set_scores,
    sigmoid_temperature,
    softmax_temperature,
)
from recurra.metrics.baselines import Analyzer
from recurra.metrics.mixing import Floats, Mix, mix
from recurra.tasks.blank import NOTE

Texts = Sequence[str]
# A probability under this is 0 in float64, whose log is no number.
TINY = 1e-300


class LabelKind(Protocol):
    """What a classification task asks of its kind of labels. gold: of a row, as `read` returns it

    read: a cell as its gold and, as the file spells them, its labels
    answer: to a text; output: None for a text without anything to read
    """

    def read(self, value: Any, origin: Origin) -> tuple[Any, tuple[str, ...]]: ...
    def names(self, gold: Iterable[Any]) -> Iterable[str]: ...
    def targets(self, gold: Sequence[Any], place: Mapping[str, int]) -> Tensor: ...
    def loss(self, logits: Tensor, targets: Tensor, weights: Tensor | None, smoothing: float) -> Loss: ...
    def outputs(self, logits: Tensor, labels: Sequence[str], temperature: float = 1.0) -> list[Any]: ...
    def temperature(self, gold: Sequence[Any], outputs: Sequence[Any], labels: Sequence[str]) -> float: ...
    def mix(
        self,
        gold: Sequence[Any],
        first: Sequence[Any],
        second: Sequence[Any],
        labels: Sequence[str],
        share: float | None = None,
    ) -> Mix: ...
    def logits(self, shares: Tensor) -> Tensor: ...
    def probabilities(self, logits: Tensor) -> Tensor: ...
    def said(self, gold: Any, labels: Sequence[str]) -> Any: ...
    def answer(self, text: str, output: Any) -> Label | Labels: ...
    def score(
        self, gold: Sequence[Any], outputs: Sequence[Any], labels: Sequence[str], origins: Sequence[Origin], split: str
    ) -> tuple[Score, ...]: ...
    def tables(
        self, gold: Sequence[Any], outputs: Sequence[Any], labels: Sequence[str], origins: Sequence[Origin]
    ) -> tuple[Table, ...]: ...
    def baselines(
        self,
        labels: Sequence[str],
        analyzer: Analyzer,
        train: tuple[Texts, Sequence[Any]],
        splits: Mapping[str, tuple[Texts, Sequence[Any]]],
    ) -> Compared: ...


def _is_none(value: Any) -> bool:
    """Whether a cell holds nothing: null, or the NaN that tables in Python have for it."""
    return value is None or (isinstance(value, float) and math.isnan(value))


@dataclass(frozen=True, slots=True)
class OneLabel:
    """Each row has exactly one label; gold is a string. Softmax."""

    def read(self, value: Any, origin: Origin) -> tuple[str, tuple[str, ...]]:
        if isinstance(value, list | tuple | dict):
            raise DataError(
                f"{origin}: expected one label, got {as_written(value)}. Set task.labels: many for lists of labels."
            )
        spelt = sys.intern("" if _is_none(value) else str(value))  # one object a label: rows have few different ones
        label = sys.intern(name_of(spelt))
        if not label:
            raise DataError(
                f"{origin}: the label is empty; expected one label. Fill it in, or set data.on_error: skip."
            )
        return label, (spelt,)

    def names(self, gold: Iterable[str]) -> Iterable[str]:
        return gold

    def targets(self, gold: Sequence[str], place: Mapping[str, int]) -> Tensor:
        return torch.tensor([place[label] for label in gold], dtype=torch.int64)

    def loss(self, logits: Tensor, targets: Tensor, weights: Tensor | None, smoothing: float) -> Loss:
        return cross_entropy(logits, targets, class_weights=weights, label_smoothing=smoothing)

    def logits(self, shares: Tensor) -> Tensor:
        """Those of labels (C,) with these shares of the rows."""
        return shares.log()

    def probabilities(self, logits: Tensor) -> Tensor:
        """Of labels (N, C)."""
        return logits.softmax(1)

    def outputs(self, logits: Tensor, labels: Sequence[str], temperature: float = 1.0) -> list[LabelOutput]:
        # In float64, so that a thousand classes still sum to one within the metrics' tolerance.
        exact = logits.double()
        rows = torch.softmax(exact / temperature, -1).tolist()
        # By the logits: a temperature may make two probabilities equal, and must not change an answer.
        best = [row.index(max(row)) for row in exact.tolist()]
        return [LabelOutput(labels[k], dict(zip(labels, row, strict=True))) for k, row in zip(best, rows, strict=True)]

    def temperature(self, gold: Sequence[str], outputs: Sequence[LabelOutput], labels: Sequence[str]) -> float:
        """The temperature at which these outputs of temperature 1 would have the lowest log loss."""
        return softmax_temperature(_log_shares(outputs, labels), np.array([labels.index(label) for label in gold]))

    def mix(
        self,
        gold: Sequence[str],
        first: Sequence[LabelOutput],
        second: Sequence[LabelOutput],
        labels: Sequence[str],
        share: float | None = None,
    ) -> Mix:
        """How much of two models' logits, whose outputs of temperature 1 these are, has the lowest log loss.

        share: of the first one, where it is known
        """
        right = np.array([labels.index(label) for label in gold])

        def nats(scores: Floats) -> float:
            return float((np.logaddexp.reduce(scores, 1) - scores[np.arange(len(right)), right]).sum())

        return mix(
            _log_shares(first, labels),
            _log_shares(second, labels),
            temperature=lambda scores: softmax_temperature(scores, right),
            nats=nats,
            share=share,
        )

    def said(self, gold: str, labels: Sequence[str]) -> LabelOutput:
        return LabelOutput(gold, {label: float(label == gold) for label in labels})

    def answer(self, text: str, output: LabelOutput | None) -> Label:
        if output is None:
            return Label(text, "", None, {}, NOTE)
        return Label(text, output.label, output.probabilities[output.label], dict(output.probabilities))

    def score(
        self,
        gold: Sequence[str],
        outputs: Sequence[LabelOutput],
        labels: Sequence[str],
        origins: Sequence[Origin],
        split: str,
    ) -> tuple[Score, ...]:
        return scores(labelling(gold, outputs, labels=labels, origins=origins), split)

    def tables(
        self, gold: Sequence[str], outputs: Sequence[LabelOutput], labels: Sequence[str], origins: Sequence[Origin]
    ) -> tuple[Table, ...]:
        rows = labelling(gold, outputs, labels=labels, origins=origins)
        return confusion(rows), most_confused(rows), reliability(rows)

    def baselines(
        self,
        labels: Sequence[str],
        analyzer: Analyzer,
        train: tuple[Texts, Sequence[str]],
        splits: Mapping[str, tuple[Texts, Sequence[str]]],
    ) -> Compared:
        def score(gold: Sequence[str], outputs: Sequence[LabelOutput], split: str) -> tuple[Score, ...]:
            return self.score(gold, outputs, labels, (), split)

        return compare(label_baselines(labels, analyzer=analyzer), train=train, splits=splits, score=score)


@dataclass(frozen=True, slots=True)
class ManyLabels:
    """Each row has any number of labels; gold is a tuple of strings. One sigmoid a label.

    separator: between labels where the field is text; a JSON list needs none.
    """

    separator: str

    def read(self, value: Any, origin: Origin) -> tuple[tuple[str, ...], tuple[str, ...]]:
        several = isinstance(value, list | tuple)
        listed = value if several else parts_of("" if _is_none(value) else str(value), self.separator)
        if wrong := [part for part in listed if _is_none(part) or isinstance(part, list | tuple | dict)]:
            raise DataError(f"{origin}: expected a list of labels, got {as_written(wrong[0])} in it.")
        spelt = tuple(sys.intern(str(part)) for part in listed)
        labels = [sys.intern(label) for label in map(name_of, spelt) if label]
        if len(set(labels)) != len(labels):
            raise DataError(f"{origin}: a label stands twice in {value!r}; expected each once.")
        return tuple(labels), spelt

    def names(self, gold: Iterable[tuple[str, ...]]) -> Iterable[str]:
        return (label for row in gold for label in row)

    def targets(self, gold: Sequence[tuple[str, ...]], place: Mapping[str, int]) -> Tensor:
        table = torch.zeros(len(gold), len(place), dtype=torch.float32)
        for row, labels in enumerate(gold):
            table[row, [place[label] for label in labels]] = 1.0
        return table

    def loss(self, logits: Tensor, targets: Tensor, weights: Tensor | None, smoothing: float) -> Loss:
        return binary_cross_entropy(logits, targets, class_weights=weights)

    def logits(self, shares: Tensor) -> Tensor:
        """Those of labels (C,) with these shares of the rows."""
        return shares.logit()

    def probabilities(self, logits: Tensor) -> Tensor:
        """Of labels (N, C), each by itself."""
        return logits.sigmoid()

    def outputs(self, logits: Tensor, labels: Sequence[str], temperature: float = 1.0) -> list[LabelSetOutput]:
        exact = logits.double()
        said = (torch.sigmoid(exact) >= 0.5).tolist()  # without the temperature, which must not change an answer
        rows = torch.sigmoid(exact / temperature).tolist()
        return [
            LabelSetOutput(
                tuple(label for label, is_said in zip(labels, each, strict=True) if is_said),
                dict(zip(labels, row, strict=True)),
            )
            for each, row in zip(said, rows, strict=True)
        ]

    def temperature(
        self, gold: Sequence[tuple[str, ...]], outputs: Sequence[LabelSetOutput], labels: Sequence[str]
    ) -> float:
        """The temperature at which these outputs of temperature 1 would have the lowest log loss."""
        return sigmoid_temperature(_log_odds(outputs, labels), _table_of(gold, labels))

    def mix(
        self,
        gold: Sequence[tuple[str, ...]],
        first: Sequence[LabelSetOutput],
        second: Sequence[LabelSetOutput],
        labels: Sequence[str],
        share: float | None = None,
    ) -> Mix:
        """How much of two models' logits, whose outputs of temperature 1 these are, has the lowest log loss.

        share: of the first one, where it is known
        """
        right = _table_of(gold, labels)

        def nats(scores: Floats) -> float:
            return float((np.logaddexp(0, scores) - right * scores).sum())

        return mix(
            _log_odds(first, labels),
            _log_odds(second, labels),
            temperature=lambda scores: sigmoid_temperature(scores, right),
            nats=nats,
            share=share,
        )

    def said(self, gold: tuple[str, ...], labels: Sequence[str]) -> LabelSetOutput:
        return LabelSetOutput(gold, {label: float(label in gold) for label in labels})

    def answer(self, text: str, output: LabelSetOutput | None) -> Labels:
        if output is None:
            return Labels(text, (), {}, NOTE)
        return Labels(text, output.labels, dict(output.probabilities))

    def score(
        self,
        gold: Sequence[tuple[str, ...]],
        outputs: Sequence[LabelSetOutput],
        labels: Sequence[str],
        origins: Sequence[Origin],
        split: str,
    ) -> tuple[Score, ...]:
        return set_scores(set_labelling(gold, outputs, labels=labels, origins=origins), split)

    def tables(
        self,
        gold: Sequence[tuple[str, ...]],
        outputs: Sequence[LabelSetOutput],
        labels: Sequence[str],
        origins: Sequence[Origin],
    ) -> tuple[Table, ...]:
        return (label_counts(set_labelling(gold, outputs, labels=labels, origins=origins)),)

    def baselines(
        self,
        labels: Sequence[str],
        analyzer: Analyzer,
        train: tuple[Texts, Sequence[tuple[str, ...]]],
        splits: Mapping[str, tuple[Texts, Sequence[tuple[str, ...]]]],
    ) -> Compared:
        def score(gold: Sequence[Iterable[str]], outputs: Sequence[LabelSetOutput], split: str) -> tuple[Score, ...]:
            return self.score([tuple(row) for row in gold], outputs, labels, (), split)

        return compare(label_set_baselines(labels, analyzer=analyzer), train=train, splits=splits, score=score)


def _log_shares(outputs: Sequence[LabelOutput], labels: Sequence[str]) -> Floats:
    """(N, C): the logits, but for a constant in each row."""
    return np.log(np.maximum(_probabilities(outputs, labels), TINY))


def _log_odds(outputs: Sequence[LabelSetOutput], labels: Sequence[str]) -> Floats:
    """(N, C): the logits."""
    p = _probabilities(outputs, labels)
    return np.log(np.maximum(p, TINY)) - np.log(np.maximum(1 - p, 1e-16))


def _probabilities(outputs: Sequence[LabelOutput | LabelSetOutput], labels: Sequence[str]) -> Floats:
    return np.array([[o.probabilities[label] for label in labels] for o in outputs])


def _table_of(gold: Sequence[tuple[str, ...]], labels: Sequence[str]) -> Floats:
    return np.array([[label in row for label in labels] for row in gold], dtype=float)


def label_set(kind: LabelKind, golds: Mapping[Any, int], source: str) -> tuple[str, ...]:
    """The labels of the training rows, sorted. golds: how many rows have each gold

    Raises DataError unless there are two or more (one or more of many)."""
    counts = Counter(kind.names(golds))
    least = 2 if isinstance(kind, OneLabel) else 1
    if len(counts) < least:
        found = ", ".join(f"'{label}'" for label in counts) or "none"
        raise DataError(
            f"{source}: expected at least {counted(least, 'different label')}, found {len(counts)} ({found}) in "
            f"{counted(sum(golds.values()), 'row')}; "
            "there is nothing to tell apart. Check the label column."
        )
    return tuple(sorted(counts))
