"""Train, dev and test from one file, and the rows that two splits share.

`hash` and `random` look at what a row says, not at where it stands: rows with the same key go to the same split, so
that no copy of a training row is ever a test row, and the result does not depend on the order of the file; so does
`folds`, where each row is a test row once. `ordered` cuts the file at two places, for text that is read on from row to
row.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.base.registry import Registry
from recurra.data.group_splits import GroupFolds, GroupSplit
from recurra.data.ordering import CHUNK, Places, places_of, sorting
from recurra.data.store.reread import RereadRows
from recurra.data.store.stored import Apart, Stored, key_digest

TRAIN, DEV, TEST = NAMES = ("train", "dev", "test")
TRAIN_PLACE, DEV_PLACE, TEST_PLACE = range(len(NAMES))

One = TypeVar("One")
Key = Callable[[Any], str]
AnyKey = Callable[[Any], str | bytes]


class Assignment(Protocol):
    """Takes the rows one by one, and says for each which split it belongs to.

    key: rows with the same one stay together      stratum: the class of a row
    """

    def add(self, key: str, stratum: str) -> None: ...
    def places(self) -> NDArray[np.uint8]:
        """(N,) places in NAMES."""
        ...


class SplitRule(Protocol):
    """A way to take dev and test from rows. makes_test: whether rows are meant for a test split at all

    A rule that makes several runs has `runs` too: the option of the rule that chooses one, by the name of the run.
    """

    @property
    def makes_test(self) -> bool: ...
    def begin(self) -> Assignment: ...


def runs_of(rule: SplitRule) -> dict[str, str]:
    """What a rule makes several runs of, each with its option such as "fold=1"; nothing where it makes one."""
    found: dict[str, str] = dict(getattr(rule, "runs", {}))
    return found


class HashSplit:
    """A row's split is a function of its key alone: about 10 % test, 10 % dev, the rest train.

    Rows added to the file later move no other row. The shares of the classes are left to chance.
    """

    makes_test = True

    def begin(self) -> Assignment:
        """By `hash_split`; classes play no part."""
        return _ByHash()


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

    def begin(self) -> Assignment:
        """Each class gets its share within a row or two, and keeps a key in train.

        Rows of one key in several classes count for the most frequent of them.
        """
        return _ByGroup(self._seed, self._deal)

    def _deal(self, groups: Groups) -> NDArray[np.uint8]:
        found = np.zeros(len(groups), np.uint8)
        found[_share(groups, self._test, found == 0)] = TEST_PLACE
        found[_share(groups, self._dev / (1 - self._test), found == 0)] = DEV_PLACE
        return found


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
        self.runs = {f"fold-{n}": f"fold={n}" for n in range(1, k + 1)} if fold is None else {}

    def begin(self) -> Assignment:
        """Test is this fold, and of the others a share of every class is dev.

        Its `places` raises ConfigError for fewer different rows than folds.
        """
        return _ByGroup(self._seed, self._deal)

    def _deal(self, groups: Groups) -> NDArray[np.uint8]:
        if len(groups) < self._k:
            raise ConfigError(f"split: {self._k} folds need as many different rows, got {len(groups)}. Lower k.")
        found = np.where(_dealt(groups, self._k) == self._fold - 1, TEST_PLACE, TRAIN_PLACE).astype(np.uint8)
        found[_share(groups, self._dev, found == TRAIN_PLACE)] = DEV_PLACE
        return found


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

    def begin(self) -> Assignment:
        """By where a row's end is in the text; classes play no part."""
        return _ByPlace(self)

    def places(self, whole: int) -> tuple[float, float]:
        """Where train ends, and dev, in a text of so many characters."""
        # Added before they are taken away: 1 - 0.1 - 0.1 is a little under 0.8.
        return (1 - (self._dev + self._test)) * whole, (1 - self._test) * whole


