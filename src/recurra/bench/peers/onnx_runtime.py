"""ONNX Runtime on the CPU: inference of a layer, and one step."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from recurra.bench.clock import Work
from recurra.bench.configuration import Configuration
from recurra.bench.peers import onnx_file
from recurra.bench.problem import Array, Problem


class OnnxRuntime:
    """An InferenceSession, inputs and outputs bound to arrays beforehand: session.run takes 30 us more a call."""

    doc = "ONNX Runtime, the standard nodes RNN, LSTM and GRU, arrays bound beforehand; inference only"
    packages = ("onnxruntime", "onnx")

    def start(self, threads: int) -> None:
        importlib.import_module("onnxruntime")

    def refuses(self, configuration: Configuration) -> bool:
        return not onnx_file.has_node(configuration)

    def work(self, problem: Problem) -> Work:
        runtime = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = problem.threads
        options.inter_op_num_threads = 1
        session = runtime.InferenceSession(onnx_file.model(problem), options, providers=["CPUExecutionProvider"])
        outputs = {made.name: np.empty(made.shape, dtype=np.float32) for made in session.get_outputs()}
        binding = _bound(session, onnx_file.feeds(problem), outputs)

        def work() -> list[Array]:
            session.run_with_iobinding(binding)
            return list(outputs.values())

        return work


def _bound(session: Any, inputs: dict[str, Array], outputs: dict[str, Array]) -> Any:
    value = importlib.import_module("onnxruntime").OrtValue.ortvalue_from_numpy
    binding = session.io_binding()
    for name, array in inputs.items():
        binding.bind_ortvalue_input(name, value(array))
    for name, array in outputs.items():
        binding.bind_ortvalue_output(name, value(array))
    return binding
