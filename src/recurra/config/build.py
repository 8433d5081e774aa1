"""A resolved section to the thing it describes, with the section's place in front of what the constructor refuses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from recurra.base.errors import ConfigError, DataError, RunError, ShapeError
from recurra.base.option import OneOf
from recurra.config.document import Document, KeyPath
from recurra.config.options import options_of


@dataclass(frozen=True, slots=True)
class Section:
    """One resolved section. options: with the component's word under `name`, if it is a component."""

    options: Mapping[str, Any]
    path: KeyPath
    document: Document


def build(
    section: Section | Mapping[str, Any] | str,
    maker: Mapping[str, Any] | Callable[..., Any],
    *positional: Any,
    **given: Any,
) -> Any:
    """Call the constructor that a section describes: `maker`, or the one that the section's word names in it.

    section: of `Resolved.section`, or the same as plain values, or only the word of a component
    positional, given: what comes from the data and the caller, and is no option
    A component inside the section arrives as a `Section`: its receiver builds it, with its own positional arguments.
    Raises ConfigError, with file and line where they are known, for any ValueError of the constructor.
    """
    options = dict({"name": section} if isinstance(section, str) else _plain(section))
    constructor = maker[options.pop("name")] if isinstance(maker, Mapping) else maker
    if isinstance(section, Section):
        options |= _components(section, constructor)
    with located(section):
        return constructor(*positional, **options, **given)


@contextmanager
def located(section: object) -> Iterator[None]:
    """Raise what is refused inside, ValueErrors, as ConfigErrors with the file and line of the section's options."""
    try:
        yield
    except (DataError, ShapeError, RunError):
        raise
    except ValueError as error:
        if not isinstance(section, Section):
            raise
        raise ConfigError(sentence for _, sentence in sentences(error, section)) from error


def sentences(error: ValueError, section: Section) -> Iterator[tuple[int | None, str]]:
    """What a constructor refused, as (line, sentence).

    A message that begins with an option (`momentum: ...`, `momentum=0 ...`) is put at that option's line. The
    component's own word in front of it is left out, as the section's path says the same.
    """
    messages = error.problems if isinstance(error, ConfigError) else (str(error),)
    document, word = section.document, section.options.get("name")
    for message in messages:
        if message.startswith((f"{document.name}:", "--set ")):
            yield document.line(section.path), message
            continue
        message = message.removeprefix(f"{word}: ")
        option = re.match(r"(\w+)(: |=)", message)
        if option is None or option[1] not in section.options:
            problem = document.problem(section.path, message)
        else:
            text = message[option.end() :] if option[2] == ": " else message
            problem = document.problem((*section.path, option[1]), text)
        yield problem.line, problem.sentence


def _plain(section: Section | Mapping[str, Any]) -> Mapping[str, Any]:
    return section.options if isinstance(section, Section) else section


def _components(section: Section, constructor: Callable[..., Any]) -> dict[str, Section]:
    """The components among a section's options, as sections that know their own place."""
    names = (option.name for option in options_of(constructor) if isinstance(option.note, OneOf))
    return {
        name: Section(section.options[name], (*section.path, name), section.document)
        for name in names
        if section.options.get(name) is not None
    }
