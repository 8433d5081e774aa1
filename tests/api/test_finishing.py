"""A run that is ended before all is learned, and the checkpoints that stay when a run has ended."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from api.api_room import Listening, done, kept_of, log_of, recurra, refused, write_config
from api.test_resume import Slow, Stopper
from recurra import api
from recurra.api import training
from recurra.api import training_run as recipe
from recurra.api.distributed import Distributed
from recurra.base.contracts import Progress, Score
from recurra.training import Checkpoint, Checkpoints, FolderLock, Stopping
from recurra.training.checkpoint import load
from training.toys import exit_of, fork_child

CHECKPOINTS = {"last.ckpt", "last.prev.ckpt", "best.ckpt"}


@pytest.fixture
def config(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six epochs of four steps, with a best one that is not the last that is done."""
    monkeypatch.setattr(recipe, "LOG_EVERY", 1)
    return write_config(training={"epochs": 6, "select": "log_loss"}, model={"head": {"output_dropout": 0.2}})


def checkpoints_of(run: Path | str) -> set[str]:
    return {path.name for path in Path(run).glob("*.ckpt")}


def weights_of(run: str) -> dict[str, Any]:
    return {name: value.tolist() for name, value in load_file(f"{run}/model.safetensors").items()}


class Twice(Stopper):
    """Two signals at one step: an impatient person."""

    def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
        super().step(progress, speed, seconds_left)
        if progress.step == self.at:
            os.kill(os.getpid(), self.number)


def test_a_second_ctrl_c_ends_the_run_with_its_best_weights_and_a_report(config: Path) -> None:
    watch = Twice(10, signal.SIGINT)
    trained = api.train(config, out=Path("run"), watch=watch)
    assert trained.report is not None
    assert trained.stopped_by is None
    assert watch.steps[-1] == 10
    assert (
        "ended early, as asked, after step 10 of 24 (epoch 3): the weights are those of step 8, the best by log_loss."
        in watch.notes
    )
    api.train(
        write_config(training={"epochs": 2, "select": "log_loss"}, model={"head": {"output_dropout": 0.2}}),
        out=Path("two"),
    )
    assert weights_of("run") == weights_of("two")
    assert Path("run/scores.json").read_bytes() == Path("two/scores.json").read_bytes()
    assert Path("run/report.html").exists()
    assert log_of("run")[-1] == {"event": "end", "step": 10, "best_step": 8}


def test_two_sigterms_stop_the_run_as_one_does(config: Path) -> None:
    trained = api.train(config, out=Path("run"), watch=Twice(10, signal.SIGTERM))
    assert (trained.report, trained.stopped_by, trained.can_finish) == (None, signal.SIGTERM, True)


def test_a_person_has_a_moment_for_the_second_ctrl_c(config: Path) -> None:
    class Waits(Stopper):
        def note(self, message: str) -> None:
            super().note(message)
            if "Press Ctrl-C again within 60 seconds" in message:
                os.kill(os.getpid(), signal.SIGINT)

    assert api.train(config, out=Path("run"), watch=Waits(10, signal.SIGINT), grace=60.0).report is not None
    with Stopping() as stopping:
        os.kill(os.getpid(), signal.SIGINT)
        assert not stopping.again(0.0)


def test_a_second_ctrl_c_before_any_epoch_is_scored_stops_the_run_and_names_it(config: Path) -> None:
    trained = api.train(config, out=Path("run"), watch=Twice(2, signal.SIGINT), grace=60.0)
    assert (trained.stopped_by, trained.can_finish) == (signal.SIGINT, False)
    said = refused("finish", "run")
    assert said == (
        "run: no epoch of it has been scored yet, so there are no best weights to end it with. Resume it with "
        "`recurra train --resume run`.\n"
    )


def test_a_stopped_run_is_finished_and_can_be_resumed_to_the_same_bits(config: Path) -> None:
    api.train(config, out=Path("whole"))
    api.train(config, out=Path("run"), watch=Stopper(10))
    assert "or end it with its best weights so far: `recurra finish run`" in refused("predict", "run", "lovely")
    said = done("finish", "run")
    assert "ended early, as asked, after step 10 of 24 (epoch 3)" in said.err
    assert "run: classification" in said.out
    assert "recurra predict run" in said.err
    done("predict", "run", "lovely")
    assert load(Path("run/last.ckpt")).step == 10
    again = done("finish", "run")
    assert "run: has ended. To train it longer: recurra train --resume run --set training.epochs=N" in again.err
    shown = [line.split() for line in again.out.splitlines() if line.startswith("log_loss")]
    assert shown == [line.split() for line in said.out.splitlines() if line.startswith("log_loss")]
    done("train", "--resume", "run")
    assert kept_of("run") == kept_of("whole")


