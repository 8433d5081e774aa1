"""Training rows that stay in their files (`data.shuffle_buffer`): the data of one that keeps them, in another order."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from api.api_room import Listening, log_of, write_config
from recurra import api
from recurra.api import rereading, training_run
from recurra.api.callbacks import NoCallback
from recurra.api.inference import outputs
from recurra.api.interrupts import Stopped
from recurra.api.options import DataOptions
from recurra.api.places import RunFolder
from recurra.api.prepare import Prepared, data_bytes, prepare
from recurra.api.schema import read_settings
from recurra.api.trainer import Trainer
from recurra.base.contracts import Progress
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.data.formats import shards
from recurra.data.formats.cursor import Cursor
from recurra.data.store import Reread, scratch
from recurra.data.store.stored import key_digest
from recurra.data.windows import ORDER
from recurra.tasks.bucketing import BucketSampler
from recurra.training import Group, SingleProcess, Stopping
from recurra.training.checkpoint import load, save
from training.toys import on_ranks

PLAIN = {
    "optimizer": {"name": "sgd", "lr": 0.3}, "select": "log_loss", "epochs": 2, "batch_rows": 8, "report": "scores"
}  # fmt: skip
STILL = {
    "inputs": {"embedding_size": 4, "embedding_dropout": 0.0},
    "encoder": {"hidden_size": 4},
    "head": {"output_dropout": 0.0},
}
WORDS = ["the", "red", "cat", "sat", "on", "a", "mat", "and", "old", "dog"]


def text_of(number: int) -> str:
    return " ".join(WORDS[(number * k) % 10] for k in range(1, 2 + number % 7))


ROWS: dict[str, Callable[[int], dict[str, Any]]] = {
    "classification": lambda n: {"text": f"{text_of(n)} {n}", "label": "odd" if n % 2 else "even"},
    "translation": lambda n: {"source": f"{text_of(n)} {n}", "target": text_of(n + 1)},
    "text_regression": lambda n: {"text": f"{text_of(n)} {n}", "second": text_of(n + 1), "score": n % 7},
    "text_autoencoding": lambda n: {"text": f"{text_of(n)} {n}"},
    "tagging": lambda n: {"token": text_of(n).split(), "tag": [word[0].upper() for word in text_of(n).split()]},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "translation": {"max_source_length": 6}, "tagging": {"max_length": 6},
    "text_regression": {"pair": "second", "max_length": 8}, "text_autoencoding": {"max_length": 6, "token_drop": 0.2},
}  # fmt: skip
SIZES = (7, 1, 21, 12)


@pytest.fixture(autouse=True)
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training_run, "LOG_EVERY", 1)
    for task, row in ROWS.items():
        number = 0
        for part, size in enumerate(SIZES):
            lines = [json.dumps(row(number + k)) + "\n" for k in range(size)]
            number += size
            Path(f"{task}-{part}.jsonl").write_text("".join(lines))


def config(buffer: int | None, task: str = "classification", **sections: Any) -> Path:
    data = {"train": f"{task}-*.jsonl", "shuffle_buffer": buffer, "workers": 1, **sections.pop("data", {})}
    data = {name: value for name, value in data.items() if value is not None}
    sections = {"training": PLAIN, "model": STILL, **sections}
    return write_config(task={"name": task, **OPTIONS.get(task, {})}, data=data, **sections)


def prepared(buffer: int | None, task: str, **sections: Any) -> Prepared:
    return prepare(read_settings(config(buffer, task, model={}, training={}, **sections)), NoCallback())


# Dev taken from train; of a file; and by groups, of which a row has none.
SPLITS: list[dict[str, Any]] = [
    {},
    {"dev": "dev.jsonl"},
    {"on_error": "skip", "split": {"name": "group", "by": "g", "dev": 0.2, "test": 0.2}},
]


@pytest.mark.parametrize("data", SPLITS)
@pytest.mark.parametrize("task", ROWS)
def test_the_data_is_that_of_rows_that_are_kept(task: str, data: dict[str, Any]) -> None:
    for path in Path().glob(f"{task}-*.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text(
            "".join(json.dumps({**row, "g": "" if k == 2 else k // 2}) + "\n" for k, row in enumerate(rows))
        )
    if "dev" in data:
        Path(f"{task}-1.jsonl").rename("dev.jsonl")
    kept, found = prepared(None, task, data=data), prepared(6, task, data=data)
    assert isinstance(found.splits["train"], Reread)
    assert found.fingerprint == kept.fingerprint
    assert found.task.to_json() == kept.task.to_json()
    assert found.facts == kept.facts
    for split, examples in kept.splits.items():
        ours = found.splits[split]
        assert [e.digest() for e in ours] == [ours[k].digest() for k in range(len(ours))]
        whole = [[(str(e.origin), e.key, e.digest()) for e in some] for some in (ours, examples)]
        assert whole[0] == whole[1]
    assert set(kept.notes) <= set(found.notes)


@pytest.mark.parametrize("task", ROWS)
def test_preparation_reads_rows_three_times_and_looks_at_a_few(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    passes, every = Counter[str](), rereading.InFiles._read

    def noted(kept: rereading.InFiles, file: int, cursor: Cursor) -> Iterator[Any]:
        passes[kept._shards[file].name] += 1
        return every(kept, file, cursor)

    monkeypatch.setattr(rereading.InFiles, "_read", noted)
    monkeypatch.delitem(OPTIONS, task, raising=False)  # where rows are left out, what is said of the others is one more
    prepared(6, task)
    looked_at = int(task in ("classification", "translation"))  # of large data these are the first 10,000
    del passes[f"{task}-1.jsonl"]  # its only row may be of dev
    assert passes == {f"{task}-{part}.jsonl": 2 + looked_at for part in range(len(SIZES)) if part != 1}


def test_an_epoch_reads_each_file_once_and_holds_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    read, opened = rereading.InFiles._read, Counter[int]()

    def noted(kept: rereading.InFiles, file: int, cursor: Cursor) -> Iterator[Any]:
        opened[file] += 1
        return read(kept, file, cursor)

    monkeypatch.setattr(rereading.InFiles, "_read", noted)
    settings = read_settings(config(6))
    data = prepare(settings, NoCallback())
    train: Any = data.splits["train"]
    trainer = Trainer(settings, data.task, train, torch.device("cpu"), data.fingerprint, SingleProcess())
    whole = [file for file in range(len(SIZES)) if any(f"-{file}." in str(one.origin) for one in train)]
    for trainer.epoch in (1, 2, 3):
        opened.clear()
        for progress in trainer.steps():
            assert len(train._window) <= 6, progress
        assert opened == dict.fromkeys(whole, 1)
        trainer.position = 0
    opened.clear()
    found = outputs(trainer.model, data.task, train, device=torch.device("cpu"))
    assert opened == dict.fromkeys(whole, 1)
    kept = outputs(trainer.model, data.task, list(train), device=torch.device("cpu"))
    assert [*found] == [*kept]


def test_a_rank_holds_its_part_of_a_window() -> None:
    class Half(SingleProcess):
        rows = slice(0, None, 2)

    settings = read_settings(config(16))
    data = prepare(settings, NoCallback())
    train: Any = data.splits["train"]
    trainer = Trainer(settings, data.task, train, torch.device("cpu"), data.fingerprint, Half())
    held = [len(train._window) for _ in trainer.steps()]
    assert 0 < max(held) <= 8


def test_some_of_some_rows_are_those_rows() -> None:
    train: Any = prepared(6, "classification").splits["train"]
    every = np.arange(len(train))
    some, rows = train.taken(every % 3 > 0).taken(np.arange((every % 3 > 0).sum()) % 2 > 0), list(train)
    expected = [rows[k] for k in every[every % 3 > 0][1::2]]
    assert [e.digest() for e in some] == [e.digest() for e in expected] == [e.digest() for e in some[:]]
    assert b"".join(some.digests()) == b"".join(e.digest() for e in expected)
    assert np.concatenate([*some.keys()]).tobytes() == b"".join(key_digest(e.key) for e in expected)


def test_only_rows_that_are_kept_need_room_on_the_disk() -> None:
    Path("classification-3.jsonl").rename("dev.jsonl")
    given = config(6, data={"dev": "dev.jsonl"})
    assert data_bytes(read_settings(given)) == Path("dev.jsonl").stat().st_size


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    """Some texts go on over lines."""
    return b"text,label\n" + b"".join(
        f'"{row["text"].replace(" ", chr(10) if k % 3 == 0 else " ")}, ""x""",{row["label"]}\n'.encode()
        for k, row in enumerate(rows)
    )


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    file = pa.BufferOutputStream()
    parquet.write_table(pa.Table.from_pylist(rows), file, row_group_size=30)
    return bytes(file.getvalue())


