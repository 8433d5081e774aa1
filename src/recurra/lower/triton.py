"""Triton text of a cell: a forward and a backward kernel, one launch a sequence, with the loop over time inside.

A program owns 16 rows of the batch and all their units, so that no program waits for another. Two forms of one step:

held    each weight is loaded once, before the loop over time, and stays on the chip with the states; every value of the
        step is a tile of all units, and the text is the graph, a line a node
tiled   for weights that do not fit: values are computed in tiles of BH units, products run over tiles of BK units of
        their argument, and what a tile needs of others goes through memory, with a barrier of the program after a stage

Names are our own (`n` and the place of a node): nothing of a cell's text stands in the kernels, only its graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial

from recurra.cells import Cell
from recurra.lower.gradient import gradient
from recurra.lower.graph import PARAMETER_LEAVES, PRODUCTS, Builder, Graph, Node
from recurra.lower.parameters import layout
from recurra.lower.trace import trace

# Which graphs are whose, in memory: of each width.
WIDTHS = ("H", "P", "1")

_EXPRESSIONS = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "sigmoid": "1.0 / (1.0 + tl.exp(-{0}))",
    "exp": "tl.exp({0})",
    "log": "tl.log({0})",
    "sqrt": "tl.sqrt({0})",
    # A NaN stays NaN: it is not less than 0, and not equal to it.
    "relu": "tl.where({0} < 0.0, 0.0, {0})",
    "log_nonzero": 'tl.where({0} == 0.0, -float("inf"), 0.0)',
    "step": "tl.where({0} > 0.0, 1.0, tl.where({0} == 0.0, {value}, 0.0))",
    "maximum": "tl.where(({0} > {1}) | ({0} != {0}), {0}, {1})",
    "spread": "{0}",
}

# Functions of several lines. tanh of a small number by its series (the next term is 1e-8 of it at 0.3), of others by
# exp of what is negative. log(1 + e) without the loss of adding 1: Kahan's form (Higham 2002, Accuracy and Stability of
# Numerical Algorithms, section 1.14.1).
_LINES = {
    "tanh": (
        "q{at} = {0} * {0}",
        "e{at} = tl.exp(-2.0 * tl.abs({0}))",
        "f{at} = (1.0 - e{at}) / (1.0 + e{at})",
        "g{at} = 1.0 + q{at} * (-1.0 / 3 + q{at} * (2.0 / 15 + q{at} * (-17.0 / 315 + q{at} * (62.0 / 2835))))",
        "n{at} = tl.where(q{at} < 0.09, {0} * g{at}, tl.where({0} < 0.0, -f{at}, f{at}))",
    ),
    "log_sigmoid": (
        "e{at} = tl.exp(-tl.abs({0}))",
        "u{at} = 1.0 + e{at}",
        "f{at} = tl.where(u{at} == 1.0, e{at}, tl.log(u{at}) * (e{at} / tl.where(u{at} == 1.0, 1.0, u{at} - 1.0)))",
        "n{at} = tl.where({0} < 0.0, {0}, 0.0) - f{at}",
    ),
}

_HEAD = "import triton\nimport triton.language as tl\n"
# Rows times a weight, in the type of the weights, summed in float32; the interpreter is given the same numbers wider.
_PRODUCT = "tl.dot({0}.to(kind).to(wide), {1}, input_precision=PRECISION)"


@dataclass(frozen=True, slots=True)
class Kernels:
    """The text of a cell's kernels, and what lies where in the memory that they are given.

    tape:      by width, the forward nodes that the backward kernel reads, in order: (T, N, how many, width) float32
    arguments: by width, what products take that is no old first state: (T, N, how many, width), in the weights' type
    argument:  of each gate of R and P: None for the old first state, or (width, which one of `arguments`)
    shared:    whether the gradients into the products of R are those of W
    sums:      parameter vectors whose gradients the backward kernel sums up over time: (N, how many, H) float32
    flows:     the other parameter vectors: ("W", "R", gate) whose gradient is the same
    vectors:   parameter vectors that the kernels read, by kind and gate: (how many, H) float32
    scratch:   forward and backward, by width, how many values a row the tiled form hands from stage to stage
    """

    text: str
    tape: dict[str, tuple[int, ...]]
    arguments: dict[str, tuple[int, ...]]
    argument: dict[tuple[str, str], tuple[str, int] | None]
    shared: bool
    sums: tuple[tuple[str, str], ...]
    flows: dict[tuple[str, str], tuple[str, str]]
    vectors: tuple[tuple[str, str], ...]
    scratch: tuple[dict[str, int], dict[str, int]]


@cache
def kernels(cell: Cell, *, bias: bool = True, held: bool = True, recompute: bool = False) -> Kernels:
    """The kernels of `cell`. bias: whether it has its biases; they are zeros otherwise.

    recompute: the tape has the old states alone, and the backward kernel makes a step's values again
    """
    plan = _Plan(cell, bias, recompute)
    sides = [_Side(plan, backward=backward, held=held) for backward in (False, True)]
    text = "\n\n".join([_HEAD, *(_counted(side) for side in sides)])
    return Kernels(
        text,
        plan.tape,
        plan.arguments,
        plan.argument,
        plan.shared,
        plan.sums,
        plan.flows,
        plan.vectors,
        (sides[0].form.scratch(), sides[1].form.scratch()),
    )


def _counted(side: _Side) -> str:
    """A kernel's text, with the number of values that its stages hand on, known at its end alone."""
    text = "\n".join(side.text()) + "\n"
    for width, count in side.form.scratch().items():
        text = text.replace(f"COUNT_{width}", str(count))
    return text


