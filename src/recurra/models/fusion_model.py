"""A picture and a text read together: an encoder each, one over the places of the picture and the steps of the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, cast

import torch
from torch import Tensor, nn

from recurra.base.contracts import Batch, Prediction
from recurra.base.option import OneOf
from recurra.config import build, located
from recurra.models import options as o
from recurra.models.contract import STAND_INS, Encoder, Head, Inputs, Problems, Sizes
from recurra.models.encoders import ENCODERS
from recurra.models.heads import HEADS
from recurra.models.inputs import INPUTS
from recurra.models.inputs.images import refuse_other_shape
from recurra.models.options import Component
from recurra.nn import SteadyLinear

# The deviation of what tells places of a picture from steps of a text, as that of embeddings (Devlin et al. 2019).
DEVIATION = 0.02


class FusedSide(nn.Module):
    """Inputs, an encoder, and a matrix to the width that both sides share."""

    def __init__(self, inputs: nn.Module, encoder: nn.Module, size: int) -> None:
        super().__init__()
        self.inputs, self.encoder = inputs, encoder
        self.project = SteadyLinear(int(cast(Encoder, encoder).output_size), size)
        self.kind = nn.Parameter(torch.empty(size))
        nn.init.normal_(self.kind, std=DEVIATION)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(S, N, D), and how many of them are real (N,)."""
        x, lengths = cast(Inputs, self.inputs)(batch)
        encoded = self.encoder(x, lengths, {})
        return self.project(encoded.outputs) + self.kind, encoded.lengths


class FusionModel(nn.Module):
    """What is said of a picture and a text together.

    Places of the one and steps of the other, one behind the other, are read by `joint`, in which each sees all of both,
    and by the head.
    `encoder` is of the picture, `text_encoder` of the text. A vector that is learned tells places from steps.
    sizes: what both inputs and the head need
    Raises ConfigError, with all problems at once, for options that cannot take effect and for parts that do not fit.
    Source: Kim et al. 2021 (ViLT), arXiv:2102.03334, eq. 1 to 4, with encoders of their own below the joint one.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        inputs: Annotated[Component, OneOf("input layer of the picture", INPUTS)] = "images",
        encoder: Annotated[Component, OneOf("encoder of the picture", ENCODERS)] = "image",
        text_inputs: Annotated[Component, OneOf("input layer of the text", INPUTS)] = "tokens",
        text_encoder: Annotated[Component, OneOf("encoder of the text", ENCODERS)] = "recurrent",
        embedding_size: o.EmbeddingSize = 128,
        joint: Annotated[Component, OneOf("encoder of both, which relates one to the other", ENCODERS)] = "transformer",
        head: Annotated[Component, OneOf("output head", HEADS)] = "label",
    ) -> None:
        super().__init__()
        problems = Problems()
        for name, side in (("image", (inputs, encoder)), ("text", (text_inputs, text_encoder))):
            with problems.collected():
                setattr(self, name, _side(sizes, *side, embedding_size))
        widths: Sequence[int] = STAND_INS
        with problems.collected():
            self.joint = build(joint, ENCODERS, embedding_size)
            widths = (self.joint.output_size,)
        problems.of_every(widths, lambda size: self._make_head(head, size, sizes))
        problems.raise_all()

    def _make_head(self, head: Component, size: int, sizes: Sizes) -> None:
        self.head = build(head, HEADS, size, sizes, None)

    def forward(self, batch: Batch) -> Prediction:
        """The head's outputs.

        batch: of the picture what `inputs` reads, with lengths (N,); of the text what `text_inputs` reads, with
        inputs["text_lengths"] (N,)
        """
        lengths = batch.inputs["text_lengths"].cpu()
        places = cast(FusedSide, self.image)(batch)
        steps = cast(FusedSide, self.text)(Batch(batch.inputs, lengths, {}, batch.indices))
        x, both = one_behind_the_other(*places, *steps)
        return Prediction(cast(Head, self.head)(self.joint(x, both, {})))


def one_behind_the_other(first: Tensor, firsts: Tensor, second: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
    """Of each row the real steps of the first (S, N, D), then those of the second (T, N, D), and how many there are.

    firsts, seconds: real steps of each row (N,). What stands in either's padding reaches no real step.
    """
    lengths = firsts + seconds
    at = torch.arange(int(lengths.max()) if len(lengths) else 0, device=first.device)[:, None]
    x = torch.cat([first, second, first.new_zeros(1, *first.shape[1:])])  # where nothing is real, the zeros
    place = torch.where(at < firsts, at, len(first) + at - firsts)
    place = torch.where(at < lengths, place, len(x) - 1)
    return x.gather(0, place[:, :, None].expand(-1, -1, x.shape[2])), lengths


def _side(sizes: Sizes, inputs: Component, encoder: Component, size: int) -> FusedSide:
    read = build(inputs, INPUTS, sizes)
    with located(encoder):
        made = build(encoder, ENCODERS, read.output_size)
        refuse_other_shape(read, made)
    return FusedSide(cast(nn.Module, read), cast(nn.Module, made), size)
