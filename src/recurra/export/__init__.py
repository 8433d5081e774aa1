"""Models for other programs: ONNX files, which are run and compared before they are kept, and weights for torch.nn.

onnx_files      `onnx`: from a model to files that agree with it    torch_weights  `save_torch`, `load_torch`
models          which models have which files                       parts          one file, and the model's own answers
runtimes        programs that run a file, here and elsewhere        layers_alone   recurrent layers without a model
sequence_model  inputs, an encoder and a head                       encoder_decoder  before the first step, and a step
inputs, encoders, heads: the components of both
recurrent_decoder, attending_decoder: what is kept, and a step      transformers   layers of attention
bridges         the decoder's first states                          attention      one step of a decoder's attention
recurrent       layers as RNN, LSTM or GRU nodes, or as a Scan      equations      one step of any cell, from its graph
layers          layers without time of their own                    onnx_graph     a graph while it is drawn
autoencoder     a code, and what is said again                      latents, reconstructions, pictures: its components
"""

from __future__ import annotations

from recurra.export.onnx_files import TOLERANCE, Agreement, onnx
from recurra.export.runtimes import ANY, TARGETS
from recurra.export.torch_weights import load_torch, save_torch, torch_layers

__all__ = ["ANY", "TARGETS", "TOLERANCE", "Agreement", "load_torch", "onnx", "save_torch", "torch_layers"]