class _Plan:
    """What both kernels of a cell agree on."""

    def __init__(self, cell: Cell, bias: bool, recompute: bool) -> None:
        self.cell, self.forward = cell, trace(cell)
        made = gradient(cell)
        self.backward = _with_values(self.forward, made.graph) if recompute else made.graph
        tape = sorted({int(n.value) for n in self.backward.nodes if n.kind == "forward"})
        self.gates = {p.kind: p.gates for p in layout(cell, bias=bias)}
        self.vectors = tuple(_vectors((self.forward, self.backward), self.gates))
        self.tape = {width: tuple(at for at in tape if self.forward.nodes[at].width == width) for width in WIDTHS}
        self.argument: dict[tuple[str, str], tuple[str, int] | None] = {}
        self.arguments: dict[str, tuple[int, ...]] = {"H": (), "P": ()}
        for node in self.forward.nodes:
            if node.kind in ("R", "P"):
                self.argument[node.kind, node.name] = self._argument(node.args[0])
        self.flow = {tuple(name.split(":", 1)): at for name, at in self.backward.outputs.items()}
        self.shared = self.gates.get("R") == self.gates["W"] and all(
            self.flow["R", gate] == self.flow["W", gate] for gate in self.gates["W"]
        )
        self.flows, self.sums = self._vector_flows()

    def _argument(self, at: int) -> tuple[str, int] | None:
        node = self.forward.nodes[at]
        if node.kind == "state" and node.name == self.cell.states[0]:
            return None
        if at not in self.arguments[node.width]:
            self.arguments[node.width] += (at,)
        return node.width, self.arguments[node.width].index(at)

    def _vector_flows(self) -> tuple[dict[tuple[str, str], tuple[str, str]], tuple[tuple[str, str], ...]]:
        """Gradients of biases are mostly those into a product; others are sums of their own."""
        same = {self.flow[kind, gate]: (kind, gate) for kind in ("R", "W") for gate in self.gates.get(kind, ())}
        found, own = {}, []
        for (kind, gate), at in self.flow.items():
            if kind in PARAMETER_LEAVES and (kind, gate) in self.vectors:
                if at in same:
                    found[kind, gate] = same[at]
                else:
                    own.append((kind, gate))
        return found, tuple(own)


