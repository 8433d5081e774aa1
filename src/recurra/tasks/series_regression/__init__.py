"""Sequences of numbers, vectors and pictures: which numbers a whole one has, such as a price, an age, or a box."""

from __future__ import annotations

from recurra.tasks.series_regression.config import SeriesRegressionConfig
from recurra.tasks.series_regression.task import SeriesRegression

__all__ = ["SeriesRegression", "SeriesRegressionConfig"]
