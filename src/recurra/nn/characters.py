"""The letters of a word to one vector, so that rare and unseen words are more than one unknown word.

Each takes characters (C, T, N) int64 with the lengths of the words (T, N), anything where padded, and returns
(T, N, output_size): zeros for a word of length 0. A word's vector depends on its own letters only.
size: units of one direction, or filters      backend: what runs a recurrent cell

`HighwayCNN` makes vectors that stand alone, where there is no table of words.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recurra.base.registry import Registry
from recurra.engine import sequence_mask
from recurra.nn.embed import PADDING, Embedding
from recurra.nn.recurrent import Recurrent

# Letters that a filter sees: Ma & Hovy 2016, table 1.
WINDOW = 3
# Letters that no word has: the first three of a vocabulary's four special numbers that stand for something.
UNKNOWN, BEGIN, END = 1, 2, 3
# A highway begins by carrying most of what it reads: Srivastava et al. 2015, arXiv:1505.00387, section 3.
CARRIES = -2.0


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


class HighwayCNN(nn.Module):
    """Filters of several widths over a word's letters, their maxima through highways, and a projection.

    Characters (C, T, N) int64 with the lengths of words (T, N) to (T, N, size); zeros for a word of length 0.
    A word is BEGIN, its letters, END, and zeros behind it. A filter of w letters begins at each of these but the zeros;
    of its values the maximum is taken, and what is negative is zero. There are `filters * w` of width w = 1..window.
    A highway is y = t relu(W x + b) + (1 - t) x with t = logistic(V x + c). Each different word is computed once.
    An unknown letter's vector begins as zero: training has none, so it must not be noise.
    Sources: Kim et al. 2016, arXiv:1508.06615, sections 2.2 and 2.3; Peters et al. 2018, arXiv:1802.05365, section 3.4.
    """

    def __init__(
        self, num_characters: int, embedding_size: int, *, filters: int, window: int, highways: int, size: int
    ) -> None:
        super().__init__()
        self.embedding = Embedding(num_characters, embedding_size)
        with torch.no_grad():
            self.embedding.weight[UNKNOWN] = 0.0
        widths = range(1, window + 1)
        self.filters = nn.ModuleList(nn.Conv1d(embedding_size, filters * w, w) for w in widths)
        total = filters * sum(widths)
        self.transforms = nn.ModuleList(nn.Linear(total, total) for _ in range(highways))
        self.gates = nn.ModuleList(nn.Linear(total, total) for _ in range(highways))
        for gate in self.gates:
            assert isinstance(gate, nn.Linear)
            nn.init.constant_(gate.bias, CARRIES)
        self.projection = nn.Linear(total, size)
        self.output_size = size

    def forward(self, characters: Tensor, lengths: Tensor) -> Tensor:
        letters, each = _words(characters, lengths)
        if not each.numel():
            return self.projection.weight.new_zeros(*lengths.shape, self.output_size)
        letters, each, place = _distinct(letters, each)
        vectors = torch.where((each > 0).unsqueeze(1), self._vectors(*marked(letters, each)), 0.0)
        # A lookup, whose gradient adds up in one order; that of an index need not.
        return F.embedding(place, vectors).view(*lengths.shape, self.output_size)

    def _vectors(self, letters: Tensor, lengths: Tensor) -> Tensor:
        """(U, size) of letters (C, U), lengths (U,) of which are letters."""
        x = F.pad(self.embedding(letters).permute(1, 2, 0), (0, len(self.filters) - 1))
        beyond = ~sequence_mask(lengths, len(letters)).T.unsqueeze(1)
        found = []
        for width, one in enumerate(self.filters, start=1):
            scores = one(x[:, :, : len(letters) + width - 1])
            found.append(scores.masked_fill(beyond, -torch.inf).amax(2))
        y = torch.relu(torch.cat(found, 1))
        for transform, gate in zip(self.transforms, self.gates, strict=True):
            carried = torch.sigmoid(gate(y))
            y = carried * torch.relu(transform(y)) + (1 - carried) * y
        projected: Tensor = self.projection(y)
        return projected


def marked(letters: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Words (C + 2, U) with BEGIN before their letters and END behind, and how many these are (U,)."""
    steps = torch.arange(len(letters) + 2, device=letters.device).unsqueeze(1)
    found = F.pad(letters, (0, 0, 1, 1), value=PADDING)
    found = torch.where(steps == lengths + 1, END, found)
    return torch.where(steps == 0, BEGIN, found), lengths + 2


def _distinct(letters: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The different words of letters (C, M), without padding that all have, their lengths, and which each is (M,)."""
    longest = int(lengths.max())
    words, place = torch.unique(torch.cat([lengths.unsqueeze(0), letters[:longest]]), dim=1, return_inverse=True)
    return words[1:], words[0], place


def _words(characters: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Letters (C, T * N), padding where a word has none, and the words' lengths (T * N,)."""
    each = lengths.to(characters.device).flatten()
    letters = characters.flatten(1)
    return torch.where(sequence_mask(each, len(letters)), letters, PADDING), each


CHARACTERS: Registry[type[CharacterLSTM] | type[CharacterCNN]] = Registry("word vector from characters")
CHARACTERS.add("lstm", CharacterLSTM)
CHARACTERS.add("cnn", CharacterCNN)
