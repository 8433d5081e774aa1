"""Recurrent layers over maps: movement in pictures, seen where it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.engine import without_padding
from recurra.models import options as o
from recurra.models.contract import Encoded, Ends, Layer, Step
from recurra.models.encoders.convolutional import last_real
from recurra.models.encoders.pictures import LARGEST, mean_of, numbers_in, picture_shape
from recurra.nn import ConvLSTM

State = tuple[Tensor, Tensor]


class ConvLSTMEncoder(nn.Module):
    """Layers of `recurra.nn.ConvLSTM`, one on the other, over each step, a frame that is cut into patches.

    A patch of `patch` x `patch` pixels is a place, and its pixels are the channels of the first layer (Shi et al. 2015,
    arXiv:1506.04214, section 4.1). x (T, N, height width colours) to outputs (T, N, M): the last layer's places side
    by side, or their mean. States are "h_l0", "c_l0", ..., (N, places channels). It is causal: frames may come one by
    one. In evaluation a film has the same bits alone. Raises ConfigError for frames that are no such pictures.
    """

    causal = True

    def __init__(
        self,
        input_size: int,
        *,
        shape: Annotated[
            tuple[int, ...] | None,
            Opt("of a frame: height, width, and 3 where it has colours; null: a square one", ge=1, le=LARGEST),
        ] = None,
        patch: Annotated[int, Opt("pixels of a patch's side; both sides of a frame are a multiple of it", ge=1)] = 4,
        channels: Annotated[int, Opt("numbers of a place, in each layer", ge=1, le=o.WIDEST)] = 32,
        num_layers: o.NumLayers = 1,
        kernel_size: Annotated[int, Opt("places of a kernel's side; odd", ge=1, le=31)] = 3,
        peepholes: Annotated[bool, Opt("gates see the cell state, by a weight for each place and channel")] = True,
        outputs: Annotated[
            Literal["flat", "mean"],
            Opt("flat: places of a frame side by side, which tell where something is; mean: what is seen, not where"),
        ] = "flat",
        dropout: o.Dropout = 0.0,
    ) -> None:
        super().__init__()
        self.shape = picture_shape(input_size, shape)
        if problems := _problems(self.shape, patch, dropout, num_layers):
            raise ConfigError(problems)
        self.patch, self.channels, self.outputs = patch, channels, outputs
        self.grid = (self.shape[0] // patch, self.shape[1] // patch)
        widths = [self.shape[2] * patch * patch, *[channels] * (num_layers - 1)]
        self.recurrent = nn.ModuleList(
            ConvLSTM(width, channels, kernel_size, grid=self.grid if peepholes else None) for width in widths
        )
        self.dropout = nn.Dropout(dropout)
        self.state_size = self.grid[0] * self.grid[1] * channels
        self.output_size = self.state_size if outputs == "flat" else channels

    @classmethod
    def least_input(cls, options: Mapping[str, Any]) -> int:
        """Numbers of a frame; without a shape those of the smallest square one."""
        shape, patch = options.get("shape"), int(options.get("patch", 4))
        return patch * patch if shape is None else numbers_in((*shape, 1)[:3])

    def forward(self, x: Tensor, lengths: Tensor, states: Mapping[str, Tensor]) -> Encoded:
        y = self._patches(without_padding(x, lengths))
        after: dict[str, Tensor] = {}
        for k, layer in enumerate(self.recurrent):
            y = self.dropout(y) if k else y
            y, found = layer(y, lengths, self._before(k, states, x.shape[1], x))
            after |= self._named(k, found)
        outputs = self._said(y)
        return Encoded(outputs, lengths, last_real(outputs, lengths), after)

    def _patches(self, x: Tensor) -> Tensor:
        """(..., H / p, W / p, p p colours) of frames (..., numbers)."""
        (height, width), p, colours = self.grid, self.patch, self.shape[2]
        squares = x.reshape(*x.shape[:-1], height, p, width, p, colours).transpose(-4, -3)
        return squares.reshape(*x.shape[:-1], height, width, p * p * colours)

    def _said(self, y: Tensor) -> Tensor:
        """(T, N, M) of maps (T, N, H, W, C)."""
        return y.flatten(2) if self.outputs == "flat" else mean_of(y.flatten(2, 3))

    def _before(self, k: int, states: Mapping[str, Tensor], rows: int, like: Tensor) -> State:
        shape = (rows, *self.grid, self.channels)
        h, c = (states.get(f"{name}_l{k}") for name in ("h", "c"))
        return tuple(like.new_zeros(shape) if s is None else s.view(shape) for s in (h, c))  # type: ignore[return-value]

    def _named(self, k: int, states: State) -> dict[str, Tensor]:
        return {f"{name}_l{k}": state.flatten(1) for name, state in zip(("h", "c"), states, strict=True)}

    def state_sizes(self) -> Mapping[str, int]:
        return {f"{name}_l{k}": self.state_size for k in range(len(self.recurrent)) for name in ("h", "c")}

    def incremental(self) -> Step:
        return self._step

    def _step(self, x: Tensor, states: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        y = self._patches(x)
        after: dict[str, Tensor] = {}
        for k, layer in enumerate(self.recurrent):
            assert isinstance(layer, ConvLSTM)
            found = layer.step(y, self._before(k, states, len(x), x))
            y, after = found[0], after | self._named(k, found)
        return self._said(y.unsqueeze(0))[0], after

    def ends(self) -> Ends:
        return Ends({"h": self.state_size, "c": self.state_size}, len(self.recurrent), self.output_size)

    def layers(self) -> list[Layer]:
        return [dict(layer.named_parameters()) for layer in self.recurrent]

    def cannot_stream(self) -> list[str]:
        return []


def _problems(shape: tuple[int, ...], patch: int, dropout: float, num_layers: int) -> list[str]:
    problems = []
    if shape[0] % patch or shape[1] % patch:
        problems.append(f"patch: {patch} does not divide frames of {shape[0]} by {shape[1]} pixels; use one that does.")
    if dropout and num_layers == 1:
        problems.append("dropout: acts between layers, and there is one; use the head's output_dropout, or 0.")
    return problems
