"""What a hundred steps have shown, and what to change: verdicts with their evidence, and options of the config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from recurra.doctor.probe import Probe
from recurra.doctor.verdict import Verdict, judged, judged_attention, worst

# Steps before which attention is not judged: heads begin by looking everywhere alike.
FEW_STEPS = 200
NO_RECURRENCE = "there is no recurrent layer, so no gradient is carried from step to step"
NO_STEPS = "no row has a step, so the recurrent layers carry no gradient from step to step"


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
    """probes: in the order of training, the last one is judged. trained: whether it is of a whole training"""

    probes: tuple[Probe, ...]
    course: Course = Course()
    trained: bool = False

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One for each layer and direction, and one on attention and outputs, once they have learned for a while."""
        last = self.probes[-1]
        found = tuple(judged(layer) for layer in last.layers)
        if last.attention is None:
            return found
        if self.trained or last.step >= FEW_STEPS:
            return (*found, judged_attention(last.attention))
        early = f"attention is judged from {FEW_STEPS} steps on, as heads begin by looking everywhere alike."
        return (*found, Verdict("", "healthy", early))

    @property
    def has_recurrence(self) -> bool:
        return bool(self.probes[-1].layers) or self.probes[-1].recurrent

    @property
    def why_no_layers(self) -> str:
        """Why nothing was measured of recurrent layers; "" where something was."""
        if self.probes[-1].layers:
            return ""
        return NO_STEPS if self.has_recurrence else NO_RECURRENCE

    @property
    def verdict(self) -> Verdict:
        """Of the whole model: the worst of its layers; a loss or gradient that is not finite has exploded."""
        if self.course.failed:
            return Verdict("", "exploding", self.course.failed)
        if not self.probes[-1].finite:
            return Verdict("", "exploding", "the loss or its gradient is not finite.")
        found = worst(self.verdicts)
        if why := self.why_no_layers:
            return Verdict(found.layer, found.word, f"{why}; {found.evidence}")
        return found
