"""A layer whose state is carried from call to call: streaming, and truncated back-propagation through time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from recurra.base.errors import ConfigError, ShapeError
from recurra.nn.input_format import Lengths
from recurra.nn.recurrent import Recurrent, State


class Stateful:
    """Feeds a layer piece by piece: each call goes on where the last one ended.

    The pieces of one sequence give what the whole would. `detach` cuts the gradient between pieces (truncated BPTT);
    `reset` forgets, for all rows or for those whose sequence has ended.
    Raises ConfigError for a bidirectional layer: its second direction would need the future.
    """

    def __init__(self, layer: Recurrent) -> None:
        if layer.bidirectional:
            raise ConfigError("a bidirectional layer cannot carry its state: the backward direction needs the future.")
        self.layer = layer
        self.state: State | None = None

    def __call__(self, x: Tensor, *, lengths: Lengths | None = None) -> Tensor:
        """The next piece, (T, N, I) in the layer's own form; returns its outputs."""
        output: Tensor
        output, self.state = self.layer(x, self.state, lengths=lengths)
        return output

    def detach(self) -> None:
        """Let no gradient flow into earlier pieces."""
        self.state = self._each(Tensor.detach)

    def reset(self, rows: Tensor | None = None) -> None:
        """Forget the state of all rows, or of those where `rows` (N,) is True.

        Raises ShapeError if rows is not (N,) bool.
        """
        if rows is None or self.state is None:
            self.state = None
            return
        first = self.state[0] if isinstance(self.state, tuple) else self.state
        if rows.shape != first.shape[1:2] or rows.dtype != torch.bool:
            raise ShapeError(f"reset: rows is {tuple(rows.shape)} {rows.dtype}, expected ({first.shape[1]},) bool.")
        gone = rows.view(1, -1, 1).to(first.device)
        self.state = self._each(lambda s: torch.where(gone, torch.zeros_like(s), s))

    def _each(self, change: Callable[[Tensor], Tensor]) -> State | None:
        if self.state is None:
            return None
        return tuple(map(change, self.state)) if isinstance(self.state, tuple) else change(self.state)
