"""Codes in files with where rows came from, and a classifier that begins with an autoencoder's encoder."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from api.api_room import done, refused
from recurra import api
from recurra.base.errors import ConfigError
from recurra.report.png import Pictures

ROWS = 60
NAMES = ("a", "b", "c", "d", "e")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with rows of five numbers, their ids and labels, and an autoencoder of them."""
    folder, rng = tmp_path_factory.mktemp("rows"), np.random.default_rng(0)
    with (folder / "d.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", *NAMES, "label"])
        for n, row in enumerate(rng.normal(size=(ROWS, 5))):
            table.writerow([f"=r{n}", *(f"{x:.4f}" for x in row), "high" if row[0] > 0 else "low"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recurra.report.folder.pictures", lambda report, charts, maps: Pictures({}, ()))
        config: dict[str, Any] = {
            "task": {"name": "autoencoding", "values": list(NAMES), "code_size": 2},
            "data": {"train": str(folder / "d.csv")},
            "model": {"encoder": {"name": "dense", "sizes": [7, 6]}},
            "training": {"epochs": 2, "report": "scores"},
        }
        api.train(config, out=folder / "auto", device="cpu")
    return folder


def test_codes_stand_beside_file_row_and_id(here: Path, tmp_path: Path) -> None:
    words = ("encode", here / "auto", "--input", here / "d.csv", "--output")
    done(*words, tmp_path / "c.npy")
    codes = np.load(tmp_path / "c.npy")
    done(*words, tmp_path / "c.csv")
    rows = list(csv.DictReader((tmp_path / "c.csv").read_text().splitlines()))
    assert list(rows[0]) == ["origin", "id", "v1", "v2"]
    assert np.array_equal(np.array([[row["v1"], row["v2"]] for row in rows], np.float32), codes)
    assert (rows[3]["origin"], rows[3]["id"]) == (f"{here / 'd.csv'}:5", "'\\=r3")  # no sheet runs it as a formula
    done(*words, tmp_path / "c.npz", "--id", "label")
    with np.load(tmp_path / "c.npz") as found:
        assert np.array_equal(found["vectors"], codes)
        assert set(found["id"]) == {"high", "low"}
        assert found["origin"][0] == f"{here / 'd.csv'}:2"
    assert "has no column 'name'" in refused(*words, tmp_path / "x.csv", "--id", "name")
    assert "leave it out here" in refused(*words, tmp_path / "x.npy", "--id", "id")
    assert "ends in .npy, .npz or .csv" in refused(*words, tmp_path / "x.txt")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["c.csv", "c.npy", "c.npz"]


def classifier(here: Path, **changed: Any) -> dict[str, Any]:
    """A config of a classifier of the same rows."""
    return {
        "task": {"name": "series_classification", "values": list(NAMES), "label": "label", **changed.pop("task", {})},
        "data": {"train": str(here / "d.csv")},
        "model": {"encoder": {"name": "dense", "sizes": changed.pop("sizes", [7, 6])}},
        "training": {
            "epochs": 1,
            "report": "scores",
            "init_from": str(here / "auto"),
            "optimizer": {"name": "sgd", "lr": 1e-9},
        }
        | changed,
    }


def test_a_classifier_begins_with_the_encoder_alone(here: Path, tmp_path: Path) -> None:
    run = api.train(classifier(here), out=tmp_path / "c", device="cpu").run
    begun, source = api.open_run(run).model, api.open_run(here / "auto").model
    for mine, theirs in zip(begun.encoder.layers(), source.encoder.layers(), strict=True):
        for name, parameter in mine.items():
            torch.testing.assert_close(parameter, theirs[name], atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"sizes": [7, 5]}, "whose encoder's layers have 7x5, 6x7, and this model's have 7x5, 5x7"),
        ({"sizes": [7, 6, 3]}, "with 2 layers, and this model has 3; set training.init_layers"),
        ({"task": {"scaling": "range"}}, "with task.scaling: standard, and here it is range; set standard"),
        ({"task": {"missing": "mask"}}, "with task.missing: refuse, and here it is mask; set refuse"),
        ({"init_layers": 3}, "is 3, and this model has 2"),
        ({"task": {"values": list(NAMES[:4])}}, "of rows of 5 numbers, and these have 4"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(here: Path, tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        api.train(classifier(here, **changed), out=tmp_path / "c", device="cpu")
