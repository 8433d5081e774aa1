"""Every built-in cell as an ONNX file: which node runs it, and how far ONNX Runtime is from the model in float64.

    python benchmarks/onnx_parity.py [--input 16] [--hidden 32]

A difference is the largest |ONNX - exact| / max(1, largest |exact|) of outputs and last states, over batches of 1 to 5
sequences of 0 to 40 steps with first states (`recurra.export.writing.SHAPES`). Beside it, the same of recurra's own
float32. Weights are drawn from seed 0.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from recurra.cells import CELLS
from recurra.export import onnx
from recurra.export.recurrent import node_of
from recurra.lower import projects
from recurra.nn import Recurrent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=int, default=16, metavar="N", help="numbers of an input (default: 16)")
    parser.add_argument("--hidden", type=int, default=32, metavar="N", help="units of a layer (default: 32)")
    args = parser.parse_args()
    print("| cell | node | layers | directions | ONNX Runtime | recurra, float32 |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, cell in CELLS.items():
            for layers, directions in ((1, 1), (1, 2), (2, 1), (2, 2)):
                torch.manual_seed(0)
                proj_size = args.hidden // 2 if projects(cell) else 0
                module = Recurrent(
                    args.input, args.hidden, layers, bidirectional=directions == 2, proj_size=proj_size, cell=name
                )
                (found,) = onnx(module, Path(folder) / "layers.onnx")
                own = max(found.roundings.values())
                print(f"| `{name}` | {node_of(module)} | {layers} | {directions} | {found.largest:.1e} | {own:.1e} |")


if __name__ == "__main__":
    main()
