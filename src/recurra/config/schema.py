"""The sections a config file has, in order. Their options are in the signatures of the constructors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from recurra.base.errors import did_you_mean
from recurra.base.option import OneOf
from recurra.config.options import Option, options_of


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
    defaults: by path, where they are not those of the constructors: the word of a `OneOf` section that may be left out
      ("model"), and options below it ("model.encoder.hidden_size")
    """

    doc: str
    sections: Mapping[str, Fixed | OneOf]
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def options(self, path: Sequence[str], maker: Callable[..., Any]) -> tuple[Option, ...]:
        """The options of a constructor whose section or component stands at `path`."""
        named = ((".".join((*path, option.name)), option) for option in options_of(maker))
        return tuple(replace(one, default=self.defaults[at]) if at in self.defaults else one for at, one in named)

    def owner(self, key: str, near: Sequence[str] = ()) -> str | None:
        """The dotted path of the section or option called `key`, for a hint: below `near` if there is one there."""
        found = [path for path in self._paths() if path.rpartition(".")[2] == key]
        below = [path for path in found if path.startswith(".".join(near))]
        return next(iter([*below, *found]), None)

    def like(self, key: str, below: Sequence[str]) -> str:
        """A hint at the option somewhere below a path whose name is nearest to `key`; "" where none is near."""
        paths = [path for path in self._paths() if path.startswith(f"{'.'.join(below)}.")]
        found = {path.rpartition(".")[2]: path for path in reversed(paths)}  # the first of the same name
        hint = did_you_mean(key, list(found))
        return f" Did you mean '{found[hint.split(chr(39))[1]]}'?" if hint else ""

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
