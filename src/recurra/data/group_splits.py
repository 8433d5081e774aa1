"""Splits of whole groups: the rows of one person, recording or place are all in train, all in dev, or all in test.

A model is then asked about somebody from whom it has learned nothing, as it will be in use.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, DataError
from recurra.base.option import Opt
from recurra.base.words import as_written, counted

# What a group is dealt to, as the rows of `recurra.data.splits.NAMES`.
TRAIN, DEV, TEST = range(3)
Share: TypeAlias = float | tuple[int | str, ...]
By = Annotated[str | tuple[str, ...], Opt("column whose value rows of one group share, or several", named=True)]
# Rows by group, in the order in which the groups were met.
Sizes: TypeAlias = Mapping[str, int]
_LISTED = 12


class GroupSplit:
    """Whole groups: no person, recording or place of train is in dev or test.

    dev, test: a share of the rows, in groups that are drawn by seed, one at least; or the groups themselves
    """

    def __init__(
        self,
        *,
        by: By,
        dev: Annotated[Share, Opt("share of the rows for choosing the best epoch; or a list of groups")] = 0.1,
        test: Annotated[Share, Opt("share of the rows for the final scores; or a list of groups")] = 0.1,
        seed: Annotated[int, Opt("random seed by which groups are drawn", ge=0)] = 0,
    ) -> None:
        self.by = _columns(by)
        self._dev, self._test, self._seed = _given("dev", dev), _given("test", test), seed
        self.makes_test = bool(test)
        shares = [part for part in (dev, test) if isinstance(part, float | int)]
        if sum(shares) >= 1:
            raise ConfigError(f"split: expected shares of dev and test that are together under 1, got {sum(shares)}.")
        both = {str(one) for one in self._named(self._dev)} & {str(one) for one in self._named(self._test)}
        if both:
            raise ConfigError(f"split: group {_listed(both)} is in dev and in test; expected it in one of them.")

    def begin(self) -> GroupAssignment:
        """By the groups of rows; its `places` raises ConfigError for a group that no row has."""
        return GroupAssignment(self.by, self._deal)

    def _deal(self, sizes: Sizes) -> dict[str, int]:
        found: dict[str, int] = {}
        for place, part in ((TEST, self._test), (DEV, self._dev)):  # named ones are not drawn for the other
            found |= dict.fromkeys(_there(self._named(part), sizes), place)
        rows = sum(sizes.values())
        for place, part in ((TEST, self._test), (DEV, self._dev)):
            if isinstance(part, float):
                order = [one for one in _drawn(sizes, f"{self._seed}:{place}") if one not in found]
                found |= dict.fromkeys(_share(order, sizes, part * rows), place)
        return found

    @staticmethod
    def _named(part: Share) -> tuple[int | str, ...]:
        return () if isinstance(part, float) else part


class GroupFolds:
    """Cross-validation by groups: k runs, in each of which other groups are test, so that each is once.

    With as many folds as groups one group is left out at a time. `recurra train` makes all k runs, or that of `fold`.
    """

    makes_test = True

    def __init__(
        self,
        *,
        by: By,
        k: Annotated[int, Opt("folds, and so runs; as many as groups: one group is left out in each", ge=2, le=1000)],
        fold: Annotated[int | None, Opt("the fold that is test, from 1; null: each in turn, in k runs", ge=1)] = None,
        dev: Annotated[
            float, Opt("share of the other rows for choosing the best epoch, in whole groups, one at least", gt=0, lt=1)
        ] = 0.1,
        seed: Annotated[int, Opt("random seed by which groups are drawn", ge=0)] = 0,
    ) -> None:
        if fold is not None and fold > k:
            raise ConfigError(f"split: fold: expected at most k = {k}, got {fold}.")
        self.by, self._k, self._fold, self._dev, self._seed = _columns(by), k, fold or 1, dev, seed
        self.runs = {f"fold-{n}": f"fold={n}" for n in range(1, k + 1)} if fold is None else {}

    def begin(self) -> GroupAssignment:
        """Test is this fold, and some groups of the others are dev.

        Its `places` raises ConfigError for fewer groups than folds and one more.
        """
        return GroupAssignment(self.by, self._deal)

    def _deal(self, sizes: Sizes) -> dict[str, int]:
        if len(sizes) < max(self._k, 3):
            raise ConfigError(
                f"split: {self._k} folds, with a group for train and one for dev beside each, need as many groups and "
                f"three at least, got {counted(len(sizes), 'group')} ({_listed(sizes)}). Lower k, or split by another "
                "column."
            )
        test = self.folds(sizes)[self._fold - 1]
        order = [one for one in _drawn(sizes, f"{self._seed}:{self._fold}") if one not in test]
        wanted = self._dev * sum(sizes[one] for one in order)
        return {**dict.fromkeys(_share(order, sizes, wanted), DEV), **dict.fromkeys(test, TEST)}

    def folds(self, sizes: Sizes) -> list[list[str]]:
        """The groups of each fold: the largest first, each to the fold with the fewest rows; by name within it."""
        found: list[list[str]] = [[] for _ in range(self._k)]
        rows = [0] * self._k
        for one in sorted(_drawn(sizes, str(self._seed)), key=lambda one: -sizes[one]):
            fold = min(range(self._k), key=lambda fold: (rows[fold], fold))
            found[fold].append(one)
            rows[fold] += sizes[one]
        return sorted((sorted(fold, key=_natural) for fold in found), key=lambda fold: _natural(fold[0]))


class GroupAssignment:
    """Rows by their group. said: what became of the groups, once `places` has been asked"""

    def __init__(self, by: tuple[str, ...], deal: Callable[[Sizes], Mapping[str, int]]) -> None:
        self._by, self._deal = by, deal
        self._rows, self._known = array("i"), dict[str, int]()
        self.said = ""

    def add(self, key: str, stratum: str) -> None:
        """key: the group of a row (`group_of`)"""
        self._rows.append(self._known.setdefault(key, len(self._known)))

    def places(self) -> NDArray[np.uint8]:
        rows = np.frombuffer(self._rows, np.int32)
        counts = np.bincount(rows, minlength=len(self._known)).tolist()
        dealt = self._deal(dict(zip(self._known, counts, strict=True)))
        place = np.array([dealt.get(one, TRAIN) for one in self._known], np.uint8)
        self.said = self._told(Counter(place.tolist()), dealt)
        return place[rows]

    def _told(self, counts: Counter[int], dealt: Mapping[str, int]) -> str:
        parts = [f"train {counts[TRAIN]}"]
        for name, place in (("dev", DEV), ("test", TEST)):
            own = [one for one, where in dealt.items() if where == place]
            parts += [f"{name} {len(own)} ({_listed(own)})"] if own else []
        return f"{counted(len(self._known), 'group')} by {' and '.join(self._by)}: {', '.join(parts)}"


def grouped_by(rule: object) -> tuple[str, ...]:
    """The columns whose values make the groups that a rule keeps whole; () for a rule of other kinds."""
    found: tuple[str, ...] = getattr(rule, "by", ())
    return found


def group_of(record: Record, by: Sequence[str]) -> str:
    """The group of a record: its values of these columns. Raises DataError, with its place, for none or several."""
    from recurra.data.formats import field

    given = [field(record, name) for name in by]
    if several := [name for name, value in zip(by, given, strict=True) if isinstance(value, list | dict)]:
        raise DataError(
            f"{record.origin}: column '{several[0]}' holds several values, expected one, the group of the row "
            "(data.split.by). Name a column that has one."
        )
    values = [_as_text(value) for value in given]
    if "" in values:
        raise DataError(
            f"{record.origin}: column '{by[values.index('')]}' is empty, expected the group of the row "
            "(data.split.by). Fill it in, or set data.on_error: skip."
        )
    return ", ".join(values)


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole else str(value).strip()


def _columns(by: str | tuple[str, ...]) -> tuple[str, ...]:
    found = (by,) if isinstance(by, str) else tuple(by)
    if not found or len(set(found)) < len(found):
        raise ConfigError(f"by: expected a column, or different ones, got {list(found)}.")
    return found


def _given(name: str, part: Share) -> Share:
    """A share as a number, or groups. Raises ConfigError for a share that is none."""
    if isinstance(part, float | int):
        if not 0 <= part < 1:
            raise ConfigError(f"{name}: expected a share of at least 0 and under 1, or a list of groups, got {part}.")
        return float(part)
    if not part or len({str(one) for one in part}) < len(part):
        raise ConfigError(f"{name}: expected a group, or different ones, got {list(part)}.")
    return tuple(part)


def _there(names: Sequence[int | str], sizes: Sizes) -> list[str]:
    found = [str(one).strip() for one in names]
    if strange := [one for one in found if one not in sizes]:
        raise ConfigError(f"split: no row is of group {as_written(strange[0])}. Groups: {_listed(sizes)}.")
    return found


def _drawn(names: Sizes, seed: str) -> list[str]:
    """The names in an order that depends on the seed and themselves alone."""
    return sorted(names, key=lambda one: hashlib.sha256(f"{seed}:{one}".encode("utf-8", "surrogatepass")).digest())


def _share(order: Sequence[str], sizes: Sizes, wanted: float) -> list[str]:
    """Groups of about so many rows, one at least where any are wanted: in order, those that bring it nearer."""
    found: list[str] = []
    rows = 0
    for one in order if wanted > 0 else ():
        if not found or abs(rows + sizes[one] - wanted) < abs(rows - wanted):
            found.append(one)
            rows += sizes[one]
    return found[: max(len(order) - 1, 0)]


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """s2 before s10."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((int(part), "") if part.isdigit() and part.isascii() else (-1, part) for part in parts)


def _listed(names: Any) -> str:
    known = sorted(map(str, names), key=_natural)
    return ", ".join(known[:_LISTED]) + f", ... ({len(known):,})" * (len(known) > _LISTED)
