"""Models of speech as ONNX files: they say what the model says, whole or in pieces, whatever stands in the padding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export.onnx_room import File, exported
from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.decode.transducer import transducer_greedy
from recurra.export import onnx
from recurra.models import SequenceModel
from recurra.tasks.transcription.methods.transducer import network_of

LENGTHS = np.array([6, 1, 0, 4])


def speech(
    bidirectional: bool, *, inputs: str = "vectors", head: str = "ctc", encoder: str | None = None
) -> SequenceModel:
    torch.manual_seed(0)
    layers = {"name": "recurrent", "cell": "gru", "hidden_size": 4, "num_layers": 2, "bidirectional": bidirectional}
    return SequenceModel({"features": 3, "units": 5}, inputs=inputs, encoder=encoder or layers, head=head).eval()


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_file_says_what_the_model_says(bidirectional: bool, tmp_path: Path) -> None:
    model = speech(bidirectional)
    file = exported(model, tmp_path / "s.onnx")
    features = np.random.default_rng(0).normal(size=(6, 4, 3)).astype(np.float32)
    features[4:, 3] = 99.0
    states = {} if bidirectional else {f"state.h_l{k}": np.zeros((4, 4), np.float32) for k in range(2)}
    got = file(features=features, lengths=LENGTHS, **states)["logits"]
    with torch.no_grad():
        batch = Batch({"features": torch.from_numpy(features)}, torch.from_numpy(LENGTHS), {}, ())
        wanted = model(batch).outputs["logits"].numpy()
    for n, length in enumerate(LENGTHS):
        np.testing.assert_allclose(got[:length, n], wanted[:length, n], atol=1e-6, rtol=0)
        assert not got[length:, n].any()


def test_a_recording_in_pieces_is_the_whole(tmp_path: Path) -> None:
    file = exported(speech(False), tmp_path / "s.onnx")
    features = np.random.default_rng(1).normal(size=(6, 1, 3)).astype(np.float32)
    states = {f"state.h_l{k}": np.zeros((1, 4), np.float32) for k in range(2)}
    whole = file(features=features, lengths=np.array([6]), **states)["logits"]
    first = file(features=features[:2], lengths=np.array([2]), **states)
    after = {name: first[f"next_{name}"] for name in states}
    rest = file(features=features[2:], lengths=np.array([4]), **after)["logits"]
    np.testing.assert_allclose(np.concatenate([first["logits"], rest]), whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_the_files_of_a_transducer_say_greedily_what_the_model_says_in_pieces_too(cell: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    head = {"name": "transducer", "cell": cell, "hidden_size": 5, "embedding_size": 3, "joint_size": 6, "num_layers": 2}
    encoder = {"name": "recurrent", "cell": "gru", "hidden_size": 4, "num_layers": 2}
    model = SequenceModel({"features": 3, "units": 5}, inputs="vectors", encoder=encoder, head=head).eval()
    with torch.no_grad():
        model.head.output.weight *= 6
    paths = [one.path for one in onnx(model, tmp_path / "s.onnx")]
    assert [path.name for path in paths] == ["s.encoder.onnx", "s.predictor.onnx", "s.joiner.onnx"]
    files = [File(path) for path in paths]
    features = np.random.default_rng(0).normal(size=(12, 1, 3)).astype(np.float32)
    with torch.no_grad():
        frames = model(Batch({"features": torch.from_numpy(features)}, torch.tensor([12]), {}, ())).outputs["frames"]
    (wanted,) = transducer_greedy(frames, torch.tensor([12]), network_of(model), most=3)
    states, heard = {f"state.h_l{k}": np.zeros((1, 4), np.float32) for k in range(2)}, []
    for piece in np.split(features, [5]):
        found = files[0](features=piece, lengths=np.array([len(piece)]), **states)
        states = {name: found[f"next_{name}"] for name in states}
        heard += [*found["frames"]]
    zeros = {
        f"state.{name}_l{k}": np.zeros((1, 5), np.float32) for k in range(2) for name in ("hc"[: 1 + (cell == "lstm")])
    }
    assert _greedily(heard, files[1], files[2], zeros, most=3) == wanted.units
    assert len(wanted.units) > 3


def _greedily(frames: list[Any], predictor: File, joiner: File, states: dict[str, Any], most: int) -> tuple[int, ...]:
    units: list[int] = []
    said = predictor(tokens=np.array([0]), **states)
    for frame in frames:
        for _ in range(most):
            unit = int(joiner(frames=frame, said=said["said"])["logits"].argmax())
            if unit == 0:
                break
            units.append(unit)
            said = predictor(tokens=np.array([unit]), **{name: said[f"next_{name}"] for name in states})
    return tuple(units)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"head": "attention"}, "a head AttentionHead as ONNX; .*ctc.* have one"),
        (
            {"encoder": "chunked"},
            "Chunked as ONNX: .*seen those ahead.* causal: true .*; .*transformer.* have one",
        ),
        ({"inputs": "frames"}, "inputs Frames as ONNX; .*vectors.* have one"),
    ],
)
def test_what_no_file_can_be_made_of_is_refused_by_name_and_none_is_left(
    parts: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=said):
        exported(speech(True, **parts), tmp_path / "s.onnx")
    assert not list(tmp_path.iterdir())
