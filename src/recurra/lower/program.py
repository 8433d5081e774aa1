"""A step, cut into stages for a kernel: products first, then unit-wise arithmetic on blocks of units.

A stage ends where something must be complete over all units before the next can begin: a product's argument, or a
mean. Memory is a list of areas; an area holds, for each row and each block of units, `count` vectors side by side.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cache

from recurra.base.errors import ConfigError
from recurra.cells import Cell
from recurra.lower.gradient import gradient
from recurra.lower.graph import PARAMETER_LEAVES, Graph, Node
from recurra.lower.parameters import layout, recurrent_width
from recurra.lower.sums import Slot, find_sums
from recurra.lower.trace import trace

# The packed parameters that a kernel is given, by number.
PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr", "weight_v", "gain")
WEIGHT = {"W": 0, "R": 1, "P": 4}
FIRST_STATE, INPUT = -1, -2  # arguments of products that are no area
FROM_MEMORY, FROM_ZERO = -1, -2  # where a product's sums start, if from no bias

# A sum of blocks of parameters: (number of the parameter, place of the gate in it).
Sources = tuple[tuple[int, int], ...]
# An area and a vector in it.
Place = tuple[int, int]


@dataclass(slots=True)
class Area:
    """kind: slot | in | out | argument | keep | old | new | scratch | parameter | delta | sum.

    index: which one of its kind.
    old, new: the first state before and after the step, for the gradient, which reads them in the layer's output.

    over_kept: these deltas are written over the values that the forward pass kept, which nobody reads any more.
    of_row: scratch that stages without a product between them use: they go row by row, and one row serves all.
    """

    kind: str
    index: int
    width: str
    count: int = 0
    over_kept: bool = False
    of_row: bool = False


@dataclass(frozen=True, slots=True)
class Product:
    """One GEMM into vectors `first` .. `first + columns` of each block of an area.

    weight:   number of the parameter; transposed: the argument runs over the gates, not the columns
    gates:    places of the gates in the parameter, one a column; or one a vector of the argument, if transposed
    starts:   per column, the parameter vector that the sums start from, FROM_MEMORY or FROM_ZERO
    argument: area and first vector, or (FIRST_STATE, 0), (INPUT, 0)
    """

    weight: int
    transposed: bool
    area: int
    first: int
    columns: int
    gates: tuple[int, ...]
    starts: tuple[int, ...]
    argument: Place


@dataclass(frozen=True, slots=True)
class Outer:
    """A weight's gradient: the vectors from `delta` on, one a gate, times the argument, summed over steps and rows."""

    weight: int
    gates: tuple[int, ...]
    delta: Place
    argument: int


@dataclass(frozen=True, slots=True)
class Flow:
    """A parameter vector's gradient: a place that is summed over steps and rows, for each of the targets."""

    place: Place
    targets: Sources


@dataclass(slots=True)
class Stage:
    """nodes: places of what it computes; stores: (node, place, only if training); sums: (node, place) over units."""

    level: int
    width: str
    products: list[Product] = field(default_factory=list)
    nodes: list[int] = field(default_factory=list)
    stores: list[tuple[int, Place, bool]] = field(default_factory=list)
    sums: list[tuple[int, Place]] = field(default_factory=list)


@dataclass(slots=True)
class Vectors:
    """The parameter vectors of a cell, forward and backward: one area of blocks, packed once a call."""

    sources: list[Sources] = field(default_factory=list)

    def place(self, sources: Sources) -> int:
        if sources not in self.sources:
            self.sources.append(sources)
        return self.sources.index(sources)


