"""A recurrent layer whose states are maps: the products of an LSTM are convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.base.errors import ConfigError, ShapeError
from recurra.losses import steady_sigmoid
from recurra.nn.convolution import SteadyConvolution

State = tuple[Tensor, Tensor]


class ConvLSTM(nn.Module):
    """An LSTM over maps: what a place knows comes from the places around it, now and one step before.

    i_t = sigmoid(W_xi * X_t + W_hi * H_(t-1) + w_ci C_(t-1) + b_i)      f_t likewise
    C_t = f_t C_(t-1) + i_t tanh(W_xc * X_t + W_hc * H_(t-1) + b_c)
    o_t = sigmoid(W_xo * X_t + W_ho * H_(t-1) + w_co C_t + b_o)      H_t = o_t tanh(C_t)
    where * is a convolution that keeps the size of the map. grid: of the map, which w_c, a weight for each place and
    channel (peepholes), need; None leaves them out.
    x (T, N, H, W, in_channels) to outputs (T, N, H, W, hidden_channels), zero where padded, and the last states.
    Source: Shi et al. 2015, arXiv:1506.04214, eq. 3. Gates lie i, f, g, o, as torch has them. In evaluation a
    sequence has the same bits alone and in a batch. Raises ConfigError for an even kernel.
    """

    def __init__(
        self, in_channels: int, hidden_channels: int, kernel_size: int = 3, *, grid: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ConfigError(f"kernel_size: is {kernel_size}, expected an odd number, so that maps keep their size.")
        self.hidden_channels, self.grid = hidden_channels, None if grid is None else tuple(grid)
        around, gates = (kernel_size - 1) // 2, 4 * hidden_channels
        self.read = SteadyConvolution(in_channels, gates, kernel_size, 1, padding=around)
        self.carry = SteadyConvolution(hidden_channels, gates, kernel_size, 1, padding=around, bias=False)
        self.peepholes = None if grid is None else nn.Parameter(torch.zeros(3, *grid, hidden_channels))

    def forward(self, x: Tensor, lengths: Tensor | None = None, states: State | None = None) -> tuple[Tensor, State]:
        """lengths: (N,), None where nothing is padded      states: H and C before, (N, H, W, C); None: zeros

        Raises ShapeError for maps of another size than the peepholes have.
        """
        T, N, height, width = x.shape[:4]
        if self.grid not in (None, (height, width)):
            raise ShapeError(f"ConvLSTM: maps are {height} by {width}, expected {self.grid}, as its peepholes are.")
        lengths = torch.full((N,), T, dtype=torch.int64) if lengths is None else lengths.cpu()
        order = lengths.argsort(descending=True, stable=True)  # rows that have ended are the last ones
        counts = [int((lengths > t).sum()) for t in range(T)]
        rows = torch.cat([t * N + order[:count] for t, count in enumerate(counts)]) if T else order[:0]
        read = self.read(x.flatten(0, 1)[rows.to(x.device)]).split(counts) if len(rows) else ()
        zeros = x.new_zeros(N, height, width, self.hidden_channels)
        h, c = (zeros, zeros) if states is None else (s[order.to(x.device)] for s in states)
        outputs = []
        for now in read:
            new = self._step(now, h[: len(now)], c[: len(now)])
            h, c = (s if len(s) == N else torch.cat([s, old[len(s) :]]) for s, old in zip(new, (h, c), strict=True))
            outputs.append(F.pad(new[0], (0, 0, 0, 0, 0, 0, 0, N - len(now))))
        outputs += [zeros] * (T - len(outputs))
        back = order.argsort().to(x.device)
        return torch.stack(outputs)[:, back] if T else x.new_zeros(0, *zeros.shape), (h[back], c[back])

    def step(self, x: Tensor, states: State) -> State:
        """H and C after one more map (N, H, W, in_channels)."""
        return self._step(self.read(x), *states)

    def _step(self, read: Tensor, h: Tensor, c: Tensor) -> State:
        if not len(read):
            return h, c
        i, f, g, o = (read + self.carry(h)).chunk(4, -1)
        i, f = self._gate(0, i, c), self._gate(1, f, c)
        c = f * c + i * torch.tanh(g)
        return self._gate(2, o, c) * torch.tanh(c), c

    def _gate(self, k: int, said: Tensor, c: Tensor) -> Tensor:
        return steady_sigmoid(said if self.peepholes is None else said + self.peepholes[k] * c)
