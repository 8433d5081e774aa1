"""A picture and a text read together as ONNX: kinds of inputs and encoders, and the figures of rows that were read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export.onnx_room import exported
from recurra.base.contracts import Batch
from recurra.models import FusionModel, SequenceModel

SIZES = {"height": 8, "width": 12, "channels": 3, "tokens": 9, "labels": 3}
SMALL = {
    "encoder": {"name": "image", "channels": [4, 6], "shape": [8, 12, 3]},
    "text_inputs": {"name": "tokens", "embedding_size": 5},
    "text_encoder": {"name": "recurrent", "hidden_size": 4, "bidirectional": True},
    "joint": {"name": "transformer", "hidden_size": 8, "num_layers": 1, "num_heads": 2},
    "head": {"name": "label", "pooling": "mean"},
    "embedding_size": 8,
}
PATCHES = {
    "inputs": {"name": "patches", "patch_size": 4, "embedding_size": 6},
    "encoder": {"name": "transformer", "hidden_size": 8, "num_heads": 2, "num_layers": 1},
}


@pytest.mark.parametrize(
    "more",
    [
        {},
        PATCHES,
        {"joint": {"name": "recurrent", "hidden_size": 6}, "head": {"name": "label", "pooling": "last"}},
        {"joint": {"name": "convolutional", "hidden_size": 6}, "head": {"name": "label", "pooling": "max"}},
        {"encoder": {"name": "pictures", "channels": [4], "shape": [8, 12, 3], "outputs": "places"}},
    ],
    ids=["image", "patches", "recurrent", "convolutional", "pictures"],
)
def test_a_file_answers_as_the_model_does(more: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = FusionModel(SIZES, **{**SMALL, **more}).eval()
    file, random = exported(model, tmp_path / "f.onnx"), np.random.default_rng(1)
    pixels, lengths = random.integers(0, 256, (3, 8, 12, 3)).astype(np.uint8), np.array([4, 0, 2])
    tokens = random.integers(0, 9, (4, 3))
    found = file(pixels=pixels, tokens=tokens, text_lengths=lengths)["logits"]
    inputs = {"pixels": pixels, "tokens": tokens, "text_lengths": lengths}
    batch = Batch({k: torch.from_numpy(v) for k, v in inputs.items()}, torch.ones(3, dtype=torch.int64), {}, ())
    with torch.no_grad():
        np.testing.assert_allclose(found, model(batch).outputs["logits"].numpy(), atol=2e-6)
    alone = file(pixels=pixels[2:], tokens=tokens[:2, 2:], text_lengths=lengths[2:])["logits"]
    np.testing.assert_allclose(alone, found[2:], atol=2e-6)
    assert np.abs(file(pixels=255 - pixels, tokens=tokens, text_lengths=lengths)["logits"] - found).max() > 1e-4


def test_features_have_lengths_beside_those_of_the_text(tmp_path: Path) -> None:
    torch.manual_seed(0)
    features = {"features": 5, "tokens": 9, "labels": 2}
    model = FusionModel(features, **{**SMALL, "inputs": "vectors", "encoder": "identity"}).eval()
    file = exported(model, tmp_path / "f.onnx")
    random = np.random.default_rng(2)
    values, lengths, words = random.normal(size=(6, 2, 5)).astype(np.float32), np.array([6, 3]), np.array([1, 2])
    inputs = {"features": values, "tokens": random.integers(0, 9, (2, 2)), "text_lengths": words}
    batch = Batch({k: torch.from_numpy(v) for k, v in inputs.items()}, torch.from_numpy(lengths), {}, ())
    with torch.no_grad():
        expected = model(batch).outputs["logits"].numpy()
    values[3:, 1] = np.nan
    np.testing.assert_allclose(file(**inputs, lengths=lengths)["logits"], expected, atol=2e-6)
    assert {one.name for one in file.session.get_inputs()} == {"features", "lengths", "tokens", "text_lengths"}


def test_a_network_over_pictures_that_are_series_is_written_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes, encoder = {"features": 96, "labels": 2}, {"name": "image", "shape": [8, 12], "channels": [4, 6], "blocks": 2}
    exported(SequenceModel(sizes, inputs="vectors", encoder=encoder, head="label").eval(), tmp_path / "f.onnx")