class TimeSplit:
    """The end of every series is test, what comes before it dev: in windows of one forecast each, for forecasts.

    Windows begin `step` steps apart, and no value of a later split is seen by an earlier one. With `refit: k` every
    k-th forecast of test is trained for again, from what is before it alone: `recurra train` makes a run for each.
    """

    def __init__(
        self,
        *,
        dev: Annotated[int, Opt("forecasts of each series for choosing the best epoch", ge=1)] = 1,
        test: Annotated[int, Opt("forecasts of each series for the final scores, at its end", ge=0)] = 1,
        step: Annotated[int | None, Opt("steps between two of them; null: as long as a forecast is", ge=1)] = None,
        refit: Annotated[
            int | None, Opt("forecasts of test after which it is trained again, a run each; null: never", ge=1)
        ] = None,
        origin: Annotated[
            int | None, Opt("of refit: the forecast of test, from 1, that is trained for; null: each in turn", ge=1)
        ] = None,
    ) -> None:
        self.dev, self.test, self.step = dev, test, step
        self.makes_test = test > 0
        _refuse_refit(test, refit, origin)
        self._refit, self._skipped = refit or max(test, 1), (origin or 1) - 1
        origins = range(1, test + 1, refit) if refit and origin is None else ()
        self.runs = {f"origin-{n}": f"origin={n}" for n in origins}

    def begin(self) -> Assignment:
        """Every row is in all of them: the task cuts it."""
        return _AllTrain()

    def cuts(self, length: int, horizon: int) -> tuple[int, range, range]:
        """Where train ends, and the steps before the first of each dev and test forecast, of a series of this length.

        Cuts of a short series may be 0 or less.
        """
        step = self.step or horizon
        first = length - horizon - step * (self.test - 1 - self._skipped) if self.test else length
        number = min(self._refit, self.test - self._skipped)
        tests = range(first, first + step * number, step)
        begin = first - horizon - step * (self.dev - 1)
        return begin, range(begin, first - horizon + 1, step), tests


def _refuse_refit(test: int, refit: int | None, origin: int | None) -> None:
    """Raise ConfigError for options of `TimeSplit` that cannot take effect."""
    if refit is None:
        if origin is not None:
            raise ConfigError("split: origin: has no effect without refit; leave it out.")
        return
    if refit >= test:
        raise ConfigError(
            f"split: refit: expected less than the {test} forecasts of test, so that something is trained again, "
            f"got {refit}. Raise test, or leave refit out."
        )
    if origin is not None and (origin > test or (origin - 1) % refit):
        known = [str(n) for n in range(1, test + 1, refit)]
        listed = ", ".join(known if len(known) < 8 else [*known[:3], "...", known[-1]])
        raise ConfigError(f"split: origin: expected one that is trained for, {listed}, got {origin}.")


class _AllTrain:
    def __init__(self) -> None:
        self._number = 0

    def add(self, key: str, stratum: str) -> None:
        self._number += 1

    def places(self) -> NDArray[np.uint8]:
        return np.full(self._number, TRAIN_PLACE, np.uint8)


class _ByHash:
    def __init__(self) -> None:
        self._places = bytearray()

    def add(self, key: str, stratum: str) -> None:
        self._places.append(NAMES.index(hash_split(key)))

    def places(self) -> NDArray[np.uint8]:
        return np.frombuffer(self._places, np.uint8)


class _ByPlace:
    def __init__(self, rule: OrderedSplit) -> None:
        self._rule, self._sizes = rule, array("i")

    def add(self, key: str, stratum: str) -> None:
        self._sizes.append(len(key) + 1)

    def places(self) -> NDArray[np.uint8]:
        ends = np.frombuffer(self._sizes, np.int32).cumsum(dtype=np.int64)
        whole = int(ends[-1]) if len(ends) else 0
        train, seen = self._rule.places(whole)
        room = 1e-9 * whole
        return np.where(ends <= train + room, TRAIN_PLACE, np.where(ends <= seen + room, DEV_PLACE, TEST_PLACE)).astype(
            np.uint8
        )


