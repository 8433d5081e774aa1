"""Weights for torch.nn.RNN, LSTM and GRU, and back: one safetensors file, no pickle.

The names are those of the model, and inside recurrent layers those of torch: `recurrent.weight_ih_l0`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from recurra import __version__
from recurra.base.atomic import replacing
from recurra.base.errors import ConfigError, RunError
from recurra.cells import CELLS, Cell
from recurra.engine.compact import FLOAT32
from recurra.lower import equal
from recurra.nn import Recurrent
from recurra.training.tensors import all_finite, listed, put_weights
from recurra.training.weights import in_order, read_header, read_tensor, reading

# Cells that torch has: the class, and what its constructor is told.
TORCH: Mapping[str, tuple[type[nn.RNNBase], Mapping[str, Any]]] = {
    "rnn": (nn.RNN, {"nonlinearity": "tanh"}),
    "rnn_relu": (nn.RNN, {"nonlinearity": "relu"}),
    "lstm": (nn.LSTM, {}),
    "lstm_projected": (nn.LSTM, {}),
    "gru": (nn.GRU, {}),
}
# Precisions of weights that are numbers of torch's layers as they are.
HELD = (FLOAT32, "bfloat16")
# The largest difference of outputs of order 1 in float64: only the order of summation differs.
TOLERANCE = 1e-12
# Bytes of a header, which names all tensors of somebody else's model: some hundred thousand of them.
MOST_HEADER = 64 * 2**20


def save_torch(model: nn.Module, path: Path | str) -> dict[str, float]:
    """Write a model's weights so that modules of torch.nn can load them, once torch's layers have given the same.

    The file's metadata has "torch", JSON: for each group of recurrent layers, by its name, the class and its arguments.
    Returns, for each, the largest difference between torch's outputs and ours, in float64 on random sequences.
    Raises ConfigError, with all reasons at once, for layers that torch does not have; RunError if outputs differ.
    """
    groups = {name: module for name, module in model.named_modules() if isinstance(module, Recurrent)}
    if problems := [f"{name or 'layer'}: {why}" for name, layers in groups.items() for why in _refusals(layers)]:
        raise ConfigError(problems)
    found = {name: _difference(layers) for name, layers in groups.items()}
    if wrong := [name for name, apart in found.items() if not apart <= TOLERANCE]:
        raise RunError(f"{path}: not written: torch's layers differ from the model's in {listed(wrong)}.")
    told = {name: {"class": TORCH[_word(g.cell)][0].__name__, **_arguments(g)} for name, g in groups.items()}
    # clone: names that are tied have numbers of their own, as a reader without our metadata expects.
    tensors = {name: t.detach().cpu().clone().contiguous() for name, t in model.state_dict().items()}
    metadata = {"format": "pt", "recurra": __version__, "torch": json.dumps(told)}
    data = in_order(safetensors.torch.save(tensors, metadata))
    with replacing(Path(path)) as file:
        file.write(data)
    return found


def load_torch(path: Path | str, module: nn.Module, *, prefix: str = "") -> None:
    """Fill a module of recurra with the weights of its kin in torch.nn, from a safetensors file.

    prefix: take the names that begin with it, without it; the others are left where they are
    Raises RunError for a file that is missing or no safetensors, for missing, extra, misshaped or mistyped tensors,
    and for NaN.
    """
    path = Path(path)
    with reading(path) as file:
        header = read_header(file, MOST_HEADER)
        names = [name for name in header.tensors if name.startswith(prefix)]
        tensors = {name.removeprefix(prefix): read_tensor(file, header, name) for name in names}
    if broken := [name for name, tensor in tensors.items() if not all_finite(tensor)]:
        raise RunError(f"{path}: expected finite weights, found NaN or infinity in {listed(broken)}.")
    put_weights(module, tensors, path)


def torch_layers(layers: Recurrent) -> nn.RNNBase:
    """The same layers as a module of torch.nn, with copies of the weights. Raises ConfigError if torch has them not."""
    if problems := _refusals(layers):
        raise ConfigError(problems)
    kind, _ = TORCH[_word(layers.cell)]
    made = kind(**_arguments(layers), dtype=next(layers.parameters()).dtype)
    made.load_state_dict(layers.state_dict())
    return made.train(layers.training)


def _word(cell: Cell) -> str:
    """The built-in cell that torch has and that computes the same, or ""."""
    return next((word for word in TORCH if equal(CELLS[word], cell)), "")


def _refusals(layers: Recurrent) -> list[str]:
    """Why torch has no such layers."""
    found = []
    if not _word(layers.cell):
        found.append(f"torch.nn has no layer of the cell '{layers.cell.name}', only of {', '.join(TORCH)}; use --onnx.")
    if layers.bidirectional and layers.merge != "concat":
        found.append(f"torch.nn joins two directions by concat, not by {layers.merge}; use --onnx.")
    if any(layers.zoneout):
        found.append("torch.nn has no zoneout, which also acts in evaluation; use --onnx.")
    if layers.precision not in HELD:
        found.append(
            f"torch.nn has no layer with weights of {layers.precision}; export the model before it is quantized, or "
            "one with weights of bfloat16."
        )
    return found


def _arguments(layers: Recurrent) -> dict[str, Any]:
    """What the constructor of torch's layer takes."""
    found: dict[str, Any] = {
        "input_size": layers.input_size,
        "hidden_size": layers.hidden_size,
        "num_layers": layers.num_layers,
        "bias": layers.bias,
        "batch_first": layers.batch_first,
        "dropout": layers.dropout,
        "bidirectional": layers.bidirectional,
        **TORCH[_word(layers.cell)][1],
    }
    return found | ({"proj_size": layers.proj_size} if layers.proj_size else {})


def _difference(layers: Recurrent) -> float:
    """The largest difference between torch's outputs and ours, over packed sequences, in float64."""
    ours = copy.deepcopy(layers).cpu().double().eval()
    ours.backend = "reference"
    theirs = torch_layers(ours)
    generator = torch.Generator("cpu").manual_seed(0)
    lengths = torch.tensor([5, 3, 1], dtype=torch.int64, device="cpu")
    x = torch.randn(3, 5, layers.input_size, generator=generator, dtype=torch.float64, device="cpu")
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
    with torch.no_grad():
        got, expected = (nn.utils.rnn.pad_packed_sequence(module(packed)[0])[0] for module in (theirs, ours))
    return float((got - expected).abs().max() / expected.abs().max().clamp(min=1))
