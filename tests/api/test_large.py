"""Data larger than memory: a run from the disk has the bits of a run from memory, also where it is resumed."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from api.api_room import Listening, done, kept_of, refused, rows, write_config, write_csv
from recurra import api
from recurra.api import baselines, prepare
from recurra.api import training_run as recipe
from recurra.base.contracts import Progress
from recurra.data.store import stored
from recurra.data.tokenizers import blocks, workers

CONFIG: dict[str, Any] = {
    "task": {"min_count": 2},
    "model": {"encoder": {"dropout": 0.2, "num_layers": 2}},
    "training": {"epochs": 3, "checkpoint_every": 100},
}


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "CHUNK", 3)
    monkeypatch.setattr(stored, "FAR", 12)
    monkeypatch.setattr(blocks, "TEXTS", 7)
    monkeypatch.setattr(recipe, "LOG_EVERY", 1)


def config(name: str = "c.yaml", **data: Any) -> Path:
    return write_config(Path(name), **CONFIG, data=data)


class Stopper(Listening):
    """Sends a signal to this process right after a step."""

    def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
        super().step(progress, speed, seconds_left)
        if progress.step == 6:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def held(data: Path) -> tuple[bytes, bytes, list[dict[str, Any]]]:
    """What a run from memory comes to."""
    write_csv(data, [*rows(), *rows(6)])  # some rows twice: they stay in one split
    api.train(config(store="memory"), out="held")
    return kept_of("held")


def test_a_run_from_the_disk_has_the_bits_of_a_run_from_memory(held: Any) -> None:
    api.train(config(store="disk", scratch="."), out="run")
    assert kept_of("run") == held
    assert Path("run/task.json").read_bytes() == Path("held/task.json").read_bytes()
    assert sorted(path.name for path in Path().iterdir()) == ["c.yaml", "data.csv", "held", "run"]


def test_a_run_from_the_disk_that_is_resumed_in_an_epoch_has_the_same_bits(held: Any) -> None:
    stopped = api.train(config(store="disk"), out="run", watch=Stopper())
    assert stopped.stopped_by == signal.SIGTERM
    api.resume("run")
    assert kept_of("run") == held


def test_a_run_from_memory_is_resumed_from_the_disk(held: Any) -> None:
    api.train(config(store="memory"), out="run", watch=Stopper())
    api.resume("run", overrides=["data.store=disk"])
    assert kept_of("run") == held


def test_two_workers_make_the_bits_of_one_process(held: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "WORTH", 100)
    made: list[workers.Worker] = []
    init = workers.Worker.__init__
    monkeypatch.setattr(workers.Worker, "__init__", lambda self, cutter: made.append(self) or init(self, cutter))
    api.train(config(store="disk", workers=2), out="run")
    assert made
    assert kept_of("run") == held


def test_auto_is_the_disk_from_a_size_on_and_says_where(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = done("check", config(scratch="."))
    assert "on the disk" not in said.err + said.out
    monkeypatch.setattr(prepare, "ON_DISK", data.stat().st_size)
    said = done("check", config(scratch="."))
    assert "data.store: auto keeps prepared data on the disk, in .: about " in said.err + said.out


def test_a_folder_has_no_effect_on_data_in_memory(data: Path) -> None:
    assert "scratch: has no effect with store: memory" in refused("check", config(store="memory", scratch="."))


def test_how_far_the_preparation_is_can_be_heard(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recurra.api.preparing.SECONDS", 0.0)
    monkeypatch.setattr("recurra.api.preparing.ROWS", 16)
    heard: list[tuple[str, int, int | None]] = []

    class Hearing(Listening):
        def preparing(self, stage: str, done: int, total: int | None, speed: float, seconds_left: float) -> None:
            assert speed > 0
            heard.append((stage, done, total))

    api.train(config(), out="run", watch=Hearing())
    assert heard == [("reading data.csv", 16, None), ("reading data.csv", 32, None)] + [
        (stage, done, 32) for stage in ("cutting", "encoding") for done in (16, 32)
    ]


class _Sums:
    """A task whose baselines tell which rows they were made from."""

    def baselines(self, train: Sequence[Any], splits: Any) -> Any:
        return baselines.Compared({}, tuple(str(row.number) for row in train))


@pytest.mark.parametrize(("limit", "expected"), [("MOST_ROWS", ["0", "3", "6"]), ("MOST_STEPS", ["0", "5"])])
def test_baselines_of_many_rows_are_of_a_sample_and_say_so(
    limit: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Row:
        length = 4

        def __init__(self, number: int) -> None:
            self.number = number

    train = [Row(number) for number in range(10)]
    assert baselines.compared(_Sums(), train, {}).notes == tuple("0123456789")  # type: ignore[arg-type]
    monkeypatch.setattr(baselines, limit, 3 if limit == "MOST_ROWS" else 11)
    note, *kept = baselines.compared(_Sums(), train, {}).notes  # type: ignore[arg-type]
    assert kept == expected
    assert note == f"baselines: made from {len(kept)} of 10 train rows, evenly spaced, as there are so many."


def test_a_run_from_object_storage_has_the_bits_of_a_run_from_a_file_also_where_it_is_resumed(held: Any) -> None:
    memory = pytest.importorskip("fsspec", reason="fsspec is not installed").filesystem("memory")
    header, *lines = Path("data.csv").read_text().splitlines()
    for number in range(3):
        part = [header, *lines[number * 20 : (number + 1) * 20]]
        memory.pipe(f"/large/part-{number}.csv", "\n".join(part).encode())
    url = config(train="memory://large/part-*.csv", store="disk")
    assert api.train(url, out="run", watch=Stopper()).report is None
    api.resume("run")
    assert kept_of("run") == held
