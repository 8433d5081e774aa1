"""LSTM with layer normalisation."""

from __future__ import annotations

from recurra.cells.language import Parameters, Value, cell, normalize, sigmoid, tanh


@cell(states=("h", "c"), paper="Ba, Kiros & Hinton 2016, arXiv:1607.06450, supplement eq. 20-22")
def lstm_layernorm(x: Value, h: Value, c: Value, p: Parameters) -> Value:
    """LSTM whose two products are each normalised over all four gates, and whose cell state is before the output."""
    # The paper's three shifts on the gates (b and two betas) only ever occur as their sum, so there is one bias.
    Wi, Wf, Wg, Wo = normalize(p.W("i", x), p.W("f", x), p.W("g", x), p.W("o", x))
    Ri, Rf, Rg, Ro = normalize(p.R("i", h), p.R("f", h), p.R("g", h), p.R("o", h))
    i = sigmoid(p.gain("Wi") * Wi + p.gain("Ri") * Ri + p.b("i"))
    f = sigmoid(p.gain("Wf") * Wf + p.gain("Rf") * Rf + p.b("f"))
    g = tanh(p.gain("Wg") * Wg + p.gain("Rg") * Rg + p.b("g"))
    o = sigmoid(p.gain("Wo") * Wo + p.gain("Ro") * Ro + p.b("o"))
    c = f * c + i * g
    (n,) = normalize(c)
    return o * tanh(p.gain("c") * n + p.b("c")), c
