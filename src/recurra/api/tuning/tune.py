"""Search over the settings of a config: trials, the best of them from several seeds, a config and a report."""

from __future__ import annotations

import json
import platform
import signal
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from recurra import __version__
from recurra.api.callbacks import NoCallback
from recurra.api.defaults import in_float32
from recurra.api.folder import add_cells
from recurra.api.given import AnyPath, config_of, overrides_of, path_of, paths_of
from recurra.api.inference import device_of
from recurra.api.places import STUDY, is_search
from recurra.api.prepare import prepare, selected
from recurra.api.training import name_of
from recurra.api.tuning.clock import Clock
from recurra.api.tuning.ending import BEST, Ended, Ending, counts
from recurra.api.tuning.options import FIELDS, TuneOptions, changed, options_from, read_search
from recurra.api.tuning.page import in_short
from recurra.api.tuning.space import SearchSpace, search_space, stored_of, suggested
from recurra.api.tuning.study import HOST, PLACE, SURPLUS, WHY, FailedTrialError, Kept, Study, hidden
from recurra.api.tuning.trial import EndedError, Training, best_of, clear, why_failed
from recurra.base.atomic import write_text
from recurra.base.contracts import Callback, Report
from recurra.base.errors import ConfigError, RunError, TrainingError
from recurra.base.shell import as_word
from recurra.config import document_of, load, override
from recurra.report.scores import shown
from recurra.training import FolderLock, TakenError