def test_finish_from_another_process_ends_a_running_run(config: Path) -> None:
    write_config(training={"epochs": 1000})

    class Begun(Slow):
        """Tells through a pipe when an epoch has been scored."""

        def scores(self, epoch: int, scores: tuple[Score, ...], is_best: bool) -> None:
            super().scores(epoch, scores, is_best)
            os.write(theirs, b".")

    ours, theirs = os.pipe()

    def work() -> int:
        trained = api.train(config, out=Path("run"), watch=Begun())
        return 0 if trained.report and not trained.stopped_by else 3

    pid = fork_child(work)
    os.read(ours, 1)
    watch = Listening()
    ended = api.finish(Path("run"), watch=watch)
    assert exit_of(pid) == 0
    assert (
        f"run: expected a folder that no other process writes to, but process {pid} is training there."
        in watch.notes[0]
    )
    assert "It is asked to end the run after its step." in watch.notes[0]
    assert ended.report is not None
    scores = json.loads(Path("run/scores.json").read_text())
    assert [score.value for score in ended.report.scores] == [score["value"] for score in scores]
    assert not Path("run/.finish").exists()
    assert log_of("run")[-1]["event"] == "end"
    os.close(ours)
    os.close(theirs)


def test_finish_takes_over_from_a_process_that_dies_before_it_heeds(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.train(config, out=Path("run"), watch=Stopper(10))
    lock = FolderLock(Path("run"))
    lock.__enter__()

    def dies(seconds: float) -> None:
        assert Path("run/.finish").exists()
        lock.__exit__(None, None, None)

    monkeypatch.setattr(training.time, "sleep", dies)
    assert api.finish(Path("run")).report is not None
    assert not Path("run/.finish").exists()


def test_a_request_that_was_left_behind_does_not_end_the_next_training(config: Path) -> None:
    api.train(config, out=Path("run"), watch=Stopper(10))
    Path("run/.finish").touch()
    watch = Listening()
    api.resume(Path("run"), watch=watch)
    assert watch.steps[-1] == 24


@pytest.mark.parametrize("answer", ["finish", signal.SIGINT])
def test_ranks_that_were_asked_to_end_leave_the_report_to_this_process(
    answer: Any, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.train(config, out=Path("run"), watch=Stopper(10))
    monkeypatch.setattr(training, "launch", lambda *given: answer)
    trained = api.resume(Path("run"), distributed=Distributed(2))
    assert (trained.report is not None, trained.stopped_by) == (
        (True, None) if answer == "finish" else (False, signal.SIGINT)
    )
    assert trained.can_finish == (answer != "finish")


# -- what stays ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keep", "kept"), [(None, {"last.ckpt"}), ("last", {"last.ckpt"}), ("all", CHECKPOINTS), ("none", set())]
)
def test_the_checkpoints_of_a_run_that_has_ended_stay_as_the_config_says(
    keep: str | None, kept: set[str], data: Path
) -> None:
    write_config(training={"epochs": 3} | ({} if keep is None else {"keep_checkpoints": keep}))
    api.train(Path("c.yaml"), out=Path("run"), watch=Stopper(10))
    assert checkpoints_of("run") == CHECKPOINTS, "until the run ends"
    said = done("train", "--resume", "run")
    assert checkpoints_of("run") == kept
    size = sum(path.stat().st_size for path in Path("run").glob("last.ckpt"))
    assert (f"run/last.ckpt: kept ({size:,} bytes), to train the run longer;" in said.err) == (kept == {"last.ckpt"})
    end = kept_of("run")
    again = recurra("train", "--resume", "run")
    if keep == "none":
        assert again.code == 2
        assert "no checkpoint of it is left (training.keep_checkpoints: none), so it cannot be resumed" in again.err
        assert "`recurra train run/config.yaml --set training.keep_checkpoints=last`" in again.err
    else:
        assert again.code == 0
    assert kept_of("run") == end


def test_the_best_weights_of_a_run_that_goes_on_after_its_end_are_those_that_it_ended_with_until_there_are_better(
    data: Path,
) -> None:
    tree: dict[str, Any] = {"epochs": 2, "select": "log_loss", "optimizer": {"name": "sgd", "lr": 0.1}}
    api.train(write_config(training=tree), out=Path("run"))
    first = Path("run/model.safetensors").read_bytes()
    # Steps too small to change a weight: no later epoch is better.
    done("train", "--resume", "run", "--set", "training.epochs=4", "--set", "training.optimizer.lr=1e-30")
    assert [line["best"] for line in log_of("run") if line["event"] == "dev"] == [True, True, False, False]
    assert Path("run/model.safetensors").read_bytes() == first
    assert checkpoints_of("run") == {"last.ckpt"}
    assert load(Path("run/last.ckpt")).step == 16


def test_weights_of_another_step_do_not_take_the_place_of_a_lost_best_checkpoint(data: Path) -> None:
    api.train(write_config(training={"epochs": 1}), out=Path("run"))
    api.train(write_config(training={"epochs": 3, "select": "log_loss"}), out=Path("other"))
    Path("run/model.safetensors").write_bytes(Path("other/model.safetensors").read_bytes())
    assert "run/best.ckpt: expected a checkpoint, found no file." in refused("train", "--resume", "run")


def test_a_best_checkpoint_that_is_newer_than_the_last_one_names_its_own_step(data: Path) -> None:
    """Killed between the two saves at the end of an epoch, and then ended instead of resumed."""
    config = write_config(training={"epochs": 3, "select": "log_loss"})
    api.train(config, out=Path("run"), watch=Stopper(6))
    api.train(config, out=Path("later"), watch=Stopper(10))
    Path("run/best.ckpt").write_bytes(Path("later/best.ckpt").read_bytes())
    said = done("finish", "run", "--json").json
    assert said["report"]["facts"]["best epoch by"].endswith("at step 8")


class KilledError(Exception):
    """In the place of a kill between two lines."""


@contextmanager
def killed_in(name: str, *, after: bool, nth: int = 1) -> Iterator[None]:
    """The block dies in the nth call of a save, after it or before."""
    save, calls = getattr(Checkpoints, name), iter(range(1, 1000))

    def dies(self: Checkpoints, checkpoint: Checkpoint) -> None:
        last = next(calls) == nth
        if after or not last:
            save(self, checkpoint)
        if last:
            raise KilledError

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KilledError):
        yield patch.setattr(Checkpoints, name, dies)


