"""The names of CLDR: clean, split by concept, and with a ceiling that is known."""

from __future__ import annotations

import csv
import sys
import unicodedata
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from recurra.api import demos
from recurra.base.contracts import Record
from recurra.base.errors import ConfigError
from recurra.data.embedded import EMBEDDED, EmbeddedSet, quantities, series, write_csv
from recurra.data.embedded.names import LANGUAGES, Name, _split_keys, ceiling
from recurra.data.formats import read
from recurra.data.splits import overlap

# Those whose package is installed where tests run; the others have tests of their own below.
HERE = [name for name in EMBEDDED if name not in ("co2", "sunspots")]


@pytest.fixture(scope="module")
def names() -> dict[str, list[Record]]:
    return {split: list(EMBEDDED["names"].records(split)) for split in EMBEDDED["names"].splits}


@pytest.fixture
def few_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of things takes half a millisecond to write: a tenth of the rows."""
    monkeypatch.setattr(quantities, "_ROWS", {"train": 15, "dev": 2, "test": 3})
    monkeypatch.setattr(quantities, "_rows", quantities._rows.__wrapped__)


def known(record: Record) -> tuple[str, str, str]:
    return record.fields["name"], record.fields["language"], record.fields["concept"]


def test_names_that_everybody_can_check_are_there(names: dict[str, list[Record]]) -> None:
    every = {known(record) for records in names.values() for record in records}
    assert {
        ("Frankreich", "German", "territory:FR"),
        ("Ranska", "Finnish", "territory:FR"),
        ("フランス", "Japanese", "territory:FR"),
        ("март", "Russian", "month:3"),  # stand-alone
        ("марта", "Russian", "month:3"),  # in a date
        ("lunes", "Spanish", "weekday:0"),
        ("1월", "Korean", "month:1"),
        ("forint węgierski", "Polish", "currency:HUF"),
        ("Gaeilge", "Irish", "language:ga"),
    } - every == {("Gaeilge", "Irish", "language:ga")}  # Irish is not among the forty


def test_about_eighty_ten_and_ten_percent_of_the_names_are_in_the_splits(names: dict[str, list[Record]]) -> None:
    sizes = {split: len(records) for split, records in names.items()}
    total = sum(sizes.values())
    assert total > 40_000
    assert sizes["train"] / total == pytest.approx(0.8, abs=0.03)
    assert sizes["dev"] / total == pytest.approx(0.1, abs=0.02)
    assert sizes["test"] / total == pytest.approx(0.1, abs=0.02)


def test_every_language_is_in_every_split(names: dict[str, list[Record]]) -> None:
    assert len(LANGUAGES) == len(set(LANGUAGES.values())) == 40
    for records in names.values():
        assert {record.fields["language"] for record in records} == set(LANGUAGES.values())


def test_no_concept_is_in_two_splits(names: dict[str, list[Record]]) -> None:
    concepts = {split: {record.fields["concept"] for record in records} for split, records in names.items()}
    assert not concepts["train"] & concepts["dev"]
    assert not concepts["train"] & concepts["test"]
    assert not concepts["dev"] & concepts["test"]


def test_no_name_of_a_test_row_was_seen_in_training_in_the_same_language(names: dict[str, list[Record]]) -> None:
    for split in ("dev", "test"):
        shared = overlap(names["train"], names[split], key=lambda record: "\0".join(known(record)[:2]))
        assert (shared.num_rows, shared.examples) == (0, ())


def test_no_row_appears_twice_and_no_name_is_a_code_or_without_letters(names: dict[str, list[Record]]) -> None:
    rows = [known(record) for records in names.values() for record in records]
    assert len(rows) == len(set(rows))
    for name, _, concept in rows:
        assert name == name.strip() == unicodedata.normalize("NFC", name)
        assert any(letter.isalpha() for letter in name)
        assert name != concept.partition(":")[2]


def test_nothing_is_inherited_from_english(names: dict[str, list[Record]]) -> None:
    """A locale that lacks a name would show the English one, in Latin letters; "Hinglish" Greek says so itself."""
    scripts = {"Hindi", "Chinese", "Thai", "Arabic", "Greek", "Georgian", "Tamil", "Russian", "Japanese", "Korean"}
    latin = {
        record.fields["name"]
        for records in names.values()
        for record in records
        if record.fields["language"] in scripts and record.fields["name"].isascii()
    }
    assert latin <= {"Hinglish"}


def test_concepts_that_share_a_name_in_one_language_have_one_key() -> None:
    names = [Name("Palau", "German", "language:pau"), Name("Palau", "German", "territory:PW")]
    others = [Name("Palau", "French", "territory:FR"), Name("x", "French", "territory:PW"), Name("x", "French", "z")]
    assert _split_keys([*names, *others]) == {
        "language:pau": "language:pau",
        "territory:PW": "language:pau",
        "z": "language:pau",
        "territory:FR": "territory:FR",
    }


def test_the_ceiling_is_the_accuracy_of_the_most_frequent_language_of_each_name(
    names: dict[str, list[Record]],
) -> None:
    languages: dict[str, list[str]] = {}
    for record in names["test"]:
        languages.setdefault(record.fields["name"], []).append(record.fields["language"])
    best = {name: Counter(seen).most_common(1)[0][0] for name, seen in languages.items()}
    right = sum(best[record.fields["name"]] == record.fields["language"] for record in names["test"])
    found = ceiling("test")
    assert found.num_rows == len(names["test"])
    assert found.accuracy == pytest.approx(right / len(names["test"]), abs=1e-12)
    assert found.num_ambiguous == sum(len(seen) for seen in languages.values() if len(set(seen)) > 1)
    assert 0.7 < found.accuracy < 0.95


def test_an_exported_set_is_read_back_by_the_csv_reader(names: dict[str, list[Record]], tmp_path: Path) -> None:
    paths = write_csv("names", tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["names_train.csv", "names_dev.csv", "names_test.csv"]
    for path, records in zip(paths, names.values(), strict=True):
        assert [row.fields for row in read(path)] == [record.fields for record in records]
    with open(paths[1], encoding="utf-8", newline="") as file:
        assert next(csv.reader(file)) == ["name", "language", "concept"]


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="file: cannot be written"):
        write_csv("names", tmp_path / "file")


def test_an_unknown_split_or_set_is_named() -> None:
    with pytest.raises(ConfigError, match=r"unknown split 'tets'\. Did you mean 'test'\? Known: train, dev, test\."):
        EMBEDDED["names"].records("tets")
    with pytest.raises(ConfigError, match=r"unknown embedded data set 'name'\. Did you mean 'names'\?"):
        EMBEDDED["name"]


def test_every_set_says_what_it_is_and_under_which_licence(few_lists: None) -> None:
    for known_set in (EMBEDDED[name] for name in HERE):
        assert isinstance(known_set, EmbeddedSet)
        assert known_set.description
        assert known_set.licence
        assert set(next(known_set.records(known_set.splits[-1])).fields) == set(known_set.columns)


def test_without_babel_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from recurra.data.embedded import names as module

    monkeypatch.setitem(sys.modules, "babel", None)
    monkeypatch.setattr(module, "_all_names", module._all_names.__wrapped__)  # what was made stays made
    with pytest.raises(ConfigError, match=r'needs the package babel\. .*pip install "recurra\[demo\]"'):
        next(EMBEDDED["names"].records("test"))


@pytest.mark.parametrize("name", HERE)
def test_a_set_knows_its_size_without_making_it(name: str, few_lists: None) -> None:
    one = EMBEDDED[name]
    assert {split: one.size(split) for split in one.splits} == {s: sum(1 for _ in one.records(s)) for s in one.splits}


@pytest.fixture
def statsmodels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of that name with files as statsmodels 0.15 has them, cut short."""
    for name, text in (
        ("co2", "date,co2\n" + "".join(f"{d},{v}\n" for d, v in weeks())),
        ("sunspots", '"YEAR","SUNACTIVITY"\n1700,5\n1701,11\n'),
    ):
        folder = tmp_path / "packages" / "statsmodels" / "datasets" / name
        folder.mkdir(parents=True)
        (folder / f"{name}.csv").write_text(text)
    (tmp_path / "packages" / "statsmodels" / "__init__.py").write_text("raise ImportError('is not to be imported')")
    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.setattr(series, "_rows", series._rows.__wrapped__)


