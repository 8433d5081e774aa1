"""Models for other programs: ONNX files, which are run and compared before they are kept, and weights for torch.nn.

onnx_graph an ONNX graph while it grows: nodes, constants, names
recurrent  recurrent layers: the nodes RNN, LSTM, GRU, or a Scan        equations  one step of any cell, from its graph
layers     layers without time of their own                             attention  one step of a decoder's attention
bridges    the decoder's first states
parts      one file: its graph, random inputs, the model's own answers  models     which models have which files
runtimes   the programs that run a file, here and elsewhere
encoders   recurrent layers alone, classifier, tagger                   encoder_decoder  both, and a step of the decoder
language   language model, chords: what follows, states in and out
onnx_files `onnx`: from a model to files that agree with it             torch_weights  `save_torch`, `load_torch`
"""

from __future__ import annotations

from recurra.export.onnx_files import TOLERANCE, Agreement, onnx
from recurra.export.runtimes import ANY, TARGETS
from recurra.export.torch_weights import load_torch, save_torch, torch_layers

__all__ = ["ANY", "TARGETS", "TOLERANCE", "Agreement", "load_torch", "onnx", "save_torch", "torch_layers"]
