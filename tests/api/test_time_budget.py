"""A time budget that is spent stays spent: at a resume, and where the scores of an epoch take the last of it.

The clock goes on by 10 s each time it is looked at: at the start of an epoch, at each step, twice around its scores.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from api.api_room import Listening, done, kept_of, log_of, refused, write_config
from recurra import api
from recurra.api import training_run
from recurra.api.callbacks import NoCallback
from recurra.api.places import RunFolder
from recurra.api.schema import read_settings
from recurra.base.contracts import Score
from recurra.training import SingleProcess

LINEAR = {"schedule": {"name": "linear", "warmup": 0.0}, "optimizer": {"name": "sgd", "lr": 0.1}}


@pytest.fixture(autouse=True)
def clock(data: Path, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds now."""
    now = [0.0]

    def looked() -> float:
        now[0] += 10
        return now[0]

    monkeypatch.setattr(training_run, "time", SimpleNamespace(perf_counter=looked))
    monkeypatch.setattr(training_run, "LOG_EVERY", 1)
    return now


def scoring(monkeypatch: pytest.MonkeyPatch, before: Callable[[], None]) -> None:
    """Do something before each scoring of dev."""
    score = training_run._dev_scores

    def scored(*given: Any) -> tuple[Score, ...]:
        before()
        return score(*given)

    monkeypatch.setattr(training_run, "_dev_scores", scored)


def timed(seconds: float, **training: Any) -> Path:
    return write_config(training={"epochs": 50, "hours": seconds / 3600, **LINEAR, **training})


def test_a_run_that_has_spent_its_time_makes_no_further_step_when_it_is_resumed() -> None:
    heard = Listening()
    api.train(timed(60), out=Path("run"), watch=heard)
    # 40 s for an epoch of four steps, 10 s for its scores; at 60 s a last step.
    assert (heard.steps, heard.epochs) == ([1, 2, 3, 4, 5, 6], [1, 2])
    before = kept_of("run")
    heard = Listening()
    assert api.resume(Path("run"), watch=heard).report is not None
    assert (heard.steps, heard.epochs) == ([], [])
    assert kept_of("run") == before


def test_an_epoch_that_ended_with_the_time_is_scored_at_a_resume_if_it_was_not(monkeypatch: pytest.MonkeyPatch) -> None:
    config = timed(20, checkpoint_every=1)
    api.train(config, out=Path("whole"))
    broken = [RuntimeError("killed")]

    def dies() -> None:
        if broken:
            raise broken.pop()

    scoring(monkeypatch, dies)
    with pytest.raises(RuntimeError, match="killed"):
        api.train(config, out=Path("run"))
    heard = Listening()
    api.resume(Path("run"), watch=heard)
    assert (heard.steps, heard.epochs) == ([], [1])
    assert kept_of("run") == kept_of("whole")


def test_scores_that_take_the_last_of_the_time_end_the_run(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    def slow() -> None:
        clock[0] += 100

    scoring(monkeypatch, slow)
    heard = Listening()
    api.train(timed(120), out=Path("run"), watch=heard)
    assert (heard.steps, heard.epochs) == ([1, 2, 3, 4], [1])


def test_more_epochs_need_more_time_where_the_time_is_spent() -> None:
    api.train(timed(60), out=Path("run"))
    for change in ("training.epochs=60", "training.patience=9"):
        name = change.split("=")[0]
        assert refused("train", "--resume", "run", "--set", change).endswith(
            f"\n{name}: has no effect: training has ended, because the time of training.hours is spent. To resume it, "
            "set training.hours too: higher, or null (`--set training.hours=null`).\n"
        )
    done("train", "--resume", "run", "--set", "training.epochs=3", "--set", "training.hours=null")
    assert log_of("run")[-1]["step"] > 6


def test_more_time_needs_more_patience_where_the_patience_is_spent() -> None:
    still = {"optimizer": {"name": "sgd", "lr": 1e-9}, "select": "log_loss", "seed": 7}  # better than a coin
    api.train(timed(10_000, epochs=9, patience=2, **still), out=Path("run"))
    said = refused("train", "--resume", "run", "--set", "training.hours=5")
    assert "training.hours: has no effect: training has ended early, because 2 epochs in a row brought" in said


@pytest.mark.parametrize(
    ("before", "now", "rates"),
    [
        # Step 8 of 8 and step 9 of 16, or the rates after 100 s of 1,000 or 500.
        (None, 1000, "0.0125 at step 8, 0.09"),
        (1000, 500, "0.09 at step 8, 0.08"),
        (1000, None, "0.09 at step 8, 0.05"),
    ],
)
def test_a_schedule_that_follows_another_time_says_the_step_and_both_rates(
    before: float | None, now: float | None, rates: str
) -> None:
    hours = None if before is None else before / 3600
    api.train(write_config(training={"epochs": 2, "hours": hours, **LINEAR}), out=Path("run"))
    heard = Listening()
    new = "null" if now is None else now / 3600
    api.resume(Path("run"), overrides=[f"training.hours={new}", "training.epochs=4"], watch=heard)
    said = [note for note in heard.notes if note.startswith("training.schedule")]
    assert len(said) == 1
    assert f"learning rate {rates}" in said[0]
    rate = next(line["lr"] for line in log_of("run") if line["event"] == "step" and line["step"] == 9)
    assert rate == pytest.approx(float(rates.split()[-1]), rel=1e-2)


def test_a_schedule_that_never_moves_says_nothing_of_another_time() -> None:
    api.train(write_config(training={"epochs": 1, "schedule": "constant"}), out=Path("run"))
    said = done("train", "--resume", "run", "--set", "training.hours=5", "--set", "training.epochs=2")
    assert "training.hours: was null, is 5.0 now" in said.err
    assert "\ntraining.schedule" not in said.err


def test_each_rank_tells_by_itself_why_a_run_with_a_budget_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    still = {"optimizer": {"name": "sgd", "lr": 1e-9}, "select": "log_loss", "seed": 7}  # better than a coin
    api.train(timed(10_000, epochs=9, patience=2, **still), out=Path("run"))
    settings = read_settings(Path("run/config.yaml"), [], None)
    made = training_run.resume_from(
        RunFolder(Path("run")), settings, torch.device("cpu"), NoCallback(), SingleProcess()
    )
    monkeypatch.setattr(SingleProcess, "from_first", lambda *_: pytest.fail("asked the other ranks"))
    assert made.trainer.stopped_early("log_loss").startswith("training stopped after epoch 3 of 9")
