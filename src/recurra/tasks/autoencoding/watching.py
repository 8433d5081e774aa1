"""Series that are watched: windows as long as the rows of training, beside what is said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from recurra.base.contracts import Batch, Record
from recurra.base.errors import ConfigError, DataError
from recurra.data.fields import numbers_of
from recurra.tasks.contract import WatchedSeries
from recurra.tasks.series_reader import raw_series

if TYPE_CHECKING:
    from recurra.tasks.autoencoding.task import Autoencoding

Floats = NDArray[np.float64]
# Fields of a record that name a series, before the place of its first row.
NAMES = ("series", "id", "unique_id")


def steps_of_window(task: Autoencoding) -> int:
    """As many as rows of training had. Raises ConfigError for rows that are no series."""
    _refuse_unwatched(task)
    steps = task.reader.steps or task.statistics.steps
    if steps == 1:
        raise ConfigError(
            "detect: rows of this run have one step each, and are no windows of a series; train on several, with "
            "data.layout: {name: windows, length: STEPS}."
        )
    return steps


def _refuse_unwatched(task: Autoencoding) -> None:
    if task.plan.notes is not None:
        raise ConfigError("detect: scores series of numbers, and this run reads chords (task.notes).")
    if task.plan.binarize != "none":
        raise ConfigError("detect: scores numbers, and this run makes them 0 or 1 (task.binarize); train without it.")


def watched_series(task: Autoencoding, record: Record, label: str | None) -> WatchedSeries:
    """A record as a series. label: a column of 0 and 1 beside

    Raises DataError for what is no number, and for another number of columns than in training.
    """
    _refuse_unwatched(task)
    raw = raw_series(record, task.plan.columns, task.plan.missing)
    if raw.shape[1] != task.reader.num_features:
        task.reader.ready(raw, record.origin)  # says what is wrong
    steps = np.arange(1, len(raw) + 1)
    name = next((str(record.fields[one]) for one in NAMES if one in record.fields), "of the file")
    columns = task.plan.columns
    if len(columns) < raw.shape[1]:
        columns = tuple(f"{columns[0]} {k}" for k in range(1, raw.shape[1] + 1))
    labels = None if label is None else _labels(record, label, len(raw))
    return WatchedSeries(name, record.origin, raw.astype(np.float64), columns, steps, False, steps.tolist(), labels)


def _labels(record: Record, label: str, steps: int) -> NDArray[np.bool_]:
    found = numbers_of(record.fields.get(label), record.origin, label).ravel()
    wrong = np.flatnonzero((found != 0) & (found != 1))
    if len(found) != steps or len(wrong):
        said = f"{len(found):,} steps of {steps:,}" if len(found) != steps else f"{found[wrong[0]]:g}"
        raise DataError(f"{record.origin}: column '{label}' holds {said}, expected 0 or 1 in each step.")
    return np.asarray(found == 1)


def window_errors(
    task: Autoencoding, model: Any, series: WatchedSeries, starts: NDArray[np.int64], device: torch.device
) -> Floats:
    """(N, span, F) |x - said| in the units of the data, NaN where a number is missing, and behind the end.

    A window that reaches past the end is that of the last steps, of which those before it are not told.
    """
    span, last = steps_of_window(task), len(series.values) - steps_of_window(task)
    away = _away(task, model, series.values.astype(np.float32), np.minimum(starts, last), device)
    for n in np.flatnonzero(starts > last):
        early = starts[n] - last
        away[n] = np.concatenate([away[n, early:], np.full((min(early, span), away.shape[2]), np.nan)])
    return away


def _away(
    task: Autoencoding, model: Any, values: NDArray[np.float32], starts: NDArray[np.int64], device: torch.device
) -> Floats:
    """(N, span, F) of whole windows of values (T, F)."""
    reader, span = task.reader, steps_of_window(task)
    windows = sliding_window_view(values, span, 0)[starts].swapaxes(1, 2)  # (N, span, F)
    N, F = len(starts), values.shape[1]
    width = len(reader.scaler.shift)
    scaled = reader.scaler(windows.reshape(-1, width)).astype(np.float32).reshape(N, -1, width)
    there = ~np.isnan(scaled)
    read = np.nan_to_num(scaled)
    if reader.missing == "mask":
        read = np.concatenate([read, there.astype(np.float32)], 2)
    features = torch.from_numpy(np.ascontiguousarray(read.swapaxes(0, 1)))
    lengths = torch.full((N,), features.shape[0], dtype=torch.int64)
    batch = Batch({"features": features}, lengths, {}, tuple(range(N))).to(device)
    coded, mean = model.code(batch), task.likelihood.mean
    said = mean(model.decode(coded.best, lengths.to(device), mean=mean)).double().cpu().numpy().swapaxes(0, 1)
    found = np.where(there, np.abs(scaled - said) * reader.scaler.scale, np.nan)
    return np.asarray(found.reshape(N, span, F))
