"""Short words to things: cells, tasks, formats, tokenizers, optimizers. One registry per kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from recurra.base.errors import ConfigError, did_you_mean

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A mapping that refuses to overwrite, and answers a misspelt word with its nearest neighbour.

    kind: what it holds, in the singular, for messages ("cell", "format").
    Raises ConfigError on an unknown word or a word registered twice.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._things: dict[str, T] = {}
        self._others: dict[str, str] = {}

    def also(self, name: str, *others: str) -> None:
        """Other words that people have for `name`: `called` knows them, and a message leads from them to it."""
        self._others |= dict.fromkeys(others, self._known(name))

    def called(self, word: str) -> str:
        """The name that a word of `also` stands for; any other word as it is. Case, `-` and spaces do not count."""
        plain = word.strip().lower().replace("-", "_").replace(" ", "_")
        return self._others.get(plain, word)

    def near(self, word: str) -> str:
        """A sentence that leads from an unknown word to the nearest name, with a leading space; "" if none is near."""
        meant = self.called(word)
        return f" Did you mean '{meant}'?" if meant != word else did_you_mean(word, self._things)

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
        return self._things[self._known(name)]

    def _known(self, name: str) -> str:
        if name not in self._things:
            hint = self.near(str(name)) or f" Known: {', '.join(self._things)}."
            raise ConfigError(f"unknown {self.kind} '{name}'.{hint}")
        return name

    def __contains__(self, name: object) -> bool:
        return name in self._things

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)
