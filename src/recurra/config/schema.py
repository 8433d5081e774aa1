"""The sections a config file has, in order. Their options are in the signatures of the constructors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from recurra.base.errors import did_you_mean
from recurra.base.option import OneOf
from recurra.config.aliases import KIND, ours, rests
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
    fitting:  by path, the words of the components that can be chosen there, where these are not all: no hint leads to
      an option of another one
    """

    doc: str
    sections: Mapping[str, Fixed | OneOf]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    fitting: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def options(self, path: Sequence[str], maker: Callable[..., Any]) -> tuple[Option, ...]:
        """The options of a constructor whose section or component stands at `path`."""
        named = ((".".join((*path, option.name)), option) for option in options_of(maker))
        return tuple(replace(one, default=self.defaults[at]) if at in self.defaults else one for at, one in named)

    def places(self, key: str, near: Sequence[str] = ()) -> list[str]:
        """The dotted paths of all sections and options called `key`, for a hint: those nearest to the path `near`.

        What is there unless another component is chosen comes first.
        """
        found = [(path, usual) for path, _, usual in self._options() if path.rpartition(".")[2] == key]
        first = {path for path, usual in found if usual}
        return sorted(self._nearest([path for path, _ in found], near), key=lambda path: path not in first)

    def names(self) -> list[str]:
        """What sections and options are called, without their paths."""
        return list(dict.fromkeys(path.rpartition(".")[2] for path in self._paths()))

    def prefixed(self, key: str, near: Sequence[str] = ()) -> list[str]:
        """The same for a name with its component's in front: `decoder_cell`, `enc_layers`, `attention_heads`."""
        found = []
        for path in self._paths():
            component, _, option = path.rpartition(".")
            name = component.rpartition(".")[2]
            found += [path for rest in rests(key, name) if option in (rest, *ours(rest))]
            found += [component] if key in (f"{name}_{kind}" for kind in KIND) else []
        return self._nearest(list(dict.fromkeys(found)), near)

    def words_at(self, path: Sequence[str], registry: Iterable[str]) -> Iterable[str]:
        """The words that can be chosen at `path`: all of `registry`, or those of them that fit."""
        return self.fitting.get(".".join(path), registry)

    def like(self, key: str, below: Sequence[str], here: Iterable[str] = ()) -> str:
        """A hint at the option whose name is nearest to `key`, of `here` or below a path; "" where none is near."""
        usual_first = sorted(self._options(), key=lambda option: not option[2])
        paths = [path for path, _, _ in usual_first if path.startswith(f"{'.'.join(below)}.")]
        found = {path.rpartition(".")[2]: path for path in reversed(paths)}  # the first of the same name
        found |= {name: name for name in here}
        hint = did_you_mean(key, list(found))
        return f" Did you mean '{found[hint.split(chr(39))[1]]}'?" if hint else ""

    def words_with(self, key: str, path: Sequence[str]) -> list[str]:
        """The words of the components that can stand at `path` and have an option `key`."""
        wanted = ".".join((*path, key))
        return list(dict.fromkeys(word for at, word, _ in self._options() if word and at == wanted))

    def _nearest(self, found: Sequence[str], near: Sequence[str]) -> list[str]:
        """Those below the path `near`, or else below the section or component around it, and so on outwards; of them
        the least deep ones."""
        around = (".".join(near[:end]) for end in range(len(near), 0, -1))
        below = ([path for path in found if path.startswith(f"{place}.")] for place in around)
        nearest = next(filter(None, below), found)
        depth = min((path.count(".") for path in nearest), default=0)
        return list(dict.fromkeys(path for path in nearest if path.count(".") == depth))

    def _paths(self) -> Iterator[str]:
        return (path for path, _, _ in self._options())

    def _options(self) -> Iterator[tuple[str, str, bool]]:
        """The dotted path of each section and option, the word of the component that has it, "" of a section, and
        whether it is there where no component is chosen by its word."""
        yield from ((name, "", True) for name in self.sections)
        for name, section in self.sections.items():
            yield from self._inside(name, section, self.defaults.get(name, ""))

    def _inside(self, path: str, section: Fixed | OneOf, chosen: str | None) -> Iterator[tuple[str, str, bool]]:
        """The same of all options below `path`, whichever component is chosen. chosen: the word that may be left out"""
        if isinstance(section, Fixed):
            makers = {"": section.constructor}
        else:
            usable = dict(section.registry.items())
            makers = {word: usable[word] for word in self.words_at(path.split("."), usable)}
        for word, option in ((word, option) for word, maker in makers.items() for option in options_of(maker)):
            at = f"{path}.{option.name}"
            yield at, word, word == chosen
            if isinstance(option.note, OneOf):
                usual = self.defaults.get(at, option.default) if word == chosen else None
                yield from self._inside(at, option.note, usual)
