"""A report's files in a run folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recurra.base.atomic import replacing
from recurra.base.contracts import Report
from recurra.report.charts import Chart
from recurra.report.heatmap import HeatMap
from recurra.report.page import html
from recurra.report.png import Pictures, pictures
from recurra.report.recordings import RecordingFigure
from recurra.report.scores import baselines_json, scores_json


@dataclass(frozen=True, slots=True)
class Written:
    """The files, and a sentence for each thing that could not be drawn."""

    paths: tuple[Path, ...]
    notes: tuple[str, ...]


def write(
    folder: Path,
    report: Report,
    *,
    charts: Sequence[Chart] = (),
    maps: Sequence[HeatMap] = (),
    recordings: Sequence[RecordingFigure] = (),
    settings: str = "",
    draw: bool = True,
) -> Written:
    """Write scores.json, baselines.json, report.html and, with matplotlib, confusion, curves and attention as PNG.

    draw: whether there are to be PNG files; the page has its own pictures
    Each file is replaced whole or not at all. Raises OSError as the system gives it.
    """
    drawn = pictures(report, charts, maps) if draw else Pictures({}, ())
    files = {
        "scores.json": _json(scores_json(report)),
        "baselines.json": _json(baselines_json(report)),
        "report.html": html(report, charts=charts, maps=maps, recordings=recordings, settings=settings).encode("utf-8"),
        **drawn.files,
    }
    for name, content in files.items():
        with replacing(folder / name) as file:
            file.write(content)
    return Written(tuple(folder / name for name in files), drawn.notes)


def _json(value: object) -> bytes:
    # ASCII only: a label may hold half of a surrogate pair, which UTF-8 cannot.
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode("ascii")
