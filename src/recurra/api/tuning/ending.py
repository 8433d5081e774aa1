"""The end of a search: the best trials and the default from several seeds, a config, a report."""

from __future__ import annotations

import math
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recurra import __version__
from recurra.api.schema import settings_of
from recurra.api.tuning.clock import Clock
from recurra.api.tuning.options import TuneOptions
from recurra.api.tuning.page import among, in_short, search_report
from recurra.api.tuning.repeating import Gain, Repeated, gain, in_words, repeated
from recurra.api.tuning.space import SearchSpace, value_of
from recurra.api.tuning.study import Kept, Study, hidden
from recurra.api.tuning.trial import Training
from recurra.base.atomic import write_text
from recurra.base.contracts import Report
from recurra.config import filled
from recurra.config import write as config_text
from recurra.report import write
from recurra.report.scores import shown

# Trials that are repeated from other seeds.
BEST = 3
CONFIG = "best.yaml"


@dataclass(frozen=True, slots=True)
class Ended:
    """What the end has come to. report: None where a signal stopped it"""

    report: Report | None
    chosen: Kept | None = None
    values: Mapping[str, Any] | None = None
    verdict: tuple[str, ...] = ()
    config: Path | None = None
    stopped_by: signal.Signals | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """Who ends a search. seed: of what was drawn"""

    space: SearchSpace
    study: Study
    options: TuneOptions
    training: Training
    folder: Path
    clock: Clock
    unit: str
    seed: int

    def end(self, trials: Sequence[Kept], ranked: Sequence[Kept]) -> Ended:
        """Repeat the best, choose one, and write what is found. ranked: those with a score, the best first"""
        repeats, stopped_by = self._repeats(ranked)
        if stopped_by is not None:
            return Ended(None, stopped_by=stopped_by)
        by_name = {_name(one): one for one in ranked}
        again = [one for one in repeats if one.name != "default"]
        chosen = by_name[again[0].name] if again else ranked[0]
        gains = self._gains(again, repeats)
        verdict = self._verdict(chosen, gains)
        config = self.folder / CONFIG
        write_text(config, self._config(chosen, verdict))
        report, charts = search_report(
            f"{self.folder.resolve().name}: search over {len(self.space.names)} settings",
            self.space,
            trials,
            ranked,
            select=self.training.select,
            unit=self.unit,
            higher=self.study.higher_is_better,
            importances=self.study.importances(),
            repeats=repeats,
            gains=gains,
            facts=self._facts(trials, chosen, verdict),
        )
        write(self.folder, report, charts=charts, draw=False, settings=config.read_text("utf-8"))
        return Ended(report, chosen, self._values(chosen), verdict, config)

    def _repeats(self, ranked: Sequence[Kept]) -> tuple[list[Repeated], signal.Signals | None]:
        """The best trials and the default from the same seeds, the best by them first and the default last.

        The seeds are other ones than that of the trials: the best of many is lucky with its own.
        """
        if self.options.seeds == 0:
            return [], None
        first = self.space.default.training.seed
        seeds = [first + number for number in range(1, self.options.seeds + 1)]
        names, found = [_name(one) for one in ranked[:BEST]], []
        trees = {_name(one): self.space.with_values(self._values(one)).tree for one in ranked[:BEST]}
        values = {path: space.default for path, space in self.space.spaces.items()}
        trees["default"] = filled(self.space.document, values).tree
        for name in [names[0], "default", *names[1:]]:
            if not self.clock.has_time_for(len(seeds)):
                self.training.watch.note(f"{name}: no time is left to repeat it from {len(seeds)} seeds.")
                continue
            self.training.watch.note(f"{name}: trained again from seeds {', '.join(map(str, seeds))}.")
            folder = self.folder / "repeats" / name.replace(" ", "-")
            one, stopped_by = repeated(name, trees[name], folder, seeds, self.training)
            if stopped_by is not None:
                return [], stopped_by
            found += [one] if one is not None else []
        return sorted(found, key=self._rank), None

    def _rank(self, one: Repeated) -> tuple[bool, bool, float]:
        """The default last, and before it what has no number: nothing is better or worse than that."""
        mean = one.spreads["dev", self.training.select].mean
        return one.name == "default", not math.isfinite(mean), -mean if self.study.higher_is_better else mean

    def _values(self, one: Kept) -> dict[str, Any]:
        return {name: value_of(self.space.spaces[path], one.params[name]) for name, path in self.space.names.items()}

    def _gains(self, again: Sequence[Repeated], repeats: Sequence[Repeated]) -> list[Gain]:
        """What was gained by the score that chose, on dev and on test."""
        default = next((one for one in repeats if one.name == "default"), None)
        if not again or default is None:
            return []
        keys = [key for key in again[0].spreads if key[1] == self.training.select]
        return [one for key in keys if (one := gain(again[0], default, key)) is not None]

    def _verdict(self, chosen: Kept, gains: Sequence[Gain]) -> tuple[str, ...]:
        if gains:
            return tuple(in_words(one, _name(chosen)) for one in gains)
        value = "none" if chosen.value is None else shown(chosen.value, self.unit)
        return (
            f"{_name(chosen)} has the best dev {self.training.select} of one run each: {value}. The best and the "
            "default were not both repeated, so the noise between seeds is not known, and this may be luck.",
        )

    def _config(self, chosen: Kept, verdict: Sequence[str]) -> str:
        """The settings that were found, as a config with comments."""
        settings = settings_of(self.space.with_values(self._values(chosen)))
        reasons = {name: f"found by a search among {among(self.space, name)}" for name in self.space.names}
        remarks = [f"Trial {chosen.number + 1} of a search, by dev {self.training.select}.", *verdict]
        return config_text(settings.resolved, settings.schema, remarks, reasons)

    def _facts(self, trials: Sequence[Kept], chosen: Kept, verdict: Sequence[str]) -> dict[str, str | int | float]:
        found = {name: in_short(value) for name, value in self._values(chosen).items()}
        return {
            **{f"verdict {number}": sentence for number, sentence in enumerate(verdict, start=1)},
            "found": ", ".join(f"{name}: {value}" for name, value in found.items()),
            "trials": ", ".join(f"{number} {state}" for state, number in counts(trials).items()),
            "study": f"{hidden(self.study.url)}, {self.study.name}",
            "sampler and pruner": f"{self.options.sampler} and {self.options.pruner}, seed {self.seed}",
            "hosts": ", ".join(sorted({one.host for one in trials if one.host})),
            "recurra": __version__,
            "optuna": str(self.study.optuna.__version__),
        }


def counts(trials: Sequence[Kept]) -> dict[str, int]:
    """How many trials ended in which way."""
    found: dict[str, int] = {}
    for one in trials:
        found[one.state] = found.get(one.state, 0) + 1
    return found


def _name(trial: Kept) -> str:
    return f"trial {trial.number + 1}"
