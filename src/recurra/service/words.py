"""Neighbours and analogies of words, for runs that have learned a vector for each."""

from __future__ import annotations

from recurra.data.word_vectors import Neighbour, WordVectors
from recurra.service.models import LoadedModel
from recurra.tasks import GivesVectors


def has_vectors(served: LoadedModel) -> bool:
    """Whether a run is vectors of words."""
    return isinstance(served.run.task, GivesVectors)


class Neighbours:
    """The vectors of each run that has some, made at its first question."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[LoadedModel, WordVectors]] = {}

    def ask(self, served: LoadedModel, words: list[str], number: int, *, analogy: bool) -> list[Neighbour]:
        """The nearest words, or what is to the third word as the second is to the first; in the worker's thread.

        Raises DataError for a word without a vector.
        """
        vectors = self._of(served)
        return vectors.analogy(*words, top=number) if analogy else vectors.similar(*words, top=number)

    def _of(self, served: LoadedModel) -> WordVectors:
        made = self._made.get(served.name)
        if made is None or made[0] is not served:
            task = served.run.task
            assert isinstance(task, GivesVectors)
            made = self._made[served.name] = served, task.vectors_of(served.run.model)
        return made[1]

    def forget(self, name: str) -> None:
        """Let go of a run's vectors, which others have replaced."""
        self._made.pop(name, None)
