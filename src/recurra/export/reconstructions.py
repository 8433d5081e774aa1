"""What turns codes back as ONNX: from (N, Z) to (T, N, D P), as `recurra.models.reconstructions`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from recurra.base.errors import ConfigError
from recurra.export.layers import linear
from recurra.export.onnx_graph import Drawing, Value
from recurra.export.pictures import activated, convolution, places_last, resized
from recurra.export.step_reconstructions import Wanted, all_at_once, bar_by_bar, step_by_step
from recurra.models.reconstructions import (
    RECONSTRUCTIONS,
    DenseReconstruction,
    HierarchicalReconstruction,
    PictureReconstruction,
    RecurrentReconstruction,
    TransformerReconstruction,
)


def reconstruction(draw: Drawing, decoder: nn.Module, codes: Value, wanted: Wanted) -> Value:
    """Draw a decoder, of one vector or of several steps. Raises ConfigError for one that is not known."""
    writer = WRITERS.get(type(decoder))
    if writer is None:
        known = ", ".join(word for word in RECONSTRUCTIONS if RECONSTRUCTIONS[word] in WRITERS)
        raise ConfigError(
            f"export: there is no way to write a decoder {type(decoder).__name__} as ONNX; {known} have one."
        )
    return writer(draw, decoder, codes, wanted)


def has_steps(decoder: nn.Module) -> bool:
    """Whether a decoder says rows of several steps."""
    return not isinstance(decoder, DenseReconstruction | PictureReconstruction)


def _dense(draw: Drawing, decoder: DenseReconstruction, codes: Value, wanted: Wanted) -> Value:
    for layer in decoder.layers:
        assert isinstance(layer, nn.Linear)
        codes = draw.put(decoder.activation.capitalize(), linear(draw, layer, codes))
    return draw.spread(linear(draw, decoder.output, codes), 0)


def _pictures(draw: Drawing, decoder: PictureReconstruction, codes: Value, wanted: Wanted) -> Value:
    height, width, channels = decoder.first
    x = draw.put("Reshape", linear(draw, decoder.project, codes), draw.integers(-1, height, width, channels))
    x = draw.put("Transpose", x, perm=[0, 3, 1, 2])
    for layer, norm, *sizes in zip(decoder.convolutions, decoder.norms, decoder.sizes, decoder.sizes[1:], strict=False):
        x = activated(draw, decoder.activation, norm, x)
        x = convolution(draw, layer, resized(draw, x, *sizes) if decoder.upsampling == "nearest" else x)
    (height, width), last = decoder.sizes[-1], decoder.convolutions[-1]
    numbers = height * width * int(last.out_channels)  # type: ignore[arg-type]
    return draw.put("Reshape", places_last(draw, x), draw.integers(1, -1, numbers))


# The type of a decoder -> what draws it
WRITERS: dict[type[nn.Module], Callable[[Drawing, Any, Value, Wanted], Value]] = {
    DenseReconstruction: _dense,
    PictureReconstruction: _pictures,
    RecurrentReconstruction: step_by_step,
    HierarchicalReconstruction: bar_by_bar,
    TransformerReconstruction: all_at_once,
}
