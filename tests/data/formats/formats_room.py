"""Small files made in the test, and the ways from a file to examples that every format has to go."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recurra import api
from recurra.api.prepare import Prepared, prepare
from recurra.api.schema import read_settings
from recurra.data.formats import read

# Texts with what formats differ in: letters beyond ASCII, quotes, separators.
ROWS = [
    {"text": f"{word} {number} über café, so; \"good\" | 'fine'", "label": ("pos", "neg")[number % 2]}
    for number, word in enumerate(["lovely", "awful", "warm", "cold", "bright", "grim", "fine", "dull"] * 3)
]
TEXTS = [
    f"{text} {number}"
    for number in range(6)
    for text in ("Ann of Rome went home", "In Oslo Bob sat down", "Ann saw Bob in Rome", "It rained in Oslo")
]
NAMES = {"Ann": "PER", "Bob": "PER", "Rome": "LOC", "Oslo": "LOC"}
SPANS = [
    [
        {"start": text.index(name), "end": text.index(name) + len(name), "label": label}
        for name, label in NAMES.items()
        if name in text
    ]
    for text in TEXTS
]


class Notes:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def note(self, message: str) -> None:
        self.messages.append(message)

    @property
    def text(self) -> str:
        return "\n".join(self.messages)


def fields(path: Path, **options: Any) -> list[dict[str, Any]]:
    return [dict(record.fields) for record in read(path, **options)]


def as_jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def from_init(task: str, file: Path, config: Path) -> tuple[Prepared, Notes]:
    """What training would learn from: of the config that init writes, without an edit. The notes are those of both."""
    notes = Notes()
    config.write_text(api.init(task, file, watch=notes), encoding="utf-8")
    return prepare(read_settings(config), notes), notes


def learned_from(found: Prepared) -> dict[str, list[bytes]]:
    """The examples of each split, as the bytes that stand for all that is learned from."""
    return {name: [example.digest() for example in examples] for name, examples in found.splits.items()}


def same_as_jsonl(task: str, file: Path, rows: Sequence[Mapping[str, Any]], folder: Path) -> Notes:
    """Init, check and training read a file as they read its rows in JSON Lines."""
    found, notes = from_init(task, file, folder / "c.yaml")
    expected, _ = from_init(task, as_jsonl(folder / "expected.jsonl", rows), folder / "expected.yaml")
    assert learned_from(found) == learned_from(expected)
    assert sum(map(len, learned_from(found).values())) == len(rows)
    assert api.check(folder / "c.yaml").facts["train rows"] == len(found.splits["train"])
    return notes
