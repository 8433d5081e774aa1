"""A residual network over a picture: a grid of places, each a step, for whoever looks at parts of it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any

from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.base.words import counted
from recurra.engine import without_padding
from recurra.models import options as o
from recurra.models.contract import Encoded, Ends, Layer, Step
from recurra.models.encoders.convolutional import last_real
from recurra.models.encoders.dense import ACTIVATIONS, Activation
from recurra.models.encoders.pictures import LARGEST, mean_of, numbers_in, picture_shape
from recurra.nn import SteadyConvolution
from recurra.nn.transformer.hooks import is_hooked
from recurra.nn.transformer.numbers import norm_numbers

# Sides of kernels: of the first layer and of blocks (He et al. 2016).
KERNEL = 3


class Block(nn.Module):
    """Two convolutions beside what they read: y = S x + C2 f(n(C1 f(n(x)))), half the size where stride is 2.

    Pre-activation: He et al. 2016, arXiv:1603.05027, eq. 1 with section 4.1; n is layer norm over a place's channels
    (as in `pictures`), S a 1 x 1 convolution where sizes differ, else nothing.
    """

    def __init__(self, width: int, channels: int, stride: int, activation: Activation) -> None:
        super().__init__()
        self.activation = activation
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(channels)
        self.conv1 = SteadyConvolution(width, channels, KERNEL, stride, padding=1)
        self.conv2 = SteadyConvolution(channels, channels, KERNEL, 1, padding=1)
        same = width == channels and stride == 1
        self.shortcut = None if same else SteadyConvolution(width, channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        found = self._fused(x)
        if found is not None:
            return found
        act = ACTIVATIONS[self.activation]
        y = act(self.norm1(x))
        beside = x if self.shortcut is None else self.shortcut(y)
        made: Tensor = beside + self.conv2(act(self.norm2(self.conv1(y))))
        return made

    def _fused(self, x: Tensor) -> Tensor | None:
        """The same in a native call for each convolution; None where that cannot run."""
        norms = norm_numbers(self.norm1), norm_numbers(self.norm2)
        if self.activation != "relu" or norms[0] is None or norms[1] is None or is_hooked(self):
            return None
        # A class above it may have a `forward` of its own.
        if any(type(one) is not SteadyConvolution for one in (self.conv1, self.conv2, self.shortcut or self.conv2)):
            return None
        between = self.conv1.fused(x, norms[0], relu=True)
        beside = x if self.shortcut is None else self.shortcut.fused(x, norms[0], relu=True)
        if between is None or beside is None:
            return None
        return self.conv2.fused(between, norms[1], relu=True, beside=beside)


class Image(nn.Module):
    """A small residual network over each step, a picture: its first layer, then stages, each half the size of the last.

    A step's numbers are the pixels (height, width, colours). channels[0] are those of the first layer, at half the
    size of the picture; each further one is a stage of `blocks` blocks. Places of the last stage are steps, row by row
    from the top left: x (T, N, I) to outputs (T P, N, M); the summary is the mean over the places of the last real
    step, and so is its state "h_l0". Nothing is normalized over a batch: a picture has the same bits alone.
    Raises ConfigError for steps that are no such pictures.
    """

    causal = False

    def __init__(
        self,
        input_size: int,
        *,
        shape: Annotated[
            tuple[int, ...] | None,
            Opt("of a picture: height, width, and 3 where it has colours; null: a square one", ge=1, le=LARGEST),
        ] = None,
        channels: Annotated[tuple[int, ...], Opt("of the first layer, and of each stage", ge=1, le=o.WIDEST)] = (
            32,
            64,
            128,
        ),
        blocks: Annotated[int, Opt("residual blocks of a stage", ge=1, le=o.DEEPEST)] = 1,
        activation: Annotated[Activation, Opt("function of each layer's units")] = "relu",
        dropout: Annotated[float, Opt("dropout behind each stage", ge=0, lt=1)] = 0.0,
    ) -> None:
        super().__init__()
        if not 1 <= len(channels) <= o.DEEPEST:
            raise ConfigError(f"channels: has {counted(len(channels), 'layer')}, expected 1 to {o.DEEPEST}.")
        self.shape = picture_shape(input_size, shape)
        self.channels, self.blocks, self.activation = tuple(channels), blocks, activation
        self.output_size = channels[-1]
        self.first = SteadyConvolution(self.shape[2], channels[0], KERNEL, 2, padding=1)
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(b if k else a, b, 1 if k else 2, activation) for k in range(blocks)))
            for a, b in pairwise(channels)
        )
        self.norm = nn.LayerNorm(channels[-1])
        self.dropout = nn.Dropout(dropout)
        height, width = self.shape[:2]
        for _ in channels:
            height, width = -(-height // 2), -(-width // 2)
        self.grid = (height, width)

    @classmethod
    def implies(cls, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Where a task reads pictures as rows of numbers: all pixels of one are one vector."""
        return {"task": ({"flatten": True},)}

    def forward(self, x: Tensor, lengths: Tensor, states: Mapping[str, Tensor]) -> Encoded:
        # What stands in the padding must not reach a weight's gradient: 0 times NaN is NaN.
        x = without_padding(x, lengths)
        places = self.places(x.flatten(0, 1)).view(*x.shape[:2], -1, self.output_size)  # (T, N, P, M)
        summary = last_real(mean_of(places), lengths)
        outputs = places.transpose(1, 2).flatten(0, 1)
        return Encoded(outputs, lengths * places.shape[2], summary, {"h_l0": summary})

    def places(self, pixels: Tensor) -> Tensor:
        """(R, P, M) of pictures (R, height width colours)."""
        y = self.first(pixels.reshape(-1, *self.shape))
        for stage in self.stages:
            y = self.dropout(stage(y))
        found: Tensor = ACTIVATIONS[self.activation](self.norm(y)).flatten(1, 2)
        return found

    @classmethod
    def least_input(cls, options: Mapping[str, Any]) -> int:
        """Numbers of a picture."""
        shape = options.get("shape")
        return 1 if shape is None else numbers_in((*shape, 1)[:3])

    def state_sizes(self) -> Mapping[str, int]:
        return {}

    def incremental(self) -> Step:
        raise ConfigError(self.cannot_stream())

    def ends(self) -> Ends:
        return Ends({"h": self.output_size}, 1, self.output_size)

    def layers(self) -> list[Layer]:
        parts = [self.first, *self.stages]
        found: list[Layer] = [dict(part.named_parameters()) for part in parts]
        return [*found[:-1], {**found[-1], **{f"norm.{name}": p for name, p in self.norm.named_parameters()}}]

    def cannot_stream(self) -> list[str]:
        return ["name: image makes several steps of each, and knows all of them at once."]
