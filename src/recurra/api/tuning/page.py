"""The report of a search: trials, what explains their differences, curves, and the best from several seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate

from recurra.api.groups import Spread
from recurra.api.tuning.repeating import Gain, Repeated
from recurra.api.tuning.space import SearchSpace, value_of
from recurra.api.tuning.study import Kept
from recurra.base.contracts import Report, Score, Table
from recurra.config import Range, yaml_of
from recurra.report import Chart, Curve
from recurra.report.scores import label_of, shown

# Trials whose curves are drawn: the best ones, and the default.
DRAWN = 8
# Scores of each split beside one another; all are in summary.json of the repeated runs.
BESIDE = 3


def in_short(value: object) -> str:
    """A value as a table and a line of progress show it: four digits of a float are enough to see where it lies."""
    return f"{value:.4g}" if isinstance(value, float) else yaml_of(value)


def search_report(
    title: str,
    space: SearchSpace,
    trials: Sequence[Kept],
    ranked: Sequence[Kept],
    *,
    select: str,
    unit: str,
    higher: bool,
    importances: Mapping[str, float],
    repeats: Sequence[Repeated],
    gains: Sequence[Gain],
    facts: Mapping[str, str | int | float],
) -> tuple[Report, list[Chart]]:
    """The report, and its charts. ranked: trials with a score, the best first      repeats: the chosen one first"""
    default = next((one for one in repeats if one.name == "default"), None)
    chosen = next((one for one in repeats if one.name != "default"), None)
    scores = _means(chosen) if chosen else ()
    baselines = {"default": _means(default)} if chosen and default else {}
    tables = [
        *([_repeat_table(repeats, ranked, select, unit)] if repeats else []),
        *([_gain_table(gains)] if gains else []),
        *([_importance_table(space, importances)] if importances else []),
        _trial_table(space, trials, select, unit),
    ]
    charts = [_history(trials, select, higher=higher), _epochs(trials, ranked, select), *_slices(space, trials, select)]
    return Report(title, scores, baselines, tuple(tables), dict(facts)), charts


def _means(found: Repeated) -> tuple[Score, ...]:
    return tuple(Score(s.name, s.mean, s.unit, s.better, s.split) for s in found.spreads.values())  # type: ignore[arg-type]


def _repeat_table(repeats: Sequence[Repeated], ranked: Sequence[Kept], select: str, unit: str) -> Table:
    """Mean and deviation over seeds of the first scores of each split, the one that chose first; beside them the score
    that each had in the search, which is the luckier the more trials there were."""
    once = {f"trial {one.number + 1}": shown(one.value or 0.0, unit) for one in ranked}
    spreads = [s for s in repeats[0].spreads.values() if label_of(s.name) is None]
    spreads.sort(key=lambda s: s.name != select)
    splits = list(dict.fromkeys(s.split for s in spreads))
    keys = [(split, s.name) for split in splits for s in [s for s in spreads if s.split == split][:BESIDE]]
    rows = [
        (one.name, once.get(one.name, ""), *(_mean_and_deviation(one.spreads.get(key)) for key in keys))
        for one in repeats
    ]
    heads = ("config", "in the search", *(f"{name}, {split}" for split, name in keys))
    return Table("from several seeds: mean ± standard deviation", heads, tuple(rows))


def _mean_and_deviation(spread: Spread | None) -> str:
    if spread is None:
        return ""
    if spread.unit == "0..1":
        return f"{100 * spread.mean:.2f} ± {100 * spread.deviation:.2f} %"
    return f"{spread.mean:.4g} ± {spread.deviation:.2g}"


def _gain_table(gains: Sequence[Gain]) -> Table:
    """Gains over the default; each is better where it is positive."""
    rows = []
    for one in gains:
        gap, scale, unit = one.difference, 1.0, one.found.unit
        if unit == "0..1":
            scale, unit = 100.0, "points"
        verdict = "within the noise between seeds" if gap.holds_zero else "more than the noise between seeds"
        numbers = (f"{scale * value:.3g} {unit}".strip() for value in (gap.mean, gap.low, gap.high))
        rows.append((f"{one.found.name}, {one.found.split}", *numbers, verdict))
    return Table(
        "gain over the default, positive is better", ("score", "gain", "95 % from", "to", "verdict"), tuple(rows)
    )


def _importance_table(space: SearchSpace, importances: Mapping[str, float]) -> Table:
    rows = [(name, among(space, name), share) for name, share in importances.items() if name in space.names]
    return Table("importance (PED-ANOVA, share of all)", ("option", "space", "importance"), tuple(rows))


def among(space: SearchSpace, name: str) -> str:
    """What is searched, in words."""
    found = space.spaces[space.names[name]]
    if not isinstance(found, Range):
        return ", ".join(map(yaml_of, found.values))
    how = " by its logarithm" if found.log else f" in steps of {found.step:g}" if found.step is not None else ""
    return f"{found.low:g} to {found.high:g}{how}"


def _trial_table(space: SearchSpace, trials: Sequence[Kept], select: str, unit: str) -> Table:
    rows: list[tuple[str | int | float, ...]] = [
        (
            one.number + 1,
            *(_drawn(space, one, name) for name in space.names),
            "" if one.value is None else shown(one.value, unit),
            len(one.scores),
            "" if one.seconds is None else f"{one.seconds:.1f} s",
            one.state if not one.why else f"{one.state}: {one.why}",
        )
        for one in trials
    ]
    heads = ("trial", *space.short.values(), f"dev {select}", "epochs", "time", "how it ended")
    return Table("trials", heads, tuple(rows))


def _drawn(space: SearchSpace, trial: Kept, name: str) -> str:
    if name not in trial.params:
        return ""
    return in_short(value_of(space.spaces[space.names[name]], trial.params[name]))


def _history(trials: Sequence[Kept], select: str, *, higher: bool) -> Chart:
    """Each trial's score, and the best so far."""
    scored = [one for one in trials if one.value is not None]
    complete = [(one.number + 1.0, one.value or 0.0) for one in scored if one.state == "complete"]
    bests = accumulate((value for _, value in complete), max if higher else min)
    so_far = [(number, best) for (number, _), best in zip(complete, bests, strict=True)]
    dots = {state: [(t.number + 1.0, t.value or 0.0) for t in scored if t.state == state] for state in _STATES}
    curves = [Curve("best so far", tuple(so_far))]
    curves += [Curve(state, tuple(points), dots=True) for state, points in dots.items() if points]
    return Chart("Trials", "trial", f"dev {select}", tuple(curves))


