"""Gated recurrent units: reset after the product, before it, and without a reset gate."""

from __future__ import annotations

from recurra.cells.language import Parameters, Value, cell, sigmoid, tanh


@cell(paper="Cho et al. 2014, arXiv:1406.1078v1; the form of cuDNN and torch", bias_pair=True)
def gru(x: Value, h: Value, p: Parameters) -> Value:
    """Gated recurrent unit, reset after the product: one recurrent GEMM a step. z keeps the old state."""
    r = sigmoid(p.W("r", x) + p.R("r", h) + p.b("r"))
    z = sigmoid(p.W("z", x) + p.R("z", h) + p.b("z"))
    n = tanh(p.W("n", x) + p.b("n") + r * (p.R("n", h) + p.b_R("n")))
    return (1 - z) * n + z * h


@cell(paper="Cho et al. 2014, arXiv:1406.1078v3, eq. 5-8")
def gru_reset_before(x: Value, h: Value, p: Parameters) -> Value:
    """The paper's full gated recurrent unit: the reset (relevance) gate acts on h before the product."""
    r = sigmoid(p.W("r", x) + p.R("r", h) + p.b("r"))
    z = sigmoid(p.W("z", x) + p.R("z", h) + p.b("z"))
    n = tanh(p.W("n", x) + p.R("n", r * h) + p.b("n"))
    return (1 - z) * n + z * h


@cell(paper="Cho et al. 2014, arXiv:1406.1078v3, eq. 6-8 with r = 1")
def gru_simple(x: Value, h: Value, p: Parameters) -> Value:
    """Gated recurrent unit with the update gate only."""
    z = sigmoid(p.W("z", x) + p.R("z", h) + p.b("z"))
    n = tanh(p.W("n", x) + p.R("n", h) + p.b("n"))
    return (1 - z) * n + z * h
