"""Forecasting from records to forecasts: nothing of the future is read, whatever the options, and alone is as
together.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import torch

from recurra.api.inference import outputs
from recurra.api.prepare import examples_of
from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, DataError
from recurra.data.preparing import IN_MEMORY
from recurra.data.splits import TimeSplit
from recurra.data.store import lengths_of
from recurra.models import MODELS
from recurra.tasks.forecasting import Forecasting, ForecastingConfig
from recurra.tasks.forecasting.config import SeriesRow
from recurra.tasks.forecasting.naive import Past, drift, last_value, seasonal_naive
from recurra.tasks.forecasting.scaling import moments
from recurra.tasks.forecasting.windows import Window, gathered, together

CPU = torch.device("cpu")
H = 3


def record(name: str = "a", T: int = 40, seed: int = 0, more: int = 0, **fields: Any) -> Record:
    rng = np.random.default_rng(seed)
    values = (10 + 3 * np.sin(np.arange(T) * 2 * np.pi / 6) + rng.normal(0, 0.3, T)).tolist()
    found: dict[str, Any] = {"id": name, "time": list(range(T + more)), "y": values + [None] * more}
    found["promo"] = [float(k % 3 == 0) for k in range(T + more)]
    found["day"] = ["weekend" if k % 6 > 3 else "work" for k in range(T + more)]
    found["rain"] = rng.normal(size=T + more).tolist()
    found["shop"] = "big" if name < "c" else "small"
    found["area"] = float(len(name) + seed)
    return Record(found | fields, Origin(f"{name}.json"))


BESIDE = {
    "future": ("promo", "day"), "past": ("rain",), "static": ("shop", "area"), "categories": ("day", "shop"),
}  # fmt: skip
PLAIN: dict[str, Any] = {"target": "y", "time": "time", "id": "id", "horizon": H, "season": 6, "context": 12}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "beside": BESIDE,
    "robust": {"scaling": "robust"},
    "mean": {"scaling": "mean"},
    "none": {"scaling": "none"},
    "revin": {"scaling": "revin", **BESIDE},
    "whole": {"scaling_over": "series"},
    "whole robust": {"scaling": "robust", "scaling_over": "series", **BESIDE},
    "last": {"base": "last"},
    "season": {"base": "season", "lags": (2, 6)},
    "no lags": {"lags": ()},
    "masked": {"missing": "mask", **BESIDE},
    "conformal": {"loss": "mae"},
    "drawn": {"windows": 20},
    "gaussian": {"loss": "gaussian"},
    "student_t": {"loss": "student_t"},
    "counts": {"loss": "negative_binomial", "scaling": "mean"},
    "poisson": {"loss": "poisson", "scaling": "none"},
    "velocity": {"base": "velocity"},
    "differences": {"differences": True, "missing": "mask"},
    "positions": {
        "target": ("y", "rain"),
        "coordinates": True,
        "differences": True,
        "rotate": True,
        "base": "velocity",
        "loss": "gaussian",
        "paths": 5,
    },
}


def plan(**options: Any) -> ForecastingConfig:
    return ForecastingConfig(**(PLAIN | options))


def rows(config: ForecastingConfig, number: int = 4) -> list[SeriesRow]:
    return [config.read(record("abcd"[k], T=30 + 4 * k, seed=k)) for k in range(number)]


def fitted(config: ForecastingConfig, rule: TimeSplit | None = None, some: list[SeriesRow] | None = None):
    parts = config.cut(some or rows(config), rule or TimeSplit(), lambda message: None)
    task, train = config.fit_examples(parts["train"], "d")
    return task, train, {name: list(task.examples(parts[name])) for name in parts if name != "train"}


class ByTwo(Forecasting):
    """Answers in batches of two."""

    answer_batch = (10**6, 2)

    def __init__(self, task: Forecasting) -> None:
        super().__init__(task.plan, task.fitted, task.intervals)
        self.batches: list[int] = []

    def predict(self, model: Any, batch: Any, examples: Any) -> Any:
        self.batches.append(len(examples))
        return super().predict(model, batch, examples)


def model_of(task: Forecasting, head: str = "direct", **options: Any) -> torch.nn.Module:
    torch.manual_seed(1)
    encoder = {"name": "recurrent", "hidden_size": 8, "cell": "gru"}
    return MODELS["forecaster"](task.model_sizes, encoder=encoder, head={"name": head}, **options).eval()


def poisoned(row: SeriesRow, cut: int, number: float) -> SeriesRow:
    """A row whose every value from a step on is another one: targets, and what is known of the past alone."""
    series = row.series
    values = series.values.copy()
    values[cut:] = number
    past = tuple(np.concatenate([column[:cut], np.full(len(column) - cut, number)]) for column in series.past)
    return dataclasses.replace(row, series=dataclasses.replace(series, values=values, past=past))


@pytest.mark.parametrize("number", [np.nan, 1e9])
@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("rule", [TimeSplit(), TimeSplit(test=4, step=2, refit=2, origin=3)], ids=["never", "refit"])
def test_poisoning_all_that_follows_the_first_cut_changes_no_bit_of_what_is_learned(
    rule: TimeSplit, options: dict[str, Any], number: float
) -> None:
    config = plan(**options)
    clean = rows(config)
    ends = [rule.cuts(row.series.length, H)[0] for row in clean]
    other = [poisoned(row, end, number) for row, end in zip(clean, ends, strict=True)]
    if number != number and config.missing != "mask" and config.past:
        pytest.skip("NaN in a column of the past is refused unless it is masked")
    first, train, _ = fitted(config, rule, clean)
    second, train_2, _ = fitted(config, rule, other)
    assert json.dumps(first.to_json()) == json.dumps(second.to_json())
    assert [one.digest() for one in train] == [one.digest() for one in train_2]
    for a, b in zip(*(batches(task, some) for task, some in ((first, train), (second, train_2))), strict=True):
        for name in (*a.inputs, *a.targets):
            x, y = {**a.inputs, **a.targets}[name], {**b.inputs, **b.targets}[name]
            assert torch.equal(x, y), name
        assert torch.isfinite(first.loss(model_of(first)(a), a).total)


def batches(task: Forecasting, train: list[Window]) -> list[Any]:
    sampler = task.sampler(train, batch_tokens=10_000, batch_rows=16, seed=5)
    return [sampler.batch(item) for epoch in (1, 2) for item in sampler.plan(epoch)]


@pytest.mark.parametrize("number", [np.nan, 1e9])
@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_poisoning_all_that_follows_a_cut_changes_no_bit_of_the_forecast(
    options: dict[str, Any], number: float
) -> None:
    config, rule = plan(**options), TimeSplit(test=3, step=2)
    clean = rows(config)
    task, _, splits = fitted(config, rule, clean)
    if number != number and config.missing != "mask" and config.past:
        pytest.skip("NaN in a column of the past is refused unless it is masked")
    model = model_of(task)
    said = outputs(model, task, splits["test"], device=CPU)
    for window, output in list(zip(splits["test"], said, strict=True))[::4]:
        row = poisoned(clean[window.place], window.cut, number)
        (again,) = task.examples([dataclasses.replace(row, at=range(window.cut, window.cut + 1))])
        (other,) = outputs(model, task, [again], device=CPU)
        assert np.array_equal(output.point, other.point)
        assert (output.quantiles is None) == (other.quantiles is None)
        if output.quantiles is not None:
            assert np.array_equal(output.quantiles, other.quantiles)


@pytest.mark.parametrize("origin", [1, 3, 5])
def test_a_run_of_a_back_test_is_that_of_a_file_that_ends_with_its_last_forecast(origin: int) -> None:
    """Poison from the first forecast of test on moves no bit of the dev forecasts either, which choose the epoch."""
    config, rule = plan(**BESIDE), TimeSplit(dev=2, test=5, step=2, refit=2, origin=origin)
    clean = rows(config)
    cuts = [rule.cuts(row.series.length, H) for row in clean]
    for row, (end, dev, test) in zip(clean, cuts, strict=True):
        number = min(2, 5 - (origin - 1))
        short = row.series.length - 2 * (5 - (origin - 1) - number)
        assert (end, dev, test) == TimeSplit(dev=2, test=number, step=2).cuts(short, H)
    task, _, splits = fitted(config, rule, clean)
    other = [poisoned(row, test.start, 1e9) for row, (_, _, test) in zip(clean, cuts, strict=True)]
    task_2, _, splits_2 = fitted(config, rule, other)
    assert json.dumps(task.to_json()) == json.dumps(task_2.to_json())
    dev, dev_2 = (one.collate(some["dev"], range(8)) for one, some in ((task, splits), (task_2, splits_2)))
    for name in dev.inputs | dev.targets:
        assert torch.equal((dev.inputs | dev.targets)[name], (dev_2.inputs | dev_2.targets)[name]), name


def test_the_runs_of_a_back_test_make_each_forecast_of_test_once() -> None:
    whole = list(TimeSplit(test=7, step=3).cuts(100, H)[2])
    rule = TimeSplit(test=7, step=3, refit=3)
    assert rule.runs == {"origin-1": "origin=1", "origin-4": "origin=4", "origin-7": "origin=7"}
    parts = [list(TimeSplit(test=7, step=3, refit=3, origin=n).cuts(100, H)[2]) for n in (1, 4, 7)]
    assert [len(part) for part in parts] == [3, 3, 1]
    assert [cut for part in parts for cut in part] == whole
    assert TimeSplit(test=7).runs == TimeSplit(test=7, refit=3, origin=4).runs == {}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"test": 4, "refit": 4}, "expected less than the 4 forecasts of test, so that something is trained again"),
        ({"test": 0, "refit": 1}, "expected less than the 0 forecasts of test"),
        ({"test": 4, "origin": 2}, "origin: has no effect without refit"),
        ({"test": 9, "refit": 4, "origin": 2}, "expected one that is trained for, 1, 5, 9, got 2"),
        ({"test": 4, "refit": 2, "origin": 5}, "expected one that is trained for, 1, 3, got 5"),
    ],
)
def test_a_back_test_that_cannot_be_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        TimeSplit(**options)


def test_the_poison_would_be_seen() -> None:
    """The test above can fail: a value before the cut moves the forecast."""
    config, rule = plan(), TimeSplit()
    clean = rows(config)
    task, _, splits = fitted(config, rule, clean)
    model = model_of(task)
    window = splits["test"][0]
    (said,) = outputs(model, task, [window], device=CPU)
    row = poisoned(clean[0], window.cut - 1, 1e3)
    (again,) = task.examples([dataclasses.replace(row, at=range(window.cut, window.cut + 1))])
    assert not np.array_equal(outputs(model, task, [again], device=CPU)[0].point, said.point)


@pytest.mark.parametrize(
    ("head", "segment"),
    [("direct", 1), ("direct", 4), ("decoder", 1), ("segments", 1), ("segments", 4), ("recursive", 1)],
)
def test_a_series_alone_has_the_bits_that_it_has_among_others(head: str, segment: int) -> None:
    config = plan(**BESIDE | {"past": ()})
    task, _, splits = fitted(config, TimeSplit(test=8, step=1))
    model = model_of(task, head, segment=segment)
    short = list(task.examples([SeriesRow(config.read(record("b", T=5 + H, seed=9)).series)]))  # 5 steps to read
    windows = [*splits["test"], *short]
    together_ = outputs(model, task, windows, device=CPU)
    for window, output in zip(windows, together_, strict=True):
        (alone,) = outputs(model, task, [window], device=CPU)
        assert np.array_equal(alone.point, output.point)
        assert np.array_equal(alone.quantiles, output.quantiles)


AT_ONCE = [("direct", VARIANTS[name]) for name in ("plain", "gaussian", "whole robust", "positions")]


@pytest.mark.parametrize(("head", "options"), [*AT_ONCE, ("recursive", {"loss": "gaussian"})])
def test_a_back_test_at_once_has_the_bits_of_one_forecast_after_the_other(head: str, options: dict[str, Any]) -> None:
    config = plan(**options)
    parts = config.cut(rows(config), TimeSplit(test=9, step=2), lambda message: None)
    task, _ = config.fit_examples(parts["train"], "d")
    model, windows = model_of(task, head), task.examples(parts["test"])
    together_ = outputs(model, task, windows, device=CPU)
    alone = [outputs(model, task, [one], device=CPU)[0] for one in windows]
    for name in ("point", "quantiles", "scale", "paths"):
        some = [getattr(one, name) for one in alone]
        assert np.array_equal(getattr(together_, name), None if some[0] is None else np.stack(some))
    assert repr(task.score(together_, windows, "test")) == repr(task.score(alone, list(windows), "test"))


def test_outputs_of_batches_of_several_lengths_come_in_the_order_of_the_examples() -> None:
    config = plan(context=30)
    task, _, _ = fitted(config)
    (row,) = rows(config, 1)
    windows = task.examples([dataclasses.replace(row, at=range(27, 0, -3))])
    assert lengths_of(windows).tolist() == [one.length for one in windows] == list(range(27, 0, -3))
    model, small = model_of(task), ByTwo(task)
    found = outputs(model, small, windows, device=CPU)
    assert len(small.batches) > 3
    for window, said in zip(windows, found, strict=True):
        assert np.array_equal(said.point, outputs(model, task, [window], device=CPU)[0].point)


def test_windows_are_what_loops_over_a_series_give() -> None:
    config = plan(base="last", lags=(2, 6), scaling="standard", missing="mask", context=7)
    series = config.read(record(T=20)).series
    series.values[4] = np.nan
    task, _, _ = fitted(config, TimeSplit(), [SeriesRow(series)])
    windows = list(task.examples([SeriesRow(series, at=range(1, 18))]))
    store, places, cuts = together(windows)
    found = gathered(store, places, cuts, task.reading)
    y = series.values[:, 0]
    for n, cut in enumerate(range(1, 18)):
        seen = y[max(0, cut - 7) : cut]
        there = seen[~np.isnan(seen)]
        mean, deviation = there.mean(), there.std()
        scale = deviation if deviation > 0 else abs(mean)
        assert found.lengths[n] == len(seen)
        last = (there[-1] - mean) / scale
        for t, value in enumerate(seen):
            step = max(0, cut - 7) + t
            expected = [0.0 if np.isnan(value) else (value - mean) / scale - last, float(not np.isnan(value))]
            for lag in (2, 6):
                before = y[step - lag] if step >= lag else np.nan
                expected.append(0.0 if np.isnan(before) else (before - mean) / scale - last)
            np.testing.assert_allclose(found.features[t, n], expected, atol=1e-5)
        assert not found.features[len(seen) :, n].any()
        for k in range(H):
            for column, lag in enumerate((2, 6)):
                step = cut + k - lag
                while step >= cut:
                    step -= lag
                before = y[step] if step >= 0 else np.nan
                expected_lag = 0.0 if np.isnan(before) else (before - mean) / scale - last
                assert found.future[k, n, column] == pytest.approx(expected_lag, abs=1e-5)
        np.testing.assert_allclose(found.scaled_truth[n, :, 0], (y[cut : cut + H] - mean) / scale - last, atol=1e-9)


def test_scales_are_numpys_and_a_constant_window_has_the_size_of_its_level() -> None:
    x = np.random.default_rng(0).normal(5, 2, (3, 9, 2))
    x[0, 4, 1] = np.nan
    shift, scale = moments(x, "standard")
    np.testing.assert_allclose(shift, np.nanmean(x, 1))
    np.testing.assert_allclose(scale, np.nanstd(x, 1))
    shift, scale = moments(x, "robust")
    np.testing.assert_allclose(shift, np.nanmedian(x, 1))
    np.testing.assert_allclose(scale, (np.nanquantile(x, 0.75, 1) - np.nanquantile(x, 0.25, 1)) / 1.3489795003921634)
    np.testing.assert_allclose(moments(x, "mean")[1], np.nanmean(abs(x), 1))
    for how in ("standard", "robust", "mean"):
        assert moments(np.full((1, 5, 1), 7.0), how)[1] == 7.0
        assert moments(np.zeros((1, 5, 1)), how)[1] == 1.0
        assert moments(np.full((1, 5, 1), np.nan), how)[1] == 1.0


@pytest.mark.parametrize("how", ["mean", "standard", "robust"])
@pytest.mark.parametrize("num_features", [1, 2])
def test_padding_changes_no_bit_of_a_scale(how: Any, num_features: int) -> None:
    rng = np.random.default_rng(0)
    for steps in (9, 50, 130, 300):  # NumPy sums more than 8, and more than 128, in orders of their own
        values = rng.normal(size=(4, steps, num_features))
        padded = np.concatenate([values, np.full((4, 37, num_features), np.nan)], 1)
        for alone, beside in zip(moments(values, how), moments(padded, how), strict=True):
            np.testing.assert_array_equal(alone, beside)


def test_naive_forecasts_and_the_scale_of_mase_by_loops() -> None:
    config = plan(missing="mask")
    some = rows(config)
    some[0].series.values[[7, 29]] = np.nan
    task, _, _ = fitted(config, TimeSplit(), some)
    windows = list(task.examples([dataclasses.replace(row, at=range(2, row.series.length - H + 1, 5)) for row in some]))
    store, places, cuts = together(windows)
    past = Past(store, 6)
    naive, last, seasonal, line = (
        past.naive_error(places, cuts), last_value(past, places, cuts, 8), seasonal_naive(past, places, cuts, 8),
        drift(past, places, cuts, 8),
    )  # fmt: skip
    for n, window in enumerate(windows):
        y = some[window.place].series.values[: window.cut, 0]
        known = [k for k in range(len(y)) if not np.isnan(y[k])]
        errors = [abs(y[t] - y[t - 6]) for t in range(6, len(y)) if not np.isnan(y[t] - y[t - 6])]
        assert naive[n, 0] == pytest.approx(np.mean(errors) if errors else 0.0)
        for k in range(8):
            assert last[n, k, 0] == y[known[-1]]
            step = len(y) + k
            while step >= len(y):
                step -= 6
            value = y[step] if step >= 0 and not np.isnan(y[step]) else y[known[-1]]
            assert seasonal[n, k, 0] == value
            slope = (y[known[-1]] - y[known[0]]) / known[-1] if known[-1] else 0.0
            assert line[n, k, 0] == pytest.approx(y[known[-1]] + slope * (k + 1))


def test_every_training_window_ends_before_the_first_cut_and_an_epoch_has_each_once() -> None:
    config, rule = plan(), TimeSplit(dev=2, test=2, step=1)
    some = rows(config)
    task, train, splits = fitted(config, rule, some)
    sampler = task.sampler(train, batch_tokens=10_000, batch_rows=7, seed=1)
    pairs = np.concatenate(sampler.plan(1), 1)
    ends = np.array([rule.cuts(row.series.length, H)[0] for row in some])
    assert (pairs[1] + H <= ends[pairs[0]]).all()
    assert len({(int(a), int(b)) for a, b in pairs.T}) == pairs.shape[1] == sum(ends - H - 12 + 1)
    assert [w.cut for w in splits["test"] if w.place == 0] == [26, 27]
    assert [w.cut for w in splits["dev"] if w.place == 0] == [22, 23]
    assert ends[0] == 22  # what is learned from ends where the first forecast of dev begins


def test_windows_that_are_drawn_come_from_each_series_alike_and_differ_by_epoch() -> None:
    task, train, _ = fitted(plan(windows=400))
    sampler = task.sampler(train, batch_tokens=10**6, batch_rows=1000, seed=1)
    one, two = sampler.plan(1)[0], sampler.plan(2)[0]
    assert np.bincount(one[0]).tolist() == [100, 100, 100, 100]
    assert not np.array_equal(one, two)
    assert np.array_equal(one, sampler.plan(1)[0])


def test_a_short_series_is_used_as_far_as_it_goes() -> None:
    config = plan(context=24)
    task, _, _ = fitted(config)
    window = task.example(record("a", T=2), gold=False)
    batch = task.collate([window], (0,))
    assert (window.length, batch.lengths.tolist(), batch.inputs["features"].shape[0]) == (2, [2], 2)
    said = task.answer(window, outputs(model_of(task), task, [window], device=CPU)[0])
    assert said.time == (2, 3, 4)


def test_what_is_known_of_the_future_is_read_at_its_step_and_named_where_it_ends() -> None:
    config = plan(**BESIDE)
    task, _, _ = fitted(config)
    good = task.example(record("a", T=20, more=H), gold=False)
    assert good.cut == 20
    with pytest.raises(
        DataError, match=r"a\.json: series a, 22: column 'promo' has no value, .*3 steps.*; 1 is missing"
    ):
        task.example(record("a", T=20, more=2), gold=False)
    hole = record("a", T=20, more=H, day=["work"] * 21 + [None, "work"])
    with pytest.raises(DataError, match=r"series a, 21: column 'day' has no value"):
        task.example(hole, gold=False)
    moved = record("a", T=20, more=H, promo=[float(k % 3 == 0) for k in range(20)] + [5.0, 5.0, 5.0])
    a, b = (task.collate([one], (0,)).inputs for one in (good, task.example(moved, gold=False)))
    assert torch.equal(a["features"], b["features"])
    assert not torch.equal(a["future"], b["future"])


def test_a_word_that_training_never_saw_is_named_with_those_it_did() -> None:
    task, _, _ = fitted(plan(**BESIDE))
    with pytest.raises(
        DataError, match=r"series a, 0: column 'day' holds 'feast', which training never saw\. Known: weekend"
    ):
        task.example(record("a", T=20, more=H, day=["feast"] * 23), gold=False)
    with pytest.raises(DataError, match="series a: column 'shop' holds 'huge', which training never saw"):
        task.example(record("a", T=20, more=H, shop="huge"), gold=False)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (
            {"y": [1.0, None, 3.0], "time": [0, 1, 2]},
            r"a\.json, step 2: series a, 1: column 'y': the number is missing",
        ),
        ({"y": [1.0, float("inf"), 3.0], "time": [0, 1, 2]}, "series a, 1: column 'y': inf is no finite number"),
        ({"y": [1.0, 2.0, 3.0], "time": [0, 1, 3]}, "series a: 2 has no row; the frequency is 1"),
        ({"y": [1.0, 2.0], "time": [0, 1, 3]}, "column 'time' has 3 stamps, column 'y' 2 values"),
        ({"y": [1.0], "time": [4]}, "fewer than two stamps.*set task.frequency"),
    ],
)
def test_bad_series_end_in_a_sentence_with_series_stamp_and_row(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(DataError, match=why):
        plan().read(Record({"id": "a", **fields}, Origin("a.json")))


@pytest.mark.parametrize("missing", ["refuse", "mask"])
@pytest.mark.parametrize("nothing", [None, "", " ", float("nan")])
def test_a_static_value_that_is_missing_is_named_and_is_no_word(nothing: Any, missing: str) -> None:
    """It became a category of its own, called None; a number that is missing was refused, as no mark stands beside."""
    for name in ("shop", "area"):
        said = rf"a\.json: series a: column '{name}' has no value, .*once for a whole series.* Fill it in"
        with pytest.raises(DataError, match=said):
            plan(**BESIDE, missing=missing).read(record("a", **{name: nothing}))
    with pytest.raises(DataError, match="column 'area' holds \"far\", expected a number"):
        plan(**BESIDE, missing=missing).read(record("a", area="far"))


@pytest.mark.parametrize("nothing", [None, "", " ", float("nan")])
def test_a_word_of_a_step_that_is_missing_is_no_word(nothing: Any) -> None:
    days = ["work", nothing, *["weekend"] * 38]
    with pytest.raises(DataError, match=r"series a, 1: column 'day' has no value"):
        plan(**BESIDE).fit([record("a", day=days)], "d")
    task = plan(**BESIDE, missing="mask").fit([record("a", day=days)], "d")
    assert task.fitted.beside.words["day"] == ("weekend", "work")


@pytest.mark.parametrize("options", [{}, {"calendar": ()}])
def test_a_forecast_that_no_stamp_is_left_for_is_refused(options: dict[str, Any]) -> None:
    """Numbers became negative, and years had five digits, which nobody reads back."""
    numbers = [2**62 - 40 + k for k in range(40)]
    dates = [str(np.datetime64("9999-12-31") - 39 + k) for k in range(40)]
    for time, end in ((numbers, "the largest whole number, 4611686018427387903"), (dates, "the year 9999")):
        config = plan(**options)
        usual = range(40) if time is numbers else [str(np.datetime64("2024-01-01") + k) for k in range(40)]
        task = config.fit([record("a", time=list(usual))], "d")
        said = rf"a\.json: series a: a forecast of 3 steps behind {time[-1]} ends behind {end}"
        with pytest.raises(DataError, match=said):
            task.example(record("a", time=time), gold=False)
        assert task.example(record("a", T=37, time=time[:37]), gold=False).cut == 37


def test_gaps_are_filled_on_request_alone_with_a_mark_of_what_is_there() -> None:
    config = plan(missing="mask")
    row = config.read(Record({"id": "a", "time": [0, 1, 3, 4], "y": [1.0, None, 3.0, 0.0]}, Origin("a.json")))
    np.testing.assert_array_equal(row.series.values[:, 0], [1.0, np.nan, np.nan, 3.0, 0.0])
    task, _, _ = fitted(config)
    window = task.window_ahead(row.series)
    features = task.collate([window], (0,)).inputs["features"][:, 0]
    assert features[:, 1].tolist() == [1, 0, 0, 1, 1]
    assert features[1, 0] == features[2, 0] == 0


def test_a_window_of_missing_values_alone_is_blank_and_its_forecast_says_so() -> None:
    config = plan(missing="mask", target=("y", "rain"))
    task, _, _ = fitted(config)
    model = model_of(task)

    def said(**fields: Any) -> tuple[bool, str | None, tuple[str, ...]]:
        window = task.example(record("c", T=20, **fields), gold=False)
        found = outputs(model, task, [window], device=CPU)
        return window.is_blank, task.answer(window, found[0]).note, task.warnings(found, [window])

    nothing, old = [None] * 20, [3.0] * 8 + [None] * 12  # 12 steps are read
    warning = "1 of 1 series have no observed value of {} in the steps that are read; the first: c.json."
    assert said() == (False, None, ())
    assert said(y=[None] * 19 + [1.0], rain=[1.0] + [None] * 8 + [1.0] + [None] * 10) == (False, None, ())
    for fields in ({"y": nothing, "rain": nothing}, {"y": old, "rain": nothing}):
        assert said(**fields) == (True, "no observed value", (warning.format("any target"),))
    assert said(rain=nothing) == (False, "no observed value of rain", (warning.format("rain"),))
    known = Window(task.example(record("c"), gold=False).store, 0, 0, 12, False, Origin("c"), b"")
    assert known.is_blank


def test_series_that_have_no_forecast_in_a_file_are_left_out_aloud() -> None:
    """A file of dev or test is not cut, so nothing else says that its short series are in no score."""
    for origins, lengths, needed in (("every", (40, 14, 15), "the 15 steps of a context and a forecast"),
                                     ("last", (40, 3, 4), "the 4 steps of a forecast and one before it")):  # fmt: skip
        config = plan(origins=origins)
        task, train = config.fit_examples([config.read(record("a")), config.read(record("b", T=H))], "d.csv")
        some = task.examples([config.read(record("a", T=T)) for T in lengths])
        assert {one.place for one in some} == {0, 2}
        note = f"dev: 1 of 3 series are too short and left out: a series needs {needed}."
        assert task.filter(some, "dev") == (some, (note,))
        assert task.filter(list(some), "dev")[1] == (note,)
        with pytest.raises(
            DataError, match=rf"a\.json: series a is too short: it has {lengths[1]} steps and needs {needed}"
        ):
            task.example(record("a", T=lengths[1]))
        none = task.examples([config.read(record("a", T=lengths[1]))])
        assert task.filter(none, "test") == (none, (f"test: no series is long enough: a series needs {needed}.",))
        said = (
            "train: 1 of 2 series are too short and left out: a series needs the 4 steps of a forecast and one before"
        )
        assert task.filter(train, "train") == (train, (f"{said} it.",))
        whole, train = config.fit_examples([config.read(record("a"))], "d.csv")
        assert whole.filter(train, "train")[1] == ()
        assert whole.filter(whole.examples([config.read(record("a"))]), "dev")[1] == ()


def test_rows_in_any_order_are_one_series_in_the_order_of_time() -> None:
    row = plan().read(Record({"id": "a", "time": [2, 0, 1], "y": [30.0, 10.0, 20.0]}, Origin("a.json")))
    assert row.series.values[:, 0].tolist() == [10, 20, 30]


def test_a_horizon_that_no_series_holds_is_refused_with_the_lengths() -> None:
    config = plan(horizon=20)
    with pytest.raises(
        DataError, match="the longest has 42 steps, and a forecast of 20 needs 61 for train, dev and test"
    ):
        config.cut(rows(config), TimeSplit(), lambda message: None)
    with pytest.raises(DataError, match="no series has more than the 50 steps of a forecast"):
        plan(horizon=50).fit_examples(rows(plan()), "d")


def test_series_that_are_too_short_for_a_split_are_left_out_aloud() -> None:
    config, notes = plan(), []
    some = [*rows(config), config.read(record("e", T=8))]
    parts = config.cut(some, TimeSplit(), notes.append)
    assert [len(parts[name]) for name in ("train", "dev", "test")] == [4, 5, 5]
    assert notes == ["train: 1 of 5 series are too short for it and left out."]


@pytest.mark.parametrize("ids", [(), ("id",)], ids=["no name", "one name"])
def test_series_that_share_a_name_or_have_none_have_the_scales_that_names_of_their_own_give(ids: Any) -> None:
    """All series of JSON Lines without a column of names share one; each has a scale of its own all the same."""
    small, large = record("a", seed=1).fields["y"], (1000 * np.array(record("b", seed=2).fields["y"])).tolist()

    def read(config: ForecastingConfig, names: str) -> tuple[Forecasting, dict[str, Any], Any]:
        lines = [record(name, y=y) for name, y in zip(names, (small, large), strict=True)]
        some = [config.read(line) for line in lines]
        task, train, splits = fitted(config, TimeSplit(dev=2, test=2), some)
        again = config.restore(json.loads(json.dumps(task.to_json())), "task.json")
        assert np.array_equal(again.examples(some).store.scale, task.examples(some).store.scale)
        return task, {"train": train} | splits, lines

    task, splits, _ = read(plan(scaling_over="series"), "ab")
    other, alike, lines = read(plan(scaling_over="series", id=ids), "aa")
    for name in splits:
        (wanted, *_), (found, *_) = together(splits[name]), together(alike[name])
        assert np.array_equal(found.shift, wanted.shift)
        assert np.array_equal(found.scale, wanted.scale)
        assert np.array_equal(found.deviation, wanted.deviation)
        assert found.deviation[1] > 500 * found.deviation[0]
    assert other.facts(alike) == task.facts(splits)
    assert other.facts(alike)["train series"] == 2
    assert np.array_equal(other.watched(lines[1]).content.scale, task.watched(record("b", y=large)).content.scale)
    stranger = other.example(record("a", seed=7), gold=False).store
    np.testing.assert_allclose(stranger.deviation, np.std(record("a", seed=7).fields["y"]))


def test_series_that_share_a_name_and_begin_alike_have_the_scales_of_their_own_steps() -> None:
    config = plan(id=(), scaling_over="series", base="none")
    flat = [5.0] * 20
    lines = [record("a", y=flat + [5.0, 7.0] * 10), record("b", y=flat + [5.0, 905.0] * 10)]
    task, train, _ = fitted(config, TimeSplit(), [config.read(line) for line in lines])
    assert task.fitted.levels == {}
    ends = [TimeSplit().cuts(40, H)[0]] * 2
    wanted = [np.std(line.fields["y"][:end]) for line, end in zip(lines, ends, strict=True)]
    np.testing.assert_allclose(train[0].store.deviation[:, 0], wanted)
    with pytest.raises(ConfigError, match="has no scale for it"):
        task.watched(lines[0])


def test_a_report_says_where_a_series_stood_if_others_share_its_name() -> None:
    """Of six series "of the file" nobody could find the worst one."""
    config = plan(id=())
    task, _, splits = fitted(config)
    said = outputs(model_of(task), task, splits["test"], device=CPU)
    worst = next(table for table in task.tables(said, splits["test"]) if table.caption == "The worst forecasts")
    assert sorted(str(row[0]) for row in worst.rows) == [f"of the file ({name}.json)" for name in "abcd"]
    assert "of the file (" in task.charts(said, splits["test"])[0].title
    named, _, splits = fitted(plan())
    (table,) = [one for one in named.tables(said, splits["test"]) if one.caption == "The worst forecasts"]
    assert sorted(str(row[0]) for row in table.rows) == list("abcd")


def test_series_of_two_frequencies_are_refused() -> None:
    config = plan(time="time")
    slow = config.read(record("b", time=list(range(0, 80, 2))))
    with pytest.raises(DataError, match="series b has the frequency 2, series a 1"):
        config.fit_examples([config.read(record("a")), slow], "d")


def test_negative_numbers_are_no_counts() -> None:
    config = plan(loss="poisson", scaling="mean")
    with pytest.raises(DataError, match="holds a number under 0, and loss poisson is of counts"):
        config.fit_examples([config.read(record("a", y=[-1.0] * 40))], "d")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"loss": "poisson"}, "scaling: loss poisson counts from 0 on; expected mean or none, got standard"),
        ({"loss": "mae", "intervals": "own"}, "intervals: loss mae is of points"),
        ({"levels": (0.9, 0.5)}, "levels: expected rising numbers with 0.5 among them"),
        ({"levels": (0.1, 0.9)}, "levels: "),
        ({"categories": ("x",)}, "categories: 'x' is none of future, past and static"),
        ({"future": ("y",)}, "'y' is named twice"),
        ({"frequency": "fortnight"}, "frequency: unknown word 'fortnight'"),
        ({"time_zone": "Berlin"}, "time_zone: unknown zone 'Berlin'"),
        ({"scaling": "none", "scaling_over": "series"}, "scaling_over: has no effect"),
    ],
)
def test_options_that_cannot_take_effect_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        plan(**options)


def test_a_task_comes_back_from_its_json() -> None:
    config = plan(**BESIDE)
    task, _, _splits = fitted(config)
    again = config.restore(json.loads(json.dumps(task.to_json())), "task.json")
    model = model_of(task)
    a, b = (outputs(model, t, [t.example(record("a", T=20, more=H), gold=False)], device=CPU)[0] for t in (task, again))
    assert np.array_equal(a.point, b.point)


def test_conformal_intervals_hold_the_share_that_they_say_on_dev() -> None:
    config = plan(loss="mae", levels=(0.1, 0.5, 0.9))
    task, _, splits = fitted(config, TimeSplit(dev=10, test=1, step=1))
    model = model_of(task)
    said = outputs(model, task, splits["dev"], device=CPU)
    assert said[0].quantiles is None
    found = task.conformed(said, splits["dev"])
    assert found.conformal.startswith("by 40 errors on dev, of each step")
    scores = {
        s.name: s.value for s in found.score(outputs(model, found, splits["dev"], device=CPU), splits["dev"], "dev")
    }
    assert 0.8 <= scores["coverage"] <= 0.9  # ranks 4 and 37 of 40, ends included
    assert found.conformed(said, splits["dev"]).to_json() == found.to_json()


def test_several_targets_are_read_and_said_together() -> None:
    config = plan(target=("y", "rain"))
    task, _, splits = fitted(config)
    (window, *_), model = splits["test"], model_of(task)
    answer = task.answer(window, outputs(model, task, [window], device=CPU)[0])
    assert list(answer.columns) == ["y", "y_q0.1", "y_q0.5", "y_q0.9", "rain", "rain_q0.1", "rain_q0.5", "rain_q0.9"]


def test_a_recursive_head_reads_what_it_said_and_in_training_what_was() -> None:
    """A loop that grows the window by its own median gives the same forecast."""
    config = plan(loss="gaussian", scaling="none", lags=(), horizon=4)
    task, _, splits = fitted(config)
    model = model_of(task, "recursive").requires_grad_(False)
    window = splits["test"][0]
    (said,) = outputs(model, task, [window], device=CPU)
    batch = task.collate([window], (0,))
    x = batch.inputs["features"]
    for k in range(4):
        encoded = model.encoder(x, torch.tensor([len(x)]), {})
        numbers = model.head(torch.cat([encoded.summary, batch.inputs["future"][k]], 1))
        assert float(numbers[0, 0]) == pytest.approx(said.point[k, 0], rel=1e-5)
        x = torch.cat([x, torch.cat([numbers[:, :1], batch.inputs["future"][k]], 1).unsqueeze(0)])
    model.train()
    taught = model(batch).outputs["numbers"]
    values = batch.targets["values"]
    x = torch.cat([batch.inputs["features"], torch.cat([values[:-1], batch.inputs["future"][:-1]], 2)])
    outputs_ = model.encoder(x, torch.tensor([len(x)]), {}).outputs[-4:]
    expected = model.head(torch.cat([outputs_, batch.inputs["future"]], 2))
    torch.testing.assert_close(taught.reshape(4, 1, -1), expected)


def test_a_recursive_head_is_not_taught_in_evaluation() -> None:
    config = plan()
    task, _, splits = fitted(config)
    model = model_of(task, "recursive")
    window = splits["test"][0]
    known = task.collate([window], (0,))
    unknown = dataclasses.replace(known, targets={})
    assert torch.equal(model(known).outputs["numbers"], model(unknown).outputs["numbers"])


@pytest.mark.parametrize(
    ("options", "encoder", "why"),
    [
        ({"past": ("rain",)}, "recurrent", "columns of task.past end with what was observed"),
        ({"base": "season"}, "recurrent", "with task.base: season"),
        ({"loss": "poisson", "scaling": "mean"}, "recurrent", "or a loss of counts"),
        ({}, "convolutional", "encoder: head recursive reads one step after another. convolutional sees"),
    ],
)
def test_what_a_recursive_head_cannot_read_is_refused(options: dict[str, Any], encoder: str, why: str) -> None:
    task, _, _ = fitted(plan(**options))
    with pytest.raises(ConfigError, match=why):
        MODELS["forecaster"](task.model_sizes, encoder={"name": encoder}, head={"name": "recursive"})


@pytest.mark.parametrize("options", [{}, {"name": "awd"}, {"name": "dense"}, {"name": "transformer", "causal": True}])
def test_the_steps_of_a_recursive_forecast_are_the_same_where_weights_are_packed_once(options: dict[str, Any]) -> None:
    """Without gradients its steps run on one stepper of the encoder, with them each is a call of all layers."""
    task, _, splits = fitted(plan())
    model = MODELS["forecaster"](task.model_sizes, encoder={"name": "recurrent", **options}, head="recursive").eval()
    batch = task.collate(splits["test"], range(len(splits["test"])))
    with torch.no_grad():
        packed = model(batch).outputs["numbers"]
    torch.testing.assert_close(packed, model(batch).outputs["numbers"].detach(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("origins", ["last", "every"])
@pytest.mark.parametrize("cut", [True, False])
def test_a_run_that_reads_its_training_rows_again_finds_the_windows_of_training(origins: str, cut: bool) -> None:
    """cut: series that dev and test are the ends of; else dev is a file of its own, and all of a series is train."""
    config = plan(origins=origins)
    rows = [config.read(record(name, T, seed)) for seed, (name, T) in enumerate((("a", 40), ("b", 31), ("c", 2)))]
    if cut:
        rows = config.cut(rows, TimeSplit(dev=1, test=1, step=1), lambda message: None)["train"]
    task, trained = config.fit_examples(rows, "d.csv")
    again = examples_of(task, rows, IN_MEMORY, learned_from=True)
    assert [(w.key, w.digest(), w.first, w.cut) for w in again] == [
        (w.key, w.digest(), w.first, w.cut) for w in trained
    ]
    assert len(again) == 2
