"""The minimal gated unit."""

from __future__ import annotations

from recurra.cells.language import Parameters, Value, cell, sigmoid, tanh


@cell(paper="Zhou, Wu, Zhang & Zhou 2016, arXiv:1603.09420, eq. 6")
def mgu(x: Value, h: Value, p: Parameters) -> Value:
    """Minimal gated unit: one gate both resets and updates; a third fewer parameters than a GRU."""
    f = sigmoid(p.W("f", x) + p.R("f", h) + p.b("f"))
    n = tanh(p.W("n", x) + p.R("n", f * h) + p.b("n"))
    return (1 - f) * h + f * n
