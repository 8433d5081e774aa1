"""Train, dev and test from one list of records, and rows that stand in two of them.

Records with the same key (the same text) stay together: a text in train and in test would be a leak. Neither rule
depends on the order of the file, or on the seed of the training.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

from recurra.base.contracts import Origin
from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.base.registry import Registry

TRAIN, DEV, TEST = "train", "dev", "test"


class Split(Protocol):
    """A rule that says for each record where it goes."""

    def assign(self, keys: Sequence[str], strata: Sequence[str], *, test: bool) -> list[str]:
        """The split of each record. keys: what makes two records the same; strata: what is kept in proportion
        (a label); test: whether a test split is wanted beside dev, or its share stays in train."""


class RandomSplit:
    """Shares of every stratum, drawn by a seed: each label has the same share in each split, as near as it can."""

    def __init__(
        self,
        *,
        dev: Annotated[float, Opt("share of the rows for dev", gt=0, lt=1)] = 0.1,
        test: Annotated[float, Opt("share of the rows for test", gt=0, lt=1)] = 0.1,
        seed: Annotated[int, Opt("of the draw; the training seed does not change it", ge=0)] = 0,
    ) -> None:
        if dev + test >= 1:
            raise ConfigError(f"dev: {dev} and test: {test} leave nothing to train on; expected a sum below 1.")
        self._dev, self._test, self._seed = dev, test, seed

    def assign(self, keys: Sequence[str], strata: Sequence[str], *, test: bool) -> list[str]:
        rows = Counter(keys)
        stratum_of = dict(zip(reversed(keys), reversed(strata), strict=True))  # of the first row with this key
        groups: dict[str, list[str]] = defaultdict(list)
        for key in sorted(rows, key=self._draw):
            groups[stratum_of[key]].append(key)
        place: dict[str, str] = {}
        for members in groups.values():
            place |= self._share_out(members, rows, test)
        return [place[key] for key in keys]

    def _draw(self, key: str) -> bytes:
        return hashlib.blake2b(f"{self._seed}:{key}".encode(), digest_size=16).digest()

    def _share_out(self, members: Sequence[str], rows: Counter[str], test: bool) -> dict[str, str]:
        """Fill dev, then test, then train, each until it has its share of the stratum's rows."""
        total = sum(rows[key] for key in members)
        limits = [(DEV, self._dev * total), (TEST, (self._dev + self._test * test) * total), (TRAIN, float(total))]
        place, done = {}, 0
        for key in members:
            # A key goes where its middle falls, so that shares are right on average also for large groups.
            middle = done + rows[key] / 2
            place[key] = next(name for name, limit in limits if middle <= limit)
            done += rows[key]
        return place


class HashSplit:
    """By the SHA-1 of the key: one tenth test, one tenth dev, the rest train. Others can repeat it with one line."""

    def assign(self, keys: Sequence[str], strata: Sequence[str], *, test: bool) -> list[str]:
        tenths = {0: TEST if test else TRAIN, 1: DEV}
        return [tenths.get(_tenth(key), TRAIN) for key in keys]


def _tenth(key: str) -> int:
    return int(hashlib.sha1(key.encode("utf-8"), usedforsecurity=False).hexdigest()[:8], 16) % 10


SPLITS: Registry[Callable[..., Split]] = Registry("split")
SPLITS.add("random", RandomSplit)
SPLITS.add("hash", HashSplit)


@dataclass(frozen=True, slots=True)
class Overlap:
    """Rows of one split whose key stands in another one too. first: origins of the first such pair."""

    count: int
    first: tuple[Origin, Origin] | None


def overlap(a: Sequence[tuple[str, Origin]], b: Sequence[tuple[str, Origin]]) -> Overlap:
    """How many rows of `b` have a key that `a` has. Each is a list of (key, origin)."""
    known = {key: origin for key, origin in reversed(a)}
    twins = [(known[key], origin) for key, origin in b if key in known]
    return Overlap(len(twins), twins[0] if twins else None)
