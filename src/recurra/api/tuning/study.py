"""A study of Optuna, in a database that several processes and machines share."""

from __future__ import annotations

import hashlib
import platform
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from recurra.api.tuning.trial import best_of
from recurra.base.errors import ConfigError
from recurra.base.optional import needs

SAMPLERS = ("tpe", "random")
PRUNERS = ("median", "hyperband", "none")
# Seconds between two signs of life of a trial, and after how many without one it is taken for dead.
HEARTBEAT, GRACE = 30, 120
# Seconds in which a trial that begins says on which machine it runs.
BEGINNING = 60
# A trial whose process died so many times has failed.
MOST_DEATHS = 3
# Trials without pruning at first, so that there is something to compare with.
UNPRUNED = 5

# What trials keep beside their values: why one failed; where it runs; which one it takes up.
WHY, HOST, PLACE, ORIGIN = "why", "host", "place", "origin"
SURPLUS = "surplus"
# States of trials that are over.
ENDED = ("complete", "pruned", "failed")
# Drivers take a password behind the ? too.
_SECRET = re.compile(r"(?i)([?&][^=&]*(?:pass|pwd|token|secret)[^=&]*=)[^&]*")


@dataclass(frozen=True, slots=True)
class Kept:
    """One trial, as the study holds it. number: from 0, as if none had died

    state: "complete", "pruned", "failed", "running" or "waiting"      value: its best score, or None
    scores: dev score by epoch      why: it failed
    """

    number: int
    state: str
    value: float | None
    params: Mapping[str, Any]
    scores: Mapping[int, float]
    seconds: float | None
    why: str
    host: str


class FailedTrialError(Exception):
    """A trial has come to nothing: it failed, or is to be taken up again."""


class Study:
    """A study, and what is asked of it. direction: "maximize" or "minimize"

    storage: a file of SQLite, or the URL of a database      place: tells the folder of trials from those of others
    """

    def __init__(
        self, storage: str | Path, name: str, *, direction: str, sampler: str, pruner: str, seed: int, place: str
    ) -> None:
        self.optuna = needs("optuna", "tune", "recurra tune")
        self.optuna.logging.set_verbosity(self.optuna.logging.CRITICAL)  # it logs what is told here in other words
        self.place, self.name = place, name
        self.url = url_of(storage)
        with _without_warnings(self.optuna):
            self._study = self._opened(name, direction, sampler, pruner, seed)

    @property
    def higher_is_better(self) -> bool:
        return bool(self._study.direction == self.optuna.study.StudyDirection.MAXIMIZE)

    def facts(self) -> dict[str, Any]:
        """What the study keeps of the search as a whole."""
        return dict(self._study.user_attrs)

    def keep(self, **facts: Any) -> None:
        for name, value in facts.items():
            self._study.set_user_attr(name, value)

    def add(self, params: Mapping[str, Any]) -> None:
        """Let the next trial have these values."""
        self._study.enqueue_trial(dict(params))

    def run_one(self, objective: Callable[[Any, int], float]) -> None:
        """Run one trial; `objective` has the trial and its number. Raises what it raises, but for FailedTrialError."""
        with _without_warnings(self.optuna):
            self._study.optimize(
                lambda trial: objective(trial, self._number(trial)),
                n_trials=1,
                catch=(FailedTrialError,),
            )

    def trials(self) -> list[Kept]:
        """All trials by their numbers, of one that was taken up the last."""
        last = {_origin(trial): trial for trial in self._all() if trial.user_attrs.get(WHY) != SURPLUS}
        return [self._kept(number, last[origin]) for number, origin in enumerate(sorted(last))]

    def take_up(self, is_free: Callable[[int], bool], note: Callable[[str], None]) -> None:
        """Mark trials whose process has died as failed, and let the next ones take them up with their values.

        is_free: whether no process of this machine holds the folder of a trial
        """
        with _without_warnings(self.optuna):
            self.optuna.storages.fail_stale_trials(self._study)
        states = self.optuna.trial.TrialState
        for trial in self._all():
            # One that has ended since it was read let go of its folder behind that: so it is read again.
            if (
                trial.state == states.RUNNING
                and self._is_dead(trial, is_free)
                and self._all()[trial.number].state == states.RUNNING
            ):
                self._study.tell(trial.number, state=states.FAIL)
        trials = self._all()
        deaths: dict[int, int] = {}
        for trial in trials:
            died = trial.state == states.FAIL and WHY not in trial.user_attrs
            deaths[_origin(trial)] = deaths.get(_origin(trial), 0) + died
        last = {_origin(trial): trial for trial in trials}
        for origin, trial in last.items():
            if trial.state != states.FAIL or WHY in trial.user_attrs or deaths[origin] >= MOST_DEATHS:
                continue
            note(f"trial {self._number(trial) + 1}: its process ended in the middle of it; it is taken up again.")
            self._study.enqueue_trial(trial.params, user_attrs={ORIGIN: origin})

    def importances(self) -> dict[str, float]:
        """How much of the differences of the score each space explains, by PED-ANOVA; {} for too few trials.

        Source: Watanabe et al. 2023, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary
        Subspaces", arXiv:2304.10255.
        """
        try:
            with _without_warnings(self.optuna):
                warnings.simplefilter("error", UserWarning)  # too few trials to tell
                found = self.optuna.importance.get_param_importances(self._study)
        except (ValueError, RuntimeError, UserWarning):  # also where all trials have one value
            return {}
        return {str(name): float(value) for name, value in found.items()}

    def _opened(self, name: str, direction: str, sampler: str, pruner: str, seed: int) -> Any:
        optuna, text = self.optuna, self.url
        given = {"connect_args": {"timeout": 60}} if text.startswith("sqlite") else {}
        try:
            storage = optuna.storages.RDBStorage(
                text, engine_kwargs=given, heartbeat_interval=HEARTBEAT, grace_period=GRACE
            )
            return optuna.create_study(
                storage=storage,
                study_name=name,
                direction=direction,
                sampler=_ByNumber(lambda number: _sampler(optuna, sampler, f"{seed}/{number}"), self._number),
                pruner=_pruner(optuna, pruner),
                load_if_exists=True,
            )
        except Exception as error:  # noqa: BLE001  of a driver that is missing, a server, a file: each has its own
            line = str(error).strip().partition("\n")[0]
            raise ConfigError(
                f"--study {hidden(text)}: cannot be opened: {type(error).__name__}: {line} Expected a file, or the URL "
                f"of a database whose driver is installed, such as sqlite:///study.db.{_missing_password(text)}"
            ) from None

    def _all(self) -> list[Any]:
        return list(self._study.get_trials(deepcopy=False))

    def _number(self, trial: Any) -> int:
        """How many trials began before this one, or before the one that it takes up."""
        origin = _origin(trial)
        return len({_origin(one) for one in self._all() if _origin(one) < origin})

    def _is_dead(self, trial: Any, is_free: Callable[[int], bool]) -> bool:
        """Whether no process runs a trial of this machine; those of others have their signs of life."""
        if HOST not in trial.user_attrs:
            began = trial.datetime_start
            return began is not None and (datetime.now() - began).total_seconds() > BEGINNING
        here = (trial.user_attrs[HOST], trial.user_attrs.get(PLACE)) == (platform.node(), self.place)
        return here and is_free(self._number(trial))

    def _kept(self, number: int, trial: Any) -> Kept:
        states = self.optuna.trial.TrialState
        names = {states.COMPLETE: "complete", states.PRUNED: "pruned", states.RUNNING: "running"}
        scores = dict(trial.intermediate_values)
        heard = best_of(scores.values(), higher=self.higher_is_better)
        value = trial.value if trial.state == states.COMPLETE else heard
        seconds = None if trial.duration is None else trial.duration.total_seconds()
        state = names.get(trial.state, "waiting" if trial.state == states.WAITING else "failed")
        why = trial.user_attrs.get(WHY, "its process died" if state == "failed" else "")
        return Kept(number, state, value, trial.params, scores, seconds, str(why), str(trial.user_attrs.get(HOST, "")))


