"""A word's own vector, and beside it what its letters, its pattern and a dictionary say of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.engine import BACKENDS, sequence_mask
from recurra.models import options as o
from recurra.models.contract import Sizes
from recurra.nn import CHARACTERS, Embedding

# The number of a word that the vocabulary lacks; padding is 0.
UNKNOWN = 1
# Numbers in a letter's vector, and units a direction, or filters: Lample et al. 2016, section 5.1; Ma & Hovy 2016, 3.2.
USUAL_CHARACTER_SIZES = {"lstm": (25, 25), "cnn": (30, 30)}


class WordsAndCharacters(nn.Module):
    """Word embeddings: a vector for each word, and beside it one that is made from the word's letters, one of its
    pattern of letters, digits and signs, and what a dictionary says of it.

    Words (T, N) with their characters (C, T, N), patterns (T, N) and dictionary (T, N, D) to x (T, N, I).
    sizes: "words", "characters", "patterns", and "dictionary", which is D, where there is one.
    Word 0 is padding, word 1 an unknown one, and so it is with patterns.
    Sources: Lample et al. 2016, arXiv:1603.01360; Ma & Hovy 2016, arXiv:1603.01354.
    Raises ConfigError, with all problems at once, for options that cannot take effect.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        embedding_size: Annotated[
            int, Opt("embedding dimension: numbers in a word's own vector", ge=1, le=o.WIDEST)
        ] = 100,
        characters: Annotated[
            str, Opt("character encoder: a word's vector from its letters", choices=("none", *CHARACTERS))
        ] = "lstm",
        character_embedding_size: Annotated[
            int | None, Opt("embedding dimension of letters; null is 25 for lstm, 30 for cnn", ge=1, le=o.WIDEST)
        ] = None,
        character_size: Annotated[
            int | None,
            Opt("units of a direction, or filters, over letters; null is 25 for lstm, 30 for cnn", ge=1, le=o.WIDEST),
        ] = None,
        pattern_size: Annotated[
            int,
            Opt("embedding dimension of a word's pattern of letters, digits and signs; 0: none", ge=0, le=o.WIDEST),
        ] = 0,
        word_dropout: Annotated[
            float, Opt("share of words that training reads as unknown, by their letters alone", ge=0, lt=1)
        ] = 0.05,
        embedding_dropout: Annotated[float, Opt("dropout on the vectors of words and letters", ge=0, lt=1)] = 0.0,
        backend: Annotated[
            str, Opt("executor of the cell over letters; auto takes the fastest", choices=("auto", *BACKENDS))
        ] = "auto",
    ) -> None:
        super().__init__()
        letters = {"character_embedding_size": character_embedding_size, "character_size": character_size}
        if problems := list(_problems(characters, letters, backend)):
            raise ConfigError(problems)
        self.embedding = _embedding(sizes["words"], embedding_size)
        self.characters, self.output_size = None, embedding_size
        if characters != "none":
            usual = USUAL_CHARACTER_SIZES[characters]
            each = (character_embedding_size or usual[0], character_size or usual[1])
            self.characters = CHARACTERS[characters](sizes["characters"], *each, backend)
            self.output_size += self.characters.output_size
        self.patterns = _embedding(sizes["patterns"], pattern_size) if pattern_size else None
        self.dictionary = sizes.get("dictionary", 0)
        self.output_size += pattern_size + self.dictionary
        self.word_dropout = word_dropout
        self.dropout = nn.Dropout(embedding_dropout)

    @property
    def table(self) -> Parameter | None:
        return self.embedding.weight

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """batch: inputs["words"] (T, N), lengths (N,), and, but for characters: none, inputs["characters"] (C, T, N)
        and inputs["character_lengths"] (T, N); with a pattern_size inputs["patterns"] (T, N), with a dictionary
        inputs["dictionary"] (T, N, D); what is padded may be anything. Of steps that stand in more rows than there are
        examples, inputs["piece_lengths"] are the lengths."""
        lengths = batch.inputs.get("piece_lengths", batch.lengths).to(batch.inputs["words"].device)
        return self.dropout(self._vectors(batch, sequence_mask(lengths, len(batch.inputs["words"])))), lengths

    def _vectors(self, batch: Batch, real: Tensor) -> Tensor:
        words = torch.where(real, batch.inputs["words"], 0)
        hidden = torch.zeros_like(real)
        if self.word_dropout and self.training:
            hidden = real & (torch.rand(words.shape, dtype=torch.float32, device=words.device) < self.word_dropout)
            words = torch.where(hidden, UNKNOWN, words)
        found: list[Tensor] = [self.embedding(words)]
        if self.characters is not None:
            lengths = torch.where(real, batch.inputs["character_lengths"], 0)
            found.append(self.characters(batch.inputs["characters"], lengths))
        if self.patterns is not None:
            found.append(self.patterns(torch.where(real, batch.inputs["patterns"], 0)))
        if self.dictionary:  # a word that is hidden stands in no dictionary either
            known = (real & ~hidden).unsqueeze(2)
            found.append(torch.where(known, batch.inputs["dictionary"], 0.0).to(found[0].dtype))
        return torch.cat(found, 2) if len(found) > 1 else found[0]


def _embedding(number: int, size: int) -> Embedding:
    """A table whose unknown entry is 0: where training has no unknown one it stays so, and must not be noise."""
    table = Embedding(number, size)
    with torch.no_grad():
        table.weight[UNKNOWN] = 0.0
    return table


def _problems(characters: str, letters: Mapping[str, int | None], backend: str) -> Iterator[str]:
    """A sentence for each option that is unknown or could not take effect."""
    if characters not in ("none", *CHARACTERS):
        yield f"characters: is '{characters}', expected none, {' or '.join(CHARACTERS)}."
    if characters == "none":
        unused = [word for word, value in letters.items() if value is not None]
        unused += ["backend"] if backend != "auto" else []
        yield from (f"{word}: has no effect with characters: none; leave one of them out." for word in unused)