def _with_values(forward: Graph, backward: Graph) -> Graph:
    """The gradient's graph with the step's own nodes in it: of the forward pass it reads the old states alone."""
    made, own, new = Builder(), list[int](), list[int]()
    for at, node in enumerate(forward.nodes):
        old = Node("forward", value=float(at), width=node.width)
        own.append(made.add(old if node.kind == "state" else replace(node, args=tuple(own[a] for a in node.args))))
    for node in backward.nodes:
        kept = node.kind == "forward"
        new.append(own[int(node.value)] if kept else made.add(replace(node, args=tuple(new[a] for a in node.args))))
    return made.finish({name: new[at] for name, at in backward.outputs.items()})


def _vectors(graphs: Iterable[Graph], gates: dict[str, tuple[str, ...]]) -> Iterable[tuple[str, str]]:
    """Parameter vectors that there are, each once. A second bias that is added to a first one is part of that."""
    found = {(n.kind, n.name): None for g in graphs for n in g.nodes if n.kind in PARAMETER_LEAVES}
    return [(kind, gate) for kind, gate in found if gate in gates.get(kind, ())]


class _Side:
    """Writes one kernel: the step of the forward pass, or the gradient of it."""

    def __init__(self, plan: _Plan, *, backward: bool, held: bool) -> None:
        self.plan, self.backward = plan, backward
        self.graph = plan.backward if backward else plan.forward
        self.nodes = self.graph.nodes
        self.states = plan.cell.states
        self.widths = ("H", "P") if any(n.width == "P" for n in plan.forward.nodes) else ("H",)
        self.form: _Held | _Tiled = _Held(self) if held else _Tiled(self)

    def text(self) -> list[str]:
        """The kernel, one line an element."""
        own = "d_output, delta_W, delta_R, delta_P, sums" if self.backward else "output"
        ends = ", ".join(f"first{k}, last{k}" for k in range(len(self.states)))
        steps = ("longest - 1 - step", "step")
        forwards, backwards = steps if self.backward else reversed(steps)
        return [
            "@triton.jit",
            f"def {'backward' if self.backward else 'forward'}(",
            f"    wx, args_H, args_P, {own}, tape_H, tape_P, tape_1, lengths, vectors, weight_hh, weight_hr, {ends},",
            "    carry_H, carry_P, scratch_H, scratch_P, kept_T, N, H: tl.constexpr, P: tl.constexpr,",
            "    BN: tl.constexpr, BH: tl.constexpr, BP: tl.constexpr, BK: tl.constexpr, REVERSE: tl.constexpr,",
            "    TRAINING: tl.constexpr, PRECISION: tl.constexpr, WIDEN: tl.constexpr,",
            "):",
            "    kind: tl.constexpr = wx.dtype.element_ty",
            "    wide: tl.constexpr = tl.float32 if WIDEN else kind",
            "    rows = tl.program_id(0) * BN + tl.arange(0, BN)",
            "    row = rows[:, None].to(tl.int64)",
            "    there = rows[:, None] < N",
            "    length = tl.load(lengths + rows, mask=rows < N, other=0)",
            "    longest = tl.max(length, 0)",
            *_indented(self.form.before()),
            "    for step in range(0, longest):",
            f"        t = {backwards} if REVERSE else {forwards}",
            "        real = (t < length)[:, None]",
            "        place = row + t * N",
            "        kept = row + t * kept_T",
            *_indented(self.form.step(), 2),
            *_indented(self.form.after()),
        ]

    def size(self, state: int) -> str:
        return self.plan.cell.size(self.states[state])

    def new(self, state: int) -> int | None:
        """The node that gives a state its new value; in the backward pass, that of the gradient to the old one."""
        name = self.states[state]
        return self.graph.outputs.get(f"state:{name}") if self.backward else self.graph.outputs[name]

    def stores(self) -> Iterator[tuple[int, str, str, bool]]:
        """(node, address of the tile, width, only in training) of what a step leaves behind, states excepted."""
        plan = self.plan
        if not self.backward:
            for width, places in plan.arguments.items():
                for k, at in enumerate(places):
                    yield at, _slab(f"args_{width}", len(places), k, width, "kept"), width, False
            for width, places in plan.tape.items():
                for k, at in enumerate(places):
                    yield at, _slab(f"tape_{width}", len(places), k, width), width, True
            return
        for kind, width in (("W", "H"), ("R", "H"), ("P", "P")):
            gates = () if kind == "R" and plan.shared else plan.gates.get(kind, ())
            for k, gate in enumerate(gates):
                yield plan.flow[kind, gate], _slab(f"delta_{kind}", len(gates), k, width), width, False

    def summed(self, k: int) -> str:
        """Where the gradient of a parameter vector is summed up over time."""
        return f"sums + (row * {len(self.plan.sums)} + {k}) * H + c_H"

    def widths_of(self, kind: str, gate: str) -> tuple[str, str]:
        """Widths of a product's argument and of its result."""
        node = next(n for n in self.nodes if (n.kind, n.name) == (kind, gate))
        return self.nodes[node.args[0]].width, node.width

    def weight(self, kind: str, gate: str, rows: str) -> str:
        """A tile of a product's weights: rows run over the argument, columns over the result."""
        name, width = ("weight_hh", "H") if kind[0] == "R" else ("weight_hr", "P")
        place = self.plan.gates[kind[0]].index(gate)
        taken, given = self.widths_of(kind, gate)
        up, along, across = (rows, f"c_{given}", given) if kind.endswith("_T") else (f"c_{given}", rows, taken)
        address = f"{name} + ({place} * {width} + {up}) * {across} + {along}"
        return f"tl.load({address}, mask=({rows} < {taken}) & in_{given}, other=0.0).to(wide)"

    def lines(self, at: int, names: list[str]) -> list[str]:
        """What makes a node of its arguments' names; `form` makes products and reductions."""
        node = self.nodes[at]
        if not node.args or node.kind == "W":
            return [f"n{at} = {self.leaf(node)}"]
        wanted = _LINES.get(node.kind) or (f"n{at} = {_EXPRESSIONS[node.kind]}",)
        return [line.format(*names, at=at, value=_number(node.value)) for line in wanted]

    def leaf(self, node: Node) -> str:
        match node.kind:
            case "W":
                k, count = self.plan.gates["W"].index(node.name), len(self.plan.gates["W"])
                return f"tl.load({_slab('wx', count, k, 'H')}, mask=live_H, other=0.0).to(tl.float32)"
            case "const":
                return _constant(_number(node.value))
            case "units":
                return _constant(f"{node.name} * 1.0")
            case "state" | "adjoint":
                return self.form.state(self.states.index(node.name))
            case "forward":
                places = self.plan.tape[node.width]
                address = _slab(f"tape_{node.width}", len(places), places.index(int(node.value)), node.width)
                return f"tl.load({address}, mask={_live(node.width)}, other=0.0)"
        key = (node.kind, node.name)
        return self.form.vector(self.plan.vectors.index(key)) if key in self.plan.vectors else _constant("0.0")

    def top(self) -> str:
        """The gradient that flows into the output of this step."""
        w = self.size(0)
        return f"tl.load(d_output + place * {w} + c_{w}, mask=live_{w}, other=0.0).to(tl.float32)"


