"""What `init` and `detect` take for labels, and which likelihood `init vae` writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from api.api_room import done


def table(path: Path, **columns: NDArray[np.generic]) -> Path:
    """A CSV file."""
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("numbers", "likelihood", "scaling"),
    [
        (RNG.integers(0, 2, (40, 8, 8)), "bernoulli", "none"),
        (RNG.integers(0, 256, (40, 8, 8)), "continuous_bernoulli", "range"),
        (RNG.normal(size=(40, 8, 8)), "gaussian", "standard"),
        (RNG.integers(0, 6, (40, 5)), "categorical", "none"),
        (RNG.integers(0, 900, (40, 5)), "gaussian", "standard"),
    ],
)
def test_init_vae_looks_at_the_numbers(
    tmp_path: Path, numbers: NDArray[np.generic], likelihood: str, scaling: str
) -> None:
    file = tmp_path / "d.npz"
    if numbers.ndim == 2:
        file = table(tmp_path / "d.csv", **{f"c{k}": column for k, column in enumerate(numbers.T)})
    else:
        np.savez(file, X=numbers)
    said = done("init", "vae", file, "-o", tmp_path / "c.yaml")
    tree = yaml.safe_load((tmp_path / "c.yaml").read_text())
    task = tree["task"]
    recurrent = tree["model"]["encoder"]["name"] == "recurrent"
    assert (tree["training"]["clipping"] == "none") != recurrent
    assert (task["likelihood"], task["scaling"]) == (likelihood, scaling)
    assert f"likelihood: {likelihood}" in said.err
    done("check", tmp_path / "c.yaml")
    plain = yaml.safe_load(done("init", "autoencoder", file).out)
    assert plain["task"]["likelihood"] == (likelihood if likelihood == "bernoulli" else "squared_error")
    assert plain["training"]["clipping"]["name"] == "norm"


def test_a_column_of_labels_is_left_out_and_said(tmp_path: Path) -> None:
    x, odd = RNG.normal(size=80), np.arange(80) % 9 == 0
    stamps = np.datetime64("2024-01-01T00") + np.arange(80)
    file = table(tmp_path / "s.csv", time=stamps, x=x.round(3), odd=odd.astype(int))
    said = done("init", "forecasting", file)
    assert "columns: [x]" in said.out
    assert "column 'odd' holds 0 and 1 alone" in said.err
    words = ("detect", "gaussian", file, "--clean", "40", "--window", "4")
    assert "column 'odd' holds 0 and 1 alone, so it is taken for labels and left out: --labels odd" in done(*words).err
    assert "odd" not in done(*words, "--columns", "x", "odd").err
    # Of zeros alone its name must say so; where no other column is left, it is the data.
    file = table(tmp_path / "z.csv", time=stamps, x=x.round(3), anomaly=0 * odd.astype(int), rain=0 * odd.astype(int))
    said = done("init", "forecasting", file)
    assert "columns: [x, rain]" in said.out
    file = table(tmp_path / "o.csv", time=stamps, on=odd.astype(int))
    said = done("init", "forecasting", file)
    assert "'on' is the series" in said.err
    assert "left out" not in said.err
