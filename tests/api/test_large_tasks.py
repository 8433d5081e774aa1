"""Data larger than memory, task by task: a run from the disk, stopped and resumed, has the bits of one from memory."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.api_room import Listening, done, kept_of, refused
from recurra import api
from recurra.api import prepare
from recurra.api import training_run as recipe
from recurra.base.contracts import Progress
from recurra.data.store import Stored, stored
from recurra.data.tokenizers import blocks
from recurra.tasks.language_model import documents, order

Row = Mapping[str, Any]
WORDS = ("Anna", "saw", "Rome", "and", "Bob", "in", "May", "ran", "x9")


def sentences(number: int = 36) -> list[list[str]]:
    """Sentences of 2 to 9 words; some stand there twice."""
    draw = random.Random(1)
    found = [[draw.choice(WORDS) for _ in range(draw.randint(2, 9))] for _ in range(number - 6)]
    return [*found, *found[:6]]


def tag(word: str) -> str:
    return "B-NAME" if word[0].isupper() else "O"


def conll(path: Path) -> Path:
    """Tokens with a tag for each, a line each: errors name the line of a token."""
    blocks = ("".join(f"{word} {tag(word)}\n" for word in words) for words in sentences())
    path.with_suffix(".conll").write_text("\n".join(blocks), "utf-8")
    return path.with_suffix(".conll")


def jsonl(path: Path, lines: Sequence[Row]) -> Path:
    path.with_suffix(".jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path.with_suffix(".jsonl")


def spans(path: Path) -> Path:
    """Texts with spans."""
    lines = []
    for words in sentences():
        found, start = [], 0
        for word in words:
            found += [[start, start + len(word), "NAME"]] if tag(word) != "O" else []
            start += len(word) + 1
        lines.append({"token": " ".join(words), "tag": found})
    return jsonl(path, lines)


def spaced(path: Path) -> Path:
    """Texts of tokens with texts of tags, that stand for themselves."""
    return jsonl(path, [{"token": " ".join(w), "tag": " ".join(str(len(t)) for t in w)} for w in sentences()])


def pairs(path: Path) -> Path:
    """Texts backwards, with a second right answer."""
    lines = [
        {"source": " ".join(w), "target": " ".join(w[::-1]), "also": [" ".join(w)], "lang": w[0]} for w in sentences()
    ]
    return jsonl(path, lines)


def scored(path: Path) -> Path:
    return jsonl(path, [{"text": " ".join(w), "second": w[0], "score": len(w)} for w in sentences()])


def lines_of_text(path: Path) -> Path:
    path.with_suffix(".txt").write_text("\n".join(" ".join(words) for words in sentences(60)), "utf-8")
    return path.with_suffix(".txt")


def texts(path: Path) -> Path:
    return jsonl(path, [{"text": " ".join(words)} for words in sentences()])


def series(path: Path) -> Path:
    """Two numbers a step, of 2 to 9 steps."""
    lines = [
        {"values": [[float(len(word)), k / 7] for k, word in enumerate(words)], "label": "ab"[len(words) % 2]}
        for words in sentences()
    ]
    return jsonl(path, lines)


def sounds(path: Path) -> Path:
    """Files by class. Skips the test without the package soundfile."""
    return pytest.importorskip("sound_room", reason="soundfile is not installed; it comes with recurra[test]").tones(
        path, 12
    )  # type: ignore[no-any-return]


def chords(path: Path) -> Path:
    return jsonl(path, [{"chords": [[60 + len(word), 64] for word in words]} for words in sentences()])


OF_WORDS = {"tokenizer": "spaces", "max_vocabulary": 8, "bptt": 3}
LANGUAGE = {"inputs": {"embedding_size": 3}}
CASES: dict[str, tuple[Callable[[Path], Path], dict[str, Any], dict[str, Any]]] = {
    "words with tags": (conll, {"name": "tagging", "min_count": 2, "max_length": 8}, {}),
    "texts with spans": (spans, {"name": "tagging", "dictionary": "lookup"}, {}),
    "texts with tags": (spaced, {"name": "tagging"}, {}),
    "translation": (
        pairs,
        {"name": "translation", "accepted": "also", "group": "lang", "max_vocabulary": 8, "max_source_length": 8,
         "source_tokenizer": "spaces"},
        {"decoder": {"copying": True, "hidden_size": 3}},
    ),
    "two texts with a number": (
        scored,
        {"name": "text_regression", "pair": "second", "max_length": 8, "tokenizer": "spaces", "min_count": 2},
        {},
    ),
    "texts as codes": (texts, {"name": "text_autoencoding", "max_length": 8, "token_drop": 0.2}, {}),
    "one text": (lines_of_text, {"name": "language_model", **OF_WORDS}, LANGUAGE),
    "texts": (
        texts,
        {"name": "language_model", "document": "row", **OF_WORDS},
        LANGUAGE,
    ),
    "series": (series, {"name": "series_classification", "missing": "mask", "max_length": 7}, {}),
    "sounds": (
        sounds,
        {"name": "series_classification", "values": "sound", "sound": {"name": "kaldi", "rate": 8_000, "bands": 10}},
        {},
    ),
    "music": (chords, {"name": "music"}, {}),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _small_chunks(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "CHUNK", 3)
    monkeypatch.setattr(stored, "FAR", 12)
    monkeypatch.setattr(blocks, "TEXTS", 7)
    monkeypatch.setattr(recipe, "LOG_EVERY", 1)
    for module in (documents, order):
        monkeypatch.setattr(module, "PIECE", 8)
    monkeypatch.setattr(documents, "WARM_UP", 3)


class Stopper(Listening):
    """Sends a signal to this process right after a step."""

    def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
        super().step(progress, speed, seconds_left)
        if progress.step == 4:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("case", CASES)
def test_a_run_from_the_disk_that_is_resumed_has_the_bits_of_a_run_from_memory(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, task, model = CASES[case]
    path = make(Path("data"))
    whole = {
        "task": task,
        "model": {"encoder": {"hidden_size": 3, "num_layers": 2, "dropout": 0.2}, **model},
        "training": {"epochs": 2, "batch_rows": 4, "checkpoint_every": 100, "patience": None, "report": "scores"},
    }

    def config(name: str, **data: Any) -> Path:
        Path(name).write_text(yaml.safe_dump({**whole, "data": {"train": str(path), **data}}), "utf-8")
        return Path(name)

    api.train(config("memory.yaml", store="memory"), out="memory")
    kinds: list[type] = []
    filtered = prepare.filter_examples
    monkeypatch.setattr(
        prepare, "filter_examples", lambda task, some, *rest: kinds.append(type(some)) or filtered(task, some, *rest)
    )
    disk = config("disk.yaml", store="disk", scratch=".")
    assert api.train(disk, out="disk", watch=Stopper()).stopped_by == signal.SIGTERM
    api.resume("disk")
    assert set(kinds) == {Stored}
    assert kept_of("disk") == kept_of("memory")
    assert Path("disk/task.json").read_bytes() == Path("memory/task.json").read_bytes()


def test_sounds_stay_in_their_files_however_large_these_are(monkeypatch: pytest.MonkeyPatch) -> None:
    path = sounds(Path("data"))
    monkeypatch.setattr(prepare, "ON_DISK", 1)
    monkeypatch.setattr("recurra.data.store.scratch.shutil.disk_usage", lambda folder: pytest.fail("asked"))
    tree = {"task": CASES["sounds"][1], "data": {"train": str(path)}}
    Path("c.yaml").write_text(yaml.safe_dump(tree), "utf-8")
    said = done("check", "c.yaml")
    assert "on the disk" not in said.err + said.out


def test_a_task_whose_data_has_to_be_in_memory_refuses_the_disk() -> None:
    Path("m.yaml").write_text("task: {name: forecasting, horizon: 2}\ndata: {train: m.csv, store: disk}\n")
    Path("m.csv").write_text("y\n" + "1\n" * 30)
    assert "data.store: forecasting keeps its data in memory; leave it out, or set it to memory." in refused(
        "check", "m.yaml"
    )
