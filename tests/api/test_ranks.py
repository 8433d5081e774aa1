"""Training on two ranks: the run of one process, whatever happens to a rank.

A rank is a process that has to load torch, which takes longer than all that it does here. One test starts its first
rank so; all others are forked from this process (`forked`), and run the same program from its first line.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from api.api_room import Listening, log_of, recurra, write_config
from forked_room import Forked
from recurra import api
from recurra.api import distributed, training_run, worker
from recurra.api.callbacks import NoCallback
from recurra.api.distributed import Distributed
from recurra.api.interrupts import Stopped
from recurra.api.places import RunFolder
from recurra.api.prepare import prepare
from recurra.api.schema import read_settings
from recurra.base.contracts import Batch, Loss, Prediction, Progress
from recurra.base.errors import ConfigError, RunError, TrainingError
from recurra.data.formats import shards, signed, unsigned
from recurra.training import Group, LostError, Stopping
from recurra.training.checkpoint import load
from training.toys import on_ranks, same_bits

# Plain gradient descent: the rates of Adam magnify the rounding of small gradients.
PLAIN = {"optimizer": {"name": "sgd", "lr": 0.3}, "schedule": "constant", "select": "log_loss"}
SENTENCES = [f"the {a} cat sat on the {b} mat ." for a in ("red", "big", "old", "wet") for b in ("new", "dry", "thin")]
CELL = "from recurra.cells import cell\n@cell()\ndef mine(x, h, p):\n    return p.W('h', x) + p.R('h', h)\n"
TEXT: dict[str, dict[str, Any]] = {
    "task": {"name": "language_model", "document": "row", "tokenizer": "spaces", "bptt": 3},
    "data": {"train": "text.csv", "dev": "text.csv"},
    "model": {
        "inputs": {"embedding_size": 3},
        "encoder": {"hidden_size": 4, "last_layer": "hidden_size"},
        "head": {"tied": False},
    },
}


@pytest.fixture(autouse=True)
def text(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text beside the rows, and one thread a rank."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    Path("text.csv").write_text("\n".join(["text", *SENTENCES]) + "\n")


def forked_rank(command: list[str], **options: Any) -> Forked:
    """In the place of `subprocess.Popen`."""
    assert command == [sys.executable, "-m", "recurra.api.worker"]
    return Forked(worker.main, **options)


@pytest.fixture
def first_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first rank of the first try is started as users' ranks are; the others are forks of this process."""
    starts = iter([subprocess.Popen])

    def rank(command: list[str], **options: Any) -> subprocess.Popen[bytes] | Forked:
        return next(starts, forked_rank)(command, **options)

    monkeypatch.setattr("recurra.api.distributed.subprocess.Popen", rank)


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranks are forks of this process."""
    monkeypatch.setattr("recurra.api.distributed.subprocess.Popen", forked_rank)


class Troubling(Listening):
    """After some steps, sends a signal to a rank, or to this process, once each."""

    def __init__(self, signals: dict[int, tuple[int | None, signal.Signals]]) -> None:
        super().__init__()
        self.signals = signals

    def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
        super().step(progress, speed, seconds_left)
        if progress.step in self.signals:
            rank, number = self.signals.pop(progress.step)
            os.kill(os.getpid() if rank is None else children()[rank], number)


def children() -> list[int]:
    """Processes that this one has started, the first one first."""
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def near(one: Path | str, other: Path | str) -> bool:
    a, b = load_file(f"{one}/model.safetensors"), load_file(f"{other}/model.safetensors")
    return all((a[name] - b[name]).abs().max() < 1e-5 for name in a)


def losses(run: str) -> list[float]:
    return [line["loss"] for line in log_of(run) if line["event"] == "step"]


def test_ranks_read_their_own_of_several_files_and_have_the_data_of_one_process(tmp_path: Path) -> None:
    for number in range(3):
        part = [f"{sentence} {number}" for sentence in SENTENCES]
        Path(f"part-{number}.csv").write_text("\n".join(["text", *part]) + "\n")
    settings = read_settings(write_config(task=TEXT["task"], data={"train": "part-*.csv"}))
    alone = prepare(settings, NoCallback())

    def work(ranks: Group) -> None:
        heard = Listening()
        found = prepare(settings, heard, exchange=ranks)
        assert found.fingerprint == alone.fingerprint
        assert [example.origin for example in found.splits["train"]] == [e.origin for e in alone.splits["train"]]
        assert "part-*.csv: each of 2 ranks reads its own of the files, for all." in heard.notes

    assert on_ranks(2, tmp_path, work) == [0, 0]


class StopsAt(Listening):
    """Sends a signal to its own process after a step."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
        super().step(progress, speed, seconds_left)
        if progress.step == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


