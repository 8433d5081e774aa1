"""The scalar LSTM of xLSTM, with exponential gating."""

from __future__ import annotations

from recurra.cells.language import Parameters, Value, cell, exp, log_nonzero, log_sigmoid, maximum, sigmoid, tanh


@cell(
    states=("h", "c", "n", "m"),
    together=("c", "n", "m"),
    paper="Beck et al. 2024, xLSTM, arXiv:2405.04517, eq. 8-17, one head",
)
def slstm(x: Value, h: Value, c: Value, n: Value, m: Value, p: Parameters) -> Value:
    """LSTM with exponential input gate: n normalises the memory, m keeps the exponents in range; n = 0 is no memory."""
    # c and n are multiples of exp(m), and where n is 0, of exp(-inf): nothing is remembered yet, and m becomes the
    # first i, whatever its size. From m = 0, an i of -110 would vanish beside a memory of nothing, and h be 0 / 0.
    m = m + log_nonzero(n)
    i = p.W("i", x) + p.R("i", h) + p.b("i")
    f = log_sigmoid(p.W("f", x) + p.R("f", h) + p.b("f")) + m
    z = tanh(p.W("z", x) + p.R("z", h) + p.b("z"))
    o = sigmoid(p.W("o", x) + p.R("o", h) + p.b("o"))
    m = maximum(f, i)
    c = exp(f - m) * c + exp(i - m) * z
    n = exp(f - m) * n + exp(i - m)
    return o * c / n, c, n, m