WRITTEN: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "csv": as_csv,
    "tsv": lambda rows: b"\xef\xbb\xbftext\tlabel\n" + "".join(f"{r['text']}\t{r['label']}\n" for r in rows).encode(),
    "jsonl": lambda rows: "".join(json.dumps(row) + "\n\n" for row in rows).encode(),
    "jsonl.gz": lambda rows: gzip.compress(WRITTEN["jsonl"](rows)),
    "parquet": as_parquet,
    "broken.csv": lambda rows: broken(rows, "csv", b'"stray,odd\n'),
    "broken.jsonl": lambda rows: broken(rows, "jsonl", b'{"text": nothing}\n'),
}  # fmt: skip


def broken(rows: list[dict[str, Any]], kind: str, line: bytes) -> bytes:
    """With a broken line behind every fifth row."""
    parts = [WRITTEN[kind](rows[k : k + 5]) for k in range(0, len(rows), 5)]
    head = 0 if kind == "jsonl" else parts[0].index(b"\n") + 1
    return parts[0][:head] + b"".join(part[head:] + line for part in parts)


def parts_of(train: Any, rank: int, ranks: int, parsed: list[int]) -> list[tuple[int, ...]]:
    """What a rank has of each batch of an epoch."""
    part = slice(rank, None, ranks)
    sampler = BucketSampler(train, lambda some, indices: indices, 10**6, 16, 3)  # type: ignore[arg-type, return-value]
    with train.reading(3, 1, part):
        plan, parsed[0] = sampler.plan(1), 0
        return [sampler.batch(item, part) for item in plan]  # type: ignore[misc]


