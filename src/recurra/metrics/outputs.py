"""What a classifier says about one row, in plain Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LabelOutput:
    """One label, and the probability (0..1, together 1) of every label of the label set."""

    label: str
    probabilities: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class LabelSetOutput:
    """Any number of labels, and for every label of the label set the probability (0..1) that it holds."""

    labels: tuple[str, ...]
    probabilities: Mapping[str, float]