_STATES = ("complete", "pruned")


def _epochs(trials: Sequence[Kept], ranked: Sequence[Kept], select: str) -> Chart:
    """Dev scores by epoch of the best trials."""
    curves = [
        Curve(f"trial {one.number + 1}", tuple((float(epoch), value) for epoch, value in sorted(one.scores.items())))
        for one in ranked[:DRAWN]
    ]
    return Chart(f"The best {len(curves)} of {len(trials)} trials", "epoch", f"dev {select}", tuple(curves))


def _slices(space: SearchSpace, trials: Sequence[Kept], select: str) -> list[Chart]:
    """Scores by the values of each space: numbers along an axis, choices as a curve each."""
    scored = [one for one in trials if one.value is not None and one.state == "complete"]
    return [_slice(space, scored, name, select) for name in space.names]


def _slice(space: SearchSpace, scored: Sequence[Kept], name: str, select: str) -> Chart:
    found, short = space.spaces[space.names[name]], space.short[name]
    held = [(one, value_of(found, one.params[name])) for one in scored if name in one.params]
    if isinstance(found, Range):
        x = f"log10 of {short}" if found.log else short
        points = sorted((math.log10(v) if found.log else float(v), one.value or 0.0) for one, v in held)
        return Chart(short, x, f"dev {select}", (Curve("trials", tuple(points), dots=True),))
    curves = [
        Curve(
            in_short(choice),
            tuple((one.number + 1.0, one.value or 0.0) for one, value in held if value is choice or value == choice),
            dots=True,
        )
        for choice in found.values
    ]
    return Chart(short, "trial", f"dev {select}", tuple(curve for curve in curves if curve.points))
