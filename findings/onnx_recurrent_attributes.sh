#!/usr/bin/env bash
# Attributes of ONNX's LSTM and GRU that programs read over. Seen with onnx 1.23.2, onnxruntime 1.31.1 and openvino 2026.4.1, one
# layer, one direction, beside the operator's equations in float64 (onnx.ai, LSTM-14 and GRU-14), written out below:
#   input_forget = 1 (f = 1 - i)           ONNX Runtime computes it. OpenVINO and onnx.reference compute f by its own weights, without a word.
#   clip = 0.5                             ONNX Runtime and OpenVINO clip what goes into the gates and the cell's input (not the cell behind
#                                          its tanh). onnx.reference does not clip.
#   activations = HardSigmoid, Tanh, ...   ONNX Runtime computes them, OpenVINO refuses. onnx.reference computes Sigmoid, for LSTM and GRU
#                                          alike; its RNN refuses activations that it does not know.
# So onnx.reference, by which runtimes are judged, agrees with a runtime that drops `input_forget`, and not with the one that has it.
# Exits with 1 if any of this changes.
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
from onnx.reference import ReferenceEvaluator

H, I, STEPS = 4, 3, 6
random = np.random.default_rng(1)
x = random.standard_normal((STEPS, 1, I)).astype(np.float32)
GATES = {"LSTM": 4, "GRU": 3}
weights = {
    op: {n: random.standard_normal(s).astype(np.float32) for n, s in (("W", (1, k * H, I)), ("R", (1, k * H, H)), ("B", (1, 2 * k * H)))}
    for op, k in GATES.items()
}
HARD = {"activation_alpha": [0.3], "activation_beta": [0.4]}


def model(op, attributes):
    value = helper.make_tensor_value_info
    node = helper.make_node(op, ["x", "W", "R", "B"], ["", "h"], hidden_size=H, **attributes)
    given = [numpy_helper.from_array(array, name) for name, array in weights[op].items()]
    graph = helper.make_graph([node], "g", [value("x", T.FLOAT, [STEPS, 1, I])], [value("h", T.FLOAT, [1, 1, H])], given)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def by_the_equations(op, attributes):
    clip = attributes.get("clip", np.inf)
    into = lambda v: np.clip(v, -clip, clip)
    hard = "activations" in attributes
    gate = lambda v: np.clip(0.3 * into(v) + 0.4, 0, 1) if hard else 1 / (1 + np.exp(-into(v)))
    W, R, B = (weights[op][n][0].astype(np.float64) for n in ("W", "R", "B"))
    half = GATES[op] * H
    h = c = np.zeros(H)
    for step in x[:, 0].astype(np.float64):
        a, b = W @ step + B[:half], R @ h + B[half:]
        if op == "LSTM":
            i, o, f, g = np.split(a + b, 4)
            i = gate(i)
            f = 1 - i if attributes.get("input_forget") else gate(f)
            c = f * c + i * np.tanh(into(g))
            h = gate(o) * np.tanh(c)
        else:
            z, r = gate(a[:H] + b[:H]), gate(a[H : 2 * H] + b[H : 2 * H])
            n = np.tanh(into(a[2 * H :] + R[2 * H :] @ (r * h) + B[half + 2 * H :]))
            h = (1 - z) * n + z * h
    return h


def in_openvino(made):
    core = openvino.Core()
    read = core.read_model(io.BytesIO(made.SerializeToString()))
    return core.compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"x": x})[0].ravel()


def in_onnxruntime(made):
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0].ravel()


PROGRAMS = {
    "ONNX Runtime": in_onnxruntime,
    "OpenVINO": in_openvino,
    "onnx.reference": lambda made: np.asarray(ReferenceEvaluator(made).run(None, {"x": x})[0]).ravel(),
}
CASES = [
    ("LSTM", {"input_forget": 1}, ["as the equations", "without it", "without it"]),
    ("LSTM", {"clip": 0.5}, ["as the equations", "as the equations", "without it"]),
    ("GRU", {"clip": 0.5}, ["as the equations", "as the equations", "without it"]),
    ("LSTM", {"activations": ["HardSigmoid", "Tanh", "Tanh"], **HARD}, ["as the equations", "refused", "without it"]),
    ("GRU", {"activations": ["HardSigmoid", "Tanh"], **HARD}, ["as the equations", "refused", "without it"]),
]


def verdict(op, attributes, run):
    try:
        found = run(model(op, attributes))
    except Exception:
        return "refused"
    near = lambda those: np.abs(found - by_the_equations(op, those)).max() < 1e-5
    return "as the equations" if near(attributes) else "without it" if near({}) else "something else"


same = True
for op, attributes, before in CASES:
    seen = [verdict(op, attributes, run) for run in PROGRAMS.values()]
    name = next(iter(attributes))
    print(f"{op:<5}{name:<14}" + "; ".join(f"{program}: {one}" for program, one in zip(PROGRAMS, seen)))
    same = same and seen == before
sys.exit(0 if same else 1)
PY
echo "as seen before"
