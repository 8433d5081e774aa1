"""`data.split: group` and `group_folds` through the verbs, and groups that stand in two splits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from api.api_room import done, refused, rows, write_config

PEOPLE = 5


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with rows of five users, eight of each."""
    monkeypatch.chdir(tmp_path)
    lines = [f"{text},{label},u{n // 8 + 1}" for n, (text, label) in enumerate(rows(8 * PEOPLE))]
    Path("data.csv").write_text("\n".join(["text,label,user_id", *lines]) + "\n", "utf-8")
    return tmp_path


def leaks(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("note: leak: ")]


def test_people_who_stand_in_two_splits_are_a_leak(here: Path) -> None:
    write_config()
    (said,) = leaks(done("check", "c.yaml").err)
    assert "column 'user_id' says who a row is from, and" in said
    assert "stand in train too" in said
    assert "data.split: {name: group, by: user_id}" in said
    write_config(data={"split": {"name": "group", "by": "user_id"}})
    heard = done("check", "c.yaml").err
    assert not leaks(heard)
    assert "data.csv: 5 groups by user_id: train 3, dev 1 (u" in heard


def test_a_file_for_test_is_held_against_the_groups_of_train(here: Path) -> None:
    lines = Path("data.csv").read_text("utf-8").splitlines()
    Path("test.csv").write_text("\n".join([lines[0], *(f"new {line}" for line in lines[1:12])]) + "\n", "utf-8")
    write_config(data={"test": "test.csv", "split": {"name": "group", "by": "user_id", "test": 0.0}})
    (said,) = leaks(done("check", "c.yaml").err)
    assert "2 of 2 groups of test" in said or "1 of 2 groups of test" in said  # one of them may be dev


def test_each_user_is_left_out_once(here: Path) -> None:
    split = {"name": "group_folds", "by": "user_id", "k": PEOPLE}
    write_config(data={"split": split}, training={"report": "scores"})
    heard = done("train", "c.yaml", "--out", "group").err
    tests = [f"train 3, dev 1 (u{dev}), test 1 (u{n})" for n in range(1, 6) for dev in range(1, 6)]
    assert sum(one in heard for one in tests) == PEOPLE
    accuracy = next(s for s in json.loads(Path("group/summary.json").read_text("utf-8")) if s["split"] == "test")
    assert list(accuracy["values"]) == [f"fold-{n}" for n in range(1, PEOPLE + 1)]
    done("evaluate", "group/fold-2", "--split", "test")


def test_a_group_that_is_not_there_is_refused(here: Path) -> None:
    write_config(data={"split": {"name": "group", "by": "person"}})
    assert "data.csv" in (said := refused("check", "c.yaml"))
    assert "'person'" in said
    write_config(data={"split": {"name": "group", "by": "user_id", "test": ["u9"]}})
    assert 'no row is of group "u9". Groups: u1, u2, u3, u4, u5.' in refused("check", "c.yaml")
    write_config(data={"split": {"name": "group_folds", "by": "user_id", "k": 6}})
    assert "6 folds, with a group for train and one for dev" in refused("check", "c.yaml")
    text = Path("data.csv").read_text("utf-8")
    Path("data.csv").write_text(text.replace(",u5", ","), "utf-8")
    write_config(data={"split": {"name": "group", "by": "user_id"}})
    assert "data.csv:34: column 'user_id' is empty, expected the group of the row" in refused("check", "c.yaml")
