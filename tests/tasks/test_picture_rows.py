"""Rows that are pictures: how files tell their shape, and what init chooses for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.base.errors import DataError
from recurra.data.formats import read
from recurra.tasks import AutoencodingConfig
from recurra.tasks.pictures import channels_for
from recurra.tasks.sizing import Seen


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def folder(path: Path, shapes: list[tuple[int, ...]]) -> Path:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    path.mkdir()
    for k, shape in enumerate(shapes):
        image.fromarray(pixels(*shape)).save(path / f"{k}.png")
    return path


def chosen(file: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    rows = list(read(file))
    made = AutoencodingConfig.suggested(rows, file)
    choices = AutoencodingConfig.sized(made.task, Seen(rows, len(rows)))
    return {**made.task, **{one.path: one.value for one in choices}}, made.said


@pytest.mark.parametrize(("shape", "expected"), [((16, 12), [16, 12]), ((16, 12, 3), [16, 12, 3])])
def test_a_picture_says_its_own_shape(shape: tuple[int, ...], expected: list[int], tmp_path: Path) -> None:
    found, _ = chosen(folder(tmp_path / "p", [shape] * 3))
    assert found["model.encoder.name"] == found["model.decoder.name"] == "pictures"
    assert (found["model.encoder.shape"], found["model.encoder.channels"]) == (expected, [32])
    assert (found["flatten"], found["scaling"]) == (True, "range")


def test_an_array_may_have_an_axis_of_colours(tmp_path: Path) -> None:
    X = pixels(3, 20, 30, 3)
    for file, save in (("a.npz", lambda f: np.savez(f, X=X)), ("a.npy", lambda f: np.save(f, X))):
        save(tmp_path / file)
        (first, *_) = read(tmp_path / file)
        np.testing.assert_array_equal(np.asarray(first.fields["values"]).reshape(20, 30, 3), X[0])
        assert chosen(tmp_path / file)[0]["model.encoder.shape"] == [20, 30, 3]
    np.savez(tmp_path / "b.npz", X=pixels(3, 20, 30, 5))
    with pytest.raises(DataError, match=r"expected numbers in .* of pictures .pictures, height, width, 1 or 3 col"):
        list(read(tmp_path / "b.npz"))


def test_small_pictures_and_series_have_other_layers(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=pixels(3, 8, 8))
    assert chosen(tmp_path / "a.npz")[0]["model.encoder.name"] == "dense"
    np.savez(tmp_path / "b.npz", X=np.random.default_rng(0).normal(size=(3, 20, 20)))
    assert chosen(tmp_path / "b.npz")[0]["model.encoder.name"] == "recurrent"


def test_layers_halve_a_picture_until_few_places_are_left() -> None:
    assert channels_for((28, 28)) == [32, 64]
    assert channels_for((12, 300)) == [32]
    assert channels_for((224, 224, 3)) == [32, 64, 128, 128, 128]


def test_pictures_of_unequal_size_are_said_to_be(tmp_path: Path) -> None:
    _, said = chosen(folder(tmp_path / "p", [(16, 12), (14, 12)]))
    assert any("1.png: has 14 rows of pixels, and the first picture 16; for model.encoder: pictures" in s for s in said)
