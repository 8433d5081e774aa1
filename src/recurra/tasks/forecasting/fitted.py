"""What is learned from training series before their first cut, and kept in a run's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recurra.base.errors import DataError
from recurra.data.calendar import Form, Frequency, usual_features
from recurra.data.calendar.grid import Clock
from recurra.losses.forecasts import KINDS
from recurra.tasks.forecasting.beside import Beside, Levels, levels_of
from recurra.tasks.forecasting.series import Series
from recurra.tasks.forecasting.windows import Reading

if TYPE_CHECKING:
    from recurra.tasks.forecasting.config import ForecastingConfig

# Seasons and horizons that are read where a config does not say how much.
HORIZONS = 3


@dataclass(frozen=True, slots=True)
class Fitted:
    """frequency: of all series      season: steps until what is seen repeats      levels: as `levels_of` finds them

    calendar: features of a step's date      form, first: of the first stamp of the first series, to try a model with
    """

    frequency: Frequency
    season: int
    calendar: tuple[str, ...]
    beside: Beside
    levels: Mapping[str, Levels]
    form: Form
    first: int

    @classmethod
    def of(cls, plan: ForecastingConfig, rows: Sequence[tuple[Series, int]], source: str) -> Fitted:
        """From series, each up to the step where what may be learned from ends.

        Raises DataError for series of different frequencies.
        """
        first = rows[0][0]
        for series, _ in rows:
            if series.clock.frequency != first.clock.frequency:
                raise DataError(
                    f"{series.origin}: series {series.name} has the frequency {series.clock.frequency.word}, series "
                    f"{first.name} {first.clock.frequency.word}; expected the same in all of {source}. Set "
                    "task.frequency, or train one run for each."
                )
        frequency = first.clock.frequency
        return cls(
            frequency,
            plan.season or frequency.season,
            usual_features(frequency) if plan.calendar is None else plan.calendar,
            Beside.fit(rows, plan.columns, source),
            levels_of(rows, plan.horizon, plan.scaling),
            first.clock.form,
            first.clock.first,
        )

    def reading(self, plan: ForecastingConfig) -> Reading:
        """How windows are read."""
        context = plan.context or max(HORIZONS * plan.horizon, 2 * self.season)
        lags = ((self.season,) if self.season > 1 else ()) if plan.lags is None else plan.lags
        return Reading(
            context,
            plan.horizon,
            lags,
            self.season,
            plan.scaling,
            plan.scaling_over == "series",
            plan.base,
            plan.missing == "mask",
            plan.differences,
        )

    def sizes(self, plan: ForecastingConfig, numbers: int) -> Mapping[str, int]:
        """What a model has to know."""
        columns, masked, D = plan.columns, plan.missing == "mask", len(plan.columns.target)
        lags = len(self.reading(plan).lags)
        static = [name for name in columns.static if name in columns.categories]
        ahead = (
            len(self.calendar)
            + self.beside.width(columns.future, masked)
            + D * lags
            + len(columns.static)
            - len(static)
        )
        return {
            "features": D * (1 + masked) + self.beside.width(columns.past, masked) + ahead,
            "future": ahead,
            "horizon": plan.horizon,
            "targets": D,
            "numbers": numbers,
            "past": self.beside.width(columns.past, masked),
            "fed": plan.fed,
            "gains": int(plan.scaling == "revin"),
            "masked": int(masked),
            "place": KINDS[plan.loss](plan.levels).place,
            "categories": len(static),
            **{f"category_{k}": len(self.beside.words[name]) for k, name in enumerate(static)},
        }

    def features(self, plan: ForecastingConfig) -> tuple[str, ...]:
        """What the numbers of a step are called, in their order; those that are known of the future come last."""
        columns, masked = plan.columns, plan.missing == "mask"
        return (
            *columns.target,
            *(f"{name} is there" for name in columns.target if masked),
            *self.beside.names(columns.past, masked),
            *self.calendar,
            *self.beside.names(columns.future, masked),
            *(f"{name} {lag} before" for lag in self.reading(plan).lags for name in columns.target),
            *(name for name in columns.static if name not in columns.categories),
        )

    def trial(self, plan: ForecastingConfig) -> dict[str, Any]:
        """Fields of a record that a model can answer: a few steps, and what is known of those to come."""
        columns, T = plan.columns, 3
        total = T + (plan.horizon if columns.future else 0)
        clock = Clock(self.frequency, self.first, self.form, plan.zone)
        found: dict[str, Any] = {name: [1.0] * T + [None] * (total - T) for name in columns.target}
        if columns.time is not None:
            found[columns.time] = clock.written(0, total)
        for name in (*columns.future, *columns.past, *columns.static):
            value: Any = (self.beside.words[name] or ("",))[-1] if name in self.beside.words else 0.0
            found[name] = value if name in columns.static else [value] * total
        return dict.fromkeys(columns.id, "a") | found

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "frequency": self.frequency.to_json(),
            "season": self.season,
            "calendar": list(self.calendar),
            "beside": self.beside.to_json(),
            "levels": {k: [list(v.shift), list(v.scale), list(v.deviation)] for k, v in self.levels.items()},
            "form": self.form.to_json(),
            "first": self.first,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Fitted:
        """The inverse. Raises KeyError, TypeError or ValueError for anything else."""
        levels = {str(k): Levels(*(tuple(map(float, part)) for part in v)) for k, v in data["levels"].items()}
        if not isinstance(data["season"], int) or data["season"] < 1 or not isinstance(data["first"], int):
            raise ValueError("season or first stamp")
        return cls(
            Frequency.from_json(data["frequency"]),
            data["season"],
            tuple(map(str, data["calendar"])),
            Beside.from_json(data["beside"]),
            levels,
            Form.from_json(data["form"]),
            data["first"],
        )
