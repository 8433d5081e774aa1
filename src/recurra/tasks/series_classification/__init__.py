"""Sequences of numbers: which label a series has, such as a movement of a sensor or a word of sound features."""

from __future__ import annotations

from recurra.tasks.series_classification.config import SeriesClassificationConfig
from recurra.tasks.series_classification.task import SeriesClassification

__all__ = ["SeriesClassification", "SeriesClassificationConfig"]
