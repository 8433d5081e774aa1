"""Documents as streams: each row of a batch goes on where the same row of the batch before has ended."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
import torch

from recurra.base.contracts import Batch
from recurra.data.store import numbers_beside
from recurra.data.streams import Streams
from recurra.tasks.bucketing import ALL
from recurra.tasks.language_model.documents import PIECE, Passage

Item = tuple[int, int]


class StreamSampler:
    """The order of training: chunks of at most bptt targets, `rows` of them a batch.

    examples: all passages of each document, one after the other      begin: what stands before a document
    """

    carries = True

    def __init__(self, examples: Sequence[Passage], begin: int, *, bptt: int, rows: int, seed: int) -> None:
        # What stands before each document, its tokens and its end, document after document.
        dtype = examples[0].encoded.vocabulary.dtype if len(examples) else np.uint16
        self._ids = numbers_beside(examples, dtype)
        offsets, first_piece = array("q"), array("q")
        for number, passage in enumerate(examples):
            if not passage.start:
                offsets.append(len(self._ids))
                first_piece.append(number)
            self._ids.extend(passage.numbers(begin)[1 + passage.start - passage.first if passage.start else 0 :])
        self._offsets, self._first_piece = np.array(offsets, np.int64), np.array(first_piece, np.int64)
        self._targets = np.diff(self._offsets, append=len(self._ids)) - 1
        self._options = {"bptt": bptt, "rows": rows, "seed": seed}
        self._known: tuple[int, Streams] | None = None

    def plan(self, epoch: int) -> list[Item]:
        """The batches of an epoch: its number, and theirs."""
        return [(epoch, step) for step in range(len(self._streams(epoch)))]

    def batch(self, item: Item, rows: slice = ALL) -> Batch:
        """inputs: tokens (T, N), fresh (N,); targets: tokens (T, N); indices: the passage that each row is in."""
        epoch, step = item
        chunks = self._streams(epoch)[step].of(rows)
        steps = np.arange(chunks.lengths.max(initial=0))[:, None]
        real = steps < chunks.lengths
        places = np.where(real, self._offsets[chunks.documents] + chunks.starts + steps, 0)
        tokens, targets = (np.where(real, self._ids.at(p), 0).astype(np.int64) for p in (places, places + 1))
        where = self._first_piece[chunks.documents] + chunks.starts // PIECE
        return Batch(
            {"tokens": torch.from_numpy(tokens), "fresh": torch.from_numpy(chunks.fresh)},
            torch.from_numpy(chunks.lengths),
            {"tokens": torch.from_numpy(targets)},
            tuple(where.tolist()),
        )

    def _streams(self, epoch: int) -> Streams:
        if self._known is None or self._known[0] != epoch:
            self._known = epoch, Streams(self._targets, epoch=epoch, **self._options)
        return self._known[1]
