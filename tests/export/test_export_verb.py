"""`recurra export`: from a run folder to files that others can read."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from api.api_room import done, recurra, refused, rows, write_config, write_csv
from export.onnx_room import File
from recurra.data.tokenizers import BOS, EOS, UNK

TEXTS = ("lovely item a1", "grim and wholly unknown words", "")
LEAKY = '''\
from recurra.cells import cell
from recurra.cells.language import tanh


@cell(paper="a test")
def leaky_export(x, h, p):
    """Half of the old, half of the new."""
    return 0.5 * h + 0.5 * tanh(p.W("h", x) + p.R("h", h) + p.b("h"))
'''

REFERENCE = ("--set", "model.encoder.backend=reference")  # compiling the cell would take seconds


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs `texts`, `mine` (a cell of the user's own) and `pairs` (a translation)."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_csv(folder / "data.csv", rows())
        write_config()
        done("train", "c.yaml", "--out", "texts")
        Path("leaky.py").write_text(LEAKY)
        done(
            "train",
            "c.yaml",
            "--out",
            "mine",
            "--cell",
            "leaky.py",
            "--set",
            "model.encoder.cell=leaky_export",
            *REFERENCE,
        )
        lines = [f"{text}\t{text[::-1].replace(' ', '')[:3]}" for text, _ in rows()]
        Path("pairs.tsv").write_text("\n".join(["source\ttarget", *lines]) + "\n")
        sections: dict[str, Any] = {
            "task": {"name": "translation", "scores": "exact", "beam": 1},
            "data": {"train": "pairs.tsv"},
            "model": {"inputs": {"embedding_size": 3}, "encoder": {"hidden_size": 4}, "decoder": {"embedding_size": 3}},
            "training": {"epochs": 3, "batch_rows": 4, "optimizer": {"name": "adam", "lr": 0.05}},
        }
        Path("p.yaml").write_text(yaml.safe_dump(sections))
        done("train", "p.yaml", "--out", "pairs")
    return folder


@pytest.fixture
def here(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another folder, with copies of the runs."""
    for name in ("texts", "mine", "pairs"):
        shutil.copytree(runs / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def numbers(told: dict[str, Any], text: str) -> list[int]:
    """A text as the run reads it; its words stand between spaces."""
    words = told["vocabulary"]
    known = {word: n for n, word in enumerate(words["specials"] + words["tokens"])}
    return [known.get(word, UNK) for word in text.split()]


@pytest.mark.parametrize("run", ["texts", "mine"])
def test_a_file_answers_texts_as_predict_does(run: str, here: Path) -> None:
    said = done("export", run, "--onnx", "out.onnx")
    assert said.out.startswith("out.onnx: written; the largest difference from the model is ")
    file = File(Path("out.onnx"))
    labels, reader = (json.loads(file.metadata[name]) for name in ("labels", "reader"))
    assert file.metadata["task"] == "classification"
    for text in TEXTS:
        ids = numbers(reader, text)
        (logits,) = file(tokens=np.array(ids, dtype=np.int64).reshape(-1, 1), lengths=np.array([len(ids)]))["logits"]
        answer = done("predict", run, text, "--json").json
        if not text:  # what the file says of nothing is the caller's to judge
            assert answer["label"] == ""
            continue
        shares = np.exp(logits) / np.exp(logits).sum()
        assert labels[shares.argmax()] == answer["label"]
        assert abs(shares.max() - answer["score"]) < 1e-5


def test_two_files_translate_as_predict_does(here: Path) -> None:
    found = done("export", "pairs", "--onnx", "out.onnx", "--json").json
    assert list(found) == ["out.encoder.onnx", "out.step.onnx"]
    assert all(apart < 1e-5 for file in found.values() for apart in file.values())
    encoder, step = File(Path("out.encoder.onnx")), File(Path("out.step.onnx"))
    sides = json.loads(encoder.metadata["sides"])
    target = sides["target"]["vocabulary"]
    words = target["specials"] + target["tokens"]
    for text in TEXTS[:2]:
        ids = numbers(sides["source"], text)
        state = encoder(source=np.array(ids).reshape(-1, 1), source_lengths=np.array([len(ids)]))
        said, last = [], BOS
        for _ in range(30):
            found = step(tokens=np.array([last]), **state)
            found["log_probs"][:, [0, BOS]] = -np.inf
            last = int(found["log_probs"].argmax())
            if last == EOS:
                break
            said.append(words[last])
            state |= {name.removeprefix("next_"): a for name, a in found.items() if name.startswith("next_")}
        answer = done("predict", "pairs", text, "--json").json
        assert " ".join(said) == answer["output"]


def test_weights_for_torch_are_written_or_refused_by_name(here: Path) -> None:
    assert "texts.safetensors: written" in done("export", "texts", "--torch", "texts.safetensors").out
    said = refused("export", "mine", "--torch", "mine.safetensors")
    assert said.startswith("encoder.recurrent: torch.nn has no layer of the cell 'leaky_export', only of rnn, ")
    assert not Path("mine.safetensors").exists()


def test_what_to_write_must_be_said(here: Path) -> None:
    assert refused("export", "texts") == (
        "recurra export: expected --onnx FILE, --torch FILE, --vectors FILE or --transformers DIR, or several.\n"
    )


def test_a_file_may_be_written_for_one_runtime(here: Path) -> None:
    said = done("export", "texts", "--onnx", "out.onnx", "--for", "onnxruntime")
    version = importlib.metadata.version("onnxruntime")
    assert re.fullmatch(rf"out\.onnx: written; .* is \d\.\de-\d\d in ONNX Runtime {version}\.\n", said.out)
    assert refused("export", "texts", "--torch", "out.safetensors", "--for", "openvino") == (
        "recurra export: --for says what runs the file of --onnx, which is missing.\n"
    )
    assert "invalid choice: 'tensorrt'" in refused("export", "texts", "--onnx", "b.onnx", "--for", "tensorrt")
    assert not Path("b.onnx").exists()


def test_two_files_in_one_place_are_refused_before_either_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = refused("export", "run", "--onnx", "out", "--torch", str(tmp_path / "out"))
    assert f"--onnx and --torch both write {tmp_path / 'out'}, expected two places; give each its own." in said
    assert list(tmp_path.iterdir()) == []


def test_without_onnx_the_extra_is_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    said = refused("export", "texts", "--onnx", "out.onnx")
    assert said == (
        'export to ONNX needs onnx and onnxruntime, which are not installed; pip install "recurra[onnx]".\n'
    )
    assert not Path("out.onnx").exists()


def test_a_damaged_run_and_a_folder_that_is_not_there_are_said_to_be(here: Path) -> None:
    (here / "texts" / "model.safetensors").write_bytes(b"{}")
    assert refused("export", "texts", "--onnx", "out.onnx").startswith("texts/model.safetensors: ")
    said = recurra("export", "pairs", "--onnx", "nowhere/out.onnx")
    assert (said.code, said.out) == (2, "")
    assert said.err == "nowhere/out.encoder.onnx: No such file or directory.\n"


def test_weights_of_a_model_without_recurrent_layers_are_written(here: Path) -> None:
    draw = np.random.default_rng(0)
    lines = [",".join(f"{number:.3f}" for number in draw.normal(size=4)) for _ in range(60)]
    Path("rows.csv").write_text("\n".join(["a,b,c,d", *lines]) + "\n")
    config = {
        "task": {"name": "autoencoding", "values": list("abcd"), "code_size": 2},
        "data": {"train": "rows.csv"},
        "model": {"encoder": {"name": "dense", "sizes": [3]}},
        "training": {"epochs": 1, "report": "scores"},
    }
    Path("rows.yaml").write_text(yaml.safe_dump(config))
    done("train", "rows.yaml", "--out", "coded")
    said = done("export", "coded", "--torch", "coded.safetensors").out
    assert said == (
        "coded.safetensors: written; the model has no recurrent layers, so that none were compared with torch's.\n"
    )
    done("export", "coded", "--onnx", "coded.onnx")
    file = File(Path("coded.onnx"))
    scaler = json.loads(file.metadata["reader"])["scaler"]
    row = np.array([0.3, -1.0, 2.0, 0.1])
    features = ((row - scaler["shift"]) / scaler["scale"]).astype(np.float32).reshape(1, 1, 4)
    found = file(features=features, lengths=np.array([1]))
    Path("one.csv").write_text("a,b,c,d\n0.3,-1,2,0.1\n")
    done("predict", "coded", "--input", "one.csv", "--output", "again.jsonl")
    told = json.loads(Path("again.jsonl").read_text())
    assert found["codes"].shape == (1, 2)
    expected = np.array([told[f"predicted_{name}"] for name in "abcd"])
    np.testing.assert_allclose(found["reconstruction"][0, 0] * scaler["scale"] + scaler["shift"], expected, atol=1e-5)
