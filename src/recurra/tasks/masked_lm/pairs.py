"""Pairs of stretches for next-sentence prediction: the second goes on where the first ends, or is of another document.

Devlin et al. 2019, arXiv:1810.04805, section 3.1: half of the pairs are of each kind. Which, where the first stretch
ends and what the second is are drawn from the key of a sequence, as what is hidden of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from recurra.tasks.masked_lm.masks import PAIR, PARTNER, Numbers, drawn
from recurra.tasks.masked_lm.sequences import Sequence as Pieced

# What the head says of a pair, as Google's code numbers it; and of a sequence that is none.
FOLLOWS, OTHER, NO_PAIR = 0, 1, -1
# Sequences of a document from which those of the next one have their second stretch where models are scored; and how
# often one of another document is drawn for, before that one is taken.
KEPT, DRAWS = 1000, 20


def pair_of(example: Pieced, key: int, other: tuple[Numbers, Sequence[int]] | None) -> tuple[Numbers, int]:
    """The pieces of a pair, [CLS] first [SEP] second [SEP], one more than the sequence has at most; and what it is.

    other: a sequence of another document, and where its rows end. A sequence of one row is no pair, and stays.
    """
    ids: Numbers = example.encoded.ids.astype(np.int64)
    if len(example.ends) < 2 or other is None:
        return ids, NO_PAIR
    which, where, start = drawn(key, 3, PAIR)
    at = example.ends[int(where * (len(example.ends) - 1))]
    second, kind = ids[at:-1], FOLLOWS
    if which >= 0.5:
        second, kind = _stretch(*other, len(second), start), OTHER
    return np.concatenate([ids[:at], ids[-1:], second, ids[-1:]]), kind


def _stretch(ids: Numbers, ends: Sequence[int], size: int, share: float) -> Numbers:
    """Rows of a sequence, so many pieces at most, from a place that is drawn; of one row its beginning."""
    starts, last = [1, *(end for end in ends[:-1])], len(ids) - 1
    able = [start for start in starts if last - start >= size] or starts[:1]
    start = able[int(share * len(able))]
    stop = max((end for end in ends if start < end <= start + size), default=min(start + size, last))
    return ids[start:stop]


def partner(examples: Sequence[Pieced], example: Pieced, key: int) -> tuple[Numbers, Sequence[int]] | None:
    """A sequence of another document, drawn from all, with where its rows end."""
    for share in drawn(key, DRAWS, PARTNER):
        found = examples[int(share * len(examples))]
        if found.document != example.document:
            return found.encoded.ids.astype(np.int64), found.ends
    return beside(example)


def beside(example: Pieced) -> tuple[Numbers, Sequence[int]] | None:
    """The sequence of another document that an example always has."""
    return None if example.other is None else (example.other.ids.astype(np.int64), example.other_ends)


def with_others(found: Iterable[Pieced]) -> Iterator[Pieced]:
    """Sequences, each with one of the document before it; those of the first document with one of the second."""
    first: list[Pieced] = []
    before: list[Pieced] = []
    for _, some in groupby(found, key=lambda one: one.document):
        now: list[Pieced] = []
        for number, one in enumerate(some):
            if number < KEPT or not before:
                now.append(one)
            if first and not number:  # of the second document there is one now
                yield from (_with(held, one) for held in first)
                first = []
            if before:
                yield _with(one, before[number % len(before)])
        if not before:
            first = now
        before = now[:KEPT]
    yield from first


def _with(one: Pieced, other: Pieced) -> Pieced:
    return replace(one, other=other.encoded, other_ends=other.ends)
