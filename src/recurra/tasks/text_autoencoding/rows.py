"""Texts as examples, and as batches: what is hidden from the encoder, and from the decoder, in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recurra.base.contracts import Batch, Origin
from recurra.base.normal import normal
from recurra.data.draws import drawn, key_of
from recurra.data.tokenizers import BOS, EOS, UNK, Encoded
from recurra.data.tokenizers.encoded import Ids
from recurra.tasks.blank import is_blank
from recurra.tasks.text import pad_arrays

# What is drawn for the encoder, and for the decoder, comes from numbers of its own.
ENCODER, DECODER = 40, 41


@dataclass(frozen=True, slots=True)
class CodedText:
    """A text as the tokens that are kept. all_tokens: how many it has"""

    text: str
    encoded: Encoded
    all_tokens: int
    origin: Origin

    @property
    def length(self) -> int:
        return len(self.encoded)

    @property
    def key(self) -> str:
        return normal(self.text)

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to read."""
        return not self.length or is_blank(self.text)

    def digest(self) -> bytes:
        return self.encoded.digest()


@dataclass(frozen=True, slots=True)
class Hiding:
    """Shares of a text's tokens that training hides. encoder: left out of what it reads; decoder: read as unknown"""

    encoder: float = 0.0
    decoder: float = 0.0

    @property
    def hides(self) -> bool:
        return bool(self.encoder or self.decoder)

    def of(self, ids: Ids, seed: int, epoch: int) -> tuple[Ids, Ids]:
        """What the encoder and the decoder read of a text in an epoch; the encoder at least one token."""
        key = key_of(seed, epoch, ids.tobytes())
        read = written = ids
        if self.encoder and len(ids):
            chance = drawn(key, len(ids), ENCODER)
            read = ids[(chance >= self.encoder) | (chance == chance.max())]
        if self.decoder:
            hidden = drawn(key, len(ids), DECODER) < self.decoder
            written = np.where(hidden, np.array(UNK, ids.dtype), ids)
        return read, written


def batched(texts: Sequence[Ids], read: Sequence[tuple[Ids, Ids]], indices: Sequence[int]) -> Batch:
    """tokens (T, N), what the encoder reads; target (S, N), target_lengths (N,), what the decoder reads, with a start;
    targets tokens (S, N), the texts with an end."""
    tokens, lengths = pad_arrays([encoder for encoder, _ in read])
    target, target_lengths = pad_arrays([_with(BOS, decoder, first=True) for _, decoder in read])
    inputs = {"tokens": tokens, "target": target, "target_lengths": target_lengths}
    return Batch(inputs, lengths, {"tokens": pad_arrays([_with(EOS, ids) for ids in texts])[0]}, tuple(indices))


def _with(special: int, ids: Ids, *, first: bool = False) -> Ids:
    one = np.array([special], ids.dtype)
    return np.concatenate([one, ids] if first else [ids, one])
