"""A run that is stopped or killed anywhere, and resumed, ends with the bits of an undisturbed one."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from api.api_room import Listening, done, kept_of, log_of, recurra, refused, rows, write_config, write_csv
from recurra import api
from recurra.api import training
from recurra.api import training_run as recipe
from recurra.api.trainer import Trainer
from recurra.base.contracts import Progress
from recurra.base.errors import TrainingError
from recurra.tasks import Classification
from recurra.training import FolderLock
from recurra.training.checkpoint import load
from training.toys import exit_of, fork_child

STEPS = 12  # 32 rows to train on, 8 in a batch, 3 epochs

EVERY_DROPOUT = {
    "task": {"class_weights": "balanced", "label_smoothing": 0.1},
    "model": {
        "inputs": {"embedding_dropout": 0.2},
        "encoder": {"num_layers": 2, "dropout": 0.2, "variational_dropout": 0.2, "zoneout": 0.1},
        "head": {"output_dropout": 0.2},
    },
    "training": {
        "epochs": 3, "checkpoint_every": 5, "schedule": {"name": "plateau", "patience": 1}, "select": "log_loss",
    },
}  # fmt: skip
MANY_LABELS = {
    "task": {"labels": "many", "separator": "|", "class_weights": {"good": 2.0}},
    "data": {"train": "many.csv"},
    "model": {
        "inputs": {"embedding_size": "one_hot"},
        "encoder": {"cell": "gru_reset_before", "bidirectional": False},
        "head": {"pooling": "attention"},
    },
    "training": {
        "epochs": 3, "checkpoint_every": 100, "optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True},
        "schedule": {"name": "cosine", "warmup": 0.2}, "clipping": {"name": "value", "max_value": 0.1}, "l1": 1e-4,
        "l2": 1e-3, "on_nonfinite": "skip",
    },
}  # fmt: skip
PLAIN = {
    "model": {"encoder": {"cell": "lstm_layernorm"}, "head": {"pooling": "mean"}},
    "training": {
        "epochs": 3, "checkpoint_every": 1, "optimizer": {"name": "rmsprop", "momentum": 0.5, "centered": True},
        "schedule": "inverse_sqrt",
    },
}  # fmt: skip
RUNS = {"every dropout": EVERY_DROPOUT, "many labels": MANY_LABELS, "plain": PLAIN}


@pytest.fixture(params=RUNS.values(), ids=RUNS)
def config(request: pytest.FixtureRequest, data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_csv(
        Path("many.csv"), [(text, f"{label}|short" if n % 3 else label) for n, (text, label) in enumerate(rows())]
    )
    monkeypatch.setattr(recipe, "LOG_EVERY", 1)
    return write_config(**request.param)


class Stopper(Listening):
    """Sends a signal to this process right after a step, or before an epoch's scores are made."""

    def __init__(self, step: int, number: int = signal.SIGTERM) -> None:
        super().__init__()
        self.at, self.number = step, number

    def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
        super().step(progress, speed, seconds_left)
        if progress.step == self.at:
            os.kill(os.getpid(), self.number)


