"""A layer, or one step of it, as an ONNX model: the standard nodes RNN, LSTM and GRU."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.bench.configuration import Configuration
from recurra.bench.problem import Array, Problem

# ONNX's order of the gates, in places of ours: i o f g of i f g o; z r n of r z n.
ORDER = {
    "rnn": (0,),
    "lstm": (0, 3, 1, 2),
    "lstm_peephole": (0, 3, 1, 2),
    "gru": (1, 0, 2),
    "gru_reset_before": (1, 0, 2),
}
NODES = {"rnn": "RNN", "lstm": "LSTM", "lstm_peephole": "LSTM", "gru": "GRU", "gru_reset_before": "GRU"}
OPSET = 17


def has_node(configuration: Configuration) -> bool:
    """Whether ONNX has a node for this cell, and the mode is one without gradients."""
    return configuration.cell in NODES and configuration.mode in ("infer", "stream")


def states_of(cell: str) -> tuple[str, ...]:
    """Names of the states that go in."""
    return ("h", "c") if NODES[cell] == "LSTM" else ("h",)


def model(problem: Problem) -> bytes:
    """The file: x (T, N, I) to y (T, 1, N, H); for a step also h, c (1, N, H) to new_h, new_c."""
    onnx = importlib.import_module("onnx")
    helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT
    configuration = problem.configuration
    T, N, I, H = configuration.sizes
    stream, states = configuration.mode == "stream", states_of(configuration.cell)
    inputs = [helper.make_tensor_value_info("x", FLOAT, (T, N, I))]
    outputs = [helper.make_tensor_value_info("y", FLOAT, (T, 1, N, H))]
    if stream:
        inputs += [helper.make_tensor_value_info(name, FLOAT, (1, N, H)) for name in states]
        outputs = [helper.make_tensor_value_info(f"new_{name}", FLOAT, (1, N, H)) for name in states]
    graph = helper.make_graph([_node(helper, configuration)], "layer", inputs, outputs, _initializers(onnx, problem))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    made.ir_version = 8  # of opset 17; newer than a runtime knows is refused
    serialized: bytes = made.SerializeToString()
    return serialized


def _node(helper: Any, configuration: Configuration) -> Any:
    cell, stream = configuration.cell, configuration.mode == "stream"
    states = states_of(cell)
    inputs = ["x", "W", "R", "B", "", *(states if stream else [""] * len(states))]
    inputs += ["P"] if cell == "lstm_peephole" else []
    while not inputs[-1]:
        inputs.pop()
    outputs = ["", *(f"new_{name}" for name in states)] if stream else ["y"]
    extra = {"linear_before_reset": int(cell == "gru")} if NODES[cell] == "GRU" else {}
    return helper.make_node(NODES[cell], inputs, outputs, hidden_size=configuration.H, **extra)


def _initializers(onnx: Any, problem: Problem) -> list[Any]:
    cell, weights = problem.configuration.cell, problem.weights[0][0]
    arrays: dict[str, Array] = {
        "W": _reordered(weights["weight_ih"], cell),
        "R": _reordered(weights["weight_hh"], cell),
        "B": np.concatenate([_reordered(bias, cell) for bias in _biases(weights)]),
    }
    if cell == "lstm_peephole":
        i, f, o = np.split(weights["weight_v"], 3)
        arrays["P"] = np.concatenate([i, o, f])
    return [onnx.numpy_helper.from_array(array[None], name) for name, array in arrays.items()]


def _biases(weights: Mapping[str, Array]) -> tuple[Array, Array]:
    first = weights["bias_ih"]
    return first, weights.get("bias_hh", np.zeros_like(first))


def _reordered(array: NDArray[np.float32], cell: str) -> Array:
    blocks = np.split(array, len(ORDER[cell]))
    return np.concatenate([blocks[k] for k in ORDER[cell]])


def feeds(problem: Problem) -> dict[str, Array]:
    """The inputs of the model, by name."""
    given = {"x": problem.x}
    if problem.configuration.mode == "stream":
        _, N, _, H = problem.configuration.sizes
        given |= {name: np.zeros((1, N, H), dtype=np.float32) for name in states_of(problem.configuration.cell)}
    return given
