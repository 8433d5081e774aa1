"""Training from Python: the run of `recurra init` and `recurra train`, from files and from rows in memory."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recurra
from api.api_room import done, kept_of, rows
from python.python_room import TINY, Listening
from recurra import ConfigError, DataError, RunError

DICTS = [{"text": text, "label": label} for text, label in rows()]
SETTINGS = [
    "training.epochs=2", "model.encoder.hidden_size=4", "model.inputs.embedding_size=3", "training.batch_rows=8",
    "training.optimizer.lr=0.03",
]  # fmt: skip


def quick(data: Any, **given: Any) -> recurra.Run:
    return recurra.train(data, **{"task": "classification", "out": "run", "progress": False, **TINY, **given})


class InterruptedAt(Listening):
    """Ctrl-C at the first step, or the first scores."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = at

    def step(self, *told: Any) -> None:
        if self.at == "step":
            signal.raise_signal(signal.SIGINT)

    def scores(self, *told: Any) -> None:
        if self.at == "scores":
            signal.raise_signal(signal.SIGINT)


def test_a_run_is_that_of_init_and_train(data: Path) -> None:
    quick("data.csv", out="python")
    done("init", "classification", "data.csv", "-o", "config.yaml")
    done("train", "config.yaml", "--out", "command", *(word for one in SETTINGS for word in ("--set", one)))
    assert kept_of("python") == kept_of("command")
    assert Path("python/config.yaml").read_text() == Path("command/config.yaml").read_text()


def test_choices_and_progress_are_told_and_what_was_given_is_said_as_given(data: Path) -> None:
    heard = Listening()
    quick(data, text="text", progress=heard)
    assert heard.notes[:3] == [
        "text: column 'text', as given.",
        "label: column 'label', by its name; 2 labels: bad (20), good (20).",
        "tokenizer: characters; 3.0 words a text on average.",
    ]
    assert not any(note.startswith("training: ") for note in heard.notes), "epochs were given"
    assert (heard.total, heard.epochs, len(heard.steps)) == (8, [1, 2], 8)
    section = {"training": {"batch_rows": 16, "epochs": 9}, "model.encoder": {"hidden_size": 4}}
    recurra.train(data, task="spam", out="other", epochs=1, config=section, progress=(other := Listening()))
    assert other.total == 2, "a section, and a keyword on top of it"


def test_the_size_of_the_data_is_told_where_it_decides(data: Path) -> None:
    heard = Listening()
    with pytest.raises(ConfigError, match=r"hiden"):
        recurra.train(data, task="lm", out="run", progress=heard, config={"model.encoder.hiden_size": 4})
    assert heard.notes[0] == "'lm' is an example of the task language_model."
    assert heard.notes[-1].startswith("training: 40 rows, so ")


def test_rows_in_memory_make_the_run_of_their_file_and_are_kept_with_it(here: Path) -> None:
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in DICTS))
    quick("rows.jsonl", out="file")
    columns = {name: [row[name] for row in DICTS] for name in ("text", "label")}
    for name, data in (("dicts", DICTS), ("columns", columns), ("iterator", iter(DICTS))):
        quick(data, out=name)
        assert kept_of(name) == kept_of("file")
        assert Path(name, "data/train.jsonl").read_text() == Path("rows.jsonl").read_text()
    assert (
        json.loads(Path("file/task.json").read_text())["data"]
        == json.loads(Path("dicts/task.json").read_text())["data"]
    )


