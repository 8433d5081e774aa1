"""Splits of whole groups: nobody of train is in dev or test."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, DataError
from recurra.data.group_splits import GroupFolds, GroupSplit, group_of
from recurra.data.splits import NAMES, SplitRule


def dealt(rule: SplitRule, groups: Sequence[str]) -> dict[str, set[str]]:
    """The groups of each split; no group may be in two."""
    assignment = rule.begin()
    for one in groups:
        assignment.add(one, "a class")
    places = assignment.places().tolist()
    found = {name: {g for g, p in zip(groups, places, strict=True) if NAMES[p] == name} for name in NAMES}
    assert sum(map(len, found.values())) == len(set(groups))
    return found


def test_named_groups_are_where_the_config_says() -> None:
    rows = [str(n % 10 + 1) for n in range(100)]
    found = dealt(GroupSplit(by="subject", dev=(9,), test=("2", 4, 6, 8, 10)), rows)
    assert found == {"train": {"1", "3", "5", "7"}, "dev": {"9"}, "test": {"2", "4", "6", "8", "10"}}


def test_shares_count_rows_and_take_one_group_at_least() -> None:
    rows = [f"s{n}" for n in range(20) for _ in range(5)]
    found = dealt(GroupSplit(by="subject", dev=0.1, test=0.2), rows)
    assert {name: len(groups) for name, groups in found.items()} == {"train": 14, "dev": 2, "test": 4}
    few = dealt(GroupSplit(by="subject", dev=0.01, test=0.01), ["a", "b", "c"] * 4)
    assert [len(few[name]) for name in NAMES] == [1, 1, 1]
    assert dealt(GroupSplit(by="subject", dev=0.1, test=0.2), rows[::-1]) == found, "the order of the file is nothing"
    assert dealt(GroupSplit(by="subject", dev=0.1, test=0.2, seed=1), rows) != found


def test_each_group_is_left_out_once_in_the_order_of_its_name() -> None:
    rows = [f"s{n}" for n in range(1, 11) for _ in range(n)]
    folds = [dealt(GroupFolds(by="subject", k=10, fold=fold), rows) for fold in range(1, 11)]
    assert [fold["test"] for fold in folds] == [{f"s{n}"} for n in range(1, 11)]
    assert all(fold["dev"] and fold["train"] for fold in folds)
    assert list(GroupFolds(by="subject", k=3).runs.values()) == ["fold=1", "fold=2", "fold=3"]


def test_fewer_folds_than_groups_share_the_rows() -> None:
    rows = ["big"] * 50 + ["a"] * 20 + ["b"] * 20 + ["c"] * 20 + ["d"] * 20
    tests = [dealt(GroupFolds(by="x", k=3, fold=fold), rows)["test"] for fold in (1, 2, 3)]
    assert set().union(*tests) == {"big", "a", "b", "c", "d"}
    assert sorted(map(len, tests)) == [1, 2, 2]
    assert {"big"} in tests


def test_what_cannot_be_dealt_is_said() -> None:
    with pytest.raises(ConfigError, match=r"no row is of group \"11\"\. Groups: 1, 2, 10\."):
        dealt(GroupSplit(by="subject", dev=(11,), test=(2,)), ["10", "2", "1"])
    with pytest.raises(ConfigError, match="group 2 is in dev and in test"):
        GroupSplit(by="subject", dev=(2,), test=("2",))
    with pytest.raises(ConfigError, match=r"4 folds, .* need as many groups and three at least, got 3 groups"):
        dealt(GroupFolds(by="subject", k=4), ["a", "b", "c"])
    with pytest.raises(ConfigError, match=r"dev: expected a share of at least 0 and under 1, or a list of groups"):
        GroupSplit(by="subject", dev=1.5)
    with pytest.raises(ConfigError, match="shares of dev and test that are together under 1"):
        GroupSplit(by="subject", dev=0.5, test=0.5)


def test_the_group_of_a_record_is_a_text_and_is_there() -> None:
    record = Record({"subject": 3.0, "day": " mon ", "gone": None}, Origin("a.csv", 7))
    assert group_of(record, ("subject", "day")) == "3, mon"
    with pytest.raises(DataError, match=r"a\.csv:7: column 'gone' is empty, expected the group of the row"):
        group_of(record, ("gone",))
    several = Record({"speakers": ["a", "b"]}, Origin("a.csv", 8))
    with pytest.raises(DataError, match=r"a\.csv:8: column 'speakers' holds several values, expected one"):
        group_of(several, ("speakers",))
