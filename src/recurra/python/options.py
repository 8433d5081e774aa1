"""Options as Python gives them: keywords, dotted names and nested dicts, as the places of a config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from recurra.api.given import refusal, text_of
from recurra.api.schema import SCHEMA, schema_for
from recurra.base.errors import ConfigError, did_you_mean
from recurra.config.aliases import ours
from recurra.tasks import TASKS

Path = tuple[str, ...]


def options_of(task: str, config: object, keywords: Mapping[str, Any]) -> list[tuple[Path, Any]]:
    """Every option that is given, by its path in a config; a keyword stands above the same option of `config`.

    task: as a person calls it      config: None, or {"model": {"encoder": {"cell": "gru"}}}, or
      {"model.encoder.cell": "gru"}, or both mixed      keywords: names of options, or of sections
    Raises ConfigError, with all of them, for keywords that are no option, or that several components have.
    """
    if config is not None and not isinstance(config, Mapping):
        raise refusal("config", "a dict of sections, or of dotted names of options", config)
    task = TASKS.called(text_of(task, "task"))
    TASKS[task]  # a word that is none is said first: which options there are follows from it
    placed = [*_dotted(config or {})]
    problems: list[str] = []
    for name, value in keywords.items():
        try:
            placed.append((_place(task, name), value))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return placed


def put(tree: dict[str, Any], path: Path, value: Any) -> None:
    """Put an option into a tree of sections. A dict goes into the one that is there, unless it names a component."""
    for key in path[:-1]:
        below = tree.get(key)
        inside = {"name": below} if isinstance(below, str) else below
        tree[key] = tree = dict(inside) if isinstance(inside, Mapping) else {}
    there = tree.get(path[-1])
    if not isinstance(value, Mapping) or "name" in value or there is None:
        tree[path[-1]] = value
        return
    for key, one in value.items():
        put(tree, (path[-1], key), one)


def section(options: list[tuple[Path, Any]], name: str) -> dict[str, Any]:
    """What is given of one section."""
    tree: dict[str, Any] = {name: {}}
    for path, value in options:
        if path[0] == name:
            put(tree, path, value)
    return dict(tree[name]) if isinstance(tree[name], Mapping) else {}


def _dotted(config: Mapping[Any, Any]) -> Iterator[tuple[Path, Any]]:
    for key, value in config.items():
        if not isinstance(key, str):
            raise ConfigError(f"config: expected keys that are text, got {key!r}.")
        yield tuple(key.split(".")), value


def _place(task: str, name: str) -> Path:
    """The path of the option that a keyword names: of a whole section, or the one nearest to the top."""
    if name in SCHEMA.sections:
        return (name,)
    schema = schema_for(task)
    found = schema.places(name)
    if len(found) == 1:
        return tuple(found[0].split("."))
    if found:
        raise ConfigError(
            f"{name}: several parts have an option of this name: {', '.join(found)}. Say which one: "
            f"config={{'{found[0]}': ...}}."
        )
    near = [word for word in ours(name) if schema.places(word)]
    hint = f" Did you mean '{near[0]}'?" if near else did_you_mean(name, schema.names())
    raise ConfigError(f"{name}: no such option.{hint} docs/reference/config.md lists all of them.")