def test_a_run_of_rows_is_resumed_and_scored_wherever_its_folder_is(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = quick(DICTS)
    whole = kept_of("run")
    with pytest.raises(KeyboardInterrupt):
        quick(DICTS, out="short", progress=InterruptedAt("scores"))
    Path("elsewhere").mkdir()
    shutil.move("short", "elsewhere/moved")
    monkeypatch.chdir("elsewhere")
    resumed = recurra.resume("moved", progress=False)
    assert kept_of("moved") == whole
    assert resumed.evaluate().scores == pytest.approx(first.scores)
    assert done("evaluate", "moved", "--json").json["scores"]


def test_rows_that_were_changed_are_another_data(here: Path) -> None:
    quick(DICTS)
    kept = Path("run/data/train.jsonl")
    kept.write_text(kept.read_text().replace("lovely", "lively"))
    with pytest.raises(RunError, match="the data is not what it was"):
        recurra.resume("run", epochs=3, progress=False)


def test_dev_and_test_may_be_rows_or_files(data: Path) -> None:
    run = quick(DICTS[:20], dev="data.csv", test=DICTS[30:])
    assert run.config["data"]["dev"] == "data.csv"
    assert len(Path("run/data/test.jsonl").read_text().splitlines()) == 10
    assert run.report.split == "test"


def test_values_are_kept_as_json_and_a_column_that_cannot_be_is_left_out(here: Path) -> None:
    more = {
        "n": np.int64(3), "x": np.float32(0.5), "nan": float("nan"), "day": date(2001, 3, 4), "price": Decimal("1.5"),
        "list": np.array([1, 2]), "bytes": b"a", "map": {"a": (1, None)}, "no map": {1: 2}, "yes": np.bool_(True),
    }  # fmt: skip
    heard = Listening()
    quick([{**row, **more} for row in DICTS], text="text", label="label", progress=heard)
    assert json.loads(Path("run/data/train.jsonl").read_text().splitlines()[0]) == {
        **DICTS[0], "n": 3, "x": 0.5, "nan": None, "day": "2001-03-04", "price": 1.5, "list": [1, 2],
        "map": {"a": [1, None]}, "yes": True,
    }  # fmt: skip
    assert heard.notes[:2] == [
        "data: column 'bytes' is left out: data[0] holds bytes there, expected text, numbers or lists.",
        "data: column 'no map' is left out: data[0] holds dict there, expected text, numbers or lists.",
    ]


def test_every_task_is_trained(here: Path) -> None:
    pairs = [{"source": text, "target": text.upper()} for text, _ in rows(30)]
    tags = [{"tokens": text.split(), "tags": ["A", "B", "C"]} for text, _ in rows(30)]
    texts = [text for text, _ in rows(30)]
    tiny = {"epochs": 1, "config": {"model.encoder.hidden_size": 4}}
    said = recurra.train(pairs, task="translation", out="pairs", progress=False, **tiny).predict("a b")  # type: ignore[arg-type]
    assert isinstance(said.output, str)  # type: ignore[attr-defined]
    tagger = recurra.train(tags, task="ner", out="tags", progress=False, **tiny)  # type: ignore[arg-type]
    assert [len(one.tags) for one in tagger.predict([["a", "b"], ["c"]])] == [2, 1]  # type: ignore[attr-defined]
    writer = recurra.train(texts, task="lm", out="lm", progress=False, **tiny)  # type: ignore[arg-type]
    said = writer.generate("a", length=3, num=2, seed=1)
    first, second = done("generate", "lm", "--prompt", "a", "--length", 3, "--num", 2, "--seed", 1, "--json").json
    assert said == ["a" + first["text"], "a" + second["text"]]
    assert writer.generate("a", length=3, seed=1) == said[0]
    assert 1 <= len(writer.suggest("lov", 3)) <= 3
    assert writer.predict("a").num_tokens == 2  # type: ignore[attr-defined]
    music = recurra.train(
        [{"chords": f"C4+E4 - {note}4"} for note in "CDEFGAB"] * 2, task="music", out="music", progress=False, epochs=1
    )
    assert music.predict("C4+E4 -").num_steps == 2  # type: ignore[attr-defined]


def test_an_interrupted_training_stops_the_caller_and_is_resumed(data: Path) -> None:
    with pytest.raises(KeyboardInterrupt) as stopped:
        quick(data, progress=InterruptedAt("scores"))
    assert str(stopped.value) == (
        "run: stopped, and everything is saved. Resume with recurra.resume('run'), or end it with its best weights so "
        "far: recurra.api.finish('run')"
    )
    recurra.resume("run", progress=False)
    quick(data, out="whole")
    assert kept_of("run")[0] == kept_of("whole")[0]


def test_a_folder_by_default_is_a_new_one_under_runs(here: Path, data: Path) -> None:
    assert quick(data, out=None, epochs=1).path == here / "runs/data"
    assert quick(DICTS, out=None, epochs=1).path == here / "runs/classification"
    assert quick(DICTS, out=None, epochs=1).path == here / "runs/classification-2"


def test_in_another_thread_training_is_the_same(data: Path) -> None:
    found: list[recurra.Run] = []
    thread = threading.Thread(target=lambda: found.append(quick(data, out="thread")))
    thread.start()
    thread.join()
    quick(data, out="main")
    assert kept_of("thread") == kept_of("main")


def test_columns_that_are_given_are_not_guessed(here: Path) -> None:
    # By their names, the text would be `text` and the label `label`.
    odd = [
        {"text": "no", "label": "x", "head": text, "body": f"{text} and more of it", "kind": label}
        for text, label in rows()
    ]
    run = quick(odd, text="body", label="kind", epochs=1)
    assert (run.config["task"]["text"], run.config["task"]["label"], run.labels) == ("body", "kind", ("bad", "good"))
    assert run.config["task"]["tokenizer"]["name"] == "words", "of the column that is read"
    heard = Listening()
    both = quick(odd, text=["head", "body"], label="kind", epochs=1, out="both", progress=heard)
    assert both.config["task"]["text"] == ["head", "body"] or both.config["task"]["text"] == ("head", "body")
    assert heard.notes[0] == "text: column 'head' and 'body', as given."


REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a keyword": (
        lambda: quick("data.csv", epoch=3), ConfigError,
        "epoch: no such option. Did you mean 'epochs'? docs/reference/config.md lists all of them.",
    ),
    "another library's word": (
        lambda: quick("data.csv", num_train_epochs=3), ConfigError,
        "num_train_epochs: no such option. Did you mean 'epochs'?",
    ),
    "two keywords": (
        lambda: quick("data.csv", batch_size=3, hiden_size=2), ConfigError,
        "batch_size: no such option. Did you mean 'batch_rows'? docs/reference/config.md lists all of them.\n"
        "hiden_size: no such option. Did you mean 'hidden_size'? docs/reference/config.md lists all of them.",
    ),
    "a keyword of two parts": (
        lambda: quick("data.csv", task="translation"), ConfigError,
        "hidden_size: several parts have an option of this name: model.encoder.hidden_size, model.decoder.hidden_size. "
        "Say which one: config={'model.encoder.hidden_size': ...}.",
    ),
    "a value": (lambda: quick("data.csv", epochs=0), ConfigError, "config: training.epochs: expected an integer >= 1"),
    "a config": (
        lambda: quick("data.csv", config="c.yaml"), ConfigError,
        "config: expected a dict of sections, or of dotted names of options, got str.",
    ),
    "a section": (lambda: quick("data.csv", config={"modell.x": 1}), ConfigError, "config: modell: unknown section."),
    "a key": (lambda: quick("data.csv", config={1: 1}), ConfigError, "config: expected keys that are text, got 1."),
    "a task": (lambda: quick("data.csv", task="classificatoin"), ConfigError, "unknown task 'classificatoin'."),
    "no task": (lambda: quick("data.csv", task=None), ConfigError, "task: expected a text (str), got None."),
    "a file": (lambda: quick("gone.csv"), DataError, "gone.csv: no such file."),
    "a column": (lambda: quick("data.csv", label="lable"), DataError, "data.csv:2: no column 'lable'. Did you mean"),
    "a column of rows": (lambda: quick(DICTS, label="lable"), DataError, "data[0]: no column 'lable'. Did you mean"),
    "a row without label": (
        lambda: quick([*DICTS, {"text": "a", "label": None}]), DataError,
        "data[40]: the label is empty; expected one label.",
    ),
    "a row that lacks a column": (
        lambda: quick([*DICTS, {"text": "a"}], text="text"), DataError, "data[40]: no column 'label'.",
    ),
    "one label": (
        lambda: quick([{"text": f"{n}", "label": "x"} for n in range(40)]), DataError,
        "data: expected at least 2 different labels, found 1",
    ),
    "no rows": (lambda: quick([]), DataError, "data: holds no rows."),
    "a number": (
        lambda: quick(5), ConfigError,
        "data: expected a path, a data frame, a list of dicts, or a dict of columns, got int.",
    ),
    "a number as a row": (
        lambda: quick([5]), ConfigError,
        "data[0]: expected a row as a dict, such as {'text': ..., 'label': ...}, got int.",
    ),
    "a row with keys of numbers": (
        lambda: quick([{0: "a"}]), ConfigError, "data[0]: a key: expected the name of a column (str), got int.",
    ),
    "dev": (lambda: quick(DICTS, dev=5), ConfigError, "dev: expected a path, a data frame, a list of dicts, or a dict"),
    "half a surrogate": (
        lambda: quick([{"text": "a\ud800", "label": "b"}]), DataError,
        "data[0]: holds half of a surrogate pair, which is no character.",
    ),
    "out": (lambda: quick("data.csv", out=5), ConfigError, "out: expected a path, as text or pathlib.Path, got int."),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_mistake_is_said_in_a_sentence_and_leaves_no_run(name: str, data: Path) -> None:
    call, kind, sentence = REFUSED[name]
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value)[: len(sentence)] == sentence
    assert [path.name for path in Path().iterdir()] == ["data.csv"]


