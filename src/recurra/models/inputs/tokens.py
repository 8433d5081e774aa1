"""Tokens to vectors: a learned table, or one-hot rows, with dropout."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.engine import sequence_mask
from recurra.models import options as o
from recurra.models.contract import Sizes
from recurra.nn import Embedding, OneHot
from recurra.nn.dropout import LockedDropout, without_words


class Tokens(nn.Module):
    """Token embeddings: each token's row of a table that is learned, or a one-hot row.

    inputs["tokens"] (T, N) to x (T, N, embedding_size). sizes: "tokens"; shared: a table to use.
    Raises ConfigError for options that cannot take effect.
    """

    def __init__(
        self,
        sizes: Sizes,
        shared: Embedding | None = None,
        *,
        embedding_size: Annotated[
            int | Literal["one_hot"],
            Opt("embedding dimension: numbers in a token's vector; one_hot: no table is learned", ge=1, le=o.WIDEST),
        ] = 64,
        word_dropout: o.WordDropout = 0.0,
        embedding_dropout: o.EmbeddingDropout = 0.0,
        locked_dropout: o.LockedDropoutOption = False,
    ) -> None:
        super().__init__()
        if shared is not None and shared.output_size != embedding_size:
            raise ConfigError(
                f"embedding_size: is {embedding_size}, and the decoder's table, which is shared (tie: all), has "
                f"{shared.output_size}; make them equal."
            )
        if locked_dropout and not embedding_dropout:
            raise ConfigError("locked_dropout: has no effect without embedding_dropout; set it, or leave this one out.")
        self.num_tokens, self.word_dropout = sizes["tokens"], word_dropout
        self.embedding = shared or _table(self.num_tokens, embedding_size)
        self.output_size = self.embedding.output_size
        self.dropout: nn.Module = (LockedDropout if locked_dropout else nn.Dropout)(embedding_dropout)

    @property
    def table(self) -> Parameter | None:
        return self.embedding.weight if isinstance(self.embedding, Embedding) else None

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        tokens = batch.inputs["tokens"]
        lengths = batch.lengths.to(tokens.device)
        tokens = torch.where(sequence_mask(lengths, len(tokens)), tokens, 0)
        x: Tensor = self.embedding(tokens)
        if self.word_dropout and self.training:
            x = without_words(x, tokens, self.num_tokens, self.word_dropout)
        dropped: Tensor = self.dropout(x)
        return dropped, lengths


def _table(num_tokens: int, size: int | Literal["one_hot"]) -> Embedding | OneHot:
    return OneHot(num_tokens) if isinstance(size, str) else Embedding(num_tokens, size)
