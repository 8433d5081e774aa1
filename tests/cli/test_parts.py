"""Predictions for many files: a part for each, written whole, kept when a run that was killed is started again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path

import pytest

from api.api_room import done, recurra, refused, rows, write_config, write_csv
from recurra import api
from recurra.cli import main, tables
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


def test_a_folder_is_for_files() -> None:
    said = recurra("predict", "run", "a text", "--output", "out")
    assert (said.code, "a part for each file of --input" in said.err) == (2, True)


def test_a_data_set_of_parquet_has_its_partitions_in_each_row() -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = arrow.table({"text": ["fine item", "dull item"], "day": ["mon", "tue"]})
    parquet.write_to_dataset(table, "set", partition_cols=["day"], basename_template="p{i}.parquet")
    done("predict", "run", "--input", "set", "--output", "days")
    assert list(parts("days")) == ["00000-p0.jsonl", "00001-p0.jsonl"]
    assert b'"day":"mon"' in parts("days")["00000-p0.jsonl"].replace(b'": ', b'":')