class _Held:
    """A step whose weights and states stay on the chip."""

    def __init__(self, side: _Side) -> None:
        self.side, self.nodes = side, side.nodes
        self.products = list(dict.fromkeys((n.kind, n.name) for n in side.nodes if _is_inner(n)))

    def state(self, k: int) -> str:
        return f"s{k}"

    def vector(self, k: int) -> str:
        return f"p{k}"

    def before(self) -> list[str]:
        """States, parameter vectors and weights, each loaded once."""
        side = self.side
        lines = [line for w in side.widths for line in _units(w, "0")]
        for k in range(len(side.states)):
            w = side.size(k)
            lines.append(f"s{k} = tl.load(first{k} + row * {w} + c_{w}, mask=ok_{w}, other=0.0)")
        for k, key in enumerate(side.plan.vectors):
            if any((n.kind, n.name) == key for n in self.nodes):
                lines.append(f"p{k} = tl.load(vectors + {k} * H + c_H, mask=in_H, other=0.0)")
        lines += [f"k_{w} = tl.arange(0, B{w})[:, None]" for w in side.widths]
        for j, (kind, gate) in enumerate(self.products):
            lines.append(f"w{j} = {side.weight(kind, gate, f'k_{side.widths_of(kind, gate)[0]}')}")
        return lines + [f"v{k} = tl.full((BN, BH), 0.0, tl.float32)" for k in self._sums()]

    def _sums(self) -> range:
        return range(len(self.side.plan.sums) if self.side.backward else 0)

    def step(self) -> list[str]:
        side = self.side
        lines = [f"live_{w} = real & in_{w}" for w in side.widths]
        lines += [f"s0 = s0 + {side.top()}"] if side.backward else []
        lines += [line for at, node in enumerate(self.nodes) if node.kind != "x" for line in self._made(at, node)]
        for at, address, width, training in side.stores():
            lines += _guarded(f"tl.store({address}, n{at}, mask={_live(width)})", training)
        for k in self._sums():
            lines.append(f"v{k} += tl.where(live_H, n{side.plan.flow[side.plan.sums[k]]}, 0.0)")
        return [*lines, *self._carry()]

    def _made(self, at: int, node: Node) -> list[str]:
        if _is_inner(node):
            width = self.nodes[node.args[0]].width
            weight = f"w{self.products.index((node.kind, node.name))}"
            # Units beyond H may hold anything, and 0 times that is no zero.
            argument = f"tl.where(live_{width}, n{node.args[0]}, 0.0)"
            return [f"n{at} = {_PRODUCT.format(argument, weight)}"]
        if node.kind in ("mean", "sum"):
            width = self.nodes[node.args[0]].width
            total = f"tl.sum(tl.where(in_{width}, n{node.args[0]}, 0.0), 1)[:, None]"
            return [f"n{at} = {total} / {width}" if node.kind == "mean" else f"n{at} = {total}"]
        return self.side.lines(at, [f"n{a}" for a in node.args])

    def _carry(self) -> list[str]:
        """The mask law: a state moves where the step is real."""
        side, states = self.side, range(len(self.side.states))
        lines = []
        for k in states:
            w, at = side.size(k), side.new(k)
            lines.append(f"m{k} = tl.where(live_{w}, {'0.0' if at is None else f'n{at}'}, s{k})")
        if not side.backward:
            w = side.size(0)
            lines.append(f"tl.store(output + place * {w} + c_{w}, m0, mask=live_{w})")
        return [*lines, *(f"s{k} = m{k}" for k in states)]

    def after(self) -> list[str]:
        side = self.side
        lines = []
        for k in range(len(side.states)):
            w = side.size(k)
            lines.append(f"tl.store(last{k} + row * {w} + c_{w}, s{k}, mask=ok_{w})")
        return lines + [f"tl.store({side.summed(k)}, v{k}, mask=ok_H)" for k in self._sums()]

    def scratch(self) -> dict[str, int]:
        return {"H": 0, "P": 0}


