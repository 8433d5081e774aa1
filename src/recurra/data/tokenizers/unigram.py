"""Train the pieces of a unigram language model, reproducibly.

Written out here because the trainer in Hugging Face `tokenizers` walks its words in the order of a randomly seeded
hash table: five runs on one text gave five models. Here the order is the alphabet, and sums are sequential.
Source: Kudo 2018, "Subword Regularization", arXiv:1804.10959, section 3.2.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

MAX_PIECE_LENGTH = 16
SEEDS_PER_PIECE = 10  # candidates at the start, per piece that is wanted
KEEP = 0.75  # the share of pieces that survives each round (the paper keeps 0.8, SentencePiece 0.75)
STEPS_PER_ROUND = 2

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Lattice:
    """All ways to cut some words into pieces: edges from one position to a later one, ordered by where they end.

    Node n is a position in a word; first[w] and last[w] are the nodes before and after word w.
    start, end, piece, word: (E,) for E edges.  blocks: slices of edges whose ends are equally far into their words.
    """

    start: Ints
    end: Ints
    piece: Ints
    word: Ints
    first: Ints
    last: Ints
    blocks: tuple[tuple[int, int], ...]

    def forward(self, scores: Floats) -> Floats:
        """log of the summed probability of all ways to reach each node; -inf where there is none.

        scores: log probability of each piece.
        """
        reach = np.full(int(self.last[-1]) + 1, -np.inf)
        reach[self.first] = 0.0
        for begin, stop in self.blocks:
            _accumulate(reach, self.end[begin:stop], reach[self.start[begin:stop]] + scores[self.piece[begin:stop]])
        return reach

    def backward(self, scores: Floats) -> Floats:
        """log of the summed probability of all ways from each node to the end of its word."""
        reach = np.full(int(self.last[-1]) + 1, -np.inf)
        reach[self.last] = 0.0
        for begin, stop in reversed(self.blocks):
            order = begin + np.argsort(self.start[begin:stop], kind="stable")
            _accumulate(reach, self.start[order], reach[self.end[order]] + scores[self.piece[order]])
        return reach

    def only(self, kept: Ints) -> Lattice:
        """The same words over fewer pieces: those numbered in `kept` (sorted), numbered anew in that order."""
        stays = np.isin(self.piece, kept)
        word, end = self.word[stays], self.end[stays]
        return Lattice(
            start=self.start[stays],
            end=end,
            piece=np.searchsorted(kept, self.piece[stays]),
            word=word,
            first=self.first,
            last=self.last,
            blocks=_blocks(end - self.first[word]),
        )

    def expected_counts(self, scores: Floats, weights: Floats) -> Floats:
        """How often each piece is used, over all ways to cut each word, which counts `weights` times."""
        before, after = self.forward(scores), self.backward(scores)
        log_share = before[self.start] + scores[self.piece] + after[self.end] - before[self.last][self.word]
        used: Floats = np.bincount(self.piece, np.exp(log_share) * weights[self.word], minlength=len(scores)).astype(
            float
        )
        return used


def _accumulate(reach: Floats, nodes: Ints, values: Floats) -> None:
    """reach[n] = logaddexp of itself and of all values at n; `nodes` is sorted."""
    heads = np.flatnonzero(np.diff(nodes, prepend=-1))
    reach[nodes[heads]] = np.logaddexp(reach[nodes[heads]], np.logaddexp.reduceat(values, heads))


def lattice(words: Sequence[str], pieces: Mapping[str, int], *, whole: bool = True) -> Lattice:
    """The lattice of `words` over `pieces` (piece -> number). whole: may a word be a piece?"""
    edges = array("q")  # flat, five numbers an edge: 40 bytes, where a tuple would take 250
    first = np.concatenate([[0], np.cumsum([len(word) + 1 for word in words])[:-1]]).astype(np.int64)
    for number, word in enumerate(words):
        base = int(first[number])
        for start, end in _spans(word):
            piece = pieces.get(word[start:end])
            if piece is not None and (whole or end - start < len(word)):
                edges.extend((end, base + end, base + start, piece, number))
    table = np.frombuffer(edges, dtype=np.int64).reshape(-1, 5)
    offset, end_node, start_node, piece_number, word_number = table[np.lexsort(table.T[::-1])].T
    return Lattice(
        start=start_node,
        end=end_node,
        piece=piece_number,
        word=word_number,
        first=first,
        last=first + np.array([len(word) for word in words]),
        blocks=_blocks(offset),
    )


def _spans(word: str) -> Iterator[tuple[int, int]]:
    for start in range(len(word)):
        for end in range(start + 1, min(start + MAX_PIECE_LENGTH, len(word)) + 1):
            yield start, end


def _blocks(offsets: Ints) -> tuple[tuple[int, int], ...]:
    """The slices in which sorted `offsets` are equal."""
    cuts = [*np.flatnonzero(np.diff(offsets, prepend=-1)).tolist(), len(offsets)]
    return tuple(pairwise(cuts))


def train_unigram(counts: Mapping[str, int], size: int) -> list[tuple[str, float]]:
    """Learn at most `size` pieces from words and how often each occurs; with log probabilities, best first.

    Every character of the words is kept, so `size` must be at least their number.
    """
    words = sorted(counts)
    weights = np.array([counts[word] for word in words], dtype=np.float64)
    seeds, expected = _seeds(counts, size * SEEDS_PER_PIECE)
    numbers = {piece: n for n, piece in enumerate(seeds)}
    cuts = lattice(words, numbers)
    spelling = lattice(seeds, numbers, whole=False)
    left = np.arange(len(seeds))
    while True:
        for _ in range(STEPS_PER_ROUND):
            expected = cuts.expected_counts(_log_probabilities(expected), weights)
        if len(left) <= size:
            return _ranked([seeds[n] for n in left], _log_probabilities(expected))
        costs = _costs(expected, spelling, left)
        kept = np.sort(np.argsort(-costs, kind="stable")[: max(size, int(len(left) * KEEP))])
        left, expected, cuts, spelling = left[kept], expected[kept], cuts.only(kept), spelling.only(kept)


def _seeds(counts: Mapping[str, int], limit: int) -> tuple[list[str], Floats]:
    """All characters, and the substrings seen twice or more that cover the most text."""
    seen: Counter[str] = Counter()
    for word, count in counts.items():
        for start, end in _spans(word):
            seen[word[start:end]] += count
    characters = sorted(piece for piece in seen if len(piece) == 1)
    longer = sorted((p for p, n in seen.items() if len(p) > 1 and n > 1), key=lambda p: (-seen[p] * len(p), p))
    pieces = characters + longer[: max(0, limit - len(characters))]
    return pieces, np.array([seen[piece] * len(piece) for piece in pieces], dtype=np.float64)


def _log_probabilities(expected: Floats) -> Floats:
    # A character that is never used on its own keeps a small share: some later word may need it.
    floored = np.maximum(expected, 1e-3)
    return np.asarray(np.log(floored / floored.sum()))


def _costs(expected: Floats, spelling: Lattice, left: Ints) -> Floats:
    """The log likelihood, in nats, that is lost with each piece; infinite for a character.

    Its expected count times the difference to spelling it with the other pieces.
    spelling: lattice of all seeds, without the edge that is the seed itself.  left: which seeds the pieces are.
    """
    scores = _log_probabilities(expected)
    otherwise = spelling.forward(scores)[spelling.last[left]]
    return np.where(np.isneginf(otherwise), np.inf, expected * (scores - np.nan_to_num(otherwise, neginf=0.0)))


def _ranked(pieces: Sequence[str], scores: Floats) -> list[tuple[str, float]]:
    return sorted(zip(pieces, scores.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))
