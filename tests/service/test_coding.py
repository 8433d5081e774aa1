"""Codes of rows and scores of points behind HTTP, as the verbs have them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra import api, load
from recurra.api.detecting import DetectOptions, detect
from recurra.service import Limits, open_runs
from service.service_room import (
    Ask,
    Asked,
    full,
    is_late,
    is_told_to_come_again,
    late_at_look,
    late_though_another_computes,
)

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (40, 4, 4)).astype(float)
WAVE = np.sin(np.arange(120) / 3)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs `fills` of pictures, whose codes are distributions, and `waves`, which forecasts."""
    runs = tmp_path_factory.mktemp("coding")
    np.savez(runs / "d.npz", X=PICTURES)
    task = {"name": "autoencoding", "values": "values", "flatten": True, "scaling": "range", "code_size": 3}
    vae = {"variational": True, "likelihood": "continuous_bernoulli", "missing": "mask"}
    config: dict[str, Any] = {
        "task": task | vae,
        "data": {"train": str(runs / "d.npz")},
        "model": {"encoder": {"name": "dense", "sizes": [8]}},
        "training": {"epochs": 1, "report": "scores"},
    }
    api.train(config, out=runs / "fills", device="cpu")
    (runs / "w.csv").write_text("t,x\n" + "".join(f"{t},{x:.4f}\n" for t, x in enumerate(WAVE)))
    config = {
        "task": {"name": "forecasting", "target": "x", "time": "t", "horizon": 4, "context": 8, "windows": 32},
        "data": {
            "train": str(runs / "w.csv"),
            "layout": {"name": "wide", "columns": ["x"], "value": "x", "time": "t"},
            "split": {"name": "time", "dev": 1, "test": 0},
        },
        "model": {"encoder": {"name": "recurrent", "hidden_size": 4}},
        "training": {"epochs": 1, "report": "scores"},
    }
    config["task"]["id"] = "series"
    api.train(config, out=runs / "waves", device="cpu")
    return runs


@pytest.fixture(scope="module")
def asked(runs: Path) -> Iterator[Asked]:
    one = Asked(open_runs([runs / "fills", runs / "waves"], device="cpu"), Limits(), None)
    yield one
    assert one.service.stop(10)


def test_models_say_what_their_codes_are_good_for(asked: Asked) -> None:
    fills, waves = asked.get("/models").json()["models"]
    assert fills["uses"] == ["between", "generate", "inpaint", "compress"]
    assert waves["uses"] == ["detect"]


def test_rows_are_those_of_the_verbs(asked: Asked, runs: Path) -> None:
    run = load(runs / "fills", progress=False)
    found = asked.post("/generate_rows", {"model": "fills", "number": 3, "seed": 5}).json()
    assert found["rows"] == run.generate_rows(num=3, seed=5)
    assert np.shape(found["pictures"]) == (3, 4, 4)
    a, b = ({"values": one.tolist()} for one in PICTURES[:2])
    found = asked.post("/generate_rows", {"model": "fills", "between": [a, b], "steps": 4, "path": "spherical"}).json()
    assert found["rows"] == run.generate_rows(between=(a, b), steps=4, path="spherical")
    found = asked.post("/inpaint", {"model": "fills", "records": [a], "lines": [2, 3]}).json()
    assert found["rows"] == run.inpaint([a], lines=(2, 3))
    assert found["filled"] == [8]
    assert set(found["errors"]) == {"this model", "neighbour"}


def test_what_is_compressed_comes_back(asked: Asked, runs: Path) -> None:
    rows = [{"values": one.tolist()} for one in PICTURES[:5]]
    made = asked.post("/compress", {"model": "fills", "records": rows, "bits": 5}).json()
    run = load(runs / "fills", progress=False)
    assert base64.b64decode(made["data"]) == run.compress(rows, bits=5).content
    back = asked.post("/decompress", {"model": "fills", "data": made["data"]}).json()["rows"]
    assert back == run.decompress(base64.b64decode(made["data"]))
    for data, said in (("!", "expected base64"), ("aGVsbG8=", "is no file"), (made["data"][:80], "checksum")):
        answer = asked.post("/decompress", {"model": "fills", "data": data})
        assert answer.status_code == 422
        assert said in answer.json()["error"]
    many = run.compress([{"values": PICTURES[0].tolist()}] * 257).content
    answer = asked.post("/decompress", {"model": "fills", "data": base64.b64encode(many).decode()})
    assert "holds 257 rows, expected at most 256" in answer.json()["error"]


