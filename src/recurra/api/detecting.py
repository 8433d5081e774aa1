"""Detect: a score for each point of series, higher is worse, and flags above a threshold from clean data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.api.callbacks import NoCallback
from recurra.api.defaults import in_float32
from recurra.api.detectors import Fitted, FittedBaseline, Source, source_of
from recurra.api.folder import OpenRun
from recurra.api.given import AnyPath, Row, are_rows, path_of
from recurra.api.marked import marked
from recurra.api.thresholds import StoredThreshold, digest_of_series, read_threshold
from recurra.base.contracts import Listener, Report, Score, Table
from recurra.base.errors import ConfigError, DataError
from recurra.base.words import counted
from recurra.metrics.anomalies import anomaly_scores, mean_scores, period
from recurra.metrics.anomalies.detectors import DETECTORS
from recurra.metrics.anomalies.scoring import FORMULAS
from recurra.metrics.anomalies.thresholds import Rule
from recurra.metrics.anomalies.windows import smoothed
from recurra.tasks import WatchedSeries

Floats = NDArray[np.float64]
# Detectors that stand beside one whose labels are known. A forest takes minutes for a million points.
BESIDE = ("pca", "gaussian", "isolation_forest")
MOST_BESIDE = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class DetectedSeries:
    """A series with its scores. scores: (T,) higher is worse; 0 for the first steps, which nothing is said of

    first: the first step that is scored      flags: (T,), None without a threshold      labels: None without labels
    """

    name: str
    stamps: Sequence[str | int]
    values: Floats
    columns: tuple[str, ...]
    scores: Floats
    first: int
    flags: NDArray[np.bool_] | None
    labels: NDArray[np.bool_] | None


@dataclass(frozen=True, slots=True)
class Detected:
    """What was found. threshold: None where none was asked for      report: facts, and scores where there are labels"""

    series: tuple[DetectedSeries, ...]
    threshold: StoredThreshold | None
    report: Report


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectOptions:
    """How series are searched.

    threshold: "quantile=0.999", "alarms=0.5" (a day), "tail=0.0001", "value=3", or a file that `save` has written;
      None: scores alone
    clean: a file, or rows, of series without anomalies, or the number of steps at the beginning of each series that
      have none; None: of a run its own training data, of a baseline nothing, which is refused
    labels: a column of 0 and 1, or a file with columns start and end (and series, of several): scores how well
    window: steps of a baseline's window; None: until the clean data repeats itself
    stride: steps from window to window of a run; None: a quarter of what a window judges
    smooth: scores are means over so many steps, up to each      causal: a window's score is of its last step alone
    columns, time, id: of the file, for a baseline; a run knows them
    """

    threshold: str | StoredThreshold | None = None
    clean: AnyPath | Iterable[Row] | int | None = None
    labels: AnyPath | None = None
    window: int | None = None
    stride: int | None = None
    smooth: int = 1
    causal: bool = False
    columns: Sequence[str] = ()
    time: str | None = None
    id: str | None = None
    beside: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for name, least in (("window", 2), ("stride", 1), ("smooth", 1)):
            value = getattr(self, name)
            if value is not None and not least <= value <= 1_000_000:
                raise ConfigError(f"{name}: expected a whole number of steps from {least}, got {value}.")
        if self.beside and self.labels is None:
            raise ConfigError("beside: others are compared by labels; give labels, or leave it out.")


@in_float32
def detect(
    source: AnyPath | OpenRun,
    file: AnyPath | Iterable[Row],
    *,
    options: DetectOptions | None = None,
    save: AnyPath | None = None,
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
    watch: Listener | None = None,
) -> Detected:
    """Score each point of the series of a file. source: a run, or a baseline by its word (`DETECTORS`)

    file: or rows as dicts      options: `DetectOptions`
    save: where the threshold is written, to be used again with the same source
    Raises ConfigError for a run whose task scores no steps, and options that have no effect; DataError for series that
    cannot be scored; RunError for a threshold of another run or other clean data.
    """
    watch, options = watch or NoCallback(), options or DetectOptions()
    stored = read_threshold(options.threshold)
    rule = Rule.of(options.threshold) if stored is None and isinstance(options.threshold, str) else None
    if save is not None and rule is None:
        raise ConfigError("save: there is no threshold to write; give threshold, such as quantile=0.999.")
    given = source_of(source, options, device, cells, watch)
    if stored is not None:
        options = stored.applied(options)
        given = given.under(options)
    label, spans = marked(options.labels)
    series = given.series(_rows_or_path(file, "file"), label)
    if spans is not None:
        series = [replace(one, labels=spans.of(one)) for one in series]
    clean = cache(lambda: _clean(given, series, options, watch))
    fitted = (None if stored is None else given.restored(stored)) or given.fitted(clean())
    judge = _Judge(fitted, options.smooth)
    for one in series:
        fitted.refuse_short(one)
    threshold = stored
    if stored is not None:
        stored.refuse_other(fitted.digest, options.threshold if isinstance(options.threshold, str) else "threshold")
    elif rule is not None:
        threshold = _threshold(rule, judge, clean(), fitted, options)
    found = [_detected(one, judge, threshold) for one in series]
    if save is not None and threshold is not None:
        threshold.write(path_of(save, "save"))
    report = _report(given, found, threshold, options, clean, watch, _named(file))
    return Detected(tuple(found), threshold, report)


def _rows_or_path(given: Any, name: str) -> Path | Iterable[Row]:
    rows: Iterable[Row] = given
    return rows if are_rows(given) else path_of(given, name)


def _named(file: object) -> str:
    return "rows" if are_rows(file) else path_of(file, "file").name


@dataclass(frozen=True, slots=True)
class _Judge:
    """Scores of a series, 0 for the steps before the first one that is scored, which no mean of others has in it."""

    fitted: Fitted
    smooth: int

    def scores(self, one: WatchedSeries) -> Floats:
        return self.of_errors(self.fitted.errors_of(one))

    def of_errors(self, errors: Floats) -> Floats:
        first = self.fitted.first
        return np.asarray(np.r_[errors[:first], smoothed(errors[first:], self.smooth)])

    def of_clean(self, rule: Rule, clean: Sequence[WatchedSeries]) -> tuple[float, int]:
        """A threshold, and of how many points: those that are scored, of series that are long enough for it."""
        enough = [one for one in clean if len(one.values) >= self.fitted.needed]
        scores = [self.scores(one)[self.fitted.first :] for one in enough]
        return rule.value(scores, _steps_a_day(enough)), sum(map(len, scores))


def _clean(
    given: Source, series: Sequence[WatchedSeries], options: DetectOptions, watch: Listener
) -> list[WatchedSeries]:
    """Series without anomalies, for scales and thresholds. Raises ConfigError where nothing says which they are."""
    if isinstance(options.clean, int):
        if options.clean < 1:
            raise ConfigError(f"clean: expected a number of steps from 1, or a file, got {options.clean}.")
        return [given.beginning(one, options.clean) for one in series]
    if options.clean is not None:
        same = given.under(replace(options, columns=series[0].columns))
        return same.series(_rows_or_path(options.clean, "clean"), None)
    return given.own_clean(watch)


def _threshold(
    rule: Rule, judge: _Judge, clean: Sequence[WatchedSeries], fitted: Fitted, options: DetectOptions
) -> StoredThreshold:
    value, points = judge.of_clean(rule, clean)
    return StoredThreshold(
        value=value,
        rule=str(rule),
        source=fitted.digest.hex(),
        clean=digest_of_series(clean).hex(),
        points=points,
        smooth=options.smooth,
        stride=fitted.stride,
        window=fitted.window,
        causal=options.causal,
        usual=None if fitted.usual is None else fitted.usual.tolist(),
    )


def _steps_a_day(series: Sequence[WatchedSeries]) -> float | None:
    """By the median step of the first series; None where stamps are no dates."""
    first = series[0]
    if not first.dated or len(first.moments) < 2:
        return None
    return 86_400e6 / float(np.median(np.diff(first.moments)))


def _detected(one: WatchedSeries, judge: _Judge, threshold: StoredThreshold | None) -> DetectedSeries:
    scores, first = judge.scores(one), judge.fitted.first
    flags = None if threshold is None else scores > threshold.value
    return DetectedSeries(one.name, one.stamps, one.values, one.columns, scores, first, flags, one.labels)


def _report(
    given: Source,
    found: Sequence[DetectedSeries],
    threshold: StoredThreshold | None,
    options: DetectOptions,
    clean: Callable[[], list[WatchedSeries]],
    watch: Listener,
    name: str,
) -> Report:
    facts: dict[str, str | int | float] = {
        "series": len(found),
        "points": sum(len(one.scores) for one in found),
        "not scored": f"the first {found[0].first:,} steps of each series, which nothing is said of (score 0)",
    }
    if not found[0].first:
        del facts["not scored"]
    if threshold is not None:
        facts |= {
            "clean points": threshold.points,
            "threshold": f"{threshold.value:.6g} ({threshold.rule})",
            "points flagged": sum(int(one.flags.sum()) for one in found if one.flags is not None),
            "alarms": sum(_alarms(one.flags) for one in found if one.flags is not None),
        }
    scores: tuple[Score, ...] = ()
    beside: dict[str, tuple[Score, ...]] = {}
    tables: tuple[Table, ...] = ()
    if any(one.labels is not None for one in found):
        buffer = _buffer(found)
        scores = _scored(found, buffer, watch)
        beside = _beside(given, found, clean(), options, threshold, buffer, watch)
        facts["buffer"] = f"{buffer} steps at most around anomalies count in VUS"
        rows = tuple((one, FORMULAS[one]) for one in (score.name for score in scores))
        tables = (Table("What the scores are", ("score", "formula"), rows),)
    return Report(f"{given.name} on {name}", scores, beside, tables, facts)


def _alarms(flags: NDArray[np.bool_]) -> int:
    return int((np.diff(flags.astype(np.int8), prepend=0) == 1).sum())


def _buffer(found: Sequence[DetectedSeries]) -> int:
    """The widest buffer of VUS: until the first labelled series repeats itself."""
    values = next(one.values[:, 0] for one in found if one.labels is not None)
    return period(values[~np.isnan(values)])


def _scored(found: Sequence[DetectedSeries], buffer: int, watch: Listener) -> tuple[Score, ...]:
    """Means over the series that can be scored. Raises DataError where none can."""
    usable = [one for one in found if one.labels is not None and 0 < int(one.labels.sum()) < len(one.labels)]
    if not usable:
        raise DataError("labels: no series has both labelled points and others, so that nothing can be compared.")
    if left := len(found) - len(usable):
        watch.note(f"{counted(left, 'series has', 'series have')} no label, or nothing else, and count in no score.")
    return mean_scores([_of_one(one, buffer) for one in usable])


def _of_one(one: DetectedSeries, buffer: int) -> tuple[Score, ...]:
    assert one.labels is not None
    return anomaly_scores(one.labels, one.scores, one.flags, buffer)


def _beside(
    given: Source,
    found: Sequence[DetectedSeries],
    clean: Sequence[WatchedSeries],
    options: DetectOptions,
    threshold: StoredThreshold | None,
    buffer: int,
    watch: Listener,
) -> dict[str, tuple[Score, ...]]:
    """The scores of detectors without a network, fitted to the same clean data, at thresholds by the same rule."""
    words = _words_beside(given, found, options, watch)
    scores = {}
    for word in words:
        try:
            scores[word] = tuple(_of_baseline(word, found, clean, options, threshold, buffer))
        except (ConfigError, DataError) as problem:
            if options.beside is not None:
                raise
            watch.note(f"{word} does not stand beside: {problem}")
    return scores


def _words_beside(
    given: Source, found: Sequence[DetectedSeries], options: DetectOptions, watch: Listener
) -> Iterator[str]:
    points = sum(len(one.scores) for one in found)
    for word in BESIDE if options.beside is None else options.beside:
        if word not in DETECTORS:
            raise ConfigError(
                f"beside: unknown detector '{word}'.{DETECTORS.near(word)} Known: {', '.join(DETECTORS)}."
            )
        if word == given.word:
            continue
        if options.beside is None and word == "isolation_forest" and points > MOST_BESIDE:
            watch.note(f"isolation_forest is left out beside {points:,} points; --beside isolation_forest asks for it.")
            continue
        yield word


def _of_baseline(
    word: str,
    found: Sequence[DetectedSeries],
    clean: Sequence[WatchedSeries],
    options: DetectOptions,
    threshold: StoredThreshold | None,
    buffer: int,
) -> tuple[Score, ...]:
    fitted = FittedBaseline.of(word, clean, options)
    judge = _Judge(fitted, options.smooth)
    value = None
    if threshold is not None and not threshold.rule.startswith("value="):
        value, _ = judge.of_clean(Rule.of(threshold.rule), clean)
    several = []
    for one in found:
        if one.labels is None or not 0 < int(one.labels.sum()) < len(one.labels):
            continue
        scores = judge.of_errors(fitted.errors(one.values))
        flags = None if value is None else scores > value
        several.append(anomaly_scores(one.labels, scores, flags, buffer))
    return mean_scores(several)
