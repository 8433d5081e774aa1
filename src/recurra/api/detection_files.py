"""What `detect` found, as a table of points and as a page."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recurra.api.detecting import Detected, DetectedSeries
from recurra.base.atomic import replacing, write_text
from recurra.base.errors import ConfigError
from recurra.data.formats.csv import guarded
from recurra.report import Chart, Curve, html
from recurra.report.charts import MOST_POINTS

Floats = NDArray[np.float64]
# Series that a page draws, those of the highest scores.
MOST_SERIES = 8


def refuse_other_ending(path: Path | None, ending: str) -> None:
    """Raise ConfigError, before any work, for a name that ends otherwise."""
    if path is not None and path.suffix != ending:
        raise ConfigError(f"{path}: expected a name that ends in {ending}.")


def write_scores(path: Path, found: Detected) -> None:
    """CSV, a row a point: series where there are several, time, score, and flag (0 or 1) where there is a threshold.

    A name or a stamp that a spreadsheet would run as a formula gets an apostrophe and a backslash in front, which
    recurra takes away again where it reads the file.
    """
    several, flagged = len(found.series) > 1, found.threshold is not None
    head = [*(["series"] if several else []), "time", "score", *(["flag"] if flagged else [])]
    with replacing(path) as file:
        text = io.TextIOWrapper(file, "utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(head)
        for one in found.series:
            columns: list[object] = [[guarded(one.name)] * len(one.scores)] if several else []
            stamps = [guarded(stamp) if isinstance(stamp, str) else stamp for stamp in one.stamps]
            columns += [stamps, map(repr, one.scores.tolist())]
            if one.flags is not None:
                columns.append(one.flags.astype(int).tolist())
            writer.writerows(zip(*columns, strict=True))
        text.detach()  # which flushes, and leaves the file open


def write_detection_page(path: Path, found: Detected) -> None:
    """One HTML page: scores, and charts of the series with the highest scores."""
    ranked = sorted(found.series, key=lambda one: float(one.scores.max(initial=0)), reverse=True)[:MOST_SERIES]
    charts = [
        chart for one in ranked for chart in charts_of(one, None if found.threshold is None else found.threshold.value)
    ]
    write_text(path, html(found.report, charts=charts))


def charts_of(one: DetectedSeries, threshold: float | None) -> tuple[Chart, Chart]:
    """The values with what is flagged and labelled, and the scores with the threshold."""
    curves = [Curve(name, _points(one.values[:, d], "mean")) for d, name in enumerate(one.columns)]
    for name, some in (("labelled", one.labels), ("flagged", one.flags)):
        if some is not None and some.any():
            curves.append(Curve(name, _marks(one.values[:, 0], some), dots=True))
    score = [Curve("score, the highest of neighbours", _points(one.scores, "max"))]
    if threshold is not None:
        score.append(Curve("threshold", ((0.0, threshold), (float(len(one.scores) - 1), threshold))))
    return Chart(one.name, "step", "value", tuple(curves)), Chart(f"{one.name}: score", "step", "score", tuple(score))


def _points(values: Floats, how: str) -> tuple[tuple[float, float], ...]:
    """At most 300 points, each of as many neighbours as it takes: their mean, or the highest."""
    size = -(-len(values) // MOST_POINTS)
    groups = [values[k : k + size] for k in range(0, len(values), size)]
    heights = [
        float(np.nanmax(one) if how == "max" else np.nanmean(one)) if not np.isnan(one).all() else np.nan
        for one in groups
    ]
    return tuple((float(k * size), height) for k, height in enumerate(heights))


def _marks(values: Floats, some: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """One dot for each group of neighbours with any of them."""
    size = -(-len(values) // MOST_POINTS)
    first = [k + int(np.argmax(some[k : k + size])) for k in range(0, len(values), size) if some[k : k + size].any()]
    return tuple((float(k), float(values[k])) for k in first)
