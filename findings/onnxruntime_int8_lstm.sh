#!/usr/bin/env bash
# An LSTM in int8, made by onnxruntime.quantization.quantize_dynamic (DynamicQuantizeLSTM). Seen with onnx 1.23.2 and onnxruntime 1.31.1,
# CPU, one layer of 16 units, two rows of 5 and 3 real steps (`sequence_lens`), beside the float32 model that it was made from:
#   x is given one scale for all rows and steps together, so a row's answer changes, by more than int8 itself costs (about 0.005 here),
#     with the steps beyond `sequence_lens` (20 in the padding of row 1: row 1 by about 0.03, row 0 too),
#     with its own future (20 in the last step of a model without lengths: the first four steps change),
#     and with the other row of the batch (20 times as large: about 0.09).
#   In float32 all of these are 0.
#   GRU and RNN stay float32 without a word, also where they are what `op_types_to_quantize` names.
# So the same text is answered otherwise alone, in a batch, and fed in pieces. Exits with 1 if any of this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import logging
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

logging.disable(logging.WARNING)
T, N, I, H = 5, 2, 8, 16
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
drawn = np.random.default_rng(0)


def made(path, operator, lengths=False):
    gates = GATES[operator]
    sizes = {"W": (1, gates * H, I), "R": (1, gates * H, H), "B": (1, 2 * gates * H)}
    weights = [
        numpy_helper.from_array((0.3 * drawn.normal(size=size)).astype(np.float32), name) for name, size in sizes.items()
    ]
    inputs = ["X", "W", "R", "B"]
    if lengths:
        weights.append(numpy_helper.from_array(np.array([5, 3], np.int32), "lengths"))
        inputs.append("lengths")
    node = helper.make_node(operator, inputs, ["Y"], hidden_size=H)
    x, y = helper.make_tensor_value_info("X", TensorProto.FLOAT, [T, N, I]), helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "layer", [x], [y], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8), path)


def said(path, x):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"X": x})[0][:, 0]  # (T, N, H)


def operators(path):
    return [node.op_type for node in onnx.load(path).graph.node]


x = drawn.normal(size=(T, N, I)).astype(np.float32)
padding, future, mate = x.copy(), x.copy(), x.copy()
padding[3:, 1], future[4], mate[:, 1] = 20, 20, 20 * mate[:, 1]
found = {}
made("ragged.onnx", "LSTM", lengths=True)
made("whole.onnx", "LSTM")
for name in ("ragged", "whole"):
    quantize_dynamic(f"{name}.onnx", f"{name}_int8.onnx", weight_type=QuantType.QInt8)
found["what int8 costs"] = float(np.abs(said("whole.onnx", x) - said("whole_int8.onnx", x)).max())
for kind in ("", "_int8"):
    before = said(f"ragged{kind}.onnx", x)
    change = np.abs(said(f"ragged{kind}.onnx", padding) - before)
    found[f"padding of row 1, its 3 real steps{kind}"] = float(change[:3, 1].max())
    found[f"padding of row 1, row 0{kind}"] = float(change[:, 0].max())
    before = said(f"whole{kind}.onnx", x)
    found[f"the last step, the four before{kind}"] = float(np.abs(said(f"whole{kind}.onnx", future) - before)[:4].max())
    found[f"row 1 times 20, row 0{kind}"] = float(np.abs(said(f"whole{kind}.onnx", mate) - before)[:, 0].max())
for operator in GATES:
    made("one.onnx", operator)
    quantize_dynamic("one.onnx", "one_int8.onnx", weight_type=QuantType.QInt8, op_types_to_quantize=[operator])
    found[f"{operator} becomes"] = operators("one_int8.onnx")
print(f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}")
for what, value in found.items():
    print(f"{what}: {value:.4f}" if isinstance(value, float) else f"{what}: {value}")
changes = {what: value for what, value in found.items() if isinstance(value, float) and what != "what int8 costs"}
as_seen = (
    found["what int8 costs"] < 0.02
    and all(value == 0 for what, value in changes.items() if not what.endswith("_int8"))
    and all(value > 0.01 for what, value in changes.items() if what.endswith("_int8"))
    and [found[f"{operator} becomes"] for operator in GATES] == [["DynamicQuantizeLSTM"], ["GRU"], ["RNN"]]
)
print("as seen before" if as_seen else "this has changed")
sys.exit(0 if as_seen else 1)
PY
