"""Which captions training had, so that a report can say how many are repeated."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from recurra.metrics.captions import caption_words

# Bytes of a caption's digest: among a million captions, two have the same one with a chance of 0.2 %.
BYTES = 6


@dataclass(frozen=True, slots=True)
class Seen:
    """Training captions by their digests, whatever their case and signs."""

    digests: frozenset[str]

    @classmethod
    def of(cls, captions: Collection[str]) -> Seen:
        return cls(frozenset(map(_digest, captions)))

    def __contains__(self, caption: str) -> bool:
        return _digest(caption) in self.digests

    def to_json(self) -> str:
        """All digests, sorted, one behind the other."""
        return "".join(sorted(self.digests))

    @classmethod
    def from_json(cls, data: Any) -> Seen:
        """The inverse of `to_json`. Raises ValueError for anything else."""
        size = 2 * BYTES
        if not isinstance(data, str) or len(data) % size or set(data) - set("0123456789abcdef"):
            raise ValueError("captions of training that are no digests")
        return cls(frozenset(data[k : k + size] for k in range(0, len(data), size)))


def _digest(caption: str) -> str:
    return hashlib.blake2b(" ".join(caption_words(caption)).encode(), digest_size=BYTES).hexdigest()
