"""An api that remembers what it was asked and answers with small fixed values."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import recurra
from recurra.base.contracts import Origin, Record, Report, Score, Table
from recurra.data.fields import Field

REPORT = Report(
    title="reviews: good or bad?",
    scores=(
        Score("accuracy", 0.9312, "0..1", "higher", "test"),
        Score("log_loss", 0.21, "nats", "lower", "test"),
        Score("f1[bad]", 0.5, "0..1", "higher", "test"),
        Score("recall[bad]", 1.0, "0..1", "higher", "test"),
        Score("f1[gut]", 0.25, "0..1", "higher", "test"),
    ),
    baselines={
        "majority": (Score("accuracy", 0.5, "0..1", "higher", "test"), Score("log_loss", 0.69, "nats", "lower", "test"))
    },
    tables=(Table("confusion", ("true", "bad", "gut"), (("bad", 3, 1200), ("gut", 0, 7))),),
    facts={"parameters": 12345, "device": "cpu"},
)


@dataclass
class FakeApi:
    """Stands for `recurra.api`; `asked` holds every call, `fail` is raised by the next one."""

    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    fail: BaseException | None = None
    stopped_by: int | None = None
    opened_with: list[Path] = field(default_factory=list)
    weights: str = ""
    can_finish: bool = False
    rows: tuple[dict[str, object], ...] = ()
    texts: list[str] = field(default_factory=list)
    while_training: Callable[[Any], None] = lambda watch: None

    def _note(self, call: str, /, **given: Any) -> None:
        self.asked.append((call, given))
        if self.fail is not None:
            raise self.fail

    def look_at_run(self, run: Path, *, trained: bool = True) -> None:
        """Not asked: every path is as it should be."""

    def look_at_config(self, config: Path, overrides: Any = ()) -> None:
        """The same."""

    def is_group(self, run: Path) -> bool:
        return False

    def asks_for_runs(self, config: Path, overrides: Any = ()) -> bool:
        return False

    def look_at_file(self, file: Path) -> None:
        """The same."""

    def init(self, task: str, file: Path, *, head: str | None, lexicon: Path | None, watch: Any) -> str:
        given = {name: one for name, one in (("head", head), ("lexicon", lexicon)) if one is not None}
        self._note("init", task=task, file=file, **given)
        return "task: classification\n"

    def check(self, config: Path, *, overrides: Any = (), cells: Any = ()) -> Any:
        self._note("check", config=config, overrides=list(overrides), cells=list(cells))
        return SimpleNamespace(
            config={"task": {"labels": ("a",)}}, notes=("2 texts overlap",), facts={"parameters": 12345}
        )

    def train(self, config: Path, *, watch: Any, **given: Any) -> Any:
        self._note("train", config=config, **given)
        self.while_training(watch)
        return self._trained(Path("runs/my run"))

    def resume(self, run: Path, *, watch: Any, **given: Any) -> Any:
        self._note("resume", run=run, **given)
        return self._trained(run)

    def finish(self, run: Path, *, watch: Any, **given: Any) -> Any:
        self._note("finish", run=run, **given)
        return self._trained(run)

    def _trained(self, run: Path) -> Any:
        return SimpleNamespace(
            run=run, report=None if self.stopped_by else REPORT, stopped_by=self.stopped_by, use="predict",
            can_finish=self.can_finish,
        )  # fmt: skip

    def demo(self, name: str, *, out: Path, watch: Any) -> Any:
        self._note("demo", name=name, out=out)
        return SimpleNamespace(run=out, report=REPORT, stopped_by=None, use="predict")

    def evaluate(self, run: Path, file: Path | None, *, watch: Any, **given: Any) -> Report:
        self._note("evaluate", run=run, file=file, **given)
        watch.note("no baselines")
        return REPORT

    def open_run(self, run: Path, cells: Any, weights: str) -> Any:
        self.opened_with, self.weights = list(cells), weights
        return SimpleNamespace(path=run, settings=SimpleNamespace(plan=SimpleNamespace(inputs=(Field("review"),))))

    def predict(self, run: Any, records: Iterable[Record], **given: Any) -> Iterator[dict[str, object]]:
        self._note("predict", run=run.path, cells=self.opened_with, **given)
        for number, record in enumerate(records):
            self.texts.append(record.fields["review"])
            yield self.rows[number % len(self.rows)] if self.rows else {
                "label": "good", "score": 0.875, "probabilities": {"good": 0.875, "bad": 0.125},
                "text": record.fields["review"],
            }  # fmt: skip

    class Joined:
        """No launcher has started these tests."""

    class Source:
        """The api's own class, which no fake row is."""

    def answered(self, run: Any, records: Iterable[Record], **given: Any) -> Iterator[Any]:
        kept = list(records)
        for number, answer in enumerate(self.predict(run, kept, **given)):
            yield SimpleNamespace(record=kept[number], answer=SimpleNamespace(to_dict=lambda it=answer: it), tags=None)

    def columns_of(self, run: Any, **given: Any) -> Any:
        self._note("columns_of", **given)
        return SimpleNamespace(separator=None, of=lambda one: {"predicted": one.answer.to_dict()["label"]})

    def source_for(self, run: Path, file: Path, *, overrides: Any, cells: Any, watch: Any) -> Iterator[Record]:
        self._note("source_for", run=run, file=file, overrides=overrides, cells=cells)
        return (Record({"review": text}, Origin(str(file), line)) for line, text in enumerate(("x", "y"), start=2))

    def explain(self, topic: str | None, name: str | None, *, cells: Any) -> Any:
        self._note("explain", topic=topic, name=name, cells=list(cells))
        return SimpleNamespace(text="# lstm\nx\x1b[31m\n", data={"name": "lstm", "states": ("h", "c")})

    def data_list(self) -> tuple[Any, ...]:
        @dataclass(frozen=True)
        class Embedded:
            name: str
            description: str
            columns: tuple[str, ...]
            licence: str
            rows: int

        return (Embedded("names", "which language?", ("name", "language"), "Unicode", 4321),)

    def data_export(self, name: str, folder: Path) -> tuple[Path, ...]:
        self._note("data_export", name=name, folder=folder)
        return folder / "train.csv", folder / "test.csv"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    fake = FakeApi()
    monkeypatch.setitem(sys.modules, "recurra.api", fake)  # type: ignore[arg-type]
    monkeypatch.setattr(recurra, "api", fake, raising=False)
    return fake
