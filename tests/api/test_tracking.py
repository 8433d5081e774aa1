"""Numbers of a training where people keep them: TensorBoard as it is, MLflow and Weights & Biases by stand-ins."""

from __future__ import annotations

import sys
import threading
import types
from pathlib import Path
from typing import Any

import pytest

from api.api_room import Listening, done, log_of, refused, write_config
from api.test_resume import Stopper
from recurra import api
from recurra.api import tracking
from recurra.base.contracts import Score
from recurra.training.trackers import TRACKERS
from recurra.training.trackers.contract import plain


def scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
    """The numbers in the event files of a run, by their names."""
    loading = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed"
    )
    events = loading.EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return {name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_tensorboard_has_the_numbers_of_the_log(data: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    write_config(training={"epochs": 3, "trackers": ["tensorboard"]})
    done("train", "c.yaml", "--out", "r")
    found = scalars(Path("r"))
    dev = [line for line in log_of("r") if line["event"] == "dev"]
    assert found["dev/accuracy"] == [(line["step"], pytest.approx(line["accuracy"])) for line in dev]
    steps = [line for line in log_of("r") if line["event"] == "step"]
    assert found["train/loss"] == [(line["step"], pytest.approx(line["loss"])) for line in steps]
    assert {"train/lr", "train/grad_norm", "train/tokens_per_second", "dev/epoch", "dev/f1/good"} <= set(found)


def test_a_resumed_run_goes_on_in_tensorboard(data: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    write_config(training={"epochs": 3, "trackers": ["tensorboard"]})
    api.train("c.yaml", out="r", watch=Stopper(6))
    done("train", "--resume", "r")
    dev = [line for line in log_of("r") if line["event"] == "dev"]
    assert [step for step, _ in scalars(Path("r"))["dev/accuracy"]] == [line["step"] for line in dev]


def test_what_a_resumed_run_does_again_stands_once_in_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    for begun, end, value in ((0, 30, 1.0), (10, 20, 2.0)):  # killed after 30 steps, with a checkpoint of step 10
        tracker = TRACKERS["tensorboard"](tmp_path, {}, begun)
        for step in range(begun + 10, end + 1, 10):
            tracker.numbers(step, {"train/loss": value})
        tracker.end()
    assert scalars(tmp_path)["train/loss"] == [(10, 1.0), (20, 2.0)]


def test_what_is_no_number_is_not_told(tmp_path: Path) -> None:
    told: list[tuple[int, Any]] = []
    tracker = types.SimpleNamespace(numbers=lambda *given: told.append(given), end=lambda: None)
    TRACKERS.add("kept", lambda run, config, step: tracker)
    try:
        settings = types.SimpleNamespace(training=types.SimpleNamespace(trackers=["kept"]), tree={})
        trainer: Any = types.SimpleNamespace(settings=settings, step=5)
        one = tracking.Tracking(trainer, tmp_path, Listening())
        values = {"loss": float("nan"), "bleu": float("inf"), "accuracy": 0.5}
        one.scores(2, tuple(Score(name, value, "", "higher", "dev") for name, value in values.items()), True)
        one.end()
    finally:
        TRACKERS.remove("kept")
    assert told == [(5, {"dev/accuracy": 0.5, "dev/epoch": 2.0})]


class Away:
    """A tracker whose server is away after some numbers."""

    told: list[str] = []  # noqa: RUF012  of the test

    def __init__(self, run: Path, config: Any, step: int) -> None:
        self.left = 1

    def numbers(self, step: int, values: Any) -> None:
        self.told.append("numbers")
        if not self.left:
            raise ConnectionError("the server is away")
        self.left -= 1

    def end(self) -> None:
        self.told.append("end")


def test_a_tracker_that_fails_is_said_once_and_ends_no_training(data: Path) -> None:
    TRACKERS.add("away", Away)
    try:
        Away.told = []
        write_config(training={"epochs": 3, "trackers": ["away"]})
        trained = api.train("c.yaml", out="r", watch=(heard := Listening()))
        assert trained.report is not None
        said = [note for note in heard.notes if "away" in note and "failed" in note]
        assert said == [
            "training.trackers: away failed, and is told no more: ConnectionError: the server is away. The training "
            "goes on; all numbers are in log.jsonl."
        ]
        assert Away.told == ["numbers", "numbers"]
    finally:
        TRACKERS.remove("away")


class Stuck:
    """A tracker that hears of nothing: its server takes calls and never answers."""

    hangs = threading.Event()

    def __init__(self, run: Path, config: Any, step: int) -> None: ...

    def numbers(self, step: int, values: Any) -> None:
        self.hangs.wait(60)

    def end(self) -> None: ...


def test_trackers_that_hang_hold_no_training_up(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "PATIENCE", 0.3)
    TRACKERS.add("stuck", Stuck)
    TRACKERS.add("never", lambda run, config, step: Stuck.hangs.wait(60))
    try:
        write_config(training={"epochs": 3, "trackers": ["stuck", "never"]})
        trained = api.train("c.yaml", out="r", watch=(heard := Listening()))
        assert trained.report is not None
        said = [note.split(", and is told no more: ") for note in heard.notes if "training.trackers" in note]
        assert [(word, why.partition(". The training")[0]) for word, why in said] == [
            ("training.trackers: never failed", "TimeoutError: has not begun within 0.3 s"),
            ("training.trackers: stuck failed", "TimeoutError: has not taken all numbers within 0.3 s"),
        ]
        monkeypatch.setattr(tracking, "MOST_WAITING", 1)
        api.train("c.yaml", out="s", overrides=["training.trackers=[stuck]"], watch=(heard := Listening()))
        assert sum("TimeoutError: 1 sets of numbers wait for it" in note for note in heard.notes) == 1
    finally:
        Stuck.hangs.set()
        TRACKERS.remove("stuck")
        TRACKERS.remove("never")


@pytest.mark.parametrize("word", ["tensorboard", "mlflow", "wandb"])
def test_a_package_that_is_missing_is_named_before_anything_is_made(
    data: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setitem(sys.modules, word, None)
    write_config(training={"trackers": [word]})
    said = refused("train", "c.yaml", "--out", "r")
    assert f"training.trackers: {word} needs {word}, which is not installed; " in said
    assert f'pip install "recurra[{word}]"' in said
    assert not Path("r").exists()


def test_a_word_that_is_no_tracker_is_refused_at_its_line(data: Path) -> None:
    write_config(training={"trackers": ["tensorbord"]})
    said = refused("check", "c.yaml")
    assert "training.trackers: unknown tracker 'tensorbord'. Did you mean 'tensorboard'?" in said


class FakeMLflow(types.ModuleType):
    """What `recurra` asks of mlflow 3: MlflowClient with its keywords, Metric and Param."""

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.calls: list[tuple[Any, ...]] = []
        self.experiment = ""
        outer = self

        class MlflowClient:
            def __init__(self, tracking_uri: str | None = None) -> None:
                outer.calls.append(("uri", tracking_uri))
                self._known: dict[str, str] = {}

            def get_experiment_by_name(self, name: str) -> Any:
                return types.SimpleNamespace(experiment_id=self._known[name]) if name in self._known else None

            def create_experiment(self, name: str) -> str:
                assert name not in self._known, "MLflow refuses a name that is there"
                self._known[name] = outer.experiment = name
                return "7"

            def create_run(self, experiment_id: str, *, run_name: str | None = None) -> Any:
                outer.calls.append(("run", experiment_id, run_name))
                return types.SimpleNamespace(info=types.SimpleNamespace(run_id="abc"))

            def update_run(self, run_id: str, status: str | None = None) -> None:
                outer.calls.append(("update", run_id, status))

            def log_batch(self, run_id: str, metrics: Any = (), params: Any = ()) -> None:
                assert len(params) <= 100
                outer.calls.append(("batch", run_id, tuple(metrics), tuple(params)))

            def set_terminated(self, run_id: str) -> None:
                outer.calls.append(("end", run_id))

        self.MlflowClient = MlflowClient
        self.entities = types.SimpleNamespace(
            Metric=lambda key, value, timestamp, step: (key, value, step), Param=lambda key, value: (key, value)
        )


def test_mlflow_is_told_in_its_own_words(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeMLflow()
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    write_config(training={"epochs": 3, "trackers": ["mlflow"]})
    api.train("c.yaml", out="runs/r", watch=Stopper(6))
    done("train", "--resume", "runs/r")
    assert fake.calls[0] == ("uri", f"sqlite:///{Path('runs/mlflow.db').absolute()}")
    assert fake.experiment == "mine"
    assert fake.calls[1] == ("run", "7", "r")
    params = [param for call in fake.calls if call[0] == "batch" for param in call[3]]
    assert ("training.epochs", "3") in params
    dev = [line for line in log_of("runs/r") if line["event"] == "dev"]
    metrics = [metric for call in fake.calls if call[0] == "batch" for metric in call[2]]
    assert [m for m in metrics if m[0] == "dev/accuracy"] == [("dev/accuracy", d["accuracy"], d["step"]) for d in dev]
    assert [call for call in fake.calls if call[0] in ("update", "end")] == [
        ("end", "abc"), ("update", "abc", "RUNNING"), ("end", "abc"),
    ]  # fmt: skip


def test_weights_and_biases_is_told_in_its_own_words(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[dict[str, Any]] = []
    logged: list[tuple[int, dict[str, float]]] = []
    run = types.SimpleNamespace(log=lambda values, step: logged.append((step, values)), finish=lambda: begun.append({}))
    wandb = types.ModuleType("wandb")
    monkeypatch.setattr(wandb, "init", lambda **given: begun.append(given) or run, raising=False)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    write_config(training={"epochs": 3, "trackers": ["wandb"]})
    api.train("c.yaml", out="r", watch=Stopper(6))
    done("train", "--resume", "r")
    first, end, second, _ = begun
    assert (first["mode"], first["name"], first["dir"], first["resume"]) == ("offline", "r", "r", None)
    assert first["config"]["training.epochs"] == 3
    assert end == {}
    assert (second["id"], second["resume"]) == (first["id"], "allow")
    dev = [line for line in log_of("r") if line["event"] == "dev"]
    assert [(step, v["dev/accuracy"]) for step, v in logged if "dev/accuracy" in v] == [
        (line["step"], line["accuracy"]) for line in dev
    ]


def test_names_of_scores_are_ones_that_every_tracker_takes() -> None:
    names = {"f1[spam mail]": "f1/spam mail", "log_loss": "log_loss", "f1[a:b%]": "f1/a_b_"}
    assert {name: plain(name) for name in names} == names