class Program:
    """One direction of a cell's step. `kept`: nodes that must be stored for the other direction."""

    def __init__(self, cell: Cell, graph: Graph, kept: Sequence[int], vectors: Vectors) -> None:
        self.cell, self.graph, self.vectors = cell, graph, vectors
        self.sums = find_sums(graph, set(kept))
        self.areas: list[Area] = []
        self.stages: list[Stage] = []
        self.slot_place: dict[int, Place] = {}  # by identity of the slot
        self.where: dict[int, list[Place]] = {}  # stored nodes
        self.argument: dict[tuple[str, int], Place] = {}  # by kind of product: dropout masks those of R in place
        self.level: dict[int, int] = {}
        for at in range(len(graph.nodes)):
            self.level[at] = self._level_of(at)

    def area(self, kind: str, width: str, index: int = 0, *, count: int = 0) -> int:
        """The number of an area, which is added if it is new."""
        for at, a in enumerate(self.areas):
            if (a.kind, a.width, a.index) == (kind, width, index):
                return at
        self.areas.append(Area(kind, index, width, count))
        return len(self.areas) - 1

    def vector(self, kind: str, width: str, index: int = 0) -> Place:
        """A new vector at the end of each block of an area."""
        at = self.area(kind, width, index)
        self.areas[at].count += 1
        return at, self.areas[at].count - 1

    def stage(self, level: int, width: str) -> Stage:
        """The stage that computes units of `width` at `level`; one number a row is computed with the units."""
        width = "H" if width == "1" else width
        for stage in self.stages:
            if (stage.level, stage.width) == (level, width):
                return stage
        made = Stage(level, width)
        self.stages.append(made)
        self.stages.sort(key=lambda s: (s.level, s.width))
        return made

    def slot_level(self, slot: Slot) -> int:
        """The stage that a slot's products open: their arguments are complete."""
        arguments = [self.graph.nodes[at].args[0] for at in slot.inner]
        return max((self.level[a] + (not self.is_first_state(a)) for a in arguments), default=0)

    def is_first_state(self, at: int) -> bool:
        """Whether a node is the first state's old value, which the time loop holds ready as an argument."""
        node = self.graph.nodes[at]
        return node.kind == "state" and node.name == self.cell.states[0]

    def _level_of(self, at: int) -> int:
        node = self.graph.nodes[at]
        if at in self.sums.terms:
            slots, rest = self.sums.terms[at]
            return max([self.slot_level(s) for s in slots] + [self.level[k] for k in rest])
        below = max((self.level[a] for a in node.args), default=0)
        return below + (node.kind in ("mean", "sum"))

    def is_value(self, at: int) -> bool:
        """Whether a node is computed by a stage (no leaf, no part of a sum)."""
        return bool(self.graph.nodes[at].args) and at not in self.sums.absorbed

    def arguments(self, at: int) -> list[int]:
        """The nodes that must be at hand to compute node `at`: for a sum, those beside its slots."""
        return self.sums.terms[at][1] if at in self.sums.terms else list(self.graph.nodes[at].args)

    def store(self, at: int, place: Place, *, training: bool = False) -> None:
        """Write node `at` to memory, in the stage that computes it."""
        if self.areas[place[0]].kind != "argument":
            self.where.setdefault(at, []).append(place)
        self.stage(self.level[at], self.graph.nodes[at].width).stores.append((at, place, training))

    def place_stages(self, kept: Collection[int] = ()) -> None:
        """Give every value its stage, reductions their numbers, and values that a later stage reads a place.

        kept: nodes that stay for the gradient; others stand in scratch memory, which the next step writes over
        """
        cross = {at: "keep" if at in kept else "scratch" for at in range(len(self.graph.nodes))}
        nodes = self.graph.nodes
        for at, node in enumerate(nodes):
            if not self.is_value(at):
                continue
            if node.kind in ("mean", "sum"):
                place = self.vector(cross[at], "1")
                self.where[at] = [place]
                argument = node.args[0]
                self.stage(self.level[argument], nodes[argument].width).sums.append((at, place))
            elif node.width != "1":
                self.stage(self.level[at], node.width).nodes.append(at)
        for at, node in enumerate(nodes):
            if self.is_value(at) and node.width != "1":
                for a in self.arguments(at):
                    late = self.is_value(a) and nodes[a].width != "1" and self.level[a] < self.level[at]
                    if late and a not in self.where:
                        self.store(a, self.vector(cross[a], nodes[a].width))


def build(cell: Cell) -> tuple[Program, Program, list[Outer], list[Flow], Product | None]:
    """Forward and backward programs of a cell, its parameters' gradients, and the product that gives dL/dx.

    Raises ConfigError if the kernels' language cannot say the cell; the reference executor runs it then.
    """
    check_supported(cell)
    vectors = Vectors()
    forward, kept = forward_program(cell, vectors)
    backward, outers, flows, to_input = backward_program(cell, forward, kept, vectors)
    for program in (forward, backward):
        program.area("parameter", "H")
        _mark_rows(program)
    return forward, backward, outers, flows, to_input


