"""C++ text of a cell: one small function a stage, and tables that tell the time loop what to do around them.

The text knows nothing of time, threads or instruction sets; `native/recurrent` does, and no cell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from recurra.base.errors import ConfigError
from recurra.cells import Cell
from recurra.lower.graph import Node
from recurra.lower.program import Area, Flow, Outer, Product, Program, Stage, Vectors, build, gate_places

_EXPRESSIONS = (
    {
        "add": "{0} + {1}",
        "sub": "{0} - {1}",
        "mul": "{0} * {1}",
        "div": "{0} / {1}",
        "neg": "-{0}",
        "spread": "{0}",
    }
    | {word: word + "({0})" for word in ("sigmoid", "tanh", "relu", "exp", "log", "sqrt", "log_sigmoid", "log_nonzero")}
    | {"maximum": "maximum({0}, {1})"}
)

# Functions of many dependent instructions. A processor overlaps those of neighbouring units only as far as it looks
# ahead, so a function of a function's result stands in a loop of its own, a few blocks of units later.
_LONG = frozenset(("sigmoid", "tanh", "exp", "log", "log_sigmoid"))
_BLOCKS_AT_ONCE = 8
# What the engine has room for, as in native/recurrent/plan.h and step.h.
MAX_STATES, MAX_AREAS, MAX_STAGES, MAX_PRODUCTS, MAX_SOURCES = 8, 32, 32, 64, 4


def kernel(cell: Cell) -> str:
    """The C++ text of `cell`: a namespace that holds its plan.

    Raises ConfigError if the cell has no kernel.
    """
    forward, backward, outers, flows, to_input = build(cell)
    _refuse_large(cell, forward, backward)
    functions = [*_functions(forward, "forward"), *_functions(backward, "backward")]
    parts = [
        f"// {cell.name}: made from its equations by recurra.lower.kernel.",
        f"namespace cell_{cell.name} {{",
        f"constexpr int VECTORS = {len(forward.vectors.sources)};",
        *functions,
        *_program(forward, "forward"),
        *_program(backward, "backward"),
        *_gradients(outers, flows, to_input, forward.vectors),
        _plan(cell, to_input),
        "}",
    ]
    return "\n".join(parts) + "\n"


def _refuse_large(cell: Cell, forward: Program, backward: Program) -> None:
    """Raise ConfigError for a cell of more parts than the engine has room for."""
    programs = (forward, backward)
    counts = {
        "states": (len(cell.states), MAX_STATES),
        "values that wait for a product": (max(len(p.areas) for p in programs), MAX_AREAS),
        "products one after the other": (max(len(p.stages) for p in programs), MAX_STAGES),
        "products": (max(sum(len(stage.products) for stage in p.stages) for p in programs), MAX_PRODUCTS),
        "products of one bias": (max((len(each) for each in forward.vectors.sources), default=0), MAX_SOURCES),
    }
    for what, (count, most) in counts.items():
        if count > most:
            raise ConfigError(f"cell '{cell.name}': has {count} {what}, and the engine has room for {most}.")


def kernels(cells: Iterable[Cell]) -> str:
    """The text of several cells, and a table of their plans by name."""
    cells = list(cells)
    names = ", ".join(f"&cell_{c.name}::plan" for c in cells)
    return "\n".join([*(kernel(c) for c in cells), f"constexpr const Plan* PLANS[] = {{{names}}};", ""])


def fingerprint(cell: Cell) -> str:
    """A name for what the cell computes: equal text, equal fingerprint."""
    return hashlib.sha256(kernel(cell).encode()).hexdigest()[:16]


# Functions


def _functions(program: Program, name: str) -> list[str]:
    return [line for k, stage in enumerate(program.stages) for line in _Function(program, stage).text(f"{name}_{k}")]


class _Function:
    """Writes the unit-wise arithmetic of one stage: a loop over rows, and in it loops over blocks of units."""

    def __init__(self, program: Program, stage: Stage) -> None:
        self.program, self.stage, self.nodes = program, stage, program.graph.nodes
        self.row: list[str] = []
        self.loops: list[list[str]] = [[]]
        self.known: set[tuple[int, int]] = set()
        self.carried: list[int] = []
        self.depths: dict[int, int] = {}
        self.areas: set[int] = set()

    def text(self, name: str) -> list[str]:
        """The function, one line an element."""
        before, after = self.sums()
        for at in (*self.stage.nodes, *(at for at, _, _ in self.stage.stores)):
            self.need(at, self.loop(at))  # all loads stand before the stores, which may be to the same memory
        for at, place, training in self.stage.stores:
            self.write(at, place, training)
        pointers = [f"        float* a{k} = b.area[{k}] + r * b.stride[{k}];" for k in sorted(self.areas)]
        return [
            "template <bool TRAINING>",
            f"void {name}(const Block& b) {{",
            "    for (long r = 0; r < b.rows; ++r) {",
            *pointers,
            *(f"        {line}" for line in (*self.row, *before)),
            *(f"        {line}" for line in self.unit_loops()),
            *(f"        {line}" for line in after),
            "    }",
            "}",
        ]

    def unit_loops(self) -> list[str]:
        """The loops over blocks of units: one, or several that take turns."""
        left = "    [[maybe_unused]] const long left = b.units - static_cast<long>(u) * VL;"
        if not any(self.loops):
            return []
        if len(self.loops) == 1:
            return ["for (int u = b.u0; u < b.u1; ++u) {", left, *(f"    {line}" for line in self.loops[0]), "}"]
        carried = ", ".join(f"c{at}[{_BLOCKS_AT_ONCE}]" for at in self.carried)
        text = [
            f"for (int from = b.u0; from < b.u1; from += {_BLOCKS_AT_ONCE}) {{",
            f"    const int to = from + {_BLOCKS_AT_ONCE} < b.u1 ? from + {_BLOCKS_AT_ONCE} : b.u1;",
            *([f"    V {carried};"] if carried else []),
        ]
        for lines in self.loops:
            loop = ["for (int u = from; u < to; ++u) {", left, *(f"    {line}" for line in lines), "}"]
            text += [f"    {line}" for line in loop]
        return [*text, "}"]

    def loop(self, at: int) -> int:
        """The loop that makes a node: how many long functions its value waits for, without the last.

        There is only one where deltas are written over what the other loops would read.
        """
        return 0 if any(a.over_kept for a in self.program.areas) else max(self.depth(at) - 1, 0)

    def depth(self, at: int) -> int:
        """The most long functions on a way to a node inside the stage."""
        if at not in self.depths:
            node, arguments = self.nodes[at], self.arguments(at)
            own = bool(arguments) and node.kind in _LONG
            self.depths[at] = max((self.depth(a) for a in arguments), default=0) + own
        return self.depths[at]

    def arguments(self, at: int) -> tuple[int, ...]:
        """What the stage computes a node from: nothing if it is loaded."""
        node, program = self.nodes[at], self.program
        if not program.is_value(at) or (node.width == "1" and node.kind in ("mean", "sum")):
            return ()
        if node.width != "1" and program.level[at] < self.stage.level:
            return ()
        return tuple(program.sums.terms[at][1]) if at in program.sums.terms else tuple(node.args)

    def sums(self) -> tuple[list[str], list[str]]:
        """Lines before and after the loops over units, for means and sums."""
        before, after = [], []
        for at, (area, k) in self.stage.sums:
            summed = self.nodes[at].args[0]
            argument = self.need(summed, self.loop(summed))
            before.append(f"V s{at} = V{{}};")
            self.loops[self.loop(summed)].append(f"s{at} += tail({argument}, left);")
            mean = " / static_cast<float>(b.units)" if self.nodes[at].kind == "mean" else ""
            after.append(f"{self.pointer(area)}[{k}] = lane_sum(s{at}){mean};")
        return before, after

    def pointer(self, area: int) -> str:
        self.areas.add(area)
        return f"a{area}"

    def vector(self, area: int, k: int) -> str:
        """The address of a vector of this block of units."""
        count = self.program.areas[area].count
        block = "u" if count == 1 else f"(u * {count} + {k})" if k else f"u * {count}"
        return f"{self.pointer(area)} + {block} * VL"

    def write(self, at: int, place: tuple[int, int], training: bool) -> None:
        area, k = place
        loop = self.loop(at)
        value, kind = self.need(at, loop), self.program.areas[area].kind
        guard = "if constexpr (TRAINING) " if training else ""
        if self.program.areas[area].width == "1":
            self.row.append(f"{guard}{self.pointer(area)}[{k}] = {value}[0];")
            return
        if kind == "delta":
            value = f"tail({value}, left)"
        if kind == "sum":
            value = f"load({self.vector(area, k)}) + {value}"
        self.loops[loop].append(f"{guard}store({self.vector(area, k)}, {value});")

    def need(self, at: int, loop: int) -> str:
        """The name of a node's value in a loop, after the lines that make it."""
        name, node = f"n{at}", self.nodes[at]
        of_row = node.width == "1"
        if (at, 0 if of_row else loop) in self.known:
            return name
        self.known.add((at, 0 if of_row else loop))
        while len(self.loops) <= loop:
            self.loops.append([])
        made = self.loop(at)
        if not of_row and made < loop and self.arguments(at):
            self.need(at, made)
            if at not in self.carried:
                self.carried.append(at)
                self.loops[made].append(f"c{at}[u - from] = {name};")
            self.loops[loop].append(f"const V {name} = c{at}[u - from];")
            return name
        line = f"const V {name} = {self.expression(at, node, loop)};"
        (self.row if of_row else self.loops[loop]).append(line)
        return name

    def expression(self, at: int, node: Node, loop: int) -> str:
        program = self.program
        reduced = node.kind in ("mean", "sum")
        if node.width == "1" and (reduced or node.kind == "forward"):
            area, k = program.where[at][0]
            return f"splat({self.pointer(area)}[{k}])"
        if not program.is_value(at):
            return self.leaf(at, node)
        if node.width != "1" and program.level[at] < self.stage.level:
            return f"load({self.vector(*program.where[at][0])})"
        if at in program.sums.terms:
            slots, rest = program.sums.terms[at]
            terms = [f"load({self.vector(*program.slot_place[id(s)])})" for s in slots]
            return " + ".join(terms + [self.need(k, loop) for k in rest])
        if node.kind == "div" and node.width != "1" and self.nodes[node.args[1]].width == "1":
            return f"{self.need(node.args[0], loop)} * {self.inverse(node.args[1])}"
        if node.kind == "step":
            return f"step({self.need(node.args[0], loop)}, {_number(node.value)})"
        return _EXPRESSIONS[node.kind].format(*(self.need(a, loop) for a in node.args))

    def inverse(self, at: int) -> str:
        """The name of 1 / a row's value: to divide each unit's number takes much longer than to multiply it."""
        name, value = f"i{at}", self.need(at, 0)
        line = f"const V {name} = splat(1.0f) / {value};"
        if line not in self.row:
            self.row.append(line)
        return name

    def leaf(self, at: int, node: Node) -> str:
        program = self.program
        match node.kind:
            case "const":
                return f"splat({_number(node.value)})"
            case "units":
                return "splat(static_cast<float>(b.units))"
            case "state" | "adjoint":
                return f"load({self.vector(program.area('in', node.width, program.cell.states.index(node.name)), 0)})"
            case "forward":
                return f"load({self.vector(*program.where[at][0])})"
        sources = gate_places(program.cell)[node.kind, node.name]
        k, area = program.vectors.place(sources), program.area("parameter", "H")
        return f"load({self.pointer(area)} + (u * VECTORS + {k}) * VL)"


