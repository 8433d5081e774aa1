"""Several runs of one config: from several seeds, and by folds."""

from __future__ import annotations

import json
import math
import signal
import statistics
from pathlib import Path
from typing import Any

import pytest

from api.api_room import Listening, done, kept_of, refused, rows, write_config, write_csv
from api.test_resume import Stopper
from recurra import api
from recurra.api import groups
from recurra.api.groups import summary
from recurra.base.contracts import Progress, Report, Score
from recurra.base.errors import ConfigError

OPTIONS: dict[str, Any] = {"epochs": 1, "select": "log_loss"}


def value(run: str, name: str, split: str = "test", file: str = "scores.json") -> float:
    scores = json.loads(Path(run, file).read_text())
    return next(float(s["value"]) for s in scores if (s["name"], s["split"]) == (name, split))


def test_the_spread_of_a_score_is_that_of_the_sample() -> None:
    def report(value: float) -> Report:
        score, other = Score("accuracy", value, "0..1", "higher", "test"), Score("f1", 0.5, "0..1", "higher", "test")
        return Report("", (score, other) if value < 9 else (score,), {"majority": (score,)})

    spread, _ = summary({"a": report(2.0), "b": report(4.0), "c": report(9.0 - 1e-9)})
    assert (spread.mean, spread.lowest) == (pytest.approx(5.0), 2.0)
    assert spread.deviation == pytest.approx(13**0.5)  # ((-3)^2 + (-1)^2 + 4^2) / 2
    assert spread.baselines == {"majority": pytest.approx(5.0)}
    assert [s.name for s in summary({"a": report(2.0), "b": report(9.0)})] == ["accuracy"], "those that all have"


def test_a_score_without_a_number_in_one_run_leaves_the_summary_of_the_others() -> None:
    """A perplexity may be infinite; which run has it makes no difference."""

    def spread(*values: float) -> groups.Spread:
        scores = [Score("perplexity", value, "per token", "lower", "test") for value in values]
        return summary({str(n): Report("", (score,), {}) for n, score in enumerate(scores)})[0]

    found = spread(math.inf, 1.0)
    assert (found.mean, found.lowest, found.highest) == (math.inf, 1.0, math.inf)
    assert math.isnan(found.deviation)
    for values in ((1.0, math.nan), (math.nan, 1.0)):
        found = spread(*values)
        assert all(map(math.isnan, (found.mean, found.lowest, found.highest, found.deviation)))
    assert math.isnan(spread(math.inf, -math.inf).mean)


def test_several_seeds_are_several_runs_with_the_spread_of_their_scores(data: Path) -> None:
    write_config(training=OPTIONS)
    said = done("train", "c.yaml", "--seeds", "1,2,7", "--out", "group", "--json").json
    assert said["runs"] == ["group/seed-1", "group/seed-2", "group/seed-7"]
    done("train", "c.yaml", "--seed", "7", "--out", "alone")
    assert kept_of("group/seed-7") == kept_of("alone")
    values = [value(run, "log_loss") for run in said["runs"]]
    assert len(set(values)) == 3
    (found,) = [s for s in said["summary"] if (s["name"], s["split"]) == ("log_loss", "test")]
    assert found["values"] == dict(zip(("seed-1", "seed-2", "seed-7"), values, strict=True))
    assert found["mean"] == pytest.approx(statistics.mean(values))
    assert (found["lowest"], found["highest"]) == (min(values), max(values))
    assert found["deviation"] == pytest.approx(statistics.stdev(values))
    assert found["baselines"]["majority"] == pytest.approx(0.693, abs=0.01)
    assert json.loads(Path("group/summary.json").read_text()) == said["summary"]
    assert value("group", "log_loss") == pytest.approx(statistics.mean(values))
    page = Path("group/report.html").read_text()
    assert "standard deviation" in page
    assert "seed-7" in page
    again = done("train", "--resume", "group")
    assert "over the seeds" in again.out
    assert "run 1 of 3" not in again.err, "what has ended stays"


def test_a_group_that_was_stopped_is_resumed_where_it_was(data: Path) -> None:
    config = write_config(training={**OPTIONS, "epochs": 2})
    whole = api.train_group(config, seeds=[1, 2, 3], out="whole")

    class InTheSecond(Stopper):
        def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
            if any("run 2 of 3" in note for note in self.notes):
                super().step(progress, speed, seconds_left)

    stopped = api.train_group(config, seeds=[1, 2, 3], out="cut", watch=InTheSecond(5))
    assert (stopped.stopped_by, stopped.ended, stopped.report) == (signal.SIGTERM, 1, None)
    watch = Listening()
    resumed = api.resume_group("cut", watch=watch)
    assert "cut/seed-1: run 1 of 3." not in watch.notes
    assert watch.notes[0] == "cut/seed-2: run 2 of 3."
    assert "resumed at step 5, epoch 2." in watch.notes
    assert resumed.summary == whole.summary
    assert all(kept_of(f"cut/seed-{n}") == kept_of(f"whole/seed-{n}") for n in (1, 2, 3))


