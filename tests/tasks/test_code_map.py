"""Maps of codes, and pictures in their own colours, as reports show them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recurra.base.contracts import Origin, Record
from recurra.models.autoencoder import Autoencoder
from recurra.report import HeatMap
from recurra.report.heatmap import heat_svg
from recurra.tasks import AutoencodingConfig
from recurra.tasks.autoencoding.code_map import code_map, label_of, two_components
from recurra.tasks.autoencoding.tables import side_by_side
from recurra.tasks.autoencoding.task import Rebuilt


def outputs(codes: np.ndarray, errors: Any = None) -> list[Rebuilt]:
    each = np.arange(len(codes)) if errors is None else errors
    return [Rebuilt(c, c.astype(np.float32), float(e), 1.0, 1, 0.0) for c, e in zip(codes, each, strict=True)]


class Of:
    def __init__(self, *gold: str) -> None:
        self.gold = gold


def test_components_are_those_of_the_covariance() -> None:
    codes = np.random.default_rng(0).normal(size=(50, 4)) @ np.diag([3.0, 2.0, 1.0, 0.5])
    points, shares = two_components(codes)
    values, axes = np.linalg.eigh(np.cov(codes.T, bias=True))
    np.testing.assert_allclose(shares, values[:-3:-1] / values.sum(), atol=1e-12)
    expected = (codes - codes.mean(0)) @ axes[:, :-3:-1]
    np.testing.assert_allclose(np.abs(points), np.abs(expected), atol=1e-9)
    np.testing.assert_allclose(two_components(codes[::-1])[0], points[::-1], atol=1e-9)


def test_dots_have_the_colour_of_their_label_and_rare_labels_share_one() -> None:
    codes = np.random.default_rng(0).normal(size=(33, 3))
    labels = [Of("b"), Of("a"), Of("a"), *(Of(str(k % 10)) for k in range(30))]
    (chart,) = code_map(outputs(codes), labels)
    assert [curve.name for curve in chart.curves] == [*"01234567", "8", "other labels"]
    assert [len(curve.points) for curve in chart.curves] == [3] * 9 + [6]
    (chart,) = code_map(outputs(codes), [*labels[:3]] * 11)
    assert [(curve.name, len(curve.points)) for curve in chart.curves] == [("a", 22), ("b", 11)]


def test_without_labels_dots_have_the_colour_of_their_error() -> None:
    codes = np.array([[0.0, 0], [1, 0], [0, 2]])
    (chart,) = code_map(outputs(codes, [5.0, 1.0, 3.0]), [Of(), Of(), Of()])
    assert [curve.name for curve in chart.curves] == [
        "smallest third of errors",
        "middle third",
        "largest third of errors",
    ]
    points, _ = two_components(codes)
    assert [curve.points[0] for curve in chart.curves] == [tuple(points[k]) for k in (1, 2, 0)]


def test_codes_without_two_sides_have_no_map() -> None:
    assert code_map(outputs(np.ones((9, 1))), [Of()] * 9) == ()
    assert code_map(outputs(np.arange(9.0)[:, None] * [1.0, 2.0, 0.0] * 0), [Of()] * 9) == ()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"values": 1, "label": "x"}, ("x",)),
        ({"values": 1, "Class": 3}, ("3",)),
        ({"values": 1, "label": ["x", "y"]}, ()),
        ({"label": 1, "id": 7}, ()),
        ({"values": 1, "label": ""}, ()),
    ],
)
def test_what_a_row_is_stands_beside_what_is_read(fields: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert label_of(Record(fields, Origin("f", 1)), ("values",) if "values" in fields else ("label",)) == expected


def test_pictures_have_their_own_shape_and_colours() -> None:
    X = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3))
    X[0, 0, 0], X[1, 0, 0] = [255, 0, 0], [0, 0, 255]
    config = AutoencodingConfig(flatten=True, scaling="range", code_size=2)
    rows = [Record({"values": x.reshape(6, 15).astype(float)}, Origin("x.npz", n)) for n, x in enumerate(X, 1)]
    task, found = config.fit_examples([config.read(row) for row in rows], "x.npz")
    encoder = {"name": "pictures", "shape": [6, 5, 3]}
    model = Autoencoder(task.model_sizes, encoder=encoder, decoder="pictures")
    maps = side_by_side(task, model, list(found), torch.device("cpu"))
    for n, one in enumerate(maps):
        assert (len(one.rows), len(one.columns)) == (6, 5 + 1 + 5)
        read = [[f"#{bytes(pixel).hex()}" for pixel in row] for row in X[n].astype(np.uint8)]
        assert [list(row[:5]) for row in one.colours] == read
    assert 'fill="#ff0000"' in str(heat_svg(maps[0]))
    assert 'fill="#' not in str(heat_svg(HeatMap("t", ("a",), ("b",), ((0.5,),))))
