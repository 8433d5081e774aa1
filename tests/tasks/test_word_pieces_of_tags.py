"""Tags of words that are read in pieces: which step stands for a word, windows, and a run of its own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from api.api_room import done
from oracles import bert
from published_room import WORDS, folder, tensors
from recurra import api
from recurra.base.contracts import Batch, Origin, Record
from recurra.data.tokenizers import read_pieces
from recurra.models.contract import Encoded
from recurra.models.sequence_model import at_places
from recurra.tasks.tagging.pieces import PieceReader, windows


def steps(inputs: dict[str, torch.Tensor], vocabulary: Any, row: int) -> list[str]:
    length = int(inputs["piece_lengths"][row])
    return list(vocabulary.tokens(inputs["tokens"][:length, row].tolist()))


def test_a_word_is_read_at_its_first_piece_and_what_has_no_piece_is_unknown(tmp_path: Path) -> None:
    pieces = read_pieces(folder(tmp_path))
    reader = PieceReader(pieces, 24)
    inputs = reader.inputs([["the", "filming", "\u200b", "good!"], ["bad"]])
    assert steps(inputs, pieces.vocabulary, 0) == [
        "[CLS]", "the", "film", "##ing", "<unk>", "good", "!", "[SEP]"]  # fmt: skip
    assert inputs["piece_lengths"].tolist() == [8, 3]
    # Numbers of steps: t * 2 + row, of the words at steps 1, 2, 4 and 5; the shorter sentence is padded with zeros.
    assert inputs["places"].tolist() == [[2, 3], [4, 0], [8, 0], [10, 0]]


def test_windows_fit_overlap_by_a_quarter_and_end_with_the_last_word() -> None:
    assert list(windows([1] * 5, 8)) == [(0, 5)]
    assert list(windows([1] * 20, 8)) == [(0, 8), (6, 14), (12, 20)]
    assert list(windows([8, 8, 1], 8)) == [(0, 1), (1, 2), (2, 3)]
    assert list(windows([], 8)) == [(0, 0)]


def test_in_a_long_sentence_a_word_is_read_where_it_stands_farther_from_an_end(tmp_path: Path) -> None:
    pieces = read_pieces(folder(tmp_path))
    words = list("abcdefghijklmnopqrst")
    inputs = PieceReader(pieces, 10).inputs([["the"], words])
    P, R = inputs["tokens"].shape
    assert (P, R) == (10, 4)  # the first rows of both, then two more of the second
    rows = [int(place) % R for place in inputs["places"][:, 1]]
    # (0, 8), (6, 14), (12, 20): g and h stand in two windows; g is one word from the first's end and begins the second.
    assert rows == [1] * 7 + [2] * 6 + [3] * 7
    at = inputs["tokens"].flatten()[inputs["places"][:, 1]]
    assert pieces.vocabulary.tokens(at.tolist()) == words


def test_a_head_reads_the_steps_it_is_given_and_the_summaries_of_the_first_rows() -> None:
    outputs = torch.arange(12.0).view(3, 2, 2)
    encoded = Encoded(outputs, torch.tensor([3, 3]), torch.tensor([[1.0, 1], [2, 2]]), {})
    found = at_places(encoded, torch.tensor([[1], [4]]), torch.tensor([2]))
    assert found.outputs[:, 0].tolist() == [outputs[0, 1].tolist(), outputs[2, 0].tolist()]
    assert found.summary.tolist() == [[1.0, 1]]


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "tiny")
    lines = [f"the\tDT\n{w}\tJJ\nfilming\tNN\n\n" for w in ("good", "bad", "a", "b", "c", "d", "e", "f") for _ in "123"]
    (tmp_path / "train.conll").write_text("".join(lines))
    config = {
        "task": {"name": "tagging", "tokens": "token", "tags": "tag"},
        "data": {"train": "train.conll", "columns": ["token", "tag"]},
        "model": {"encoder": {"name": "pretrained", "folder": "tiny"}, "head": {"output": "softmax"}},
        "training": {"epochs": 1, "batch_rows": 8},
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def test_a_run_of_tags_says_at_first_pieces_what_bert_says_there_and_needs_no_folder(begun: Path) -> None:
    done("train", "c.yaml", "--out", "r", "--set", "training.optimizer.lr=1e-12")
    shutil.rmtree(begun / "tiny")
    run = api.open_run(Path("r"))
    example = run.task.example(Record({"token": ["the", "filming", "good"]}, Origin("x", 1)), gold=False)
    batch = run.task.collate([example], (0,))
    assert isinstance(batch, Batch)
    with torch.no_grad():
        said = run.model(batch).outputs["emissions"][:, 0].numpy()
    w = {name: tensor.astype(np.float64) for name, tensor in tensors().items()}
    ids = [WORDS.index(piece) for piece in ("[CLS]", "the", "film", "##ing", "good", "[SEP]")]
    outputs = bert.run(w, ids, [0] * 6, layers=2, heads=2, eps=1e-12)[[1, 2, 4]]
    head = {name: tensor.numpy() for name, tensor in run.model.head.output.state_dict().items()}
    np.testing.assert_allclose(said, outputs @ head["weight"].T + head["bias"], atol=1e-5)  # float32 beside float64
    assert done("predict", "r", "the film").out
    out = done("export", "r", "--transformers", "out").out
    assert "BertForTokenClassification" in out
