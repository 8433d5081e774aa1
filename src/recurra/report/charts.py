"""Curves over steps or epochs, drawn by hand as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from recurra.report.markup import Markup, join, tag

# A chart is 640 units wide on a page of about 1000 pixels: more points than this cannot be told apart.
MOST_POINTS = 300
WIDTH, HEIGHT = 640, 280
# Of style.py.
COLOURS = 10
LEFT, RIGHT, TOP, BOTTOM = 68, 16, 12, 46

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a chart. points: (x, y) with x rising; a point that is not finite is left out.

    dots: points that no line joins, such as predictions over truths      labels: of each of them, or none
    """

    name: str
    points: tuple[Point, ...]
    dots: bool = False
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chart:
    """Some curves on the same axes. x, y: what the axes measure, with the unit: "step", "nats per target"."""

    title: str
    x: str
    y: str
    curves: tuple[Curve, ...]


def thinned(curve: Curve) -> Curve:
    """At most 300 points: each is the mean of as many neighbours as it takes, so a noisy loss reads as a line.

    Of dots every so manieth stays as it is: a mean would hide how far they lie apart.
    """
    if curve.labels:
        return curve
    points = [p for p in curve.points if math.isfinite(p[0]) and math.isfinite(p[1])]
    size = math.ceil(len(points) / MOST_POINTS)
    if curve.dots:
        return Curve(curve.name, tuple(points[:: max(size, 1)]), dots=True)
    runs = [points[i : i + size] for i in range(0, len(points), max(size, 1))]
    return Curve(curve.name, tuple((_mean(x for x, _ in run), _mean(y for _, y in run)) for run in runs))


def svg(chart: Chart) -> Markup:
    """The chart as a figure with a legend; a sentence where there is nothing to draw."""
    curves = [curve for curve in map(thinned, chart.curves) if curve.points]
    if not curves:
        return tag("p", f"{chart.title}: nothing was measured.", class_="note")
    axes = _Axes([point for curve in curves for point in curve.points])
    drawn = [_line(curve, axes, class_=f"curve c{i % COLOURS}") for i, curve in enumerate(curves)]
    picture = tag(
        "svg",
        _grid(axes, chart),
        *drawn,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=f"{chart.title}: {chart.y} by {chart.x}",
    )
    return tag("figure", tag("figcaption", tag("b", chart.title), _legend(curves)), picture)


def ticks(low: float, high: float) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) that lie in [low, high], three to seven of them."""
    rough = (high - low) / 6
    power = 10 ** math.floor(math.log10(rough))
    step = power * next(m for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


class _Axes:
    """Data to picture coordinates."""

    def __init__(self, points: Sequence[Point]) -> None:
        self.x = _span([x for x, _ in points], margin=0.0)
        self.y = _span([y for _, y in points], margin=0.05)

    def place(self, point: Point) -> Point:
        right = (point[0] - self.x[0]) / (self.x[1] - self.x[0])
        up = (point[1] - self.y[0]) / (self.y[1] - self.y[0])
        return LEFT + right * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def _span(values: Sequence[float], *, margin: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # one value: room around it, or it would fill no axis
        half = max(abs(low) / 2, 0.5)
        return low - half, high + half
    return low - margin * (high - low), high + margin * (high - low)


def _grid(axes: _Axes, chart: Chart) -> Markup:
    return join(*_rulings(axes), *_names(chart))


def _rulings(axes: _Axes) -> Iterator[Markup]:
    for value in ticks(*axes.y):
        y = axes.place((axes.x[0], value))[1]
        yield tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=f"{y:.1f}", y2=f"{y:.1f}")
        yield tag("text", f"{value:.4g}", x=LEFT - 8, y=f"{y + 5:.1f}", class_="end")
    for value in ticks(*axes.x):
        x = axes.place((value, axes.y[0]))[0]
        yield tag("text", f"{value:,.10g}", x=f"{x:.1f}", y=HEIGHT - BOTTOM + 19, class_="middle")


def _names(chart: Chart) -> Iterator[Markup]:
    yield tag("text", chart.x, x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 5, class_="middle name")
    middle = (TOP + HEIGHT - BOTTOM) / 2
    yield tag("text", chart.y, x=15, y=middle, transform=f"rotate(-90 15 {middle})", class_="middle name")


def _line(curve: Curve, axes: _Axes, *, class_: str) -> Markup:
    places = [axes.place(point) for point in curve.points]
    line = tag("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places), class_=class_)
    # Dots show where few values were really measured; among many they would hide the line.
    dots = [tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=2.5, class_=class_) for x, y in places]
    names = [
        tag("text", name, x=f"{x + 4:.1f}", y=f"{y + 3:.1f}", class_="point")
        for name, (x, y) in zip(curve.labels, places, strict=False)
    ]
    return join(*([] if curve.dots else [line]), *(dots if curve.dots or len(dots) <= 40 else ()), *names)


def _legend(curves: Sequence[Curve]) -> Markup:
    entries = [tag("span", curve.name, class_=f"key c{i % COLOURS}") for i, curve in enumerate(curves)]
    return tag("span", *entries, class_="legend")


def _mean(values: Iterator[float]) -> float:
    numbers = list(values)
    return math.fsum(numbers) / len(numbers)
