"""Search over settings: spaces in a config, trials that die or fail, several workers, and what is said of the gain."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import signal
import sqlite3
import sys
from collections.abc import Container, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from api.api_room import Listening, done, recurra, refused, rows, write_config, write_csv
from recurra import api
from recurra.api.groups import Spread
from recurra.api.places import GROUP
from recurra.api.tuning.clock import Clock
from recurra.api.tuning.ending import Ending
from recurra.api.tuning.repeating import Repeated, gain, in_words
from recurra.api.tuning.study import GRACE, HOST, MOST_DEATHS, PLACE, FailedTrialError, Kept, Study, hidden, url_of
from recurra.api.tuning.trial import EndedError
from recurra.api.tuning.worker import Worker
from recurra.base.contracts import Progress
from recurra.base.errors import ConfigError
from training.toys import exit_of, fork_child

pytestmark = pytest.mark.slow
optuna = pytest.importorskip("optuna", reason="optuna is not installed")

SPACES: dict[str, Any] = {
    "model": {"encoder": {"hidden_size": {"low": 4, "high": 9}, "cell": {"choices": ["lstm", "gru"]}}},
    "training": {"epochs": 2, "select": "log_loss", "optimizer": {"lr": {"low": 0.001, "high": 0.1, "log": True}}},
}


@pytest.fixture
def data(here: Path) -> Path:
    write_config(**SPACES)
    return write_csv(here / "data.csv", rows())


def trials(folder: str | Path) -> list[Kept]:
    """What the study of a search holds."""
    folder = Path(folder)
    name = optuna.get_all_study_names(url_of(folder / "study.db"))[0]
    study = Study(folder / "study.db", name, direction="minimize", sampler="tpe", pruner="median", seed=1, place="test")
    return study.trials()


def told(one: Kept) -> tuple[Mapping[str, Any], Mapping[int, float], str]:
    return one.params, one.scores, one.state


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a search of five trials that nothing disturbed."""
    folder = tmp_path_factory.mktemp("searched")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_config(**SPACES)
        write_csv(folder / "data.csv", rows())
        done("search", "c.yaml", "--trials", "5", "--seeds", "2", "--out", "search")
    return folder


