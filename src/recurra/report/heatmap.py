"""Weights of columns for each row, as a picture: what an output looked at while it was written."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass

from recurra.report.markup import Markup, tag

# A picture of more rows or columns than this cannot be read.
MOST_CELLS = 80
CELL = 22
# Units of the picture that a letter takes at its size of 14, on average.
LETTER = 8
LONGEST_LABEL = 24


@dataclass(frozen=True, slots=True)
class HeatMap:
    """title: one line; rows, columns: what stands beside them; weights: of each row, one for each column, 0..1.

    Weights may go below zero, to -1: these have another colour.
    colours: "#rrggbb" of each cell, of a picture in colour; none: a shade by its weight
    image: a PNG that is shown in place of the cells, of weights that lie over a picture
    """

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]
    colours: tuple[tuple[str, ...], ...] = ()
    image: bytes = b""


def heat_svg(chart: HeatMap) -> Markup:
    """The map as a figure: a row for each output token, darker where its weight is larger."""
    if chart.image:
        source = f"data:image/png;base64,{b64encode(chart.image).decode()}"
        return tag("figure", tag("figcaption", tag("b", chart.title)), tag("img", src=source, alt=chart.title))
    if max(len(chart.rows), len(chart.columns)) > MOST_CELLS:
        return tag("p", f"{chart.title}: more than {MOST_CELLS} tokens are too many to draw.", class_="note")
    left = 10 + LETTER * max(map(len, map(shortened, chart.rows)), default=0)
    top = 16 + LETTER * max(map(len, map(shortened, chart.columns)), default=0)
    width, height = left + CELL * len(chart.columns) + 10, top + CELL * len(chart.rows) + 10
    picture = tag(
        "svg",
        *_labels(chart, left, top),
        *_cells(chart, left, top),
        viewBox=f"0 0 {width} {height}",
        style=f"max-width:{width}px",
        role="img",
        aria_label=chart.title,
    )
    return tag("figure", tag("figcaption", tag("b", chart.title)), picture)


def shortened(label: str) -> str:
    """A label that leaves room for the picture; a space is shown."""
    text = label.replace(" ", "\u2423")
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…"


def _labels(chart: HeatMap, left: int, top: int) -> Iterator[Markup]:
    for y, name in enumerate(chart.rows):
        yield tag("text", shortened(name), x=left - 6, y=top + CELL * y + 16, class_="end")
    for x, name in enumerate(chart.columns):
        at, foot = left + CELL * x + 16, top - 6
        yield tag("text", shortened(name), x=at, y=foot, transform=f"rotate(-90 {at} {foot})")


def _cells(chart: HeatMap, left: int, top: int) -> Iterator[Markup]:
    signed = any(weight < 0 for row in chart.weights for weight in row)
    for y, (said, weights) in enumerate(zip(chart.rows, chart.weights, strict=True)):
        for x, (read, weight) in enumerate(zip(chart.columns, weights, strict=True)):
            yield tag(
                "rect",
                tag("title", f"{said} ← {read}: {f'{weight:+.2f}' if signed else f'{100 * weight:.1f} %'}"),
                x=left + CELL * x,
                y=top + CELL * y,
                width=CELL - 1,
                height=CELL - 1,
                **_ink(chart, x, y, weight),
            )


def _ink(chart: HeatMap, x: int, y: int, weight: float) -> dict[str, str]:
    if chart.colours:
        return {"fill": chart.colours[y][x]}
    return {"class_": "weight" if weight >= 0 else "weight below", "fill_opacity": f"{min(abs(weight), 1.0):.3f}"}
