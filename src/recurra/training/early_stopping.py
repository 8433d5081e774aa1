"""Early stopping: evaluations, or steps, without a better score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from recurra.base.option import Opt
from recurra.training.bounds import bounded

# A score that still is what it takes no learning to reach says nothing about when to stop: the first epochs of a tagger
# of names have an F1 of 0. Such evaluations count for a tenth, so that a training which never learns ends too.
FLOOR = 10


class EarlyStopping:
    """Counts evaluations, and steps, since the last improvement. Without a limit it never runs out; of two, both must.

    While the best score is on its floor, evaluations count for a tenth, and steps do not count.
    Source: Prechelt 1998, "Early Stopping - But When?", criterion UP.
    """

    @bounded
    def __init__(
        self,
        *,
        evaluations: Annotated[int | None, Opt("evaluations without a better score before a stop", ge=1)] = None,
        steps: Annotated[int | None, Opt("steps without a better score before a stop", ge=1)] = None,
    ) -> None:
        self._limit, self._steps = evaluations, steps
        self._waited, self._floored = 0, 0
        self._since, self._step = 0, 0

    def note(self, improved: bool, *, step: int = 0, on_floor: bool = False) -> None:
        """Take note of one evaluation after `step` steps. on_floor: no learning is needed for the best score so far."""
        self._step = step
        if improved or on_floor:
            self._since = step
        self._floored = self._floored + 1 if on_floor else 0
        self._waited = 0 if improved or on_floor else self._waited + 1

    @property
    def spent(self) -> bool:
        """Has it waited long enough?"""
        limits = []
        if self._limit is not None:
            limits.append(self._waited >= self._limit or self._floored >= FLOOR * self._limit)
        if self._steps is not None:
            limits.append(self._step - self._since >= self._steps)
        return bool(limits) and all(limits)

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds, as JSON."""
        return {"waited": self._waited, "floored": self._floored, "since": self._since, "step": self._step}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a `state`; one of an earlier version has evaluations only."""
        self._waited, self._floored = int(state["waited"]), int(state.get("floored", 0))
        self._since, self._step = int(state.get("since", 0)), int(state.get("step", 0))
