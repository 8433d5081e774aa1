"""Forecasts that cost nothing, which a model must beat, and how far they err inside of a series: the scale of MASE."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recurra.tasks.forecasting.windows import Floats, Ints, Store


class Past:
    """Sums over the beginnings of all series of a store, so that any cut costs the same."""

    def __init__(self, store: Store, season: int) -> None:
        self.store, self.season = store, season
        self._steps = np.arange(len(store.values)) - np.repeat(store.offsets, self._rooms())
        self._errors = self._summed(self._differences(season))

    def _rooms(self) -> Ints:
        ends = np.append(self.store.offsets[1:], len(self.store.values))
        return np.asarray(ends - self.store.offsets, np.int64)

    def _differences(self, lag: int) -> Floats:
        """|y_t - y_(t - lag)|, NaN where either is unknown, or of another series."""
        values = self.store.values
        before = np.full_like(values, np.nan)
        before[lag:] = values[: len(values) - lag] if lag < len(values) else values[:0]
        before[self._steps < lag] = np.nan
        return np.abs(values - before)

    def _summed(self, values: Floats) -> tuple[Floats, NDArray[np.int64]]:
        """Sums up to and with each step of its series, and how many are known.

        They begin anew with each series: what is left of a sum over all of them, less that of those before, has no
        digits of a small series behind a large one.
        """
        there = ~np.isnan(values)
        known, total, count = np.where(there, values, 0.0), np.empty_like(values), np.empty(values.shape, np.int64)
        for start, room in zip(self.store.offsets, self._rooms(), strict=True):
            own = slice(start, start + room)
            np.cumsum(known[own], 0, out=total[own])
            np.cumsum(there[own], 0, out=count[own])
        return total, count

    def naive_error(self, series: Ints, cuts: Ints) -> Floats:
        """(N, D) mean |y_t - y_(t - m)| of what is before each cut; 0 where there is none."""
        total, count = _before(self._errors, self.store.offsets[series], cuts)
        found: Floats = np.where(count > 0, total / np.maximum(count, 1), 0.0)
        return found

    def spread(self, series: Ints, cuts: Ints) -> Floats:
        """(N, D) root mean square of the same: the deviation of a naive forecast one step ahead."""
        if not hasattr(self, "_squares"):
            self._squares = self._summed(self._differences(self.season) ** 2)
        total, count = _before(self._squares, self.store.offsets[series], cuts)
        found: Floats = np.sqrt(np.where(count > 0, total / np.maximum(count, 1), 0.0))
        return found

    def last(self, series: Ints, cuts: Ints) -> tuple[Floats, Ints]:
        """(N, D) the last observed value before each cut, and the step where it stands; 0 and -1 without any."""
        there = ~np.isnan(self.store.values)
        rows = np.where(there, np.arange(len(there))[:, None], -1)
        latest = np.maximum.accumulate(rows, 0)
        first = self.store.offsets[series][:, None]
        place = np.where(cuts[:, None] > 0, latest[np.maximum(first[:, 0] + cuts - 1, 0)], -1)
        known = place >= first
        columns = np.arange(there.shape[1])[None]
        return np.where(known, self.store.values[np.maximum(place, 0), columns], 0.0), np.where(
            known, place - first, -1
        )

    def first(self, series: Ints) -> tuple[Floats, Ints]:
        """(N, D) the first observed value of each series, and the step where it stands; NaN and 0 without any."""
        there = ~np.isnan(self.store.values)
        shape = (len(self.store.offsets), there.shape[1])
        found, places = np.full(shape, np.nan), np.zeros(shape, np.int64)
        for k, (start, length) in enumerate(zip(self.store.offsets, self.store.lengths, strict=True)):
            if length:
                places[k] = there[start : start + length].argmax(0)
                found[k] = self.store.values[start + places[k], np.arange(shape[1])]
        return found[series], places[series]


def _before(sums: tuple[Floats, NDArray[np.int64]], first: Ints, cuts: Ints) -> tuple[Floats, NDArray[np.int64]]:
    """Sum and count of the steps of each series before its cut; 0 where there are none."""
    some, last = (cuts > 0)[:, None], first + np.maximum(cuts - 1, 0)
    total, count = sums
    return np.where(some, total[last], 0.0), np.where(some, count[last], 0)


def last_value(past: Past, series: Ints, cuts: Ints, horizon: int) -> Floats:
    """(N, h, D) the last value that was observed, again and again."""
    return np.repeat(past.last(series, cuts)[0][:, None], horizon, 1)


def seasonal_naive(past: Past, series: Ints, cuts: Ints, horizon: int) -> Floats:
    """(N, h, D) the value a season before, or as many seasons as it takes; the last one where there is none."""
    store, season = past.store, past.season
    steps = cuts[:, None] + np.arange(horizon)
    steps = steps - season * -(-(steps - cuts[:, None] + 1) // season)
    rows = np.where(steps >= 0, store.offsets[series][:, None] + steps, 0)
    values = np.where((steps >= 0)[..., None], store.values[rows], np.nan)
    return np.where(np.isnan(values), past.last(series, cuts)[0][:, None], values)


def drift(past: Past, series: Ints, cuts: Ints, horizon: int) -> Floats:
    """(N, h, D) the last value, and on along the line from the first one."""
    last, place = past.last(series, cuts)
    first, begin = past.first(series)
    steps = place - begin
    slope = np.where(steps > 0, (last - np.nan_to_num(first)) / np.maximum(steps, 1), 0.0)
    return np.asarray(last[:, None] + slope[:, None] * np.arange(1, horizon + 1)[None, :, None], np.float64)


def naive_quantiles(past: Past, said: Floats, series: Ints, cuts: Ints, levels: tuple[float, ...]) -> Floats:
    """(N, h, D, Q) of a naive forecast whose errors are normal and grow with the seasons ahead.

    Source: Hyndman & Athanasopoulos 2021, table 5.2.
    """
    import torch

    z = torch.special.ndtri(torch.tensor(levels, dtype=torch.float64)).numpy()
    growth = np.sqrt(np.arange(said.shape[1]) // past.season + 1.0)
    return np.asarray(said[..., None] + past.spread(series, cuts)[:, None, :, None] * growth[None, :, None, None] * z)
