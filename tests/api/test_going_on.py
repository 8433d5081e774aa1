"""A run that is resumed with other options: which may change, what they do, and which are refused."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import Any

import pytest

from api.api_room import Listening, done, kept_of, log_of, recurra, refused, write_config
from api.test_resume import Stopper
from recurra import api
from recurra.api import training
from recurra.api import training_run as recipe
from recurra.api.distributed import Distributed
from recurra.training.checkpoint import load

LONGER = ["training.epochs=4"]  # of 4 steps each


@pytest.fixture(autouse=True)
def each_step_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "LOG_EVERY", 1)


def files_of(run: Path | str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(run).iterdir() if path.name != ".lock"}


@pytest.mark.parametrize("stops", [[], [12], [9, 14]])
def test_a_run_that_is_resumed_after_its_end_has_the_bits_of_one_that_was_as_long_from_the_start(
    stops: list[int], data: Path
) -> None:
    for name, epochs in (("whole", 4), ("short", 2)):
        api.train(write_config(training={"epochs": epochs}), out=Path(name))
    assert kept_of("short") != kept_of("whole")
    for overrides, step in zip([LONGER, [], []], stops, strict=False):
        assert api.resume(Path("short"), overrides=overrides, watch=Stopper(step)).report is None
    watch = Listening()
    assert api.resume(Path("short"), overrides=[] if stops else LONGER, watch=watch).report is not None
    assert ("training.epochs: was 2, is 4 now." in watch.notes) == (not stops), "the folder's config keeps it"
    assert watch.steps[-1] == watch.total == 16
    assert not any("schedule" in note for note in watch.notes), "a constant rate does not depend on the epochs"
    assert kept_of("short") == kept_of("whole")


def test_the_command_line_resumes_a_run_with_more_epochs_and_the_report_says_so(run: Path) -> None:
    said = done("train", "--resume", run, "--set", "training.epochs=3", "--json")
    assert "resumed at step 8, epoch 3.\n" in said.err
    assert said.json["report"]["facts"]["change 1"] == "training.epochs: was 2, is 3 now, from step 9 on"
    assert said.json["report"]["facts"]["steps"] == 12
    again = done("train", "--resume", run, "--json").json["report"]["facts"]
    assert again["change 1"] == "training.epochs: was 2, is 3 now, from step 9 on"
    assert "change 2" not in again


def test_a_death_between_the_new_config_and_the_first_save_loses_no_change(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, epochs in (("whole", 4), ("short", 2)):
        api.train(write_config(training={"epochs": epochs}), out=Path(name))

    def dies(*given: Any) -> None:
        raise RuntimeError("no power")

    with monkeypatch.context() as patch:
        patch.setattr(training, "run_epochs", dies)
        with pytest.raises(RuntimeError, match="no power"):
            api.resume(Path("short"), overrides=LONGER)
    api.resume(Path("short"))
    assert kept_of("short") == kept_of("whole")


def test_a_schedule_of_the_whole_run_follows_the_new_length_and_says_so(data: Path) -> None:
    write_config(training={"epochs": 2, "schedule": {"name": "cosine", "warmup": 0.0, "floor": 0.0}})
    api.train(Path("c.yaml"), out=Path("run"))
    watch = Listening()
    api.resume(Path("run"), overrides=LONGER, watch=watch)
    # Loshchilov & Hutter, eq. 5, by hand: the peak is 0.03; 8 of 8 steps, then step 9 of 16.
    last, following = (0.03 * (1 + math.cos(math.pi * done)) / 2 for done in (7 / 8, 8 / 16))
    assert following == pytest.approx(0.015)
    rates = [line["lr"] for line in log_of("run") if line["event"] == "step"]
    assert rates[7:9] == pytest.approx([last, following])
    assert (
        "training.schedule cosine: depends on the number of epochs, and now follows the course of a run of 4 epochs "
        f"(16 steps): learning rate {last:.3g} at step 8, 0.015 at step 9. A run of 4 epochs from its first step "
        "would end with other weights." in watch.notes
    )


def test_a_plateau_that_has_dropped_ends_with_the_bits_of_a_run_as_long_and_says_nothing_else(data: Path) -> None:
    drops = {"schedule": {"name": "plateau", "patience": 1}, "optimizer": {"name": "adam", "lr": 1e-6}, "seed": 7}
    api.train(write_config(training={"epochs": 4, **drops}), out=Path("run"))
    schedule = load(Path("run/last.ckpt")).schedule
    assert schedule["now"] < 1
    watch = Listening()
    api.resume(Path("run"), overrides=["training.epochs=6"], watch=watch)
    assert not [note for note in watch.notes if note.startswith("training.schedule")]
    api.train(write_config(training={"epochs": 6, **drops}), out=Path("whole"))
    assert kept_of("run")[0] == kept_of("whole")[0]


def test_a_run_whose_patience_is_spent_asks_for_more_patience_before_more_epochs(data: Path) -> None:
    still = {"optimizer": {"name": "sgd", "lr": 1e-9}, "select": "log_loss", "seed": 7}  # better than a coin
    write_config(training={"epochs": 9, "patience": 2, **still})
    api.train(Path("c.yaml"), out=Path("run"))
    assert [line["epoch"] for line in log_of("run") if line["event"] == "dev"] == [1, 2, 3]
    before = files_of("run")
    said = refused("train", "--resume", "run", "--set", "training.epochs=20")
    assert "training has ended early, because 2 epochs in a row brought no better score" in said
    assert "set training.patience too: higher, or null (`--set training.patience=4`)" in said
    assert files_of("run") == before
    done("train", "--resume", "run", "--set", "training.patience=4")
    assert [line["epoch"] for line in log_of("run") if line["event"] == "dev"] == [1, 2, 3, 4, 5]


def test_another_learning_rate_holds_from_the_next_step_on_over_stops_too(data: Path) -> None:
    write_config(training={"epochs": 2, "schedule": {"name": "step", "drops": 1, "gamma": 0.5}})
    api.train(Path("c.yaml"), out=Path("run"), watch=Stopper(3))
    watch = Stopper(6)
    api.resume(Path("run"), overrides=["training.optimizer.lr=0.01"], watch=watch)
    assert "training.optimizer.lr: was 0.03, is 0.01 now." in watch.notes
    assert "training.schedule step: the learning rate of step 4 is 0.01." in watch.notes
    api.resume(Path("run"))
    rates = [line["lr"] for line in log_of("run") if line["event"] == "step"]
    assert rates == pytest.approx([0.03, 0.03, 0.03, 0.01, 0.005, 0.005, 0.005, 0.005])


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("training.seed=2", "training.seed: was 1, is 2 now; it cannot change in a run: the order of the rows"),
        ("training.batch_rows=4", "the place in the epoch is counted in its batches"),
        ("training.optimizer=sgd", "the optimizer's state belongs to it"),
        ("training.schedule=linear", "it is the course of the learning rate over the whole run"),
        ("training.l2=0.1", "the steps so far were made with it"),
        ("training.select=log_loss", "the best epoch so far was chosen by it"),
        ("model.encoder.hidden_size=8", "the weights of this run have its shape"),
        ("data.split.name=hash", "the rows of this run come from it"),
        ("task.max_vocabulary=50", "the vocabulary and the labels of this run come from it"),
    ],
)
def test_an_option_that_makes_another_run_is_refused_with_its_reason_and_the_way_to_that_run(
    setting: str, why: str, run: Path
) -> None:
    before = files_of(run)
    said = refused("train", "--resume", run, "--set", setting)
    name = setting.partition("=")[0].removesuffix(".name")
    assert why in said
    *command, change = shlex.split(said.split("`")[-2])  # as a shell reads it
    assert command == ["recurra", "train", "run/config.yaml", "--set"]
    assert change.partition("=")[0] == name
    assert files_of(run) == before


def test_fewer_epochs_than_have_begun_are_refused_and_an_option_that_is_none_too(run: Path) -> None:
    before = files_of(run)
    said = refused("train", "--resume", run, "--set", "training.epochs=1")
    assert "training.epochs: expected at least 2, because epoch 2 has begun, got 1." in said
    assert "Did you mean `epochs`?" in refused("train", "--resume", run, "--set", "training.epoch=9").replace("'", "`")
    assert "expected an integer >= 1" in refused("train", "--resume", run, "--set", "training.epochs=0")
    assert files_of(run) == before


def test_a_run_without_a_checkpoint_may_change_in_everything(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(training, "run_epochs", lambda *given: (_ for _ in ()).throw(RuntimeError("no power")))
        with pytest.raises(RuntimeError):
            api.train(Path("c.yaml"), out=Path("run"))
    api.resume(Path("run"), overrides=["model.encoder.hidden_size=6", "training.epochs=2"])
    api.train(write_config(training={"epochs": 2}, model={"encoder": {"hidden_size": 6}}), out=Path("whole"))
    assert kept_of("run") == kept_of("whole")
    done("predict", "run", "lovely")


def test_ranks_hear_of_the_changes(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[dict[str, Any]] = []

    def launch(distributed: Distributed, orders: dict[str, Any], *rest: Any) -> None:
        heard.append(orders)

    monkeypatch.setattr(training, "launch", launch)
    assert recurra("train", "--resume", run, "--ranks", 2, "--set", "training.epochs=3").code == 0
    assert (heard[0]["config"], heard[0]["changes"]) == (None, ["training.epochs=3"])
