"""An autoencoder through every verb: small pictures, from `init` to a service."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from api.api_room import done, refused
from recurra import load
from recurra.report.png import Pictures
from recurra.service import Limits, open_runs
from service.service_room import Asked

SIDE = 6


def write_pictures(path: Path, number: int, seed: int = 0) -> None:
    """A bright bar that stands at one of six places, with one of many brightnesses."""
    rng = np.random.default_rng(seed)
    pictures = np.zeros((number, SIDE, SIDE))
    for picture in pictures:
        picture[:, rng.integers(SIDE)] = rng.integers(100, 255)
    np.savez(path, X=pictures.round(), y=rng.integers(2, size=number))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of pictures and a run that was trained on it."""
    folder = tmp_path_factory.mktemp("bars")
    write_pictures(folder / "d.npz", 160)
    done("init", "autoencoder", folder / "d.npz", "-o", folder / "c.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recurra.report.folder.pictures", lambda report, charts, maps: Pictures({}, ()))
        done(
            "train",
            folder / "c.yaml",
            "--out",
            folder / "run",
            "--set",
            "training.epochs=12",
            "--set",
            "model.encoder.sizes=[24]",
            "--set",
            "task.code_size=6",
        )
    return folder


def test_init_says_what_it_took_for_what(here: Path) -> None:
    text = (here / "c.yaml").read_text()
    for line in ("name: autoencoding", "scaling: range", "flatten: true", "code_size: 4", "name: autoencoder"):
        assert line in text


def test_scores_stand_beside_the_mean_and_as_many_components(here: Path) -> None:
    said = done("evaluate", here / "run", "--split", "test", "--json").json
    scores = {one["name"]: one["value"] for one in said["scores"]}
    assert set(scores) == {"mse", "psnr", "r2", "detail_kept"}
    assert set(said["baselines"]) == {"mean", "pca_6"}
    mean = {one["name"]: one["value"] for one in said["baselines"]["mean"]}
    assert scores["mse"] < 0.6 * mean["mse"]
    assert "read, and said" in (here / "run" / "report.html").read_text()


def test_rows_are_said_again_and_become_codes(here: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "new.npz", 3, seed=9)
    done("predict", here / "run", "--input", tmp_path / "new.npz", "--output", tmp_path / "o.csv")
    rows = list(csv.DictReader((tmp_path / "o.csv").read_text().splitlines()))
    assert list(rows[0])[-4:] == ["predicted", "error", "steps", "note"]
    picture = np.load(tmp_path / "new.npz")["X"][0]
    (answer,) = load(here / "run", progress=False).predict([{"values": picture.tolist()}])
    assert np.shape(answer.reconstruction["values"]) == (SIDE, SIDE)
    assert answer.error == pytest.approx(float(rows[0]["error"]), rel=1e-5)
    done("encode", here / "run", "--input", tmp_path / "new.npz", "--output", tmp_path / "codes.npy")
    assert np.load(tmp_path / "codes.npy").shape == (3, 6)
    assert "has 5 steps, expected 6" in refused(
        "predict", here / "run", "[[0,0,0,0,0,0],[0,0,0,0,0,0],[0,0,0,0,0,0],[0,0,0,0,0,0],[0,0,0,0,0,0]]"
    )


def test_a_run_is_served_and_exported(here: Path, tmp_path: Path) -> None:
    asked = Asked(open_runs([here / "run"], device="cpu"), Limits(), None)
    (answer,) = asked.post("/predict", {"records": [{"values": np.zeros((SIDE, SIDE)).tolist()}]}).json()["predictions"]
    assert set(answer) == {"reconstruction", "error", "steps"}
    assert asked.get("/models").json()["models"][0]["answer"] == "reconstruction"
    assert asked.service.stop(10)
    done("export", here / "run", "--onnx", tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").is_file()


def test_a_resumed_run_has_the_bits_of_one_that_never_stopped(here: Path, tmp_path: Path) -> None:
    small = (
        "--set",
        "task.noise={name: mask, share: 0.3}",
        "--set",
        "task.missing=mask",
        "--set",
        "model.encoder.sizes=[8]",
        "--set",
        "training.report=scores",
        "--set",
        "training.schedule=constant",
        "--set",
        "training.patience_share=null",
    )
    done("train", here / "c.yaml", "--out", tmp_path / "once", *small, "--set", "training.epochs=3")
    done("train", here / "c.yaml", "--out", tmp_path / "twice", *small, "--set", "training.epochs=2")
    done("train", "--resume", tmp_path / "twice", "--set", "training.epochs=3")
    once, twice = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("once", "twice"))
    assert once == twice
