"""Search over the settings of a config: trials, the best of them from several seeds, a config and a report."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recurra.api.callbacks import NoCallback
from recurra.api.defaults import in_float32
from recurra.api.folder import add_cells
from recurra.api.given import AnyPath, config_of, overrides_of, path_of, paths_of
from recurra.api.inference import device_of
from recurra.api.places import is_search
from recurra.api.schema import without_signatures
from recurra.api.training import name_of
from recurra.api.tuning.clock import Clock
from recurra.api.tuning.ending import BEST, Ended, Ending, counts
from recurra.api.tuning.opening import Opening, turn
from recurra.api.tuning.options import TuneOptions, at_place, changed, options_from, read_search
from recurra.api.tuning.space import SearchSpace, search_space
from recurra.api.tuning.study import Kept
from recurra.api.tuning.trial import Training
from recurra.api.tuning.worker import Worker
from recurra.base.contracts import Callback, Report
from recurra.base.errors import ConfigError, TrainingError
from recurra.config import document_of, load, override
from recurra.training import FolderLock, TakenError

# The search ends after so many trials in a row that failed: the next ones would fail too.
MOST_FAILURES = 10


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
    document, options = without_signatures(document), at_place(options_from(given, options))
    return _Search(search_space(document), options, folder, device, paths, watch).run()


class _Search:
    """One process at a search: all trials that are left, then the best from several seeds."""

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
        with turn(folder):
            begun = Opening(space, options, folder, self.seed, watch)
        self.study, self.unit = begun.study, begun.unit
        self.training = Training(begun.select, device, cells, watch)
        self.worker = Worker(
            space,
            self.study,
            self.training,
            self.clock,
            folder=folder,
            number=options.trials,
            place=begun.place,
            unit=begun.unit,
            say=watch.note,
        )

    def run(self) -> Tuned:
        """All trials that are left, then the best from several seeds."""
        while self._next():
            self.worker.run_one()
            self.worker.tidy()
        trials = self.study.trials()
        if self.worker.stopped_by is not None:
            return self._tuned(trials, Ended(None, stopped_by=self.worker.stopped_by))
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

    def _next(self) -> bool:
        """Whether there is a trial to run, and time for it."""
        if self.worker.failures >= MOST_FAILURES:
            raise TrainingError(
                f"{self.folder}: the last {self.worker.failures} trials failed one after the other, as is said above. "
                "Mend the config, and search in another folder."
            )
        if self.worker.stopped_by is not None or self.clock.trials_are_over:
            return False
        with turn(self.folder):
            self.study.take_up(self.worker.is_free, self.watch.note)
        trials = self.study.trials()
        return any(one.state == "waiting" for one in trials) or len(trials) < self.options.trials

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
