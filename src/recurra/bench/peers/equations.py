"""Cells that torch has no layer for, in plain torch, as a user writes them from the papers.

One step takes `wx`, the input products with the bias, computed for all steps at once; the states; the weights by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, linear

Weights: TypeAlias = dict[str, Tensor]
States: TypeAlias = tuple[Tensor, ...]
Step: TypeAlias = Callable[[Tensor, States, Weights], States]


def input_products(x: Tensor, w: Weights) -> Tensor:
    """(..., gates * H) from x (..., I). Layer normalisation comes before the bias, so it adds that itself."""
    return linear(x, w["weight_ih"], None if "gain" in w else w["bias_ih"])


def lstm_peephole(wx: Tensor, states: States, w: Weights) -> States:
    """Gers & Schmidhuber 2000: i and f see the old cell state, o the new one."""
    h, c = states
    i, f, g, o = (wx + linear(h, w["weight_hh"])).chunk(4, -1)
    v_i, v_f, v_o = w["weight_v"].chunk(3)
    c = torch.sigmoid(f + v_f * c) * c + torch.sigmoid(i + v_i * c) * torch.tanh(g)
    return torch.sigmoid(o + v_o * c) * torch.tanh(c), c


def gru_reset_before(wx: Tensor, states: States, w: Weights) -> States:
    """Cho et al. 2014, eq. 5-8: the reset gate acts before the product."""
    (h,) = states
    H = h.shape[-1]
    gates = torch.sigmoid(wx[..., : 2 * H] + linear(h, w["weight_hh"][: 2 * H]))
    r, z = gates.chunk(2, -1)
    n = torch.tanh(wx[..., 2 * H :] + linear(r * h, w["weight_hh"][2 * H :]))
    return ((1 - z) * n + z * h,)


def lstm_layernorm(wx: Tensor, states: States, w: Weights) -> States:
    """Ba, Kiros & Hinton 2016, supplement eq. 20-22, with the three shifts of a gate as one bias."""
    h, c = states
    gains, H4 = w["gain"].reshape(9, -1), wx.shape[-1:]
    # The gains stand in the order of the equations: input and recurrent one of each gate in turn, then the cell's.
    from_x = layer_norm(wx, H4, gains[0:8:2].reshape(-1))
    from_h = layer_norm(linear(h, w["weight_hh"]), H4, gains[1:8:2].reshape(-1))
    biases = w["bias_ih"]
    i, f, g, o = (from_x + from_h + biases[: H4[0]]).chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(layer_norm(c, c.shape[-1:], gains[8], biases[H4[0] :])), c


# The step, and the number of states.
STEPS: dict[str, tuple[Step, int]] = {
    "lstm_peephole": (lstm_peephole, 2),
    "gru_reset_before": (gru_reset_before, 1),
    "lstm_layernorm": (lstm_layernorm, 2),
}