class _ByGroup:
    """Rows of one key are dealt together: 8 bytes of each key are kept, by which keys are drawn, and its class.

    Of 20 million keys two have the same 8 bytes with a probability of 1e-5; they would go to one split.
    """

    def __init__(self, seed: int, deal: Callable[[Groups], NDArray[np.uint8]]) -> None:
        self._seed, self._deal = seed, deal
        self._draws, self._strata = bytearray(), array("i")
        self._known: dict[str, int] = {}

    def add(self, key: str, stratum: str) -> None:
        self._draws += _draw(self._seed, key)
        self._strata.append(self._known.setdefault(stratum, len(self._known)))

    def places(self) -> NDArray[np.uint8]:
        groups, rows, bounds = self._groups()
        dealt, found = np.empty(len(groups), np.uint8), np.empty(len(rows), np.uint8)
        dealt[groups.order] = self._deal(groups)
        found[rows] = np.repeat(dealt, np.diff(bounds))
        return found

    def _groups(self) -> tuple[Groups, Places, Places]:
        """The groups; the rows, one group after the other in the order of draws; and where each begins, and the end."""
        draws = np.frombuffer(self._draws, ">u8").astype(np.uint64)
        self._draws = bytearray()
        rows = sorting(draws)
        draws = draws[rows]
        begins = np.ones(len(rows) + 1, bool)
        begins[1:-1] = draws[1:] != draws[:-1]
        del draws
        bounds = places_of(np.flatnonzero(begins), len(rows))
        strata = self._ranks()[rows[bounds[:-1]]]
        sizes = np.diff(bounds)
        for group in np.flatnonzero(sizes > 1).tolist():
            strata[group] = self._most_frequent(rows[bounds[group] : bounds[group + 1]])
        order = places_of(np.argsort(strata, kind="stable"), len(rows))
        return Groups(strata[order], sizes[order], order), rows, bounds

    def _ranks(self) -> NDArray[np.int32]:
        """The class of each row: its place among the sorted names."""
        names = sorted(self._known)
        rank = np.empty(len(names), np.int32)
        for place, name in enumerate(names):
            rank[self._known[name]] = place
        self._rank = rank
        return rank[np.frombuffer(self._strata, np.int32)]

    def _most_frequent(self, rows: Places) -> int:
        """Of the classes of these rows; of equally frequent ones the first by name."""
        ranks, counts = np.unique(self._rank[np.frombuffer(self._strata, np.int32)[rows]], return_counts=True)
        return int(ranks[counts.argmax()])


@dataclass(frozen=True, slots=True)
class Groups:
    """Keys by class, and within a class in an order drawn by seed.

    strata: the class of each      sizes: rows of each      order: the place of each in the order of draws alone
    """

    strata: NDArray[np.int32]
    sizes: NDArray[Any]
    order: Places

    def __len__(self) -> int:
        return len(self.strata)

    def each(self) -> Iterator[tuple[int, int]]:
        """Class and size of each."""
        for start in range(0, len(self), CHUNK):
            part = slice(start, start + CHUNK)
            yield from zip(self.strata[part].tolist(), self.sizes[part].tolist(), strict=True)


def _draw(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}:{key}".encode("utf-8", "surrogatepass")).digest()[:8]


def _dealt(groups: Groups, k: int) -> NDArray[np.int64]:
    """The fold of each key, 0 to k - 1: the one with the fewest rows of its class, then with the fewest rows."""
    of_class: Counter[tuple[int, int]] = Counter()
    rows = [0] * k
    folds = np.zeros(len(groups), np.int64)
    for number, (stratum, size) in enumerate(groups.each()):
        fold = min(range(k), key=lambda fold: (of_class[stratum, fold], rows[fold], fold))
        folds[number] = fold
        of_class[stratum, fold] += size
        rows[fold] += size
    return folds