def test_ranks_of_several_files_that_stop_in_an_epoch_go_on_with_the_same_bits(tmp_path: Path) -> None:
    for number in range(3):
        Path(f"part-{number}.csv").write_text("\n".join(["text", *SENTENCES[number::3]]) + "\n")
    data = {"train": "part-*.csv", "dev": "text.csv"}
    config = write_config(**{**TEXT, "data": data}, training={**PLAIN, "epochs": 2, "batch_rows": 5})

    def go(run: str, meeting: str, stop_at: int = 0, *, resumed: bool = False) -> None:
        def work(ranks: Group) -> None:
            folder = RunFolder(Path(run))
            if ranks.number == 0:
                folder.path.mkdir(exist_ok=True)
            settings = read_settings(folder.config if resumed else config, [], None)
            make = training_run.resume_from if resumed else training_run.start
            made = make(folder, settings, torch.device("cpu"), NoCallback(), ranks)
            watch = StopsAt(stop_at if ranks.number == 0 else 0)
            with Stopping() as stopping, contextlib.suppress(Stopped):
                training_run.run_epochs(made, stopping, watch)

        (tmp_path / meeting).mkdir()
        assert on_ranks(2, tmp_path / meeting, work) == [0, 0]

    go("whole", "one")
    go("cut", "two", 11)
    assert load(Path("cut/last.ckpt")).step == 11
    assert load(Path("cut/last.ckpt")).position > 0
    go("cut", "three", resumed=True)
    whole, cut = load(Path("whole/last.ckpt")), load(Path("cut/last.ckpt"))
    assert (cut.step, cut.epoch, cut.position) == (whole.step, whole.epoch, whole.position)
    assert whole.step > 11
    assert all(torch.equal(cut.model[name], weight) for name, weight in whole.model.items())
    assert losses("cut") == losses("whole")


@pytest.mark.slow
def test_two_ranks_learn_as_one_does_and_one_goes_on_where_they_have_stopped(first_started: None) -> None:
    config = write_config(**TEXT, training={**PLAIN, "epochs": 6, "batch_rows": 5})
    alone = api.train(config, out=Path("alone"))
    watch = Troubling({17: (None, signal.SIGTERM)})
    stopped = api.train(config, out=Path("both"), distributed=Distributed(2), watch=watch)
    assert (stopped.stopped_by, stopped.report) == (signal.SIGTERM, None)
    halfway = load(Path("both/last.ckpt"))
    assert halfway.step == watch.steps[-1] >= 17
    assert {len(state) for state in halfway.carried.values()} == {5}
    api.resume(Path("both"))
    assert alone.report is not None
    assert near("alone", "both")
    assert losses("both") == pytest.approx(losses("alone"), rel=1e-6)
    assert not children()


@pytest.mark.slow
def test_a_rank_that_dies_or_stops_is_named_and_the_run_ends_as_if_it_had_not(forked: None) -> None:
    config = write_config(training={**PLAIN, "epochs": 40, "checkpoint_every": 3})
    watch = Troubling({7: (1, signal.SIGKILL), 25: (0, signal.SIGSTOP)})
    api.train(config, out=Path("troubled"), distributed=Distributed(2, timeout=2), watch=watch)
    first, second = [note for note in watch.notes if "restart" in note]
    assert "rank 1 of 2 was ended by SIGKILL after step " in first
    assert "restart 1 of 3" in first
    assert "rank 0 of 2 sent no heartbeat after step " in second
    assert "restart 2 of 3" in second
    assert sum(note.startswith("resumed at step ") for note in watch.notes) == 2
    assert not children()
    api.train(config, out=Path("whole"))
    assert near("troubled", "whole")
    assert [x["step"] for x in log_of("troubled")] == [x["step"] for x in log_of("whole")]