def test_a_search_ends_with_a_config_a_report_and_the_noise_between_seeds(
    searched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(searched)
    found = trials("search")
    assert [one.number for one in found] == list(range(5))
    assert {one.state for one in found} <= {"complete", "pruned"}
    assert all(4 <= one.params["model.encoder.hidden_size"] <= 9 for one in found)
    text = Path("search/best.yaml").read_text()
    assert "found by a search among lstm, gru" in " ".join(text.replace("#", " ").split())
    assert "95 % interval of the gain" in " ".join(text.replace("#", " ").split())
    checked = api.check("search/best.yaml")
    best = min((one for one in found if one.state == "complete"), key=lambda one: one.value or 0.0)
    three = sorted((one for one in found if one.state == "complete"), key=lambda one: one.value or 0.0)[:3]
    assert checked.config["model"]["encoder"]["hidden_size"] in {t.params["model.encoder.hidden_size"] for t in three}
    page = Path("search/report.html").read_text()
    assert "http" not in page.replace("http-equiv", "").replace("http_equiv", "").replace("https://arxiv", "")
    for words in ("importance", "from several seeds", "in the search", f"trial {best.number + 1}", "PED-ANOVA"):
        assert words in page, words
    assert {path.name for path in Path("search/repeats").iterdir() if path.is_dir()} == {
        "default", *(f"trial-{one.number + 1}" for one in three),
    }  # fmt: skip
    group = json.loads(Path("search/repeats/default", GROUP).read_text())
    seeds = {
        api.check(Path("search/repeats/default", name, "config.yaml")).config["training"]["seed"]
        for name in group["runs"]
    }
    own = checked.config["training"]["seed"]
    assert seeds == {own + 1, own + 2}, "the best of many is lucky with the seed of the trials"
    assert not list(Path("search/trials").rglob("*.safetensors")), "of trials only what is told of them stays"


def test_the_first_trial_has_the_values_that_the_config_has_by_itself(data: Path) -> None:
    spaces = {
        "model.encoder.hidden_size": "{low: 4, high: 200, default: 5}",
        "model.encoder.cell": "{choices: [gru, lstm]}",
        "training.optimizer.lr": "0.01",
    }
    sets = [word for name, value in spaces.items() for word in ("--set", f"{name}={value}")]
    done("tune", "c.yaml", *sets, "--trials", "1", "--seeds", "0", "--out", "s")
    (first,) = trials("s")
    assert first.params == {"model.encoder.hidden_size": 5, "model.encoder.cell": "lstm"}


class KilledAt(Listening):
    """Kills its process with SIGKILL at a step of a trial."""

    def __init__(self, trial: int, step: int) -> None:
        super().__init__()
        self.trial, self.at, self.under_way = trial, step, 0

    def note(self, message: str) -> None:
        if message.startswith("trial ") and " of " in message.partition(":")[0]:
            self.under_way = int(message.split()[1])

    def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
        if (self.under_way, progress.step) == (self.trial, self.at):
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_search_that_is_killed_in_a_trial_goes_on_and_comes_to_the_same(searched: Path, data: Path) -> None:
    def search(trial: int, step: int) -> int:
        """Kill a search in its own process; its exit code."""
        return exit_of(
            fork_child(lambda: bool(api.tune("c.yaml", trials=5, seeds=2, out="s", watch=KilledAt(trial, step))) and 0)
        )

    assert search(3, 6) == -signal.SIGKILL
    assert search(4, 2) == -signal.SIGKILL
    heard = Listening()
    tuned = api.tune("c.yaml", trials=5, seeds=2, out="s", watch=heard)
    assert "trial 4: its process ended in the middle of it; it is taken up again." in heard.notes
    assert sum(tuned.trials.values()) == 5
    assert list(map(told, trials("s"))) == list(map(told, trials(searched / "search")))
    name = optuna.get_all_study_names(url_of("s/study.db"))[0]
    states = [t.state.name for t in optuna.load_study(study_name=name, storage=url_of("s/study.db")).get_trials()]
    assert states.count("FAIL") == 2, "the two that died are marked"
    assert len(states) == 7
    assert Path("s/best.yaml").read_text() == (searched / "search/best.yaml").read_text()


def opened(file: Path) -> Study:
    return Study(file, "s", direction="minimize", sampler="tpe", pruner="median", seed=1, place="here")


def drawn(file: Path, deaths: Container[int], trials: int) -> list[tuple[int, Mapping[str, Any], float | None]]:
    """What a search draws without trainings. deaths: trials whose process ends at their end, once"""
    study, alive = opened(file), {one.number for one in opened(file).trials()}

    def objective(trial: Any, number: int) -> float:
        x, n = trial.suggest_float("x", 0.001, 1.0, log=True), trial.suggest_int("n", 1, 50)
        if number in deaths and number not in alive:
            alive.add(number)
            raise FailedTrialError
        return float((x - 0.1) ** 2 + abs(n - 20))

    while len(found := study.trials()) < trials or any(one.state == "failed" for one in found):
        if found[-1].state == "failed":  # another process goes on
            study = opened(file)
            study.take_up(lambda number: True, lambda message: None)
        study.run_one(objective)
    return [(one.number, one.params, one.value) for one in found]


def test_a_search_past_its_random_start_draws_the_same_after_deaths(tmp_path: Path) -> None:
    spaces = {
        "x": optuna.distributions.FloatDistribution(0.001, 1.0, log=True),
        "n": optuna.distributions.IntDistribution(1, 50),
    }
    rows = [
        ({"x": 0.9 / number, "n": 5 * number}, (0.9 / number - 0.1) ** 2 + abs(5 * number - 20))
        for number in range(1, 11)
    ]
    start = [optuna.trial.create_trial(params=params, distributions=spaces, value=value) for params, value in rows]
    opened(tmp_path / "a.db")._study.add_trials(start)  # as many as TPE draws at random before it looks at scores
    shutil.copy(tmp_path / "a.db", tmp_path / "b.db")
    undisturbed = drawn(tmp_path / "a.db", (), 13)
    assert len({str(params) for _, params, _ in undisturbed}) == 13
    assert drawn(tmp_path / "b.db", (10, 11), 13) == undisturbed


def test_a_trial_whose_process_dies_again_and_again_has_failed(tmp_path: Path) -> None:
    study = opened(tmp_path / "s.db")

    def dies(trial: Any, number: int) -> float:
        assert number == 0
        raise FailedTrialError

    for _ in range(MOST_DEATHS):
        study.take_up(lambda number: True, lambda message: None)
        study.run_one(dies)
    heard: list[str] = []
    study.take_up(lambda number: True, heard.append)
    assert (heard, [(one.state, one.why) for one in study.trials()]) == ([], [("failed", "its process died")])


def test_a_trial_of_another_machine_is_taken_up_when_its_signs_of_life_end(tmp_path: Path) -> None:
    study = opened(tmp_path / "s.db")
    with pytest.warns(UserWarning, match="Heartbeat"):
        trial = study._study.ask()
    trial.suggest_int("n", 1, 50)
    trial.set_user_attr(HOST, "elsewhere")
    study._study._storage.record_heartbeat(trial._trial_id)
    heard: list[str] = []
    for seconds, states in {GRACE - 20: ["running"], GRACE + 20: ["waiting"]}.items():
        with contextlib.closing(sqlite3.connect(tmp_path / "s.db")) as base, base:
            base.execute("update trial_heartbeats set heartbeat = datetime('now', ?)", (f"-{seconds} seconds",))
        study = opened(tmp_path / "s.db")
        study.take_up(lambda number: True, heard.append)
        assert [one.state for one in study.trials()] == states
    assert heard == ["trial 1: its process ended in the middle of it; it is taken up again."]


def test_a_trial_that_ends_while_it_is_looked_at_is_not_taken_for_dead(tmp_path: Path) -> None:
    study = opened(tmp_path / "s.db")
    with pytest.warns(UserWarning, match="Heartbeat"):
        trial = study._study.ask()
    trial.suggest_int("n", 1, 50)
    for name, value in ((HOST, platform.node()), (PLACE, "here")):
        trial.set_user_attr(name, value)

    def ends_meanwhile(number: int) -> bool:
        opened(tmp_path / "s.db")._study.tell(number, 0.5)  # another process, which then lets go of the folder
        return True

    heard: list[str] = []
    study.take_up(ends_meanwhile, heard.append)
    assert (heard, [(one.state, one.value) for one in study.trials()]) == ([], [("complete", 0.5)])


def test_a_search_that_is_asked_to_stop_says_how_to_go_on(data: Path) -> None:
    class Asked(KilledAt):
        def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
            if (self.under_way, progress.step) == (self.trial, self.at):
                os.kill(os.getpid(), signal.SIGTERM)

    tuned = api.tune("c.yaml", trials=2, seeds=0, out="s", watch=Asked(1, 2))
    assert (tuned.stopped_by, tuned.report) == (signal.SIGTERM, None)
    said = done("search", "s", "--seeds", "0", "--json")
    assert sum(said.json["trials"].values()) == 2
    assert said.json["stopped_by"] is None
    assert "trial 1: its process ended in the middle of it; it is taken up again." in said.err
    again = done("tune", "s", "--seeds", "0", "--trials", "3")
    assert "2 of 3 trials have ended; it goes on." in again.err


def test_workers_share_a_study_and_no_trial_is_run_twice(data: Path) -> None:
    def work() -> int:
        api.tune("c.yaml", trials=4, seeds=0, out="s", pruner="none")
        return 0

    assert [exit_of(pid) for pid in (fork_child(work), fork_child(work))] == [0, 0]
    found = trials("s")
    assert [(one.number, one.state) for one in found] == [(number, "complete") for number in range(4)]
    assert len({str(one.params) for one in found}) == 4
    assert Path("s/report.html").is_file()


def test_a_trial_that_fails_is_said_and_the_others_go_on(data: Path) -> None:
    write_config(
        model=SPACES["model"] | {"encoder": {"hidden_size": 4}},
        training={"epochs": 1, "optimizer": {"lr": {"choices": [0.01, 1e38]}}, "clipping": "none"},
    )
    tuned = api.tune("c.yaml", trials=6, seeds=0, out="s", sampler="random", watch=(heard := Listening()))
    assert set(tuned.trials) == {"complete", "failed"}
    assert sum(tuned.trials.values()) == 6
    failed = [one for one in trials("s") if one.state == "failed"]
    assert all("loss" in one.why or "gradient" in one.why or "weight" in one.why for one in failed), failed
    assert any(message.startswith(f"trial {failed[0].number + 1}: failed: ") for message in heard.notes)
    assert "failed: " in Path("s/report.html").read_text()
    with pytest.raises(Exception, match="no trial of 2 came to its end"):
        api.tune("c.yaml", trials=2, out="t", overrides=["training.optimizer.lr={choices: [1e38, 2e38]}"])


def test_a_search_ends_where_one_trial_after_the_other_fails(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recurra.api.tuning.tune.MOST_FAILURES", 2)
    sets = ["training.optimizer.lr={choices: [1e38, 2e38]}", "training.clipping=none"]
    with pytest.raises(Exception, match="s: the last 2 trials failed one after the other, as is said above"):
        api.tune("c.yaml", out="s", overrides=sets)
    assert [one.state for one in trials("s")] == ["failed", "failed"]


def test_failures_are_counted_in_a_row_and_a_trial_that_ends_early_or_well_ends_the_row(tmp_path: Path) -> None:
    ways: list[Any] = []

    def run(tree: Any, folder: Path, hear: Any) -> None:
        if isinstance(way := ways.pop(), Exception):
            raise way
        hear(1, way)

    space: Any = SimpleNamespace(with_values=lambda values: SimpleNamespace(tree={}), names={}, spaces={}, short={})
    study: Any = SimpleNamespace(higher_is_better=False, trials=list, optuna=optuna)
    training: Any = SimpleNamespace(run=run, select="log_loss")
    clock: Any = SimpleNamespace(trials_are_over=False, left=lambda number: "", seconds=[])
    trial = SimpleNamespace(set_user_attr=lambda *_: None, report=lambda *_: None, should_prune=lambda: False, number=0)
    one = Worker(
        space, study, training, clock, folder=tmp_path, number=9, place="here", unit="", say=lambda message: None
    )
    counted = []
    for place, way in enumerate([RuntimeError("x"), RuntimeError("y"), EndedError("behind"), RuntimeError("z"), 0.5]):
        ways.append(way)
        with contextlib.suppress(FailedTrialError, optuna.TrialPruned):
            assert one.trial(trial, place) == 0.5
        counted.append(one.failures)
    assert counted == [1, 2, 0, 1, 0]


def test_a_trial_holds_its_folder_until_the_study_knows_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = opened(tmp_path / "s.db")
    space: Any = SimpleNamespace(with_values=lambda values: SimpleNamespace(tree={}), names={}, spaces={}, short={})
    training: Any = SimpleNamespace(run=lambda tree, folder, hear: hear(1, 0.5), select="log_loss")
    clock: Any = SimpleNamespace(trials_are_over=False, left=lambda number: "", seconds=[])
    one = Worker(
        space, study, training, clock, folder=tmp_path, number=9, place="here", unit="", say=lambda message: None
    )
    storage, free = study._study._storage, []
    tell = storage.set_trial_state_values

    def told(*args: Any, **options: Any) -> bool:
        free.append(one.is_free(0))
        return bool(tell(*args, **options))

    monkeypatch.setattr(storage, "set_trial_state_values", told)
    one.run_one()
    assert free == [False]
    assert one.is_free(0)
    assert [(kept.state, kept.value) for kept in study.trials()] == [("complete", 0.5)]


def test_the_time_is_kept_for_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    clock = Clock(1.0, repeats=12, began=0.0)
    clock.seconds = [60.0, 120.0]  # 90 s each: 1080 s for the repeats, of 3600
    now[0] = 2519.0
    assert not clock.trials_are_over
    now[0] = 2520.0
    assert clock.trials_are_over
    assert clock.has_time_for(12)
    now[0] = 2521.0
    assert not clock.has_time_for(12)
    clock.seconds = [600.0]  # two hours for the repeats: half of the time is for trials all the same
    now[0] = 1799.0
    assert not clock.trials_are_over
    assert Clock(None, 12).has_time_for(10**9)
    assert clock.left(2) == "600 s a trial, 20 min left"


def test_trials_end_when_the_time_is_up(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Listening()
    asked = iter([False, True, True])
    monkeypatch.setattr(Clock, "trials_are_over", property(lambda self: next(asked)))
    with pytest.raises(Exception, match="no trial of 1 came to its end"):
        api.tune("c.yaml", hours=1, out="s", watch=heard)
    assert any("ended after epoch 1: the time for trials is up" in message for message in heard.notes)


REFUSED: dict[str, tuple[str, str]] = {
    "low above high": (
        "model: {encoder: {hidden_size: {low: 9, high: 4}}}",
        "c.yaml:4: model.encoder.hidden_size.low: expected low < high, got low 9 and high 4.",
    ),
    "log from zero": (
        "training: {optimizer: {lr: {low: 0, high: 1, log: true}}}",
        "c.yaml:4: training.optimizer.lr.low: expected low > 0 with log: true, got 0.",
    ),
    "a range of words": (
        "model: {encoder: {cell: {low: 1, high: 2}}}",
        "c.yaml:4: model.encoder.cell: takes words, and has no range from low to high; write {choices: [...]}.",
    ),
    "a range of switches": (
        "model: {encoder: {bidirectional: {low: 0, high: 1}}}",
        "c.yaml:4: model.encoder.bidirectional: takes true or false, and has no range from low to high; write",
    ),
    "fractions of a whole number": (
        "model: {encoder: {hidden_size: {low: 4.5, high: 9}}}",
        "c.yaml:4: model.encoder.hidden_size.low: expected an integer, got 4.5.",
    ),
    "an end that the option refuses": (
        "model: {encoder: {hidden_size: {low: 0, high: 9}}}",
        "c.yaml:4: model.encoder.hidden_size: expected an integer >= 1 and <= 65536, got 0. (the space has 0)",
    ),
    "a choice that the option refuses": (
        "model: {encoder: {cell: {choices: [lstm, grru]}}}",
        "c.yaml:4: model.encoder.cell: unknown cell 'grru'. Did you mean 'gru'?",
    ),
    "steps past the end": (
        "model: {encoder: {hidden_size: {low: 64, high: 512, step: 100}}}",
        "c.yaml:4: model.encoder.hidden_size.step: leads from 64 to 464 and then past high, 512; write 464 or 564",
    ),
    "log and step": (
        "model: {encoder: {hidden_size: {low: 64, high: 128, step: 8, log: true}}}",
        "c.yaml:4: model.encoder.hidden_size.step: has no effect with log: true; leave one of them out.",
    ),
    "one choice": (
        "model: {encoder: {cell: {choices: [lstm]}}}",
        "c.yaml:4: model.encoder.cell.choices: expected a list of two values or more, got 1.",
    ),
    "the same choice twice": (
        "model: {encoder: {cell: {choices: [lstm, gru, lstm]}}}",
        "c.yaml:4: model.encoder.cell.choices: has 'lstm' twice; leave it out once.",
    ),
    "no upper end": (
        "model: {encoder: {hidden_size: {low: 4}}}",
        "c.yaml:4: model.encoder.hidden_size: expected low and high, and high is missing.",
    ),
    "the data": (
        "model: {encoder: {hidden_size: {low: 4, high: 5}}}\ndata: {train: {choices: [a.csv, b.csv], default: a.csv}}",
        "c.yaml:5: data.train: a space here would change the rows by which trials are compared; write a value.",
    ),
    "a seed": (
        "training: {seed: {low: 1, high: 5}}",
        "c.yaml:4: training.seed: a seed is no setting to choose by; write a number, and repeat the best from several",
    ),
    "the score that chooses": (
        "training: {select: {choices: [accuracy, log_loss]}}",
        "c.yaml:4: training.select: trials are compared by one score; write its name, or auto.",
    ),
    "what changes nothing that is learned": (
        "training: {max_model_gib: {low: 1, high: 2}}",
        "c.yaml:4: training.max_model_gib: does not change what is learned; write a value.",
    ),
    "no space": ("model: {}", "c.yaml: has no space to search in. Write one in the place of a value"),
    "another mistake": (
        "model: {encoder: {hidden_size: {low: 4, high: 9}, hiden: 4}}",
        "c.yaml:4: model.encoder.hiden: unknown option.",
    ),
    "a component with a default outside": (
        "model: {encoder: {hidden_size: {low: 4, high: 9, default: none}}}",
        "c.yaml:4: model.encoder.hidden_size: expected an integer >= 1 and <= 65536, got 'none'.",
    ),
}


@pytest.mark.parametrize(("text", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_space_that_is_none_is_refused_at_its_line(here: Path, text: str, sentence: str) -> None:
    head = "task: classification\n\n\n" if "data:" in text else "task: classification\ndata: {train: d.csv}\n\n"
    Path("c.yaml").write_text(head + text + "\n")
    said = refused("tune", "c.yaml")
    assert said.startswith(sentence), said
    assert not Path("runs").exists()


def test_a_space_is_refused_where_a_value_is_trained(data: Path) -> None:
    said = refused("train", "c.yaml")
    assert "c.yaml:5: model.encoder.cell: is a space of a search, got {'choices': ['lstm', 'gru']}" in said
    assert "`recurra tune c.yaml` searches, or write a value." in said
    assert said.count("is a space of a search") == 3
    assert "is a space of a search" in refused("check", "c.yaml")


def test_weights_of_labels_called_low_and_high_are_no_space(here: Path) -> None:
    write_csv(here / "data.csv", [(text, "low" if label == "bad" else "high") for text, label in rows()])
    write_config(task={"class_weights": {"low": 2.0, "high": 1.0}})
    done("check", "c.yaml")
    write_config(task={"class_weights": {"choices": ["balanced", {"low": 2.0, "high": 1.0}]}}, training={"epochs": 1})
    done("search", "c.yaml", "--trials", "3", "--seeds", "0", "--out", "s", "--sampler", "random")


def test_a_search_word_with_a_config_is_tune_and_its_help_says_so(data: Path) -> None:
    assert "recurra search config.yaml --trials 40 --hours 3" in done("search", "--help").out
    assert "hidden_size: {low: 64, high: 512, log: true}" in " ".join(done("search", "c.yaml", "--help").out.split())
    assert "--trials: expected a whole number" in refused("search", "c.yaml", "--trials", "0").replace("argument ", "")
    for words, sentence in {
        ("--hours", "0"): "--hours: expected more than 0",
        ("--seeds", "1"): "--seeds: expected 2 or more, which show the noise, or 0 for none; got 1.",
        ("--sampler", "grid"): "--sampler: invalid choice: 'grid'",
        ("--pruner", "median,"): "--pruner: invalid choice: 'median,'",
        ("--study", "mysql://root:secret@nowhere/x"): "--study mysql://root@nowhere/x: cannot be opened: ",
    }.items():
        said = refused("search", "c.yaml", *words)
        assert sentence in said
        assert "secret" not in said
    assert refused("search", "c.yaml", "red") == (
        "recurra search: unexpected argument 'red'. c.yaml is searched for its best settings; pictures are searched by "
        "a text with the folder of a run: recurra search RUN TEXT --images FOLDER.\n"
    )
    for words in (("--trials", "0", "c.yaml"), ("--device", "cpu", "c.yaml", "--trials", "0")):
        assert "--trials: expected a whole number" in refused("search", *words), "an option may stand before the config"
    assert refused("search", "--index", "c.yaml", "nowhere", "red", "--images", "gone").startswith("nowhere: ")
    assert hidden("postgresql://me:a@b:c@host/db") == "postgresql://me@host/db"
    assert (
        hidden("postgresql://host/db?user=me&password=a@b&port=1") == "postgresql://host/db?user=me&password=***&port=1"
    )


def test_the_folder_of_a_search_keeps_its_settings(data: Path) -> None:
    done("tune", "c.yaml", "--trials", "1", "--seeds", "0", "--out", "s", "--sampler", "random")
    said = refused("tune", "c.yaml", "--out", "s", "--set", "training.epochs=3")
    assert said.startswith("s: holds a search of other settings.")
    assert "--sampler tpe: the search in sqlite:///" in refused("tune", "c.yaml", "--out", "s")
    assert "keeps its folder and settings" in refused("tune", "s", "--set", "training.epochs=3")
    (Path("s") / "search.json").write_text("{}")
    assert refused("tune", "s").startswith("s/search.json: damaged")
    write_config()
    done("train", "c.yaml", "--out", "r")
    write_config(**SPACES)
    assert refused("tune", "c.yaml", "--out", "r").startswith("r: already holds a run or a config")


def test_a_search_whose_folder_keeps_no_password_says_how_to_give_it_again(data: Path) -> None:
    done("tune", "c.yaml", "--trials", "1", "--seeds", "0", "--out", "s", "--sampler", "random")
    said = json.loads(Path("s/search.json").read_text())
    again = "The folder of a search keeps no password: give it again, --study 'mysql://USER:PASSWORD@HOST/DATABASE'"
    for kept in ("mysql://me@nowhere/x", "mysql://nowhere/x?user=me&password=***"):
        said["options"]["study"] = kept
        Path("s/search.json").write_text(json.dumps(said))
        assert again in refused("tune", "s")
        told = refused("tune", "s", "--study", "mysql://me:secret@nowhere/x")
        assert "secret" not in told
        assert "keeps no password" not in told


def test_options_of_python_go_before_those_that_a_search_has_kept(data: Path) -> None:
    heard = Listening()
    api.tune("c.yaml", out="s", trials=1, seeds=0, sampler="random", study="here.db", watch=heard)
    study = str(Path("here.db").absolute())  # so that the search goes on from another folder too
    assert f"--study: sqlite:///{study}" in heard.notes
    tuned = api.tune("s", api.TuneOptions(trials=2, seeds=0))
    assert sum(tuned.trials.values()) == 2
    assert sum(api.tune("s", api.TuneOptions(trials=2), trials=3).trials.values()) == 3
    assert json.loads(Path("s/search.json").read_text())["options"] == {
        "trials": 3, "seeds": 0, "sampler": "random", "pruner": "median", "study": study, "seed": None,
    }  # fmt: skip
    url = f"sqlite:///file:{study}?uri=true&token="
    api.tune("s", trials=3, study=f"{url}mine", watch=heard)
    assert json.loads(Path("s/search.json").read_text())["options"]["study"] == f"{url}***"
    assert f"--study: {url}***" in heard.notes


def test_a_config_without_a_number_is_not_chosen_and_the_default_stands_last() -> None:
    def repeated(name: str, *values: float) -> Repeated:
        return Repeated(name, spread(values).spreads, Path())

    some = [repeated("a", float("nan"), 0.9), repeated("b", 0.5, 0.7), repeated("default", 0.9, 0.9)]
    some += [repeated("c", 0.7, 0.9), repeated("d", 0.1, 0.2)]
    for higher, names in {True: "c b d a default", False: "d b c a default"}.items():
        asked: Any = SimpleNamespace(
            study=SimpleNamespace(higher_is_better=higher), training=SimpleNamespace(select="score")
        )
        for given in (some, some[::-1]):
            found = sorted(given, key=lambda one: Ending._rank(asked, one))
            assert " ".join(one.name for one in found) == names


def test_a_pruned_trial_has_its_best_number(tmp_path: Path) -> None:
    study = opened(tmp_path / "s.db")

    def objective(trial: Any, number: int) -> float:
        for epoch, value in enumerate((float("nan"), 2.0, 1.0, 3.0)):
            trial.report(value, epoch)
        raise optuna.TrialPruned

    study.run_one(objective)
    assert [(one.state, one.value) for one in study.trials()] == [("pruned", 1.0)]


def test_what_is_not_installed_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    said = recurra("tune", "c.yaml")
    assert 'recurra tune needs optuna, which is not installed; pip install "recurra[tune]".' in said.err


def spread(values: tuple[float, ...], better: str = "higher", unit: str = "0..1") -> Repeated:
    """A config's runs with these values of one score."""
    mean = sum(values) / len(values)
    deviation = (sum((v - mean) ** 2 for v in values) / (len(values) - 1)) ** 0.5
    found = Spread("score", "dev", unit, better, mean, min(values), max(values), deviation, dict(enumerate(values)), {})  # type: ignore[arg-type]
    return Repeated("x", {("dev", "score"): found}, Path())


def test_a_gain_within_the_noise_is_said_to_be() -> None:
    key = ("dev", "score")
    near = gain(spread((0.90, 0.92, 0.94)), spread((0.89, 0.91, 0.93)), key)
    assert near is not None
    assert in_words(near, "trial 7") == (
        "dev score of trial 7 over 3 seeds: 92.0 % (standard deviation 2.00 points), 1.00 points better than the "
        "default's 91.0 % (2.00 points); 95 % interval of the gain: -3.53 points to 5.53 points. It holds 0: the gain "
        "is within the noise between seeds, and the search has not shown one."
    )
    far = gain(spread((1.0, 1.1, 1.2), "lower", "nats"), spread((2.0, 2.1, 2.2), "lower", "nats"), key)
    assert far is not None
    assert "1 nats better than" in in_words(far, "trial 7")
    assert in_words(far, "trial 7").endswith("That is more than the noise between seeds.")
    back = gain(spread((2.0, 2.1, 2.2), "lower"), spread((1.0, 1.1, 1.2), "lower"), key)
    assert back is not None
    assert in_words(back, "x").endswith("The search has found nothing better than the default.")
    assert gain(spread((1.0, float("nan"))), spread((1.0, 2.0)), key) is None


def test_a_bad_word_among_the_options_in_python_is_named() -> None:
    with pytest.raises(ConfigError, match=r"--sampler: expected one of tpe, random, got 'grid'\."):
        api.TuneOptions(sampler="grid")
    with pytest.raises(ConfigError, match=r"tune: unknown option 'trails'\. Known: trials, "):
        api.tune({"task": "classification"}, trails=3)
