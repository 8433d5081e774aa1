"""Whether a sentence is true of a picture, through every verb: halves of three colours, from `init` to a service."""

from __future__ import annotations

import base64
import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from api.api_room import done, refused
from picture_room import COLOURS, SIDES, captions, picture
from recurra.api import inspect, open_run, predict
from recurra.base.contracts import Origin, Record
from recurra.data.pictures import png_of
from recurra.report.png import Pictures
from recurra.service import Limits, body_bytes_of, open_runs
from service.service_room import Asked

SETS = [
    "task.height=12",
    "model.encoder.channels=[8, 12]",
    "model.encoder.dropout=0",
    "model.text_inputs.embedding_size=12",
    "model.text_inputs.embedding_dropout=0",
    "model.text_encoder.hidden_size=12",
    "model.embedding_size=24",
    "model.joint={name: transformer, hidden_size: 24, num_layers: 2, num_heads: 2, dropout: 0}",
    "model.head.output_dropout=0",
    "training.epochs=2",
    "training.batch_rows=12",
    "training.patience_share=null",
    "training.optimizer.lr=0.01",
]


def write(folder: Path, name: str, seed: int) -> Path:
    """Each picture with a sentence that is true of it and one that is not: neither alone tells which."""
    folder.mkdir(exist_ok=True)
    rows = []
    for k, (colour, side) in enumerate(product(COLOURS, SIDES)):
        for other in COLOURS:
            file = f"{name}-{k}-{other}.png"
            (folder / file).write_bytes(picture(colour, side, 100 * seed + k))
            # As many are true as not, for each sentence and each picture.
            for text in (captions(other, side)[0], *([captions(colour, side)[0]] if other != colour else [])):
                rows.append({"image": file, "sentence": text, "label": str(text == captions(colour, side)[0]).lower()})
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures and a run that was trained on them."""
    folder = tmp_path_factory.mktemp("true")
    train, test = write(folder / "data", "train", 1), write(folder / "data", "test", 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recurra.report.folder.pictures", lambda report, charts, maps: Pictures({}, ()))
        said = done("init", "nlvr", train, "-o", folder / "c.yaml")
        assert "text: column 'sentence'." in said.err + said.out
        sets = [word for one in (*SETS, f"data.dev={test}", f"data.test={test}") for word in ("--set", one)]
        done("train", folder / "c.yaml", "--out", folder / "run", *sets)
    return folder


def test_words_alone_stand_beside_a_model_that_sees_pictures_too(here: Path) -> None:
    said = done("evaluate", here / "run", "--split", "test", "--json").json
    scores = {one["name"]: one["value"] for one in said["scores"]}
    assert {"accuracy", "log_loss", "roc_auc"} <= set(scores)
    assert set(said["baselines"]) == {"majority", "tfidf"}
    # A vote says `true`, which 18 of 30 rows are.
    majority = {one["name"]: one["value"] for one in said["baselines"]["majority"]}
    assert majority["accuracy"] == pytest.approx(0.6)


def test_rows_are_answered_from_a_file_and_by_http_and_a_name_is_never_opened(here: Path, tmp_path: Path) -> None:
    file = here / "data" / "test-0-red.png"
    (tmp_path / "new.jsonl").write_text(json.dumps({"image": str(file), "sentence": "a red wall on the left"}) + "\n")
    row = done("predict", here / "run", "--input", tmp_path / "new.jsonl", "--json").json
    row = row[0] if isinstance(row, list) else row
    runs = open_runs([here / "run"], device="cpu")
    asked = Asked(runs, Limits(body_bytes=body_bytes_of(runs.values())), None)
    sent = base64.b64encode(file.read_bytes()).decode()
    texts = ("a red wall on the left", "a blue wall on the left", " ")
    body = {"records": [{"image": sent, "sentence": text} for text in texts]}
    first, second, blank = asked.post("/predict", body).json()["predictions"]
    assert row["score"] == pytest.approx(first["score"], abs=1e-6)
    assert set(first["probabilities"]) == {"true", "false"}
    assert first["probabilities"] != second["probabilities"]
    assert blank["score"] is None
    assert asked.post("/predict", {"records": [{"image": str(file), "sentence": "a"}]}).status_code == 422
    described = asked.get("/models").json()["models"][0]
    assert (described["kind"], described["answer"], described["inputs"]) == ("image", "label", ["image", "sentence"])
    assert asked.service.stop(10)


def test_a_file_of_the_run_gives_the_probabilities_of_predict(here: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    assert "written" in done("export", here / "run", "--onnx", tmp_path / "r.onnx").out
    run, rows = (
        open_run(here / "run"),
        [json.loads(row) for row in (here / "data" / "test.jsonl").read_text().splitlines()[:7]],
    )
    rows = [{**row, "image": str(here / "data" / row["image"])} for row in rows]
    said = list(predict(run, rows))
    examples = [run.task.example(Record(row, Origin("row"))) for row in rows]
    batch = run.task.collate(examples, range(7))
    session = onnxruntime.InferenceSession(tmp_path / "r.onnx", providers=["CPUExecutionProvider"])
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["temperature"]) == run.task.temperature
    (logits,) = session.run(["logits"], {name: value.numpy() for name, value in batch.inputs.items()})
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    expected = [[one["probabilities"][label] for label in json.loads(told["labels"])] for one in said]
    np.testing.assert_allclose(shares, expected, atol=1e-6)


def test_what_a_label_rests_on_is_shown_in_words_and_squares(here: Path, tmp_path: Path) -> None:
    file = here / "data" / "test-1-red.png"
    words = "a red wall on the left"
    out = done("inspect", here / "run", file, "--with", f"sentence={words}", "--html", tmp_path / "i.html").out
    assert "Squares of the picture that speak for" in out
    assert "data:image/png;base64," in (tmp_path / "i.html").read_text()
    run = open_run(here / "run")
    found = inspect(run, {"image": file.read_bytes(), "sentence": words}, device="cpu")
    (whole,) = predict(run, [{"image": file.read_bytes(), "sentence": words}])
    assert found.tokens == tuple(words.split())
    assert found.saliency.whole == pytest.approx(whole["score"], abs=1e-6)
    assert abs(found.saliency.gap) < 1e-4
    squares = np.array(found.maps[0].weights)
    assert squares.shape == (8, 8)
    assert np.abs(squares).max() == pytest.approx(1.0)
    # All squares of 12 x 12 pixels in 8 x 8, the first four of a side of 2 pixels and the others of one, by hand.
    pixels = run.task.reader.pixels(
        run.task.example(Record({"image": file, "sentence": words}, Origin("row")), gold=False).shown
    )
    mean, rows = pixels.astype(np.float64).mean((0, 1)).round(), []
    sides = [*(slice(k, k + 2) for k in range(0, 8, 2)), *(slice(k, k + 1) for k in range(8, 12))]
    for down, right in product(sides, sides):
        other = pixels.copy()
        other[down, right] = mean
        rows.append({"image": png_of(other), "sentence": words})
    lost = np.array([whole["score"] - said["probabilities"][whole["label"]] for said in predict(run, rows)])
    most = np.abs(lost).max()
    np.testing.assert_allclose(squares.reshape(-1), lost / most, atol=1e-3)
    assert f"of {most:.2g} at most" in found.maps[0].title


def test_what_it_cannot_do_is_refused_by_name(here: Path, tmp_path: Path) -> None:
    assert "holds no step" in refused("inspect", here / "run", here / "data" / "test-0-red.png", "--with", "sentence= ")
    config = here / "c.yaml"
    assert "expected three columns" in refused("check", config, "--set", "task.label=sentence")
    bad = tmp_path / "bad.jsonl"
    bad.write_text(json.dumps({"image": str(here / "data" / "test-0-red.png"), "sentence": "", "label": "true"}) + "\n")
    assert f"{bad}:1: column 'sentence'" in refused("check", config, "--set", f"data.train={bad}")
