"""A model that begins with published weights, from a config that names their folder to answers."""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import checkpoint_room
from api.api_room import Listening, done, kept_of, recurra, refused, write_csv
from api.test_finetuning import learner_of, write
from api.test_resume import Stopper
from oracles import bert
from published_room import WORDS, folder, tensors
from recurra import api
from recurra.api.prepare import prepare
from recurra.api.schema import read_settings
from recurra.data.tokenizers import read_pieces
from recurra.models import SequenceModel
from recurra.models.encoders import Pretrained

CONFIG: Mapping[str, Mapping[str, Any]] = {
    "task": {"name": "classification"},
    "data": {"train": "data.csv"},
    "model": {"encoder": {"name": "pretrained", "folder": "tiny"}},
    "training": {"epochs": 2, "batch_rows": 8, "patience": None},
}
ROWS = [(f"{end} film {'abcdefghij'[k]} was {w}", "yes" if w in ("good", "fine") else "no")
        for k in range(10) for w in ("good", "fine", "bad", "sad") for end in ("the",)]  # fmt: skip


@pytest.fixture
def begun(here: Path) -> Path:
    folder(here / "tiny")
    write_csv(here / "data.csv", ROWS)
    write("c.yaml", CONFIG)
    return here


def test_a_run_has_weights_and_vocabulary_of_its_own(begun: Path) -> None:
    trained = done("train", "c.yaml", "--out", "r")
    assert "model.encoder.folder: tiny: 39 tensors are the encoder's first weights." in trained.out + trained.err
    before = done("predict", "r", "--json", "the film was good").json
    shutil.rmtree(begun / "tiny")
    shutil.copytree(begun / "r", begun / "elsewhere")
    assert done("predict", "elsewhere", "--json", "the film was good").json == before
    assert done("evaluate", "elsewhere").code == 0


