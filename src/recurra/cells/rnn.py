"""The vanilla recurrent network, with three nonlinearities."""

from __future__ import annotations

from recurra.cells.language import Parameters, Value, cell, relu, sigmoid, tanh


@cell(paper="Elman 1990, Finding structure in time, Cognitive Science 14(2)", bias_pair=True)
def rnn(x: Value, h: Value, p: Parameters) -> Value:
    """Vanilla recurrent network with tanh: short memory, since gradients shrink with every step."""
    return tanh(p.W("h", x) + p.R("h", h) + p.b("h"))


@cell(paper="Elman 1990; ReLU: Le, Jaitly & Hinton 2015, arXiv:1504.00941", bias_pair=True)
def rnn_relu(x: Value, h: Value, p: Parameters) -> Value:
    """Vanilla recurrent network with ReLU: gradients may pass unchanged, or explode."""
    return relu(p.W("h", x) + p.R("h", h) + p.b("h"))


@cell(paper="Elman 1990, Finding structure in time, Cognitive Science 14(2)", bias_pair=True)
def rnn_sigmoid(x: Value, h: Value, p: Parameters) -> Value:
    """Vanilla recurrent network with the logistic function: the textbook case of vanishing gradients."""
    return sigmoid(p.W("h", x) + p.R("h", h) + p.b("h"))