def _mark_rows(program: Program) -> None:
    """Mark the scratch of which each value is read before the next product."""
    runs: list[int] = []  # by stage: how many stages up to it multiply more than the input
    for stage in program.stages:
        runs.append((runs[-1] if runs else 0) + any(p.argument[0] != INPUT for p in stage.products))
    used: dict[int, set[int]] = {}
    for stage, run in zip(program.stages, runs, strict=True):
        for place in (*_read(program, stage), *(p for _, p, _ in stage.stores), *(p for _, p in stage.sums)):
            used.setdefault(place[0], set()).add(run)
    for at, area in enumerate(program.areas):
        area.of_row = area.kind == "scratch" and len(used.get(at, ())) == 1


def forward_program(cell: Cell, vectors: Vectors) -> tuple[Program, dict[int, Place]]:
    """The step itself, and where each value of the tape is."""
    graph, tape = trace(cell), gradient(cell).tape
    program = Program(cell, graph, tape, vectors)
    for index, name in enumerate(cell.states):
        program.area("in", cell.size(name), index, count=1)
    _place_slots(program)
    program.place_stages(tape)
    kept: dict[int, Place] = {}
    told = {graph.outputs[cell.states[0]]: "new"} | {at: "old" for at in tape if program.is_first_state(at)}
    for at in tape:
        if at not in program.where and at in told:
            program.where[at] = [(program.area(told[at], graph.nodes[at].width, count=1), 0)]
        if at not in program.where:
            program.store(at, program.vector("keep", graph.nodes[at].width), training=True)
        kept[at] = program.where[at][0]
    for index, (name, at) in enumerate(graph.outputs.items()):
        program.store(at, (program.area("out", cell.size(name), index, count=1), 0))
    return program, kept


def _place_slots(program: Program) -> None:
    """Slots of one stage whose products share their argument lie together: inner products first, W last."""
    nodes = program.graph.nodes
    groups: dict[tuple[int, str, str, int], list[Slot]] = {}
    for slot in sorted(program.sums.slots(), key=lambda s: min(_gates_at(s))):
        if slot.inner:
            node = nodes[slot.inner[0]]
            groups.setdefault((program.slot_level(slot), node.kind, slot.width, node.args[0]), []).append(slot)
    alone = [s for s in sorted(program.sums.slots(), key=lambda s: min(_gates_at(s))) if not s.inner]
    first = min((key for key in groups if key[2] == "H"), default=None)
    if first is None:
        first = (0, "W", "H", 0)
        groups[first] = []
    groups[first] += alone
    for index, (key, slots) in enumerate(sorted(groups.items())):
        _place_group(program, index, key, sorted(slots, key=lambda s: (s.W is not None) + (not s.inner)))


def _gates_at(slot: Slot) -> tuple[int, ...]:
    return slot.inner if slot.W is None else (slot.W, *slot.inner)


def _place_group(program: Program, index: int, key: tuple[int, str, str, int], slots: list[Slot]) -> None:
    level, kind, width, argument = key
    area = program.area("slot", width, index, count=len(slots))
    for k, slot in enumerate(slots):
        program.slot_place[id(slot)] = (area, k)
    places = gate_places(program.cell)
    name = [[program.graph.nodes[at].name for at in _gates_at(s)] for s in slots]
    starts = [_start(program, s) for s in slots]
    inner = [k for k, s in enumerate(slots) if s.inner]
    Ws = [k for k, s in enumerate(slots) if s.W is not None]
    if Ws:
        gates = tuple(places["W", name[k][0]][0][1] for k in Ws)
        hoisted = Product(0, False, area, Ws[0], len(Ws), gates, tuple(starts[k] for k in Ws), (INPUT, 0))
        program.stage(0, "H").products.insert(0, hoisted)
    if inner:
        gates = tuple(places[kind, name[k][-1]][0][1] for k in inner)
        begin = tuple(FROM_MEMORY if slots[k].W is not None else starts[k] for k in inner)
        where = (FIRST_STATE, 0) if program.is_first_state(argument) else _argument(program, kind, argument)
        made = Product(WEIGHT[kind], False, area, inner[0], len(inner), gates, begin, where)
        program.stage(level, width).products.append(made)