@pytest.mark.parametrize("kind", [kind for kind in WRITTEN if kind != "jsonl"])
def test_a_rank_parses_little_more_than_its_part_of_the_rows(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"text": f"{text_of(k)} {k}", "label": "odd" if k % 2 else "even"} for k in range(400)]
    for part in range(4):
        Path(f"many-{part}.{kind}").write_bytes(WRITTEN[kind](rows[part * 100 : part * 100 + 100]))
    train: Any = prepared(150, "classification", data={"train": f"many-*.{kind}", "on_error": "skip"}).splits["train"]
    every, parsed, before_row = list(train), [0], Cursor.before_row
    lines = len(rows) * (6 if "broken" in kind else 5) // 5

    def counted(cursor: Cursor, *given: Any) -> None:
        parsed[0] += 1
        before_row(cursor, *given)

    monkeypatch.setattr(Cursor, "before_row", counted)
    for ranks, most in ((1, 1.1), (2, 0.6), (3, 0.45)):
        found = []
        for rank in range(ranks):
            found.append(parts_of(train, rank, ranks, parsed))
            assert parsed[0] <= most * lines, (ranks, rank)
        whole = parts_of(train, 0, 1, parsed)
        assert [tuple(chain(*parts)) for parts in zip(*found, strict=True)] == whole
        assert sorted(number for batch in whole for number in batch) == list(range(len(every)))
    for numbers in ([3, 300, 2, 3], range(len(every) - 1, 0, -7)):
        assert [(str(e.origin), e.digest()) for e in train.gathered(numbers)] == [
            (str(every[k].origin), every[k].digest()) for k in numbers
        ]


def test_one_file_without_marks_will_do_where_the_buffer_holds_all_of_it() -> None:
    rows = [{"text": f"größe {k}", "label": "odd" if k % 2 else "even"} for k in range(80)]
    Path("one.csv").write_bytes(as_csv(rows).decode().encode("windows-1252"))
    train: Any = prepared(80, "classification", data={"train": "one.csv"}).splits["train"]
    assert len({min(batch) for batch in train.planned(1, 1, token_budget=10**6, max_sequences=16)}) > 1
    assert [e.digest() for e in train[::-1]] == [e.digest() for e in train][::-1]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_rows_of_one_file_are_mixed_with_those_far_away(kind: str) -> None:
    rows = [{"text": f"{text_of(k)} {k}", "label": "odd" if k % 2 else "even"} for k in range(500)]
    Path(f"one.{kind}").write_bytes(WRITTEN[kind](rows))
    kept, found = (prepared(buffer, "classification", data={"train": f"one.{kind}"}) for buffer in (None, 120))
    assert found.fingerprint == kept.fingerprint
    train: Any = found.splits["train"]
    batches = train.planned(1, 1, token_budget=10**6, max_sequences=16)
    assert sorted(number for batch in batches for number in batch) == list(range(len(train)))
    firsts = [min(batch) for batch in batches]
    assert firsts != sorted(firsts)
    assert max(max(batch) - min(batch) for batch in batches) > len(train) // 4
    with train.reading(1, 1):
        assert [e.digest() for batch in batches for e in train.gathered(batch)] == [
            train[number].digest() for batch in batches for number in batch
        ]


