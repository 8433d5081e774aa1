"""Models for other programs: ONNX files, which are run and compared before they are kept, and torch's state dicts.

drawing    an ONNX graph while it grows: nodes, constants, names
recurrent  recurrent layers: the nodes RNN, LSTM, GRU, or a Scan        equations  one step of any cell, from its graph
layers     layers without time, one function each                      parts      whole models: inputs, outputs, truth
writing    `onnx`: from a model to files that agree with it
"""

from __future__ import annotations

from recurra.export.writing import TOLERANCE, Agreement, onnx

__all__ = ["TOLERANCE", "Agreement", "onnx"]
