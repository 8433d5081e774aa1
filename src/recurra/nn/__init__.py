"""Layers. Recurrent layers are drop-in for torch.nn's, and take any cell.

recurrent  Recurrent, RNN, LSTM, GRU
input_format  padded, packed, batch-first and unbatched input become (T, N, I) with lengths, and go back
initial    named initialisations      merge    how two directions become one
dropout    locked dropout, zoneout    stateful  state kept from call to call (streaming, truncated BPTT)
characters  the letters of a word to its vector
embed      tokens to vectors: a table, or one-hot        pool     a sequence to one vector
attention  queries to weighted means of a memory: ATTENTIONS
unroll     recurrent layers one differentiable step at a time, for a decoder that feeds its output back
quantize   recurrent layers with weights of bfloat16 or int8, for inference
incremental  recurrent layers one step after another in decoding, weights packed once
linear     torch's linear layer on the engine's tiles       convolution  of pictures, and its transpose
conv_lstm  an LSTM over maps, whose products are convolutions
linear_cross_entropy  the output layer of a language model and its loss, without the matrix of probabilities
softmax    output layers over a vocabulary, full and adaptive: nats of targets, log-probabilities of all tokens
transformer  layers of attention without padding: drop-in for torch's encoder and decoder layers
weight_drop  a layer with some of its recurrent weights zeroed      penalties  on a layer's activations
"""

from __future__ import annotations

from recurra.nn.attention import ATTENTIONS
from recurra.nn.characters import CHARACTERS, HighwayCNN
from recurra.nn.conv_lstm import ConvLSTM
from recurra.nn.convolution import SteadyConvolution, SteadyConvolution1d, SteadyTransposed
from recurra.nn.embed import Embedding, OneHot
from recurra.nn.linear import Linear, SteadyLinear
from recurra.nn.linear_cross_entropy import linear_cross_entropy
from recurra.nn.penalties import activation_penalties
from recurra.nn.pool import POOLS
from recurra.nn.quantize import num_parameters, quantize
from recurra.nn.recurrent import GRU, LSTM, RNN, Recurrent
from recurra.nn.softmax import AdaptiveSoftmax, FullSoftmax, backward_nats, softmax_log_probabilities, softmax_nats
from recurra.nn.stateful import Stateful
from recurra.nn.transformer import (
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
)
from recurra.nn.weight_drop import weight_dropped

__all__ = [
    "ATTENTIONS",
    "CHARACTERS",
    "GRU",
    "LSTM",
    "POOLS",
    "RNN",
    "AdaptiveSoftmax",
    "ConvLSTM",
    "Embedding",
    "FullSoftmax",
    "HighwayCNN",
    "Linear",
    "OneHot",
    "Recurrent",
    "Stateful",
    "SteadyConvolution",
    "SteadyConvolution1d",
    "SteadyLinear",
    "SteadyTransposed",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "activation_penalties",
    "backward_nats",
    "linear_cross_entropy",
    "num_parameters",
    "quantize",
    "softmax_log_probabilities",
    "softmax_nats",
    "weight_dropped",
]
