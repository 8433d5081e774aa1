"""Forecasting: what a series was, step by step, to what it will be, in the units of the data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.base.answers import AnswerKind, Forecast
from recurra.base.contracts import Batch, Loss, Prediction, Record, Score, Table
from recurra.base.errors import DataError
from recurra.data.preparing import IN_MEMORY, Means
from recurra.losses import fixed_sum
from recurra.losses.forecasts import KINDS, Kind
from recurra.metrics import Compared
from recurra.metrics.forecasting import Truth, forecast_scores, path_scores
from recurra.report import Chart
from recurra.tasks.contract import WatchedSeries
from recurra.tasks.explanation import ExplanationTarget
from recurra.tasks.forecasting.baselines import compared
from recurra.tasks.forecasting.beside import stored
from recurra.tasks.forecasting.conformal import Conformal
from recurra.tasks.forecasting.explain import explained
from recurra.tasks.forecasting.fitted import Fitted
from recurra.tasks.forecasting.naive import Past, seasonal_naive
from recurra.tasks.forecasting.paths import drawn_paths
from recurra.tasks.forecasting.said import Forecasts, Said
from recurra.tasks.forecasting.sampler import WindowSampler, rows_of
from recurra.tasks.forecasting.series import Series
from recurra.tasks.forecasting.tables import forecast_charts, forecast_tables
from recurra.tasks.forecasting.watching import forecast_errors, watched_series
from recurra.tasks.forecasting.windows import Floats, Gathered, Ints, Window, Windows, gathered, together

if TYPE_CHECKING:
    from recurra.tasks.forecasting.config import ForecastingConfig, SeriesRow

NOTE = "no observed value"


def usable(rows: Iterable[SeriesRow], horizon: int) -> list[tuple[Series, int]]:
    """Series with the step up to which they are learned from, of which a window is left."""
    ends = [(row.series, row.series.length if row.end is None else row.end) for row in rows]
    return [(series, end) for series, end in ends if end > horizon]


def _num_series(examples: Sequence[Window]) -> tuple[int, int]:
    """Series with a window among these, and all series of their stores."""
    if isinstance(examples, Windows):
        return len(np.unique(examples.places)), len(examples.store.lengths)
    stores = {id(one.store): len(one.store.lengths) for one in examples}
    return len({(id(one.store), one.place) for one in examples}), sum(stores.values())


class Forecasting:
    """Five verbs between the data and the model: example, collate, loss, predict, score."""

    answer_kind: ClassVar[AnswerKind] = "forecast"
    input_key: ClassVar[str] = ""
    # A back-test has thousands of windows of a few numbers a step: what a batch costs apart from its rows counts.
    answer_batch: ClassVar[tuple[int, int]] = (65_536, 1024)

    def __init__(
        self, plan: ForecastingConfig, fitted: Fitted, conformal: Conformal | None = None, *, left_out: int = 0
    ) -> None:
        """left_out: series of training that are too short for a window"""
        self.plan, self.fitted, self.intervals, self.left_out = plan, fitted, conformal, left_out
        self.kind: Kind = KINDS[plan.loss](plan.levels)
        self.reading = fitted.reading(plan)

    @property
    def loss_unit(self) -> str:
        """What the loss is measured in."""
        return self.kind.unit

    @property
    def model_sizes(self) -> Mapping[str, int]:
        """What a model has to know of the data."""
        return self.fitted.sizes(self.plan, self.kind.size)

    @property
    def trial_fields(self) -> Mapping[str, Any]:
        """A series of three steps, and what is known of those to come."""
        return self.fitted.trial(self.plan)

    # -- the verbs that read ----------------------------------------------------------------------------------------

    def example(self, record: Record, *, gold: bool = True) -> Window:
        """A record as a window: with `gold` its last steps are to be forecast, without it what follows them.

        Raises DataError, with row, series and stamp, for what cannot be used, and for what is missing of the future;
        with `gold` for a series that is too short.
        """
        row = self.plan.read(record, self.fitted.frequency)
        if gold:
            if not row.cuts(self.plan.horizon):
                raise DataError(
                    f"{row.origin}: series {row.series.name} is too short: it has {row.series.length:,} steps and "
                    f"needs {self._needed('dev')}."
                )
            return self.examples([row])[0]
        self.refuse_unknown_future(row.series)
        return self.window_ahead(row.series)

    def examples(self, rows: Iterable[SeriesRow], means: Means = IN_MEMORY) -> Windows:
        """The windows of series at their cuts."""
        some = list(rows)
        cuts = [row.cuts(self.plan.horizon) for row in some]
        found = [(row.series, min(each, default=0)) for row, each in zip(some, cuts, strict=True)]
        places = np.repeat(np.arange(len(some)), [len(each) for each in cuts])
        return self.windows_of(found, places, np.concatenate([np.zeros(0, np.int64), *cuts]), gold=True)

    def training_examples(self, rows: Iterable[SeriesRow], means: Means = IN_MEMORY) -> Iterator[Window]:
        """The windows of series that are learned from, wherever they would be cut to be forecast."""
        return iter(self.training_windows(usable(rows, self.plan.horizon)))

    def training_windows(self, rows: Sequence[tuple[Series, int]]) -> list[Window]:
        """One for each series: its last one that may be learned from, which stands for all before it."""
        h = self.plan.horizon
        found = self.windows_of(rows, np.arange(len(rows)), np.array([end - h for _, end in rows], np.int64), gold=True)
        return [
            replace(one, first=min(self.reading.context, one.cut), identity=series.digest(end))
            for one, (series, end) in zip(found, rows, strict=True)
        ]

    def window_ahead(self, series: Series) -> Window:
        """The window of all that is known of a series, behind which nothing is."""
        end = np.array([series.length], np.int64)
        return self.windows_of([(series, series.length)], np.zeros(1, np.int64), end, gold=False)[0]

    def windows_of(self, rows: Sequence[tuple[Series, int]], places: Ints, cuts: Ints, *, gold: bool) -> Windows:
        """The windows of series before cuts, (N,) each. rows: series, each with the end of what is known of it"""
        plan = self.plan
        store = stored(
            rows,
            plan.columns,
            self.fitted.beside,
            calendar=self.fitted.calendar,
            horizon=plan.horizon,
            missing=plan.missing,
            levels=self.fitted.levels,
            scaling=plan.scaling,
        )
        # What is only answered is never compared with anything, and a digest of it takes 0.1 ms.
        seen = tuple(series.digest(series.length) if gold else b"" for series, _ in rows)
        there = cuts >= 0
        return Windows(store, places[there], cuts[there], self.reading.context, gold, seen)

    def refuse_unknown_future(self, series: Series) -> None:
        """Raise DataError, with series and stamp, where what is known of the future ends before a forecast does."""
        h, T = self.plan.horizon, series.length
        for name, column in zip(self.plan.future, series.known, strict=True):
            ahead = column[T : T + h]
            there = [one is not None and one == one for one in ahead]
            if len(there) == h and all(there):
                continue
            step = T + (there.index(False) if False in there else len(there))
            stamp = series.clock.written(step, step + 1)[0]
            lacking = h - sum(there)
            raise DataError(
                f"{series.origin}: series {series.name}, {stamp}: column '{name}' has no value, and a forecast of {h} "
                f"steps needs it; {lacking:,} {'is' if lacking == 1 else 'are'} missing. Add rows behind the last "
                "target, with the target empty."
            )

    def sampler(self, examples: Sequence[Window], *, batch_tokens: int, batch_rows: int, seed: int) -> WindowSampler:
        """Windows of all series, drawn anew in each epoch where the config says how many."""
        store = examples[0].store
        places = np.array([one.place for one in examples], np.int64)

        def batch(series: Ints, cuts: Ints, angles: Floats | None) -> Batch:
            found = gathered(store, places[series], cuts, self.reading, angles)
            return self.batch_of(found, tuple(series.tolist()), gold=True)

        return WindowSampler(
            np.array([one.first for one in examples], np.int64),
            np.array([one.cut for one in examples], np.int64),
            self.plan.windows,
            batch,
            rows_of(batch_rows, batch_tokens, self.reading.context),
            seed,
            self.plan.rotate,
        )

    def collate(self, examples: Sequence[Window], indices: Sequence[int]) -> Batch:
        """features (T, N, F) and future (h, N, G), zero where padded or missing; targets where all are known."""
        found = gathered(*together(examples), self.reading)
        gold = examples.gold if isinstance(examples, Windows) else all(one.gold for one in examples)
        return self.batch_of(found, tuple(indices), gold=gold)

    def batch_of(self, found: Gathered, indices: tuple[int, ...], *, gold: bool) -> Batch:
        inputs = {
            "features": torch.from_numpy(found.features),
            "future": torch.from_numpy(found.future),
            "categories": torch.from_numpy(found.categories),
            "shift": torch.from_numpy(found.shift),
            "scale": torch.from_numpy(found.scale),
            "base": torch.from_numpy(found.base),
        }
        targets = {}
        if gold:
            wanted = found.scaled_truth.transpose(1, 0, 2)
            there = ~np.isnan(wanted)
            targets = {
                "values": torch.from_numpy(np.where(there, wanted, 0.0).astype(np.float32)),
                "there": torch.from_numpy(np.ascontiguousarray(there)),
            }
        return Batch(inputs, torch.from_numpy(found.lengths), targets, indices)

    # -- the verbs that say ----------------------------------------------------------------------------------------

    def loss(self, prediction: Prediction, batch: Batch) -> Loss:
        """What the forecast of each target costs, in scaled units; counted in targets that were observed."""
        numbers, there = prediction.outputs["numbers"], batch.targets["there"]
        scale = batch.inputs["scale"].to(numbers.dtype).unsqueeze(0)
        costs = self.kind.loss(numbers, batch.targets["values"], scale.expand_as(there))
        return Loss(fixed_sum(torch.where(there, costs, 0.0)), int(there.sum()))

    def predict(self, model: torch.nn.Module, batch: Batch, examples: Sequence[Window]) -> Forecasts:
        """Forecasts in the units of the data."""
        numbers = model(batch).outputs["numbers"].double().cpu().numpy().swapaxes(0, 1)
        base, shift, scale = (batch.inputs[name].cpu().numpy() for name in ("base", "shift", "scale"))
        point = (self.kind.point(numbers) + base) * scale[:, None] + shift[:, None]
        quantiles = self._quantiles(numbers, point, base, shift, scale)
        return Forecasts(point, quantiles, scale, self._paths(numbers, base, shift, scale))

    def joined_outputs(self, parts: Sequence[Forecasts], order: Ints) -> Forecasts:
        """The forecasts of several batches as one sequence."""
        return Forecasts.joined(parts, order)

    def _quantiles(
        self, numbers: Floats, point: Floats, base: Floats, shift: Floats, scale: Floats
    ) -> NDArray[np.float64] | None:
        """(N, h, D, Q): those of the loss, or of the errors on dev; None where neither has any."""
        if self.plan.interval_kind == "conformal":
            return None if self.intervals is None else self.intervals.around(point, scale)
        if self.plan.interval_kind == "none":
            return None
        wide = np.broadcast_to(scale[:, None], point.shape)
        found = self.kind.quantiles(numbers, self.plan.levels, wide)
        return np.asarray((found + base[..., None]) * scale[:, None, :, None] + shift[:, None, :, None])

    def _paths(self, numbers: Floats, base: Floats, shift: Floats, scale: Floats) -> Floats | None:
        """(N, K, h, D) in the units of the data; None where the config wants none."""
        if not self.plan.paths:
            return None
        wide = np.broadcast_to(scale[:, None], base.shape)
        found = drawn_paths(lambda levels: self.kind.quantiles(numbers, levels, wide), self.plan.paths, base.shape[2])
        return np.asarray((found + base[:, None]) * scale[:, None, None] + shift[:, None, None])

    def conformed(self, outputs: Sequence[Said], examples: Sequence[Window]) -> Forecasting:
        """The task with intervals by the errors of these forecasts; itself where the config wants none such."""
        if self.plan.interval_kind != "conformal":
            return self
        said = Forecasts.of(outputs)
        error = self._truth(examples).values - said.point
        return Forecasting(self.plan, self.fitted, Conformal.of(error / said.scale[:, None], self.plan.levels))

    @property
    def conformal(self) -> str:
        """How intervals came about, as a sentence; "" where they are the model's own."""
        return "" if self.intervals is None else self.intervals.sentence

    def score(self, outputs: Sequence[Said], examples: Sequence[Window], split: str) -> tuple[Score, ...]:
        """Errors of points, in the units of the data and beside naive forecasts; of quantiles where there are some."""
        said = Forecasts.of(outputs)
        return self.scores_of(said.point, said.quantiles, examples, split, said.paths)

    def scores_of(
        self,
        point: Floats,
        quantiles: Floats | None,
        examples: Sequence[Window],
        split: str,
        paths: Floats | None = None,
    ) -> tuple[Score, ...]:
        """The scores of forecasts as arrays. paths: (N, K, h, D), of which the best counts"""
        store, series, cuts = together(examples)
        past = Past(store, self.reading.season)
        reference = seasonal_naive(past, series, cuts, self.plan.horizon)
        truth = self._truth(examples, past)
        found = forecast_scores(truth, point, quantiles, self.plan.levels, split=split, reference=reference)
        if not self.plan.coordinates:
            return found
        return (*path_scores(truth.values, point, paths, split=split), *found)

    def _truth(self, examples: Sequence[Window], past: Past | None = None) -> Truth:
        """past: of the store of these windows, where it is at hand"""
        store, series, cuts = together(examples)
        rows = store.offsets[series][:, None] + cuts[:, None] + np.arange(self.plan.horizon)
        naive = (past or Past(store, self.reading.season)).naive_error(series, cuts)
        return Truth(store.values[rows], naive, store.deviation[series], self.reading.season)

    def filter(self, examples: Sequence[Window], split: str) -> tuple[Sequence[Window], tuple[str, ...]]:
        """All of them; series that are too short for any are told of."""
        needed = f"a series needs {self._needed(split)}."
        if not examples:
            return examples, (f"{split}: no series is long enough: {needed}",)
        found, stored_series = _num_series(examples)
        lost = self.left_out if split == "train" else stored_series - found
        if not lost:
            return examples, ()
        return examples, (f"{split}: {lost:,} of {found + lost:,} series are too short and left out: {needed}",)

    def _needed(self, split: str) -> str:
        """The steps of a series that has a window in a split that is a file."""
        h, context = self.plan.horizon, self.plan.context
        if split != "train" and self.plan.origins == "every" and context is not None:
            return f"the {context + h:,} steps of a context and a forecast"
        return f"the {h + 1:,} steps of a forecast and one before it"

    @property
    def usual_score(self) -> str:
        """The score that chooses the best epoch unless the config names another."""
        if self.plan.coordinates:
            return "ade"
        return "wql" if self.plan.interval_kind == "own" else "mase"

    def possible_scores(self, examples: Sequence[Window]) -> tuple[Score, ...]:
        """The scores that these windows can have, with those of the mean of all that is read, again and again."""
        store, series, cuts = together(examples)
        found = gathered(store, series, cuts, replace(self.reading, scaling="standard", whole=False))
        point = np.repeat(found.shift[:, None], self.plan.horizon, 1)
        own = self.plan.interval_kind == "own"
        quantiles = np.repeat(point[..., None], len(self.plan.levels), 3) if own else None
        return self.scores_of(point, quantiles, examples, "dev")

    # -- for predict -----------------------------------------------------------------------------------------------

    def warnings(self, outputs: Sequence[Said], examples: Sequence[Window]) -> tuple[str, ...]:
        """Series without any value in the steps that are read, and those that lack one target alone."""
        found: dict[str, list[Window]] = {}
        for one in examples:
            if (blank := one.blank_targets).any():
                found.setdefault("any target" if blank.all() else self._names_of(blank), []).append(one)
        return tuple(
            f"{len(some)} of {len(examples)} series have no observed value of {names} in the steps that are read; the "
            f"first: {some[0].origin}."
            for names, some in found.items()
        )

    def _names_of(self, targets: NDArray[np.bool_]) -> str:
        names = self.plan.columns.target
        return ", ".join(name for name, one in zip(names, targets, strict=True) if one)

    def _note_of(self, example: Window) -> str | None:
        blank = example.blank_targets
        if not blank.any():
            return None
        return NOTE if blank.all() else f"{NOTE} of {self._names_of(blank)}"

    def answer(self, example: Window, output: Said) -> Forecast:
        """The forecast of a series: a value for each stamp, and one for each level beside."""
        h = self.plan.horizon
        columns: dict[str, tuple[float, ...]] = {}
        for d, name in enumerate(self.plan.columns.target):
            columns[name] = tuple(output.point[:, d].tolist())
            if output.quantiles is not None:
                for q, level in enumerate(self.plan.levels):
                    columns[f"{name}_q{level:g}"] = tuple(output.quantiles[:, d, q].tolist())
        stamps = example.store.clocks[example.place].written(example.cut, example.cut + h)
        return Forecast(example.name, tuple(stamps), columns, self._note_of(example))

    def explain(self, model: torch.nn.Module, example: Window, device: torch.device) -> ExplanationTarget:
        """What each step and each column adds to the mean of the forecast."""
        return explained(self, model, example, device)

    # -- for detect ------------------------------------------------------------------------------------------------

    whole: ClassVar[bool] = False

    @property
    def judged(self) -> tuple[int, int]:
        """The steps that are read, and those of a forecast."""
        return self.reading.context, self.plan.horizon

    def watched(self, record: Record, label: str | None = None) -> WatchedSeries:
        """A series whose forecasts, from one step after the other, are compared with what came."""
        return watched_series(self, record, label)

    def step_errors(
        self, model: torch.nn.Module, series: WatchedSeries, starts: Ints, device: torch.device
    ) -> NDArray[np.float64]:
        """(N, h, D) sizes of the errors of forecasts that begin at these steps, in the units of the data."""
        return forecast_errors(self, model, series, starts, device)

    # -- for reports -----------------------------------------------------------------------------------------------

    def tables(self, outputs: Sequence[Said], examples: Sequence[Window]) -> tuple[Table, ...]:
        """What each score is, errors by step, the worst series, what is left in the residuals."""
        return forecast_tables(self, outputs, examples)

    def charts(self, outputs: Sequence[Said], examples: Sequence[Window]) -> tuple[Chart, ...]:
        """The worst, the median and the best series, errors by step, autocorrelation of residuals."""
        return forecast_charts(self, outputs, examples)

    def baselines(self, train: Sequence[Window], splits: Mapping[str, Sequence[Window]]) -> Compared:
        """The last value, the seasonal naive forecast and the drift, on the same windows."""
        return compared(self, splits)

    def facts(self, splits: Mapping[str, Sequence[Window]]) -> dict[str, str | int | float]:
        """The grid of time, what is read, and sizes by split."""
        found: dict[str, str | int | float] = {
            "frequency": self.fitted.frequency.word,
            "season": f"{self.reading.season} steps, for MASE and the seasonal naive forecast",
            "horizon": self.plan.horizon,
            "context": self.reading.context,
        }
        for name, examples in splits.items():
            found[f"{name} series"] = _num_series(examples)[0]
            if name == "train":
                found["train windows"] = sum(one.cut - one.first + 1 for one in examples)
            else:
                found[f"{name} forecasts"] = len(examples)
        return found

    def to_json(self) -> dict[str, Any]:
        """What a run folder must hold to read and answer as in training."""
        return {**self.fitted.to_json(), "intervals": None if self.intervals is None else self.intervals.to_json()}