@pytest.mark.parametrize(
    ("name", "end", "data"),
    [
        # What stands between cells is told by the first row, where no header does: later ones might tell a comma.
        ("tabs-{}.csv", b"\n", {"columns": ["text", "label"]}),
        # Of a file that is read from its beginning, as its lines end with CR.
        ("mac-{}.jsonl", b"\r", {}),
    ],
)
def test_the_first_row_tells_how_the_others_are_read(name: str, end: bytes, data: dict[str, Any]) -> None:
    rows = [{"text": f"{text_of(k)} {k}", "label": "odd" if k % 2 else "even"} for k in range(300)]
    for part in range(3):
        some = [f"{r['text']}\t{r['label']}" if "columns" in data else json.dumps(r) for r in rows[part::3]]
        some[1:] = [line.replace(" ", ", ", 1) if "columns" in data else line for line in some[1:]]
        Path(name.format(part)).write_bytes(b"\xef\xbb\xbf" + b"".join(line.encode() + end for line in some))
    train: Any = prepared(150, "classification", data={"train": name.format("*"), **data}).splits["train"]
    every = list(train)
    for numbers in (range(len(every) - 1, -1, -7), range(3, len(every), 40)):
        assert [(str(e.origin), e.digest()) for e in train.gathered(numbers)] == [
            (str(every[k].origin), every[k].digest()) for k in numbers
        ]


def test_each_row_group_can_begin_a_piece_whatever_its_size() -> None:
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    rows = [{"text": f"{text_of(k)} {k}", "label": "odd" if k % 2 else "even"} for k in range(600)]
    parquet.write_table(pa.Table.from_pylist(rows), "one.parquet", row_group_size=37)
    train: Any = prepared(2500, "classification", data={"train": "one.parquet"}).splits["train"]
    assert train._rows._pieces.tolist() == [0, 5 * 37, 9 * 37, 13 * 37, 600]


def test_parts_of_batches_in_which_tokens_are_hidden_make_up_these_batches() -> None:
    data = prepared(12, "text_autoencoding")
    train: Any = data.splits["train"]
    sampler: Any = data.task.sampler(train, batch_tokens=1000, batch_rows=5, seed=1)
    with train.reading(1, 1, slice(0, None, 2)):
        for item in sampler.plan(1):
            whole, parts = sampler.batch(item), [sampler.batch(item, slice(rank, None, 2)) for rank in range(2)]
            assert whole.indices == (*parts[0].indices, *parts[1].indices)
            assert torch.equal(whole.lengths, torch.cat([part.lengths for part in parts]))


