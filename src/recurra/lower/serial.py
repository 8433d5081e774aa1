"""A graph as JSON and back, so that a run folder holds a user's cell as data and needs no code to predict.

Everything that is read is checked: kinds are of the closed list, arguments point backwards, sizes are bounded.
"""

from __future__ import annotations

import re
from typing import Any

from recurra.base.errors import RunError
from recurra.cells import Cell, Parameters, Value
from recurra.cells import language as words
from recurra.lower.graph import BINARY, PARAMETER_LEAVES, UNARY, Graph, Node
from recurra.lower.parameters import layout
from recurra.lower.trace import trace

# The largest built-in cell (lstm_layernorm) has 121 nodes, and its longest chain has 34. The second bound is there
# because the gradient rules recur along a chain.
MAX_NODES = 1_000
MAX_DEPTH = 100


def to_json(cell: Cell) -> dict[str, Any]:
    """The cell as plain JSON values: its description, and its graph as a list of nodes."""
    graph = trace(cell)
    return {
        "name": cell.name,
        "states": list(cell.states),
        "sizes": {name: cell.size(name) for name in cell.states},
        "bias_pair": cell.bias_pair,
        "together": list(cell.together),
        "paper": cell.paper,
        "doc": cell.doc,
        "nodes": [[n.kind, list(n.args), n.name, n.value, n.width] for n in graph.nodes],
        "outputs": graph.outputs,
    }


def from_json(data: Any, origin: str) -> Cell:
    """A cell whose equations walk the stored graph. `origin` is the file, for messages.

    Raises RunError if anything is not as `to_json` writes it.
    """
    try:
        cell = _read(data)
        layout(cell)  # traces it: widths and names are checked by the same rules as for equations
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise RunError(f"{origin}: this is not a cell as recurra stores it ({_brief(error)}).") from None
    return cell


def _read(data: Any) -> Cell:
    nodes = tuple(Node(k, tuple(a), n, float(v), w) for k, a, n, v, w in _at_most(data["nodes"], MAX_NODES))
    outputs = {name: int(at) for name, at in data["outputs"].items()}
    states, sizes = tuple(data["states"]), dict(data["sizes"])
    _check(nodes, outputs, states)
    together = tuple(data.get("together", ()))  # absent in files before 0.1.0
    _check_description(data, states, sizes, together)
    graph = Graph(nodes, outputs)

    def equations(x: Value, *rest: Value) -> tuple[Value, ...]:
        *old, p = rest
        return walk(graph, x, dict(zip(states, old, strict=True)), p)

    equations.__doc__ = data["doc"]
    return Cell(data["name"], states, equations, data["paper"], data["bias_pair"], sizes, together)


def _brief(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)[:300]


def _at_most(items: list[Any], limit: int) -> list[Any]:
    if not 0 < len(items) <= limit:
        raise ValueError(f"it has {len(items)} nodes, expected 1 to {limit}")
    return items


def walk(graph: Graph, x: Value, states: dict[str, Value], p: Parameters) -> tuple[Value, ...]:
    """Compute the graph's outputs with tensors, or with symbols."""
    values = values_of(graph, x, states, p)
    return tuple(values[at] for at in graph.outputs.values())


def values_of(graph: Graph, x: Value, states: dict[str, Value], p: Parameters) -> list[Value]:
    """The value of every node, in order; a constant's is a number."""
    values: list[Value] = []
    for node in graph.nodes:
        arguments = [values[a] for a in node.args]
        values.append(_compute(node, arguments, x, states, p))
    return values


def _compute(node: Node, arguments: list[Value], x: Value, states: dict[str, Value], p: Parameters) -> Value:
    match node.kind:
        case "x":
            return x
        case "state":
            return states[node.name]
        case "const":
            return node.value
        case "b" | "b_R" | "v" | "gain":
            return getattr(p, node.kind)(node.name)
        case "W" | "R" | "P":
            return getattr(p, node.kind)(node.name, arguments[0])
        case "add":
            return arguments[0] + arguments[1]
        case "sub":
            return arguments[0] - arguments[1]
        case "mul":
            return arguments[0] * arguments[1]
        case "div":
            return arguments[0] / arguments[1]
        case "neg":
            return -arguments[0]
        case "maximum":
            return words.maximum(*arguments)
        case _:
            return getattr(words, node.kind)(arguments[0])


_ARITY = dict.fromkeys(UNARY, 1) | dict.fromkeys(BINARY, 2) | {"W": 1, "R": 1, "P": 1}
_ARITY |= dict.fromkeys(("x", "state", "const", *PARAMETER_LEAVES), 0)
for _kind in ("step", "sum", "spread"):  # occur in gradients only
    del _ARITY[_kind]


def _check(nodes: tuple[Node, ...], outputs: dict[str, int], states: tuple[str, ...]) -> None:
    depth: list[int] = []
    for at, node in enumerate(nodes):
        if node.kind not in _ARITY:
            raise ValueError(f"node {at} has the unknown kind {node.kind!r}")
        if len(node.args) != _ARITY[node.kind] or not all(type(a) is int and 0 <= a < at for a in node.args):
            raise ValueError(f"node {at} ({node.kind}) has the arguments {node.args}")
        if node.args and all(nodes[a].kind == "const" for a in node.args):
            raise ValueError(f"node {at} ({node.kind}) has constant arguments only")
        if node.kind == "state" and node.name not in states:
            raise ValueError(f"node {at} reads the unknown state {node.name!r}")
        depth.append(1 + max((depth[a] for a in node.args), default=0))
    if max(depth) > MAX_DEPTH:
        raise ValueError(f"it has a chain of {max(depth)} nodes, expected at most {MAX_DEPTH}")
    if not states or tuple(outputs) != states or not all(0 <= at < len(nodes) for at in outputs.values()):
        raise ValueError("its outputs are not its states")


def _check_description(data: Any, states: tuple[Any, ...], sizes: dict[Any, Any], together: tuple[Any, ...]) -> None:
    texts = [data[word] for word in ("name", "paper", "doc")]
    if not all(isinstance(text, str) for text in (*texts, *states)):
        raise ValueError("its name, states, paper and doc are not all text")
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", data["name"]):
        raise ValueError(f"{data['name'][:40]!r} is no name for a cell")
    if not all(re.fullmatch(r"\w{1,40}", state) for state in states):
        raise ValueError("a state's name is 1 to 40 letters, digits and _")
    if not (set(sizes) <= set(states) and set(sizes.values()) <= {"H", "P"} and isinstance(data["bias_pair"], bool)):
        raise ValueError("its sizes or its bias_pair are none")
    if not set(together) <= set(states):
        raise ValueError("the states that go together are not its states")


def equal(a: Cell, b: Cell) -> bool:
    """Whether two cells compute the same thing: the same graph, whatever the names of their variables."""
    return (trace(a).nodes, trace(a).outputs, a.bias_pair) == (trace(b).nodes, trace(b).outputs, b.bias_pair)
