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
            hint = did_you_mean(str(name), self._things) or f" Known: {', '.join(self._things)}."
            raise ConfigError(f"unknown {self.kind} '{name}'.{hint}")
        return name

    def __contains__(self, name: object) -> bool:
        return name in self._things

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)
