"""Where a config has a space in the place of a value: `{low: 64, high: 512, log: true}` or `{choices: [lstm, gru]}`.

A search draws values from it; whoever trains refuses it. A map that an option takes as it is, such as weights of labels
called low and high, is none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import UnionType
from typing import Any, Union, get_args, get_origin

from recurra.base.errors import ConfigError, did_you_mean
from recurra.base.option import OneOf
from recurra.config.document import Document, KeyPath, Problem
from recurra.config.options import Option, options_of
from recurra.config.scalars import shown
from recurra.config.schema import Fixed, Schema
from recurra.config.values import MisfitError, fit

KEYS = ("low", "high", "log", "step", "choices", "default")
# What makes a map a space, and not a component with options.
MARKS = ("low", "high", "choices")
# More choices than this are no search.
MOST_CHOICES = 100


class _Left:
    """The value of a space without a default: the option is left out of the config, and has its own."""


LEFT_OUT = _Left()


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from low to high, both among them. whole: integers      log: evenly by their logarithm

    step: only low, low + step, ...; None: all of them
    """

    low: float
    high: float
    whole: bool
    log: bool = False
    step: float | None = None
    default: Any = LEFT_OUT


@dataclass(frozen=True, slots=True)
class Choices:
    """One of some values, in no order."""

    values: tuple[Any, ...]
    default: Any = LEFT_OUT


Space = Range | Choices


def is_space(value: Any) -> bool:
    """Whether a value of a config can only be meant as a space."""
    return isinstance(value, Mapping) and set(value) <= set(KEYS) and any(mark in value for mark in MARKS)


def find_spaces(document: Document, schema: Schema) -> dict[KeyPath, Space]:
    """The spaces of a config, in the order of its sections.

    Raises ConfigError with all mistakes in them: bounds that are none, a range of words, steps that lead past its end.
    """
    found: dict[KeyPath, Space] = {}
    problems: list[Problem] = []
    for path, option, value in _placed(document, schema):
        try:
            found[path] = _space(option, value)
        except _WrongError as wrong:
            problems.append(document.problem((*path, *wrong.below), wrong.sentence))
    if problems:
        raise ConfigError(p.sentence for p in sorted(problems, key=lambda problem: problem.order))
    return found


def refuse_spaces(document: Document, schema: Schema) -> None:
    """Raise ConfigError for spaces in a config that is to be trained, or checked."""
    if not _any_space(document.tree):
        return
    problems = [
        document.problem(
            path,
            f"is a space of a search, got {shown(dict(value))}; expected a value here. `recurra tune {document.name}` "
            "searches, or write a value.",
        )
        for path, _, value in _placed(document, schema)
    ]
    if problems:
        raise ConfigError(p.sentence for p in sorted(problems, key=lambda problem: problem.order))


def filled(document: Document, values: Mapping[KeyPath, Any]) -> Document:
    """The document with values in the place of its spaces; LEFT_OUT takes the option out. The lines stay."""
    tree = _copied(document.tree)
    for path, value in values.items():
        place = tree
        for key in path[:-1]:
            place = place[key]
        if value is LEFT_OUT:
            del place[path[-1]]
        else:
            place[path[-1]] = value
    return replace(document, tree=tree)


class _WrongError(Exception):
    """A space is none. below: the key inside of it that is wrong"""

    def __init__(self, sentence: str, *below: str) -> None:
        super().__init__(sentence)
        self.sentence, self.below = sentence, below


def _any_space(tree: Any) -> bool:
    if not isinstance(tree, Mapping):
        return False
    return is_space(tree) or any(map(_any_space, tree.values()))


def _placed(document: Document, schema: Schema) -> Iterator[tuple[KeyPath, Option | OneOf, Mapping[str, Any]]]:
    """Each space with its path and the option, or the component, whose place it takes."""
    for name, section in schema.sections.items():
        given = document.tree.get(name)
        if isinstance(section, Fixed):
            if isinstance(given, Mapping):
                yield from _of_options((name,), given, schema.options((name,), section.constructor), schema)
        else:
            yield from _of_component((name,), given, section, schema.defaults.get(name), schema)


def _of_options(
    path: KeyPath, given: Mapping[str, Any], options: tuple[Option, ...], schema: Schema
) -> Iterator[tuple[KeyPath, Option | OneOf, Mapping[str, Any]]]:
    for option in options:
        value = given.get(option.name)
        if isinstance(option.note, OneOf):
            default = option.default if isinstance(option.default, str) else None
            yield from _of_component((*path, option.name), value, option.note, default, schema)
        elif isinstance(value, Mapping) and is_space(value) and not _fits(option, value):
            yield (*path, option.name), option, value


