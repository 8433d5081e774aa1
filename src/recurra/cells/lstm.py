"""Long short-term memory: plain, with peepholes, and with a recurrent projection."""

from __future__ import annotations

from recurra.cells.language import Parameters, Value, cell, sigmoid, tanh


@cell(
    states=("h", "c"),
    paper="Hochreiter & Schmidhuber 1997, Neural Computation 9(8); forget gate: Gers, Schmidhuber & Cummins 2000",
    bias_pair=True,
)
def lstm(x: Value, h: Value, c: Value, p: Parameters) -> Value:
    """Long short-term memory: the cell state is a gated sum, so gradients survive long gaps."""
    i = sigmoid(p.W("i", x) + p.R("i", h) + p.b("i"))
    f = sigmoid(p.W("f", x) + p.R("f", h) + p.b("f"))
    g = tanh(p.W("g", x) + p.R("g", h) + p.b("g"))
    o = sigmoid(p.W("o", x) + p.R("o", h) + p.b("o"))
    c = f * c + i * g
    return o * tanh(c), c


@cell(states=("h", "c"), paper="Gers & Schmidhuber 2000, Recurrent nets that time and count, IJCNN")
def lstm_peephole(x: Value, h: Value, c: Value, p: Parameters) -> Value:
    """LSTM whose gates see the cell state: input and forget gates the old one, the output gate the new one."""
    i = sigmoid(p.W("i", x) + p.R("i", h) + p.v("i") * c + p.b("i"))
    f = sigmoid(p.W("f", x) + p.R("f", h) + p.v("f") * c + p.b("f"))
    g = tanh(p.W("g", x) + p.R("g", h) + p.b("g"))
    c = f * c + i * g
    o = sigmoid(p.W("o", x) + p.R("o", h) + p.v("o") * c + p.b("o"))
    return o * tanh(c), c


@cell(
    states=("h", "c"),
    sizes={"h": "P"},
    paper="Sak, Senior & Beaufays 2014, arXiv:1402.1128, eq. 1-7 (without peepholes, as in torch)",
    bias_pair=True,
)
def lstm_projected(x: Value, h: Value, c: Value, p: Parameters) -> Value:
    """LSTM whose output is projected from H to P units before it recurs: a wide memory, a narrow product."""
    i = sigmoid(p.W("i", x) + p.R("i", h) + p.b("i"))
    f = sigmoid(p.W("f", x) + p.R("f", h) + p.b("f"))
    g = tanh(p.W("g", x) + p.R("g", h) + p.b("g"))
    o = sigmoid(p.W("o", x) + p.R("o", h) + p.b("o"))
    c = f * c + i * g
    return p.P("r", o * tanh(c)), c
