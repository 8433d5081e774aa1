"""The best development score so far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from recurra.base.contracts import Score
from recurra.base.errors import ConfigError


class Best:
    """Remembers the best value of one score, and the step where it was reached.

    value: None until the first offer      step: 0 until then
    """

    def __init__(self) -> None:
        self.value: float | None = None
        self.step = 0

    def offer(self, score: Score, *, step: int) -> bool:
        """Is this the best so far? A tie is not, so the earliest wins; nor is NaN or infinity.

        Raises ConfigError if the score has no better direction.
        """
        if score.better == "neither":
            raise ConfigError(f"score '{score.name}' has no better direction; choose one that has, such as the loss.")
        sign = 1.0 if score.better == "higher" else -1.0
        if not math.isfinite(score.value) or (self.value is not None and sign * score.value <= sign * self.value):
            return False
        self.value, self.step = score.value, step
        return True

    def above(self, floor: float, better: str) -> bool:
        """Is the best value so far better than this one?"""
        sign = 1.0 if better == "higher" else -1.0
        return self.value is not None and sign * self.value > sign * floor

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds, as JSON."""
        return {"value": self.value, "step": self.step}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a `state`."""
        self.value = None if state["value"] is None else float(state["value"])
        self.step = int(state["step"])
