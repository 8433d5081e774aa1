"""What is known beside the targets as numbers: scaled, or a place for each word, by what training rows had before the
cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.errors import DataError
from recurra.data.calendar import calendar_features
from recurra.data.calendar.stamps import NUMBERS_END
from recurra.tasks.forecasting.scaling import LEAST, Scaling, moments
from recurra.tasks.forecasting.series import Columns, Floats, Missing, Series
from recurra.tasks.forecasting.windows import Store

# Words of a column that changes in time: each is a number of every step.
MOST_WORDS = 200


@dataclass(frozen=True, slots=True)
class Beside:
    """numbers: mean and divisor of each column of numbers      words: those of each column of categories"""

    numbers: Mapping[str, tuple[float, float]]
    words: Mapping[str, tuple[str, ...]]

    @classmethod
    def fit(cls, rows: Sequence[tuple[Series, int]], columns: Columns, source: str) -> Beside:
        """From series, each up to the step where what may be learned from ends.

        Raises DataError for a column of more words than a step can hold.
        """
        parts: dict[str, list[Any]] = {name: [] for name in (*columns.future, *columns.past, *columns.static)}
        for series, end in rows:
            for names, found in ((columns.future, series.known), (columns.past, series.past)):
                for name, column in zip(names, found, strict=True):
                    parts[name].append(column[:end])
            for name, value in zip(columns.static, series.static, strict=True):
                parts[name].append(np.array([value], object if name in columns.categories else np.float64))
        numbers, words = {}, {}
        for name, each in parts.items():
            joined = np.concatenate(each)
            if name in columns.categories:
                words[name] = tuple(sorted({str(word) for word in joined if word is not None}))
            else:
                numbers[name] = _mean_and_divisor(joined)
        for name in (*columns.future, *columns.past):
            if len(words.get(name, ())) > MOST_WORDS:
                raise DataError(
                    f"{source}: column '{name}' has {len(words[name]):,} different words; of a column that changes in "
                    f"time at most {MOST_WORDS} can be read. Leave it out, or group its words."
                )
        return cls(numbers, words)

    def width(self, names: Sequence[str], masked: bool) -> int:
        """Numbers of a step."""
        return sum(len(self.words[n]) if n in self.words else 1 for n in names) + len(names) * masked

    def names(self, columns: Sequence[str], masked: bool) -> list[str]:
        """What the numbers of a step are called, `width` of them."""
        found = []
        for name in columns:
            found += [f"{name}={word}" for word in self.words[name]] if name in self.words else [name]
            found += [f"{name} is there"] * masked
        return found

    def columns(
        self, series: Series, names: Sequence[str], found: Sequence[NDArray[Any]], missing: Missing
    ) -> NDArray[np.float32]:
        """(T, width) of columns; NaN or nothing is 0, and with a mask a number beside says what is there.

        Raises DataError, with series and stamp, for a word that training never saw, and for what is missing.
        """
        length = max((len(column) for column in found), default=0)
        parts = [np.zeros((length, 0))]
        for name, column in zip(names, found, strict=True):
            there = np.array([one is not None for one in column]) if column.dtype == object else ~np.isnan(column)
            if missing == "refuse" and not there[: series.length].all():
                step = int(np.flatnonzero(~there)[0])
                raise DataError(f"{_at(series, step, name)} has no value. Fill it in, or set task.missing: mask.")
            numbers = self._one_hot(series, name, column) if name in self.words else self._scaled(name, column)
            parts += [numbers, *([there[:, None]] if missing == "mask" else [])]
        return np.concatenate(parts, 1).astype(np.float32)

    def _scaled(self, name: str, column: NDArray[Any]) -> Floats:
        mean, divisor = self.numbers[name]
        found: Floats = ((column - mean) / divisor)[:, None]
        return found

    def _one_hot(self, series: Series, name: str, column: NDArray[Any]) -> Floats:
        places = {word: k for k, word in enumerate(self.words[name])}
        found = np.zeros((len(column), len(places)))
        for step, word in enumerate(column):
            if word is None:
                continue
            if word not in places:
                raise DataError(
                    f"{_at(series, step, name)} holds '{word}', which training never saw{self._known(name)}"
                )
            found[step, places[word]] = 1
        return found

    def static(self, series: Series, columns: Columns) -> tuple[list[float], list[int]]:
        """Static numbers, scaled, and the places of static categories. Raises DataError for a word never seen."""
        numbers, places = [], []
        for name, value in zip(columns.static, series.static, strict=True):
            if name not in self.words:
                mean, divisor = self.numbers[name]
                numbers.append((value - mean) / divisor)
            elif value in self.words[name]:
                places.append(self.words[name].index(value))
            else:
                raise DataError(
                    f"{series.origin}: series {series.name}: column '{name}' holds '{value}', which training never saw"
                    f"{self._known(name)}"
                )
        return numbers, places

    def _known(self, name: str) -> str:
        words = self.words[name]
        return f". Known: {', '.join(words[:8])}{', ...' if len(words) > 8 else ''}."

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "numbers": {k: list(v) for k, v in self.numbers.items()},
            "words": {k: [*v] for k, v in self.words.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Beside:
        """The inverse. Raises KeyError, TypeError or ValueError for anything else."""
        numbers = {str(k): (float(a), float(b)) for k, (a, b) in data["numbers"].items()}
        if not all(np.isfinite([a, b]).all() and b > 0 for a, b in numbers.values()):
            raise ValueError("scales of columns")
        return cls(numbers, {str(k): tuple(map(str, v)) for k, v in data["words"].items()})


def _at(series: Series, step: int, name: str) -> str:
    stamp = series.clock.written(step, step + 1)[0]
    return f"{series.origin}: series {series.name}, {stamp}: column '{name}'"


def _mean_and_divisor(column: NDArray[Any]) -> tuple[float, float]:
    there = column[~np.isnan(column)]
    if not len(there):
        return 0.0, 1.0
    mean, deviation = float(there.mean()), float(there.std())
    return mean, deviation if deviation > LEAST * abs(mean) else 1.0


@dataclass(frozen=True, slots=True)
class Levels:
    """Shift, divisor and deviation of each target of a series, (D,) each, from what was before its first cut."""

    shift: tuple[float, ...]
    scale: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def of(cls, values: Floats, how: Scaling) -> Levels:
        """Of values (T, D)."""
        shift, scale = moments(values[None], how)
        _, deviation = moments(values[None], "standard")
        return cls(*(tuple(one[0].tolist()) for one in (shift, scale, deviation)))


def levels_of(rows: Sequence[tuple[Series, int]], horizon: int, how: Scaling) -> dict[str, Levels]:
    """Those of series that are learned from, each up to the step where that ends, which is behind one forecast.

    By name; of series that share one, as all of a file without a column of names do, by how they begin. Of those that
    begin alike too there are none.
    """
    named = Counter(series.name for series, _ in rows)
    keys = [one.name if named[one.name] == 1 else one.beginning(horizon + 1) for one, _ in rows]
    times = Counter(keys)
    return {
        key: Levels.of(series.values[:end], how)
        for key, (series, end) in zip(keys, rows, strict=True)
        if times[key] == 1
    }


def known_levels(levels: Mapping[str, Levels], series: Series, horizon: int) -> Levels | None:
    """Those of a series, as `levels_of` found them; None for one that training did not have."""
    return levels.get(series.name) or levels.get(series.beginning(horizon + 1))


def stored(
    rows: Sequence[tuple[Series, int]],
    columns: Columns,
    beside: Beside,
    *,
    calendar: Sequence[str],
    horizon: int,
    missing: Missing,
    levels: Mapping[str, Levels],
    scaling: Scaling,
) -> Store:
    """Series as one array. rows: each with the step where what may be learned from ends

    levels: of series that training had (`levels_of`); others have those of their own steps before that one
    Raises DataError, with series and stamp, for what beside the targets cannot be used, and where stamps end before a
    forecast does.
    """
    parts: dict[str, list[Any]] = {name: [] for name in ("values", "known", "past", "static", "categories")}
    found = []
    for series, end in rows:
        total = series.length + horizon
        _refuse_no_stamps(series, total)
        known = beside.columns(series, columns.future, series.known, missing)
        calendar_part = calendar_features(series.clock, 0, total, calendar)
        parts["values"].append(_longer(series.values, total))
        parts["known"].append(np.concatenate([calendar_part, _longer(known, total)], 1))
        past = beside.columns(series, columns.past, series.past, missing)
        parts["past"].append(_longer(past, total))
        numbers, places = beside.static(series, columns)
        parts["static"].append(numbers)
        parts["categories"].append(places)
        found.append(known_levels(levels, series, horizon) or Levels.of(series.values[:end], scaling))
    lengths = np.array([series.length for series, _ in rows], np.int64)
    ends = np.cumsum(lengths + horizon)
    return Store(
        values=np.concatenate(parts["values"]),
        known=np.concatenate(parts["known"]),
        past=np.concatenate(parts["past"]),
        offsets=ends - lengths - horizon,
        lengths=lengths,
        static=np.array(parts["static"], np.float32).reshape(len(rows), -1),
        categories=np.array(parts["categories"], np.int64).reshape(len(rows), -1),
        shift=np.array([one.shift for one in found]),
        scale=np.array([one.scale for one in found]),
        deviation=np.array([one.deviation for one in found]),
        names=tuple(series.name for series, _ in rows),
        clocks=tuple(series.clock for series, _ in rows),
        origins=tuple(series.origin for series, _ in rows),
    )


def _refuse_no_stamps(series: Series, total: int) -> None:
    """Raise DataError where there are no stamps for all steps of a series and of a forecast behind it."""
    if series.clock.reaches(total):
        return
    dated = series.clock.form.kind != "number"
    last = series.clock.written(series.length - 1, series.length)[0]
    raise DataError(
        f"{series.origin}: series {series.name}: a forecast of {total - series.length} steps behind {last} ends behind "
        f"{'the year 9999' if dated else f'the largest whole number, {NUMBERS_END - 1}'}; correct the stamps."
    )


def _longer(part: NDArray[Any], total: int) -> NDArray[Any]:
    """With NaN behind its end, or cut to so many steps."""
    if len(part) >= total:
        return part[:total]
    return np.concatenate([part, np.full((total - len(part), part.shape[1]), np.nan, part.dtype)])
