"""Every cell's oracle, by the cell's word. A new cell needs a line here, and its battery is complete."""

from __future__ import annotations

from oracles.gru import GRU, GRU_RESET_BEFORE, GRU_SIMPLE
from oracles.indrnn import INDRNN
from oracles.loop import Oracle
from oracles.lstm import LSTM, LSTM_PEEPHOLE, LSTM_PROJECTED
from oracles.lstm_layernorm import LSTM_LAYERNORM
from oracles.mgu import MGU
from oracles.rnn import RNN, RNN_RELU, RNN_SIGMOID
from oracles.slstm import SLSTM

ORACLES: dict[str, Oracle] = {
    "rnn": RNN,
    "rnn_relu": RNN_RELU,
    "rnn_sigmoid": RNN_SIGMOID,
    "lstm": LSTM,
    "lstm_peephole": LSTM_PEEPHOLE,
    "lstm_projected": LSTM_PROJECTED,
    "lstm_layernorm": LSTM_LAYERNORM,
    "gru": GRU,
    "gru_reset_before": GRU_RESET_BEFORE,
    "gru_simple": GRU_SIMPLE,
    "mgu": MGU,
    "indrnn": INDRNN,
    "slstm": SLSTM,
}