class _ByNumber:
    """A sampler for each trial, whose draws follow from the trial's number: a search that goes on draws what it would
    have drawn, and workers draw different things."""

    def __init__(self, make: Callable[[int], Any], number: Callable[[Any], int]) -> None:
        self._make, self._number = make, number
        self._sampler = make(0)

    def before_trial(self, study: Any, trial: Any) -> None:
        self._sampler = self._make(self._number(trial))
        self._sampler.before_trial(study, trial)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sampler, name)


def _sampler(optuna: Any, word: str, seed: str) -> Any:
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big")
    if word == "random":
        return optuna.samplers.RandomSampler(seed=number)
    return optuna.samplers.TPESampler(seed=number)


def _pruner(optuna: Any, word: str) -> Any:
    if word == "none":
        return optuna.pruners.NopPruner()
    if word == "hyperband":
        return optuna.pruners.HyperbandPruner()
    return optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED)


def _origin(trial: Any) -> int:
    """The first of the trials that took one another up."""
    return int(trial.user_attrs.get(ORIGIN, trial.number))


def url_of(storage: str | Path) -> str:
    """A database's URL; of a file, that of SQLite."""
    text = str(storage)
    if "://" in text:
        return text
    # Optuna fills in what stands in braces.
    return f"sqlite:///{str(Path(text).absolute()).replace('{', '{{').replace('}', '}}')}"


def hidden(url: str) -> str:
    """A URL without its password, wherever that stands."""
    url = _SECRET.sub(r"\1***", url)
    head, at, tail = url.rpartition("@")
    scheme, slashes, user = head.partition("://")
    return f"{scheme}{slashes}{user.partition(':')[0]}@{tail}" if at and slashes else url


def _missing_password(url: str) -> str:
    """What to do where a URL may lack its password, as the one in the folder of a search does; "" elsewhere."""
    user = "" if url.startswith("sqlite") else url.partition("://")[2].rpartition("@")[0]
    if url == hidden(url) and (user or "***" in url):
        return (
            " The folder of a search keeps no password: give it again, --study "
            f"'{url.partition('://')[0]}://USER:PASSWORD@HOST/DATABASE', or leave it where the driver looks for it, "
            "such as PGPASSWORD or ~/.pgpass."
        )
    return ""


@contextmanager
def _without_warnings(optuna: Any) -> Iterator[None]:
    """Signs of life are experimental to Optuna, which says so at each use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