def resume_from(run: Path, config: Path, watch: Listening) -> api.Trained:
    return api.resume(run, watch=watch) if run.exists() else api.train(config, out=run, watch=watch)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The examples of each batch that was made, in order."""
    batches: list[tuple[int, ...]] = []
    collate = Trainer._collate

    def noted(self: Trainer, indices: Sequence[int]) -> Any:
        batches.append(tuple(indices))
        return collate(self, indices)

    monkeypatch.setattr(Trainer, "_collate", noted)
    return batches


@pytest.fixture(scope="session")
def known() -> dict[str, tuple[Any, list[tuple[int, ...]]]]:
    """Undisturbed runs by their config, so that each is made once."""
    return {}


@pytest.fixture
def undisturbed(config: Path, seen: list[tuple[int, ...]], known: dict[str, Any]) -> tuple[Any, list[tuple[int, ...]]]:
    """What must come out, and the batches in their order."""
    if (text := config.read_text()) not in known:
        api.train(config, out=Path("whole"))
        known[text] = kept_of("whole"), list(seen)
    return known[text]


# First, middle and last batch of an epoch; twice in one epoch; the last step of all.
STOPS = [[1, 2], [4], [5, 7], [6, 8, 12]]


@pytest.mark.parametrize("stops", STOPS, ids=str)
def test_a_run_that_is_stopped_by_a_signal_and_resumed_ends_with_the_same_bits(
    stops: list[int], config: Path, seen: list[tuple[int, ...]], undisturbed: tuple[Any, list[tuple[int, ...]]]
) -> None:
    whole, order = undisturbed
    assert len(order) == STEPS
    assert sorted(order[0] + order[1] + order[2] + order[3]) == list(range(32))
    seen.clear()
    for step in stops:
        watch = Stopper(step)
        trained = resume_from(Path("cut"), config, watch)
        assert (trained.report, trained.stopped_by, watch.steps[-1]) == (None, signal.SIGTERM, step)
        assert not Path("cut/model.safetensors").exists()
    trained = resume_from(Path("cut"), config, Listening())
    assert trained.report is not None
    assert seen == order, "each batch once, in the same order"
    assert kept_of("cut") == whole


def test_a_signal_while_an_epoch_is_scored_or_the_report_made_or_the_data_read_costs_nothing(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.train(config, out=Path("whole"))
    signals: list[int] = []
    for name in ("outputs", "final_report", "prepare"):
        room = training if name == "final_report" else recipe
        work = getattr(room, name)

        def signalled(*given: Any, work: Any = work, name: str = name, **options: Any) -> Any:
            if signals:
                os.kill(os.getpid(), signals.pop())
            result = work(*given, **options)
            assert name == "outputs", "the others end at once"
            return result

        signals.append(signal.SIGINT)
        with monkeypatch.context() as patch:
            patch.setattr(room, name, signalled)
            trained = resume_from(Path("cut"), config, Listening())
        assert (trained.report, trained.stopped_by) == (None, signal.SIGINT)
        assert not Path("cut/model.safetensors").exists()
        if name == "outputs":
            assert load(Path("cut/last.ckpt")).step == 4, "what was learned before the scores is saved"
    assert resume_from(Path("cut"), config, Listening()).report is not None
    assert kept_of("cut") == kept_of("whole")


def test_a_signal_that_comes_after_the_last_scores_ends_the_run_before_the_next_step_or_the_report(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config(training={"epochs": 2})
    scores = recipe._dev_scores

    def signalled(training_run: Any, stopping: Any) -> Any:
        found = scores(training_run, stopping)
        os.kill(os.getpid(), signal.SIGTERM)
        return found

    monkeypatch.setattr(recipe, "_dev_scores", signalled)
    for last_step in (4, 8):
        watch = Listening()
        trained = resume_from(Path("run"), Path("c.yaml"), watch)
        assert (trained.stopped_by, trained.report, watch.steps[-1]) == (signal.SIGTERM, None, last_step)
    assert resume_from(Path("run"), Path("c.yaml"), Listening()).report is not None


def test_a_second_signal_does_not_disturb_the_way_out(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def signalled(*given: Any, **options: Any) -> Any:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(recipe, "prepare", signalled)
    assert api.train(Path("c.yaml"), out=Path("run")).stopped_by == signal.SIGINT


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_command_line_says_how_to_go_on_after_a_signal(
    number: int, code: int, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Trainer.steps

    def signalled(self: Trainer) -> Iterator[Progress]:
        for progress in steps(self):
            if progress.step == 2:
                os.kill(os.getpid(), number)
                os.kill(os.getpid(), number)  # an impatient second one harms nothing
            yield progress

    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "steps", signalled)
        said = recurra("train", "c.yaml", "--out", "run")
    assert said.code == code
    name = signal.Signals(number).name
    assert said.err.endswith(
        f"Stopped by {name}; everything is saved. No epoch has been scored yet, so there are no best weights. "
        "Resume with: recurra train --resume run\n"
    )
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert "resumed at step 2, epoch 1." in done("train", "--resume", "run").err


def test_a_finished_run_that_is_resumed_stays_as_it_is(run: Path) -> None:
    before = kept_of(run)
    done("train", "--resume", run)
    assert kept_of(run) == before


def test_another_seed_is_another_run_and_the_same_seed_the_same(data: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        done("train", "c.yaml", "--out", name, "--seed", seed)
    assert kept_of("a") == kept_of("b")
    assert kept_of("a")[0] != kept_of("c")[0]


# -- kill -9 ---------------------------------------------------------------------------------------------------------


class Slow(Listening):
    """Gives the killer time: a step of a tiny model takes less than a millisecond."""

    def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
        time.sleep(0.004)


def in_child(run: Path) -> Callable[[], int]:
    """Begin a run, or go on with it, whatever is there of it: what a supervisor would do."""

    def work() -> int:
        begun = (run / "run.json").exists()
        trained = api.resume(run, watch=Slow()) if begun else api.train(Path("c.yaml"), out=run, watch=Slow())
        return 0 if trained.report else 3

    return work


@pytest.mark.slow
def test_kill_9_at_twenty_five_random_moments_then_resume_ends_with_the_same_bits(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "LOG_EVERY", 1)
    write_config(
        model={"inputs": {"embedding_dropout": 0.2}, "head": {"output_dropout": 0.2}},
        training={"epochs": 3, "checkpoint_every": 2, "schedule": "plateau"},
    )
    begin = time.monotonic()
    assert exit_of(fork_child(in_child(Path("whole")))) == 0
    length = time.monotonic() - begin
    rng, kills, number = random.Random(7), 0, 0
    while kills < 25:
        run, in_this_run = Path(f"run-{number}"), 0
        while (code := killed_after(rng.uniform(0, length) if in_this_run < 8 else None, in_child(run))) != 0:
            assert code == -signal.SIGKILL
            in_this_run += 1
        assert kept_of(run) == kept_of("whole"), f"after {in_this_run} kills"
        assert list(run.glob(".tmp-*")) == []
        kills, number = kills + in_this_run, number + 1
        assert number < 40


def killed_after(seconds: float | None, work: Callable[[], int]) -> int:
    pid = fork_child(work)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
    return exit_of(pid)


def test_a_kill_costs_at_most_the_steps_since_the_last_save(data: Path) -> None:
    write_config(training={"epochs": 3, "checkpoint_every": 3})

    class Killed(Listening):
        def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
            if progress.step == 11:
                os.kill(os.getpid(), signal.SIGKILL)

    def work() -> int:
        api.train(Path("c.yaml"), out=Path("run"), watch=Killed())
        return 0

    assert exit_of(fork_child(work)) == -signal.SIGKILL
    watch = Listening()
    api.resume(Path("run"), watch=watch)
    assert watch.steps == [10, 11, 12]
    assert "resumed at step 9, epoch 3." in watch.notes


# -- one writer --------------------------------------------------------------------------------------------------------


def test_a_second_training_in_the_same_folder_is_refused(run: Path, data: Path) -> None:
    Path("new").mkdir()
    for folder, words in ((run, ["--resume", run]), (Path("new"), ["c.yaml", "--out", "new"])):
        before = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}
        with FolderLock(folder):
            said = refused("train", *words)
            assert said.startswith(
                f"{folder}: expected a folder that no other process writes to, but process {os.getpid()} is"
            )
        after = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}
        assert after == before
    with FolderLock(run):
        done("predict", run, "lovely")  # readers need no lock
        done("evaluate", run)


def test_what_a_killed_process_left_goes_when_the_run_goes_on(run: Path) -> None:
    pid = fork_child(lambda: 0)
    assert exit_of(pid) == 0
    left = run / f".tmp-{pid}-01234567-last.ckpt"
    left.write_bytes(b"half")
    done("train", "--resume", run)
    assert not left.exists()


def test_predictions_appear_whole_or_not_at_all(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, calls = Classification.answer, []

    def signalled(self: Classification, example: Any, output: Any) -> Any:
        calls.append(1)
        if len(calls) % 3 == 0:
            os.kill(os.getpid(), number)
        return answer(self, example, output)

    monkeypatch.setattr(Classification, "answer", signalled)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets its background jobs ignore it
    for name in ("out.csv", "out.jsonl"):
        words = ["predict", run, "--input", "data.csv", "--output", name]
        for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):  # noqa: B007  signalled() reads it
            assert recurra(*words).code == code
            assert list(Path().glob(f"*{name}")) == []
        number = signal.SIGKILL
        assert exit_of(fork_child(lambda words=words: recurra(*words).code)) == -signal.SIGKILL
        assert not Path(name).exists()
    signal.signal(signal.SIGINT, before)


# -- what is not finite ------------------------------------------------------------------------------------------------


def test_a_model_that_overflows_stops_by_name_and_is_never_kept(data: Path) -> None:
    write_config(training={"optimizer": {"name": "sgd", "lr": 1e38}, "clipping": "none", "checkpoint_every": 1})
    said = recurra("train", "c.yaml", "--out", "run")
    assert said.code == 1
    assert "ower the learning rate" in said.err.splitlines()[-1]
    assert not Path("run/model.safetensors").exists()
    with pytest.raises(TrainingError):
        api.resume(Path("run"))


def test_a_row_that_breaks_the_loss_is_named_by_file_and_line(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = Classification.loss

    def broken(self: Classification, prediction: Any, batch: Any) -> Any:
        found = loss(self, prediction, batch)
        return type(found)(found.total * float("nan"), found.count) if 5 in batch.indices else found

    monkeypatch.setattr(Classification, "loss", broken)
    said = recurra("train", "c.yaml", "--out", "run")
    assert said.code == 1
    assert said.err.splitlines()[-1].startswith("data.csv:")
    assert "expected a finite loss, got nan. Look at the row" in said.err


def test_batches_that_are_skipped_are_counted_and_named_also_over_a_stop(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = Classification.loss

    def broken(self: Classification, prediction: Any, batch: Any) -> Any:
        found = loss(self, prediction, batch)
        return type(found)(found.total * float("nan"), found.count) if 5 in batch.indices else found

    monkeypatch.setattr(Classification, "loss", broken)
    write_config(training={"epochs": 3, "on_nonfinite": "skip"})
    said = done("train", "c.yaml", "--out", "whole", "--json")
    assert "1 batch was skipped, because the loss or gradient was not finite. The first: data.csv:" in said.err
    sentence = next(fact for fact in said.json["report"]["facts"].values() if "batches were skipped" in str(fact))
    assert sentence.startswith("3 batches were skipped")
    api.train(Path("c.yaml"), out=Path("cut"), watch=Stopper(6))
    again = done("train", "--resume", "cut", "--json").json
    assert sentence in again["report"]["facts"].values()
    assert kept_of("cut") == kept_of("whole")


def test_a_skipped_step_of_several_batches_is_said_to_be_one(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = Classification.loss

    def broken(self: Classification, prediction: Any, batch: Any) -> Any:
        found = loss(self, prediction, batch)
        return type(found)(found.total * float("nan"), found.count) if 5 in batch.indices else found

    monkeypatch.setattr(Classification, "loss", broken)
    config, watch = write_config(training={"epochs": 2, "on_nonfinite": "skip", "accumulate": 2}), Listening()
    api.train(config, out=Path("run"), watch=watch)
    said = [note.split(",")[0] for note in watch.notes if "skipped" in note]
    assert said == ["1 step of up to 2 batches was skipped", "2 steps of up to 2 batches were skipped"]


def test_patience_schedule_and_best_score_are_remembered_over_a_stop(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "LOG_EVERY", 1)
    schedule = {"name": "plateau", "patience": 1}
    still = {"optimizer": {"name": "sgd", "lr": 1e-9}, "select": "log_loss", "seed": 7}  # better than a coin
    write_config(training={"epochs": 50, "patience": 3, "schedule": schedule, **still})
    api.train(Path("c.yaml"), out=Path("whole"))
    for step in (6, 14):
        resume_from(Path("cut"), Path("c.yaml"), Stopper(step))
    api.resume(Path("cut"))
    assert kept_of("cut") == kept_of("whole")
    lines = log_of("cut")
    assert [line["best"] for line in lines if line["event"] == "dev"] == [True, False, False, False]
    assert lines[-3]["lr"] == 0.25e-9