@pytest.mark.parametrize("kind", ["csv", "jsonl.gz"])
def test_of_files_elsewhere_a_rank_asks_for_its_part_of_the_bytes(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = pytest.importorskip("fsspec", reason="fsspec is not installed").filesystem("memory")
    rows = [{"text": f"{text_of(k)} {k}", "label": "odd" if k % 2 else "even"} for k in range(800)]
    for part in range(2):
        memory.pipe(f"/ranged-{kind}/many-{part}.{kind}", WRITTEN[kind](rows[part * 400 : part * 400 + 400]))
    train: Any = prepared(200, "classification", data={"train": f"memory://ranged-{kind}/*"}).splits["train"]
    every, asked, cat_file, opened = list(train), [0], type(memory).cat_file, type(memory).open

    def counted(system: Any, path: str, start: int, end: int | None) -> Any:
        found = cat_file(system, path, start, end)
        asked[0] += len(found)
        return found

    def whole(system: Any, path: str, *given: Any, **named: Any) -> Any:
        asked[0] += system.size(path)
        return opened(system, path, *given, **named)

    def ignored(system: Any, path: str, start: int, end: int | None) -> Any:
        return cat_file(system, path)

    monkeypatch.setattr(type(memory), "cat_file", ignored)  # as some servers of the web do
    assert [e.digest() for e in train.gathered([600, 3, 550])] == [every[k].digest() for k in (600, 3, 550)]
    train._rows.close()
    monkeypatch.setattr(type(memory), "cat_file", counted)
    monkeypatch.setattr(type(memory), "open", whole)
    size = sum(memory.size(path) for path in memory.ls(f"/ranged-{kind}", detail=False))
    found = []
    for rank in range(2):
        asked[0] = 0
        found.append(parts_of(train, rank, 2, asked))
        assert 0.4 * size < asked[0] <= (0.7 if kind != "jsonl.gz" else 1) * size
    assert sorted(chain(*chain(*found))) == list(range(len(every)))
    for numbers in ([3, 600, 2, 3, 1, 4], range(len(every) - 1, 0, -37)):
        assert [(str(e.origin), e.digest()) for e in train.gathered(numbers)] == [
            (str(every[k].origin), every[k].digest()) for k in numbers
        ]


class StopsAt(Listening):
    """Sends a signal to its own process after a step."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
        super().step(progress, speed, seconds_left)
        if progress.step == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


def losses(run: str) -> list[float]:
    return [line["loss"] for line in log_of(run) if line["event"] == "step"]


def test_any_number_of_ranks_has_the_batches_of_one_and_goes_on_in_an_epoch_with_the_same_bits(tmp_path: Path) -> None:
    given = config(6)

    def go(run: str, size: int, stop_at: int = 0, *, resumed: bool = False) -> None:
        def work(ranks: Group) -> None:
            folder = RunFolder(Path(run))
            if ranks.number == 0:
                folder.path.mkdir(exist_ok=True)
            settings = read_settings(folder.config if resumed else given, [], None)
            make = training_run.resume_from if resumed else training_run.start
            made = make(folder, settings, torch.device("cpu"), NoCallback(), ranks)
            watch = StopsAt(stop_at if ranks.number == 0 else 0)
            with Stopping() as stopping, contextlib.suppress(Stopped):
                training_run.run_epochs(made, stopping, watch)

        meeting = tmp_path / f"{run}-{size}-{resumed}"
        meeting.mkdir()
        assert on_ranks(size, meeting, work) == [0] * size

    api.train(given, out="alone")
    go("two", 2)
    go("three", 3)
    assert losses("two") == pytest.approx(losses("alone"), rel=1e-6)
    assert losses("three") == pytest.approx(losses("alone"), rel=1e-6)
    go("cut", 2, 3)
    assert 0 < load(Path("cut/last.ckpt")).position < len(losses("alone")) // 2
    go("cut", 2, resumed=True)
    whole, cut = load(Path("two/last.ckpt")), load(Path("cut/last.ckpt"))
    assert (cut.step, cut.epoch) == (whole.step, whole.epoch)
    assert all(torch.equal(cut.model[name], weight) for name, weight in whole.model.items())
    assert losses("cut") == losses("two")


def test_one_process_goes_on_in_an_epoch_with_the_same_bits() -> None:
    given = config(6)
    api.train(given, out="whole")
    steps = len(losses("whole"))
    for at in (1, steps // 2 + 2):
        assert api.train(given, out=f"cut-{at}", watch=StopsAt(at)).stopped_by == signal.SIGTERM
        api.resume(f"cut-{at}")
        assert losses(f"cut-{at}") == losses("whole")
        assert Path(f"cut-{at}/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()
    with pytest.raises(RunError, match=r"data\.shuffle_buffer"):
        api.resume("cut-1", overrides=["data.shuffle_buffer=7", "training.epochs=3"])


def test_an_epoch_that_has_begun_in_another_order_of_rows_is_not_gone_on_with() -> None:
    api.train(config(6), out="old", watch=StopsAt(2))
    found = load(Path("old/last.ckpt"))
    assert found.extra["order"] == ORDER
    earlier = {name: value for name, value in found.extra.items() if name != "order"}
    save(Path("old/last.ckpt"), replace(found, extra=earlier))
    with pytest.raises(RunError, match=r"last\.ckpt: stands within an epoch, and the version of recurra that wrote it"):
        api.resume("old")
    save(Path("old/last.ckpt"), replace(found, extra=earlier, epoch=2, position=0))
    api.resume("old")


@pytest.mark.parametrize("buffer", [6, None])
def test_files_that_are_elsewhere_are_copied_to_the_disk_and_not_to_memory(
    buffer: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = pytest.importorskip("fsspec", reason="fsspec is not installed").filesystem("memory")
    for part in Path().glob("classification-*.jsonl"):
        memory.pipe(f"/reread/{part.name}", part.read_bytes())
    places, made = [], shards.tempfile.mkdtemp
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(scratch, "ON_A_DISK", tmp_path)
    monkeypatch.setattr(shards.tempfile, "mkdtemp", lambda **given: places.append(given["dir"]) or made(**given))
    data = {"train": "memory://reread/classification-*.jsonl", "format": "jsonl"}
    train = prepared(buffer, "classification", data=data).splits["train"]
    assert len(train[:]) == len(train)
    assert len(places) >= (2 if buffer else 1) * len(SIZES)
    assert set(places) == {str(tmp_path)}


def test_a_file_that_changes_while_it_is_read_again_stops_the_training() -> None:
    train: Any = prepared(6, "classification").splits["train"]
    lines = Path("classification-2.jsonl").read_text().splitlines(keepends=True)
    changed = [line.replace('"even"', '"odd" ') for line in lines]
    blank = [*lines[:-1], " " * (len(lines[-1]) - 1) + "\n"]
    unlike = r"classification-2\.jsonl:\d+: is not what it was when the data was prepared\. Was the file"
    fewer = r"classification-2\.jsonl: has 20 good rows, and had 21 when the data was prepared\. Was it"
    shorter = r"classification-2\.jsonl: has [0-9,]+ bytes, and had [0-9,]+ when the data was prepared\. Was it"
    every: list[tuple[list[str], str, Callable[[], Any]]] = [
        (changed, unlike, lambda: train.gathered(range(len(train)))),
        (changed, unlike, lambda: train.gathered(range(len(train) - 1, -1, -1))),
        (blank, fewer, lambda: list(train)),
        (lines[:-1], shorter, lambda: train.gathered(range(len(train)))),
    ]
    for broken, said, ask in every:
        Path("classification-2.jsonl").write_text("".join(broken))
        with pytest.raises(DataError, match=said):
            ask()
        Path("classification-2.jsonl").write_text("".join(lines))
        assert len(train.gathered(range(len(train)))) == len(train)
        assert len(train.gathered(range(len(train) - 1, -1, -1))) == len(train)
        with train.reading(1, 1):
            """What was read is forgotten."""


@pytest.mark.parametrize(
    ("task", "data", "said"),
    [
        (
            "classification",
            {"train": "one.csv.gz"},
            r"shuffle_buffer: one\.csv\.gz: is one file that cannot be read from",
        ),
        (
            "classification",
            {"train": "one.json"},
            r"shuffle_buffer: one\.json: is one file that cannot be read from its",
        ),
        (
            "classification",
            {"train": "one.csv"},
            r"shuffle_buffer: one\.csv: is one file that cannot be read from its mi",
        ),
        ("classification", {"store": "memory"}, "shuffle_buffer: leaves train in its files, so store: memory"),
        ("classification", {"shuffle_buffer": 0}, "shuffle_buffer: expected an integer >= 1 or null, got 0"),
        (
            "language_model",
            {"train": "classification-*.jsonl"},
            "shuffle_buffer: task language_model does not make one example of each row by itself; leave it out. It "
            "fits classification, tagging, text_autoencoding, text_regression, translation",
        ),
    ],
)
def test_what_it_does_not_go_with_is_refused(task: str, data: dict[str, Any], said: str) -> None:
    rows = [{"text": f"größe {k}", "label": "odd" if k % 2 else "even"} for k in range(80)]
    Path("one.csv.gz").write_bytes(gzip.compress(as_csv(rows)))
    Path("one.json").write_text(json.dumps(rows))
    Path("one.csv").write_bytes(as_csv(rows).decode().encode("windows-1252"))
    given = write_config(task={"name": task}, data={"train": f"{task}-*.jsonl", "shuffle_buffer": 6, **data}, model={})
    with pytest.raises(ConfigError, match=said):
        prepare(read_settings(given), NoCallback())
    with pytest.raises(DataError, match=r"^none\.csv: no such file"):
        prepare(read_settings(config(6, data={"train": "none.csv"}, model={})), NoCallback())
    with pytest.raises(ConfigError, match="shuffle_buffer: reads each row again by itself, and layout makes"):
        DataOptions(train="a-*.csv", layout="long", shuffle_buffer=6)


def test_a_file_of_too_few_rows_to_be_mixed_is_refused_with_their_number() -> None:
    Path("one.csv").write_bytes(as_csv([{"text": f"word {k}", "label": "ab"[k % 2]} for k in range(60)]))
    given = write_config(data={"train": "one.csv", "shuffle_buffer": 20, "split": {"name": "hash"}})
    with pytest.raises(ConfigError) as caught:
        prepare(read_settings(given), NoCallback())
    assert str(caught.value) == (
        "data.shuffle_buffer: one.csv: has 60 rows, and is read in pieces of 64, so with 20 at once they would not be "
        "mixed. Set it to 60 or more, or leave it out: so few rows fit into memory."
    )
