"""What a search draws from: the spaces of a config, each of which the config takes."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from recurra.api.schema import Settings, schema_for, settings_of, several_runs, task_of
from recurra.base.errors import ConfigError
from recurra.config import LEFT_OUT, Choices, Document, Range, Space, filled, find_spaces, yaml_of
from recurra.config.document import KeyPath
from recurra.config.scalars import shown

# What changes how long, or where, a training runs, and not what is learned.
_NO_EFFECT = ("report", "keep_checkpoints", "checkpoint_every", "max_model_gib", "features_gib", "trackers")
# Draws of the other spaces, before a value is said to fit none of them.
_TRIES = 20


@dataclass(frozen=True)
class SearchSpace:
    """A config with spaces. document: as it was read, with `--set` on top      spaces: by their paths"""

    document: Document
    spaces: Mapping[KeyPath, Space]
    default: Settings

    @cached_property
    def names(self) -> dict[str, KeyPath]:
        """The dotted path of each space, as a study has it."""
        return {".".join(path): path for path in self.spaces}

    @cached_property
    def short(self) -> dict[str, str]:
        """What people read for each name: its last word, with words before it where two would be the same."""
        found = {}
        for name, path in self.names.items():
            others = [other for other in self.names.values() if other != path]
            ends = (path[-n:] for n in range(1, len(path) + 1))
            found[name] = ".".join(next(end for end in ends if all(o[-len(end) :] != end for o in others)))
        return found

    @property
    def digest(self) -> str:
        """What tells this search from others."""
        text = json.dumps(self.document.tree, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    def with_values(self, values: Mapping[str, Any]) -> Document:
        """The config with a value for each space, by its name."""
        return filled(self.document, {self.names[name]: value for name, value in values.items()})

    def defaults(self) -> dict[str, Any] | None:
        """The values that the config has without a search; None where one of them is in no space."""
        found = {name: self._default(path) for name, path in self.names.items()}
        held = (holds(self.spaces[self.names[name]], value) for name, value in found.items())
        return found if all(held) else None

    def _default(self, path: KeyPath) -> Any:
        """The value at a path without a search; a component as its word, where all its options have their defaults."""
        space = self.spaces[path]
        if space.default is not LEFT_OUT:
            return space.default
        value: Any = self.default.tree
        for key in path:
            value = value[key]
        if isinstance(value, Mapping) and isinstance(space, Choices):
            return value.get("name", value)
        return value


def holds(space: Space, value: Any) -> bool:
    """Whether a value is one that could be drawn."""
    if isinstance(space, Choices):
        return any(type(one) is type(value) and one == value for one in space.values)
    if isinstance(value, bool) or not isinstance(value, int | float) or not space.low <= value <= space.high:
        return False
    steps = 0.0 if space.step is None else (value - space.low) / space.step
    return abs(steps - round(steps)) <= 1e-9 * max(steps, 1)


def labels_of(space: Choices) -> list[Any]:
    """The choices as a study holds them: plain values as they are, components with options as a line of YAML."""
    return [one if isinstance(one, str | int | float | bool | None) else yaml_of(one) for one in space.values]


def search_space(document: Document) -> SearchSpace:
    """The spaces of a config, which are looked at with all that they lead to, but for the data.

    Raises ConfigError, with every mistake and its line: no space, one where there can be none, bounds or choices that
    the config refuses, and what is wrong beside them.
    """
    schema = schema_for(task_of(document))
    spaces = find_spaces(document, schema)
    if not spaces:
        raise ConfigError(
            f"{document.name}: has no space to search in. Write one in the place of a value, such as hidden_size: "
            "{low: 64, high: 512, log: true} or cell: {choices: [lstm, gru]}, or give one with --set."
        )
    _refuse_places(document, spaces)
    default = settings_of(filled(document, {path: space.default for path, space in spaces.items()}))
    if several := several_runs(default):
        raise ConfigError(
            f"data.split: makes {len(several)} runs of each trial; choose one of them, as "
            f"data.split.{next(iter(several.values()))}."
        )
    _refuse_values(document, spaces)
    return SearchSpace(document, spaces, default)


def _refuse_places(document: Document, spaces: Mapping[KeyPath, Space]) -> None:
    problems = [document.problem(path, why) for path in spaces if (why := _no_place(path))]
    if problems:
        raise ConfigError(p.sentence for p in sorted(problems, key=lambda problem: problem.order))


def _no_place(path: KeyPath) -> str:
    """Why there can be no space at a path; "" where there can."""
    if path in (("task",), ("task", "name")):
        return "a search has one task; write its word."
    if path[0] == "data":
        return "a space here would change the rows by which trials are compared; write a value."
    if path == ("training", "seed"):
        return "a seed is no setting to choose by; write a number, and repeat the best from several with --seeds."
    if path == ("training", "select"):
        return "trials are compared by one score; write its name, or auto."
    if path[0] == "training" and path[1] in _NO_EFFECT:
        return "does not change what is learned; write a value."
    return ""


def _refuse_values(document: Document, spaces: Mapping[KeyPath, Space]) -> None:
    """Raise ConfigError for ends and choices that the config takes with no values of the other spaces."""
    problems: list[str] = []
    for path, space in spaces.items():
        for value in _ends(space):
            if (why := _refused(document, spaces, path, value)) and why not in problems:
                problems.append(why)
    if problems:
        raise ConfigError(problems)


def _ends(space: Space) -> tuple[Any, ...]:
    return space.values if isinstance(space, Choices) else (space.low, space.high)


def _refused(document: Document, spaces: Mapping[KeyPath, Space], path: KeyPath, value: Any) -> str:
    """What the config says of a value, whatever the others are; "" where it takes it."""
    why = ""
    for others in _others(spaces, path):
        try:
            settings_of(filled(document, {**others, path: value}))
        except ConfigError as error:
            why = why or f"{error.problems[0]} (the space has {shown(value)})"
        else:
            return ""
    return why


def _others(spaces: Mapping[KeyPath, Space], path: KeyPath) -> Iterator[dict[KeyPath, Any]]:
    """Values of all spaces but one: their defaults, and then some draws."""
    rest = {other: space for other, space in spaces.items() if other != path}
    yield {other: space.default for other, space in rest.items()}
    draws = random.Random(0)  # noqa: S311  no secret
    for _ in range(_TRIES if rest else 0):
        yield {other: _drawn(space, draws) for other, space in rest.items()}


def _drawn(space: Space, draws: random.Random) -> Any:
    if isinstance(space, Choices):
        return draws.choice(space.values)
    if space.step is not None:
        value = space.low + space.step * draws.randint(0, round((space.high - space.low) / space.step))
        return round(value) if space.whole else value
    return draws.randint(int(space.low), int(space.high)) if space.whole else draws.uniform(space.low, space.high)


def suggested(trial: Any, name: str, space: Space) -> Any:
    """The value that a study suggests for a space. trial: of Optuna"""
    if isinstance(space, Range):
        if space.whole:
            return trial.suggest_int(name, int(space.low), int(space.high), step=int(space.step or 1), log=space.log)
        return trial.suggest_float(name, space.low, space.high, step=space.step, log=space.log)
    labels = labels_of(space)
    return space.values[labels.index(trial.suggest_categorical(name, labels))]


def value_of(space: Space, stored: Any) -> Any:
    """The value of a space that a study holds as `stored`."""
    if isinstance(space, Range):
        return int(stored) if space.whole else float(stored)
    return space.values[labels_of(space).index(stored)]


def stored_of(space: Space, value: Any) -> Any:
    """What a study holds for a value of a space."""
    return value if isinstance(space, Range) else labels_of(space)[space.values.index(value)]
