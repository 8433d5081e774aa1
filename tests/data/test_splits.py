"""Splits: shares of every class, twins together, and the same answer in any order of the file."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError
from recurra.data.splits import (
    NAMES,
    SPLITS,
    FoldsSplit,
    HashSplit,
    OrderedSplit,
    RandomSplit,
    SplitRule,
    content_key,
    hash_split,
    overlap,
    split,
)


def row(line: int, text: str, label: str = "") -> Record:
    return Record({"text": text, "label": label}, Origin("a.csv", line))


def assigned(rule: SplitRule, keys: Sequence[str], strata: Sequence[str]) -> list[str]:
    assignment = rule.begin()
    for key, stratum in zip(keys, strata, strict=True):
        assignment.add(key, stratum)
    return [NAMES[place] for place in assignment.places().tolist()]


def test_the_hash_rule_is_the_one_that_is_published() -> None:
    # From `printf h | sha1sum`: the first eight digits, in decimal, modulo ten.
    assert (0x27D5482E % 10, hash_split("h")) == (0, "test")
    assert (0x042DC451 % 10, hash_split("i")) == (1, "dev")
    assert (0x5C2DD944 % 10, hash_split("j")) == (2, "train")
    assert (0xA9993E36 % 10, hash_split("abc")) == (8, "train")  # the test vector of FIPS 180


def test_the_hash_rule_gives_about_a_tenth_to_test_and_to_dev() -> None:
    places = Counter(assigned(HashSplit(), [f"row {n}" for n in range(5000)], [""] * 5000))
    # 5 standard deviations of a binomial with p = 0.1: 106
    assert abs(places["test"] - 500) < 106
    assert abs(places["dev"] - 500) < 106


def test_every_class_gets_its_share() -> None:
    keys = [f"row {n}" for n in range(1000)]
    strata = ["a"] * 700 + ["b"] * 290 + ["c"] * 10
    places = Counter(zip(strata, assigned(RandomSplit(dev=0.1, test=0.2), keys, strata), strict=True))
    for name, size in (("a", 700), ("b", 290), ("c", 10)):
        assert abs(places[name, "test"] - 0.2 * size) <= 1
        assert abs(places[name, "dev"] - 0.1 * size) <= 1


def test_many_small_classes_get_their_share_together() -> None:
    keys = [f"row {n}" for n in range(400)]
    places = Counter(assigned(RandomSplit(dev=0.0, test=0.1), keys, [str(n // 4) for n in range(400)]))
    assert places == {"train": 360, "test": 40}


def test_a_class_with_one_row_stays_in_train_and_drains_no_other() -> None:
    keys = [f"row {n}" for n in range(300)]
    strata = [f"only {n}" for n in range(200)] + ["z"] * 100
    places = Counter(zip([s[:4] for s in strata], assigned(RandomSplit(dev=0.1, test=0.1), keys, strata), strict=True))
    assert places == {("only", "train"): 200, ("z", "train"): 80, ("z", "dev"): 10, ("z", "test"): 10}


ROWS = st.lists(st.tuples(st.sampled_from("abcdefghij"), st.sampled_from("xyz")), min_size=1, max_size=40)
RULES = [HashSplit(), RandomSplit(dev=0.2, test=0.3, seed=1)]


@pytest.mark.parametrize("rule", RULES, ids=["hash", "random"])
@settings(max_examples=60, deadline=None)
@given(rows=ROWS, order=st.randoms(use_true_random=False))
def test_rows_of_one_key_stay_together_in_any_order_of_the_file(
    rule: SplitRule, rows: list[tuple[str, str]], order: random.Random
) -> None:
    places = dict(zip((key for key, _ in rows), assigned(rule, *zip(*rows, strict=True)), strict=True))  # type: ignore[arg-type]
    mixed = order.sample(rows, len(rows))
    again = assigned(rule, *zip(*mixed, strict=True))  # type: ignore[arg-type]
    assert all(places[key] == place for (key, _), place in zip(mixed, again, strict=True))


def test_another_seed_draws_another_split() -> None:
    keys = [f"row {n}" for n in range(50)]
    draws = {tuple(assigned(RandomSplit(seed=seed), keys, [""] * 50)) for seed in (0, 0, 1, 2)}
    assert len(draws) == 3


@pytest.mark.parametrize(("dev", "test"), [(0.5, 0.5), (0.9, 0.2), (-0.1, 0.2)])
def test_shares_that_leave_nothing_for_train_are_refused(dev: float, test: float) -> None:
    with pytest.raises(ConfigError, match="split: expected dev and test of at least 0, together under 1"):
        RandomSplit(dev=dev, test=test)


def test_a_split_has_each_record_once_in_its_order() -> None:
    records = [row(n, f"text {n % 30}", "ab"[n % 2]) for n in range(90)]
    parts = split(records, SPLITS["random"](dev=0.2, test=0.2), stratify=lambda record: str(record.fields["label"]))
    assert sorted(r.origin.line or 0 for part in parts.values() for r in part) == list(range(90))
    assert all(part == sorted(part, key=lambda r: r.origin.line or 0) for part in parts.values())
    # 30 different rows, three of each: whole groups of three, a fifth of 90 rows is six groups
    assert {name: len(part) for name, part in parts.items()} == {"train": 54, "dev": 18, "test": 18}
    assert overlap(parts["train"], parts["test"]).num_rows == 0


def test_without_groups_identical_rows_stay_together_and_other_rows_do_not_matter() -> None:
    assert content_key(row(1, "x", "y")) == content_key(row(2, "x", "y")) != content_key(row(3, "y", "x"))


def test_the_overlap_counts_the_rows_of_test_and_says_where_the_first_stand() -> None:
    train = [row(1, "a"), row(2, "b"), row(3, "a")]
    test = [row(10 + n, text) for n, text in enumerate("xabaaaa")]
    found = overlap(train, test, key=lambda record: str(record.fields["text"]))
    assert (found.num_rows, found.num_seen, len(found.examples)) == (6, 7, 5)
    assert [(str(a), str(b)) for a, b in found.examples[:2]] == [("a.csv:1", "a.csv:11"), ("a.csv:2", "a.csv:12")]
    assert overlap(train, test, key=lambda record: str(record.origin)).num_rows == 0
    assert overlap([], []).examples == ()


# -- in order ----------------------------------------------------------------------------------------------------------


def test_an_ordered_split_cuts_the_text_into_three_pieces_by_its_characters() -> None:
    # Ten rows of 9 characters and their line break, 100 in all: 80, 10 and 10.
    keys = [f"row {k} abc" for k in range(10)]
    assert assigned(OrderedSplit(), keys, [""] * 10) == ["train"] * 8 + ["dev", "test"]
    # One long row is as much text as nine short ones.
    assert assigned(OrderedSplit(dev=0.5, test=0), ["a" * 89, *["b" * 9] * 9], [""] * 10) == ["train", *["dev"] * 9]


def test_an_ordered_split_keeps_copies_where_they_stand_and_leaves_test_out_at_a_share_of_zero() -> None:
    rule = OrderedSplit(dev=0.1, test=0)
    assert assigned(rule, ["same"] * 10, [""] * 10) == ["train"] * 9 + ["dev"]
    assert not rule.makes_test
    assert OrderedSplit().makes_test
    with pytest.raises(ConfigError, match="together under 1"):
        OrderedSplit(dev=0.5, test=0.5)


# -- folds -------------------------------------------------------------------------------------------------------------


def folds(keys: list[str], strata: list[str], k: int, seed: int = 0) -> list[list[str]]:
    return [assigned(FoldsSplit(k=k, fold=fold, seed=seed), keys, strata) for fold in range(1, k + 1)]


def test_every_row_is_tested_once_and_every_fold_has_its_share_of_every_class() -> None:
    keys = [f"row {n}" for n in range(103)]
    strata = ["rare" if n % 10 == 0 else "often" for n in range(103)]
    found = folds(keys, strata, 5)
    assert [sum(parts[row] == "test" for parts in found) for row in range(103)] == [1] * 103
    for parts in found:
        counts = Counter(zip(parts, strata, strict=True))
        assert counts["test", "rare"] in (2, 3)  # 11 of 5 folds
        assert counts["test", "often"] in (18, 19)  # 92
        assert Counter(parts)["test"] in (20, 21)
        assert Counter(parts)["dev"] == 8  # a tenth of 82 or 83
        assert counts["dev", "rare"] == 1
    assert folds(keys, strata, 5, seed=1) != found


@given(st.lists(st.tuples(st.sampled_from("abcdefghij"), st.sampled_from("xyz")), min_size=30, max_size=60))
@settings(max_examples=50, deadline=None)
def test_copies_of_a_row_are_in_one_fold_in_any_order_of_the_file(rows: list[tuple[str, str]]) -> None:
    keys, strata = [key for key, _ in rows], [stratum for _, stratum in rows]
    k = min(3, len(set(keys)))
    if k < 2:
        return
    for parts in folds(keys, strata, k):
        assert all(len({part for part, key in zip(parts, keys, strict=True) if key == one}) == 1 for one in set(keys))
        turned = assigned(FoldsSplit(k=k, fold=1), keys[::-1], strata[::-1])
        assert turned[::-1] == assigned(FoldsSplit(k=k, fold=1), keys, strata)


def test_folds_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected at most k = 3, got 4"):
        FoldsSplit(k=3, fold=4)
    with pytest.raises(ConfigError, match="10 folds need as many different rows, got 2"):
        assigned(FoldsSplit(), ["a", "b", "b"], ["", "", ""])
