"""How a search goes, and what its folder says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recurra.api.places import STUDY, read_json
from recurra.api.tuning.study import PRUNERS, SAMPLERS
from recurra.base.errors import ConfigError, RunError


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """How a search goes. trials: of all workers together      hours: of this call, or None

    seeds: from how many the best are repeated; 0: they are not      sampler: tpe or random
    pruner: median, hyperband or none      seed: of what is drawn; None: the config's
    study: a file, or the URL of a database that others share; None: a file in the folder of the search
    """

    trials: int = 40
    hours: float | None = None
    seeds: int = 3
    sampler: str = "tpe"
    pruner: str = "median"
    study: str | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        problems = []
        if self.trials < 1:
            problems.append(f"--trials: expected at least 1, got {self.trials}.")
        if self.hours is not None and not 0 < self.hours <= 10_000:
            problems.append(f"--hours: expected more than 0, at most 10,000, got {self.hours:g}.")
        if self.seeds == 1 or self.seeds < 0:
            problems.append(f"--seeds: expected 2 or more, which show the noise, or 0 for none; got {self.seeds}.")
        if self.sampler not in SAMPLERS:
            problems.append(f"--sampler: expected one of {', '.join(SAMPLERS)}, got '{self.sampler}'.")
        if self.pruner not in PRUNERS:
            problems.append(f"--pruner: expected one of {', '.join(PRUNERS)}, got '{self.pruner}'.")
        if problems:
            raise ConfigError(problems)


FIELDS = tuple(TuneOptions.__dataclass_fields__)


def options_from(given: Mapping[str, Any], options: TuneOptions | None) -> TuneOptions:
    """Options with those that are given on top. Raises ConfigError for one that is none."""
    for name in given:
        if name not in FIELDS:
            raise ConfigError(f"tune: unknown option '{name}'. Known: {', '.join(FIELDS)}.")
    return replace(options, **given) if options is not None else TuneOptions(**given)


def at_place(options: TuneOptions) -> TuneOptions:
    """The same with the study's file by its whole path, so that the search goes on with it from another folder too."""
    if options.study is None or "://" in options.study:
        return options
    return replace(options, study=str(Path(options.study).absolute()))


def changed(options: TuneOptions | None) -> dict[str, Any]:
    """The options that have other values than by default."""
    usual = TuneOptions()
    said = {} if options is None else {name: getattr(options, name) for name in FIELDS}
    return {name: value for name, value in said.items() if value != getattr(usual, name)}


def read_search(folder: Path) -> dict[str, Any]:
    """What the folder of a search says of it. Raises RunError."""
    said = read_json(folder / STUDY)
    good = isinstance(said, dict) and said.get("format") == 1 and isinstance(said.get("config"), dict)
    good = good and isinstance(said.get("options"), dict) and set(said["options"]) <= set(FIELDS)
    good = good and all(isinstance(said.get(key), str) for key in ("name", "digest", "place"))
    if not good:
        raise RunError(f"{folder / STUDY}: damaged, or of another version; expected what `recurra tune` writes.")
    return dict(said)
