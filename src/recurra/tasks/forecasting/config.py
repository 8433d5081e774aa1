"""What a config says of forecasts, before any data is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.base.option import Opt
from recurra.data.calendar import FEATURES, Frequency, frequency_of, zone_of
from recurra.data.fields import Field
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.splits import TimeSplit
from recurra.losses.forecasts import KINDS
from recurra.tasks.contract import Needs, Suggestion
from recurra.tasks.forecasting.columns import suggested
from recurra.tasks.forecasting.conformal import Conformal
from recurra.tasks.forecasting.fitted import Fitted
from recurra.tasks.forecasting.scaling import Scaling
from recurra.tasks.forecasting.series import Columns, Missing, Series, read_series
from recurra.tasks.forecasting.sizing import sized
from recurra.tasks.forecasting.task import Forecasting, usable
from recurra.tasks.forecasting.windows import Window
from recurra.tasks.sizing import Choice, Options, Seen

Names = str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """A series, and the part of it that a split has.

    end: steps that may be learned from, None: all      at: steps before each forecast, None: before the last one
    """

    series: Series
    end: int | None = None
    at: range | None = None

    @property
    def origin(self) -> Origin:
        return self.series.origin

    @property
    def key(self) -> str:
        return self.series.name

    @property
    def stratum(self) -> str:
        return ""

    def cuts(self, horizon: int) -> range:
        """Steps before each forecast, those of at least one step."""
        last = self.series.length - horizon
        found = range(last, last + 1) if self.at is None else self.at
        return (
            range(max(found.start, found.start % found.step or found.step), found.stop, found.step)
            if found.start < 1
            else found
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ForecastingConfig:
    """What follows the last step of a series of numbers: sales, loads, sensors; with intervals."""

    needs: ClassVar = Needs(
        "forecaster",
        {
            "encoder": ("recurrent", "convolutional", "identity", "transformer"),
            "head": ("direct", "decoder", "segments", "recursive"),
        },
    )

    target: Annotated[Names, Opt("column of numbers to forecast, or several, which are read together", named=True)] = (
        "value"
    )
    time: Annotated[str | None, Opt("column of stamps or whole numbers; null: 0, 1, 2, ...", named=True)] = None
    id: Annotated[Names, Opt("columns that name a series; as in data.layout", named=True)] = ()
    future: Annotated[Names, Opt("columns that are known of the future too: holidays, prices, plans", named=True)] = ()
    past: Annotated[Names, Opt("columns that are known of the past alone: weather, other series", named=True)] = ()
    static: Annotated[Names, Opt("columns that are the same in all steps of a series: shop, region", named=True)] = ()
    categories: Annotated[Names, Opt("columns of future, past and static that hold words", named=True)] = ()
    frequency: Annotated[
        str | None, Opt("of the steps: h, D, W, MS, 15min, ... or a whole number; null: as the stamps are apart")
    ] = None
    time_zone: Annotated[
        str | None, Opt("zone of the calendar, and of stamps without offset, such as Europe/Berlin; null: UTC")
    ] = None
    horizon: Annotated[int, Opt("steps of a forecast", ge=1, le=100_000)] = 12
    context: Annotated[
        int | None, Opt("steps that are read; null: three horizons, two seasons at least", ge=1, le=1_000_000)
    ] = None
    season: Annotated[
        int | None, Opt("steps until what is seen repeats; null: by the frequency (h 24, D 7, MS 12)", ge=1)
    ] = None
    lags: Annotated[
        tuple[int, ...] | None, Opt("values so many steps back, read beside each step; null: a season", ge=1)
    ] = None
    calendar: Annotated[
        tuple[str, ...] | None,
        Opt("features of a step's date; null: by the frequency", choices=FEATURES),
    ] = None
    scaling: Annotated[
        Scaling,
        Opt(
            "standard: by mean and deviation; revin: and by gains that are learned; robust: by median and quartiles; "
            "mean: by the mean size, no shift"
        ),
    ] = "standard"
    scaling_over: Annotated[
        Literal["window", "series"],
        Opt("what is scaled by: the window that is read, or all steps of the series before its first cut"),
    ] = "window"
    base: Annotated[
        Literal["none", "last", "velocity", "season"],
        Opt(
            "what a forecast is a difference from: last, the last value; velocity, on from it by the last step; season"
        ),
    ] = "none"
    missing: Annotated[
        Missing, Opt("steps and numbers that are missing; mask: read as 0, with a mark beside of what is there")
    ] = "refuse"
    loss: Annotated[str, Opt("what training minimises, and what a forecast is", choices=KINDS)] = "quantiles"
    levels: Annotated[
        tuple[float, ...], Opt("levels of the quantiles of an answer, rising, 0.5 among them", gt=0, lt=1)
    ] = (0.1, 0.5, 0.9)
    intervals: Annotated[
        Literal["own", "conformal", "none"] | None,
        Opt("quantiles of an answer: own, of the loss; conformal, by errors on dev; null: own where the loss has them"),
    ] = None
    coordinates: Annotated[
        bool, Opt("targets are the coordinates of one position: scores ade and fde, and constant velocity beside")
    ] = False
    differences: Annotated[bool, Opt("the difference from the step before is read in place of each value")] = False
    rotate: Annotated[bool, Opt("each training window is turned by an angle of its own, in every epoch")] = False
    paths: Annotated[
        int | None, Opt("paths drawn of each forecast, the best of which counts in min_ade and min_fde", ge=1, le=1000)
    ] = None
    origins: Annotated[
        Literal["last", "every"],
        Opt("forecasts of a series in a file of dev or test: last, its last one; every, one from each step on"),
    ] = "last"
    windows: Annotated[
        int | None, Opt("training windows of an epoch, drawn from each series alike; null: all there are", ge=1)
    ] = None

    def __post_init__(self) -> None:
        kind = KINDS[self.loss](self.levels if 0.5 in self.levels else (0.5,))
        problems = [*self._of_columns(), *self._of_levels()]
        for check in (lambda: self.zone, lambda: self.steps):
            try:
                check()
            except ConfigError as error:
                problems += error.problems
        if kind.counts and self.scaling not in ("mean", "none"):
            problems.append(f"scaling: loss {self.loss} counts from 0 on; expected mean or none, got {self.scaling}.")
        if kind.counts and self.base != "none":
            problems.append(f"base: loss {self.loss} counts from 0 on, and a difference may be below; expected none.")
        if self.intervals == "own" and not kind.has_quantiles:
            problems.append(f"intervals: loss {self.loss} is of points, with no quantiles; expected conformal or none.")
        if self.scaling == "revin" and self.scaling_over != "window":
            problems.append("scaling_over: scaling revin is of the window that is read; take standard, or window.")
        if self.scaling == "none" and self.scaling_over != "window":
            problems.append("scaling_over: has no effect with scaling: none; leave it out.")
        problems += self._of_positions()
        if problems:
            raise ConfigError(problems)

    def _of_positions(self) -> list[str]:
        found, D = [], len(self.columns.target)
        if self.coordinates and D < 2:
            found.append(f"coordinates: a position has two targets or more, such as [x, y]; got {D}.")
        if self.rotate and not (self.coordinates and D == 2):
            found.append("rotate: turns positions x, y; expected coordinates: true and two targets.")
        if self.rotate and self.scaling_over == "series":
            found.append("rotate: a window that is turned has no scale of its series; expected scaling_over: window.")
        if self.paths and not self.coordinates:
            found.append(
                "paths: the best of them counts in scores of positions; set coordinates: true or leave it out."
            )
        if self.paths and self.loss not in ("gaussian", "student_t"):
            found.append(f"paths: are drawn from loss gaussian or student_t, got {self.loss}.")
        if self.origins == "every" and self.context is None:
            found.append("origins: every needs the steps that are read before the first forecast; set task.context.")
        return found

    def _of_columns(self) -> list[str]:
        columns, found = self.columns, []
        if not columns.target:
            found.append("target: expected a column of numbers, got none.")
        roles = (*columns.steps, *columns.static, *((columns.time,) if columns.time else ()))
        if twice := sorted({name for name in roles if roles.count(name) > 1}):
            found.append(
                f"target, time, future, past, static: '{twice[0]}' is named twice; expected different columns."
            )
        if strange := [n for n in columns.categories if n not in (*columns.future, *columns.past, *columns.static)]:
            found.append(f"categories: '{strange[0]}' is none of future, past and static; name it there too.")
        return found

    def _of_levels(self) -> list[str]:
        levels = self.levels
        if list(levels) != sorted(set(levels)) or 0.5 not in levels:
            return [
                f"levels: expected rising numbers with 0.5 among them, such as [0.1, 0.5, 0.9], got {list(levels)}."
            ]
        return []

    @property
    def columns(self) -> Columns:
        """Which fields of a record are what."""
        names = (self.target, self.id, self.future, self.past, self.static, self.categories)
        target, id_, future, past, static, words = ((one,) if isinstance(one, str) else tuple(one) for one in names)
        return Columns(target, self.time, id_, future, past, static, words)

    @property
    def zone(self) -> ZoneInfo | None:
        """The zone of the calendar. Raises ConfigError for one that is not known."""
        return zone_of(self.time_zone)

    @property
    def steps(self) -> Frequency | None:
        """The frequency that the config names. Raises ConfigError for an unknown word."""
        return None if self.frequency is None else frequency_of(self.frequency)

    @property
    def fed(self) -> int:
        """The place of a target's value among the numbers that a model says of it; -1 where none is its value."""
        kind = KINDS[self.loss](self.levels)
        if kind.counts or self.base in ("season", "velocity") or self.differences:
            return -1
        return self.levels.index(0.5) if self.loss == "quantiles" else 0

    @property
    def interval_kind(self) -> str:
        """own, conformal or none."""
        if self.intervals is not None:
            return self.intervals
        return "own" if KINDS[self.loss]((0.5,)).has_quantiles else "conformal"

    @property
    def inputs(self) -> tuple[Field, ...]:
        """The columns of numbers that are forecast, and what is beside them."""
        columns = self.columns
        numbers = [Field(name, "numbers") for name in columns.steps if name not in columns.categories]
        return tuple(numbers)

    @property
    def step_fields(self) -> tuple[str, ...]:
        """Each row of a file in long form is a step."""
        return self.columns.steps

    @property
    def fields(self) -> tuple[str, ...]:
        """Columns that data must have."""
        columns = self.columns
        time = () if columns.time is None else (columns.time,)
        return (*columns.target, *time, *columns.future, *columns.past, *columns.static)

    @property
    def splits(self) -> tuple[str, ...]:
        """Every series is cut in time."""
        return ("time",)

    @property
    def smallest_sizes(self) -> Mapping[str, int]:
        """`model_sizes` of the smallest data there is."""
        D = len(self.columns.target)
        numbers = KINDS[self.loss](self.levels).size
        words = sum(name in self.columns.categories for name in self.columns.static)
        return {
            "features": D,
            "future": 0,
            "horizon": self.horizon,
            "targets": D,
            "numbers": numbers,
            "categories": words,
            **{f"category_{k}": 1 for k in range(words)},
            "fed": self.fed,
        }

    @classmethod
    def suggested(cls, rows: Sequence[Record], file: Path) -> Suggestion:
        """Options for a file, from its first rows. Raises DataError if no column holds numbers."""
        return suggested(rows, file)

    @classmethod
    def sized(cls, options: Options, seen: Seen) -> list[Choice]:
        """Choices by the size of the data: options of any section, with the reason for each."""
        return sized(options, seen)

    def read(self, record: Record, frequency: Frequency | None = None) -> SeriesRow:
        """A record as a series. frequency: of a run; None: the config's, or what its stamps say

        Raises DataError, with row, series and stamp, for what cannot be used.
        """
        found = frequency or self.steps
        series = read_series(record, self.columns, frequency=found, zone=self.time_zone, missing=self.missing)
        last = series.length - self.horizon
        every = range(self.context or last, last + 1) if self.origins == "every" else None
        return SeriesRow(series, at=every)

    def cut(
        self, rows: Sequence[SeriesRow], rule: TimeSplit, note: Callable[[str], None]
    ) -> dict[str, list[SeriesRow]]:
        """Every series cut in time: the rows of train, dev and test.

        Series too short for a split are left out of it, which is said. Raises DataError where none is long enough.
        """
        names = ("train", "dev", "test") if rule.makes_test else ("train", "dev")
        found: dict[str, list[SeriesRow]] = {name: [] for name in names}
        for row in rows:
            end, dev, test = rule.cuts(row.series.length, self.horizon)
            parts = {"train": SeriesRow(row.series, end), "dev": replace(row, at=dev), "test": replace(row, at=test)}
            for name in names:
                if end > self.horizon if name == "train" else parts[name].cuts(self.horizon):
                    found[name].append(parts[name])
        for name, some in found.items():
            if not some:
                longest = max(row.series.length for row in rows)
                raise DataError(
                    f"{name}: no series is long enough: the longest has {longest:,} steps, and a forecast of "
                    f"{self.horizon} needs {self._needed(rule)} for train, dev{' and test' * rule.makes_test}. Set a "
                    "shorter task.horizon, or fewer forecasts: data.split: {name: time, dev: 1, test: 0}."
                )
            if lost := len(rows) - len(some):
                note(f"{name}: {lost:,} of {len(rows):,} series are too short for it and left out.")
        return found

    def _needed(self, rule: TimeSplit) -> int:
        end, _, _ = rule.cuts(0, self.horizon)
        return self.horizon + 1 - end

    def fit(self, records: Sequence[Record], source: str) -> Forecasting:
        """The task from training records, as `fit_examples`."""
        return self.fit_examples([self.read(record) for record in records], source)[0]

    def fit_examples(
        self, rows: Sequence[SeriesRow], source: str, means: Means = IN_MEMORY
    ) -> tuple[Forecasting, list[Window]]:
        """What is learned from the beginning of each series, and their training windows.

        Raises DataError for a series of which no window is left, and for series of different frequencies.
        """
        found = usable(rows, self.horizon)
        if not found:
            raise DataError(
                f"{source}: no series has more than the {self.horizon} steps of a forecast. Set a shorter task.horizon."
            )
        self._refuse_negative(found)
        task = Forecasting(self, Fitted.of(self, found, source), left_out=len(rows) - len(found))
        return task, task.training_windows(found)

    def _refuse_negative(self, rows: Sequence[tuple[Series, int]]) -> None:
        if not KINDS[self.loss](self.levels).counts:
            return
        for series, end in rows:
            if (series.values[:end] < 0).any():
                raise DataError(
                    f"{series.origin}: series {series.name} holds a number under 0, and loss {self.loss} is of counts; "
                    "take student_t, gaussian or quantiles."
                )

    def restore(self, data: Mapping[str, Any], origin: str) -> Forecasting:
        """The task as a run folder holds it. Raises RunError that names `origin`."""
        try:
            fitted = Fitted.from_json(data)
            found = data["intervals"]
            intervals = None if found is None else Conformal.from_json(found, self.horizon, len(self.levels))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(f"{origin}: expected what was learned of series: {str(error)[:300]}.") from error
        return Forecasting(self, fitted, intervals)