def test_a_rank_that_raises_is_named_and_what_the_user_must_mend_is_said_once(forked: None) -> None:
    # A user's file is run in every process.
    Path("cells.py").write_text(
        "from recurra.api.trainer import Trainer\n"
        "def broken(self, item):\n"
        "    raise RuntimeError('no more batches')\n"
        "if __import__('os').environ.get('GLOO_SOCKET_IFNAME'):\n"
        f"    Trainer._collate = broken\n{CELL}"
    )
    config = write_config(training=PLAIN)
    with pytest.raises(
        TrainingError, match=r"^rank [01] of 2 raised RuntimeError: no more batches after step 0, and 0 restarts"
    ):
        api.train(config, out=Path("run"), cells=[Path("cells.py")], distributed=Distributed(2, restarts=0))
    assert not children()
    rows = Path("data.csv").read_text().splitlines()
    Path("data.csv").write_text("\n".join([*rows[:3], '"unclosed', *rows[3:]]))
    said = recurra("train", config, "--out", "none", "--ranks", 2)
    assert said.code == 2
    assert said.err.count("a quote opens here and is never closed") == 1
    assert not Path("none").exists()


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--ranks", "1", "--restarts", "2"], "--restarts needs --ranks of at least 2"),
        (["--ranks", "0"], "expected 2 to 64, got 0"),
        (["--ranks", "2", "--rank-timeout", "0"], "expected 1 to 86,400 seconds, got 0"),
        (["--ranks", "2", "--rank-timeout", "nan"], "expected 1 to 86,400 seconds, got nan"),
        (["--ranks", "x"], "expected a whole number"),
    ],
)
def test_numbers_that_cannot_be_are_refused(words: list[str], what: str) -> None:
    said = recurra("train", write_config(), "--out", "none", *words)
    assert said.code == 2
    assert what in said.err
    assert not Path("none").exists()


def one_of_them(ranks: Group, config: Path) -> training_run.TrainingRun:
    """What a rank trains, without a process that watches."""
    if ranks.number == 0:
        Path("run").mkdir(exist_ok=True)
    return training_run.start(
        RunFolder(Path("run")), read_settings(config, [], None), torch.device("cpu"), NoCallback(), ranks
    )


def spoilt(ranks: Group, config: Path) -> training_run.TrainingRun:
    """A training in which the loss of one row is not finite."""
    made = one_of_them(ranks, config)
    loss = made.trainer.task.loss

    def planted(prediction: Prediction, batch: Batch) -> Loss:
        found = loss(prediction, batch)
        return Loss(found.total * float("nan"), found.count) if 7 in batch.indices else found

    made.trainer.task = Planted(made.trainer.task, planted)  # type: ignore[assignment]
    return made


class Planted:
    """A task with another loss."""

    def __init__(self, task: Any, loss: Any) -> None:
        self.task, self.loss = task, loss

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)


def test_a_loss_that_is_not_finite_on_one_rank_stops_all_with_the_name_of_the_row(tmp_path: Path) -> None:
    config = write_config(training={**PLAIN, "epochs": 2})

    def work(ranks: Group) -> None:
        made = spoilt(ranks, config)
        guilty = str(made.trainer.examples[7].origin)
        with pytest.raises(TrainingError) as caught, Stopping() as stopping:
            training_run.run_epochs(made, stopping, NoCallback())
        assert str(caught.value).startswith(f"{guilty}: step ")
        assert "expected a finite loss, got nan" in str(caught.value)

    assert on_ranks(2, tmp_path, work) == [0, 0]


def test_all_ranks_skip_the_same_batches(tmp_path: Path) -> None:
    config = write_config(training={**PLAIN, "epochs": 3, "on_nonfinite": "skip"})

    def work(ranks: Group) -> None:
        made = spoilt(ranks, config)
        with Stopping() as stopping:
            training_run.run_epochs(made, stopping, NoCallback())
        assert made.trainer.on_nonfinite.state()["skipped"] == 3

    assert on_ranks(2, tmp_path, work) == [0, 0]


