"""Word pieces to vectors as BERT reads them: what a piece is, where it stands, and in which text of a pair."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.nn import functional as F

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError, ShapeError
from recurra.base.option import Opt
from recurra.engine import recording, sequence_mask
from recurra.models import options as o
from recurra.models.contract import Sizes
from recurra.nn.dropout import QuickDropout

# Numbers of a vocabulary that no piece of a folder has: padding, unknown, begin, end.
SPECIALS = 4


class WordPieces(nn.Module):
    """LayerNorm(piece + position + segment), with dropout (Devlin et al. 2019, arXiv:1810.04805, section 3).

    inputs["tokens"] (T, N) to x (T, N, embedding_size). The segment is 0 up to the first [SEP] and 1 behind it, so it
    follows from the pieces. sizes: "tokens", "unknown_piece", "separator_piece". Weights begin with N(0, 0.02).
    Raises ConfigError for more pieces than the table has rows, and for a text that has more than there are positions.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        embedding_size: o.EmbeddingSize = 128,
        num_pieces: Annotated[int | None, Opt("rows of the table; null: as many as there are pieces", ge=1)] = None,
        max_positions: Annotated[int, Opt("pieces of a text at most, marks and all", ge=2, le=1_000_000)] = 512,
        first_position: Annotated[int, Opt("row of the first piece's position; RoBERTa: 2", ge=0, le=1000)] = 0,
        num_segments: Annotated[int, Opt("texts that have a vector each; 0: none have", ge=0, le=16)] = 2,
        norm_eps: Annotated[float, Opt("added to the variance in norms", gt=0, lt=1)] = 1e-12,
        embedding_dropout: o.EmbeddingDropout = 0.1,
        frozen: Annotated[bool, Opt("keep these weights as they are")] = False,
    ) -> None:
        super().__init__()
        known = sizes["tokens"] - SPECIALS
        rows = known if num_pieces is None else num_pieces
        if known > rows:
            raise ConfigError(
                f"num_pieces: is {rows:,}, and the vocabulary has {known:,} pieces; expected at least that."
            )
        self.output_size, self.longest, self.first = embedding_size, max_positions, first_position
        self.unknown, self.separator = sizes.get("unknown_piece", 0), sizes.get("separator_piece", -1)
        self.words = nn.Embedding(rows, embedding_size)
        self.positions = nn.Embedding(max_positions + first_position, embedding_size)
        self.segments = nn.Embedding(num_segments, embedding_size) if num_segments else None
        self.norm = nn.LayerNorm(embedding_size, eps=norm_eps)
        self.dropout = QuickDropout(embedding_dropout)
        self.frozen = frozen
        for table in (self.words, self.positions, self.segments):
            if table is not None and not table.weight.is_meta:
                nn.init.normal_(table.weight, std=0.02)
        if frozen:
            self.requires_grad_(False)

    @property
    def table(self) -> Parameter | None:
        """None: its rows are the folder's numbers, and not those of the vocabulary."""
        return None

    def pieces(self, tokens: Tensor) -> Tensor:
        """Rows of the table of tokens, by the vocabulary's numbers."""
        return torch.where(tokens >= SPECIALS, tokens - SPECIALS, self.unknown)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        tokens = batch.inputs["tokens"]
        lengths = batch.inputs.get("piece_lengths", batch.lengths).to(tokens.device)
        if len(tokens) > self.longest:
            raise ConfigError(
                f"model.inputs.max_positions: a text has {len(tokens):,} pieces, and there are positions for "
                f"{self.longest:,}; cut it (task.max_length: {self.longest})."
            )
        pieces = torch.where(sequence_mask(lengths, len(tokens)), self.pieces(tokens), self.unknown)
        if not recording() and pieces.numel() and int(pieces.max()) >= self.words.num_embeddings:
            raise ShapeError(
                f"tokens: has piece {int(pieces.max()):,}, expected at most {self.words.num_embeddings - 1:,}: the "
                "table has no more rows; cut texts with the pieces that the model was made for."
            )
        dropped: Tensor = self.dropout(self.embedded(pieces, lengths))
        return (dropped.detach() if self.frozen else dropped), lengths

    def embedded(self, pieces: Tensor, lengths: Tensor) -> Tensor:
        """(T, N, d) of rows of the table (T, N)."""
        at = torch.arange(self.first, self.first + len(pieces), device=pieces.device)
        x = F.embedding(pieces, self.words.weight) + F.embedding(at, self.positions.weight).unsqueeze(1)
        if self.segments is not None:
            x = x + F.embedding(self.segments_of(pieces), self.segments.weight)
        found: Tensor = self.norm(x)
        return found

    def segments_of(self, pieces: Tensor) -> Tensor:
        """(T, N): in which text each piece stands, a [SEP] in the one that it ends; no more than there are vectors."""
        assert self.segments is not None
        ends = (pieces == self.separator).to(torch.int64)
        return (ends.cumsum(0) - ends).clamp(max=self.segments.num_embeddings - 1)

    def train(self, mode: bool = True) -> WordPieces:
        """Frozen ones have no dropout."""
        super().train(mode and not self.frozen)
        return self