# What a stage does with a value: lines, from its name.
Effect = Callable[[str], list[str]]
# A stage: how many things must be complete before it, and the width of what it computes.
Key = tuple[int, str]


class _Tiled:
    """A step in stages, each a loop over tiles of units. A stage ends where something must be complete over all units:
    a product's argument, or a sum. States lie in memory twice, before and after the step."""

    def __init__(self, side: _Side) -> None:
        self.side, self.nodes = side, side.nodes
        self.level: list[int] = []
        for node in self.nodes:
            self.level.append(self._level(node))
        self.effects: dict[Key, list[tuple[int | None, Effect]]] = {}
        self.sums: dict[Key, list[int]] = {}
        self.handed: dict[int, tuple[str, int]] = {}
        self.seen: set[tuple[int, int]] = set()
        for width in side.widths:
            self.effects[0, width] = []
        for at, width, effect in self._wanted():
            self._add(at, width, effect)

    def _level(self, node: Node) -> int:
        below = max((self.level[a] for a in node.args), default=0)
        if _is_inner(node):
            return 0 if self._lies_ready(node) else below + 1
        return below + (node.kind in ("mean", "sum"))

    def _lies_ready(self, node: Node) -> bool:
        """Whether a product's argument is in memory before the step: an old state, or what the forward pass kept."""
        if self.side.backward:
            return not node.kind.endswith("_T")
        return self.nodes[node.args[0]].kind == "state"

    def _wanted(self) -> Iterator[tuple[int | None, str, Effect]]:
        """All that a step leaves behind: (node, width, lines)."""
        side = self.side
        for at, address, width, training in side.stores():
            yield at, width, partial(_store, address, _live(width), training)
        for k, key in enumerate(side.plan.sums if side.backward else ()):
            yield side.plan.flow[key], "H", partial(_add_to, side.summed(k))
        for k in range(len(side.states)):
            yield side.new(k), side.size(k), partial(self._carry, k)

    def _carry(self, k: int, value: str) -> list[str]:
        side, w = self.side, self.side.size(k)
        lines = [
            f"m{k} = tl.where(live_{w}, {value}, {self.state(k)})",
            f"tl.store({self._place(k, '1 - old')}, m{k}, mask=ok_{w})",
        ]
        if k == 0 and not side.backward:
            lines.append(f"tl.store(output + place * {w} + c_{w}, m0, mask=live_{w})")
        return lines

    def _add(self, at: int | None, width: str, effect: Effect) -> None:
        level = 0 if at is None else self.level[at]
        if width != "1":
            self.effects.setdefault((level, width), []).append((at, effect))
        if at is not None:
            self._visit(at, level)

    def _visit(self, at: int, level: int) -> None:
        """Find out what stages before `level` must leave for a value of it."""
        node = self.nodes[at]
        if (at, level) in self.seen or not node.args or node.kind == "W":
            return
        self.seen.add((at, level))
        if node.kind in ("mean", "sum"):
            key = self.level[node.args[0]], self._width(node.args[0])
            if at not in self.sums.setdefault(key, []):
                self.sums[key].append(at)
            self.effects.setdefault(key, [])
            self._visit(node.args[0], key[0])
        elif node.width != "1" and self.level[at] < level:
            if at not in self.handed:
                self.handed[at] = node.width, sum(w == node.width for w, _ in self.handed.values())
                self._add(at, node.width, partial(self._hand_on, at))
        elif not _is_inner(node):
            for a in node.args:
                self._visit(a, level)

    def _width(self, at: int) -> str:
        return "H" if self.nodes[at].width == "1" else self.nodes[at].width

    def _hand_on(self, at: int, value: str) -> list[str]:
        return [f"tl.store({self._handed(at)}, {value}, mask=ok_{self.handed[at][0]})"]

    def _handed(self, at: int) -> str:
        w, k = self.handed[at]
        count = f"COUNT_{w}"
        return f"scratch_{w} + (row * {count} + {k}) * {w} + c_{w}"

    def scratch(self) -> dict[str, int]:
        """By width, values that a stage leaves for another."""
        return {w: sum(of == w for of, _ in self.handed.values()) for w in ("H", "P")}

    def state(self, k: int) -> str:
        old = f"tl.load({self._place(k, 'old')}, mask=ok_{self.side.size(k)}, other=0.0)"
        return f"{old} + {self.side.top()}" if self.side.backward and k == 0 else old

    def vector(self, k: int) -> str:
        return f"tl.load(vectors + {k} * H + c_H, mask=in_H, other=0.0)"

    def _place(self, k: int, which: str, columns: str = "") -> str:
        """The addresses of a state's tile, before the step (old) or after it (1 - old)."""
        side, w = self.side, self.side.size(k)
        alike = [j for j in range(len(side.states)) if side.size(j) == w]
        return f"carry_{w} + ((({which}) * N + row) * {len(alike)} + {alike.index(k)}) * {w} + {columns or f'c_{w}'}"

    def before(self) -> list[str]:
        return [*self._copied(lambda k, w: (self._place(k, "0"), f"first{k} + row * {w} + c_{w}")), BARRIER]

    def after(self) -> list[str]:
        copied = self._copied(lambda k, w: (f"last{k} + row * {w} + c_{w}", self._place(k, "old")))
        return ["old = longest % 2", *copied]

    def _copied(self, pair: Callable[[int, str], tuple[str, str]]) -> list[str]:
        """Loops over tiles that copy each state: (to, from)."""
        side, lines = self.side, []
        for w in side.widths:
            body = _units(w, "j")
            for k in range(len(side.states)):
                if side.size(k) == w:
                    to, source = pair(k, w)
                    body.append(f"tl.store({to}, tl.load({source}, mask=ok_{w}, other=0.0), mask=ok_{w})")
            lines += [f"for j in range(0, {w}, B{w}):", *_indented(body)]
        return lines

    def step(self) -> list[str]:
        rows: dict[int, str] = {}
        lines = ["old = step % 2"]
        for key in sorted(self.effects):
            lines += _Stage(self, key, rows).text()
        last = _Stage(self, (0, "1"), rows)
        stores = [
            line
            for at, address, width, training in self.side.stores()
            if width == "1"
            for line in _guarded(f"tl.store({address}, {last.need(at)}, mask=real)", training)
        ]
        return [*lines, *last.of_row, *stores]


