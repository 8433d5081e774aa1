#!/usr/bin/env bash
# An ONNX LSTM with peephole weights (input `P`): OpenVINO 2026.4.1 reads the file without a word and computes an LSTM without
# peepholes, with fixed and with free sizes. ONNX Runtime 1.31.1 computes the operator's equations, written out below.
# Operator: onnx.ai, LSTM-14, input `P`, equations with Pi, Po and Pf. Exits with 1 if any of this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1 openvino==2026.4.1
"$folder/venv/bin/python" - <<'PY'
import io
import sys

import numpy as np
import onnxruntime
import openvino
from onnx import TensorProto as T
from onnx import helper, numpy_helper

H, I, STEPS = 4, 3, 5
random = np.random.default_rng(0)
sizes = {"W": (1, 4 * H, I), "R": (1, 4 * H, H), "B": (1, 8 * H), "P": (1, 3 * H)}
weights = {name: random.standard_normal(size).astype(np.float32) for name, size in sizes.items()}
x = random.standard_normal((STEPS, 1, I)).astype(np.float32)


def model(steps):
    value = helper.make_tensor_value_info
    node = helper.make_node("LSTM", ["x", "W", "R", "B", "", "", "", "P"], ["", "h"], hidden_size=H)
    graph = helper.make_graph(
        [node],
        "g",
        [value("x", T.FLOAT, [steps, 1, I])],
        [value("h", T.FLOAT, [1, 1, H])],
        [numpy_helper.from_array(a, n) for n, a in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def by_the_equations(peepholes):
    sigmoid = lambda v: 1 / (1 + np.exp(-v))
    W, R, B = (weights[n][0].astype(np.float64) for n in ("W", "R", "B"))
    Pi, Po, Pf = np.split(peepholes * weights["P"][0].astype(np.float64), 3)
    h = c = np.zeros(H)
    for step in x[:, 0].astype(np.float64):
        i, o, f, g = np.split(W @ step + R @ h + B[: 4 * H] + B[4 * H :], 4)
        i, f = sigmoid(i + Pi * c), sigmoid(f + Pf * c)
        c = f * c + i * np.tanh(g)
        h = sigmoid(o + Po * c) * np.tanh(c)
    return h


def in_openvino(made):
    core = openvino.Core()
    read = core.read_model(io.BytesIO(made.SerializeToString()))
    return core.compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"x": x})[0].ravel()


session = onnxruntime.InferenceSession(model("T").SerializeToString(), providers=["CPUExecutionProvider"])
with_them, without = by_the_equations(1.0), by_the_equations(0.0)
found = {"ONNX Runtime": session.run(None, {"x": x})[0].ravel()}
found |= {"OpenVINO, fixed sizes": in_openvino(model(STEPS)), "OpenVINO, free sizes": in_openvino(model("T"))}
seen = []
for name, h in found.items():
    apart = np.abs(h - with_them).max(), np.abs(h - without).max()
    print(f"{name:<22} from the equations with peepholes {apart[0]:.1e}, without {apart[1]:.1e}")
    seen.append((apart[0] < 1e-5, apart[1] < 1e-5))
sys.exit(0 if seen == [(True, False), (False, True), (False, True)] else 1)
PY
echo "as seen before"
