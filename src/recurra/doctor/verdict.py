"""From measurements to a word: healthy, vanishing, exploding, saturated. The thresholds, and why, are in
docs/concepts/gradients.md."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from recurra.doctor.probe import LayerProbe

# The carried gradient, over the length that half of the rows have: under a thousandth, or over a thousandfold.
VANISHED, EXPLODED = -3.0, 3.0
# Share of values of one activation, or of units, from which on it is the rule and not the exception.
MOST = 0.5
# The worst first: of several layers the first of these words is the model's.
WORDS = ("exploding", "saturated", "vanishing", "healthy")


@dataclass(frozen=True, slots=True)
class Verdict:
    """word: one of WORDS; evidence: one sentence with the numbers; layer: what it is about, "" for the whole model."""

    layer: str
    word: str
    evidence: str


def judged(layer: LayerProbe) -> Verdict:
    """The verdict on one layer in one direction."""
    return Verdict(layer.name, *(_saturated(layer) or _carrying(layer)))


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict on the whole: the worst of its layers."""
    return min(verdicts, key=lambda verdict: WORDS.index(verdict.word))


def horizon(layer: LayerProbe) -> int:
    """Steps back in time to which the recurrence carries at least a thousandth of a gradient."""
    if layer.carried is None:
        return 0
    within = layer.carried.log10[: layer.carried.reach + 1]
    return next((k for k, value in enumerate(within) if value < VANISHED), len(within)) - 1


def _carrying(layer: LayerProbe) -> tuple[str, str]:
    carried = layer.carried
    if carried is None:
        return "vanishing", "no gradient arrives at the last step of any row."
    if not carried.reach:
        return "healthy", "its rows have one step, so there is nothing to carry."
    within = carried.log10[: carried.reach + 1]
    far = f"of a gradient, {_power(within[-1])} is left {carried.reach} steps back"
    if max(within) > EXPLODED:
        steps = within.index(max(within))
        return "exploding", (
            f"the gradient is {_power(max(within))} times as long {steps} steps back: it grows by {carried.rate:.3g} "
            "a step."
        )
    if within[-1] < VANISHED and (direct := _direct(layer)) is not None:
        return "healthy", (
            f"the recurrence carries little back ({_power(within[-1])} is left after {carried.reach} steps), but the "
            f"loss reaches earlier steps directly: its gradient there is {direct:.2g} of the largest."
        )
    if within[-1] < VANISHED:
        return "vanishing", (
            f"{far}: it is multiplied by {carried.rate:.3g} a step, and falls below a thousandth after "
            f"{horizon(layer)} steps."
        )
    return "healthy", f"{far}: it is multiplied by {carried.rate:.3g} a step."


def _direct(layer: LayerProbe) -> float | None:
    """The loss's own gradient as far back as the reach, beside its largest; None where it vanishes there too.

    Where each step has a loss of its own, as in tagging, or all steps are pooled, nothing has to be carried that far.
    """
    reach = layer.carried.reach if layer.carried else 0
    known = [value for value in layer.gradient if math.isfinite(value)]
    if reach >= len(layer.gradient) or not known or not max(known):
        return None
    share = layer.gradient[reach] / max(known)
    return share if share >= 10**VANISHED else None


def _saturated(layer: LayerProbe) -> tuple[str, str] | None:
    """Saturation and silence, if they are the rule; an exploding layer is that first."""
    if layer.carried is not None and max(layer.carried.log10[: layer.carried.reach + 1]) > EXPLODED:
        return None
    # A forget gate that stays open is how a cell remembers: what does is shown, and not judged. Other gates are made to
    # open and shut, and have a fault where they do neither.
    for one in layer.activations:
        if one.kind == "relu" or one.remembers:
            continue
        if one.gate and one.stuck > MOST:
            return (
                "saturated",
                f"{one.stuck:.0%} of the units of gate {one.name} are always open, or always shut.",
            )
        if not one.gate and one.saturated > MOST:
            return "saturated", f"{one.saturated:.0%} of the values of {one.name} are saturated ({one.kind})."
    if layer.dead > MOST * layer.units:
        return "saturated", f"{layer.dead} of {layer.units} units are dead: the same at every step of every row."
    return None


def _power(log10: float) -> str:
    """10 ** log10 as people write it: 0.23, 1.3e-07, 41, 2.0e+12; beyond 300 digits only the power."""
    if log10 == float("-inf"):
        return "nothing"
    return f"{10**log10:.2g}" if abs(log10) < 300 else f"1e{log10:+.0f}"
