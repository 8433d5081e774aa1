"""Pairs of texts to tensors, and numbers back to tokens.

A model that copies reads the source as tokens of the target: a token that the target's vocabulary lacks gets a number
above it, its place among the row's own such tokens ("strangers"), so it can be said although nobody knows it
(See, Liu & Manning 2017, arXiv:1704.04368, section 2.2).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from recurra.base.contracts import Batch
from recurra.data.tokenizers import BOS, EOS, UNK, Vocabulary
from recurra.tasks.text import pad_sequence
from recurra.tasks.translation.pairs import TextPair, all_wanted, wanted
from recurra.tasks.translation.readers import Sides, Tokens


def collated(sides: Sides, examples: Sequence[TextPair], indices: Sequence[int]) -> Batch:
    """source and source_copy (T, N), lengths; where all answers are known, target (S, N), target_lengths, and targets.

    target begins with the start and is what the decoder reads; targets tokens (S, N) end with the end and are what it
    should say. targets copied are the same with a number for each stranger.
    """
    read = [sides.source.vocabulary.ids(e.source) for e in examples]
    source, lengths = pad_sequence(read), torch.tensor(list(map(len, read)), dtype=torch.int64)
    vocabulary = sides.target.vocabulary
    inputs = {"source": source, "source_copy": pad_sequence([copied(vocabulary, e.source, e.source) for e in examples])}
    if not all_wanted(examples):
        return Batch(inputs, lengths, {}, tuple(indices))
    ids = [vocabulary.ids(wanted(e).tokens) for e in examples]
    inputs |= read_by_decoder(ids)
    copies = [copied(vocabulary, wanted(e).tokens, e.source) for e in examples]
    targets = {
        "tokens": pad_sequence([[*row, EOS] for row in ids]),
        "copied": pad_sequence([[*row, EOS] for row in copies]),
    }
    return Batch(inputs, lengths, targets, tuple(indices))


def read_by_decoder(ids: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    """What the decoder reads to say these tokens and then the end: (S, N), and the lengths (N,)."""
    return {
        "target": pad_sequence([[BOS, *row] for row in ids]),
        "target_lengths": torch.tensor([len(row) + 1 for row in ids], dtype=torch.int64),
    }


def oov_tokens(vocabulary: Vocabulary, source: Tokens) -> tuple[str, ...]:
    """The tokens of a source that a vocabulary lacks, each once, in order."""
    ids = vocabulary.ids(source)
    if UNK not in ids:
        return ()
    return tuple(dict.fromkeys(token for token, number in zip(source, ids, strict=True) if number == UNK))


def copied(vocabulary: Vocabulary, tokens: Tokens, source: Tokens) -> list[int]:
    """Numbers of tokens: those of the vocabulary, above it the source's strangers, UNK for all others."""
    ids = vocabulary.ids(tokens)
    if UNK not in ids:
        return ids
    place = {token: len(vocabulary) + k for k, token in enumerate(oov_tokens(vocabulary, source))}
    return [place.get(token, UNK) if number == UNK else number for token, number in zip(tokens, ids, strict=True)]


def tokens_of(vocabulary: Vocabulary, ids: Sequence[int], source: Tokens) -> Tokens:
    """The inverse of `copied`; an unknown token is shown as the vocabulary shows it."""
    known = len(vocabulary)
    if all(number < known for number in ids):
        return tuple(vocabulary.tokens(ids))
    added = oov_tokens(vocabulary, source)
    return tuple(added[n - known] if n >= known else vocabulary.tokens([n])[0] for n in ids)
