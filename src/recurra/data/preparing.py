"""What a task is given to prepare its data with: where to keep it, who cuts texts, and who is told how far it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from recurra.data.formats.dealing import Exchange
from recurra.data.store import InMemory, Keeping
from recurra.data.tokenizers.blocks import Block, Places
from recurra.data.tokenizers.cutter import Cutter
from recurra.data.tokenizers.workers import Crew

T = TypeVar("T")
Watched = Callable[[str, Iterable[Any], int | None], Iterator[Any]]


def _unwatched(stage: str, rows: Iterable[Any], total: int | None) -> Iterator[Any]:
    return iter(rows)


@dataclass(slots=True)
class ExtraWords:
    """Words that a vocabulary gains although no training row has them.

    taken: how many a task can read; None: it has not asked for them
    """

    words: Sequence[str] = ()
    taken: int | None = None

    def read_as(self, cut: Callable[[str], Sequence[str]]) -> list[str]:
        """Those that a task reads as one token that is spelt the same; of others no text could have the number."""
        found = [word for word in self.words if tuple(cut(word)) == (word,)]
        self.taken = len(found)
        return found


@dataclass(frozen=True, slots=True)
class Means:
    """keeping: where rows, examples and numbers go      workers: processes that cut texts, this one among them

    exchange: the ranks that prepare the same data; None: this process alone

    extra: words from elsewhere that a vocabulary of words gains
    watched: rows as they are, and somebody is told how far they are: (stage, rows, how many there will be)
    """

    keeping: Keeping = field(default_factory=InMemory)
    workers: int = 1
    watched: Watched = _unwatched
    extra: ExtraWords = field(default_factory=ExtraWords)
    exchange: Exchange | None = None

    def encoding(self, rows: Collection[T]) -> Iterator[T]:
        """Training rows as they become examples."""
        return self.watched("encoding", rows, len(rows))

    def blocks(
        self, cutter: Cutter, rows: Iterable[T], text: Callable[[T], str], places: Places | None = None
    ) -> Iterator[tuple[list[T], Block]]:
        """The rows with their texts cut, some of them at a time, in order. places: as `cut_block` has it

        Raises RunError if a worker is lost.
        """
        return Crew(cutter, self.workers).blocks(rows, text, places)


# What a few rows are prepared with, by themselves.
IN_MEMORY = Means()
