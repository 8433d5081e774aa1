"""torch's own fused layers, for the cells that they know: on a GPU they are cuDNN's, on a CPU oneDNN's for the LSTM.

They know no lengths, and packing is slow on a CPU (3 to 7 times). So a padded batch runs whole, in such a way that the
padding changes nothing: a batch is made of like lengths, so little is computed in vain.

- The backward direction reads each sequence turned round within its own length.
- An extra input feature is one on padded steps, and its weights shut the gates: f = 1 and i = 0 in an LSTM, z = 1 in a
  GRU, exactly, so the state after the last column is the state after the last real step, and so is its gradient.
- Outputs on padded steps are selected away. A vanilla RNN has no gate; its last state is taken from its outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from recurra.cells import CELLS, Cell
from recurra.engine.call import Call, Result, reverse_sequences, sequence_mask, transformed, without_padding
from recurra.lower import layout

# sigmoid(-SHUT) is 0 and sigmoid(SHUT) is 1, exactly, and nothing that a network adds to it changes that.
SHUT = 1e30
SHUT_FLOAT16 = 3e4  # float16 ends at 65,504


@dataclass(frozen=True, slots=True)
class Twin:
    """torch's function for a cell. padding: by gate, the sign of the feature that marks a padded step: 1 opens."""

    function: Callable[..., Any]
    padding: dict[str, float]


# In the order of recurra.cells; the names that are missing have no twin.
TWINS: dict[str, Twin] = {
    "rnn": Twin(torch.rnn_tanh, {}),
    "rnn_relu": Twin(torch.rnn_relu, {}),
    "lstm": Twin(torch.lstm, {"i": -1.0, "f": 1.0}),
    "gru": Twin(torch.gru, {"z": 1.0}),
}


def refusal(call: Call) -> str | None:
    """Why this executor cannot do the call, or None if it can."""
    if call.cell.name not in TWINS or call.cell is not CELLS[call.cell.name]:
        return f"torch has no fused form of cell '{call.cell.name}' (it has: {', '.join(TWINS)})"
    if call.weights.compact is not None and call.weights.compact.rounds_arguments:
        return "torch's fused layers round no inputs and states"
    if any(z is not None for z in call.zoneout):
        return "torch's fused layers have no zoneout"
    if call.recurrent_mask is not None:
        return "torch's fused layers have no dropout inside the recurrence"
    if call.cell.name == "rnn_relu" and call.lengths is not None:
        # It may grow without bound over the padding, and a gradient of 0 times infinity is NaN.
        return "torch's fused ReLU network has no gate to shut over padding"
    if not call.x.shape[0]:
        return "torch's fused layers need at least one step"
    if transformed(call.tensors):
        return "torch's fused layers take no part in torch.func and in forward-mode derivatives"
    return None


def run(call: Call) -> Result:
    """One layer in one direction over all time steps; see `engine.call` for the shapes and the mask law."""
    real = None if call.lengths is None else sequence_mask(call.lengths, call.x.shape[0])
    x = without_padding(call.x, call.lengths)
    x = reverse_sequences(x, call.lengths) if call.reverse else x
    outputs, states = _run_whole(call, x, real)
    if real is not None:
        states = (_last(outputs, call), *states[1:])
        outputs = torch.where(real.unsqueeze(2), outputs, outputs.new_zeros(()))
    return Result(reverse_sequences(outputs, call.lengths) if call.reverse else outputs, states)


def _run_whole(call: Call, x: Tensor, real: Tensor | None) -> tuple[Tensor, tuple[Tensor, ...]]:
    """torch's layer over all columns."""
    twin, packed = TWINS[call.cell.name], dict(call.weights.packed)
    if real is not None and twin.padding:
        x = torch.cat([x, (~real).unsqueeze(2).to(x.dtype)], 2)
        shut = SHUT_FLOAT16 if x.dtype == torch.float16 else SHUT
        column = x.new_tensor([shut * sign for sign in _padding_signs(call.cell)])
        column = column.repeat_interleave(call.states[0].shape[1])
        packed["weight_ih"] = torch.cat([packed["weight_ih"], column.unsqueeze(1)], 1)
    has_bias = "bias_ih" in packed
    weights = [packed[p.name] for p in layout(call.cell, bias=has_bias)]
    initial = [s.unsqueeze(0).contiguous() for s in call.states]
    hx = initial if len(initial) > 1 else initial[0]
    outputs, *ends = twin.function(x, hx, weights, has_bias, 1, 0.0, torch.is_grad_enabled(), False, False)
    return outputs, tuple(end.squeeze(0) for end in ends)


@cache
def _padding_signs(cell: Cell) -> tuple[float, ...]:
    """One sign a gate, in packing order, of the feature that marks padding."""
    # Numbers, not a tensor: what is kept from call to call must not depend on where and how the first one was made.
    gates = next(p.gates for p in layout(cell) if p.kind == "W")
    return tuple([TWINS[cell.name].padding.get(gate, 0.0) for gate in gates])


def _last(outputs: Tensor, call: Call) -> Tensor:
    """h after each sequence's last real step; the initial h of an empty sequence."""
    assert call.lengths is not None
    at = (call.lengths - 1).clamp(min=0).view(1, -1, 1).expand(1, -1, outputs.shape[2])
    return torch.where((call.lengths > 0).unsqueeze(1), outputs.gather(0, at).squeeze(0), call.states[0])
