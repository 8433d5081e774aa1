"""Small data, small configs, and the command line in-process: what every test of the whole needs."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from recurra.base.contracts import Progress, Score
from recurra.cli import main

GOOD, BAD = ("fine", "lovely", "warm", "bright"), ("awful", "cold", "dull", "grim")


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def recurra(*words: object) -> Said:
    """Run one command in this process. A traceback anywhere fails the test."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
        out.flush()
    said = Said(code, out.buffer.getvalue().decode(), err.getvalue())  # type: ignore[attr-defined]
    assert "Traceback" not in said.err + said.out
    assert "recurra failed:" not in said.err, said.err
    return said


def done(*words: object) -> Said:
    """A command that must succeed."""
    said = recurra(*words)
    assert said.code == 0, said.err
    return said


def refused(*words: object) -> str:
    """The sentences of a command that must end with exit code 2, say nothing on standard output, and keep no run."""
    said = recurra(*words)
    assert said.code == 2, (said.code, said.err)
    assert said.out == ""
    assert said.err.endswith(("\n", "\r"))
    return said.err


def rows(number: int = 40) -> list[tuple[str, str]]:
    """(text, label): a few words that tell the label, and some that do not; no text twice."""
    return [
        (f"{(GOOD if n % 2 else BAD)[n % 4]} item {'abcdefg'[n % 7]}{n}", "good" if n % 2 else "bad")
        for n in range(number)
    ]


def write_csv(path: Path, lines: list[tuple[str, str]], header: str = "text,label") -> Path:
    path.write_text("\n".join([header, *(f"{text},{label}" for text, label in lines)]) + "\n", "utf-8")
    return path


TINY: Mapping[str, Mapping[str, Any]] = {
    "task": {"name": "classification"},
    "data": {"train": "data.csv"},
    "model": {"inputs": {"embedding_size": 3}, "encoder": {"hidden_size": 4}},
    "training": {"epochs": 1, "batch_rows": 8, "patience": None, "optimizer": {"name": "adam", "lr": 0.03}},
}


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `above` on top of those of `below`, section by section; a named component is replaced."""
    found = {**below, **above}
    for key in below.keys() & above.keys():
        if isinstance(below[key], Mapping) and isinstance(above[key], Mapping):
            same = key in ("task", "data", "model", "training") or "name" not in above[key]
            found[key] = merged(below[key], above[key]) if same else dict(above[key])
    return found


def write_config(path: Path = Path("c.yaml"), **sections: Mapping[str, Any]) -> Path:
    """TINY with the options of `sections` on top."""
    tree = merged(TINY, sections)
    path.write_text(yaml.safe_dump(tree, sort_keys=True, allow_unicode=True), "utf-8")
    return path


def log_of(run: Path | str) -> list[dict[str, Any]]:
    """log.jsonl without what depends on the clock."""
    lines = [json.loads(line) for line in Path(run, "log.jsonl").read_text("utf-8").splitlines()]
    return [{key: value for key, value in line.items() if key != "tokens_per_second"} for line in lines]


def kept_of(run: Path | str) -> tuple[bytes, bytes, list[dict[str, Any]]]:
    """What a stopped and resumed run must have in common with an undisturbed one."""
    return Path(run, "model.safetensors").read_bytes(), Path(run, "scores.json").read_bytes(), log_of(run)


class Listening:
    """A watcher that writes everything down."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[int] = []
        self.epochs: list[int] = []
        self.total = 0

    def note(self, message: str) -> None:
        self.notes.append(message)

    def start(self, total_steps: int, epochs: int) -> None:
        self.total = total_steps

    def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
        self.steps.append(progress.step)

    def scores(self, epoch: int, scores: tuple[Score, ...], is_best: bool) -> None:
        self.epochs.append(epoch)

    def done(self) -> None: ...


def cut(path: Path) -> Iterator[int]:
    """Lengths at which to cut a file: nothing left, one byte, a third, a half, all but one byte, all but two lines."""
    size = path.stat().st_size
    lines = path.read_bytes().splitlines(keepends=True)
    yield from sorted({0, 1, size // 3, size // 2, size - 2, sum(map(len, lines[:-1])), sum(map(len, lines[:-2]))})
