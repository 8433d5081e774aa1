"""OpenVINO on the CPU: inference of a layer, and one step, in float32."""

from __future__ import annotations

import importlib
from typing import Any

from recurra.bench.clock import Work
from recurra.bench.configuration import Configuration
from recurra.bench.peers import onnx_file
from recurra.bench.problem import Problem


class OpenVino:
    """A compiled model, whose inputs and outputs share memory with NumPy."""

    doc = "OpenVINO with the same ONNX model, float32, memory shared with NumPy; inference only"
    packages = ("openvino", "onnx")

    def start(self, threads: int) -> None:
        importlib.import_module("openvino")

    def refuses(self, configuration: Configuration) -> bool:
        # Its LSTM has no peepholes.
        return not onnx_file.has_node(configuration) or configuration.cell == "lstm_peephole"

    def work(self, problem: Problem) -> Work:
        core = importlib.import_module("openvino").Core()
        # bfloat16 is the default where the processor has it.
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": str(problem.threads),
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
        }
        compiled = core.compile_model(core.read_model(onnx_file.model(problem), b""), "CPU", settings)
        request = compiled.create_infer_request()
        feeds = onnx_file.feeds(problem)

        def work() -> list[Any]:
            results = request.infer(feeds, share_inputs=True, share_outputs=True)
            return [results[k] for k in range(len(results))]

        return work
