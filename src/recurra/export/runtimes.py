"""Programs that run ONNX files: which are here, and which form of a file each of them runs rightly.

`any`: no file reads `sequence_lens` or peephole weights, which not every runtime does (OpenVINO 2026.4 reads neither).
`onnxruntime`: the nodes with both, which ONNX Runtime runs a little faster.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recurra.base.errors import ConfigError, did_you_mean
from recurra.export.onnx_graph import Array, package

# From inputs by name to outputs in the order of the graph.
Run = Callable[[Mapping[str, Array]], Sequence[Array]]

ANY, ONNX_RUNTIME = "any", "onnxruntime"


@dataclass(frozen=True, slots=True)
class Runtime:
    """A program that runs ONNX files.

    package: its word, and what Python imports      open: from a file's bytes to a call
    version: "" asks the installed package
    """

    package: str
    name: str
    open: Callable[[bytes], Run]
    version: str = ""

    @property
    def title(self) -> str:
        """Name and version, as in "OpenVINO 2026.4.1"."""
        return f"{self.name} {self.version or importlib.metadata.version(self.package)}"


def _onnx_runtime(data: bytes) -> Run:
    """On one thread of the CPU."""
    runtime = package("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, dict(inputs))


def _openvino(data: bytes) -> Run:
    """On one thread of the CPU, in float32: its own choice may be bfloat16."""
    core = package("openvino").Core()
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    model = core.compile_model(core.read_model(io.BytesIO(data)), "CPU", options)

    def run(inputs: Mapping[str, Array]) -> Sequence[Array]:
        found = model(dict(inputs))
        return [np.array(found[output]) for output in model.outputs]  # copied: the next call writes over them

    return run


RUNTIMES: Mapping[str, Runtime] = {
    one.package: one
    for one in (
        Runtime(ONNX_RUNTIME, "ONNX Runtime", _onnx_runtime),
        Runtime("openvino", "OpenVINO", _openvino),
    )
}
# What a file may be written for.
TARGETS = (ANY, *RUNTIMES)


def proving(target: str) -> list[Runtime]:
    """The runtimes in which a file for this target is run before it is kept: the target, or for `any` all installed.

    Raises ConfigError for a target that is not known, or that is not installed.
    """
    if target not in TARGETS:
        hint = did_you_mean(target, TARGETS) or f" Expected one of: {', '.join(TARGETS)}."
        raise ConfigError(f"--for: unknown runtime '{target}'.{hint}")
    names = [target] if target != ANY else [n for n in RUNTIMES if n == ONNX_RUNTIME or importlib.util.find_spec(n)]
    for name in ("onnx", *names):
        package(name)
    return [RUNTIMES[name] for name in names]