@pytest.mark.parametrize("what", ["weights", "step"])
def test_ranks_that_do_not_begin_alike_do_not_begin(what: str, tmp_path: Path) -> None:
    config = write_config(training=PLAIN)

    def work(ranks: Group) -> None:
        made = one_of_them(ranks, config)
        if what == "step":
            made.trainer.step += ranks.number
        else:
            with torch.no_grad():
                next(made.trainer.model.parameters())[1, 0] += ranks.number
        with pytest.raises(TrainingError, match="differ in how far they are"), Stopping() as stopping:
            training_run.run_epochs(made, stopping, NoCallback())

    assert on_ranks(2, tmp_path, work) == [0, 0]


def test_ranks_whose_weights_drift_apart_stop_at_the_end_of_the_epoch(tmp_path: Path) -> None:
    config = write_config(training={**PLAIN, "epochs": 3})

    def work(ranks: Group) -> None:
        made = one_of_them(ranks, config)

        class Disturbing(NoCallback):
            def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
                with torch.no_grad():
                    next(made.trainer.model.parameters())[1, 0] += 1.0

        watch = Disturbing() if ranks.number else NoCallback()
        with pytest.raises(TrainingError, match="differ in their weights"), Stopping() as stopping:
            training_run.run_epochs(made, stopping, watch)
        assert made.trainer.epoch == 2
        assert made.trainer.position == 0

    assert on_ranks(2, tmp_path, work) == [0, 0]


def test_each_rank_draws_its_own_at_each_step(tmp_path: Path) -> None:
    config = write_config(training={**PLAIN, "epochs": 2})

    def work(ranks: Group) -> None:
        made = one_of_them(ranks, config)
        loss = made.trainer.task.loss
        seeds = []

        def drawn(prediction: Prediction, batch: Batch) -> Loss:
            seeds.append(torch.initial_seed())
            return loss(prediction, batch)

        made.trainer.task = Planted(made.trainer.task, drawn)  # type: ignore[assignment]
        with Stopping() as stopping:
            training_run.run_epochs(made, stopping, NoCallback())
        Path(f"seeds-{ranks.number}").write_text("\n".join(map(str, seeds)))

    assert on_ranks(2, tmp_path, work) == [0, 0]
    first, second = (Path(f"seeds-{number}").read_text().split() for number in range(2))
    assert len(first) > 2
    assert len({*first, *second}) == len(first) + len(second)


