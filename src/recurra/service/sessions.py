"""Texts that come piece by piece: a state under an id, for as long as it is fed."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from recurra.base.errors import ConfigError
from recurra.service.errors import RefusedError, busy
from recurra.service.limits import Limits
from recurra.service.models import LoadedModel
from recurra.tasks import ReadsInPieces, StreamingPredictor


@dataclass(slots=True)
class Kept:
    """One session. place: of the predictor, after the last piece; used: when it was fed last."""

    served: LoadedModel
    predictor: StreamingPredictor
    place: Any
    used: float

    def read(self, piece: str) -> tuple[Any, dict[str, Any]]:
        """The place and the answer after the next piece; in the worker's thread, where pieces come one by one."""
        place, answer = self.predictor.read(self.place, piece)
        return place, dict(answer)

    def keep(self, read: tuple[Any, dict[str, Any]]) -> None:
        """Go on from there: a piece that was answered with 504 is not read, so that it may be sent again."""
        self.place, _ = read


class Sessions:
    """A bounded number of sessions, oldest use first; `clock` gives seconds."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def __len__(self) -> int:
        self._forget()
        return len(self._kept)

    def begin(self, served: LoadedModel) -> str:
        """The id of a new session. Raises RefusedError: 409 for a run that cannot go on, 503 for too many."""
        predictor = streaming_predictor_of(served)
        self._forget()
        if len(self._kept) >= self._limits.sessions:
            raise busy(f"{len(self._kept)} sessions are kept already; end one, or come again later.")
        session = secrets.token_urlsafe(18)
        self._kept[session] = Kept(served, predictor, predictor.begin(), self._clock())
        return session

    def find(self, session: str) -> Kept:
        """A session that is about to be fed. Raises RefusedError, 404."""
        self._forget()
        kept = self._kept.get(session)
        if kept is None:
            raise RefusedError(
                404,
                f"session: there is none of this id; one that is not fed for {self._limits.session_seconds:g} s, or "
                "whose run was replaced twice, is forgotten. Begin another with POST /sessions.",
            )
        kept.used = self._clock()
        self._kept.move_to_end(session)
        return kept

    def end(self, session: str) -> None:
        """Forget a session. Raises RefusedError, 404."""
        self.find(session)
        del self._kept[session]

    def keep(self, name: str, version: LoadedModel) -> None:
        """Forget the sessions of a run that are of other versions than this one."""
        others = [key for key, kept in self._kept.items() if kept.served.name == name and kept.served is not version]
        for session in others:
            del self._kept[session]

    def _forget(self) -> None:
        """Drop what has not been fed for too long."""
        oldest = self._clock() - self._limits.session_seconds
        while self._kept and next(iter(self._kept.values())).used < oldest:
            self._kept.popitem(last=False)


def streaming_predictor_of(served: LoadedModel) -> StreamingPredictor:
    """What reads texts piece by piece for a run. Raises RefusedError, 409, with the reasons why there is none."""
    task = served.run.task
    if not isinstance(task, ReadsInPieces):
        raise RefusedError(409, f"model: a {served.word} reads all of a text before it answers; use /predict.")
    try:
        return task.predictor(served.run.model)
    except ConfigError as error:
        raise RefusedError(409, error.problems) from None
