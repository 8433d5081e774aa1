"""What was said and replies to it as vectors that are compared: two sides, with one encoder or one each."""

from __future__ import annotations

import math
from typing import Annotated, Any, cast

import torch
from torch import Tensor, nn

from recurra.base.contracts import Batch, Prediction
from recurra.base.option import OneOf, Opt
from recurra.config import build, located
from recurra.models import options as o
from recurra.models.contract import Encoder, Problems, Sizes
from recurra.models.dual_encoder import COLDEST, Pooling, Side, scale_of
from recurra.models.encoders import ENCODERS
from recurra.models.inputs import INPUTS
from recurra.models.options import Component


class TextDualEncoder(nn.Module):
    """A context and a reply to a vector each, of length 1, alike where one answers the other.

    The temperature by which likenesses are divided is learned, as its logarithm.
    sizes: what the inputs need
    Raises ConfigError, with all problems at once, for options that cannot take effect and for parts that do not fit.
    Source: Henderson et al. 2017, arXiv:1705.00652, section 4.4; the temperature of Radford et al. 2021.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        inputs: Annotated[Component, OneOf("input layer of both sides", INPUTS)] = "tokens",
        encoder: Annotated[Component, OneOf("encoder of both sides", ENCODERS)] = "recurrent",
        shared: Annotated[bool, Opt("both sides have one input layer and encoder, and a matrix of their own")] = True,
        pooling: Pooling = "mean",
        embedding_size: o.EmbeddingSize = 128,
        temperature: Annotated[float, Opt("at the beginning, of likenesses", ge=COLDEST, le=1)] = 0.07,
    ) -> None:
        super().__init__()
        problems = Problems()
        with problems.collected():
            read, made = _parts(sizes, inputs, encoder)
            self.context = Side(read, made, pooling, embedding_size)
            others = (read, made) if shared else _parts(sizes, inputs, encoder)
            self.reply = Side(*others, pooling, embedding_size)
        problems.raise_all()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature), dtype=torch.float32))

    @property
    def inputs(self) -> Any:
        """Those of contexts, for vectors of tokens from elsewhere."""
        return self.context.inputs

    @property
    def encoder(self) -> Encoder:
        """That of contexts, for weights from elsewhere."""
        return cast(Encoder, self.context.encoder)

    def forward(self, batch: Batch) -> Prediction:
        """Vectors of what is there.

        batch: of contexts what `inputs` reads, with lengths (N,); of replies inputs["reply"] (S, K) with
        inputs["reply_lengths"] (K,)
        outputs: "context" (N, D) and "reply" (K, D), each row of length 1; "scale", one by the temperature
        """
        outputs: dict[str, Tensor] = {"scale": scale_of(self.log_scale, self.training)}
        if "tokens" in batch.inputs:
            outputs["context"] = self.context(batch)
        if "reply" in batch.inputs:
            lengths = batch.inputs["reply_lengths"].cpu()
            outputs["reply"] = self.reply(Batch({"tokens": batch.inputs["reply"]}, lengths, {}, batch.indices))
        return Prediction(outputs)


def _parts(sizes: Sizes, inputs: Component, encoder: Component) -> tuple[nn.Module, nn.Module]:
    read: Any = build(inputs, INPUTS, sizes)
    with located(encoder):
        made: Any = build(encoder, ENCODERS, read.output_size)
    return read, made
