"""A word's vector from its letters alone, without a table of words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.engine import sequence_mask
from recurra.models import options as o
from recurra.models.contract import Sizes
from recurra.nn import HighwayCNN
from recurra.nn.dropout import LockedDropout


class Characters(nn.Module):
    """Words from their characters (Kim et al. 2016; Peters et al. 2018): filters of several widths, highways, a
    projection. There is no table of words: a word that training never saw is read like any other.

    characters (C, T, N) with character_lengths (T, N) to x (T, N, embedding_size). sizes: "characters".
    Raises ConfigError for a task that gives no letters, or a dictionary.
    Sources: arXiv:1508.06615, section 2; arXiv:1802.05365, section 3.4.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        embedding_size: Annotated[int, Opt("numbers in a word's vector, after the projection", ge=1, le=o.WIDEST)] = 64,
        character_embedding_size: Annotated[
            int, Opt("embedding dimension: numbers in a letter's vector", ge=1, le=o.WIDEST)
        ] = 16,
        filters: Annotated[
            int, Opt("filters that see one letter; there are w times as many that see w letters", ge=1, le=4096)
        ] = 25,
        window: Annotated[
            int, Opt("letters that the widest filters see; there are all widths from 1", ge=1, le=16)
        ] = 6,
        highways: Annotated[int, Opt("highway layers over the filters", ge=0, le=o.DEEPEST)] = 1,
        embedding_dropout: Annotated[float, Opt("dropout on the words' vectors", ge=0, lt=1)] = 0.0,
        locked_dropout: o.LockedDropoutOption = False,
    ) -> None:
        super().__init__()
        if problems := _problems(sizes, embedding_dropout, locked_dropout):
            raise ConfigError(problems)
        self.letters = HighwayCNN(
            sizes["characters"], character_embedding_size,
            filters=filters, window=window, highways=highways, size=embedding_size,
        )  # fmt: skip
        self.output_size = embedding_size
        self.dropout: nn.Module = (LockedDropout if locked_dropout else nn.Dropout)(embedding_dropout)

    @classmethod
    def implies(cls, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """That the task gives letters, and that an output layer over words has weights of its own."""
        return {"task": ({"letters": True},), "model": {"head": {"name": "vocabulary", "tied": False}}}

    @property
    def table(self) -> Parameter | None:
        return None

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """batch: inputs["characters"] (C, T, N), inputs["character_lengths"] (T, N) and lengths (N,), or
        inputs["piece_lengths"] of rows that are more than the examples; what is padded may be anything."""
        each = batch.inputs["character_lengths"]
        lengths = batch.inputs.get("piece_lengths", batch.lengths).to(each.device)
        each = torch.where(sequence_mask(lengths, len(each)), each, 0)
        dropped: Tensor = self.dropout(self.letters(batch.inputs["characters"], each))
        return dropped, lengths


def _problems(sizes: Sizes, dropout: float, locked: bool) -> list[str]:
    """A sentence for each option that could not take effect."""
    found = []
    if "characters" not in sizes:
        found.append("name: characters reads the letters of words, and task.letters is false; leave it out.")
    if "dictionary" in sizes:
        found.append("name: characters reads letters alone; leave task.dictionary out.")
    if locked and not dropout:
        found.append("locked_dropout: has no effect without embedding_dropout; set it, or leave this one out.")
    return found
