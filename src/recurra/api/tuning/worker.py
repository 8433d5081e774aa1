"""One process at the trials of a search: what a study asks of a trial, and what is said of it."""

from __future__ import annotations

import platform
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

from recurra.api.tuning.clock import Clock
from recurra.api.tuning.page import in_short
from recurra.api.tuning.space import SearchSpace, suggested
from recurra.api.tuning.study import ENDED, HOST, PLACE, SURPLUS, WHY, FailedTrialError, Study
from recurra.api.tuning.trial import EndedError, Training, best_of, clear, why_failed
from recurra.report.scores import shown
from recurra.training import FolderLock, TakenError

_NOT_STOPPED: signal.Signals | None = None


class Worker:
    """Runs trials, each in a folder of its own. failures: trials in a row that failed; stopped_by: a signal, or None

    number: of trials of all workers together      place, unit: as `Opening` has them      say: told of each trial
    """

    def __init__(
        self,
        space: SearchSpace,
        study: Study,
        training: Training,
        clock: Clock,
        *,
        folder: Path,
        number: int,
        place: str,
        unit: str,
        say: Callable[[str], None],
    ) -> None:
        self._space, self._study, self._training, self._clock = space, study, training, clock
        self._folder, self._number, self._place, self._unit, self._tell = folder, number, place, unit, say
        self.failures, self.stopped_by = 0, _NOT_STOPPED
        self._held = ExitStack()

    def run_one(self) -> None:
        """Run one trial; its folder is held until the study knows how it ended, or others would take it for dead."""
        with self._held:
            self._study.run_one(self.trial)

    def trial(self, trial: Any, number: int) -> float:
        """What a study asks of a trial: its best dev score. Raises TrialPruned, or FailedTrialError."""
        if number >= self._number:
            trial.set_user_attr(WHY, SURPLUS)  # another worker took the last place
            raise FailedTrialError
        self._held.enter_context(FolderLock(self._place_of(number)))
        trial.set_user_attr(HOST, platform.node())
        trial.set_user_attr(PLACE, self._place)
        values = {name: suggested(trial, name, self._space.spaces[path]) for name, path in self._space.names.items()}
        self._announce(number, values)
        began = time.monotonic()
        best = self._score_of(trial, number, values)
        self._clock.seconds.append(time.monotonic() - began)
        return best

    def is_free(self, number: int) -> bool:
        """Whether no process holds the folder of a trial."""
        try:
            with FolderLock(self._place_of(number)):
                return True
        except TakenError:
            return False

    def tidy(self) -> None:
        """Let go of the weights of trials that have ended."""
        for one in self._study.trials():
            if one.state in ENDED:
                clear(self._place_of(one.number) / "run")

    def _place_of(self, number: int) -> Path:
        return self._folder / "trials" / f"trial-{number + 1}"

    def _announce(self, number: int, values: Mapping[str, Any]) -> None:
        said = ", ".join(f"{self._space.short[name]} {in_short(value)}" for name, value in values.items())
        ended = sum(one.state in ENDED for one in self._study.trials())
        left = self._clock.left(self._number - ended)
        self._tell(f"trial {number + 1} of {self._number}: {said}{f'  ({left})' if left else ''}")

    def _score_of(self, trial: Any, number: int, values: Mapping[str, Any]) -> float:
        heard: dict[int, float] = {}

        def hear(epoch: int, value: float) -> None:
            heard[epoch] = value
            trial.report(value, epoch)
            if trial.should_prune():
                raise EndedError(f"ended after epoch {epoch}, behind the others")
            if self._clock.trials_are_over:
                raise EndedError(f"ended after epoch {epoch}: the time for trials is up")

        try:
            folder = self._place_of(number) / "run"
            self.stopped_by = self._training.run(self._space.with_values(values).tree, folder, hear)
        except EndedError as ended:
            self._say(number, f"{self._shown(heard)}, {ended.why}")
            self.failures = 0
            raise self._study.optuna.TrialPruned from None
        except Exception as error:  # noqa: BLE001  one trial that fails must not end the others
            self._fail(trial, number, why_failed(error))
        if self.stopped_by is not None:
            raise FailedTrialError  # without a reason: the next worker takes it up
        best = best_of(heard.values(), higher=self._study.higher_is_better)
        if best is None:
            self._fail(trial, number, f"no epoch had a finite {self._training.select}")
        self.failures = 0
        self._say(number, self._shown(heard))
        return best

    def _fail(self, trial: Any, number: int, why: str) -> NoReturn:
        self.failures += 1
        self._say(number, f"failed: {why}")
        trial.set_user_attr(WHY, why)
        raise FailedTrialError

    def _shown(self, heard: Mapping[int, float]) -> str:
        """The best score of a trial, and whether it is the best of all."""
        higher = self._study.higher_is_better
        best = best_of(heard.values(), higher=higher)
        if best is None:
            return f"no finite dev {self._training.select}"
        others = [one.value for one in self._study.trials() if one.state == "complete" and one.value is not None]
        ahead = best_of([*others, best], higher=higher) == best and best not in others
        return f"dev {self._training.select} {shown(best, self._unit)}{' (best so far)' if ahead else ''}"

    def _say(self, number: int, what: str) -> None:
        self._tell(f"trial {number + 1}: {what}")
