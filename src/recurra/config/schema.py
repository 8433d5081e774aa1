"""The sections a config file has, in order. Their options are in the signatures of the constructors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recurra.base.option import OneOf
from recurra.config.options import options_of


@dataclass(frozen=True, slots=True)
class Fixed:
    """A section that is always the same thing: the options of `constructor` (a class, dataclass or function)."""

    doc: str
    constructor: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Schema:
    """What a config file may say.

    doc:      one or two sentences, written at the top of a config file
    sections: name -> `Fixed`, or `OneOf` for a component that is chosen by its word
    defaults: the word of a `OneOf` section that may be left out
    """

    doc: str
    sections: Mapping[str, Fixed | OneOf]
    defaults: Mapping[str, str] = field(default_factory=dict)

    def owner(self, key: str, near: Sequence[str] = ()) -> str | None:
        """The dotted path of the section or option called `key`, for a hint: below `near` if there is one there."""
        found = [path for path in self._paths() if path.rpartition(".")[2] == key]
        below = [path for path in found if path.startswith(".".join(near))]
        return next(iter([*below, *found]), None)

    def _paths(self) -> Iterator[str]:
        yield from self.sections
        for name, section in self.sections.items():
            yield from _inside(name, section)


def _inside(path: str, section: Fixed | OneOf) -> Iterator[str]:
    """The dotted paths of all options below `path`, whichever component is chosen."""
    makers = [section.constructor] if isinstance(section, Fixed) else section.registry.values()
    for option in (option for maker in makers for option in options_of(maker)):
        yield f"{path}.{option.name}"
        if isinstance(option.note, OneOf):
            yield from _inside(f"{path}.{option.name}", option.note)
