"""Recurrent cells, each a few lines of equations. This list is the table of contents; a new cell is one line here.

language    the words of the equations, `@cell`, and the type Cell
user        cells from a user's own file
"""

from __future__ import annotations

from recurra.base.registry import Registry
from recurra.cells import gru, indrnn, lstm, lstm_layernorm, mgu, rnn, slstm
from recurra.cells.language import Cell, Parameters, Value, cell

CELLS: Registry[Cell] = Registry("cell", "recurra.cells")
_OURS = (
    rnn.rnn,
    rnn.rnn_relu,
    rnn.rnn_sigmoid,
    lstm.lstm,
    lstm.lstm_peephole,
    lstm.lstm_projected,
    lstm_layernorm.lstm_layernorm,
    gru.gru,
    gru.gru_reset_before,
    gru.gru_simple,
    mgu.mgu,
    indrnn.indrnn,
    slstm.slstm,
)
for _cell in _OURS:
    CELLS.add(_cell.name, _cell)

# The words that no user's cell may take.
BUILT_IN = frozenset(_cell.name for _cell in _OURS)

__all__ = ["BUILT_IN", "CELLS", "Cell", "Parameters", "Value", "cell"]
