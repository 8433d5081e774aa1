"""The best trials and the default again, each from several seeds: what a search has gained, beside the noise."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recurra.api.groups import Spread, resume_group, train_group
from recurra.api.places import is_group
from recurra.api.tuning.trial import OVERRIDES, Quiet, Training, why_failed
from recurra.metrics.welch import Difference, welch
from recurra.report.scores import shown


@dataclass(frozen=True, slots=True)
class Repeated:
    """A config trained from several seeds. spreads: of its scores, by (split, name)      runs: their folder"""

    name: str
    spreads: Mapping[tuple[str, str], Spread]
    runs: Path


@dataclass(frozen=True, slots=True)
class Gain:
    """How much better a config is than the default by one score, over the same seeds. difference: positive is better"""

    found: Spread
    default: Spread
    difference: Difference


def repeated(
    name: str, tree: Mapping[str, Any], folder: Path, seeds: Sequence[int], training: Training
) -> tuple[Repeated | None, signal.Signals | None]:
    """Train a config from each seed, or go on with it; the signal, where one stopped it.

    Nothing where that fails, which is said: one seed may diverge where another has not.
    """
    watch = Quiet(training.watch)
    given: dict[str, Any] = {"device": training.device, "cells": training.cells, "watch": watch}
    overrides = [*OVERRIDES, f"training.select={training.select}"]
    try:
        if is_group(folder):
            group = resume_group(folder, **given)
        else:
            group = train_group(tree, seeds=seeds, out=folder, overrides=overrides, **given)
    except Exception as error:  # noqa: BLE001  a search ends with what it has
        training.watch.note(f"{name}: could not be repeated: {why_failed(error)}")
        return None, None
    finally:
        training.watch.done()
    if group.stopped_by is not None:
        return None, group.stopped_by
    return Repeated(name, {(s.split, s.name): s for s in group.summary}, folder), None


def gain(found: Repeated, default: Repeated, key: tuple[str, str]) -> Gain | None:
    """What a config gains by a score; None where its values are not all finite."""
    if key not in found.spreads or key not in default.spreads:
        return None
    one, other = found.spreads[key], default.spreads[key]
    values, beside = list(one.values.values()), list(other.values.values())
    if len(values) < 2 or len(beside) < 2 or not all(map(math.isfinite, [*values, *beside])):
        return None
    sign = 1.0 if one.better == "higher" else -1.0
    return Gain(one, other, welch([sign * v for v in values], [sign * v for v in beside]))


def in_words(found: Gain, name: str) -> str:
    """What a gain is worth, as two sentences: more than the noise between seeds, or within it."""
    one, other, gap = found.found, found.default, found.difference
    amount, show = abs(gap.mean), _shower(one.unit)
    beside = f"the default's {shown(other.mean, one.unit)}"
    place = "the same as" if gap.mean == 0 else f"{show(amount)} {'better' if gap.mean > 0 else 'worse'} than"
    head = (
        f"{one.split} {one.name} of {name} over {len(one.values)} seeds: {shown(one.mean, one.unit)} (standard "
        f"deviation {show(one.deviation)}), {place} {beside} ({show(other.deviation)}); 95 % interval of the gain: "
        f"{show(gap.low)} to {show(gap.high)}."
    )
    if gap.holds_zero:
        return f"{head} It holds 0: the gain is within the noise between seeds, and the search has not shown one."
    if gap.mean > 0:
        return f"{head} That is more than the noise between seeds."
    return f"{head} The search has found nothing better than the default."


def _shower(unit: str) -> Callable[[float], str]:
    """Differences as people read them: of shares in points of percent."""
    if unit == "0..1":
        return lambda value: f"{100 * value:.2f} points"
    return lambda value: f"{value:.4g} {unit}".strip()