class _Stage:
    """Writes one stage. rows: names of one number a row, which all stages of a step share."""

    def __init__(self, form: _Tiled, key: Key, rows: dict[int, str]) -> None:
        self.form, self.side, self.nodes = form, form.side, form.nodes
        self.level, self.width = key
        self.key, self.rows = key, rows
        self.of_row: list[str] = []
        self.products: list[int] = []
        self.body: list[str] = []
        self.known: dict[int, str] = {}

    def text(self) -> list[str]:
        w, sums = self.width, self.form.sums.get(self.key, [])
        effects = [line for at, effect in self.form.effects[self.key] for line in self._done(at, effect)]
        for at in sums:
            value = self.need(self.nodes[at].args[0])
            effects.append(f"n{at} += tl.sum(tl.where(in_{w}, {value}, 0.0), 1)[:, None]")
        if not effects:
            return []
        for at in sums:
            self.rows[at] = f"n{at}"
        loop = [*_units(w, "j"), f"live_{w} = real & in_{w}", *self._products(), *self.body, *effects]
        return [
            *self.of_row,
            *(f"n{at} = tl.full((BN, 1), 0.0, tl.float32)" for at in sums),
            f"for j in range(0, {w}, B{w}):",
            *_indented(loop),
            *(f"n{at} = n{at} / {w}" for at in sums if self.nodes[at].kind == "mean"),
            BARRIER,
        ]

    def _done(self, at: int | None, effect: Effect) -> list[str]:
        return effect("0.0" if at is None else self.need(at))

    def need(self, at: int) -> str:
        """The name of a value, after the lines that make it."""
        node = self.nodes[at]
        names, lines = (self.rows, self.of_row) if node.width == "1" else (self.known, self.body)
        if at in names:
            return names[at]
        names[at] = f"n{at}"
        if node.width != "1" and node.args and node.kind != "W" and self.form.level[at] < self.level:
            lines.append(f"n{at} = tl.load({self.form._handed(at)}, mask=ok_{node.width}, other=0.0)")
        elif _is_inner(node):
            self.products.append(at)
        else:
            lines += self.side.lines(at, [] if node.kind == "W" else [self.need(a) for a in node.args])
        return names[at]

    def _products(self) -> list[str]:
        """Sums over tiles of arguments, which lie in memory: one loop for all of a width, each read once."""
        lines = [f"n{at} = tl.full((BN, B{self.nodes[at].width}), 0.0, tl.float32)" for at in self.products]
        for width in ("H", "P"):
            mine = [at for at in self.products if self.nodes[self.nodes[at].args[0]].width == width]
            if mine:
                lines += [f"for i in range(0, {width}, BK):", *_indented(self._tile_of(mine, width))]
        return lines

    def _tile_of(self, products: list[int], width: str) -> list[str]:
        """What one tile of the arguments adds to each product."""
        lines = ["k = i + tl.arange(0, BK)[None, :]", "k_up = i + tl.arange(0, BK)[:, None]"]
        names: dict[str, str] = {}
        for at in products:
            address = self._argument(self.nodes[at])
            if address not in names:
                names[address] = f"a{len(names)}"
                lines.append(f"{names[address]} = tl.load({address}, mask=real & (k < {width}), other=0.0)")
            weight = self.side.weight(self.nodes[at].kind, self.nodes[at].name, "k_up")
            lines.append(f"n{at} += {_PRODUCT.format(names[address], weight)}")
        return lines

    def _argument(self, node: Node) -> str:
        plan, at = self.side.plan, node.args[0]
        taken = self.nodes[at]
        if self.side.backward and self.form._lies_ready(node):
            place = plan.argument[node.kind, node.name]
            if place is not None:
                return _slab(f"args_{place[0]}", len(plan.arguments[place[0]]), place[1], place[0], "kept", "k")
            places = plan.tape[taken.width]
            return _slab(f"tape_{taken.width}", len(places), places.index(int(taken.value)), taken.width, columns="k")
        if self.side.backward:
            kind = node.kind[0]
            gates = plan.gates[kind]
            name = "W" if kind == "R" and plan.shared else kind
            return _slab(f"delta_{name}", len(gates), gates.index(node.name), taken.width, "place", "k")
        if taken.kind == "state":
            return self.form._place(self.side.states.index(taken.name), "old", "k")
        places = plan.arguments[taken.width]
        return _slab(f"args_{taken.width}", len(places), places.index(at), taken.width, "kept", "k")


