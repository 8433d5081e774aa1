"""Models of speech as ONNX files: they say what the model says, whole or in pieces, whatever stands in the padding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from export.onnx_room import exported
from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.models import SequenceModel

LENGTHS = np.array([6, 1, 0, 4])


def speech(bidirectional: bool, *, inputs: str = "vectors", head: str = "ctc") -> SequenceModel:
    torch.manual_seed(0)
    encoder = {"name": "recurrent", "cell": "gru", "hidden_size": 4, "num_layers": 2, "bidirectional": bidirectional}
    return SequenceModel({"features": 3, "units": 5}, inputs=inputs, encoder=encoder, head=head).eval()


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


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"head": "transducer"}, "a head TransducerHead as ONNX; .*ctc have one"),
        ({"head": "attention"}, "a head AttentionHead as ONNX; .*ctc have one"),
        ({"inputs": "frames"}, "inputs Frames as ONNX; .*vectors.* have one"),
    ],
)
def test_what_no_file_can_be_made_of_is_refused_by_name_and_none_is_left(
    parts: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=said):
        exported(speech(True, **parts), tmp_path / "s.onnx")
    assert not list(tmp_path.iterdir())
