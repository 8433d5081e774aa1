"""What training rows say of a word: how often it had each tag, and which spans it is in.

Of a training sentence its own words and spans are left out, as a new sentence has counted nothing either: a model that
found its own answers there would believe whatever it finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.errors import RunError
from recurra.data.dictionary import Lookup
from recurra.data.schemes import SCHEMES, Span
from recurra.data.spelling import OUTSIDE
from recurra.data.tokenizers.vocabulary import SPECIALS
from recurra.metrics import SpanDictionary

Numbers = Sequence[int] | NDArray[Any]
Counts = NDArray[np.int32]
# Entries of a file are written as tags in this scheme, whatever the model has: it tells most about where one ends.
OF_ENTRIES = "iobes"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a dictionary has to know of a sentence of n words.

    words: (n,) their numbers      own: (n,) the numbers of its tags, where it was counted and is to be left out
    in_spans, in_entries: (n,) as the members of `Dictionary` of these names give them
    """

    words: Numbers
    in_spans: Counts | None
    in_entries: Counts | None
    own: Numbers | None


class Dictionary:
    """Numbers of each word of a sentence, from what training rows had.

    counts: (V, L) how often each word of the vocabulary had each tag; None: not looked up
    spans: those of training; None: not looked up      entries: those of a user's file; None: no file
    tags: of the model, L of them      scheme: in which the model writes spans
    """

    def __init__(
        self,
        counts: Counts | None,
        spans: SpanDictionary | None,
        entries: SpanDictionary | None,
        *,
        tags: Sequence[str],
        scheme: str,
    ) -> None:
        self.counts, self.spans, self.entries, self.tags, self.scheme = counts, spans, entries, tuple(tags), scheme
        labels = () if entries is None else entries.labels
        self._entry_tags = SCHEMES[OF_ENTRIES].tags(labels)[1:]

    @property
    def size(self) -> int:
        """Numbers of a word."""
        return len(self.tags) * ((self.counts is not None) + (self.spans is not None)) + len(self._entry_tags)

    def in_spans(self, tokens: Sequence[str], own: Sequence[Span] | None) -> Counts | None:
        """(n,) 1 + the tag that each token has in a span of training, 0 where it is in none.

        tokens: as they are looked up      own: the spans of a sentence that was counted, which are left out
        """
        return None if self.spans is None else _places(self.spans(tokens, own), len(tokens), self.tags, self.scheme)

    def in_entries(self, tokens: Sequence[str]) -> Counts | None:
        """(n,) 1 + the place of the tag that each token has in an entry of the file, 0 where it is in none; of each
        label, in the order of the alphabet, there are B-X, I-X, E-X and S-X."""
        if self.entries is None:
            return None
        return _places(self.entries(tokens), len(tokens), self._entry_tags, OF_ENTRIES)

    def inputs(self, entries: Sequence[Entry]) -> Tensor:
        """(T, N, size), 0 where padded: of each tag c / (m + 1), where the word had it c of m times; then 1 for the tag
        that it has in a span of training, and 1 for the one that it has in an entry."""
        length = max((len(entry.words) for entry in entries), default=0)
        found = np.zeros((length, len(entries), self.size), np.float32)
        for number, entry in enumerate(entries):
            found[: len(entry.words), number] = np.concatenate(list(self._parts(entry)), 1)
        return torch.from_numpy(found)

    def _parts(self, entry: Entry) -> Iterable[NDArray[np.float32]]:
        if self.counts is not None:
            yield shares(self.counts, np.asarray(entry.words, np.int64), entry.own)
        if entry.in_spans is not None:
            yield _ones(entry.in_spans, len(self.tags))
        if entry.in_entries is not None:
            yield _ones(entry.in_entries, len(self._entry_tags))

    def to_json(self) -> dict[str, Any]:
        """Everything but tags and scheme; of each word that is no special one [tag, how often], ..."""
        counts = None if self.counts is None else self.counts[len(SPECIALS) :]
        words = None if counts is None else [[[int(k), int(row[k])] for k in np.flatnonzero(row)] for row in counts]
        spans, entries = (None if some is None else some.to_json() for some in (self.spans, self.entries))
        return {"words": words, "spans": spans, "entries": entries}

    @classmethod
    def from_json(cls, data: Any, origin: str, *, words: int, tags: Sequence[str], scheme: str) -> Dictionary:
        """The inverse of `to_json`. words: entries of the vocabulary. Raises RunError that names `origin`."""
        try:
            counts = None if data["words"] is None else _restored(data["words"], (words, len(tags)))
            held = [data["spans"], data["entries"]]
            spans, entries = (None if some is None else SpanDictionary.from_json(some) for some in held)
            if spans is not None and scheme not in SCHEMES:
                raise ValueError(f"spans in scheme {scheme!r}")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise RunError(f"{origin}: expected the dictionary of a tagging: {str(error)[:300]}.") from error
        return cls(counts, spans, entries, tags=tags, scheme=scheme)


