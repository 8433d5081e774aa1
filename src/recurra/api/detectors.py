"""What scores points: a trained run whose task can, or a detector without a network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.api.folder import OpenRun, opened
from recurra.api.given import AnyPath, Row, records_of
from recurra.api.inference import device_of
from recurra.api.layout import fields_for, laid_out
from recurra.api.schema import Settings
from recurra.api.series_tables import read_table
from recurra.base.contracts import Listener, Record
from recurra.base.deadline import check_deadline
from recurra.base.digest import digest_of
from recurra.base.errors import ConfigError, DataError
from recurra.base.words import counted
from recurra.data.formats import StopAtBadRow, read
from recurra.metrics.anomalies import period
from recurra.metrics.anomalies.detectors import DETECTORS, Detector
from recurra.metrics.anomalies.windows import Windows, last_windows, point_means
from recurra.tasks import ScoresSteps, WatchedSeries

if TYPE_CHECKING:
    from recurra.api.detecting import DetectOptions
    from recurra.api.thresholds import StoredThreshold

Floats = NDArray[np.float64]
# Windows that a model reads together: a fixed number from the first one on.
ROWS = 1024


class Fitted(Protocol):
    """Scores series. digest: of what it scores by      first: the first step that is scored

    needed: steps of the shortest series that has a score
    window: of a baseline      stride, usual: of a run, steps between windows and usual errors
    """

    @property
    def digest(self) -> bytes: ...
    @property
    def first(self) -> int: ...
    @property
    def needed(self) -> int: ...
    @property
    def window(self) -> int | None: ...
    @property
    def stride(self) -> int | None: ...
    @property
    def usual(self) -> Floats | None: ...
    def errors_of(self, series: WatchedSeries) -> Floats: ...
    def refuse_short(self, series: WatchedSeries) -> None: ...


class Source(Protocol):
    """Reads series, and is fitted to clean ones. word: of a baseline, "" of a run"""

    @property
    def name(self) -> str: ...
    @property
    def word(self) -> str: ...
    def series(self, file: Path | Iterable[Row], label: str | None) -> list[WatchedSeries]: ...
    def beginning(self, series: WatchedSeries, steps: int) -> WatchedSeries: ...
    def own_clean(self, watch: Listener) -> list[WatchedSeries]: ...
    def fitted(self, clean: Sequence[WatchedSeries]) -> Fitted: ...
    def under(self, options: DetectOptions) -> Source:
        """The same with other options."""
        ...

    def restored(self, threshold: StoredThreshold) -> Fitted | None:
        """As it was when a threshold was found; None where that needs the clean data again."""
        ...


def source_of(
    source: AnyPath | OpenRun, options: DetectOptions, device: str, cells: Iterable[AnyPath], watch: Listener
) -> Source:
    """A run, or a baseline by its word. Raises ConfigError for options that have no effect on it."""
    if isinstance(source, str) and source in DETECTORS and not Path(source).exists():
        if options.stride is not None:
            raise ConfigError("stride: a baseline's windows begin at every step; leave it out.")
        if options.clean is None:
            raise ConfigError(
                f"{source}: is fitted to clean data, and there is none; give --clean FILE, a file of series without "
                "anomalies, or --clean N for the first N steps of each series."
            )
        return BaselineSource(source, options, watch)
    idle = [name for name in ("window", "columns", "time", "id") if getattr(options, name)]
    if idle:
        raise ConfigError([f"{name}: a run knows it by its config; it is for baselines alone." for name in idle])
    run = opened(source, cells)
    if not isinstance(run.task, ScoresSteps):
        raise ConfigError(
            f"{run.folder.path}: its task, {run.settings.tree['task']['name']}, scores no steps of a series; expected "
            f"a run that forecasts or reconstructs series, or one of {', '.join(DETECTORS)}."
        )
    if options.causal and not run.task.whole:
        raise ConfigError("causal: the scores of this run have nothing of later steps in them anyway; leave it out.")
    return RunSource(run, run.task, options, device_of(device))


@dataclass(frozen=True, slots=True)
class BaselineSource:
    """A detector without a network, by its word."""

    word: str
    options: DetectOptions
    watch: Listener

    @property
    def name(self) -> str:
        return self.word

    def series(self, file: Path | Iterable[Row], label: str | None) -> list[WatchedSeries]:
        options = self.options
        return read_table(file, options.columns, options.time, options.id, label, self.watch)

    def beginning(self, series: WatchedSeries, steps: int) -> WatchedSeries:
        return _begun(series, steps)

    def own_clean(self, watch: Listener) -> list[WatchedSeries]:
        return []

    def fitted(self, clean: Sequence[WatchedSeries]) -> FittedBaseline:
        return FittedBaseline.of(self.word, clean, self.options, self.watch)

    def under(self, options: DetectOptions) -> BaselineSource:
        return replace(self, options=options)

    def restored(self, threshold: StoredThreshold) -> None:
        return None


@dataclass(frozen=True, slots=True)
class FittedBaseline:
    """A detector that has seen clean data. digest: of that, the word and the window, not of rounded numbers"""

    detector: Detector
    causal: bool
    digest: bytes

    @classmethod
    def of(
        cls, word: str, clean: Sequence[WatchedSeries], options: DetectOptions, watch: Listener | None = None
    ) -> FittedBaseline:
        """Raises DataError where clean series are shorter than two windows, or are one constant."""
        window = options.window
        values = [_whole(one) for one in clean]
        if window is None:
            window = period(max(values, key=len)[:, 0])
            if watch is not None:
                watch.note(f"window: {window} steps, until the clean data repeats itself; --window sets another.")
        if (longest := max(map(len, values))) < 2 * window:
            raise DataError(
                f"clean data: the longest series has {longest:,} steps; windows of {window} need {2 * window:,}. "
                "Give more clean data, or a shorter --window."
            )
        if all((one == one[0]).all() for one in values):
            raise DataError("clean data: every value is the same, so that nothing tells how much is usual.")
        detector = DETECTORS[word](values, window)
        if options.causal and detector.windows.span == 1:
            raise ConfigError(f"causal: the scores of {word} have nothing of later steps in them anyway; leave it out.")
        return cls(detector, options.causal, digest_of(word, window, options.causal, *values))

    @property
    def usual(self) -> None:
        return None

    @property
    def first(self) -> int:
        return self.detector.windows.lead

    @property
    def window(self) -> int:
        return self.detector.window

    @property
    def stride(self) -> None:
        return None

    def errors_of(self, series: WatchedSeries) -> Floats:
        return self.errors(_whole(series))

    def errors(self, values: Floats) -> Floats:
        """(T,) of values (T, D)."""
        how = self.detector.windows
        scores = self.detector.scores(values)
        if self.causal:
            return last_windows(scores, how, len(values))
        return point_means([scores[:, None]], how, len(values))

    @property
    def needed(self) -> int:
        return self.detector.windows.lead + self.detector.windows.span

    def refuse_short(self, series: WatchedSeries) -> None:
        if len(series.values) < self.needed:
            raise _too_short(series, self.needed, "--window sets a shorter one")


@dataclass(frozen=True, slots=True)
class RunSource:
    """A trained run whose task scores steps."""

    run: OpenRun
    task: ScoresSteps
    options: DetectOptions
    device: torch.device

    @property
    def name(self) -> str:
        return self.run.folder.path.resolve().name

    @property
    def word(self) -> str:
        return ""

    def series(self, file: Path | Iterable[Row], label: str | None) -> list[WatchedSeries]:
        records = _records(self.run.settings, file, () if label is None else (label,))
        return [self.task.watched(record, label) for record in records]

    def beginning(self, series: WatchedSeries, steps: int) -> WatchedSeries:
        return _begun(series, steps)

    def own_clean(self, watch: Listener) -> list[WatchedSeries]:
        path = Path(self.run.settings.data.train)
        try:
            found = self.series(path, None)
        except DataError as problem:
            raise ConfigError(
                f"clean: the run's own training data cannot be read ({problem}); give --clean FILE."
            ) from None
        watch.note(
            f"clean: {path}, which the run was trained on; its errors there are smaller than on other clean data, "
            "which --clean FILE would give."
        )
        return found

    def fitted(self, clean: Sequence[WatchedSeries]) -> FittedRun:
        bare = self._with(np.ones((1, 1)))
        if not any(len(one.values) >= bare.needed for one in clean):
            raise DataError(f"clean data: no series has the {bare.needed:,} steps that a first score needs.")
        return replace(bare, usual=bare.usual_errors(clean))

    def under(self, options: DetectOptions) -> RunSource:
        return replace(self, options=options)

    def restored(self, threshold: StoredThreshold) -> FittedRun:
        return self._with(threshold.usual_errors(self.task.judged[1]))

    def _with(self, usual: Floats) -> FittedRun:
        lead, span = self.task.judged
        stride = self.options.stride or (1 if self.options.causal else max(1, span // 4))
        if self.options.causal and stride > 1:
            raise ConfigError(
                f"causal: scores the last step of each window, so stride is 1, not {stride}; leave it out."
            )
        if stride > span:
            raise ConfigError(f"stride: a window judges {span} steps, and {stride} would leave some out; take {span}.")
        digest = digest_of(_digest_of_run(self.run), stride, self.options.causal)
        return FittedRun(self, Windows(lead, span, stride, self.task.whole and stride == 1), usual, digest)


@dataclass(frozen=True, slots=True)
class FittedRun:
    """A run, and how far off its windows are on clean data. usual: (span, D) mean errors, by step of a window"""

    source: RunSource
    how: Windows
    usual: Floats
    digest: bytes

    @property
    def first(self) -> int:
        return self.how.lead

    @property
    def window(self) -> None:
        return None

    @property
    def stride(self) -> int:
        return self.how.stride

    def usual_errors(self, clean: Sequence[WatchedSeries]) -> Floats:
        """(span, D) means over clean windows; 1 where clean data is never off, as of a constant."""
        total, count = np.zeros(1), np.zeros(1)
        for one in (one for one in clean if len(one.values) >= self.needed):
            for part in self._parts(one):
                there = ~np.isnan(part)
                total = total + np.where(there, part, 0.0).sum(0)
                count = count + there.sum(0)
        found = total / np.maximum(count, 1)
        return np.where(found > 0, found, 1.0)

    def errors_of(self, series: WatchedSeries) -> Floats:
        """(T,) means of what windows say of a point: errors over the usual ones, mean of columns."""
        parts = (_mean_of_columns(part / self.usual) for part in self._parts(series))
        if self.source.options.causal:
            joined = np.concatenate([np.nan_to_num(part[:, -1]) for part in parts])
            return last_windows(joined, self.how, len(series.values))
        return point_means(parts, self.how, len(series.values))

    @torch.inference_mode()
    def _parts(self, series: WatchedSeries) -> Iterator[Floats]:
        """(N, span, D) errors of windows, in order; NaN behind the end of the series."""
        model, device = self.source.run.model.to(self.source.device).eval(), self.source.device
        total = self.how.count(len(series.values))
        for first in range(0, total, ROWS):
            check_deadline()
            stop = min(first + ROWS, total)
            starts = self.how.starts(first, stop)
            errors = self.source.task.step_errors(model, series, starts, device)
            behind = starts[:, None] + np.arange(self.how.span) >= len(series.values)
            yield np.where(behind[..., None], np.nan, errors)

    @property
    def needed(self) -> int:
        """Steps of the shortest series that can be scored."""
        return self.how.lead + (self.how.span if self.source.task.whole else 1)

    def refuse_short(self, series: WatchedSeries) -> None:
        if len(series.values) < self.needed:
            raise _too_short(series, self.needed, "a run with a shorter context, or shorter rows, reads less")


def _mean_of_columns(part: Floats) -> Floats:
    """(N, span) of (N, span, D): the mean of what is known."""
    there = ~np.isnan(part)
    count = there.sum(2)
    found: Floats = np.where(count > 0, np.where(there, part, 0.0).sum(2) / np.maximum(count, 1), np.nan)
    return found


def _whole(series: WatchedSeries) -> Floats:
    """The values. Raises DataError, with series and stamp, for one that is missing: a window has no hole."""
    gone = np.isnan(series.values)
    if gone.any():
        step, column = (int(k) for k in np.argwhere(gone)[0])
        others = int(gone.sum()) - 1
        more = f", nor {'has' if others == 1 else 'have'} {counted(others, 'other', 'others')}" if others else ""
        raise DataError(
            f"{series.origin}: series {series.name}, {series.stamps[step]}: column '{series.columns[column]}' has no "
            f"number{more}; baselines read whole windows. Fill it in, or watch "
            "with a run of task.missing: mask."
        )
    return series.values


def _too_short(series: WatchedSeries, needed: int, instead: str) -> DataError:
    return DataError(
        f"{series.origin}: series {series.name} has {counted(len(series.values), 'step', 'steps')}; {needed:,} are "
        f"needed for the first score. Leave it out; {instead}."
    )


def _begun(series: WatchedSeries, steps: int) -> WatchedSeries:
    """The first steps of a series. What a task has read of it is let be: windows end where the values do."""
    return replace(
        series,
        values=series.values[:steps],
        moments=series.moments[:steps],
        stamps=series.stamps[:steps],
        labels=None if series.labels is None else series.labels[:steps],
    )


def _records(settings: Settings, file: Path | Iterable[Row], also: Sequence[str]) -> Iterator[Record]:
    """The records of a file, or of rows, as a run reads them, with other columns of steps."""
    data = settings.data
    fields = fields_for(settings, (settings.plan.inputs[0].name, *also))
    if isinstance(file, Path):
        rows = read(file, format=data.format, **data.reading, fields=fields)
    else:
        rows = records_of(file, settings.plan.inputs[0].name)
    return laid_out(rows, settings, StopAtBadRow(), also, whole=True)


def _digest_of_run(run: OpenRun) -> bytes:
    """Of its weights and of what it has learned to read by."""
    sha = hashlib.sha256()
    for path in (run.folder.weights, run.folder.task, run.folder.config):
        sha.update(path.read_bytes())
    return sha.digest()