def _share(groups: Groups, share: float, free: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keys of about `share` of the rows, evenly over the classes: a group is taken when half of it or more is owed.

    free: which may be taken
    The last key of a class is never taken, and owes nothing: many classes of one row must not drain a large one.
    """
    left = np.bincount(groups.strata[free], minlength=1).tolist()
    taken = np.zeros(len(groups), bool)
    owed = 0.0
    for number, (stratum, size) in enumerate(groups.each()):
        if not free[number] or left[stratum] == 1:
            continue
        owed += share * size
        if owed >= size / 2 and share > 0:
            owed -= size
            left[stratum] -= 1
            taken[number] = True
    return taken


SPLITS: Registry[Callable[..., SplitRule]] = Registry("split")
SPLITS.add("hash", HashSplit)
SPLITS.add("random", RandomSplit)
SPLITS.add("folds", FoldsSplit)
SPLITS.add("ordered", OrderedSplit)
SPLITS.add("time", TimeSplit)
SPLITS.add("group", GroupSplit)
SPLITS.add("group_folds", GroupFolds)
# Rows that another rule may deal one by one may be dealt by groups too.
BY_GROUP, BY_ROW = ("group", "group_folds"), "random"


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
    assignment = rule.begin()
    for record in records:
        assignment.add(group(record), "" if stratify is None else stratify(record))
    parts: dict[str, list[One]] = {name: [] for name in NAMES}
    for place, record in zip(assignment.places().tolist(), records, strict=True):
        parts[NAMES[place]].append(record)
    return parts


def parted(rows: Sequence[One] | RereadRows[One], places: NDArray[np.uint8]) -> dict[str, Collection[One]]:
    """The rows of "train", "dev" and "test", each in order."""
    if isinstance(rows, RereadRows):
        return {name: rows.taken(places == place) for place, name in enumerate(NAMES)}
    if isinstance(rows, Stored):
        return {name: StoredPart(rows, places == place) for place, name in enumerate(NAMES)}
    parts: dict[str, Collection[One]] = {}
    for place, name in enumerate(NAMES):
        parts[name] = [row for row, own in zip(rows, places.tolist(), strict=True) if own == place]
    return parts


class StoredPart(Collection[One]):
    """The rows of a mask, of rows in files: to be read in order, again and again. It takes a byte for each of all."""

    def __init__(self, rows: Stored[One], kept: NDArray[np.bool_]) -> None:
        self._rows, self._kept, self._number = rows, kept, int(np.count_nonzero(kept))

    def __len__(self) -> int:
        return self._number

    def __iter__(self) -> Iterator[One]:
        return self._rows.at(self._kept)

    def __contains__(self, one: object) -> bool:
        return any(row == one for row in self)


@dataclass(frozen=True, slots=True)
class Overlap:
    """Rows of one split whose key is also in another.

    num_rows: how many of them       num_seen: rows of that split in all
    examples: the first five, as (where in the other split, where in this one)
    """

    num_rows: int
    num_seen: int
    examples: tuple[tuple[Origin, Origin], ...]


def overlap(train: Iterable[Any], test: Iterable[Any], *, key: AnyKey = content_key) -> Overlap:
    """Find the rows of `test` whose key is also in `train`: a model can know these by heart."""
    known: dict[bytes, Origin] = {}
    for record in train:
        known.setdefault(key_digest(key(record)), record.origin)
    rows = [(key_digest(key(record)), record.origin) for record in test]
    shared = [(known[digest], origin) for digest, origin in rows if digest in known]
    return Overlap(len(shared), len(rows), tuple(shared[:5]))


def stored_overlap(train: Apart, test: Apart) -> Overlap:
    """The same of examples in files, by their keys there: 16 bytes for each row of `test` are in memory."""
    asked = np.concatenate([np.zeros(0, np.uint64), *test.keys()])
    known = np.unique(asked)
    first = np.full(len(known), -1, np.int64)
    start = 0
    for keys in train.keys() if len(known) else ():
        places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        same = np.flatnonzero(known[places] == keys)[::-1]  # the first of equal ones is written last
        new = same[first[places[same]] < 0]
        first[places[new]] = new + start
        start += len(keys)
    found = first[np.searchsorted(known, asked)] if len(known) else first
    shared = np.flatnonzero(found >= 0)
    examples = ((train[int(found[k])].origin, test[int(k)].origin) for k in shared[:5].tolist())
    return Overlap(len(shared), len(asked), tuple(examples))
