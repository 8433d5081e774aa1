"""Pairs of texts to tensors, and numbers back to tokens.

A model that copies reads the source as tokens of the target: a token that the target's vocabulary lacks gets a number
above it, its place among the row's own such tokens ("strangers"), so it can be said although nobody knows it
(See, Liu & Manning 2017, arXiv:1704.04368, section 2.2).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from recurra.base.contracts import Batch
from recurra.data.tokenizers import BOS, EOS, UNK, Encoded, Vocabulary, encode
from recurra.data.tokenizers.encoded import Ids
from recurra.data.tokenizers.vocabulary import MOST_IN_TWO_BYTES
from recurra.decode import Hypothesis
from recurra.tasks.text import pad_arrays, pad_sequence
from recurra.tasks.translation.pairs import TextPair, all_wanted, wanted
from recurra.tasks.translation.readers import Tokens


def collated(examples: Sequence[TextPair], indices: Sequence[int]) -> Batch:
    """source and source_copy (T, N), lengths; where all answers are known, target (S, N), target_lengths, and targets.

    target begins with the start and is what the decoder reads; targets tokens (S, N) end with the end and are what it
    should say. targets copied are the same with a number for each stranger.
    """
    source, lengths = pad_arrays([e.encoded.ids for e in examples])
    inputs = {"tokens": source, "source_copy": pad_arrays([e.copied for e in examples])[0]}
    if not all_wanted(examples):
        return Batch(inputs, lengths, {}, tuple(indices))
    answers = [wanted(e) for e in examples]
    ids = [answer.encoded.ids for answer in answers]
    inputs |= read_by_decoder(ids)
    copies = [own if answer.copied is None else answer.copied for answer, own in zip(answers, ids, strict=True)]
    targets = {"tokens": pad_arrays(list(map(_ended, ids)))[0], "copied": pad_arrays(list(map(_ended, copies)))[0]}
    return Batch(inputs, lengths, targets, tuple(indices))


def _ended(ids: Ids) -> Ids:
    return np.append(ids, np.array(EOS, ids.dtype))


def read_by_decoder(ids: Sequence[Sequence[int] | Ids]) -> dict[str, Tensor]:
    """What the decoder reads to say these tokens and then the end: (S, N), and the lengths (N,)."""
    return {
        "target": pad_sequence([[BOS, *row] for row in ids]),
        "target_lengths": torch.tensor([len(row) + 1 for row in ids], dtype=torch.int64),
    }


def read_again(answer: Hypothesis) -> tuple[int, ...]:
    """The tokens that the steps of an answer read behind the start.

    The last one of an answer that was cut is none of them: it may stand where a decoder has no position any more.
    """
    return answer.tokens[: len(answer.tokens) + answer.ended - 1]


def oov_tokens(vocabulary: Vocabulary, source: Tokens) -> tuple[str, ...]:
    """The tokens of a source that a vocabulary lacks, each once, in order."""
    return tuple(dict.fromkeys(encode(vocabulary, source).unknown))


def copied(tokens: Encoded, source: Encoded) -> Ids:
    """Numbers of tokens: those of the vocabulary, above it the source's strangers, UNK for all others.

    source: as tokens of the same vocabulary
    """
    if not tokens.spelling:
        return tokens.ids
    known = len(tokens.vocabulary)
    place = {token: known + k for k, token in enumerate(dict.fromkeys(source.unknown))}
    found = tokens.ids.astype(np.int32)
    found[found == UNK] = [place.get(token, UNK) for token in tokens.unknown]
    return found if found.max() >= MOST_IN_TWO_BYTES else found.astype(np.uint16)


def tokens_of(vocabulary: Vocabulary, ids: Sequence[int], source: Tokens) -> Tokens:
    """The tokens of such numbers; an unknown token is shown as the vocabulary shows it."""
    known = len(vocabulary)
    if all(number < known for number in ids):
        return tuple(vocabulary.tokens(ids))
    added = oov_tokens(vocabulary, source)
    return tuple(added[n - known] if n >= known else vocabulary.tokens([n])[0] for n in ids)
