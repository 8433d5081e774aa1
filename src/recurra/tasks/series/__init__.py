"""Sequences of numbers: which label a series has, such as a movement of a sensor or a word of sound features."""

from __future__ import annotations

from recurra.tasks.series.config import SeriesClassificationConfig
from recurra.tasks.series.task import SeriesClassification

__all__ = ["SeriesClassification", "SeriesClassificationConfig"]