def test_it_begins_with_the_weights_of_the_folder(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, w = learner_of("c.yaml", monkeypatch).model, tensors()
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    np.testing.assert_array_equal(state["inputs.words.weight"], w["embeddings.word_embeddings.weight"])
    parts = [w[f"encoder.layer.1.attention.self.{part}.weight"] for part in ("query", "key", "value")]
    np.testing.assert_array_equal(state["encoder.blocks.1.self_attn.in_proj_weight"], np.concatenate(parts))
    np.testing.assert_array_equal(state["encoder.pooler.bias"], w["pooler.dense.bias"])


def test_a_resumed_run_needs_the_folders_weights_no_more_and_ends_with_the_same_bits(begun: Path) -> None:
    write("c.yaml", CONFIG, {"training": {"schedule": "constant"}})
    done("train", "c.yaml", "--out", "whole")
    done("train", "c.yaml", "--out", "r", "--set", "training.epochs=1")
    (begun / "tiny/model.safetensors").unlink()  # as it needs the rows, it needs the vocabulary that reads them
    done("train", "--resume", "r", "--set", "training.epochs=2")
    assert (begun / "r/model.safetensors").read_bytes() == (begun / "whole/model.safetensors").read_bytes()


def test_frozen_layers_end_as_they_began_and_the_rest_has_learned(begun: Path) -> None:
    write("c.yaml", CONFIG, {"model": {"encoder": {"name": "pretrained", "folder": "tiny", "frozen_layers": 1}}})
    done("train", "c.yaml", "--out", "r")
    state, w = api.open_run(Path("r")).model.state_dict(), tensors()
    np.testing.assert_array_equal(state["inputs.words.weight"], w["embeddings.word_embeddings.weight"])
    np.testing.assert_array_equal(
        state["encoder.blocks.0.linear1.weight"], w["encoder.layer.0.intermediate.dense.weight"]
    )
    assert not np.array_equal(state["encoder.blocks.1.linear1.weight"], w["encoder.layer.1.intermediate.dense.weight"])


def test_rates_fall_from_layer_to_layer(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("c.yaml", CONFIG, {"training": {"rate_decay": 2.0, "optimizer": {"name": "adamw", "lr": 0.008}}})
    rates = [group["lr"] for group in learner_of("c.yaml", monkeypatch).optimizer.param_groups]
    assert rates == pytest.approx([0.008, 0.004, 0.002, 0.001])  # head and pooler, two layers, inputs


def test_a_run_becomes_a_folder_again_whose_tensors_are_the_runs_and_whose_texts_are_cut_alike(begun: Path) -> None:
    done("train", "c.yaml", "--out", "r")
    said = done("export", "r", "--transformers", "out").out
    assert "41 tensors of a BertForSequenceClassification" in said
    run = api.open_run(Path("r"))
    w = {name: tensor.astype(np.float64) for name, tensor in load_file(begun / "out/model.safetensors").items()}
    encoder = {name.removeprefix("bert."): tensor for name, tensor in w.items()}
    ids = [WORDS.index(piece) for piece in ("[CLS]", "the", "film", "!", "[SEP]")]
    first = bert.run(encoder, ids, [0] * 5, layers=2, heads=2, eps=1e-12)[0]
    pooled = np.tanh(encoder["pooler.dense.weight"] @ first + encoder["pooler.dense.bias"])
    logits = w["classifier.weight"] @ pooled + w["classifier.bias"]
    shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    answer = done("predict", "r", "--json", "the film!").json["probabilities"]
    config = json.loads((begun / "out/config.json").read_text())
    for number, label in config["id2label"].items():
        assert answer[label] == pytest.approx(shares[int(number)], abs=1e-5)  # float32 beside float64
    assert config["architectures"] == ["BertForSequenceClassification"]
    again = read_pieces(begun / "out")
    assert again.tokenize("Film, filming!") == run.task.reader.tokenizer.tokenize("Film, filming!")
    assert "is there already; choose another folder" in recurra("export", "r", "--transformers", "out").err


def test_its_onnx_file_agrees_with_it(begun: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    done("train", "c.yaml", "--out", "r")
    assert max(done("export", "r", "--onnx", "o.onnx", "--json").json["o.onnx"].values()) < 1e-4


def test_vectors_of_a_folder_are_those_of_the_definition_and_a_runs_are_its_own(begun: Path) -> None:
    said = done("encode", "tiny", "the film!", "a", "--output", "v.npy").out
    assert said == "v.npy: 2 rows, vectors of 8 numbers.\n"
    w = {name: tensor.astype(np.float64) for name, tensor in tensors().items()}
    ids = [WORDS.index(piece) for piece in ("[CLS]", "the", "film", "!", "[SEP]")]
    expected = bert.run(w, ids, [0] * 5, layers=2, heads=2, eps=1e-12)
    np.testing.assert_allclose(np.load("v.npy")[0], expected.mean(0), atol=1e-5)
    done("encode", "tiny", "the film!", "--pooling", "cls", "--output", "v.npy")
    np.testing.assert_allclose(np.load("v.npy")[0], expected[0], atol=1e-5)
    done("encode", "tiny", "the film!", "a", "--pooling", "none", "--output", "v.npz")
    with np.load("v.npz") as found:
        assert found["lengths"].tolist() == [5, 3]
        np.testing.assert_allclose(found["vectors"][:5], expected, atol=1e-5)
    done("train", "c.yaml", "--out", "r")
    assert done("encode", "r", "--input", "data.csv", "--output", "rows.npy", "--json").json["rows"] == len(ROWS)
    done("encode", "r", ROWS[3][0], "--output", "one.npy")
    np.testing.assert_array_equal(np.load("rows.npy")[3], np.load("one.npy")[0])


def test_a_bert_as_google_published_it_has_the_vectors_of_the_same_one_as_hugging_face_has_it(begun: Path) -> None:
    checkpoint_room.folder(begun / "google")
    for name in ("google", "tiny"):
        done("encode", name, "the film!", "a", "--output", f"{name}.npy")
    np.testing.assert_array_equal(np.load("google.npy"), np.load("tiny.npy"))
    write("c.yaml", CONFIG, {"model": {"encoder": {"name": "pretrained", "folder": "google"}}})
    said = done("check", "c.yaml")
    assert said.code == 0
    trained = done("train", "c.yaml", "--out", "r", "--set", "training.epochs=1")
    assert "google: 39 tensors are the encoder's first weights." in trained.out + trained.err


def test_what_cannot_be_encoded_is_refused(begun: Path) -> None:
    assert "expected texts, or --input FILE, one of them" in refused("encode", "tiny", "--output", "v.npy")
    assert "expected a file that ends in .npz" in refused(
        "encode", "tiny", "a", "--pooling", "none", "--output", "v.npy"
    )
    assert "1 of 1 texts are longer than is read" in recurra("encode", "tiny", "a " * 40, "--output", "v.npy").err


PAIRS: Mapping[str, Any] = {"task": {"text": "premise", "pair": "hypothesis"}}


def test_the_two_texts_of_a_pair_have_segments_and_neither_may_be_empty_in_training(begun: Path) -> None:
    rows = [(p, h, "same" if p == h else "other") for k in "abcdefgh" for p, h in ((k, k), (k, "z"), ("z", k))]
    write_csv(begun / "data.csv", [(f"{p},{h}", label) for p, h, label in rows], "premise,hypothesis,label")
    write("c.yaml", CONFIG, PAIRS)
    done("train", "c.yaml", "--out", "r")
    run = api.open_run(Path("r"))
    example = run.task.example(record(premise="the film", hypothesis="was bad"), gold=False)
    batch = run.task.collate([example], (0,))
    assert example.tokens == ("[CLS]", "the", "film", "[SEP]", "was", "bad", "[SEP]")
    assert (
        run.model.inputs.segments_of(run.model.inputs.pieces(batch.inputs["tokens"]))[:, 0].tolist()
        == [0] * 4 + [1] * 3
    )
    assert example.text == "the film\nwas bad"
    empty = run.task.example(record(premise="the film", hypothesis=""), gold=False)
    assert empty.tokens == ("[CLS]", "the", "film", "[SEP]", "[SEP]")
    (begun / "data.csv").write_text("premise,hypothesis,label\na,a,same\nb,,other\n")
    assert "data.csv:3: column 'hypothesis' is empty, expected text" in refused("check", "c.yaml")


def test_pairs_need_pieces(begun: Path) -> None:
    write("c.yaml", {**CONFIG, "model": {}}, PAIRS)
    assert "task.pair: words know no pair; set tokenizer: pretrained" in refused("check", "c.yaml")


def test_a_text_with_more_pieces_than_positions_is_cut_and_named(begun: Path) -> None:
    write_csv(begun / "data.csv", [*ROWS, ("good " * 30, "yes")])
    checked = done("check", "c.yaml")
    assert "train texts cut: 1 of" in checked.out + checked.err
    assert "(max_length 24)" in checked.out + checked.err
    done("train", "c.yaml", "--out", "r")
    said = done("predict", "r", "good " * 30)
    assert "longer than max_length, and the rest is not read" in said.err
    assert "24 of 32 tokens" in said.err


def test_a_folder_that_is_none_is_refused_before_anything_is_read(begun: Path) -> None:
    write("c.yaml", CONFIG, {"model": {"encoder": {"name": "pretrained", "folder": "nowhere"}}})
    assert "nowhere: expected config.json" in refused("check", "c.yaml")


def record(**fields: str) -> Any:
    from recurra.base.contracts import Origin, Record

    return Record(fields, Origin("x", 1))


def test_every_piece_has_its_number_and_the_mark_of_the_unknown_is_read_as_such(begun: Path) -> None:
    done("train", "c.yaml", "--out", "r")
    run = api.open_run(Path("r"))
    batch = run.task.collate([run.task.example(record(text="the Ж z"), gold=False)], (0,))
    pieces = run.model.inputs.pieces(batch.inputs["tokens"])[:, 0].tolist()
    assert [WORDS[p] for p in pieces] == ["[CLS]", "the", "[UNK]", "z", "[SEP]"]
    assert json.loads((begun / "r" / "task.json").read_text())["reader"]["vocabulary"] is None
    assert torch.is_tensor(batch.lengths)


# -- features of frozen layers -----------------------------------------------------------------------------------------


def frozen(layers: int, **training: Any) -> list[Mapping[str, Any]]:
    encoder = {"name": "pretrained", "folder": "tiny", "frozen_layers": layers}
    return [{"model": {"encoder": encoder, "head": {"pooling": "mean"}}}, {"training": training}]


def counting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts go through the frozen layers, call by call."""
    seen, own = [], Pretrained.below

    def below(self: Pretrained, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        seen.append(len(lengths))
        return own(self, x, lengths)

    monkeypatch.setattr(Pretrained, "below", below)
    return seen


@pytest.mark.parametrize("layers", [1, 2])
def test_frozen_layers_see_each_text_once_and_the_run_has_the_same_bits(
    begun: Path, monkeypatch: pytest.MonkeyPatch, layers: int
) -> None:
    write("c.yaml", CONFIG, *frozen(layers, epochs=4, report="scores"))
    done("train", "c.yaml", "--out", "plain", "--set", "training.features_gib=0")
    seen, own, in_epochs = counting(monkeypatch), SequenceModel.forget_features, []
    monkeypatch.setattr(SequenceModel, "forget_features", lambda self: (in_epochs.append(sum(seen)), own(self))[1])
    said = done("train", "c.yaml", "--out", "kept")
    assert "features_gib: what the frozen layers say of a text is computed once and kept, in 1 GiB" in said.err
    assert kept_of("kept") == kept_of("plain")
    splits = prepare(read_settings(Path("c.yaml")), Listening()).splits
    texts = len(splits["train"]) + len(splits["dev"])
    assert in_epochs == [texts]  # not four times as many


def test_windows_of_long_sentences_and_rows_of_choices_are_kept_as_well(begun: Path) -> None:
    sentence = "\n".join(f"{'abcdefgh'[k % 8]} {'XO'[k % 3 == 0]}" for k in range(40))  # more than 24 positions
    Path("t.conll").write_text("\n\n".join([sentence, "a X\nb O", "bad O"] * 4) + "\n")
    rows = [{"context": f"the film {c}", "choices": ["good", "bad", "the"][: 2 + k % 2], "label": k % 2}
            for k, c in enumerate("abcdefgh" * 2)]  # fmt: skip
    Path("m.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    encoder = {"name": "pretrained", "folder": "tiny", "frozen_layers": 2}
    for name, task, data, head in (
        ("tags", {"name": "tagging"}, {"train": "t.conll", "dev": "t.conll", "columns": ["token", "tag"]},
         {"output": "softmax"}),
        ("choices", {"name": "multiple_choice"}, {"train": "m.jsonl", "dev": "m.jsonl"}, {"pooling": "max"}),
    ):  # fmt: skip
        training = {"epochs": 3, "batch_rows": 4, "report": "scores"}
        write("w.yaml", {"task": task, "data": data, "model": {"encoder": encoder, "head": head}, "training": training})
        done("train", "w.yaml", "--out", f"{name}-plain", "--set", "training.features_gib=0")
        assert "computed once and kept" in done("train", "w.yaml", "--out", f"{name}-kept").err
        assert kept_of(f"{name}-kept") == kept_of(f"{name}-plain")


def test_texts_that_find_no_room_are_computed_each_time_and_said(begun: Path) -> None:
    write("c.yaml", CONFIG, *frozen(2, report="scores"))
    done("train", "c.yaml", "--out", "plain", "--set", "training.features_gib=0")
    said = done("train", "c.yaml", "--out", "kept", "--set", "training.features_gib=0.00001")
    assert re.search(r"features_gib: 1e-05 GiB were full after \d+ texts, and the others were computed", said.err)
    assert kept_of("kept") == kept_of("plain")


def test_a_run_that_is_stopped_and_resumed_with_kept_features_has_the_same_bits(begun: Path) -> None:
    write("c.yaml", CONFIG, *frozen(2, epochs=3))
    done("train", "c.yaml", "--out", "whole")
    assert api.train("c.yaml", out="cut", watch=Stopper(7)).stopped_by == signal.SIGTERM
    assert api.resume("cut", overrides=["training.features_gib=0.5"]).report is not None
    assert kept_of("cut") == kept_of("whole")


def test_nothing_is_kept_where_nothing_is_frozen_or_pieces_are_hidden(begun: Path) -> None:
    assert "features_gib" not in done("train", "c.yaml", "--out", "r", "--set", "training.epochs=1").err
    Path("t.txt").write_text("the film was good.\n" * 60)
    tree = {"task": "masked_lm", "data": {"train": "t.txt"}, "training": {"epochs": 1, "schedule": "constant"},
            "model": {"encoder": {"name": "pretrained", "folder": "tiny", "frozen_layers": 1}}}  # fmt: skip
    write("m.yaml", tree)
    assert "features_gib" not in done("train", "m.yaml", "--out", "m").err