def _of_component(
    path: KeyPath, given: Any, note: OneOf, default: str | None, schema: Schema
) -> Iterator[tuple[KeyPath, Option | OneOf, Mapping[str, Any]]]:
    """A space in the place of a component, of its word, or of its options."""
    if not isinstance(given, Mapping):
        return
    own = {option.name for option in _options(note, default)}
    if is_space(given) and not own & set(given):
        yield path, note, given
        return
    word = given.get("name", default)
    if is_space(word):
        yield (*path, "name"), note, word
        words = word.get("choices")
        word = words[0] if isinstance(words, list) and words else default
    if isinstance(word, str) and word in note.registry:
        yield from _of_options(path, given, schema.options(path, note.registry[word]), schema)


def _options(note: OneOf, word: str | None) -> tuple[Option, ...]:
    return options_of(note.registry[word]) if word is not None and word in note.registry else ()


def _space(option: Option | OneOf, value: Mapping[str, Any]) -> Space:
    default = value.get("default", LEFT_OUT)
    if isinstance(option, Option) and option.required and default is LEFT_OUT:
        raise _WrongError(
            f"has no default of its own; add `default: {_example(value)}` to the space: the search is compared with it."
        )
    return _choices(option, value, default) if "choices" in value else _range(option, value, default)


def _example(value: Mapping[str, Any]) -> str:
    choices = value.get("choices")
    return shown(choices[0] if isinstance(choices, list) and choices else value.get("low"))


def _choices(option: Option | OneOf, value: Mapping[str, Any], default: Any) -> Choices:
    for key in value:
        if key not in ("choices", "default"):
            raise _WrongError("has no effect beside choices; leave one of them out.", key)
    choices = value["choices"]
    if not isinstance(choices, list) or not 2 <= len(choices) <= MOST_CHOICES:
        got = f"{len(choices)}" if isinstance(choices, list) else shown(choices)
        raise _WrongError(f"expected a list of two values or more, got {got}.", "choices")
    if twice := next((one for i, one in enumerate(choices) if any(_same(one, other) for other in choices[:i])), None):
        raise _WrongError(f"has {shown(twice)} twice; leave it out once.", "choices")
    if isinstance(option, OneOf) and any(_any_space(choice) for choice in choices):
        raise _WrongError("a space inside of a choice is not searched; write its values as choices.", "choices")
    return Choices(tuple(choices), default)


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _range(option: Option | OneOf, value: Mapping[str, Any], default: Any) -> Range:
    kinds = set() if isinstance(option, OneOf) else _scalars(option.kind)
    if not kinds & {int, float}:
        what = "true or false" if kinds == {bool} else "words"
        raise _WrongError(f"takes {what}, and has no range from low to high; write {{choices: [...]}}.")
    whole = float not in kinds
    numbers = {key: _number(value, key, whole=whole) for key in ("low", "high")}
    low, high = numbers["low"], numbers["high"]
    log = value.get("log", False)
    if not isinstance(log, bool):
        raise _WrongError(f"expected true or false, got {shown(log)}.", "log")
    if low >= high:
        raise _WrongError(f"expected low < high, got low {shown(low)} and high {shown(high)}.", "low")
    if log and low <= 0:
        raise _WrongError(f"expected low > 0 with log: true, got {shown(low)}.", "low")
    step = _step(value, low, high, log=log, whole=whole) if "step" in value else None
    if not whole:
        low, high = float(low), float(high)
    return Range(low, high, whole, log, step, default)


def _number(value: Mapping[str, Any], key: str, *, whole: bool) -> float:
    if key not in value:
        other = next(iter(set(value) - {key}), "")
        hint = did_you_mean(key, [other])
        raise _WrongError(f"expected low and high, and {key} is missing.{hint}")
    number = value[key]
    kinds = "an integer" if whole else "a number"
    fits = isinstance(number, int if whole else (int, float)) and not isinstance(number, bool)
    if not fits or not math.isfinite(number):
        raise _WrongError(f"expected {kinds}, got {shown(number)}.", key)
    return float(number) if not whole else int(number)


def _step(value: Mapping[str, Any], low: float, high: float, *, log: bool, whole: bool) -> float:
    step = _number(value, "step", whole=whole)
    if log:
        raise _WrongError("has no effect with log: true; leave one of them out.", "step")
    if not 0 < step <= high - low:
        raise _WrongError(f"expected more than 0, and at most high - low = {high - low:g}, got {shown(step)}.", "step")
    steps = (high - low) / step
    if abs(steps - round(steps)) > 1e-9 * steps:
        last = low + math.floor(steps) * step
        raise _WrongError(
            f"leads from {low:g} to {last:g} and then past high, {high:g}; write {last:g} or {last + step:g} there.",
            "step",
        )
    return step


def _scalars(kind: Any) -> set[Any]:
    """The plain kinds that an option takes: int of `int | None`."""
    if get_origin(kind) in (Union, UnionType):
        return {one for member in get_args(kind) for one in _scalars(member)}
    return {kind} if kind in (int, float, bool, str) else set()


def _fits(option: Option, value: Mapping[str, Any]) -> bool:
    """Whether a map is a value of an option."""
    try:
        fit(option.kind, option.note, value)  # type: ignore[arg-type]
    except MisfitError:
        return False
    return True


def _copied(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, Mapping) else value for key, value in tree.items()}