def _places(found: Iterable[tuple[str, int, int]], length: int, tags: Sequence[str], scheme: str) -> Counts:
    """(n,) 1 + the place of each token's tag in such spans; 0 outside of them, and for a tag that is not there."""
    place = {tag: 1 + number for number, tag in enumerate(tags) if tag != OUTSIDE}
    written = SCHEMES[scheme].write([Span(*span) for span in found], length)
    return np.array([place.get(tag, 0) for tag in written], np.int32)


def _ones(places: Counts, size: int) -> NDArray[np.float32]:
    """(n, size): 1 at each place, counted from 1; nowhere for 0."""
    return np.asarray(places[:, None] == np.arange(1, size + 1), np.float32)


def count(sentences: Iterable[tuple[Numbers, Numbers]], *, words: int, tags: int) -> Counts:
    """(words, tags): how often each word had each tag. sentences: numbers of words and tags

    Words without a number of their own are not counted, as they are many words.
    """
    counts = np.zeros((words, tags), np.int32)
    for own_words, own_tags in sentences:
        np.add.at(counts, (np.asarray(own_words, np.int64), np.asarray(own_tags, np.int64)), 1)
    counts[: len(SPECIALS)] = 0
    return counts


def shares(counts: Counts, words: NDArray[np.int64], own: Numbers | None) -> NDArray[np.float32]:
    """(n, L): c / (m + 1) of each tag that a word had c of m times; own: as `Entry` has it."""
    found = counts[words]
    if own is not None:
        different, place = np.unique(words, return_inverse=True)
        here = np.zeros((len(different), counts.shape[1]), np.int32)
        np.add.at(here, (place, np.asarray(own, np.int64)), 1)
        found = np.maximum(found - here[place], 0)  # of words that were not counted nothing is to be left out
    return np.asarray(found / (found.sum(1, keepdims=True) + 1), np.float32)


def _restored(rows: Sequence[Any], shape: tuple[int, int]) -> Counts:
    """Counts from their JSON. Raises ValueError for another number of words, or what is no tag or count."""
    if len(rows) != shape[0] - len(SPECIALS):
        raise ValueError(f"{len(rows)} words, not {shape[0] - len(SPECIALS)}")
    counts = np.zeros(shape, np.int32)
    for word, row in enumerate(rows, len(SPECIALS)):
        for tag, number in row:
            if type(tag) is not int or type(number) is not int or not 0 <= tag < shape[1] or number < 1:
                raise ValueError(f"tag {tag!r}, {number!r} times")
            counts[word, tag] = number
    return counts


def made_by(
    plan: Lookup,
    sentences: Iterable[tuple[Numbers, Numbers]],
    tokens: Iterable[Sequence[str]],
    spans: Iterable[Sequence[Span]] | None,
    entries: Sequence[tuple[Sequence[str], str]],
    *,
    words: int,
    tags: Sequence[str],
    scheme: str,
) -> Dictionary | None:
    """The dictionary of training sentences, as the config wants it; None where it would hold nothing.

    sentences: numbers of words and tags, read once      tokens: as they are looked up, read twice
    spans: None where tags write none
    entries: of the user's file, their words as they are looked up, and their labels
    """
    counts = count(sentences, words=words, tags=len(tags)) if plan.words else None
    known = SpanDictionary(tokens, spans) if spans is not None and plan.spans is not False else None
    own = SpanDictionary.of_entries(entries) if entries else None
    if counts is None and known is None and own is None:
        return None
    return Dictionary(counts, known, own, tags=tags, scheme=scheme)
