"""Short words to things: cells, tasks, formats, tokenizers, optimizers. One registry per kind.

Installed packages add to a registry by entry points of its group, such as `recurra.encoders`: each name is a word, and
what it names is loaded when the word is first used. They are looked for when a word is not one of ours, or when all
words are listed; a program that uses none pays nothing for them.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import TYPE_CHECKING, Generic, TypeVar

from recurra.base.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A mapping that refuses to overwrite, and answers a misspelt word with its nearest neighbour.

    kind: what it holds, in the singular, for messages ("cell", "format").
    group: of the entry points by which installed packages add to it; None: they cannot
    Its names are all words. `items` and `values` leave out what packages name and cannot be loaded; `broken` says why.
    Raises ConfigError on an unknown word, a word registered twice, and where the word of a broken package is asked for.
    """

    def __init__(self, kind: str, group: str | None = None) -> None:
        self.kind = kind
        self._group = group
        self._installed: dict[str, EntryPoint] | None = None
        self._things: dict[str, T] = {}
        self._others: dict[str, str] = {}

    def also(self, name: str, *others: str) -> None:
        """Other words that people have for `name`: `called` knows them, and a message leads from them to it."""
        self._others |= dict.fromkeys(others, self._known(name))

    def called(self, word: str) -> str:
        """The name that a word of `also` stands for; any other word as it is. Case, `-` and spaces do not count."""
        return self._others.get(plain(word), word)

    def near(self, word: str) -> str:
        """A sentence that leads from an unknown word to the nearest name, with a leading space; "" if none is near."""
        meant = self.called(word)
        return f" Did you mean '{meant}'?" if meant != word else did_you_mean(word, self)

    def add(self, name: str, thing: T) -> T:
        """Register `thing` under `name` and return it."""
        if name in self._things:
            raise ConfigError(f"{self.kind} '{name}' is already registered; choose another name.")
        self._things[name] = thing
        return thing

    def replace(self, name: str, thing: T) -> T:
        """Register `thing` under `name`, also where there is one: for what a user loads again."""
        self._things[name] = thing
        return thing

    def remove(self, name: str) -> None:
        """Take a word out again. Raises ConfigError if it is not there."""
        del self._things[self._known(name)]

    def __getitem__(self, name: str) -> T:
        name = self._known(name)
        if name not in self._things:
            self._things[name] = self._loaded(name)
        return self._things[name]

    def _known(self, name: str) -> str:
        if name not in self:
            hint = self.near(str(name)) or f" Known: {', '.join(self)}."
            raise ConfigError(f"unknown {self.kind} '{name}'.{hint}")
        return name

    def __contains__(self, name: object) -> bool:
        return name in self._things or name in self._of_packages()

    def __iter__(self) -> Iterator[str]:
        return iter([*self._things, *(name for name in self._of_packages() if name not in self._things)])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def items(self) -> ItemsView[str, T]:
        return self._usable().items()

    def values(self) -> ValuesView[T]:
        return self._usable().values()

    @property
    def broken(self) -> dict[str, str]:
        """Why the words of packages that cannot be loaded are not there, by word."""
        found = {}
        for name in self._of_packages():
            try:
                self[name]
            except ConfigError as error:
                found[name] = str(error)
        return found

    def _usable(self) -> dict[str, T]:
        broken = self.broken
        return {name: self[name] for name in self if name not in broken}

    def _of_packages(self) -> dict[str, EntryPoint]:
        """The entry points of installed packages by their words. Ours come first: a package replaces none of them."""
        if self._installed is None:
            self._installed = {}
            if self._group is not None:
                from importlib.metadata import entry_points  # 10 ms that only an unknown word, or a list, needs

                self._installed = {one.name: one for one in entry_points(group=self._group)}
        return self._installed

    def _loaded(self, name: str) -> T:
        one = self._of_packages()[name]
        try:
            found: T = one.load()
        except Exception as error:
            package = one.dist.name if one.dist else "an installed package"
            raise ConfigError(
                f"{self.kind} '{name}': {package} names {one.value} for it, which cannot be loaded: "
                f"{type(error).__name__}: {error}. Repair the package, or uninstall it."
            ) from error
        return found


class WithWords(Mapping[str, object]):
    """Some words of our own, and after them those of a registry, as they are when they are asked for."""

    def __init__(self, words: tuple[str, ...], registry: Mapping[str, object]) -> None:
        self._words, self._registry = words, registry

    def __getitem__(self, name: str) -> object:
        return name if name in self._words else self._registry[name]

    def __contains__(self, name: object) -> bool:
        return name in self._words or name in self._registry

    def __iter__(self) -> Iterator[str]:
        yield from self._words
        yield from self._registry

    def __len__(self) -> int:
        return sum(1 for _ in self)


def plain(word: str) -> str:
    """A word as registries have it, whatever its case, and whether `-` or spaces stand in it."""
    return word.strip().lower().replace("-", "_").replace(" ", "_")
