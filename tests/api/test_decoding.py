"""A task that decodes files in collate: a thread makes the next batch, and not a bit is another."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from api.api_room import done
from recurra.base.contracts import Batch, Origin, Record
from recurra.base.digest import digest_of
from recurra.data.preparing import Means
from recurra.tasks import TASKS, SeriesClassification, SeriesClassificationConfig
from recurra.tasks.series_reader import SeriesReader
from recurra.tasks.series_task import SeriesExample

THREADS: set[str] = set()


@dataclass(frozen=True)
class Recording:
    """A file of numbers, of which the length is known from its header."""

    path: str
    length: int
    gold: Any
    origin: Origin

    key = property(lambda self: self.path)
    stratum = property(lambda self: str(self.gold))
    spelt = property(lambda self: (str(self.gold),))
    all_steps = property(lambda self: self.length)
    is_blank = property(lambda self: not self.length)
    raw = property(lambda self: np.load(self.path))

    def digest(self) -> bytes:
        return digest_of(Path(self.path).read_bytes(), self.gold)


class Recordings(SeriesClassification):
    """As the task of series, of files that are read when a batch is made."""

    decodes: ClassVar[bool] = True
    loss_unit: ClassVar[str] = "points"

    def example(self, record: Record, *, gold: bool = True) -> Any:
        return self.plan.read(record) if gold else replace(self.plan.read(record), gold=None)

    def examples(self, rows: Any, means: Any = None) -> Iterator[Any]:
        return iter(rows)

    def collate(self, examples: Sequence[Any], indices: Sequence[int]) -> Batch:
        THREADS.add(threading.current_thread().name)
        read = [SeriesExample(self.reader.ready(e.raw, e.origin), e.gold, e.origin, e.length) for e in examples]
        return super().collate(read, indices)

    def calibrated(self, outputs: Sequence[Any], examples: Sequence[Any]) -> Any:
        return self

    def baselines(self, train: Sequence[Any], splits: Any) -> Any:
        empty = {name: [] for name in splits}
        return super().baselines([], empty)


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordingsConfig(SeriesClassificationConfig):
    """Which label a file of numbers has."""

    def read(self, record: Record) -> Any:
        path = str(record.fields["values"])
        shape = np.load(path, mmap_mode="r").shape  # the header alone
        return Recording(path, shape[0], str(record.fields.get("label")), record.origin)

    def fit_examples(self, rows: Collection[Any], source: str, means: Means) -> tuple[Any, list[Any]]:
        task, _ = SeriesClassificationConfig.fit_examples(self, rows, source, means)
        return Recordings(self, task.reader, task.labels, task.weights), list(rows)

    def restore(self, data: Any, origin: str) -> Any:
        task = SeriesClassificationConfig.restore(self, data, origin)
        assert isinstance(task.reader, SeriesReader)
        return Recordings(self, task.reader, task.labels, task.weights, temperature=task.temperature)


@pytest.fixture
def files(here: Path) -> Iterator[Path]:
    """Files of numbers, and a task for them."""
    rng = np.random.default_rng(0)
    lines = ["values,label"]
    for k in range(24):
        np.save(f"{k}.npy", rng.normal(k % 2, 1, (int(rng.integers(2, 9)), 2)).astype(np.float32))
        lines.append(f"{k}.npy,{'ab'[k % 2]}")
    Path("d.csv").write_text("\n".join(lines))
    TASKS.add("recordings", RecordingsConfig)
    yield here
    TASKS.remove("recordings")


def test_batches_are_decoded_one_ahead_with_the_same_bits_in_the_same_order(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("c.yaml").write_text(
        "task: recordings\ndata: {train: d.csv}\ntraining: {epochs: 2, batch_rows: 4}\n"
        "model: {encoder: {name: recurrent, hidden_size: 4}}\n"
    )
    for name, decodes in (("ahead", True), ("plain", False)):
        THREADS.clear()
        monkeypatch.setattr(Recordings, "decodes", decodes)
        done("train", "c.yaml", "--out", name)
        assert ("prefetch" in THREADS) is decodes
    assert Path("ahead/model.safetensors").read_bytes() == Path("plain/model.safetensors").read_bytes()
    assert "points per target" in Path("ahead/report.html").read_text()
    assert "prefetch" not in {thread.name for thread in threading.enumerate()}