def test_a_folder_that_was_taken_since_is_refused_by_the_rank_that_holds_its_lock(
    forked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(training={**PLAIN, "epochs": 1})
    api.train(config, out=Path("taken"))
    before = Path("taken/log.jsonl").read_bytes()
    monkeypatch.setattr("recurra.api.training.refuse_taken", lambda folder, config: None)
    with pytest.raises(RunError, match="taken: already holds a run"):
        api.train(config, out=Path("taken"), distributed=Distributed(2))
    assert Path("taken/log.jsonl").read_bytes() == before


def test_ranks_that_go_on_carry_the_states_of_their_own_rows(tmp_path: Path) -> None:
    class Stopper(Listening):
        def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
            super().step(progress, speed, seconds_left)
            if progress.step == 5:
                os.kill(os.getpid(), signal.SIGTERM)

    config = write_config(**TEXT, training={**PLAIN, "batch_rows": 5})
    api.train(config, out=Path("cut"), watch=Stopper())
    saved = load(Path("cut/last.ckpt")).carried
    assert all(len(state) == 5 and state.any() for state in saved.values())

    def work(ranks: Group) -> None:
        settings = read_settings(Path("cut/config.yaml"), [], None)
        made = training_run.resume_from(RunFolder(Path("cut")), settings, torch.device("cpu"), NoCallback(), ranks)
        assert made.trainer.carry is not None
        for name, state in made.trainer.carry.state().items():
            assert torch.equal(state, saved[name][ranks.number :: 2])

    assert on_ranks(2, tmp_path, work) == [0, 0]


def test_ranks_go_on_from_the_checkpoint_before_a_damaged_one_with_the_states_of_all_rows(tmp_path: Path) -> None:
    config = write_config(**TEXT, training={**PLAIN, "batch_rows": 5, "checkpoint_every": 1})
    api.train(config, out=Path("cut"), watch=StopsAt(5))
    last = Path("cut/last.ckpt")
    last.write_bytes(last.read_bytes()[:-3])
    before = load(Path("cut/last.prev.ckpt"))
    assert before.carried

    def work(ranks: Group) -> None:
        signal.alarm(30)  # a rank that waits for what no other one says ends here
        settings = read_settings(Path("cut/config.yaml"), ["training.optimizer.lr=0.2"], None)
        folder = RunFolder(Path("cut"))
        made = training_run.resume_from(folder, settings, torch.device("cpu"), NoCallback(), ranks)
        made.trainer.ranks.check_alike("how far they are", lambda: [made.trainer.step])

    assert on_ranks(2, tmp_path, work) == [0, 0]
    after = load(last)
    assert after.step == before.step == 4
    assert same_bits(dict(after.carried), dict(before.carried))
    assert after.optimizer["param_groups"][0]["initial_lr"] == 0.2
    assert after.config["training"]["optimizer"]["lr"] == 0.2


def test_ranks_that_do_not_stop_when_they_are_asked_to_are_ended(forked: None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Asks(Listening):
        """Presses Ctrl-C as soon as the ranks hang."""

        def note(self, message: str) -> None:
            super().note(message)
            if message == "hangs":
                os.kill(os.getpid(), signal.SIGINT)

    def hangs(made: Any, stopping: Stopping, watch: Any) -> None:
        watch.note("hangs")
        time.sleep(30)

    monkeypatch.setattr(worker, "run_epochs", hangs)
    monkeypatch.setattr(distributed, "STOPPING", 1.0)
    watch = Asks()
    stopped = api.train(write_config(training=PLAIN), out=Path("run"), distributed=Distributed(2, 1), watch=watch)
    assert stopped.stopped_by is signal.SIGINT
    assert (
        "the ranks did not stop within 1 seconds of SIGINT; they were ended, and the run is as its last checkpoint "
        "has it." in watch.notes
    )
    assert not children()


def test_files_of_cells_are_read_once_and_handed_on_where_they_come_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("mine.py").write_text(CELL)
    asked: list[Any] = []
    monkeypatch.setattr(
        "recurra.api.training.launch", lambda distributed, orders, *rest: asked.append(orders) or signal.SIGTERM
    )
    monkeypatch.setattr("recurra.api.training.signal.raise_signal", asked.append)
    api.train(write_config(), out=Path("none"), cells=iter([Path("mine.py")]), distributed=Distributed(2))
    assert asked[0]["cells"] == ["mine.py"]
    assert asked[1] is signal.SIGTERM


def test_ranks_that_begin_again_from_the_run_folder_know_signatures_of_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://ranks/a.csv?signature=secret"
    monkeypatch.setattr(shards, "_QUERIES", {})
    unsigned(url)
    told: dict[str, Any] = {}

    def asked(command: list[str], **options: Any) -> Any:
        stdin = SimpleNamespace(write=lambda data: told.update(json.loads(data)))
        return SimpleNamespace(stdin=contextlib.nullcontext(stdin))

    monkeypatch.setattr("recurra.api.distributed.subprocess.Popen", asked)
    rank = distributed._started(1, Distributed(2), {"config": None})
    os.close(rank.pipe)
    assert told["signed"] == [url]

    def gone(*given: Any) -> None:
        raise LostError

    shards._QUERIES.clear()
    monkeypatch.setattr(worker, "Group", gone)
    with pytest.raises(LostError):
        worker._learn({**told, "meeting": "none"}, worker.Pipe(-1))
    assert signed() == [url]


def test_other_devices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recurra.api.training.device_of", torch.device)
    with pytest.raises(ConfigError, match="device cuda is trained by one process"):
        api.train(write_config(), out=Path("none"), device="cuda", distributed=Distributed(2))
    assert not Path("none").exists()


def test_every_rank_weighs_ngrams_by_the_training_rows(forked: None) -> None:
    options = {
        "task": {"ngrams": {"name": "hashed", "words": 1, "characters": None, "buckets": 64}},
        "model": {"inputs": {"name": "bag", "embedding_size": 3}, "encoder": {"name": "dense", "sizes": [4]}},
    }
    config = write_config(**options, training={**PLAIN, "epochs": 3, "batch_rows": 5})
    api.train(config, out=Path("alone"))
    api.train(config, out=Path("both"), distributed=Distributed(2))
    assert load_file("alone/model.safetensors")["inputs.scale"].unique().numel() > 1
    assert near("alone", "both")
    assert losses("both") == pytest.approx(losses("alone"), rel=1e-6)