def _argument(program: Program, kind: str, at: int) -> Place:
    """The place of a product's argument that a stage computes: an area of its own, plain rows."""
    if (kind, at) not in program.argument:
        place = (program.area("argument", program.graph.nodes[at].width, len(program.argument), count=1), 0)
        program.argument[kind, at] = place
        program.store(at, place)
    return program.argument[kind, at]


def _start(program: Program, slot: Slot) -> int:
    """The parameter vector that a slot's sum starts from: all its biases together."""
    if not slot.biases:
        return FROM_ZERO
    nodes, places = program.graph.nodes, gate_places(program.cell)
    return program.vectors.place(tuple(s for at in slot.biases for s in places[nodes[at].kind, nodes[at].name]))


def backward_program(
    cell: Cell, forward: Program, kept: dict[int, Place], vectors: Vectors
) -> tuple[Program, list[Outer], list[Flow], Product | None]:
    """The gradient of the step, and how the parameters' gradients are summed up from what it leaves."""
    graph = gradient(cell).graph
    flows = {name: at for name, at in graph.outputs.items() if name[:2] in ("W:", "R:", "P:")}
    program = Program(cell, graph, [n.args[0] for n in graph.nodes if n.kind in ("R_T", "P_T")], vectors)
    for index, name in enumerate(cell.states):
        program.area("in", cell.size(name), index, count=1)
    for at, node in enumerate(graph.nodes):
        if node.kind == "forward":
            kind_area = forward.areas[kept[int(node.value)][0]]
            area = program.area(kind_area.kind, kind_area.width, count=kind_area.count)
            program.where[at] = [(area, kept[int(node.value)][1])]
    runs = _place_deltas(program, flows)
    program.place_stages()
    for index, name in enumerate(cell.states):
        out = (program.area("out", cell.size(name), index, count=1), 0)
        if f"state:{name}" in graph.outputs:
            program.store(graph.outputs[f"state:{name}"], out)
    outers, to_input = _outers(program, forward, runs)
    vector_flows = _vector_flows(program)
    _write_over_kept(program, forward)
    return program, outers, vector_flows, to_input


# A run: (kind of the weights, names of the gates) -> the place of its first delta, and the gates in memory order.
Runs = dict[tuple[str, tuple[str, ...]], tuple[Place, tuple[str, ...]]]


def _place_deltas(program: Program, flows: dict[str, int]) -> Runs:
    """Lay the gradients into products side by side, so that each product with transposed weights finds its argument in
    one run, and each weight's gradient too. Those of W and R are mostly the same values and then lie there once."""
    transposed = [s for s in program.sums.slots() if s.inner]
    transposed.sort(key=program.slot_level)
    wanted: list[tuple[str, tuple[str, ...]]] = [("W", tuple(n[2:] for n in flows if n.startswith("W:")))]
    for slot in transposed:
        kind = program.graph.nodes[slot.inner[0]].kind[0]
        wanted.append((kind, tuple(program.graph.nodes[at].name for at in slot.inner)))
    lonely = {name for name in flows if not any(name[0] == k and name[2:] in gates for k, gates in wanted)}
    wanted += [(name[0], (name[2:],)) for name in sorted(lonely)]
    elements = {key: [(flows[f"{key[0]}:{gate}"], gate) for gate in key[1]] for key in wanted if key[1]}
    runs: Runs = {}
    for width in ("H", "P"):
        mine = {k: e for k, e in elements.items() if ("P" if k[0] == "P" else "H") == width}
        if mine:
            runs |= _runs(program, width, mine)
    for index, slot in enumerate(transposed):
        _place_transposed(program, index, slot, runs)
    return runs