def test_a_folder_that_holds_a_run_is_left_as_it_is(run: recurra.Run) -> None:
    before = kept_of("run")
    with pytest.raises(RunError) as caught:
        quick(DICTS)
    assert str(caught.value) == (
        "run: already holds a run. Open it with recurra.load('run'), resume it with recurra.resume('run'), or choose "
        "another folder."
    )
    assert kept_of("run") == before
    assert not Path("run/data").exists()


def test_what_a_run_keeps_is_refused_when_it_is_resumed(run: recurra.Run) -> None:
    with pytest.raises(
        RunError, match=r"^--set model\.encoder\.hidden_size: was 4, is 5 now; it cannot change in a run"
    ):
        recurra.resume(run, hidden_size=5, progress=False)
    with pytest.raises(RunError, match=r"^gone: no such folder"):
        recurra.resume("gone")
    assert recurra.resume(run, epochs=3, progress=False).config["training"]["epochs"] == 3


def test_a_stopped_run_cannot_be_asked(data: Path) -> None:
    with pytest.raises(KeyboardInterrupt, match=r"^run: .* Resume with recurra\.resume\('run'\)$"):
        quick(data, progress=InterruptedAt("step"))
    with pytest.raises(RunError, match=r"^run: has no model\.safetensors: its training has not ended\."):
        recurra.load("run")
