"""Series that an autoencoder watches: windows of them, and the layout that cuts the windows of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from api.api_room import refused
from recurra import api
from recurra.api.detecting import DetectOptions, detect
from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, DataError
from recurra.data.layouts import LAYOUTS
from recurra.models.autoencoder import Autoencoder
from recurra.tasks import Autoencoding, AutoencodingConfig

DEVICE = torch.device("cpu")


def fitted(span: int = 5, **options: Any) -> tuple[Autoencoding, Autoencoder, np.ndarray]:
    values = np.random.default_rng(0).normal(size=(40, 2)) * (3, 0.1) + (5, 0)
    config = AutoencodingConfig(**{"code_size": 3, **options})
    records = [Record({"values": values[k : k + span]}, Origin("x", k)) for k in range(20)]
    task = config.fit(records, "x")
    torch.manual_seed(0)
    flat = bool(options.get("flatten"))
    encoder = {"name": "dense", "sizes": [6]} if flat else {"name": "recurrent", "cell": "gru", "hidden_size": 6}
    return task, Autoencoder(task.model_sizes, encoder=encoder, decoder="dense" if flat else "recurrent").eval(), values


@pytest.mark.parametrize("flatten", [False, True])
@pytest.mark.parametrize("missing", ["refuse", "mask"])
def test_errors_of_windows_are_those_of_rows(flatten: bool, missing: str) -> None:
    task, model, values = fitted(flatten=flatten, missing=missing)
    if missing == "mask":
        values[7, 1] = np.nan
    series = task.watched(Record({"values": values}, Origin("x", 1)))
    assert task.judged == (0, 5)
    starts = np.array([0, 3, 35, 38])
    with torch.inference_mode():
        found = task.step_errors(model, series, starts, DEVICE)
        for n, start in enumerate(np.minimum(starts, 35)):
            row = task.example(Record({"values": values[start : start + 5]}, Origin("x", 1)), gold=False)
            (said,) = task.predict(model, task.collate([row], (0,)), [row])
            away = np.abs(values[start : start + 5] - np.asarray(task.by_column(said.values)["values"]).reshape(5, 2))
            wanted = away if starts[n] <= 35 else np.concatenate([away[3:], np.full((3, 2), np.nan)])
            np.testing.assert_allclose(found[n], wanted, rtol=1e-4, atol=1e-5)
    assert np.isnan(found[1, 4, 1]) == (missing == "mask")


def test_rows_of_one_step_are_no_windows() -> None:
    task, _, _ = fitted(span=1, code_size=1)
    with pytest.raises(ConfigError, match="rows of this run have one step each, and are no windows"):
        assert task.judged
    task, _, values = fitted()
    with pytest.raises(DataError, match="has 1 number a step, training data had 2"):
        task.watched(Record({"values": values[:, :1]}, Origin("x", 1)))
    with pytest.raises(DataError, match="column 'odd' holds 2, expected 0 or 1"):
        task.watched(Record({"values": values, "odd": np.full(40, 2)}, Origin("x", 1)), "odd")


def rows(ids: str, **more: Any) -> list[Record]:
    return [Record({"id": c, "t": -n, "x": n, **more}, Origin("x.csv", n + 2)) for n, c in enumerate(ids)]


def test_windows_are_cut_of_each_series_in_order() -> None:
    layout = LAYOUTS["windows"](length=2, stride=1, id="id", time="t")
    found = list(layout.records(rows("aabab"), ("x",), ()))
    assert [record.fields["x"] for record in found] == [[3, 1], [1, 0], [4, 2]]
    assert [record.origin.line for record in found] == [5, 3, 6]
    assert found[0].fields["id"] == "a"
    alone = LAYOUTS["windows"](length=2)
    assert [r.fields["x"] for r in alone.records(rows("aabab"), ("x",), ())] == [[0, 1], [2, 3]]
    assert [r.fields["x"] for r in layout.whole.records(rows("aabab"), ("x",), ())] == [[3, 1, 0], [4, 2]]
    short = LAYOUTS["windows"](length=3, id="id").records(rows("aabab"), ("x",), ())
    problem = list(short)[-1]
    assert isinstance(problem, DataError)
    assert "a series of 2 rows, and a window has 3" in str(problem)
    with pytest.raises(ConfigError, match="stride: is 4, and windows of 3 rows would leave some out; take 3"):
        LAYOUTS["windows"](length=3, stride=4)


def test_a_run_over_windows_finds_what_is_unusual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    t = np.arange(300)
    clean = np.sin(t * 2 * np.pi / 20)
    Path("clean.csv").write_text("x\n" + "".join(f"{v:.4f}\n" for v in clean))
    odd = clean.copy()
    odd[200:210] = 0.0
    Path("all.csv").write_text("x,odd\n" + "".join(f"{v:.4f},{int(200 <= k < 210)}\n" for k, v in enumerate(odd)))
    gru = {"name": "recurrent", "cell": "gru", "hidden_size": 12}
    tree = {
        "task": {"name": "autoencoding", "values": "x", "code_size": 4},
        "data": {"train": "clean.csv", "layout": {"name": "windows", "length": 20, "stride": 2},
                 "split": {"name": "ordered", "dev": 0.1, "test": 0}},
        "model": {"encoder": gru, "decoder": "recurrent"},
        "training": {"epochs": 8, "batch_rows": 32, "report": "scores", "patience": None,
                     "optimizer": {"name": "adam", "lr": 0.02}},
    }  # fmt: skip
    api.train(tree, out="run", device="cpu")
    found = detect("run", "all.csv", options=DetectOptions(labels="odd", clean="clean.csv", beside=()))
    scores = found.series[0].scores
    assert 195 <= int(scores.argmax()) <= 215
    assert scores[200:210].mean() > 3 * np.median(scores)
    Path("part.csv").write_text("\n".join(Path("all.csv").read_text().splitlines()[:261]) + "\n")
    part = detect("run", "part.csv", options=DetectOptions(clean="clean.csv")).series[0].scores
    np.testing.assert_array_equal(part[:240], scores[:240])  # all windows that hold these are there in both
    causal = detect("run", "all.csv", options=DetectOptions(causal=True, clean="clean.csv")).series[0].scores
    assert len(causal) == 300
    assert "causal: scores the last step of each window" in refused(
        "detect", "run", "all.csv", "--clean", "clean.csv", "--causal", "--stride", "3"
    )
    Path("short.csv").write_text("x\n1\n2\n")
    assert "20 are needed for the first score" in refused("detect", "run", "short.csv", "--clean", "clean.csv")
