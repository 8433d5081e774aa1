"""What the tests of ONNX files share: a file in ONNX Runtime as a function, and layers computed by the oracles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx as onnx_package
import onnxruntime
from torch import nn

from conformance.users_cell import LEAKY
from oracles.catalogue import ORACLES
from oracles.loop import Array
from recurra.export import onnx
from recurra.nn import Recurrent

ALL_ORACLES = ORACLES | {"leaky": LEAKY}


class File:
    """An ONNX file in ONNX Runtime: called with inputs by name, it gives outputs by name."""

    def __init__(self, path: Path) -> None:
        self.model = onnx_package.load(path)
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.names = [output.name for output in self.session.get_outputs()]
        self.metadata: dict[str, str] = self.session.get_modelmeta().custom_metadata_map

    def __call__(self, **inputs: Any) -> dict[str, Array]:
        return dict(zip(self.names, self.session.run(None, inputs), strict=True))

    @property
    def nodes(self) -> set[str]:
        """Kinds of nodes, those inside of loops left out."""
        return {node.op_type for node in self.model.graph.node}


def exported(model: nn.Module, path: Path, **options: Any) -> File:
    (agreement,) = onnx(model, path, **options)
    assert agreement.path == path
    return File(path)


def by_oracle(layers: Recurrent, x: Array, lengths: Array, states: dict[str, Array]) -> tuple[Array, tuple[Array, ...]]:
    """The layers in float64 by the cell's oracle: output (T, N, F) and last states (layers * directions, N, width)."""
    oracle, D = ALL_ORACLES[layers.cell.name], layers.num_directions
    packed = {name: tensor.detach().double().numpy() for name, tensor in layers.named_parameters()}
    final = [state.astype(np.float64) for state in states.values()]
    for layer in range(layers.num_layers):
        outputs = []
        for direction in range(D):
            suffix, k = f"_l{layer}{'_reverse' * direction}", layer * D + direction
            own = {n.removesuffix(suffix): a for n, a in packed.items() if n.endswith(suffix)}
            begin = [state[k] for state in final]
            output, ends = oracle.run(x.astype(np.float64), begin, oracle.unpack(own), lengths, direction == 1)
            outputs.append(output)
            for state, end in zip(final, ends, strict=True):
                state[k] = end
        x = np.concatenate(outputs, -1)
    return x, tuple(final)