# The search ends after so many trials in a row that failed: the next ones would fail too.
MOST_FAILURES = 10
# Tenths of a second in which a process waits for its turn.
TURNS = 600
_NOT_STOPPED: signal.Signals | None = None
ENDED = ("complete", "pruned", "failed")


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a search has come to. report: None if it was stopped, or others are still at it

    config: the best settings as a file, or None      best: their trial, from 1      values: what was found, by path
    verdict: sentences on what was gained, beside the noise between seeds      trials: how many ended in which way
    stopped_by: the signal, or None
    """

    folder: Path
    report: Report | None
    config: Path | None
    best: int | None
    values: Mapping[str, Any]
    verdict: tuple[str, ...]
    trials: Mapping[str, int]
    stopped_by: signal.Signals | None = None


@in_float32
def tune(
    config: AnyPath | Mapping[str, Any],
    options: TuneOptions | None = None,
    *,
    out: AnyPath | None = None,
    overrides: Sequence[str] = (),
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
    watch: Callback | None = None,
    **given: Any,
) -> Tuned:
    """Search the spaces of a config for the settings with the best dev score, and repeat the best from several seeds.

    config: a file, or a dict of its sections, in which `{low: ..., high: ...}` or `{choices: [...]}` stand in the
    place of values; or the folder of a search, which goes on
    options, given: how it goes, as `TuneOptions`, or its fields as keywords; a search that goes on keeps its own where
    these have their defaults      out: by default runs/NAME-search
    The same call again goes on with a search, and several at the same time share it.
    Raises ConfigError for spaces that are none, for options and for a database that cannot be opened; DataError for
    data that cannot be learned from; RunError where the folder holds something else; TrainingError where no trial ends.
    """
    watch, paths = watch or NoCallback(), paths_of(cells, "cells")
    add_cells(paths)
    config, overrides = config_of(config), overrides_of(overrides)
    if isinstance(config, Path) and is_search(config):
        if overrides or out is not None:
            raise ConfigError(f"{config}: is a search, and keeps its folder and settings; leave out --set and --out.")
        kept = read_search(config)
        document, folder = document_of(kept["config"], str(kept["name"])), config
        options, given = None, {**kept["options"], **changed(options), **given}
    else:
        document = override(document_of(config) if isinstance(config, Mapping) else load(config), overrides)
        name = name_of(config) if isinstance(config, Path) else "config"
        folder = path_of(out, "out") if out is not None else Path("runs") / f"{name}-search"
    options = options_from(given, options)
    return _Search(search_space(document), options, folder, device, paths, watch).run()


class _Search:
    """One process at the trials of a search."""

    def __init__(
        self,
        space: SearchSpace,
        options: TuneOptions,
        folder: Path,
        device: str,
        cells: tuple[Path, ...],
        watch: Callback,
    ) -> None:
        device_of(device)
        self.space, self.options, self.folder, self.watch = space, options, folder, watch
        self.seed = space.default.training.seed if options.seed is None else options.seed
        self.clock = Clock(options.hours, options.seeds * (BEST + 1))
        self.failures, self.stopped_by = 0, _NOT_STOPPED
        with self._turn():
            self.place = self._begin()
            self.study, select, self.unit = self._open()
        self.training = Training(select, device, cells, watch)

    def run(self) -> Tuned:
        """All trials that are left, then the best from several seeds."""
        while self._next():
            self.study.run_one(self._trial)
            self._tidy()
        trials = self.study.trials()
        if self.stopped_by is not None:
            return self._tuned(trials, Ended(None, stopped_by=self.stopped_by))
        if running := [one for one in trials if one.state == "running"]:
            self.watch.note(
                f"{len(running)} of {len(trials)} trials are still run by others: who ends last repeats the best and "
                "writes the report. To do it later: the same command again."
            )
            return self._tuned(trials, Ended(None))
        ranked = self._ranked(trials)
        ending = Ending(
            self.space, self.study, self.options, self.training, self.folder, self.clock, self.unit, self.seed
        )
        try:
            with FolderLock(self.folder / "repeats"):
                return self._tuned(trials, ending.end(trials, ranked))
        except TakenError:
            self.watch.note("another process repeats the best, and writes the report.")
            return self._tuned(trials, Ended(None))

    def _ranked(self, trials: Sequence[Kept]) -> list[Kept]:
        """Trials with a score, the best first. Raises TrainingError where there are none."""
        scored = [(one.value, one) for one in trials if one.state == "complete" and one.value is not None]
        if not scored:
            raise TrainingError(
                f"{self.folder}: no trial of {len(trials)} came to its end, so there is nothing to choose. Why each of "
                "them ended is said above; give more trials or hours, or mend the config."
            )
        scored.sort(key=lambda pair: -pair[0] if self.study.higher_is_better else pair[0])
        return [one for _, one in scored]

    def _begin(self) -> str:
        """Write down what is searched, or find it there; a word that tells this folder from others."""
        place = uuid.uuid4().hex
        if is_search(self.folder):
            kept = read_search(self.folder)
            if kept["digest"] != self.space.digest:
                raise RunError(
                    f"{self.folder}: holds a search of other settings. Choose another folder with --out, or go on with "
                    f"that one: recurra tune {as_word(self.folder)}"
                )
            place = str(kept["place"])
        elif any((self.folder / taken).exists() for taken in ("run.json", "group.json", "config.yaml")):
            raise RunError(f"{self.folder}: already holds a run or a config; choose another folder with --out.")
        options = {name: getattr(self.options, name) for name in FIELDS if name != "hours"}
        said = {
            "format": 1,
            "recurra": __version__,
            "name": self.space.document.name,
            "digest": self.space.digest,
            "place": place,
            "options": {**options, "study": options["study"] and hidden(options["study"])},
            "config": self.space.document.tree,
        }
        write_text(self.folder / STUDY, json.dumps(said, indent=1, allow_nan=False) + "\n")
        return place

    def _open(self) -> tuple[Study, str, str]:
        """The study, the score that it compares by, and its unit."""
        how = {"sampler": self.options.sampler, "pruner": self.options.pruner, "seed": self.seed}
        select, unit, direction = self._compared()
        study = Study(
            self.options.study or self.folder / "study.db",
            f"recurra-{self.space.digest[:16]}",
            direction=direction,
            place=self.place,
            sampler=self.options.sampler,
            pruner=self.options.pruner,
            seed=self.seed,
        )
        known = study.facts()
        for option, value in how.items():
            if known.get(option, value) != value:
                raise ConfigError(
                    f"--{option} {value}: the search in {hidden(study.url)} began with {known[option]}; leave it so."
                )
        if not known:
            study.keep(**how)
            self._add_default(study)
        elif trials := study.trials():
            ended = sum(one.state in ENDED for one in trials)
            self.watch.note(f"{hidden(study.url)}: {ended} of {self.options.trials} trials have ended; it goes on.")
        return study, select, unit

    def _compared(self) -> tuple[str, str, str]:
        """By which score trials are compared, its unit, and which way is better: by the data with the defaults."""
        prepared = prepare(self.space.default, NoCallback())
        select = selected(self.space.default, prepared, NoCallback())
        score = next(s for s in prepared.task.possible_scores(prepared.splits["dev"]) if s.name == select)
        higher = score.better == "higher"
        names = ", ".join(self.space.names)
        self.watch.note(f"searching {names} by dev {select} ({'higher' if higher else 'lower'} is better).")
        if own := [name for name in self.space.names if name.startswith("task.")]:
            self.watch.note(f"{', '.join(own)}: compare only scores that mean the same for all of its values.")
        return select, score.unit, "maximize" if higher else "minimize"

    def _add_default(self, study: Study) -> None:
        """Let the first trial be the config without a search, where its values are in the spaces."""
        defaults = self.space.defaults()
        if defaults is None:
            self.watch.note("the config's own values are not all in the spaces, so the first trial is drawn.")
            return
        self.watch.note("the first trial has the config's own values.")
        study.add({name: stored_of(self.space.spaces[self.space.names[name]], v) for name, v in defaults.items()})

    def _next(self) -> bool:
        """Whether there is a trial to run, and time for it."""
        if self.failures >= MOST_FAILURES:
            raise TrainingError(
                f"{self.folder}: the last {self.failures} trials failed one after the other, as is said above. Mend "
                "the config, and search in another folder."
            )
        if self.stopped_by is not None or self.clock.trials_are_over:
            return False
        with self._turn():
            self.study.take_up(self._is_free, self.watch.note)
        trials = self.study.trials()
        return any(one.state == "waiting" for one in trials) or len(trials) < self.options.trials

    def _trial_folder(self, number: int) -> Path:
        return self.folder / "trials" / f"trial-{number + 1}"

    def _is_free(self, number: int) -> bool:
        """Whether no process holds the folder of a trial."""
        try:
            with FolderLock(self._trial_folder(number)):
                return True
        except TakenError:
            return False

    def _trial(self, trial: Any, number: int) -> float:
        """What a study asks of a trial: its best dev score. Raises TrialPruned, or FailedTrialError."""
        if number >= self.options.trials:
            trial.set_user_attr(WHY, SURPLUS)  # another worker took the last place
            raise FailedTrialError
        with FolderLock(self._trial_folder(number)):
            trial.set_user_attr(HOST, platform.node())
            trial.set_user_attr(PLACE, self.place)
            values = {name: suggested(trial, name, self.space.spaces[path]) for name, path in self.space.names.items()}
            self._announce(number, values)
            began = time.monotonic()
            best = self._score_of(trial, number, values)
            self.clock.seconds.append(time.monotonic() - began)
            return best

    def _announce(self, number: int, values: Mapping[str, Any]) -> None:
        said = ", ".join(f"{self.space.short[name]} {in_short(value)}" for name, value in values.items())
        ended = sum(one.state in ENDED for one in self.study.trials())
        left = self.clock.left(self.options.trials - ended)
        self.watch.note(f"trial {number + 1} of {self.options.trials}: {said}{f'  ({left})' if left else ''}")

    def _score_of(self, trial: Any, number: int, values: Mapping[str, Any]) -> float:
        heard: dict[int, float] = {}

        def hear(epoch: int, value: float) -> None:
            heard[epoch] = value
            trial.report(value, epoch)
            if trial.should_prune():
                raise EndedError(f"ended after epoch {epoch}, behind the others")
            if self.clock.trials_are_over:
                raise EndedError(f"ended after epoch {epoch}: the time for trials is up")

        try:
            folder = self._trial_folder(number) / "run"
            self.stopped_by = self.training.run(self.space.with_values(values).tree, folder, hear)
        except EndedError as ended:
            self._say(number, f"{self._shown(heard)}, {ended.why}")
            self.failures = 0
            raise self.study.optuna.TrialPruned from None
        except Exception as error:  # noqa: BLE001  one trial that fails must not end the others
            self._fail(trial, number, why_failed(error))
        if self.stopped_by is not None:
            raise FailedTrialError  # without a reason: the next worker takes it up
        best = best_of(heard.values(), higher=self.study.higher_is_better)
        if best is None:
            self._fail(trial, number, f"no epoch had a finite {self.training.select}")
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
        higher = self.study.higher_is_better
        best = best_of(heard.values(), higher=higher)
        if best is None:
            return f"no finite dev {self.training.select}"
        others = [one.value for one in self.study.trials() if one.state == "complete" and one.value is not None]
        ahead = best_of([*others, best], higher=higher) == best and best not in others
        return f"dev {self.training.select} {shown(best, self.unit)}{' (best so far)' if ahead else ''}"

    def _say(self, number: int, what: str) -> None:
        self.watch.note(f"trial {number + 1}: {what}")

    def _tidy(self) -> None:
        """Let go of the weights of trials that have ended."""
        for one in self.study.trials():
            if one.state in ENDED:
                clear(self._trial_folder(one.number) / "run")

    def _tuned(self, trials: Sequence[Kept], ended: Ended) -> Tuned:
        number = None if ended.chosen is None else ended.chosen.number + 1
        return Tuned(
            self.folder,
            ended.report,
            ended.config,
            number,
            ended.values or {},
            ended.verdict,
            counts(trials),
            ended.stopped_by,
        )

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Only one process of a folder at a time looks for trials that died."""
        with ExitStack() as stack:
            for attempt in range(TURNS):
                try:
                    stack.enter_context(FolderLock(self.folder))
                    break
                except TakenError:
                    if attempt == TURNS - 1:
                        raise
                    time.sleep(0.1)
            yield
