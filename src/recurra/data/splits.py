"""Train, dev and test from one file, and the rows that two splits share.

`hash` and `random` look at what a row says, not at where it stands: rows with the same key go to the same split, so
that no copy of a training row is ever a test row, and the result does not depend on the order of the file; so does
`folds`, where each row is a test row once. `ordered` cuts the file at two places, for text that is read on from row to
row.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated, Any, Protocol, TypeVar

from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.base.registry import Registry

TRAIN, DEV, TEST = NAMES = ("train", "dev", "test")

One = TypeVar("One")
Key = Callable[[Any], str]
AnyKey = Callable[[Any], str | bytes]


class SplitRule(Protocol):
    """Says for each row which split it belongs to.

    makes_test: whether rows are meant for a test split at all
    """

    @property
    def makes_test(self) -> bool: ...

    def assign(self, keys: Sequence[str], strata: Sequence[str]) -> list[str]:
        """One of "train", "dev", "test" per row. keys: rows with the same one stay together. strata: their classes."""
        ...


class HashSplit:
    """A row's split is a function of its key alone: about 10 % test, 10 % dev, the rest train.

    Rows added to the file later move no other row. The shares of the classes are left to chance.
    """

    makes_test = True

    def assign(self, keys: Sequence[str], strata: Sequence[str]) -> list[str]:
        """The split of each row, by `hash_split`; `strata` plays no part."""
        return [hash_split(key) for key in keys]


class RandomSplit:
    """Shares of every class, drawn by seed. Raises ConfigError when dev and test leave nothing for train."""

    def __init__(
        self,
        *,
        dev: Annotated[float, Opt("share of the rows for choosing the best epoch", ge=0, lt=1)] = 0.1,
        test: Annotated[float, Opt("share of the rows for the final scores", ge=0, lt=1)] = 0.1,
        seed: Annotated[int, Opt("random seed of the split", ge=0)] = 0,
    ) -> None:
        if dev < 0 or test < 0 or dev + test >= 1:
            raise ConfigError(f"split: expected dev and test of at least 0, together under 1, got {dev} and {test}.")
        self._dev = dev
        self._test = test
        self._seed = seed
        self.makes_test = test > 0

    def assign(self, keys: Sequence[str], strata: Sequence[str]) -> list[str]:
        """The split of each row. Each class gets its share within a row or two, and keeps a key in train.

        Rows of one key in several classes count for the most frequent of them.
        """
        groups = _groups(keys, strata, self._seed)
        test = _share(groups, self._test)
        dev = _share([group for group in groups if group.key not in test], self._dev / (1 - self._test))
        return [TEST if key in test else DEV if key in dev else TRAIN for key in keys]


class FoldsSplit:
    """k-fold cross-validation: k runs, in each of which another k-th of the rows is test, so that each row is once.

    Each fold has its share of every class, within a row or two. `recurra train` makes all k runs, or that of `fold`.
    """

    makes_test = True

    def __init__(
        self,
        *,
        k: Annotated[int, Opt("folds, and so runs", ge=2, le=1000)] = 10,
        fold: Annotated[int | None, Opt("the fold that is test, from 1; null: each in turn, in k runs", ge=1)] = None,
        dev: Annotated[float, Opt("share of the other rows for choosing the best epoch", gt=0, lt=1)] = 0.1,
        seed: Annotated[int, Opt("random seed of the folds", ge=0)] = 0,
    ) -> None:
        if fold is not None and fold > k:
            raise ConfigError(f"split: fold: expected at most k = {k}, got {fold}.")
        self._k, self._fold, self._dev, self._seed = k, fold or 1, dev, seed
        self.is_first_of_all = fold is None

    def assign(self, keys: Sequence[str], strata: Sequence[str]) -> list[str]:
        """The split of each row: test in this fold, and of the others a share of every class is dev.

        Raises ConfigError for fewer different rows than folds.
        """
        groups = _groups(keys, strata, self._seed)
        if len(groups) < self._k:
            raise ConfigError(f"split: {self._k} folds need as many different rows, got {len(groups)}. Lower k.")
        folds = _dealt(groups, self._k)
        rest = [group for group in groups if folds[group.key] != self._fold - 1]
        dev = _share(rest, self._dev)
        return [TEST if folds[key] == self._fold - 1 else DEV if key in dev else TRAIN for key in keys]


class OrderedSplit:
    """The beginning of the file is for training, the next part is dev and the end is test, each in one piece.

    Shares are of the text: a row counts by the characters of its key, and one for its end. Raises ConfigError when dev
    and test leave nothing for train.
    """

    def __init__(
        self,
        *,
        dev: Annotated[float, Opt("share of the text for choosing the best epoch", ge=0, lt=1)] = 0.1,
        test: Annotated[float, Opt("share of the text for the final scores, at the end", ge=0, lt=1)] = 0.1,
    ) -> None:
        if dev < 0 or test < 0 or dev + test >= 1:
            raise ConfigError(f"split: expected dev and test of at least 0, together under 1, got {dev} and {test}.")
        self._dev = dev
        self._test = test
        self.makes_test = test > 0

    def assign(self, keys: Sequence[str], strata: Sequence[str]) -> list[str]:
        """The split of each row, by where its end is in the text; `strata` plays no part."""
        ends = list(accumulate(len(key) + 1 for key in keys))
        whole = ends[-1] if ends else 0
        train, seen = self.places(whole)
        room = 1e-9 * whole
        return [TRAIN if end <= train + room else DEV if end <= seen + room else TEST for end in ends]

    def places(self, whole: int) -> tuple[float, float]:
        """Where train ends, and dev, in a text of so many characters."""
        # Added before they are taken away: 1 - 0.1 - 0.1 is a little under 0.8.
        return (1 - (self._dev + self._test)) * whole, (1 - self._test) * whole


class TimeSplit:
    """The end of every series is test, what comes before it dev: in windows of one forecast each, for forecasts.

    Windows begin `step` steps apart, and no value of a later split is seen by an earlier one.
    """

    def __init__(
        self,
        *,
        dev: Annotated[int, Opt("forecasts of each series for choosing the best epoch", ge=1)] = 1,
        test: Annotated[int, Opt("forecasts of each series for the final scores, at its end", ge=0)] = 1,
        step: Annotated[int | None, Opt("steps between two of them; null: as long as a forecast is", ge=1)] = None,
    ) -> None:
        self.dev, self.test, self.step = dev, test, step
        self.makes_test = test > 0

    def assign(self, keys: Sequence[str], strata: Sequence[str]) -> list[str]:
        """Every row is in all of them: the task cuts it."""
        return [TRAIN] * len(keys)

    def cuts(self, length: int, horizon: int) -> tuple[int, range, range]:
        """Where train ends, and the steps before the first of each dev and test forecast, of a series of this length.

        Cuts of a short series may be 0 or less.
        """
        step = self.step or horizon
        first = length - horizon - step * (self.test - 1) if self.test else length
        tests = range(first, length - horizon + 1, step) if self.test else range(0)
        begin = first - horizon - step * (self.dev - 1)
        return begin, range(begin, first - horizon + 1, step), tests


@dataclass(frozen=True, slots=True)
class _Group:
    key: str
    stratum: str
    size: int


def _groups(keys: Sequence[str], strata: Sequence[str], seed: int) -> list[_Group]:
    """The keys by class, and within a class in an order drawn by seed."""
    classes: dict[str, Counter[str]] = {}
    for key, stratum in zip(keys, strata, strict=True):
        classes.setdefault(key, Counter())[stratum] += 1
    groups = [
        _Group(key, min(seen, key=lambda name: (-seen[name], name)), seen.total()) for key, seen in classes.items()
    ]
    return sorted(groups, key=lambda group: (group.stratum, _draw(seed, group.key)))


def _draw(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}:{key}".encode("utf-8", "surrogatepass")).digest()


def _dealt(groups: Sequence[_Group], k: int) -> dict[str, int]:
    """The fold of each key, 0 to k - 1: the one with the fewest rows of its class, then with the fewest rows."""
    of_class: Counter[tuple[str, int]] = Counter()
    rows = [0] * k
    folds: dict[str, int] = {}
    for group in groups:
        fold = min(range(k), key=lambda fold: (of_class[group.stratum, fold], rows[fold], fold))
        folds[group.key] = fold
        of_class[group.stratum, fold] += group.size
        rows[fold] += group.size
    return folds


def _share(groups: Sequence[_Group], share: float) -> set[str]:
    """Keys of about `share` of the rows, evenly over the classes: a group is taken when half of it or more is owed.

    The last key of a class is never taken, and owes nothing: many classes of one row must not drain a large one.
    """
    left = Counter(group.stratum for group in groups)
    taken: set[str] = set()
    owed = 0.0
    for group in groups:
        if left[group.stratum] == 1:
            continue
        owed += share * group.size
        if owed >= group.size / 2 and share > 0:
            owed -= group.size
            left[group.stratum] -= 1
            taken.add(group.key)
    return taken


SPLITS: Registry[Callable[..., SplitRule]] = Registry("split")
SPLITS.add("hash", HashSplit)
SPLITS.add("random", RandomSplit)
SPLITS.add("folds", FoldsSplit)
SPLITS.add("ordered", OrderedSplit)
SPLITS.add("time", TimeSplit)


def hash_split(key: str) -> str:
    """The split of a key: SHA-1, its first 8 hexadecimal digits modulo 10; 0 is test, 1 is dev, the rest train."""
    digest = hashlib.sha1(key.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
    return {0: TEST, 1: DEV}.get(int(digest[:8], 16) % 10, TRAIN)


def content_key(record: Record) -> str:
    """All fields of a record as one text: the same for identical rows."""
    return json.dumps(dict(record.fields), sort_keys=True, ensure_ascii=False)


def split(
    records: Sequence[One], rule: SplitRule, *, group: Key = content_key, stratify: Key | None = None
) -> dict[str, list[One]]:
    """The records of "train", "dev" and "test", each in the order of `records`; a small file may leave one empty.

    group: rows with the same key stay in one split (by default: rows that are identical)
    stratify: the class of a row; None: all rows are of one
    """
    strata = ["" if stratify is None else stratify(record) for record in records]
    parts: dict[str, list[One]] = {name: [] for name in NAMES}
    for name, record in zip(rule.assign([group(record) for record in records], strata), records, strict=True):
        parts[name].append(record)
    return parts


@dataclass(frozen=True, slots=True)
class Overlap:
    """Rows of one split whose key is also in another.

    num_rows: how many of them       num_seen: rows of that split in all
    examples: the first five, as (where in the other split, where in this one)
    """

    num_rows: int
    num_seen: int
    examples: tuple[tuple[Origin, Origin], ...]


def overlap(train: Iterable[Record], test: Iterable[Record], *, key: AnyKey = content_key) -> Overlap:
    """Find the rows of `test` whose key is also in `train`: a model can know these by heart."""
    known: dict[bytes, Origin] = {}
    for record in train:
        known.setdefault(_digest(key(record)), record.origin)
    rows = [(_digest(key(record)), record.origin) for record in test]
    shared = [(known[digest], origin) for digest, origin in rows if digest in known]
    return Overlap(len(shared), len(rows), tuple(shared[:5]))


def _digest(key: str | bytes) -> bytes:
    # 16 bytes instead of the text: a training file of long documents is not kept in memory twice.
    data = key if isinstance(key, bytes) else key.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=16).digest()
