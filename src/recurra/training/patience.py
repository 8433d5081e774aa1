"""Early stopping: evaluations without a better score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from recurra.base.option import Opt
from recurra.training.bounds import bounded


class Patience:
    """Counts evaluations since the last improvement. evaluations=None never runs out.

    Source: Prechelt 1998, "Early Stopping - But When?", criterion UP.
    """

    @bounded
    def __init__(
        self,
        *,
        evaluations: Annotated[int | None, Opt("evaluations without a better score before a stop", ge=1)] = None,
    ) -> None:
        self._limit = evaluations
        self._waited = 0

    def note(self, improved: bool) -> None:
        """Take note of one evaluation."""
        self._waited = 0 if improved else self._waited + 1

    @property
    def spent(self) -> bool:
        """Has it waited long enough?"""
        return self._limit is not None and self._waited >= self._limit

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds, as JSON."""
        return {"waited": self._waited}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a `state`."""
        self._waited = int(state["waited"])
