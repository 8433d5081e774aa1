"""The letters of a word to one vector, so that rare and unseen words are more than one unknown word.

Each takes characters (C, T, N) int64 with the lengths of the words (T, N), anything where padded, and returns
(T, N, output_size): zeros for a word of length 0. A word's vector depends on its own letters only.
size: units of one direction, or filters      backend: what runs a recurrent cell
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recurra.base.registry import Registry
from recurra.engine import sequence_mask
from recurra.nn.embed import PADDING, Embedding
from recurra.nn.recurrent import Recurrent

# Letters that a filter sees: Ma & Hovy 2016, table 1.
WINDOW = 3


class CharacterLSTM(nn.Module):
    """The last states of an LSTM read forwards and backwards, side by side (Lample et al. 2016, section 4.1)."""

    def __init__(self, num_characters: int, embedding_size: int, size: int, backend: str = "auto") -> None:
        super().__init__()
        self.embedding = Embedding(num_characters, embedding_size)
        self.recurrent = Recurrent(embedding_size, size, bidirectional=True, backend=backend)
        self.output_size = self.recurrent.output_size

    def forward(self, characters: Tensor, lengths: Tensor) -> Tensor:
        letters, each = _words(characters, lengths)
        _, state = self.recurrent(self.embedding(letters), lengths=each)
        return self.recurrent.last(state).view(*lengths.shape, self.output_size)


class CharacterCNN(nn.Module):
    """The maximum over a word of filters that see three letters (Ma & Hovy 2016, arXiv:1603.01354, section 2.1).

    Zeros stand beside a word's first and last letter. tanh comes after the maximum: it keeps order, so it is the same
    as before, and less work. A convolution has one way to run: `backend` is there because all have it.
    """

    def __init__(self, num_characters: int, embedding_size: int, size: int, backend: str = "auto") -> None:
        super().__init__()
        self.embedding = Embedding(num_characters, embedding_size)
        self.filters = nn.Conv1d(embedding_size, size, WINDOW, padding=WINDOW // 2)
        self.output_size = size

    def forward(self, characters: Tensor, lengths: Tensor) -> Tensor:
        letters, each = _words(characters, lengths)
        if not letters.numel():
            return self.filters.weight.new_zeros(*lengths.shape, self.output_size)
        scores = self.filters(self.embedding(letters).permute(1, 2, 0))
        real = sequence_mask(each, len(letters)).T.unsqueeze(1)
        best = torch.tanh(scores.masked_fill(~real, -torch.inf).amax(2))
        # An empty word's maximum is -inf, and its tanh -1.
        vectors = torch.where((each > 0).unsqueeze(1), best, 0.0)
        return vectors.view(*lengths.shape, self.output_size)


def _words(characters: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Letters (C, T * N), padding where a word has none, and the words' lengths (T * N,)."""
    each = lengths.to(characters.device).flatten()
    letters = characters.flatten(1)
    return torch.where(sequence_mask(each, len(letters)), letters, PADDING), each


CHARACTERS: Registry[type[CharacterLSTM] | type[CharacterCNN]] = Registry("word vector from characters")
CHARACTERS.add("lstm", CharacterLSTM)
CHARACTERS.add("cnn", CharacterCNN)
