"""Weights for torch.nn and back: torch's own modules load them, and what torch lacks is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from models.models_room import classifier, seq2seq
from recurra.base.errors import ConfigError, RunError
from recurra.cells import CELLS
from recurra.export import load_torch, save_torch, torch_weights
from recurra.lower import projects
from recurra.nn import GRU, LSTM, RNN, Recurrent, quantize


class Plain(nn.Module):
    """A classifier in torch alone, as somebody writes it who has no recurra."""

    def __init__(self, layers: dict[str, dict[str, object]]) -> None:
        super().__init__()
        told = dict(layers["encoder.recurrent"])
        self.inputs, self.encoder, self.head = nn.Module(), nn.Module(), nn.Module()
        self.inputs.embedding = nn.Embedding(11, 3, padding_idx=0)
        self.encoder.recurrent = getattr(nn, str(told.pop("class")))(**told)
        self.head.output = nn.Linear(8, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        _, (h, _) = self.encoder.recurrent(self.inputs.embedding(tokens))
        return self.head.output(torch.cat([h[-2], h[-1]], 1))


def test_a_classifier_in_plain_torch_loads_the_file_and_answers_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = classifier(11, 2, embedding_size=3, hidden_size=4, num_layers=2, dropout=0.5).eval()
    path = tmp_path / "m.safetensors"
    assert list(save_torch(model, path)) == ["encoder.recurrent"]
    with safetensors.safe_open(path, framework="pt") as file:
        plain = Plain(json.loads(file.metadata()["torch"])).eval()
    plain.load_state_dict(load_file(path), strict=True)
    tokens = torch.randint(1, 11, (6, 5))
    _, state = model.encoder.recurrent(model.inputs.embedding(tokens))
    torch.testing.assert_close(plain(tokens), model.head.output(model.encoder.recurrent.last(state)), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "layers",
    [
        RNN(3, 4, 2, nonlinearity="relu", bidirectional=True),
        LSTM(3, 4, bias=False, batch_first=True),
        LSTM(3, 4, 2, proj_size=2),
        GRU(3, 4, bidirectional=True),
    ],
    ids=str,
)
def test_layers_go_to_torch_and_back(layers: Recurrent, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    assert save_torch(layers, path)[""] < 1e-12
    other = Recurrent(3, 4, layers.num_layers, layers.bias, layers.batch_first, bidirectional=layers.bidirectional,
                      proj_size=layers.proj_size, cell=layers.cell)  # fmt: skip
    load_torch(path, other)
    assert all(torch.equal(a, layers.state_dict()[name]) for name, a in other.state_dict().items())


def test_a_part_of_a_model_in_torch_fills_a_layer(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict({"encoder": nn.LSTM(3, 4, 2), "head": nn.Linear(4, 2)})
    save_file(model.state_dict(), tmp_path / "m.safetensors")
    layers = LSTM(3, 4, 2)
    load_torch(tmp_path / "m.safetensors", layers, prefix="encoder.")
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(layers(x)[0], model["encoder"](x)[0], atol=1e-6, rtol=0)


def test_cells_that_torch_lacks_are_refused_by_name_and_no_file_is_left(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    known = {"rnn", "rnn_relu", "lstm", "lstm_projected", "gru"}
    for name, cell in CELLS.items():
        layers = Recurrent(3, 4, cell=name, proj_size=2 * projects(cell))
        if name in known:
            save_torch(layers, path)
            path.unlink()
            continue
        with pytest.raises(ConfigError, match=f"layer: torch.nn has no layer of the cell '{name}', only of rnn, "):
            save_torch(layers, path)
        assert not path.exists()


@pytest.mark.parametrize("precision", ["int8", "bfloat16_products"])
def test_weights_that_torch_has_no_layer_for_are_named_and_no_file_is_left(precision: str, tmp_path: Path) -> None:
    layers = quantize(LSTM(3, 4), precision)
    for export in (lambda: save_torch(layers, tmp_path / "m.safetensors"), lambda: torch_weights.torch_layers(layers)):
        with pytest.raises(ConfigError, match=f"no layer with weights of {precision}; export the model before it is "):
            export()
    assert list(tmp_path.iterdir()) == []


def test_weights_of_bfloat16_are_weights_of_torch(tmp_path: Path) -> None:
    assert save_torch(quantize(LSTM(3, 4), "bfloat16"), tmp_path / "m.safetensors")[""] < 1e-12
    assert load_file(tmp_path / "m.safetensors")["weight_hh_l0"].dtype is torch.bfloat16


def test_all_that_torch_lacks_is_named_at_once(tmp_path: Path) -> None:
    model = seq2seq(8, 8, embedding_size=4, hidden_size=4, merge="sum", decoder_cell="mgu", zoneout=0.1)
    with pytest.raises(ConfigError) as refused:
        save_torch(model, tmp_path / "m.safetensors")
    said = refused.value.problems
    assert [sentence.partition(": ")[0] for sentence in said] == [
        "encoder.recurrent", "encoder.recurrent", "decoder.recurrent", "decoder.recurrent",
    ]  # fmt: skip
    assert ["by sum" in said[0], "no zoneout" in said[1], "'mgu'" in said[2], "no zoneout" in said[3]] == [True] * 4


def test_weights_that_torch_would_use_in_another_way_are_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {**torch_weights.TORCH, "rnn_relu": (nn.RNN, {"nonlinearity": "tanh"})}
    monkeypatch.setattr(torch_weights, "TORCH", wrong)
    with pytest.raises(RunError, match="not written: torch's layers differ from the model's in ''"):
        save_torch(RNN(3, 4, nonlinearity="relu"), tmp_path / "m.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_tied_weights_are_written_under_every_name(tmp_path: Path) -> None:
    model = seq2seq(8, 8, embedding_size=4, hidden_size=4, tie="all", readout="tanh")
    save_torch(model, tmp_path / "m.safetensors")
    assert load_file(tmp_path / "m.safetensors").keys() == model.state_dict().keys()


def test_a_file_that_does_not_fit_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path, layers = tmp_path / "m.safetensors", LSTM(3, 4)
    before = {name: tensor.clone() for name, tensor in layers.state_dict().items()}
    with pytest.raises(RunError, match="expected a file of weights, found none"):
        load_torch(path, layers)
    path.write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(RunError, match="damaged or not a safetensors file"):
        load_torch(path, layers)
    save_file(nn.GRU(3, 4).state_dict(), path)
    with pytest.raises(RunError, match=r"'weight_ih_l0' is \(12, 3\) float32, expected \(16, 3\) float32"):
        load_torch(path, layers)
    save_file(nn.LSTM(3, 4, dtype=torch.float64).state_dict(), path)
    with pytest.raises(RunError, match="float64"):
        load_torch(path, layers)
    save_file({**nn.LSTM(3, 4).state_dict(), "bias_hh_l0": torch.full((16,), float("nan"))}, path)
    with pytest.raises(RunError, match="found NaN or infinity in 'bias_hh_l0'"):
        load_torch(path, layers)
    assert all(torch.equal(tensor, before[name]) for name, tensor in layers.state_dict().items())
