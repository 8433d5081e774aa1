"""Documents as streams: each row of a batch goes on where the same row of the batch before has ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from recurra.base.contracts import Batch
from recurra.data.streams import Streams
from recurra.data.tokenizers.encoded import Ids
from recurra.tasks.bucketing import ALL
from recurra.tasks.language_model.documents import PIECE, Document, Passage

Item = tuple[int, int]


class StreamSampler:
    """The order of training: chunks of at most bptt targets, `rows` of them a batch.

    examples: all passages of each document, one after the other
    ids: a document's numbers, its start in front and its end behind
    """

    carries = True

    def __init__(
        self, examples: Sequence[Passage], ids: Callable[[Document], Ids], *, bptt: int, rows: int, seed: int
    ) -> None:
        documents = list(dict.fromkeys(e.document for e in examples))
        numbers = [ids(document) for document in documents]
        self._ids = np.concatenate(numbers) if numbers else np.zeros(0, np.uint16)
        sizes = np.array([len(some) for some in numbers], dtype=np.int64)
        self._offsets = sizes.cumsum() - sizes
        self._targets = sizes - 1
        pieces = -(-self._targets // PIECE)
        self._first_piece = pieces.cumsum() - pieces
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
        tokens, targets = (np.where(real, self._ids[p], 0).astype(np.int64) for p in (places, places + 1))
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