def weeks() -> list[tuple[str, str]]:
    first = date(1958, 3, 29)
    days = [first + timedelta(days=7 * k) for k in range(400)]
    return [(f"{d:%Y%m%d}", "" if k == 7 else f"{310 + k / 50:.1f}") for k, d in enumerate(days)]


def test_series_are_read_from_the_files_of_statsmodels_without_importing_it(statsmodels: None) -> None:
    assert [r.fields for r in EMBEDDED["sunspots"].records("train")] == [
        {"date": "1700-01-01", "sunspots": "5"},
        {"date": "1701-01-01", "sunspots": "11"},
    ]
    co2 = list(EMBEDDED["co2"].records("train"))
    assert (co2[0].fields, co2[7].fields["co2"]) == ({"date": "1958-03-29", "co2": "310.0"}, "")
    assert EMBEDDED["co2"].size("train") == 400


def test_without_statsmodels_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "_rows", series._rows.__wrapped__)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'needs the package statsmodels\. .*pip install "recurra\[forecast\]"'):
        next(EMBEDDED["co2"].records("train"))


def test_passengers_are_those_of_box_and_jenkins_and_need_no_package() -> None:
    rows = [r.fields for r in EMBEDDED["airline"].records("train")]
    assert len(rows) == EMBEDDED["airline"].size("train") == 144
    assert (rows[0], rows[-1]) == (
        {"month": "1949-01", "passengers": "112"},
        {"month": "1960-12", "passengers": "432"},
    )
    # Totals of years, as tables of the series have them.
    years = [sum(int(r["passengers"]) for r in rows[k : k + 12]) for k in range(0, 144, 12)]
    assert years == [1520, 1676, 2042, 2364, 2700, 2867, 3408, 3939, 4421, 4572, 5140, 5714]


def test_the_help_of_demo_names_all_of_them() -> None:
    import argparse

    from recurra.cli.commands import demo

    parser = argparse.ArgumentParser()
    demo.COMMAND.arguments(parser)
    said = parser.format_help()
    assert [name for name in demos.DEMOS if name not in said] == []


def test_the_demo_of_forecasts_trains_on_the_series_and_forecasts_it(
    statsmodels: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = demos.DEMOS["forecasting"]
    task = {**whole.settings["task"], "windows": 32}
    small = {**whole.settings, "task": task, "training": {"epochs": 1, "batch_rows": 32}}
    monkeypatch.setitem(demos.DEMOS, "forecasting", replace(whole, settings=small))
    trained = demos.demo("forecasting", out=tmp_path / "run")
    assert trained.report is not None
    assert {"last value", "seasonal naive", "drift"} <= set(trained.report.baselines)