def test_steps_of_rows_are_bounded_by_what_they_will_have(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"values": [[float(k), n / 9] for k in range(20 + n % 2)]} for n in range(20)]
    (runs / "s.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {
        "task": {"name": "autoencoding", "code_size": 2, "variational": True, "likelihood": "gaussian"},
        "data": {"train": str(runs / "s.jsonl")},
        "model": {"encoder": {"name": "recurrent", "hidden_size": 4}, "decoder": {"name": "recurrent"}},
        "training": {"epochs": 1, "report": "scores"},
    }
    api.train(config, out=runs / "series", device="cpu")
    monkeypatch.setattr("recurra.service.limits.MOST_STEPS", 100)
    one = Asked(open_runs([runs / "series"], device="cpu"), Limits(), None)
    data = base64.b64encode(load(runs / "series", progress=False).compress(rows, beside=False).content).decode()
    for path, body in (
        ("/generate_rows", {"number": 5}),  # of 21 steps each, as the longest training row had
        ("/generate_rows", {"between": rows[:2], "steps": 6}),
        ("/decompress", {"data": data}),
    ):
        answer = one.post(path, body)
        assert (answer.status_code, "expected at most 100;" in answer.json()["error"]) == (422, True), answer.text
    assert len(one.post("/generate_rows", {"number": 4}).json()["rows"]) == 4
    assert one.service.stop(10)


def test_scores_are_those_of_detect_and_a_threshold_is_used_again(asked: Asked, runs: Path, tmp_path: Path) -> None:
    text = (runs / "w.csv").read_text()
    body = {"model": "waves", "csv": text, "clean": 60, "threshold": "quantile=0.9"}
    found = asked.post("/detect", body).json()
    options = DetectOptions(clean=60, threshold="quantile=0.9")
    said = detect(runs / "waves", runs / "w.csv", options=options, save=tmp_path / "t.json")
    (series,) = found["series"]
    assert series["scores"] == said.series[0].scores.tolist()
    assert series["flags"] == said.series[0].flags.tolist()  # type: ignore[union-attr]
    assert series["values"]["x"][:2] == [0.0, 0.3272]
    assert found["threshold"] == said.threshold.value  # type: ignore[union-attr]
    stored = json.loads((tmp_path / "t.json").read_text())
    again = asked.post("/detect", {"model": "waves", "csv": text, "threshold": stored}).json()
    assert again["series"][0]["flags"] == series["flags"]
    records = [{"t": t, "x": float(f"{x:.4f}")} for t, x in enumerate(WAVE)]
    rows = asked.post("/detect", {"model": "waves", "records": records, "clean": 60}).json()
    assert rows["series"][0]["scores"] == series["scores"]
    assert rows["series"][0]["flags"] is None


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/generate_rows", {"model": "waves"}, 409, "has no codes"),
        ("/generate_rows", {"model": "fills", "number": 257}, 422, "number: "),
        ("/generate_rows", {"model": "fills", "steps": 3}, 422, "steps: has no effect"),
        ("/generate_rows", {"model": "fills", "path": "round"}, 422, "path: "),
        ("/inpaint", {"model": "fills", "records": [{"values": PICTURES[0].tolist()}]}, 422, "no number is missing"),
        ("/inpaint", {"model": "fills", "records": [{"values": [[1.0]]}], "lines": [1, 1]}, 422, "training data had 4"),
        ("/compress", {"model": "fills", "records": [{"values": "x"}]}, 422, "values"),
        ("/compress", {"model": "fills", "records": []}, 422, "records: "),
        ("/detect", {"model": "fills", "csv": "a", "clean": 1}, 422, "a header and 1 to"),
        ("/detect", {"model": "waves", "csv": "t,x\n1,2\n"}, 422, "clean: is missing"),
        ("/detect", {"model": "waves", "clean": 3}, 422, "expected one of the two"),
        ("/detect", {"model": "waves", "csv": "t,x\n1\n", "clean": 3}, 422, "expected 2 cells"),
        ("/detect", {"model": "waves", "csv": "t,x\n", "clean": 3}, 422, "a header and 1 to"),
        ("/detect", {"model": "waves", "csv": "t,x\n1,2\n", "clean": 3, "threshold": "/etc/passwd"}, 422, "threshold"),
        ("/detect", {"model": "waves", "csv": "t,x\n1,2\n", "threshold": {"format": 1}}, 422, "expected a threshold"),
        ("/detect", {"model": "waves", "csv": "t,x\n1,2\n2,b\n", "clean": 1}, 422, "b"),
    ],
)
def test_bad_requests_end_in_a_sentence(asked: Asked, path: str, body: Any, status: int, said: str) -> None:
    answer = asked.post(path, body)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["error"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "t,x,x\n1,2,3\n",
            "csv:1: column 'x' appears twice in the header (t, x, x). Give each column a name of its own.",
        ),
        ("t,x\n\n\n1,2\nz,3\n", "csv:5: column 't' holds \"z\", expected a number or a stamp"),
        ("t,x\n1\n", "csv:2: expected 2 cells (t, x), got 1: '1'."),
        ('t,x\n1,"2\n', "csv:2: a quote opens here and is never closed."),
        ("", "csv: is empty, expected a header and rows."),
    ],
)
def test_csv_is_refused_with_the_words_and_the_lines_of_a_file(asked: Asked, text: str, said: str) -> None:
    answer = asked.post("/detect", {"model": "waves", "csv": text, "clean": 3})
    assert (answer.status_code, answer.json()["error"][: len(said)]) == (422, said)


