"""Convolutions over pictures: of each step's numbers, which are the pixels of one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.base.words import counted
from recurra.engine import without_padding
from recurra.models import options as o
from recurra.models.contract import Encoded, Ends, Layer, Step
from recurra.models.encoders.convolutional import last_real
from recurra.models.encoders.dense import ACTIVATIONS, Activation
from recurra.nn import SteadyConvolution

Outputs = Literal["flat", "mean", "places"]
# Pixels of a picture's longer side, and of a kernel's.
LARGEST, WIDEST_KERNEL = 4000, 31


class Pictures(nn.Module):
    """Convolutions over each step, a picture: conv, layer norm, activation, dropout; each layer's is `stride` smaller.

    A step's numbers are the pixels (height, width, colours), as `task.flatten` has them of a picture's rows; as many
    beside them, such as marks of what is missing, are more colours. Layer k has channels[k] of them, at each place.
    outputs: flat, all numbers of the last layer; mean, of its places; places, each a step of its own, from the top left
    x (T, N, I) to outputs (T, N, M), of places (T P, N, M); the summary is the last real step, of places its mean.
    Layer norm is over the channels of a place (Liu et al. 2022, arXiv:2201.03545, section 2.5): over a batch a row
    would notice its neighbours.
    Raises ConfigError for steps that are no such pictures, and for more layers than the picture has size for.
    """

    def __init__(
        self,
        input_size: int,
        *,
        shape: Annotated[
            tuple[int, ...], Opt("of a picture: height, width, and 3 where it has colours", ge=1, le=LARGEST)
        ],
        channels: Annotated[tuple[int, ...], Opt("of each layer, from below", ge=1, le=o.WIDEST)] = (32, 64),
        kernel_size: Annotated[int, Opt("pixels of a kernel's side", ge=1, le=WIDEST_KERNEL)] = 3,
        stride: Annotated[int, Opt("how many times smaller each layer is", ge=1, le=WIDEST_KERNEL)] = 2,
        activation: Annotated[Activation, Opt("function of each layer's units")] = "relu",
        layer_norm: Annotated[bool, Opt("a place's channels are normalized before the activation")] = False,
        dropout: Annotated[float, Opt("dropout behind each layer", ge=0, lt=1)] = 0.0,
        outputs: Annotated[
            Outputs, Opt("flat: the last layer's numbers; mean: of its places; places: each is a step")
        ] = "flat",
    ) -> None:
        super().__init__()
        self.shape = (*shape, 1) if len(shape) == 2 else tuple(shape)
        self.channels, self.kernel_size, self.stride = tuple(channels), kernel_size, stride
        self.activation, self.given = activation, outputs
        self.causal = outputs != "places"
        self.sizes = self._checked(input_size)
        (height, width), last = self.sizes[-1], channels[-1]
        self.output_size = height * width * last if outputs == "flat" else last
        self.planes = input_size // numbers_in(self.shape)
        widths = (self.planes * self.shape[2], *channels)
        self.convolutions = nn.ModuleList(
            SteadyConvolution(a, b, kernel_size, stride, padding=(kernel_size - 1) // 2)
            for a, b in zip(widths, channels, strict=False)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(size) if layer_norm else nn.Identity() for size in channels)
        self.dropout = nn.Dropout(dropout)

    @classmethod
    def implies(cls, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """All pixels of a picture are one vector."""
        return {"task": ({"flatten": True},)}

    @classmethod
    def least_input(cls, options: Mapping[str, Any]) -> int:
        """Numbers of a picture."""
        return numbers_in(options["shape"])

    def _checked(self, input_size: int) -> list[tuple[int, int]]:
        """Height and width of the picture, and of each layer. Raises ConfigError for what does not fit."""
        problems, number = [], numbers_in(self.shape)
        if len(self.shape) != 3:
            problems.append(
                f"shape: has {counted(len(self.shape), 'number')}, expected height and width, and 3 for colours."
            )
        elif input_size % number:
            problems.append(
                f"shape: {' x '.join(map(str, self.shape))} are {number:,} numbers, and a step of the data has "
                f"{input_size:,}; expected as many."
            )
        if not 1 <= len(self.channels) <= o.DEEPEST:
            problems.append(f"channels: has {counted(len(self.channels), 'layer')}, expected 1 to {o.DEEPEST}.")
        if self.stride > self.kernel_size:
            problems.append(f"stride: is {self.stride}, and a kernel of {self.kernel_size} would miss pixels.")
        sizes = [self.shape[:2]] if len(self.shape) == 3 else []
        for _ in self.channels if sizes else ():
            height, width = (smaller(size, self.kernel_size, self.stride) for size in sizes[-1])
            sizes.append((height, width))
            if min(sizes[-1]) < 1:
                problems.append(
                    f"channels: after {counted(len(sizes) - 2, 'layer')} nothing is left of a picture; use fewer."
                )
                break
        if problems:
            raise ConfigError(problems)
        return sizes

    def forward(self, x: Tensor, lengths: Tensor, states: Mapping[str, Tensor]) -> Encoded:
        # What stands in the padding must not reach a weight's gradient: 0 times NaN is NaN.
        x = without_padding(x, lengths)
        y = self._said(x.reshape(-1, x.shape[2]))
        y = y.view(*x.shape[:2], *y.shape[1:])
        if self.given == "flat":
            y = y.flatten(2)
            return Encoded(y, lengths, last_real(y, lengths), {})
        places = y.flatten(2, 3)
        mean = mean_of(places)
        summary = last_real(mean, lengths)
        if self.given == "mean":
            return Encoded(mean, lengths, summary, {})
        return Encoded(places.transpose(1, 2).flatten(0, 1), lengths * places.shape[2], summary, {})

    def _said(self, rows: Tensor) -> Tensor:
        """(M, I) to the last layer (M, H', W', C')."""
        height, width, colours = self.shape
        x = rows.view(len(rows), self.planes, height, width, colours).permute(0, 2, 3, 1, 4).flatten(3)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = self.dropout(ACTIVATIONS[self.activation](norm(convolution(x))))
        return x

    def state_sizes(self) -> Mapping[str, int]:
        return {}

    def incremental(self) -> Step:
        if problems := self.cannot_stream():
            raise ConfigError(problems)
        length = torch.ones(1, dtype=torch.int64)
        return lambda x, states: (self(x.unsqueeze(0), length.expand(len(x)).to(x.device), {}).outputs[0], {})

    def ends(self) -> Ends:
        return Ends({}, 0, self.output_size)

    def layers(self) -> list[Layer]:
        found: list[Layer] = []
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            parts = (("convolution", convolution), ("norm", norm))
            found.append({f"{part}.{name}": p for part, module in parts for name, p in module.named_parameters()})
        return found

    def cannot_stream(self) -> list[str]:
        if self.causal:
            return []
        return ["outputs: places makes several steps of each; flat and mean make one."]


def numbers_in(shape: Sequence[int]) -> int:
    """How many numbers a picture of this shape has."""
    found = 1
    for size in shape:
        found *= size
    return found


def smaller(size: int, kernel: int, stride: int) -> int:
    """Places of a layer over so many."""
    return (size + 2 * ((kernel - 1) // 2) - kernel) // stride + 1


def mean_of(places: Tensor) -> Tensor:
    """(T, N, C) of (T, N, P, C), added half on half: torch's own sum has other bits for another N."""
    number = places.shape[2]
    while places.shape[2] > 1:
        half = -(-places.shape[2] // 2)
        rest = F.pad(places[:, :, half:], (0, 0, 0, 2 * half - places.shape[2]))
        places = places[:, :, :half] + rest
    return places[:, :, 0] / number


def picture_shape(size: int, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """Height, width and colours of a picture of so many numbers. Raises ConfigError for what does not fit."""
    problems = []
    found = _square(size) if shape is None else (*shape, 1)[:3]
    if found is None:
        problems.append(
            f"shape: a step has {size:,} numbers, which are no square picture; give height, width, and 3 for colours."
        )
    elif len(found) != 3 or (shape is not None and len(shape) > 3):
        problems.append("shape: expected height and width, and 3 for colours.")
    elif numbers_in(found) != size:
        problems.append(
            f"shape: {' x '.join(map(str, found))} are {numbers_in(found):,} numbers, and a step of the data has "
            f"{size:,}; expected as many."
        )
    if problems or found is None:
        raise ConfigError(problems)
    return found


def _square(size: int) -> tuple[int, ...] | None:
    """The shape of a square picture of so many numbers: grey, or in three colours; both cannot be."""
    for colours in (1, 3):
        side = math.isqrt(size // colours)
        if side * side * colours == size:
            return (side, side, colours)
    return None