def test_a_run_that_was_killed_right_after_its_first_best_checkpoint_ends_with_those_weights(data: Path) -> None:
    config = write_config(training={"epochs": 3, "checkpoint_every": 3, "select": "log_loss"})
    with killed_in("save_best", after=True):
        api.train(config, out=Path("run"))
    best = load(Path("run/best.ckpt"))
    assert (best.step, load(Path("run/last.ckpt")).step) == (4, 3)
    watch = Listening()
    ended = api.finish(Path("run"), watch=watch)
    assert ended.report is not None
    assert ended.report.facts["best epoch by"] == f"log_loss, {best.best['value']:.4f} at step 4"
    assert not [note for note in watch.notes if "no epoch had a finite" in note]
    assert any("the weights are those of step 4, the best by log_loss" in note for note in watch.notes)
    assert weights_of("run") == {name: value.tolist() for name, value in best.model.items()}


def test_a_run_that_was_killed_right_before_its_first_best_checkpoint_has_nothing_to_end_with(data: Path) -> None:
    config = write_config(training={"epochs": 3, "checkpoint_every": 3})
    with killed_in("save_best", after=False):
        api.train(config, out=Path("run"))
    assert [line["best"] for line in log_of("run") if line["event"] == "dev"] == [True]
    assert "no epoch of it has been scored yet" in refused("finish", "run")


def test_the_step_of_the_best_weights_is_said_where_only_their_own_checkpoint_knows_it(data: Path) -> None:
    config = write_config(training={"epochs": 3, "select": "log_loss"})
    with killed_in("save_best", after=True, nth=2):
        api.train(config, out=Path("run"))
    assert "the weights are those of step 8, the best by log_loss" in done("finish", "run").err


def test_a_damaged_last_checkpoint_does_not_stay_as_the_only_one(data: Path) -> None:
    api.train(write_config(training={"epochs": 3, "keep_checkpoints": "all"}), out=Path("run"))
    path = Path("run/last.ckpt")
    path.write_bytes(path.read_bytes()[:-3])
    said = done("train", "--resume", "run", "--set", "training.keep_checkpoints=last")
    assert "used instead of last.ckpt" in said.err
    assert checkpoints_of("run") == {"last.ckpt"}
    assert load(path).step == 12
