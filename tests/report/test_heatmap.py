"""Heat maps: every weight is drawn where its row and column meet, and nothing a label holds gets into the page."""

from __future__ import annotations

import io

import pytest
from matplotlib import image

from recurra.report import HeatMap, heat_png, html, pictures
from recurra.report.heatmap import CELL, heat_svg
from report.reporting import parsed, small_report

MAP = HeatMap("a <b> → x y", ("x", " "), ("a", "<b>", "c"), ((0.5, 0.25, 0.25), (0.0, 1.0, 0.0)))


def test_each_weight_is_a_square_as_deep_as_it_is_large():
    squares = [attributes for name, attributes in parsed(heat_svg(MAP)).elements if name == "rect"]
    assert [square["fill-opacity"] for square in squares] == ["0.500", "0.250", "0.250", "0.000", "1.000", "0.000"]
    assert int(squares[1]["x"]) - int(squares[0]["x"]) == CELL == int(squares[3]["y"]) - int(squares[0]["y"])


def test_labels_stand_as_text_and_a_space_is_seen():
    page = parsed(html(small_report(), maps=[MAP]))
    assert {"x", "\u2423", "a", "<b>", "c"} <= set(page.text_of("text"))
    assert "<b> ← x" not in page.texts
    assert ("b", "a <b> → x y") in page.texts
    assert "x ← <b>: 25.0 %" in page.text_of("title")


def test_too_many_tokens_are_said_not_drawn():
    large = HeatMap("long", ("x",), ("y",) * 81, ((0.0,) * 81,))
    assert "more than 80 tokens are too many to draw" in heat_svg(large)


@pytest.mark.parametrize("one", [MAP, HeatMap("nothing", (), (), ())])
def test_a_map_is_a_png_with_the_same_bytes_twice(one):
    assert heat_png([one, MAP]).startswith(b"\x89PNG\r\n\x1a\n")
    assert heat_png([one]) == heat_png([one])


@pytest.mark.parametrize("row", ["x", "x" * 24])
def test_a_long_title_of_a_png_takes_several_lines_and_none_is_cut_off(row):
    long = HeatMap("the log-probability of 'WWWW' " * 20, (row,), ("a", "b"), ((0.5, 1.0),))
    picture = image.imread(io.BytesIO(heat_png([long])))
    assert picture[:, -2:].min() == 1.0  # white at the right edge
    assert picture[:60].min() < 0.5  # and the title is there


def test_a_report_with_maps_has_their_picture():
    assert set(pictures(small_report(tables=()), (), [MAP]).files) == {"attention.png"}