def _number(value: float) -> str:
    return f"{value!r}f" if value == value and abs(value) != float("inf") else "__builtin_inff()"


# Tables


_WIDTH = {"H": "UNITS", "P": "PROJECTED", "1": "ONE"}


def _array(kind: str, name: str, items: list[str]) -> str:
    return f"constexpr {kind} {name}[] = {{{', '.join(items) if items else '{}'}}};"


def _program(program: Program, name: str) -> list[str]:
    lines, stages = [], []
    for k, stage in enumerate(program.stages):
        lines += _products(stage.products, f"{name}_{k}")
        functions = f"{name}_{k}<false>, {name}_{k}<true>"
        stages.append(f"{{{_WIDTH[stage.width]}, {name}_{k}_products, {len(stage.products)}, {functions}}}")
    whole = "true" if any(stage.sums for stage in program.stages) else "false"
    return [
        *lines,
        _array("Area", f"{name}_areas", [_area(a) for a in program.areas]),
        _array("Stage", f"{name}_stages", stages),
        f"constexpr Program {name} = {{{name}_areas, {len(program.areas)}, {name}_stages, {len(stages)}, {whole}}};",
    ]


def _area(a: Area) -> str:
    flags = ", ".join(str(flag).lower() for flag in (a.over_kept, a.of_row))
    return f"{{Area::{a.kind.upper()}, {a.index}, {_WIDTH[a.width]}, {a.count}, {flags}}}"