BARRIER = "tl.debug_barrier()"


def _is_inner(node: Node) -> bool:
    """Whether a node is a product inside the step."""
    return node.kind in PRODUCTS and node.kind != "W"


def _units(w: str, start: str) -> list[str]:
    """The units of a tile, and which of them there are."""
    return [f"c_{w} = {start} + tl.arange(0, B{w})[None, :]", f"in_{w} = c_{w} < {w}", f"ok_{w} = there & in_{w}"]


def _store(address: str, mask: str, training: bool, value: str) -> list[str]:
    return _guarded(f"tl.store({address}, {value}, mask={mask})", training)


def _add_to(address: str, value: str) -> list[str]:
    old = f"tl.load({address}, mask=ok_H, other=0.0)"
    return [f"tl.store({address}, {old} + tl.where(live_H, {value}, 0.0), mask=ok_H)"]


def _indented(lines: Iterable[str], times: int = 1) -> list[str]:
    return ["    " * times + line for line in lines]


def _slab(name: str, count: int, k: int, width: str, place: str = "place", columns: str = "") -> str:
    """The addresses of a row's tile in (T, N, count, width); of one number a row in (T, N, count)."""
    return f"{name} + ({place} * {count} + {k})" + ("" if width == "1" else f" * {width} + {columns or f'c_{width}'}")


def _live(width: str) -> str:
    return "real" if width == "1" else f"live_{width}"


def _guarded(line: str, training: bool) -> list[str]:
    return ["if TRAINING:", f"    {line}"] if training else [line]


def _constant(value: str) -> str:
    return f"tl.full((1, 1), {value}, tl.float32)"


def _number(value: float) -> str:
    if value != value or abs(value) == float("inf"):
        return f'float("{value}")'
    return repr(float(value))
