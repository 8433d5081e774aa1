"""A cell's graph as text for people: one equation for each value that the equations named. Plain text, or LaTeX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from recurra.cells import Cell
from recurra.lower.graph import Graph
from recurra.lower.trace import trace

# Words of an expression that is written out wherever it is used; a longer one gets a name, or text could double with
# every line.
LONG = 40


@dataclass(frozen=True, slots=True)
class Notation:
    """How each part is spelt: a function call, a subscripted name, a unit-wise product, a fraction."""

    call: Callable[[str, str], str]
    indexed: Callable[[str, str], str]
    times: str
    divided: Callable[[str, str], str]
    larger: Callable[[str, str], str]


_PLAIN_CALLS = {"sigmoid": "σ({})", "log_sigmoid": "log σ({})", "sqrt": "√({})", "log_nonzero": "log [{} ≠ 0]"}
PLAIN = Notation(
    call=lambda f, a: _PLAIN_CALLS.get(f, f"{f}({{}})").format(a),
    indexed=lambda name, index: f"{name}_{index}",
    times=" ⊙ ",
    divided=lambda a, b: f"{a} / {b}",
    larger=lambda a, b: f"max({a}, {b})",
)
_LATEX_WORDS = {
    "sigmoid": r"\sigma",
    "log_sigmoid": r"\log\sigma",
    "tanh": r"\tanh",
    "relu": r"\operatorname{relu}",
    "exp": r"\exp",
    "log": r"\log",
    "mean": r"\operatorname{mean}",
}


def _latex_call(function: str, a: str) -> str:
    if function == "sqrt":
        return rf"\sqrt{{{a}}}"
    if function == "log_nonzero":  # Iverson's bracket: 1 where it holds, else 0
        return rf"\log\left[{a} \neq 0\right]"
    return rf"{_LATEX_WORDS[function]}\left({a}\right)"


LATEX = Notation(
    call=_latex_call,
    indexed=lambda name, index: f"{name}_{{{index}}}",
    times=r" \odot ",
    divided=lambda a, b: rf"\frac{{{a}}}{{{b}}}",
    larger=lambda a, b: rf"\max\left({a}, {b}\right)",
)


def equations(cell: Cell, notation: Notation = PLAIN) -> tuple[str, ...]:
    """The cell's equations, one string each, in the order in which they are computed; states last where unnamed.

    Time is the index: h_t is a new state, h_{t-1} the old one.
    """
    graph = trace(cell)
    names = _names(graph, notation)
    writer = _Writer(graph, names, notation)
    lines = [f"{names[at]} = {writer.expression(at)}" for at in sorted(names)]
    for state, at in graph.outputs.items():
        new = notation.indexed(state, "t")
        if names.get(at) != new:
            lines.append(f"{new} = {names.get(at) or writer.expression(at)}")
    return tuple(lines)


def _names(graph: Graph, notation: Notation) -> dict[int, str]:
    """Nodes that get a line of their own: named in the equations, a state, or used twice and long or a number a row."""
    names = {at: notation.indexed(label, "t") for at, label in graph.labels.items()}
    for state, at in graph.outputs.items():
        if graph.nodes[at].args and (at in names or _uses(graph, at) > 0):
            names[at] = notation.indexed(state, "t")
    lengths: list[int] = []
    shared = 0
    for at, node in enumerate(graph.nodes):
        lengths.append(1 if at in names else 1 + sum(lengths[a] for a in node.args))
        long = node.width == "1" or lengths[at] > LONG
        if at not in names and node.args and long and _uses(graph, at) > 1:
            shared, lengths[at] = shared + 1, 1
            names[at] = notation.indexed(f"s{shared}", "t")
    return names


def _uses(graph: Graph, at: int) -> int:
    return sum(n.args.count(at) for n in graph.nodes)


class _Writer:
    """Writes a node's expression; a node with a name is written by its name."""

    def __init__(self, graph: Graph, names: dict[int, str], notation: Notation) -> None:
        self.graph, self.names, self.notation = graph, names, notation

    def operand(self, at: int, *, loose: tuple[str, ...] = ()) -> str:
        """A node inside another expression, in brackets if its kind binds more loosely."""
        if at in self.names:
            return self.names[at]
        text = self.expression(at)
        return f"({text})" if self.graph.nodes[at].kind in loose else text

    def expression(self, at: int) -> str:
        """A node's own expression."""
        node, n = self.graph.nodes[at], self.notation
        sums = ("add", "sub", "neg")
        match node.kind:
            case "x":
                return n.indexed("x", "t")
            case "state":
                return n.indexed(node.name, "{t-1}" if n is PLAIN else "t-1")
            case "const":
                return f"{node.value:g}"
            case "b" | "v":
                return n.indexed(node.kind, node.name)
            case "b_R":
                return n.indexed("b", f"R{node.name}")
            case "gain":
                return n.indexed("α" if n is PLAIN else r"\alpha", node.name)
            case "W" | "R" | "P":
                return f"{n.indexed(node.kind, node.name)} {self.operand(node.args[0], loose=(*sums, 'mul', 'div'))}"
            case "add":
                return " + ".join(self.operand(a) for a in node.args)
            case "sub":
                return f"{self.operand(node.args[0])} - {self.operand(node.args[1], loose=sums)}"
            case "mul":
                return n.times.join(self.operand(a, loose=sums) for a in node.args)
            case "div":
                loose = (*sums, "mul", "div") if n is PLAIN else ()
                return n.divided(self.operand(node.args[0], loose=sums), self.operand(node.args[1], loose=loose))
            case "neg":
                return f"-{self.operand(node.args[0], loose=sums)}"
            case "maximum":
                return n.larger(*(self.operand(a) for a in node.args))
        return n.call(node.kind, self.operand(node.args[0]))