def _products(products: list[Product], name: str) -> list[str]:
    lines = []
    for k, p in enumerate(products):
        lines.append(_array("int", f"{name}_gates_{k}", [str(g) for g in p.gates]))
        lines.append(_array("int", f"{name}_starts_{k}", [str(s) for s in p.starts]))
    made = [
        f"{{{p.weight}, {'true' if p.transposed else 'false'}, {p.area}, {p.first}, {p.columns}, "
        f"{name}_gates_{k}, {len(p.gates)}, {name}_starts_{k}, {p.argument[0]}, {p.argument[1]}}}"
        for k, p in enumerate(products)
    ]
    return [*lines, _array("Product", f"{name}_products", made)]


def _gradients(outers: list[Outer], flows: list[Flow], to_input: Product | None, vectors: Vectors) -> list[str]:
    lines = _products([to_input] if to_input else [], "to_input")
    for k, o in enumerate(outers):
        lines.append(_array("int", f"outer_gates_{k}", [str(g) for g in o.gates]))
    lines.append(
        _array(
            "Outer",
            "outers",
            [
                f"{{{o.weight}, outer_gates_{k}, {len(o.gates)}, {o.delta[0]}, {o.delta[1]}, {o.argument}}}"
                for k, o in enumerate(outers)
            ],
        )
    )
    lines.append(_array("Flow", "flows", [f"{{{f.place[0]}, {f.place[1]}, {_sources(f.targets)}}}" for f in flows]))
    lines.append(_array("Sources", "vectors", [_sources(s) for s in vectors.sources]))
    lines.append(
        f"constexpr int num_outers = {len(outers)}, num_flows = {len(flows)}, num_vectors = {len(vectors.sources)};"
    )
    return lines


def _sources(sources: tuple[tuple[int, int], ...]) -> str:
    items = ", ".join(f"{{{p}, {g}}}" for p, g in sources)
    return f"{{{len(sources)}, {{{items}}}}}"


def _plan(cell: Cell, to_input: Product | None) -> str:
    widths = ", ".join(_WIDTH[cell.size(s)] for s in cell.states)
    input_product = "to_input_products" if to_input else "nullptr"
    return (
        f'constexpr Plan plan = {{PLAN_VERSION, "{cell.name}", {len(cell.states)}, {{{widths}}}, forward, backward, '
        f"vectors, num_vectors, outers, num_outers, flows, num_flows, {input_product}}};"
    )
