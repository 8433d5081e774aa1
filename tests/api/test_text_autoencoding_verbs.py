"""A text autoencoder through the verbs: from `init` to a classifier that begins with its encoder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

from api.api_room import done, refused, write_csv
from recurra import api

WORDS = ("fine", "warm", "dull", "cold")
SMALL = (
    "training.epochs=1", "training.report=full", "model.encoder.hidden_size=6", "model.inputs.embedding_size=6",
    "model.decoder.embedding_size=6", "task.code_size=3",
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with texts and a run, `vae`, of a few steps."""
    folder = tmp_path_factory.mktemp("texts")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("t.txt").write_text("".join(f"the {w} film {k} was so\n" for k in range(10) for w in WORDS))
        done("init", "sentence_vae", "t.txt", "-o", "v.yaml")
        done("train", "v.yaml", "--out", "vae", *(word for one in SMALL for word in ("--set", one)))
    return folder


def test_init_writes_a_sequence_vae(trained: Path) -> None:
    tree = yaml.safe_load((trained / "v.yaml").read_text())
    assert (tree["task"]["name"], tree["task"]["variational"]) == ("text_autoencoding", True)
    assert (tree["model"]["latent"]["name"], tree["model"]["latent"]["warmup"]["name"]) == ("variational", "linear")
    assert [tree["model"]["decoder"][name] for name in ("attention", "style", "bridge")] == [
        "none", "cho", "mean",
    ]  # fmt: skip


def test_texts_come_back_and_become_codes(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)
    (answer,) = api.predict("vae", [{"text": "the warm film 3 was so"}])
    assert answer["text"] == "the warm film 3 was so"
    assert isinstance(answer["output"], str)
    done("encode", "vae", "--input", "t.txt", "--output", "codes.npy")
    assert np.load("codes.npy").shape == (40, 3)
    assert "perplexity" in done("evaluate", "vae", "t.txt").out
    report = (trained / "vae" / "report.html").read_text()
    assert "Drawn texts" in report
    assert "From one drawn code to another" in report


def test_texts_are_drawn_and_written_between_two_others(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)
    drawn = [row["text"] for row in api.generate_rows("vae", num=3, seed=4, length=5).rows]
    assert drawn == [json.loads(line)["text"] for line in done(
        "generate", "vae", "--num", "3", "--seed", "4", "--length", "5").out.splitlines()]  # fmt: skip
    assert all(len(text.split()) <= 5 for text in drawn)
    assert [row["text"] for row in api.generate_rows("vae", num=1, seed=4, length=5).rows] == drawn[:1]
    way = api.generate_rows("vae", between=("the warm film 3 was so", "the dull film 1 was so"), steps=3)
    ends = api.predict("vae", [{"text": "the warm film 3 was so"}, {"text": "the dull film 1 was so"}])
    assert [way.rows[0]["text"], way.rows[2]["text"]] == [answer["output"] for answer in ends]
    assert way.codes is not None
    np.testing.assert_allclose(way.codes[1], (way.codes[0] + way.codes[2]) / 2, atol=1e-6)
    done("generate", "vae", "--between", "the warm film 3", "the cold film 1", "--steps", "4", "--output", "way.csv")
    assert len(Path("way.csv").read_text().splitlines()) == 5
    assert "are no pictures" in refused("generate", "vae", "--output", "way.png")
    assert "holds nothing to read" in refused("generate", "vae", "--between", "", "the warm film 1")
    assert "no codes of rows of numbers" in refused("compress", "vae", "--input", "t.txt", "--output", "t.codes")


def test_a_classifier_begins_with_the_encoder_alone(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)
    write_csv(
        trained / "data.csv",
        [(f"the {w} film {k} was so", str(w in WORDS[:2])) for k in range(9) for w in WORDS],
    )
    tree = {
        "task": {"name": "classification", "tokenizer": {"name": "words", "lowercase": True}},
        "data": {"train": "data.csv"},
        "model": {
            "inputs": {"embedding_size": 6},
            "encoder": {"cell": "lstm", "hidden_size": 6, "bidirectional": False},
        },
        "training": {"epochs": 1, "optimizer": {"name": "sgd", "lr": 1e-12}, "init_from": "vae", "report": "scores"},
    }
    Path("c.yaml").write_text(yaml.safe_dump(tree))
    said = done("train", "c.yaml", "--out", "classifier")
    assert "only the encoder is kept: 17 of 17 tokens have their vectors from there" in said.err
    mine, theirs = (load_file(f"{run}/model.safetensors") for run in ("classifier", "vae"))
    for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0"):
        np.testing.assert_allclose(mine[f"encoder.recurrent.{name}"], theirs[f"encoder.recurrent.{name}"], atol=1e-6)
    tree["model"]["encoder"]["hidden_size"] = 7
    Path("c.yaml").write_text(yaml.safe_dump(tree))
    assert "its layers have other shapes than this model's" in refused("train", "c.yaml", "--out", "other")
