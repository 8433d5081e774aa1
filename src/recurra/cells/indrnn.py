"""The independently recurrent network."""

from __future__ import annotations

from recurra.cells.language import Parameters, Value, cell, relu


@cell(paper="Li, Li, Cook, Zhu & Gao 2018, arXiv:1803.04831, eq. 2")
def indrnn(x: Value, h: Value, p: Parameters) -> Value:
    """Independently recurrent network: each unit sees only its own past, so very long sequences can be trained."""
    return relu(p.W("h", x) + p.v("h") * h + p.b("h"))
