"""Predictions for many files: a part for each, written whole, kept when a run that was killed is started again."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterable
from pathlib import Path

import pytest

from api.api_room import done, recurra, refused, rows, write_config, write_csv
from recurra import api
from recurra.cli import main, tables
from recurra.cli.parts import run_digest
from recurra.data.formats import Shard
from recurra.training import FolderLock
from training.toys import exit_of, fork_child


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, and three files to answer for."""
    folder = tmp_path_factory.mktemp("parts")
    before = Path.cwd()
    os.chdir(folder)
    try:
        write_csv(Path("data.csv"), rows())
        for name in ("run", "other"):
            api.train(write_config(training={"report": "scores"}), out=name, seed=len(name))
        for number in range(3):
            write_csv(Path(f"in-{number}.csv"), rows()[number * 5 : number * 5 + 5])
    finally:
        os.chdir(before)
    return folder


@pytest.fixture(autouse=True)
def _there(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(room)


def parts(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path(folder).glob("0*"))}


def test_parts_are_what_each_file_has_alone_and_those_of_a_killed_run_are_kept() -> None:
    words = ["predict", "run", "--input", "in-*.csv", "--output"]
    assert "whole: 15 predictions written" in done(*words, "whole/").err
    done("predict", "run", "--input", "in-1.csv", "--output", "alone.csv")
    whole = parts("whole")
    assert list(whole) == ["00000-in-0.csv", "00001-in-1.csv", "00002-in-2.csv"]
    assert whole["00001-in-1.csv"] == Path("alone.csv").read_bytes()

    def killed() -> int:
        write = tables.TABLES[".csv"]

        def dying(path: Path, rows: Iterable[tables.Row]) -> int:
            return write(path, rows if "-0" in path.name else _dies_behind(rows))

        tables.TABLES[".csv"] = dying  # type: ignore[index]
        return main([*words, "killed"])

    assert exit_of(fork_child(killed)) == -signal.SIGKILL
    assert list(parts("killed")) == ["00000-in-0.csv"]
    before = Path("killed/00000-in-0.csv").stat()
    said = done(*words, "killed").err
    assert "killed: 1 part of 3 already there, and kept." in said
    assert "10 predictions written" in said
    assert parts("killed") == whole
    assert Path("killed/00000-in-0.csv").stat() == before
    assert not list(Path("killed").glob(".tmp-*"))


def _dies_behind(rows: Iterable[tables.Row]) -> Iterable[tables.Row]:
    """Two rows, then the end of this process."""
    yield from list(rows)[:2]
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_folder_of_another_run_or_other_files_is_refused() -> None:
    words = ["--input", "in-*.csv", "--output", "mine"]
    done("predict", "run", *words)
    before = parts("mine")
    assert "mine: holds predictions of another run" in refused("predict", "other", *words)
    assert "made with other options" in refused("predict", "run", *words, "--probabilities", "none")
    assert "of other files" in refused("predict", "run", "--input", "in-[01].csv", "--output", "mine")
    Path("notes").mkdir(exist_ok=True)
    Path("notes/mine.txt").write_text("mine")
    assert "holds no predictions" in refused("predict", "run", "--input", "in-*.csv", "--output", "notes")
    assert parts("mine") == before


def test_a_file_that_was_changed_and_kept_its_size_is_another_one() -> None:
    Path("changed.csv").write_text("text\nfine item\n")
    words = ["predict", "run", "--input", "changed.csv", "--output", "changed"]
    done(*words)
    Path("changed.csv").write_text("text\ndull item\n")
    assert "of these before they were changed" in refused(*words[:1], *words[1:])


@pytest.mark.parametrize("word", ["weights", "task", "config"])
def test_a_run_of_which_any_file_that_answers_was_changed_is_another_one(word: str) -> None:
    shutil.copytree("run", word)
    run = api.open_run(word)
    before = run_digest(run)
    assert before == run_digest(api.open_run("run"))
    path: Path = getattr(run.folder, word)
    path.write_bytes(path.read_bytes() + b" ")
    assert run_digest(run) != before


def test_weights_of_another_kind_are_another_prediction() -> None:
    words = ["predict", "run", "--input", "in-0.csv", "--output", "narrow"]
    done(*words)
    assert "made with other --weights" in refused(*words, "--weights", "bfloat16")


def test_two_predictions_into_one_folder_are_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["predict", "run", "--input", "in-0.csv", "--output", "both"]
    with FolderLock(Path("both")):
        said = recurra(*words)
    assert said.code == 2
    assert f"process {os.getpid()} is predicting there" in said.err
    assert "choose another folder with --output" in said.err
    # Another one makes the folder between the first look and the lock.
    enter = FolderLock.__enter__

    def late(self: FolderLock) -> FolderLock:
        found = enter(self)
        Path("both/predictions.json").write_text("{}")
        return found

    monkeypatch.setattr(FolderLock, "__enter__", late)
    assert "holds predictions of another run" in refused(*words)
    assert not parts("both")


def test_a_file_without_rows_has_a_part_without_rows() -> None:
    Path("thin-0.csv").write_text("text\n")
    Path("thin-1.csv").write_text("text\nfine item\n")
    said = done("predict", "run", "--input", "thin-*.csv", "--output", "thin").err
    assert "thin-0.csv: has no row, and its part has none." in said
    assert [len(text) > 0 for text in parts("thin").values()] == [False, True]


def test_a_glob_does_not_find_the_parts_themselves() -> None:
    Path("deep/er").mkdir(parents=True)
    Path("deep/er/a.csv").write_text("text\nfine item\n")
    words = ["predict", "run", "--input", "deep/**/*.csv", "--output", "deep/out"]
    done(*words)
    assert "1 part of 1 already there" in done(*words).err
    assert list(parts("deep/out")) == ["00000-a.csv"]
    assert "all of its files are in the folder of --output" in refused(*words[:3], "deep/out/*.csv", *words[4:])


def test_a_file_elsewhere_is_copied_once_and_its_name_may_look_like_a_glob(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = pytest.importorskip("fsspec", reason="fsspec is not installed").filesystem("memory")
    for name in ("a[1].csv", "b[2].csv"):
        memory.pipe(f"/elsewhere/{name}", b"text\nfine item\n")
    copied, here = [], Shard.here
    monkeypatch.setattr(Shard, "here", lambda self, *words: (copied.append(self.name), here(self, *words))[1])
    done("predict", "run", "--input", "memory://elsewhere/*.csv", "--output", "once")
    assert list(parts("once")) == ["00000-a[1].csv", "00001-b[2].csv"]
    first, second = "memory:///elsewhere/a[1].csv", "memory:///elsewhere/b[2].csv"
    assert copied == [first, first, second]  # the format is that of the first


def test_a_folder_is_for_files() -> None:
    said = recurra("predict", "run", "a text", "--output", "out")
    assert (said.code, "a part for each file of --input" in said.err) == (2, True)


def test_a_data_set_of_parquet_has_its_partitions_in_each_row() -> None:
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    table = arrow.table({"text": ["fine item", "dull item"], "day": ["mon", "tue"]})
    parquet.write_to_dataset(table, "set", partition_cols=["day"], basename_template="p{i}.parquet")
    done("predict", "run", "--input", "set", "--output", "days")
    assert list(parts("days")) == ["00000-p0.jsonl", "00001-p0.jsonl"]
    assert b'"day":"mon"' in parts("days")["00000-p0.jsonl"].replace(b'": ', b'":')
