"""Sums of products: which products of a step are only ever added, so that a kernel can accumulate them in one place."""

from __future__ import annotations

from dataclasses import dataclass

from recurra.lower.graph import Graph

INNER = ("R", "P", "R_T", "P_T")


@dataclass(slots=True, eq=False)
class Slot:
    """One accumulator: at most one W product, the inner products (several only in gradients), and biases.

    All are places of nodes. The kernel starts from the biases, adds W x for many steps at once, then the inner product.
    """

    width: str
    W: int | None
    inner: tuple[int, ...]
    biases: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sums:
    """terms: place of a sum, or of a lone product -> its slots, and the other nodes that are added to them.
    absorbed: nodes that have become part of a sum and are no values of their own."""

    terms: dict[int, tuple[list[Slot], list[int]]]
    absorbed: set[int]

    def slots(self) -> list[Slot]:
        return [slot for slots, _ in self.terms.values() for slot in slots]


def find_sums(graph: Graph, kept: set[int]) -> Sums:
    """The sums of products in `graph`. Values in `kept` stay values."""
    found = _Finder(graph, kept)
    for at in reversed(range(len(graph.nodes))):
        found.visit(at)
    return Sums(found.terms, found.absorbed)


class _Finder:
    """Walks from the results to the leaves, so that the outermost addition of a sum is met first."""

    def __init__(self, graph: Graph, kept: set[int]) -> None:
        self.nodes = graph.nodes
        self.fixed = kept | set(graph.outputs.values())
        self.users = [0] * len(graph.nodes)
        for node in graph.nodes:
            for argument in node.args:
                self.users[argument] += 1
        self.terms: dict[int, tuple[list[Slot], list[int]]] = {}
        self.absorbed: set[int] = set()

    def visit(self, at: int) -> None:
        node = self.nodes[at]
        if at in self.absorbed:
            return
        if node.kind == "add":
            inside: set[int] = set()
            leaves = self.flatten(at, inside)
            if any(self.is_product(leaf) and self.single(leaf) for leaf in leaves):
                self.absorbed |= inside
                self.terms[at] = self.gather([leaf for leaf in leaves if self.single(leaf)], leaves, node.width)
        elif self.is_product(at):
            self.terms[at] = self.gather([at], [at], node.width)

    def single(self, at: int) -> bool:
        return self.users[at] == 1 and at not in self.fixed

    def is_product(self, at: int) -> bool:
        return self.nodes[at].kind in (*INNER, "W")

    def flatten(self, at: int, inside: set[int]) -> list[int]:
        """The terms of a sum, through additions that serve nothing else."""
        leaves = []
        for argument in self.nodes[at].args:
            node = self.nodes[argument]
            if node.kind == "add" and self.single(argument) and node.width == self.nodes[at].width:
                inside.add(argument)
                leaves += self.flatten(argument, inside)
            else:
                leaves.append(argument)
        return leaves

    def gather(self, free: list[int], leaves: list[int], width: str) -> tuple[list[Slot], list[int]]:
        """Slots for the products among the terms that are free to join, and the rest."""
        Ws = [at for at in free if self.nodes[at].kind == "W"]
        groups = self.groups([at for at in free if self.nodes[at].kind in INNER])
        biases = tuple(at for at in leaves if self.nodes[at].kind in ("b", "b_R"))
        slots = [
            Slot(width, Ws[k] if k < len(Ws) else None, groups[k] if k < len(groups) else (), biases if k == 0 else ())
            for k in range(max(len(Ws), len(groups)))
        ]
        used = {*Ws, *biases, *(at for group in groups for at in group)}
        self.absorbed |= used - set(biases) if len(leaves) > 1 else set()
        return slots, [at for at in leaves if at not in used]

    def groups(self, inner: list[int]) -> list[tuple[int, ...]]:
        """Transposed products of one kind in a sum are one product with a longer argument; others stand alone."""
        transposed = [tuple(at for at in inner if self.nodes[at].kind == kind) for kind in ("R_T", "P_T")]
        return [group for group in transposed if group] + [(at,) for at in inner if self.nodes[at].kind in ("R", "P")]
