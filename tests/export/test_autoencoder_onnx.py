"""Autoencoders and pictures as ONNX files: codes and rows as the model has them, alone and among others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export.onnx_room import exported
from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.export import onnx
from recurra.losses.likelihoods import LIKELIHOODS
from recurra.models import SequenceModel
from recurra.models.autoencoder import Autoencoder
from recurra.models.latents import LATENTS
from recurra.models.rebuilding import Rebuilding

D, CATEGORIES = 35, 4
DENSE = {"encoder": {"name": "dense", "sizes": [9, 4]}, "decoder": "dense"}
PICTURES = {"name": "pictures", "shape": [7, 5], "channels": [3, 2]}


def model_of(likelihood: str = "bernoulli", *, marked: bool = False, **parts: Any) -> Rebuilding:
    torch.manual_seed(0)
    judged = LIKELIHOODS[likelihood](CATEGORIES)
    sizes = {
        "features": D * (1 + marked), "values": D, "code": 6, "row": D, "noisy": 0, "steps": 1,
        "variational": int(parts.get("latent") == "variational"), "parameters": judged.size, "shared": judged.shared,
    }  # fmt: skip
    made = Autoencoder(sizes, **parts)
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.4)
    return Rebuilding(made, judged).eval()


def agrees(model: Rebuilding, path: Path) -> None:
    file, rng = exported(model, path), np.random.default_rng(0)
    x = rng.normal(size=(1, 5, model.model.inputs.output_size)).astype(np.float32)
    lengths = np.array([1, 1, 0, 1, 1])
    with torch.no_grad():
        codes, said = model(Batch({"features": torch.from_numpy(x)}, torch.from_numpy(lengths), {}, ()))
    got = file(features=x, lengths=lengths)
    np.testing.assert_allclose(got["codes"], codes.numpy(), atol=1e-5)
    np.testing.assert_allclose(got["reconstruction"], said.numpy(), atol=1e-5)
    alone = file(features=x[:, 3:4], lengths=lengths[3:4])
    np.testing.assert_allclose(alone["reconstruction"][:, 0], got["reconstruction"][:, 3], atol=1e-6)


@pytest.mark.parametrize("latent", list(LATENTS))
def test_codes_of_each_kind(latent: str, tmp_path: Path) -> None:
    given: Any = {"name": "top_k", "k": 2} if latent == "top_k" else latent
    model = model_of(latent=given, **DENSE)
    agrees(model, tmp_path / "a.onnx")


@pytest.mark.parametrize("likelihood", list(LIKELIHOODS))
def test_what_is_expected_of_each_number(likelihood: str, tmp_path: Path) -> None:
    agrees(model_of(likelihood, **DENSE), tmp_path / "a.onnx")


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [
        ({}, {}),
        ({"kernel_size": 4, "layer_norm": True, "activation": "tanh"}, {"layer_norm": True, "activation": "sigmoid"}),
        ({"outputs": "mean", "stride": 1}, {"upsampling": "nearest"}),
        ({"kernel_size": 5, "stride": 3}, {"upsampling": "nearest", "channels": [2, 5]}),
    ],
)
def test_pictures_by_convolution(encoder: dict[str, Any], decoder: dict[str, Any], tmp_path: Path) -> None:
    model = model_of("gaussian", marked=True, encoder={**PICTURES, **encoder}, decoder={"name": "pictures", **decoder})
    agrees(model, tmp_path / "a.onnx")


@pytest.mark.parametrize("outputs", ["flat", "mean", "places"])
def test_classes_of_pictures(outputs: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = {**PICTURES, "outputs": outputs}
    sizes = {"features": D, "labels": 3}
    head = {"name": "label", "pooling": "attention"}
    model = SequenceModel(sizes, inputs="vectors", encoder=encoder, head=head, wide="none").eval()
    file = exported(model, tmp_path / "a.onnx")
    x = np.random.default_rng(0).normal(size=(3, 4, D)).astype(np.float32)
    lengths = np.array([3, 1, 2, 3])
    with torch.no_grad():
        batch = Batch({"features": torch.from_numpy(x)}, torch.from_numpy(lengths), {}, ())
        expected = model(batch).outputs["logits"].numpy()
    np.testing.assert_allclose(file(features=x, lengths=lengths)["logits"], expected, atol=1e-5)


def test_a_decoder_without_a_form_is_named(tmp_path: Path) -> None:
    model = model_of(**DENSE)
    model.model.decoder = torch.nn.Linear(6, D)
    with pytest.raises(ConfigError, match=r"no way to write a decoder Linear as ONNX; dense, pictures, .* have one"):
        onnx(model, tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


# -- rows of several steps ---------------------------------------------------------------------------------------------

STEPS = {"name": "recurrent", "cell": "gru", "hidden_size": 5}


def series_model(likelihood: str, decoder: dict[str, Any], **parts: Any) -> Rebuilding:
    torch.manual_seed(0)
    judged = LIKELIHOODS[likelihood](CATEGORIES)
    sizes = {
        "features": 2, "values": 2, "code": 4, "row": 20, "noisy": 0, "steps": 10, "variational": 0,
        "parameters": judged.size, "shared": judged.shared,
    }  # fmt: skip
    made = Autoencoder(sizes, **{"encoder": STEPS, **parts}, decoder=decoder)
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.4)
    return Rebuilding(made, judged).eval()


@pytest.mark.parametrize(
    ("likelihood", "decoder", "parts"),
    [
        ("gaussian", {"name": "recurrent", "cell": "lstm", "num_layers": 2}, {}),
        ("bernoulli", {"name": "recurrent", "cell": "slstm", "reverse": True}, {}),
        ("categorical", {"name": "recurrent", "cell": "lstm", "num_layers": 2, "teacher_forcing": True}, {}),
        ("squared_error", {"name": "recurrent", "reverse": True, "teacher_forcing": True}, {"pooling": "mean"}),
        ("gaussian", {"name": "hierarchical", "bar": 3, "conductor_size": 4, "cell": "lstm"}, {}),
        ("bernoulli", {"name": "hierarchical", "bar": 3, "cell": "indrnn", "teacher_forcing": True}, {}),
        ("gaussian", {"name": "transformer", "hidden_size": 8, "num_heads": 2, "num_layers": 2}, {}),
        (
            "continuous_bernoulli",
            {"name": "transformer", "hidden_size": 8, "num_heads": 2, "positions": "learned", "max_positions": 9},
            {"encoder": {"name": "transformer", "hidden_size": 8, "num_heads": 2}},
        ),
    ],
)
def test_rows_of_several_steps(likelihood: str, decoder: dict[str, Any], parts: dict[str, Any], tmp_path: Path) -> None:
    model = series_model(likelihood, decoder, **parts)
    file, rng = exported(model, tmp_path / "a.onnx"), np.random.default_rng(0)
    x, lengths = rng.normal(size=(7, 4, 2)).astype(np.float32), np.array([7, 3, 0, 1])
    with torch.no_grad():
        codes, said = model(Batch({"features": torch.from_numpy(x)}, torch.from_numpy(lengths), {}, ()))
    got = file(features=x, lengths=lengths)
    np.testing.assert_allclose(got["codes"], codes.numpy(), atol=1e-5)
    for n, length in enumerate(lengths):
        np.testing.assert_allclose(got["reconstruction"][:length, n], said[:length, n].numpy(), atol=1e-5)
    alone = file(features=x[:3, 1:2], lengths=lengths[1:2])
    np.testing.assert_allclose(alone["reconstruction"][:, 0], got["reconstruction"][:3, 1], atol=1e-6)
