"""What a hundred steps have shown, and what to change: verdicts with their evidence, and options of the config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from recurra.doctor.probe import Probe
from recurra.doctor.verdict import Verdict, judged, worst


@dataclass(frozen=True, slots=True)
class Course:
    """Steps of training as they went.

    norms: (step, norm of the whole gradient before clipping)    clipped: share of the steps, 0..1, that were clipped
    ratios: by parameter, the mean of update to weight            failed: why training ended early, or ""
    """

    norms: tuple[tuple[int, float], ...] = ()
    clipped: float = 0.0
    ratios: Mapping[str, float] = field(default_factory=dict)
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """probes: in the order of training, the last one is judged."""

    probes: tuple[Probe, ...]
    course: Course = Course()

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One for each layer and direction."""
        return tuple(judged(layer) for layer in self.probes[-1].layers)

    @property
    def verdict(self) -> Verdict:
        """Of the whole model: the worst of its layers; a loss or gradient that is not finite has exploded."""
        if self.course.failed:
            return Verdict("", "exploding", self.course.failed)
        if not self.probes[-1].finite:
            return Verdict("", "exploding", "the loss or its gradient is not finite.")
        return worst(self.verdicts)
