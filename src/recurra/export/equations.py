"""One step of a cell as ONNX nodes, from its graph: for the cells that ONNX has no node for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from recurra.cells import Cell
from recurra.engine import Weights
from recurra.export.onnx_graph import Drawing, Value
from recurra.lower import Node, trace

# Kinds of nodes that ONNX has under another name.
NAMES: Mapping[str, str] = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "neg": "Neg",
    "maximum": "Max",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
}


def step(draw: Drawing, weights: Weights, Wx: Value, states: Sequence[Value]) -> list[Value]:
    """The new states (N, width) from W x_t (N, G*H), gates side by side in the order of packing, and the old states."""
    equations = _Equations(draw, weights, Wx, dict(zip(weights.cell.states, states, strict=True)))
    return equations.run(weights.cell)


class _Equations:
    """The values of one step, node by node."""

    def __init__(self, draw: Drawing, weights: Weights, Wx: Value, states: Mapping[str, Value]) -> None:
        self.draw, self.states = draw, states
        self.kinds = weights.by_kind()
        self.inputs = _split(draw, Wx, list(self.kinds["W"]))
        self.products: dict[str, Value] = {}

    def run(self, cell: Cell) -> list[Value]:
        graph = trace(cell)
        values: list[Value] = []
        for node in graph.nodes:
            values.append(self._value(node, [values[at] for at in node.args], graph.nodes))
        return [values[at] for at in graph.outputs.values()]

    def _value(self, node: Node, arguments: list[Value], nodes: Sequence[Node]) -> Value:
        draw, kind = self.draw, node.kind
        if kind in NAMES:
            return draw.put(NAMES[kind], *arguments)
        match kind:
            case "x":
                return ""  # only W reads it, and that is done for all steps at once
            case "state":
                return self.states[node.name]
            case "const":
                return draw.constant(node.value)
            case "W":
                return self.inputs[node.name]
            case "R":
                return self._recurrent(node, arguments[0], nodes)
            case "P":
                return draw.put("MatMul", arguments[0], draw.weight(self.kinds["P"][node.name].T, "weight_hr"))
            case "mean":
                return draw.put("ReduceMean", arguments[0], axes=[-1], keepdims=1)
            case "log_sigmoid":
                return draw.put("Neg", draw.put("Softplus", draw.put("Neg", arguments[0])))
            case "log_nonzero":
                return draw.put("Log", draw.put("Abs", draw.put("Sign", arguments[0])))
        return self._parameter(kind, node.name)

    def _parameter(self, kind: str, gate: str) -> Value:
        """b, b_R, v or gain; a bias that the layer has not is zero."""
        if kind in ("b", "b_R") and kind not in self.kinds:
            return self.draw.constant(0.0)
        return self.draw.weight(self.kinds[kind][gate], kind)

    def _recurrent(self, node: Node, argument: Value, nodes: Sequence[Node]) -> Value:
        """R h; gates that take the same value are one product."""
        if node.name not in self.products:
            together = list(dict.fromkeys(n.name for n in nodes if n.kind == "R" and n.args == node.args))
            rows = [self.kinds["R"][gate] for gate in together]
            product = self.draw.put("MatMul", argument, self.draw.weight(torch.cat(rows).T, "weight_hh"))
            self.products.update(_split(self.draw, product, together))
        return self.products[node.name]


def _split(draw: Drawing, value: Value, gates: Sequence[str]) -> dict[str, Value]:
    """The blocks of (N, G*H), by gate."""
    blocks = [value] if len(gates) == 1 else draw.puts("Split", [value], len(gates), axis=-1)
    return dict(zip(gates, blocks, strict=True))