def _runs(program: Program, width: str, wanted: dict[tuple[str, tuple[str, ...]], list[tuple[int, str]]]) -> Runs:
    order = _order([[at for at, _ in e] for e in wanted.values()])
    found: Runs = {}
    area = program.area("delta", width)
    for key, elements in wanted.items():
        nodes = [at for at, _ in elements]
        start = _window(order, nodes)
        if start is None:
            start = len(order)
            order += nodes
        names = dict(elements)
        repeated = len(names) < len(elements)
        gates = (
            tuple(g for _, g in elements) if repeated else tuple(names[at] for at in order[start : start + len(nodes)])
        )
        found[key] = ((area, start), gates)
    program.areas[area].count = len(order)
    for k, at in enumerate(order):
        program.where.setdefault(at, []).append((area, k))
        program.stage(program.level[at], width).stores.append((at, (area, k), False))
    return found


def _order(lists: list[list[int]]) -> list[int]:
    """W's own deltas in the middle, what it shares with the first two other products beside them, theirs outside."""
    W, first, second = (*lists, [], [])[:3]
    shared_1, shared_2 = [a for a in first if a in W], [a for a in second if a in W and a not in first]
    middle = [a for a in W if a not in first and a not in second]
    own_1, own_2 = [a for a in first if a not in W], [a for a in second if a not in W and a not in first]
    return list(dict.fromkeys([*own_1, *shared_1, *middle, *shared_2, *own_2]))


def _window(order: list[int], nodes: list[int]) -> int | None:
    """Where `nodes` lie side by side in `order`, in any order."""
    for start in range(len(order) - len(nodes) + 1):
        if sorted(order[start : start + len(nodes)]) == sorted(nodes):
            return start
    return None


def _write_over_kept(program: Program, forward: Program) -> None:
    """Let deltas take the memory of kept values of their width: half the memory, and lines that are in cache already.

    A delta may stand where a value is that no stage after its own reads; within a stage, loads come first. So what is
    read last is kept last.
    """
    for delta in [a for a in program.areas if a.kind == "delta"]:
        for at, keep in enumerate(program.areas):
            if (keep.kind, keep.width) == ("keep", delta.width) and keep.count >= delta.count:
                written = [_first_written(program, (program.areas.index(delta), k)) for k in range(delta.count)]
                read = [_last_read(program, (at, k)) for k in range(keep.count)]
                order = _order_of_kept(written, read)
                if order is not None:
                    _reorder(program, at, order)
                    _reorder(forward, _area_like(forward, keep), order)
                    delta.count, delta.over_kept = keep.count, True


def _first_written(program: Program, place: Place) -> int:
    return min(k for k, stage in enumerate(program.stages) if any(p == place for _, p, _ in stage.stores))


def _last_read(program: Program, place: Place) -> int:
    return max((k for k, stage in enumerate(program.stages) if place in _read(program, stage)), default=-1)


def _order_of_kept(written: list[int], read: list[int]) -> list[int] | None:
    """The kept values in an order in which delta k is written no earlier than value k is read last; None if none is."""

    def fits(order: list[int]) -> bool:
        return all(read[at] <= stage for at, stage in zip(order, written, strict=False))

    if fits(same := list(range(len(read)))):
        return same
    early, places = sorted(same, key=lambda at: read[at]), sorted(range(len(written)), key=lambda k: written[k])
    order = [early[places.index(k)] for k in range(len(written))] + early[len(written) :]
    return order if fits(order) else None


def _area_like(program: Program, area: Area) -> int:
    return next(
        k for k, a in enumerate(program.areas) if (a.kind, a.width, a.index) == (area.kind, area.width, area.index)
    )


def _reorder(program: Program, area: int, order: list[int]) -> None:
    """Give the vectors of an area, and all that says where they are, another order: the old number by the new."""
    new = {(area, old): (area, k) for k, old in enumerate(order)}
    for places in program.where.values():
        places[:] = [new.get(place, place) for place in places]
    for stage in program.stages:
        stage.stores = [(at, new.get(place, place), training) for at, place, training in stage.stores]


def _read(program: Program, stage: Stage) -> set[Place]:
    """Where a stage's function loads what the forward pass or an earlier stage left."""
    found: set[Place] = set()
    seen: set[int] = set()
    nodes = program.graph.nodes
    rest = [*stage.nodes, *(at for at, _, _ in stage.stores), *(nodes[at].args[0] for at, _ in stage.sums)]
    while rest:
        at = rest.pop()
        if at in seen:
            continue
        seen.add(at)
        of_row = nodes[at].width == "1"
        earlier = program.is_value(at) and not of_row and program.level[at] < stage.level
        if nodes[at].kind == "forward" or earlier or (of_row and nodes[at].kind in ("mean", "sum")):
            found.add(program.where[at][0])
        else:
            rest += program.arguments(at)
    return found


