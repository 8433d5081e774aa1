"""Documents as streams: each row of a batch goes on where the same row of the batch before has ended."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.contracts import Batch
from recurra.data.store import numbers_beside
from recurra.data.streams import Streams
from recurra.data.tokenizers import UNK
from recurra.tasks.bucketing import ALL
from recurra.tasks.language_model.documents import PIECE, Passage
from recurra.tasks.letters import Spellings

Item = tuple[int, int]


class StreamSampler:
    """The order of training: chunks of at most bptt targets, `rows` of them a batch.

    examples: all passages of each document, one after the other      begin: what stands before a document
    """

    carries = True

    def __init__(
        self,
        examples: Sequence[Passage],
        begin: int,
        *,
        bptt: int,
        rows: int,
        seed: int,
        spellings: Spellings | None = None,
    ) -> None:
        """spellings: for a model that reads the letters of tokens"""
        # What stands before each document, its tokens and its end, document after document.
        dtype = examples[0].encoded.vocabulary.dtype if len(examples) else np.uint16
        self._ids = numbers_beside(examples, dtype)
        offsets, first_piece = array("q"), array("q")
        self._spellings, places, spelt = spellings, array("q"), array("q")
        for number, passage in enumerate(examples):
            if not passage.start:
                offsets.append(len(self._ids))
                first_piece.append(number)
            if spellings is not None and passage.encoded.spelling:
                own = len(self._ids) + (not passage.start)
                places.extend((own + np.flatnonzero(passage.encoded.ids == UNK)).tolist())
                spelt.extend(spellings.numbers(passage.encoded.unknown))
            self._ids.extend(passage.numbers(begin)[1 + passage.start - passage.first if passage.start else 0 :])
        self._offsets, self._first_piece = np.array(offsets, np.int64), np.array(first_piece, np.int64)
        # Where a token is unknown, and its number among all that are spelt.
        self._unknown, self._spelt = np.array(places, np.int64), np.array(spelt, np.int64)
        self._targets = np.diff(self._offsets, append=len(self._ids)) - 1
        self._options = {"bptt": bptt, "rows": rows, "seed": seed}
        self._known: tuple[int, Streams] | None = None

    def plan(self, epoch: int) -> list[Item]:
        """The batches of an epoch: its number, and theirs."""
        return [(epoch, step) for step in range(len(self._streams(epoch)))]

    def batch(self, item: Item, rows: slice = ALL) -> Batch:
        """inputs: tokens (T, N), with their letters where these are read, and fresh (N,); targets: tokens (T, N);
        indices: the passage that each row is in."""
        epoch, step = item
        chunks = self._streams(epoch)[step].of(rows)
        steps = np.arange(chunks.lengths.max(initial=0))[:, None]
        real = steps < chunks.lengths
        places = np.where(real, self._offsets[chunks.documents] + chunks.starts + steps, 0)
        tokens, targets = (np.where(real, self._ids.at(p), 0).astype(np.int64) for p in (places, places + 1))
        where = self._first_piece[chunks.documents] + chunks.starts // PIECE
        return Batch(
            {**self._inputs(tokens, places), "fresh": torch.from_numpy(chunks.fresh)},
            torch.from_numpy(chunks.lengths),
            {"tokens": torch.from_numpy(targets)},
            tuple(where.tolist()),
        )

    def _inputs(self, tokens: NDArray[np.int64], places: NDArray[np.int64]) -> dict[str, Tensor]:
        if self._spellings is None:
            return {"tokens": torch.from_numpy(tokens)}
        unknown = (tokens == UNK) & np.isin(places, self._unknown)
        tokens[unknown] = self._spelt[np.searchsorted(self._unknown, places[unknown])]
        return self._spellings.inputs(tokens)

    def _streams(self, epoch: int) -> Streams:
        if self._known is None or self._known[0] != epoch:
            self._known = epoch, Streams(self._targets, epoch=epoch, **self._options)
        return self._known[1]
