#!/usr/bin/env bash
# The scores that ONNX's Attention gives beside its answer (output `qk_matmul_output`), for a model with softcap and a mask. Seen with
# onnx 1.23.2 and onnxruntime 1.31.1; the answers of both programs are the same:
#   mode 0  "the output of qk matmul": ONNX Runtime gives the scaled products. onnx.reference, by which runtimes are tested, gives
#           what mode 1 asks for, the products after softcap.
#   mode 2  products with mask and softcap: where a key is masked, onnx.reference has -inf, ONNX Runtime the lowest finite
#           number, so that a test for -inf finds masked keys in one and none in the other.
# Operator: onnx.ai, Attention-23, attribute `qk_matmul_output_mode`. Exits with 1 if any of this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1
"$folder/venv/bin/python" - <<'PY'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto as T
from onnx import checker, helper
from onnx.reference import ReferenceEvaluator

CAP, SIZE = 2.0, 4
draw = np.random.default_rng(0)
given = {name: draw.normal(size=(1, 1, steps, SIZE)).astype(np.float32) for name, steps in (("q", 3), ("k", 5), ("v", 5))}
given["m"] = np.arange(5) < np.array([[5], [5], [2]])  # the last query sees two keys


def scores(mode):
    """Answer and scores of onnx.reference, and of ONNX Runtime."""
    node = helper.make_node("Attention", list(given), ["y", "", "", "s"], softcap=CAP, qk_matmul_output_mode=mode)
    kinds = {"m": T.BOOL}
    inputs = [helper.make_tensor_value_info(n, kinds.get(n, T.FLOAT), list(a.shape)) for n, a in given.items()]
    outputs = [helper.make_tensor_value_info(n, T.FLOAT, [1, 1, 3, width]) for n, width in (("y", SIZE), ("s", 5))]
    graph = helper.make_graph([node], "g", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)
    checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return ReferenceEvaluator(model).run(None, given), session.run(None, given)


scaled = given["q"] @ given["k"].swapaxes(2, 3) / SIZE**0.5
capped = CAP * np.tanh(scaled / CAP)
(y_a, first_a), (y_b, first_b) = scores(0)
(_, second_a), (_, second_b) = scores(1)
(_, third_a), (_, third_b) = scores(2)
hidden = np.broadcast_to(~given["m"], third_a.shape)
close = lambda a, b: bool(np.allclose(a, b, atol=1e-5))
seen = {
    "answers are the same": close(y_a, y_b),
    "mode 1 is after softcap in both": close(second_a, capped) and close(second_b, capped),
    "mode 0 of ONNX Runtime is before softcap": close(first_b, scaled),
    "mode 0 of onnx.reference is after softcap": close(first_a, capped) and not close(first_a, scaled),
    "mode 2 of onnx.reference has -inf where masked": bool(np.isneginf(third_a[hidden]).all()),
    "mode 2 of ONNX Runtime has the lowest number there": bool((third_b[hidden] == np.finfo(np.float32).min).all()),
}
for what, held in seen.items():
    print(f"{'yes' if held else 'NO '}  {what}")
sys.exit(not all(seen.values()))
PY
