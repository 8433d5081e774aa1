"""Sound that comes in pieces: seconds of one core for a second of sound, features included, beside ONNX Runtime.

    python benchmarks/streaming_sound.py [--seconds 20] [--rounds 5]

recurra reads base64 of 16-bit samples of 16 kHz, as `/sessions` does: 40 log-mel bands as Kaldi's, an LSTM of 128
units, its state kept from piece to piece, an answer after each. The peer is a network of the shape of Silero VAD (its
README: an LSTM of 128 units on windows of 32 ms): a short-time Fourier transform of 256 samples as a convolution, four
convolutions, the LSTM and a score, with random weights, in ONNX Runtime on one thread, fed float32 samples. The
smallest of the rounds is said, in time of the processor.
"""

from __future__ import annotations

import argparse
import base64
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

os.environ.setdefault("OMP_NUM_THREADS", "1")
RATE, WINDOW = 16_000, 512


def ours() -> Any:
    """A streaming predictor of a task and a model that have learned nothing."""
    import torch

    from recurra.data.scaling import Scaler
    from recurra.models import SequenceModel
    from recurra.tasks import SeriesClassification, SeriesClassificationConfig
    from recurra.tasks.series_reader import SeriesReader

    torch.set_num_threads(1)
    plan = SeriesClassificationConfig(values="sound", sound={"name": "kaldi", "rate": RATE, "bands": 40})
    noise = np.random.default_rng(0).normal(size=(100, 40)).astype(np.float32)
    reader = SeriesReader(Scaler.fit("standard", [noise], 40), "refuse", None, "start")
    task = SeriesClassification(plan, reader, ("silence", "speech"), None)
    encoder = {"name": "recurrent", "cell": "lstm", "hidden_size": 128, "bidirectional": False}
    parts: dict[str, Any] = {"inputs": "vectors", "encoder": encoder, "head": {"name": "label", "pooling": "last"}}
    return task.predictor(SequenceModel(task.model_sizes, **parts).eval())


def peer() -> Callable[[Any, Any, Any], Any]:
    """A session of the peer: samples (1, 576), states (1, 1, 128) -> score and states."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    nodes, weights = [], []

    def weight(name: str, *shape: int) -> str:
        weights.append(numpy_helper.from_array((0.1 * random.normal(size=shape)).astype(np.float32), name))
        return name

    def conv(x: str, y: str, shape: tuple[int, int, int], stride: int, pad: int) -> None:
        inputs = [x, weight(f"{y}_w", *shape), weight(f"{y}_b", shape[0])]
        nodes.append(helper.make_node("Conv", inputs, [f"{y}_c"], strides=[stride], pads=[pad, pad]))
        nodes.append(helper.make_node("Relu", [f"{y}_c"], [y]))

    nodes.append(helper.make_node("Unsqueeze", ["samples", "one"], ["wave"]))
    nodes.append(helper.make_node("Conv", ["wave", weight("stft", 258, 1, 256)], ["both"], strides=[128]))
    nodes.append(helper.make_node("Split", ["both"], ["re", "im"], axis=1, num_outputs=2))
    for part in ("re", "im"):
        nodes.append(helper.make_node("Mul", [part, part], [f"{part}2"]))
    nodes.append(helper.make_node("Add", ["re2", "im2"], ["power"]))
    nodes.append(helper.make_node("Sqrt", ["power"], ["x0"]))
    for k, (shape, stride) in enumerate((((128, 129, 3), 1), ((64, 128, 3), 2), ((64, 64, 3), 2), ((128, 64, 3), 1))):
        conv(f"x{k}", f"x{k + 1}", shape, stride, 1)
    nodes.append(helper.make_node("ReduceMean", ["x4", "two"], ["step"], keepdims=0))
    nodes.append(helper.make_node("Unsqueeze", ["step", "zero"], ["steps"]))
    parts = [weight("W", 1, 512, 128), weight("R", 1, 512, 128), weight("B", 1, 1024)]
    lstm = helper.make_node("LSTM", ["steps", *parts, "", "h", "c"], ["", "h1", "c1"], hidden_size=128)
    nodes += [lstm, helper.make_node("Squeeze", ["h1", "zero"], ["last"])]
    nodes.append(helper.make_node("Gemm", ["last", weight("V", 128, 1), weight("v", 1)], ["logit"]))
    nodes.append(helper.make_node("Sigmoid", ["logit"], ["score"]))
    for name, axis in (("zero", 0), ("one", 1), ("two", 2)):
        weights.append(numpy_helper.from_array(np.array([axis], np.int64), name))
    shapes = {"samples": [1, 576], "h": [1, 1, 128], "c": [1, 1, 128]}
    graph = helper.make_graph(
        nodes,
        "peer",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (("score", [1, 1]), ("h1", [1, 1, 128]), ("c1", [1, 1, 128]))
        ],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda samples, h, c: session.run(None, {"samples": samples, "h": h, "c": c})


def read(predictor: Any, pieces: list[str]) -> None:
    """All pieces, an answer after each."""
    place = predictor.begin()
    for piece in pieces:
        place, _ = predictor.read(place, piece)


def heard(run: Callable[[Any, Any, Any], Any], samples: Any) -> None:
    """The same for the peer: windows of 512 samples, each behind the last 64 of the one before."""
    h = c = np.zeros((1, 1, 128), np.float32)
    padded = np.concatenate([np.zeros(64, np.float32), samples])
    for start in range(0, len(samples) - WINDOW + 1, WINDOW):
        _, h, c = run(padded[None, start : start + WINDOW + 64], h, c)


def main() -> None:
    """A line for each size of pieces, and for the peer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    whole = (3000 * np.random.default_rng(1).normal(size=RATE * options.seconds)).clip(-32768, 32767).astype("<i2")
    predictor, run = ours(), peer()
    sides: dict[str, Callable[[], None]] = {}
    for milliseconds in (32, 100, 1000):
        size = RATE * milliseconds // 1000
        cut = [base64.b64encode(whole[k : k + size].tobytes()).decode() for k in range(0, len(whole), size)]
        sides[f"recurra, pieces of {milliseconds} ms"] = lambda cut=cut: read(predictor, cut)  # type: ignore[misc]
    floats = (whole / 32768).astype(np.float32)
    sides["ONNX Runtime, the shape of Silero VAD, windows of 32 ms"] = lambda: heard(run, floats)
    least = dict.fromkeys(sides, float("inf"))
    for number in range(options.rounds + 1):
        for name, work in sides.items():
            before = time.process_time()
            work()
            least[name] = min(least[name], time.process_time() - before) if number else least[name]
    for name, seconds in least.items():
        print(f"{name}: {seconds / options.seconds:.5f} of real time, {options.seconds / seconds:,.0f} times as fast")


if __name__ == "__main__":
    main()