def test_folds_test_every_row_once_and_pool_their_scores(data: Path) -> None:
    write_config(training=OPTIONS, data={"split": {"name": "folds", "k": 4}})
    said = done("train", "c.yaml", "--out", "group", "--json").json
    assert said["runs"] == [f"group/fold-{n}" for n in range(1, 5)]
    tested: list[str] = []
    for run in map(Path, said["runs"]):
        opened = api.open_run(run)
        tested += [e.key for e in groups.prepare(opened.settings, Listening(), task=opened.task).splits["test"]]
    assert sorted(tested) == sorted(text for text, _ in rows())
    # All folds have ten rows, so the mean of the log losses is that of all rows; an F1 is not.
    values = [value(run, "log_loss") for run in said["runs"]]
    assert value("group", "log_loss") == pytest.approx(statistics.mean(values), rel=1e-6)
    accuracies = [value(run, "accuracy") for run in said["runs"]]
    assert value("group", "accuracy") == pytest.approx(statistics.mean(accuracies))
    assert said["report"]["facts"]["scores above"] == "pooled: the test rows of all folds scored together"
    assert len(said["summary"][0]["values"]) == 4


def test_a_group_is_no_run_and_says_which_are(data: Path) -> None:
    write_config(training=OPTIONS)
    done("train", "c.yaml", "--seeds", "3,4", "--out", "group")
    for words in (["predict", "group", "lovely"], ["evaluate", "group"], ["finish", "group"]):
        said = refused(*words)
        assert said.startswith(
            "group: a group of 2 runs, each with weights of its own. Name one of them: group/seed-3;"
        )
    done("predict", "group/seed-4", "lovely")
    assert "a group keeps its options" in refused("train", "--resume", "group", "--set", "training.epochs=3")
    assert "already holds a run or a config" in refused("train", "c.yaml", "--seeds", "3,4", "--out", "group")
    Path("group/group.json").write_text('{"kind": "seeds", "runs": {"../x": ["a=1"], "y": []}}')
    assert "group.json: damaged" in refused("train", "--resume", "group")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--seeds", "1"], "expected at least two different numbers, got 1"),
        (["--seeds", "1,1"], "expected at least two different numbers, got 1,1"),
        (["--seeds", "1,x"], "expected a whole number from 0, got 'x'"),
        (["--seeds", "1,2", "--set", "data.split=folds"], "which makes several runs already"),
        (["--seeds", "1,2", "--seed", "3"], "--seed has no effect on several runs"),
        (["--set", "data.split=folds", "--set", "data.test=data.csv"], "folds test every row of train once"),
        (["--set", "data.split={name: folds, k: 50}"], "50 folds need as many different rows, got 40"),
    ],
)
def test_groups_that_cannot_be_are_refused(words: list[str], what: str, data: Path) -> None:
    assert what in refused("train", "c.yaml", "--out", "group", *words)


def test_one_fold_is_a_run_and_check_looks_at_the_first(data: Path) -> None:
    write_config(training=OPTIONS, data={"split": "folds"})
    assert (
        "this is fold-1, the first of 10; `recurra train` makes a run for each, and takes as many times as long"
        in done("check", "c.yaml").err
    )
    done("train", "c.yaml", "--set", "data.split.fold=2", "--out", "one")
    with pytest.raises(ConfigError, match=r"take recurra\.api\.train_group"):
        api.train("c.yaml", out="none")


def test_a_label_that_only_one_row_has_cannot_be_tested_and_is_named(data: Path) -> None:
    write_csv(Path("data.csv"), [*rows(), ("strange thing", "rare")])
    write_config(training=OPTIONS, data={"split": {"name": "folds", "k": 2}})
    assert "data.csv:42: label 'rare' does not occur in the training data." in refused("train", "c.yaml", "--out", "g")


@pytest.mark.parametrize("seeds", [(1, -1), (1, 2**70)], ids=str)
def test_a_seed_that_cannot_be_is_refused_before_anything_is_written(seeds: tuple[int, ...], data: Path) -> None:
    with pytest.raises(ConfigError, match=r"training\.seed: expected an integer"):
        api.train_group(Path("c.yaml"), seeds=seeds, out=Path("group"))
    assert not Path("group").exists()
