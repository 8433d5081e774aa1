"""From a code to the steps of a row, against NumPy float64, alone and in a batch; and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from oracles import reconstruction as oracle
from oracles import transformer as attention
from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.models.autoencoder import Autoencoder
from recurra.models.encoders import RecurrentEncoder
from recurra.models.reconstructions import RECONSTRUCTIONS

SIZES = {"code": 3, "values": 2, "parameters": 1, "shared": 0, "row": 40, "noisy": 0, "steps": 12, "features": 2}
SIZES |= {"variational": 0}
LENGTHS = [5, 12, 0, 1, 5]
CELLS = ["gru", "lstm", "slstm", "indrnn", "rnn"]


def made(word: str, **options: Any) -> Any:
    torch.manual_seed(0)
    return RECONSTRUCTIONS[word](3, None, SIZES, **options).eval()


def known(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Codes, lengths and true values."""
    rng = np.random.default_rng(seed)
    values = torch.full((12, 5, 2), 9.0)
    for n, length in enumerate(LENGTHS):
        values[:length, n] = torch.from_numpy(rng.normal(size=(length, 2)))
    return torch.from_numpy(rng.normal(size=(5, 3)).astype(np.float32)), torch.tensor(LENGTHS), values


def weights_of(model: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: value.detach().double().numpy() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("way", ["blind", "taught", "alone"])
def test_a_recurrent_decoder_is_the_one_of_the_paper_written_out_in_numpy(way: str, reverse: bool) -> None:
    model = made("recurrent", cell="gru", hidden_size=4, teacher_forcing=way != "blind", reverse=reverse).double()
    codes, lengths, values = (one.double() if one.is_floating_point() else one for one in known())
    with torch.no_grad():
        if way == "blind":
            found = model(codes, lengths)
        elif way == "taught":
            found = model.taught(codes, lengths, values)
        else:
            found = model.alone(codes, lengths, lambda numbers: numbers * 2)
    for n, length in enumerate(LENGTHS):
        true = values[:length, n].numpy()[:: -1 if reverse else 1]
        before = {
            "blind": None,
            "taught": lambda t, said, true=true: true[t - 1] if t else np.zeros(2),
            "alone": lambda t, said: said[-1] * 2 if t else np.zeros(2),
        }[way]
        wanted = oracle.gru_decoder(weights_of(model), codes[n].numpy(), length, before)
        wanted = wanted[:: -1 if reverse else 1].reshape(length, 2)
        np.testing.assert_allclose(found[:length, n], wanted, atol=1e-12)


@pytest.mark.parametrize("bar", [2, 5])
@pytest.mark.parametrize("way", ["blind", "taught", "alone"])
def test_a_hierarchical_decoder_is_the_one_of_the_paper_written_out_in_numpy(way: str, bar: int) -> None:
    options = {"cell": "gru", "hidden_size": 4, "conductor_size": 3, "bar": bar, "teacher_forcing": way != "blind"}
    model = made("hierarchical", **options).double()
    codes, lengths, values = (one.double() if one.is_floating_point() else one for one in known())
    with torch.no_grad():
        if way == "blind":
            found = model(codes, lengths)
        elif way == "taught":
            found = model.taught(codes, lengths, values)
        else:
            found = model.alone(codes, lengths, lambda numbers: numbers * 2)
    assert found.shape == (12, 5, 2)
    for n, length in enumerate(LENGTHS):
        true = values[:length, n].numpy()
        before = {
            "blind": None,
            "taught": lambda t, said, true=true: true[t - 1] if t else np.zeros(2),
            "alone": lambda t, said: said[-1] * 2 if t else np.zeros(2),
        }[way]
        wanted = oracle.hierarchical_decoder(weights_of(model), codes[n].numpy(), length, bar, before)
        np.testing.assert_allclose(found[:length, n], wanted.reshape(length, 2), atol=1e-12)


def test_what_is_said_of_a_bar_knows_of_others_by_the_code_alone() -> None:
    model = made("hierarchical", cell="lstm", hidden_size=4, bar=4)
    codes, lengths, _ = known()
    with torch.no_grad():
        long, short = model(codes, lengths), model(codes, lengths.clamp(max=4))
    torch.testing.assert_close(long[:4], short)
    with pytest.raises(ConfigError, match="bar: has 12 steps, and the longest row 12, so that there is nothing"):
        made("hierarchical", bar=12)


def test_a_transformer_begins_each_step_with_the_code_and_its_position() -> None:
    model = made("transformer", hidden_size=8, num_heads=2, num_layers=2).double()
    codes, lengths, _ = known()
    with torch.no_grad():
        found = model(codes.double(), lengths).numpy()
    w = weights_of(model)
    layers = {name.removeprefix("blocks."): value for name, value in w.items() if name.startswith("blocks.")}
    layers = {f"layers.{name}": value for name, value in layers.items()}
    layers |= {"norm.weight": w["norm.weight"], "norm.bias": w["norm.bias"]}
    for n, length in enumerate(LENGTHS):
        if length:
            x = (w["project.weight"] @ codes[n].double().numpy() + w["project.bias"]) * np.sqrt(8)
            y = attention.encoder(layers, x + attention.sinusoids(length, 8), 2, attention.Manner(heads=2), last=True)
            np.testing.assert_allclose(found[:length, n], y @ w["output.weight"].T + w["output.bias"], atol=1e-12)


@pytest.mark.parametrize(
    ("word", "options"),
    [("recurrent", {"cell": cell, "teacher_forcing": back}) for cell in CELLS for back in (False, True)]
    + [("hierarchical", {"bar": 4, "cell": cell, "teacher_forcing": back}) for cell in CELLS for back in (False, True)]
    + [("recurrent", {"reverse": True, "num_layers": 2}), ("transformer", {"hidden_size": 16, "positions": "learned"})],
)
def test_a_row_has_the_same_bits_alone_and_in_any_batch(word: str, options: dict[str, Any]) -> None:
    model, (codes, lengths, values) = made(word, **options), known()
    ways = [lambda *given: model(*given[:2])]
    if options.get("teacher_forcing"):
        ways = [model.taught, lambda *given: model.alone(*given[:2], lambda numbers: numbers)]
    with torch.inference_mode():
        for way in ways:
            together = way(codes, lengths, values)
            assert together.shape == (12, 5, 2)
            for n, length in enumerate(LENGTHS):
                alone = way(codes[n : n + 1], lengths[n : n + 1], values[:length, n : n + 1])
                assert torch.equal(alone[:, 0], together[:length, n])


def test_what_a_decoder_leaves_open_is_the_encoders() -> None:
    encoder = RecurrentEncoder(2, cell="mgu", hidden_size=9, num_layers=2, dropout=0.1)
    decoder: Any = RECONSTRUCTIONS["recurrent"](3, encoder, SIZES)
    found = decoder.recurrent
    assert (found.cell.name, found.hidden_size, found.num_layers) == ("mgu", 9, 2)
    own: Any = RECONSTRUCTIONS["recurrent"](3, encoder, SIZES, cell="gru", hidden_size=4, num_layers=1)
    assert (own.recurrent.cell.name, own.recurrent.hidden_size, own.recurrent.num_layers) == ("gru", 4, 1)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"encoder": "recurrent"}, r"^name: dense writes rows that are one vector.*take recurrent or [^\n]*$"),
        ({"encoder": "dense", "decoder": "recurrent"}, "the code would know the end of a row alone; take mean"),
        ({"encoder": "convolutional", "decoder": "recurrent"}, "the code would know the end of a row alone"),
        (
            {"encoder": "recurrent", "decoder": {"name": "recurrent", "dropout": 0.1}},
            "dropout: acts between layers, and the decoder has one",
        ),
        ({"encoder": "recurrent", "decoder": {"name": "transformer", "positions": "none"}}, "nothing else tells"),
        ({"encoder": "recurrent", "decoder": {"name": "transformer", "positions": "rotary"}}, "all begin alike"),
        ({"encoder": "recurrent", "decoder": {"name": "transformer", "max_positions": 9}}, "no effect with positions"),
    ],
)
def test_an_autoencoder_of_series_refuses_what_cannot_take_effect(parts: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Autoencoder(SIZES, **parts)
    with pytest.raises(ConfigError, match="pooling: mean is of several steps, and rows have one"):
        Autoencoder({**SIZES, "steps": 1}, encoder="dense", pooling="mean")


@pytest.mark.parametrize("encoder", ["recurrent", "transformer", "convolutional", "dense"])
def test_padding_has_no_part_in_a_code(encoder: str) -> None:
    torch.manual_seed(0)
    options: dict[str, Any] = {"name": encoder} | ({"sizes": [6]} if encoder == "dense" else {"hidden_size": 8})
    pooling = "last" if encoder in ("recurrent", "transformer") else "mean"
    model = Autoencoder(SIZES, encoder=options, decoder="recurrent", pooling=pooling).eval()
    _, lengths, values = known()
    with torch.inference_mode():
        together = model.codes(Batch({"features": values}, lengths, {}, ()))
        for n, length in enumerate(LENGTHS):
            alone = model.codes(Batch({"features": values[:length, n : n + 1]}, lengths[n : n + 1], {}, ()))
            torch.testing.assert_close(alone[0], together[n], rtol=1e-5, atol=1e-6)
