"""Curves: where points land, what becomes of many points, of one, and of none."""

from __future__ import annotations

import math
import re

import pytest

from recurra.report import Chart, Curve, pictures
from recurra.report.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, svg, thinned, ticks
from report.reporting import parsed, small_report


def chart(*curves):
    return Chart("Loss", "step", "nats per target", curves)


def lines(markup):
    """The points of each polyline."""
    found = re.findall(r'polyline points="(.*?)"', markup)
    return [[tuple(map(float, p.split(","))) for p in line.split()] for line in found]


def test_the_first_and_last_point_stand_at_the_ends_of_the_axis_and_up_is_more():
    ((first, last),) = lines(svg(chart(Curve("train", ((10.0, 3.0), (20.0, 1.0))))))
    assert (first[0], last[0]) == (LEFT, WIDTH - RIGHT)
    assert TOP < first[1] < last[1] < HEIGHT - BOTTOM
    # 5 % of room above and below: 3.0 is 1.05/1.1 of the way up.
    assert first[1] == pytest.approx(HEIGHT - BOTTOM - 2.1 / 2.2 * (HEIGHT - TOP - BOTTOM), abs=0.05)


def test_curves_of_one_chart_share_their_axes():
    one, two = lines(svg(chart(Curve("train", ((0.0, 0.0), (4.0, 4.0))), Curve("dev", ((2.0, 2.0), (4.0, 4.0))))))
    assert one[1] == two[1]
    assert two[0] == (pytest.approx((one[0][0] + one[1][0]) / 2), pytest.approx((one[0][1] + one[1][1]) / 2))


def test_many_points_become_means_of_neighbours():
    curve = thinned(Curve("train", tuple((float(i), float(i % 2)) for i in range(1200))))
    assert len(curve.points) == 300
    assert curve.points[0] == (1.5, 0.5)
    assert curve.points[-1] == (1197.5, 0.5)


def test_a_point_that_is_not_finite_is_left_out():
    curve = thinned(Curve("train", ((1.0, math.nan), (2.0, 5.0), (3.0, math.inf))))
    assert curve.points == ((2.0, 5.0),)


@pytest.mark.parametrize(
    "points", [((3.0, 0.0),), ((3.0, 7.0),), ((1.0, 2.0), (5.0, 2.0)), ((1e9, 1e-12), (2e9, 1e-12))]
)
def test_one_point_or_one_value_is_drawn_in_the_picture(points):
    markup = svg(chart(Curve("dev", points)))
    parsed(markup)
    for x, y in lines(markup)[0]:
        assert LEFT <= x <= WIDTH - RIGHT
        assert TOP <= y <= HEIGHT - BOTTOM


def test_nothing_to_draw_is_a_sentence():
    assert svg(chart(Curve("dev", ()))) == '<p class="note">Loss: nothing was measured.</p>'


def test_the_legend_names_each_curve():
    legend = parsed(svg(chart(Curve("train", ((0.0, 1.0),)), Curve("dev", ((0.0, 1.0),))))).text_of("span")
    assert legend == ["train", "dev"]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.9, 4.1, [1, 2, 3, 4]),
        (1, 8, [2, 4, 6, 8]),
        (0, 4000, [0, 1000, 2000, 3000, 4000]),
        (-0.3, 0.3, [-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3]),
    ],
)
def test_ticks_are_round_numbers(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected, abs=1e-12)


def test_each_map_of_named_points_has_a_picture_of_its_own() -> None:
    maps = [
        Chart(title, "x", "y", (Curve("words", ((0.0, 1.0), (1.0, 0.0)), dots=True, labels=("a", "b")),))
        for title in ("first", "second")
    ]
    assert list(pictures(small_report(tables=()), maps).files) == ["map.png", "map_2.png"]
