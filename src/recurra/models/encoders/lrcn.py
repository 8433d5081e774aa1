"""A network over each frame, and recurrent layers over what it saw: movement in pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.engine import sequence_mask
from recurra.models import options as o
from recurra.models.contract import Encoded, Ends, Layer, Step
from recurra.models.encoders.dense import Activation
from recurra.models.encoders.image import Image
from recurra.models.encoders.pictures import LARGEST, mean_of, numbers_in
from recurra.models.encoders.recurrent import RecurrentEncoder


class LRCN(nn.Module):
    """The network of `image` over each step, a frame, and recurrent layers over what it saw, place by place.

    x (T, N, height width colours) to outputs (T, N, M): h_t = layers(places of CNN(x_t), h_(t-1)). Real
    frames alone are computed, all of a batch at once, and nothing is normalized over them, so a sequence has the same
    bits alone. With one direction it is causal: frames may come one by one.
    Source: Donahue et al. 2015, arXiv:1411.4389, section 3, with a CNN that is learned together.
    """

    def __init__(
        self,
        input_size: int,
        *,
        shape: Annotated[
            tuple[int, ...] | None,
            Opt("of a frame: height, width, and 3 where it has colours; null: a square one", ge=1, le=LARGEST),
        ] = None,
        channels: Annotated[tuple[int, ...], Opt("of the first layer, and of each stage", ge=1, le=o.WIDEST)] = (
            16,
            32,
            64,
        ),
        blocks: Annotated[int, Opt("residual blocks of a stage", ge=1, le=o.DEEPEST)] = 1,
        activation: Annotated[Activation, Opt("function of each convolution's units")] = "relu",
        outputs: Annotated[
            Literal["flat", "mean"],
            Opt("flat: places of a frame side by side, which tell where something is; mean: what is seen, not where"),
        ] = "flat",
        cell: o.CellName = "lstm",
        hidden_size: o.HiddenSize = 128,
        num_layers: o.NumLayers = 1,
        bidirectional: o.Bidirectional = False,
        dropout: o.Dropout = 0.0,
        backend: o.Backend = "auto",
    ) -> None:
        super().__init__()
        self.frame = Image(input_size, shape=shape, channels=channels, blocks=blocks, activation=activation)
        self.outputs, (height, width) = outputs, self.frame.grid
        self.seen_size = self.frame.output_size * (height * width if outputs == "flat" else 1)
        self.recurrent = RecurrentEncoder(
            self.seen_size,
            cell=cell,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bidirectional=bidirectional,
            dropout=dropout,
            backend=backend,
        )
        self.output_size, self.causal = self.recurrent.output_size, self.recurrent.causal

    @classmethod
    def least_input(cls, options: Mapping[str, Any]) -> int:
        """Numbers of a frame."""
        shape = options.get("shape")
        return 1 if shape is None else numbers_in((*shape, 1)[:3])

    def forward(self, x: Tensor, lengths: Tensor, states: Mapping[str, Tensor]) -> Encoded:
        real = sequence_mask(lengths, len(x))
        seen = x.new_zeros(*x.shape[:2], self.seen_size)
        seen[real] = self._seen(x[real])
        found: Encoded = self.recurrent(seen, lengths, states)
        return found

    def _seen(self, frames: Tensor) -> Tensor:
        """(R, `seen_size`) of frames (R, numbers)."""
        places = self.frame.places(frames)
        return places.flatten(1) if self.outputs == "flat" else mean_of(places.unsqueeze(0))[0]

    def state_sizes(self) -> Mapping[str, int]:
        return self.recurrent.state_sizes()

    def incremental(self) -> Step:
        if not self.causal:
            raise ConfigError(self.cannot_stream())
        step = self.recurrent.incremental()
        return lambda x, states: step(self._seen(x), states)

    def ends(self) -> Ends:
        return self.recurrent.ends()

    def layers(self) -> list[Layer]:
        return [*self.frame.layers(), *self.recurrent.layers()]

    def cannot_stream(self) -> list[str]:
        return self.recurrent.cannot_stream()
