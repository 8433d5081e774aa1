#!/usr/bin/env bash
# One ONNX file with an LSTM that is told `sequence_lens`, in three programs. Seen with onnx 1.23.2, onnxruntime 1.31.1 and
# openvino 2026.4.1:
#   ONNX Runtime      reads the lengths: a short sequence has zeros after its end, and its last state is the one there.
#   OpenVINO          reads them where every dimension of X is fixed in the file; with one free dimension it goes on to
#                     the last step of the batch, without a word.
#   onnx.reference    never reads them.
# Operator: onnx.ai, LSTM-14, input `sequence_lens`: "If not specified - assumed all sequences in the batch to have length
# seq_length". Exits with 1 if any of this changes.
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

H, I, STEPS, ROWS = 4, 3, 6, 2
random = np.random.default_rng(0)
weights = {"W": (1, 4 * H, I), "R": (1, 4 * H, H), "B": (1, 8 * H)}
constants = [numpy_helper.from_array(random.standard_normal(s).astype(np.float32), n) for n, s in weights.items()]
x = random.standard_normal((STEPS, ROWS, I)).astype(np.float32)
lengths = np.array([STEPS, 2], np.int32)


def model(steps, rows):
    value = helper.make_tensor_value_info
    node = helper.make_node("LSTM", ["x", "W", "R", "B", "lengths"], ["y", "h"], hidden_size=H)
    graph = helper.make_graph(
        [node],
        "g",
        [value("x", T.FLOAT, [steps, rows, I]), value("lengths", T.INT32, [rows])],
        [value("y", T.FLOAT, [steps, 1, rows, H]), value("h", T.FLOAT, [1, rows, H])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def in_onnx_runtime(made):
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["h"], {"x": x, "lengths": lengths})[0]


def in_openvino(made):
    core = openvino.Core()
    found = core.compile_model(core.read_model(io.BytesIO(made.SerializeToString())), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return found({"x": x, "lengths": lengths})[1]


def in_reference(made):
    return ReferenceEvaluator(made).run(["h"], {"x": x, "lengths": lengths})[0]


fixed, free = model(STEPS, ROWS), model("T", "N")
right = in_onnx_runtime(free)
alone = onnxruntime.InferenceSession(free.SerializeToString(), providers=["CPUExecutionProvider"]).run(
    ["h"], {"x": x[:2, 1:], "lengths": lengths[1:]}
)[0]
apart = {
    "ONNX Runtime, the short sequence alone": np.abs(alone - right[:, 1:]).max(),
    "OpenVINO, fixed sizes": np.abs(in_openvino(fixed) - right).max(),
    "OpenVINO, free sizes": np.abs(in_openvino(free) - right).max(),
    "onnx.reference, fixed sizes": np.abs(in_reference(fixed) - right).max(),
}
for name, difference in apart.items():
    print(f"{name:<40} last state differs by {difference:.1e}")
seen = [difference > 1e-3 for difference in apart.values()]
sys.exit(0 if seen == [False, False, True, True] else 1)
PY
echo "as seen before"
