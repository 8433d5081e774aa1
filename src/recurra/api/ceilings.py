"""What the right answers themselves score: what they cannot reach, no model can, and no epoch is chosen by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from recurra.base.contracts import Listener, Score
from recurra.tasks import Judged, Task

# 100.00000000000004 is 100.
ROUNDING = 1e-6
_BEST = {"BLEU": 100.0, "chrF": 100.0, "0..10": 10.0}
# Of scores of which less is better, where it is not 0.
_LEAST = {"rank": 1.0}


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The scores of perfect answers that are not the best there are, and why scores say little of these examples."""

    short: tuple[Score, ...] = ()
    doubts: tuple[str, ...] = ()

    def stuck(self, name: str) -> bool:
        """Whether a score is as bad as can be whatever is answered."""
        return any(s.name == name and s.better == "higher" and s.value <= ROUNDING for s in self.short)

    def telling(self, usual: str, scores: Iterable[Score]) -> str:
        """The usual score, or the next of these that tells good answers from bad ones: not whether all is right, which
        is 0 for nearly all models."""
        others = (s.name for s in scores if s.better != "neither" and "[" not in s.name and s.name != "exact_match")
        return next((name for name in (usual, *others) if not self.stuck(name)), usual)

    def say(self, split: str, watch: Listener) -> None:
        """A note for scores that cannot reach their best value, but those of single labels; one for each doubt."""
        whole = [s for s in self.short if "[" not in s.name]
        if whole:
            reached = ", ".join(f"{s.name} {s.value:.4g} of {best(s):g}" for s in whole)
            watch.note(f"{split}: no answers can score more than {reached}, which the right ones do themselves.")
        if whole or not self.short:
            for doubt in self.doubts:
                watch.note(f"{split}: {doubt}")


def ceiling(task: Task, examples: Sequence[Any]) -> Ceiling:
    """Score the answers that are wanted against themselves; nothing of a task that has no such answers."""
    if not isinstance(task, Judged):
        return Ceiling()
    scores = task.score(task.perfect(examples), examples, "dev")
    short = tuple(s for s in scores if s.better != "neither" and abs(s.value - best(s)) > ROUNDING * max(best(s), 1))
    return Ceiling(short, task.doubts(examples, short))


def best(score: Score) -> float:
    """The best value that there is."""
    return _BEST.get(score.unit, 1.0) if score.better == "higher" else _LEAST.get(score.unit, 0.0)
