"""Every built-in cell, and a model of each kind, as an ONNX file: how far each runtime is from the model in float64.

    python benchmarks/onnx_parity.py [--input 16] [--hidden 32] [--node] [--speed]

A difference is the largest |ONNX - exact| / max(1, largest |exact|) of all outputs, over batches of 1 to 5 sequences of
0 to 40 steps with first states and rubbish in the padding (`recurra.export.onnx_files.SHAPES`). Beside it, the same of
recurra's own float32. Weights are drawn from seed 0. A runtime is asked if it is installed (`pip install openvino`);
--node asks onnxruntime-node too, which npm installs in a temporary folder.

The files are those for any runtime; "as for ONNX Runtime" is the difference in the other runtimes of the files that
`--for onnxruntime` writes. --speed compares the times of both kinds of file in ONNX Runtime, on one thread, in turns:
the median of the file for any runtime over that of the other.
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import nn

from recurra.cells import CELLS
from recurra.export.models import parts_of
from recurra.export.onnx_files import compare
from recurra.export.parts import random_lengths, random_numbers
from recurra.export.recurrent import node_of
from recurra.export.runtimes import RUNTIMES, Run, Runtime, proving
from recurra.lower import projects
from recurra.models import EncoderDecoder, SequenceModel
from recurra.nn import GRU, LSTM, RNN, Recurrent

SPEED = ((1, 1, 64, 64), (100, 1, 64, 64), (50, 32, 64, 128), (100, 32, 128, 256))


def layers_of(name: str, I: int, H: int) -> dict[str, nn.Module]:
    """One and two layers, one and two directions of a cell."""
    proj_size = H // 2 if projects(CELLS[name]) else 0
    return {
        f"`{name}`, {layers} layer{'s' * (layers > 1)}, {'both ways' if both else 'one way'}": Recurrent(
            I, H, layers, bidirectional=both, proj_size=proj_size, cell=name
        )
        for layers in (1, 2)
        for both in (False, True)
    }


def models() -> dict[str, nn.Module]:
    """A model of each kind."""
    tokens = {"name": "tokens", "embedding_size": 16}
    layers = {"name": "recurrent", "hidden_size": 32}
    both = {**layers, "bidirectional": True}
    return {
        "classifier": SequenceModel({"tokens": 50, "labels": 4}, inputs=tokens, encoder=both, head="label"),
        "tagger, characters": SequenceModel(
            {"words": 50, "characters": 4, "labels": 20},
            inputs={"name": "words_and_characters", "embedding_size": 16},
            encoder=both,
            head="tags",
        ),
        "language model": SequenceModel(
            {"tokens": 50}, inputs=tokens, encoder={"name": "awd", "hidden_size": 32}, head="vocabulary"
        ),
        "chords": SequenceModel({"features": 20}, inputs="vectors", encoder=layers, head="notes"),
        "translation, attention": EncoderDecoder(
            {"tokens": 50, "target": 40},
            inputs=tokens,
            encoder=both,
            decoder={"name": "recurrent", "embedding_size": 16},
        ),
    }


class Node:
    """onnxruntime-node, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run(
            ["npm", "install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "onnxruntime-node"],
            cwd=folder,
            check=True,
        )
        told = json.loads((folder / "node_modules/onnxruntime-node/package.json").read_text())
        self.runtime = Runtime("node", "onnxruntime-node", self.open, told["version"])

    def open(self, data: bytes) -> Run:
        (self.folder / "file.onnx").write_bytes(data)
        return self.run

    def run(self, inputs: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        told = {
            name: {"dims": a.shape, "type": str(a.dtype), "data": [str(v) for v in a.ravel().tolist()]}
            for name, a in inputs.items()
        }
        (self.folder / "requests.json").write_text(json.dumps([told]).replace('"nan"', '"NaN"'))
        script = Path(__file__).with_name("onnx_node.js")
        (self.folder / script.name).write_text(script.read_text())
        command = ["node", script.name, "file.onnx", "requests.json"]
        said = subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout
        return [np.array(one["data"], np.float32).reshape(one["dims"]) for one in json.loads(said)[0]]


def table(modules: Mapping[str, nn.Module], runtimes: Sequence[Runtime]) -> None:
    """Print a line each: the largest difference of all its files in each runtime."""
    others = [one for one in runtimes if one.package == "openvino"]
    titles = [one.title for one in runtimes] + [f"{one.title}, as for ONNX Runtime" for one in others]
    print("| model | node | " + " | ".join(titles) + " | recurra, float32 |\n|" + "---|" * (len(titles) + 3))
    for name, module in modules.items():
        module.eval()
        for layers in module.modules():
            if isinstance(layers, Recurrent):
                layers.backend = "auto"
        *found, own = apart(module, runtimes, for_any=True)
        found += apart(module, others, for_any=False)[:-1]
        node = node_of(module) if isinstance(module, Recurrent) else ""
        print(f"| {name} | {node} | " + " | ".join(f"{one:.1e}" for one in found) + f" | {own:.1e} |", flush=True)


def apart(module: nn.Module, runtimes: Sequence[Runtime], *, for_any: bool) -> list[float]:
    """The largest difference in each runtime, and at the end that of recurra's own float32."""
    with torch.no_grad():
        exact = copy.deepcopy(module).double()
        found = []
        for part in parts_of(module, for_any=for_any):
            data = part.draw.file({})
            found.append(compare(Path("file"), data, part, module, exact, runtimes))
    own = max(max(one.roundings.values()) for one in found)
    by_runtime = zip(*[[max(apart.values()) for apart in one.runtimes.values()] for one in found], strict=True)
    return [max(column) for column in by_runtime] + [own]


def speed() -> None:
    """Print the time of files for any runtime over those for ONNX Runtime, in ONNX Runtime."""
    print("| T, N, I, H | layer | ms, for ONNX Runtime | any / that |\n|---|---|---|---|")
    for T, N, I, H in SPEED:
        for kind in (LSTM, GRU, RNN):
            for both in (False, True):
                layers = kind(I, H, bidirectional=both).eval()
                random = np.random.default_rng(0)
                inputs = {"x": random_numbers(random, T, N, I), "lengths": np.maximum(1, random_lengths(random, N, T))}
                for name, width in zip(layers.cell.states, layers.state_sizes(), strict=True):
                    inputs[f"{name}_0"] = np.zeros((1 + both, N, width), np.float32)
                runs = []
                for for_any in (False, True):
                    (part,) = parts_of(layers, for_any=for_any)
                    runs.append(RUNTIMES["onnxruntime"].open(part.draw.file({})))
                times: list[list[float]] = [[], []]
                for _ in range(200 if T * N <= 100 else 25):
                    for run, taken in zip(runs, times, strict=True):
                        begin = time.perf_counter()
                        run(inputs)
                        taken.append(time.perf_counter() - begin)
                one, other = (median(taken) for taken in times)
                word = f"{kind.__name__}{', both ways' * both}"
                print(f"| {T}, {N}, {I}, {H} | {word} | {one * 1e3:.3f} | {other / one:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=int, default=16, metavar="N", help="numbers of an input (default: 16)")
    parser.add_argument("--hidden", type=int, default=32, metavar="N", help="units of a layer (default: 32)")
    parser.add_argument("--node", action="store_true", help="ask onnxruntime-node too; needs npm")
    parser.add_argument("--speed", action="store_true", help="compare the times of both kinds of file instead")
    args = parser.parse_args()
    if args.speed:
        return speed()
    torch.manual_seed(0)
    modules: dict[str, nn.Module] = {}
    for name in CELLS:
        modules |= layers_of(name, args.input, args.hidden)
    with tempfile.TemporaryDirectory() as folder:
        runtimes = proving("any") + ([Node(Path(folder)).runtime] if args.node else [])
        table(modules | models(), runtimes)
    return None


if __name__ == "__main__":
    main()
