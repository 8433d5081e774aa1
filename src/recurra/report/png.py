"""confusion.png, curves.png, map.png and attention.png, where matplotlib is installed."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recurra.base.contracts import Report, Table
from recurra.report.charts import Chart, thinned
from recurra.report.heatmap import HeatMap, shortened
from recurra.report.tables import MOST_LABELS, is_matrix

MISSING = 'pictures were left out: matplotlib is not installed; pip install "recurra[plot]".'
# Orange below zero, blue above, as on the page.
SIGNED = ("#d95f02", "#ffffff", "#1d5fd1")
GLYPHS = "some labels hold characters that matplotlib's font lacks; report.html shows them."


@dataclass(frozen=True, slots=True)
class Pictures:
    """PNG files by name, and a sentence for each thing that could not be drawn."""

    files: Mapping[str, bytes]
    notes: tuple[str, ...]


def pictures(report: Report, charts: Sequence[Chart], maps: Sequence[HeatMap] = ()) -> Pictures:
    """Draw the first confusion matrix, all curves, maps of named points, all heat maps.

    Without matplotlib nothing is drawn, and the note says how to install it.
    """
    try:
        import matplotlib.figure  # noqa: F401  found here, used by the functions below
    except ModuleNotFoundError:
        return Pictures({}, (MISSING,))
    files: dict[str, bytes] = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for table in [t for t in report.tables if is_matrix(t) and len(t.columns) <= MOST_LABELS][:1]:
            files["confusion.png"] = confusion_png(table)
        if curves := [chart for chart in charts if not _is_map(chart)]:
            files["curves.png"] = curves_png(curves)
        if named := [chart for chart in charts if _is_map(chart)]:
            files |= {"map.png" if k == 1 else f"map_{k}.png": map_png(chart) for k, chart in enumerate(named, 1)}
        if maps:
            files["attention.png"] = heat_png(maps)
    return Pictures(files, (GLYPHS,) if any("Glyph" in str(w.message) for w in caught) else ())


def confusion_png(table: Table) -> bytes:
    """A matrix of counts as a heat map of the shares of each row; counts are written in up to 30 labels."""
    from matplotlib.figure import Figure

    names = [str(name) for name in table.columns[1:]]
    counts = [[int(value) for value in row[1:]] for row in table.rows]
    shares = [[value / max(sum(row), 1) for value in row] for row in counts]
    side = min(3 + 0.36 * len(names), 24)
    figure = Figure(figsize=(side + 1, side), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=90 if len(names) > 6 else 0, parse_math=False)
    axes.set_yticks(range(len(counts)), [str(row[0]) for row in table.rows], parse_math=False)
    axes.set(xlabel="predicted", ylabel="true")
    figure.colorbar(image, shrink=0.8, label="share of the row")
    if len(names) <= 30:
        _write_counts(axes, counts, shares)
    return _png(figure)


def curves_png(charts: Sequence[Chart]) -> bytes:
    """The charts one under the other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3 * len(charts)), dpi=120, layout="constrained")
    for axes, chart in zip(figure.subplots(len(charts), squeeze=False)[:, 0], charts, strict=True):
        for curve in map(thinned, chart.curves):
            style = "." if curve.dots else "-"
            axes.plot(*zip(*curve.points, strict=True) if curve.points else ([], []), style, label=curve.name)
        axes.set_title(chart.title, parse_math=False)
        axes.set_xlabel(chart.x, parse_math=False)
        axes.set_ylabel(chart.y, parse_math=False)
        for text in axes.legend().get_texts() if chart.curves else ():
            text.set_parse_math(False)
    return _png(figure)


def _is_map(chart: Chart) -> bool:
    return any(curve.labels for curve in chart.curves)


def map_png(chart: Chart) -> bytes:
    """Points with their names."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 8), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for curve in chart.curves:
        axes.plot(*zip(*curve.points, strict=True), ".", label=curve.name)
        for name, place in zip(curve.labels, curve.points, strict=True):
            axes.annotate(
                name, place, xytext=(3, 2), textcoords="offset points", fontsize=8, annotation_clip=False,
                parse_math=False,
            )  # fmt: skip
    axes.set_title(chart.title, parse_math=False)
    axes.set_xlabel(chart.x, parse_math=False)
    axes.set_ylabel(chart.y, parse_math=False)
    if len(chart.curves) > 1:
        for text in axes.legend().get_texts():
            text.set_parse_math(False)
    return _png(figure)


def heat_png(maps: Sequence[HeatMap]) -> bytes:
    """Heat maps one under the other: a row for each output token, a column for each token that was read.

    Raises ModuleNotFoundError without matplotlib.
    """
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    # A fifth of an inch a token, and room for the labels.
    heights = [1.6 + 0.2 * len(one.rows) for one in maps]
    width = min(max(2.4 + 0.2 * max((len(one.columns) for one in maps), default=0), 7), 40)
    margin = max((len(shortened(name)) for one in maps for name in one.rows), default=0)
    figure = Figure(figsize=(width, min(sum(heights), 120)), dpi=120, layout="constrained")
    panels = figure.subplots(len(maps), squeeze=False, height_ratios=heights)[:, 0]
    for axes, one in zip(panels, maps, strict=True):
        # Without rows there is nothing to colour, and imshow takes no empty picture.
        signed = any(weight < 0 for row in one.weights for weight in row)
        colours = LinearSegmentedColormap.from_list("signed", SIGNED) if signed else "Blues"
        axes.imshow(_cells(one), cmap=colours, vmin=-1 if signed else 0, vmax=1, aspect="auto")
        columns = [shortened(name) for name in one.columns]
        axes.set_xticks(range(len(columns)), columns, rotation=90, parse_math=False)
        axes.set_yticks(range(len(one.rows)), [shortened(name) for name in one.rows], parse_math=False)
        # 13 letters an inch, in what the labels of the rows leave.
        title = textwrap.fill(one.title, max(20, round(13 * width) - margin - 3), max_lines=3, placeholder=" …")
        axes.set_title(title, parse_math=False, loc="left", fontsize=10)
    return _png(figure)


def _cells(one: HeatMap) -> list[list[Any]]:
    """What imshow draws: weights, or red, green and blue of 0 to 1."""
    if not one.colours:
        return [list(row) for row in one.weights] or [[0.0]]
    return [[[int(cell[k : k + 2], 16) / 255 for k in (1, 3, 5)] for cell in row] for row in one.colours]


def _write_counts(axes: Any, counts: list[list[int]], shares: list[list[float]]) -> None:
    for y, row in enumerate(counts):
        for x, count in enumerate(row):
            if count:
                ink = "white" if shares[y][x] > 0.5 else "black"
                axes.text(x, y, str(count), ha="center", va="center", color=ink, fontsize=7)


def _png(figure: Any) -> bytes:
    """The same bytes for the same figure: no version and no date inside."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
