"""From measurements to a word: healthy, vanishing, exploding, saturated; of attention one output, source not read, dead
heads. The thresholds, and why, are in docs/concepts/gradients.md."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from recurra.doctor.attending import LONGEST, AttentionProbe
from recurra.doctor.probe import LayerProbe

# The carried gradient, over the length that half of the rows have: under a thousandth, or over a thousandfold.
VANISHED, EXPLODED = -3.0, 3.0
# Share of values of one activation, or of units, from which on it is the rule and not the exception.
MOST = 0.5
# Heads that are named, at most.
SHOWN = 6
# The worst first: of several layers the first of these words is the model's.
WORDS = ("exploding", "saturated", "one output", "source not read", "dead heads", "vanishing", "healthy")
# Outputs that differ from their mean by less than this share of their size are one and the same.
ONE_OUTPUT = 0.01
# Nats a target by which another row's source must be worse, at least, if the source is read.
READ = 0.01


@dataclass(frozen=True, slots=True)
class Verdict:
    """word: one of WORDS; evidence: one sentence with the numbers; layer: what it is about, "" for the whole model."""

    layer: str
    word: str
    evidence: str


def judged(layer: LayerProbe) -> Verdict:
    """The verdict on one layer in one direction."""
    return Verdict(layer.name, *(_saturated(layer) or _carrying(layer)))


def judged_attention(probe: AttentionProbe) -> Verdict:
    """The verdict on a model that has learned for a while: what its outputs depend on, and its heads."""
    heads = [(name, one) for name, each in probe.heads.items() for one in each]
    idle = [(name, one) for name, one in heads if one.remark]
    if probe.spread is not None and probe.spread < ONE_OUTPUT:
        return Verdict("", "one output", f"outputs differ from one another by {probe.spread:.1%} of their size.")
    if probe.unread is not None and probe.unread < READ:
        said = f"the loss is {probe.unread:.2g} nats a target higher where the decoder reads another row's source."
        return Verdict("", "source not read", said)
    if len(idle) > MOST * len(heads):
        shown = ", ".join(f"{name} head {one.head}" for name, one in idle[:SHOWN])
        more = f" and {len(idle) - SHOWN} more" if len(idle) > SHOWN else ""
        remarks = " or ".join(sorted({one.remark.replace("looks", "look") for _, one in idle}))
        return Verdict("", "dead heads", f"{len(idle)} of {len(heads)} heads {remarks}: {shown}{more}.")
    return Verdict("", "healthy", f"{_heads_said(probe, len(heads), len(idle))}{_outputs_said(probe)}")


def _heads_said(probe: AttentionProbe, number: int, idle: int) -> str:
    if not probe.heads:
        return "there are no heads of attention; "
    if not number:
        return f"no heads of attention were looked at, as they are in whole sequences of 2 to {LONGEST} steps; "
    return f"{number - idle} of {number} heads of attention look at places of their own; "


def _outputs_said(probe: AttentionProbe) -> str:
    if probe.unread is not None:
        return f"another row's source costs {probe.unread:.2g} nats a target."
    if probe.spread is not None:
        return f"outputs differ from one another by {probe.spread:.0%} of their size."
    return "of outputs nothing was measured."


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