def _place_transposed(program: Program, index: int, slot: Slot, runs: Runs) -> None:
    node = program.graph.nodes[slot.inner[0]]
    kind = node.kind[0]
    place, gates = runs[kind, tuple(program.graph.nodes[at].name for at in slot.inner)]
    area = program.area("slot", slot.width, index, count=1)
    program.slot_place[id(slot)] = (area, 0)
    numbers = tuple(gate_places(program.cell)[kind, g][0][1] for g in gates)
    made = Product(WEIGHT[kind], True, area, 0, 1, numbers, (FROM_ZERO,), place)
    program.stage(program.slot_level(slot), slot.width).products.append(made)


def _outers(program: Program, forward: Program, runs: Runs) -> tuple[list[Outer], Product | None]:
    places = gate_places(program.cell)
    argument = {}
    for node in forward.graph.nodes:
        if node.kind in ("R", "P"):
            first = forward.is_first_state(node.args[0])
            argument[node.kind, node.name] = FIRST_STATE if first else _argument(forward, node.kind, node.args[0])[0]
    outers, to_input = [], None
    for (kind, _), (place, gates) in runs.items():
        numbers = tuple(places[kind, g][0][1] for g in gates)
        if kind == "W":
            outers.append(Outer(0, numbers, place, INPUT))
            to_input = Product(0, True, -1, 0, 1, numbers, (FROM_ZERO,), place)
            continue
        for k, gate in enumerate(gates):
            same = outers and outers[-1].weight == WEIGHT[kind] and outers[-1].argument == argument[kind, gate]
            if same and (outers[-1].delta[0], outers[-1].delta[1] + len(outers[-1].gates)) == (place[0], place[1] + k):
                last = outers.pop()
                outers.append(Outer(last.weight, (*last.gates, numbers[k]), last.delta, last.argument))
            else:
                outers.append(Outer(WEIGHT[kind], (numbers[k],), (place[0], place[1] + k), argument[kind, gate]))
    return outers, to_input


def _vector_flows(program: Program) -> list[Flow]:
    """Gradients of biases, diagonal weights and gains: most are deltas that are there anyway."""
    found = []
    for name, at in program.graph.outputs.items():
        kind, gate = name.split(":", 1)
        if kind in PARAMETER_LEAVES:
            deltas = [p for p in program.where.get(at, []) if program.areas[p[0]].kind in ("delta", "sum")]
            if not deltas:
                deltas = [program.vector("sum", "H")]
                program.store(at, deltas[0])
            found.append(Flow(deltas[0], gate_places(program.cell)[kind, gate]))
    return found


@cache
def gate_places(cell: Cell) -> dict[tuple[str, str], Sources]:
    """(kind, gate) -> the blocks of parameters that it means; two biases that are added are two."""
    found: dict[tuple[str, str], Sources] = {}
    for p in layout(cell):
        for place, gate in enumerate(p.gates):
            found[p.kind, gate] = ((PARAMETERS.index(p.name), place),)
    own = {n.name for n in trace(cell).nodes if n.kind == "b_R"}
    for kind, gate in list(found):
        if kind == "b_R" and gate not in own:
            found["b", gate] += found.pop((kind, gate))
    return found


def check_supported(cell: Cell) -> None:
    """Raise ConfigError if a value has a form that the kernels lack."""
    if recurrent_width(cell) != cell.size(cell.states[0]):
        raise ConfigError(f"cell '{cell.name}': its recurrent products are not of the width of its first state.")
    for graph in (trace(cell), gradient(cell).graph):
        for node in graph.nodes:
            if node.kind in ("mean", "sum") and _width(graph, node.args[0]) != "H":
                raise ConfigError(f"cell '{cell.name}': a mean over anything but H units has no kernel.")


def _width(graph: Graph, at: int) -> str:
    node: Node = graph.nodes[at]
    return node.width
