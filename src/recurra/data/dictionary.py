"""What is looked up of a word, in what was counted in the training rows."""

from __future__ import annotations

from typing import Annotated

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.base.registry import Registry


class NoDictionary:
    """Nothing is looked up: a word is known by its vector, its letters and its pattern."""


class Lookup:
    """Each word is looked up in what the training rows had, its own sentence left out.

    Raises ConfigError where nothing would be looked up.
    """

    def __init__(
        self,
        *,
        words: Annotated[bool, Opt("how often the word had each tag: its share c / (m + 1) of m times")] = True,
        spans: Annotated[
            bool | None,
            Opt(
                "the word's tag in the longest stretch of words that was a span at least half of the time; null: where "
                "tags write spans"
            ),
        ] = None,
    ) -> None:
        if not words and spans is False:
            raise ConfigError("words: is false and so is spans, so nothing is looked up; set one of them to true.")
        self.words, self.spans = words, spans

    def idle_without_spans(self, source: str) -> list[str]:
        """A sentence for what cannot be looked up where tags are plain."""
        plain = f"the tags of {source} are plain, so there are no spans"
        if self.spans:
            return [f"task.dictionary.spans: has no effect, because {plain}; leave it out."]
        return [] if self.words else [f"task.dictionary.words: is false, and {plain}; set task.dictionary: none."]


DICTIONARIES: Registry[type[Lookup] | type[NoDictionary]] = Registry("dictionary")
DICTIONARIES.add("none", NoDictionary)
DICTIONARIES.add("lookup", Lookup)
