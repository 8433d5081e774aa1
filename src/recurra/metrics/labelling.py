"""Gold labels beside outputs, checked once and turned into arrays that every metric reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Origin
from recurra.base.errors import DataError, did_you_mean
from recurra.metrics.outputs import LabelOutput, LabelSetOutput

Unknown = Literal["stop", "wrong"]

# The softmax of 40 classes in bfloat16 (8 bits) sums to 1 within 0.01; anything further off is not a distribution.
SUM_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Labelling:
    """N rows with one gold label each.

    names: the label set, then gold labels outside it; K of them      num_labels: size of the label set, C
    gold, predicted: (N,) places in `names`                           probabilities: (N, K), 0 outside the label set
    origins: of the rows, or empty
    """

    names: tuple[str, ...]
    num_labels: int
    gold: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SetLabelling:
    """N rows with any number of gold labels each.

    names: the label set, then gold labels outside it; K of them      num_labels: size of the label set, C
    gold, predicted: (N, K) bool      probabilities: (N, K), 0 outside the label set      origins: of the rows, or empty
    """

    names: tuple[str, ...]
    num_labels: int
    gold: NDArray[np.bool_]
    predicted: NDArray[np.bool_]
    probabilities: NDArray[np.float64]
    origins: tuple[Origin, ...]


def labelling(
    gold: Sequence[str],
    outputs: Sequence[LabelOutput],
    *,
    labels: Sequence[str],
    origins: Sequence[Origin] = (),
    unknown: Unknown = "stop",
) -> Labelling:
    """Put gold labels beside outputs.

    labels: the label set that the classifier knows      origins: where the rows stood, for messages and examples
    unknown: what becomes of a gold label outside the label set: "stop" raises, "wrong" counts the row as wrong.
    Raises DataError for no rows, lists of different lengths, an unknown label, or probabilities that are none.
    """
    _check_lengths(gold, outputs, labels, origins)
    names = _names(labels, gold, origins, unknown, rows=range(len(gold)))
    place = {name: i for i, name in enumerate(names)}
    probabilities = _probabilities(outputs, labels, len(names), origins)
    _check_sums(probabilities, origins)
    return Labelling(
        names=names,
        num_labels=len(labels),
        gold=np.array([place[label] for label in gold], dtype=np.int64),
        predicted=np.array(_places([o.label for o in outputs], place, labels), dtype=np.int64),
        probabilities=probabilities,
        origins=tuple(origins),
    )


def set_labelling(
    gold: Sequence[Iterable[str]],
    outputs: Sequence[LabelSetOutput],
    *,
    labels: Sequence[str],
    origins: Sequence[Origin] = (),
    unknown: Unknown = "stop",
) -> SetLabelling:
    """Put sets of gold labels beside outputs; the arguments and errors are those of `labelling`."""
    _check_lengths(gold, outputs, labels, origins)
    sets = [tuple(row) for row in gold]
    rows = [i for i, row in enumerate(sets) for _ in row]
    names = _names(labels, list(chain.from_iterable(sets)), origins, unknown, rows=rows)
    place = {name: i for i, name in enumerate(names)}
    said = [o.labels for o in outputs]
    _places(list(chain.from_iterable(said)), place, labels)
    return SetLabelling(
        names=names,
        num_labels=len(labels),
        gold=_indicators(sets, place),
        predicted=_indicators(said, place),
        probabilities=_probabilities(outputs, labels, len(names), origins),
        origins=tuple(origins),
    )


def _where(row: int, origins: Sequence[Origin]) -> str:
    return f"{origins[row]}: " if origins else f"row {row + 1}: "


def _check_lengths(
    gold: Sequence[object], outputs: Sequence[object], labels: Sequence[str], origins: Sequence[Origin]
) -> None:
    if not gold:
        raise DataError("nothing to score: expected at least one row with a gold label, got none.")
    if len(outputs) != len(gold) or len(origins) not in (0, len(gold)):
        raise DataError(
            f"{len(gold)} gold labels, {len(outputs)} outputs and {len(origins)} origins: expected as many."
        )
    if len(set(labels)) != len(labels) or not labels:
        raise DataError(f"the label set has {len(labels)} labels, {len(set(labels))} different; expected each once.")


def _names(
    labels: Sequence[str], gold: Sequence[str], origins: Sequence[Origin], unknown: Unknown, *, rows: Sequence[int]
) -> tuple[str, ...]:
    """The label set, then the unknown gold labels in order of first use. rows: the row of each gold label."""
    others = {label: i for i, label in reversed(list(enumerate(gold)))}
    for label in labels:
        others.pop(label, None)
    found = sorted(others, key=others.__getitem__)
    if found and unknown == "stop":
        where = _where(rows[others[found[0]]], origins)
        known = ", ".join(labels[:8]) + (", ..." if len(labels) > 8 else "")
        raise DataError(
            f"{where}unknown label '{found[0]}'; the training data had {len(labels)} labels: {known}."
            f"{did_you_mean(found[0], labels)} Correct the label, or remove the row."
        )
    return (*labels, *found)


def _places(said: Sequence[str], place: dict[str, int], labels: Sequence[str]) -> list[int]:
    """Places of predicted labels; a classifier can only say what is in its label set."""
    strange = set(said) - set(labels)
    if strange:
        raise DataError(f"an output has the label '{min(strange)}', expected one of the {len(labels)} labels.")
    return [place[label] for label in said]


def _indicators(sets: Sequence[tuple[str, ...]], place: dict[str, int]) -> NDArray[np.bool_]:
    table = np.zeros((len(sets), len(place)), dtype=np.bool_)
    rows = [i for i, row in enumerate(sets) for _ in row]
    table[rows, [place[label] for row in sets for label in row]] = True
    return table


def _probabilities(
    outputs: Sequence[LabelOutput] | Sequence[LabelSetOutput],
    labels: Sequence[str],
    num_names: int,
    origins: Sequence[Origin],
) -> NDArray[np.float64]:
    table = np.zeros((len(outputs), num_names))
    try:
        # One itemgetter call per row reads all labels in C: 0.6 s for 100,000 rows of 40 labels.
        read = itemgetter(*labels) if len(labels) > 1 else lambda row: (row[labels[0]],)
        flat = np.fromiter(chain.from_iterable(read(o.probabilities) for o in outputs), dtype=np.float64)
    except KeyError as error:
        raise DataError(f"an output has no probability for the label {error}; expected one for each label.") from None
    table[:, : len(labels)] = flat.reshape(len(outputs), len(labels))
    outside = ~((table >= 0) & (table <= 1 + SUM_TOLERANCE)).all(1)  # also true for NaN
    if outside.any():
        row = int(outside.argmax())
        raise DataError(
            f"{_where(row, origins)}probabilities {table[row].min()} to {table[row].max()}, expected 0 to 1."
        )
    return table


def _check_sums(probabilities: NDArray[np.float64], origins: Sequence[Origin]) -> None:
    sums = probabilities.sum(1)
    off = np.abs(sums - 1) > SUM_TOLERANCE
    if off.any():
        row = int(off.argmax())
        raise DataError(f"{_where(row, origins)}the probabilities sum to {sums[row]:.4g}, expected 1.")
