"""Two encoders whose vectors are compared: of a picture, and of a text."""

from __future__ import annotations

import math
from typing import Annotated, cast

import torch
from torch import Tensor, nn

from recurra.base.contracts import Batch, Prediction
from recurra.base.option import OneOf, Opt
from recurra.config import build, located
from recurra.engine import sequence_mask
from recurra.models import options as o
from recurra.models.contract import Encoded, Encoder, Inputs, Problems, Sizes
from recurra.models.encoders import ENCODERS
from recurra.models.inputs import INPUTS
from recurra.models.inputs.images import refuse_other_shape
from recurra.models.options import Component
from recurra.nn import POOLS, SteadyLinear

# What a temperature is kept from falling below: one by 100 (Radford et al. 2021, section 2.5).
COLDEST = 0.01
Pooling = Annotated[str, Opt("how several steps become one vector; last: the encoder's summary", choices=POOLS)]


class Side(nn.Module):
    """Inputs, an encoder, one vector of it, and a matrix: of length 1."""

    def __init__(self, inputs: nn.Module, encoder: nn.Module, pooling: str, size: int) -> None:
        super().__init__()
        self.inputs, self.encoder = inputs, encoder
        self.pool = POOLS[pooling](int(cast(Encoder, encoder).output_size))
        self.project = SteadyLinear(self.pool.output_size, size, bias=False)

    def forward(self, batch: Batch) -> Tensor:
        x, lengths = cast(Inputs, self.inputs)(batch)
        encoded: Encoded = self.encoder(x, lengths, {})
        mask = sequence_mask(encoded.lengths, len(encoded.outputs))
        y = self.project(self.pool(encoded.outputs, encoded.summary, mask))
        return unit(y)


class DualEncoder(nn.Module):
    """A picture and a text to a vector each, of length 1, alike where one says what the other shows.

    The temperature by which likenesses are divided is learned, as its logarithm. Both sides' options are those of any
    model: `encoder` of the picture, `text_encoder` of the text.
    sizes: what both inputs need
    Raises ConfigError, with all problems at once, for options that cannot take effect and for parts that do not fit.
    Source: Radford et al. 2021, arXiv:2103.00020, figure 3.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        inputs: Annotated[Component, OneOf("input layer of the picture", INPUTS)] = "images",
        encoder: Annotated[Component, OneOf("encoder of the picture", ENCODERS)] = "image",
        pooling: Pooling = "mean",
        text_inputs: Annotated[Component, OneOf("input layer of the text", INPUTS)] = "tokens",
        text_encoder: Annotated[Component, OneOf("encoder of the text", ENCODERS)] = "recurrent",
        text_pooling: Pooling = "mean",
        embedding_size: o.EmbeddingSize = 128,
        temperature: Annotated[float, Opt("at the beginning, of likenesses", ge=COLDEST, le=1)] = 0.07,
    ) -> None:
        super().__init__()
        problems = Problems()
        for name, side in (("image", (inputs, encoder, pooling)), ("text", (text_inputs, text_encoder, text_pooling))):
            with problems.collected():
                setattr(self, name, _side(sizes, *side, embedding_size))
        problems.raise_all()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature), dtype=torch.float32))

    def forward(self, batch: Batch) -> Prediction:
        """Vectors of what is there.

        batch: of pictures what `inputs` reads, with lengths (N,); of texts what `text_inputs` reads, with
        inputs["text_lengths"] (K,)
        outputs: "image" (N, D) and "text" (K, D), each row of length 1; "scale", one by the temperature
        """
        outputs = {"scale": scale_of(self.log_scale, self.training)}
        if "pixels" in batch.inputs or "features" in batch.inputs:
            outputs["image"] = cast(Side, self.image)(batch)
        if "text_lengths" in batch.inputs:
            lengths = batch.inputs["text_lengths"].cpu()
            outputs["text"] = cast(Side, self.text)(Batch(batch.inputs, lengths, {}, batch.indices))
        return Prediction(outputs)


def _side(sizes: Sizes, inputs: Component, encoder: Component, pooling: str, size: int) -> Side:
    read = build(inputs, INPUTS, sizes)
    with located(encoder):
        made = build(encoder, ENCODERS, read.output_size)
        refuse_other_shape(read, made)
    return Side(cast(nn.Module, read), cast(nn.Module, made), pooling, size)


def scale_of(log_scale: nn.Parameter, training: bool) -> Tensor:
    """One by the temperature, 1 / COLDEST at most.

    Training bounds the parameter itself: beyond its bound it would have no gradient, and never come back.
    """
    most = -math.log(COLDEST)
    if training:
        with torch.no_grad():
            log_scale.clamp_(max=most)
    return log_scale.clamp(max=most).exp()


def unit(y: Tensor) -> Tensor:
    """Rows (N, D) of length 1; squares are added half on half, as torch's own sum has other bits for another N."""
    squares = y * y
    while squares.shape[1] > 1:
        half = -(-squares.shape[1] // 2)
        rest = nn.functional.pad(squares[:, half:], (0, 2 * half - squares.shape[1]))
        squares = squares[:, :half] + rest
    return y / squares.clamp(min=1e-24).sqrt()