def test_csv_is_read_as_a_file_is_whatever_ends_its_cells(asked: Asked, runs: Path) -> None:
    text = (runs / "w.csv").read_text()
    quoted = "".join(f'"{t}","{x}"\n' for t, x in (line.split(",") for line in text.splitlines()))
    found = [
        asked.post("/detect", {"model": "waves", "csv": one, "clean": 60}).json()
        for one in (text, text.replace(",", ";"), "\ufeff" + text.replace("\n", "\r\n\r\n"), quoted)
    ]
    assert all(one == found[0] for one in found[1:])
    assert len(found[0]["series"][0]["scores"]) == len(WAVE)


def test_another_run_has_no_codes(ask: Ask) -> None:
    assert ask("moods").post("/compress", {"records": [{"text": "fine"}]}).status_code == 409
    answer = ask("moods").post("/detect", {"csv": "text\nfine\n", "clean": 1})
    assert (answer.status_code, "scores no steps" in answer.json()["error"]) == (409, True)
    assert ask("moods").get("/models").json()["models"][0]["uses"] == []


def bodies(asked: Asked) -> list[tuple[str, dict[str, Any]]]:
    """A request for each route."""
    rows = [{"values": one.tolist()} for one in PICTURES[:5]]
    compressed = {"model": "fills", "records": rows, "bits": 6}
    data = asked.post("/compress", compressed).json()["data"]
    return [
        ("/generate_rows", {"model": "fills", "number": 5}),
        ("/generate_rows", {"model": "fills", "between": rows[:2]}),
        ("/inpaint", {"model": "fills", "records": rows, "lines": [1, 1]}),
        ("/compress", compressed),
        ("/decompress", {"model": "fills", "data": data}),
        ("/detect", {"model": "waves", "records": [{"t": t, "x": x} for t, x in enumerate(WAVE)], "clean": 60}),
    ]


def test_codes_and_scores_are_given_up_when_their_time_is_over(asked: Asked) -> None:
    for path, body in bodies(asked):
        with late_at_look(0):
            answer = asked.post(path, body)
        assert is_late(answer, 30), (path, answer.text)
        assert late_though_another_computes(asked, path, body), path
        assert asked.post(path, body).status_code == 200, path


def test_many_rows_and_long_series_are_given_up_between_two_parts(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recurra.api.detectors.ROWS", 8)
    monkeypatch.setattr("recurra.tasks.autoencoding.coder.ROWS", 1)
    for path, body in bodies(asked):
        with late_at_look(4):  # 5 rows, 2 ends of a way and what lies between them, 20 groups of windows
            assert is_late(asked.post(path, body), 30), path


def test_csv_is_given_up_between_two_rows(asked: Asked, runs: Path) -> None:
    with late_at_look(100):  # of 120 rows, and of one group of windows
        answer = asked.post("/detect", {"model": "waves", "csv": (runs / "w.csv").read_text(), "clean": 60})
    assert is_late(answer, 30)


def test_codes_and_scores_wait_for_no_full_queue(asked: Asked) -> None:
    row = PICTURES[0].ravel().tolist()
    with full(asked):
        for path, body in (
            ("/generate_rows", {"model": "fills", "number": 1}),
            ("/inpaint", {"model": "fills", "records": [{"values": row}], "lines": [1, 1]}),
            ("/compress", {"model": "fills", "records": [{"values": row}], "bits": 6}),
            ("/decompress", {"model": "fills", "data": "AAAA"}),
            ("/detect", {"model": "waves", "csv": "t,x\n1,2\n", "clean": 1, "threshold": "quantile=0.9"}),
        ):
            answer = asked.post(path, body)
            assert is_told_to_come_again(answer), (path, answer.text)
