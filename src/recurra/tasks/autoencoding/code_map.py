"""Codes of rows as points: along the two directions in which they differ most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Record
from recurra.report import Chart, Curve

if TYPE_CHECKING:
    from recurra.tasks.autoencoding.task import Rebuilt
    from recurra.tasks.series_task import AnyExample

Floats = NDArray[np.float64]
# Columns of these names say what a row is; signs of a name that is shown.
LABELS, LONGEST = ("label", "class", "species", "target", "y"), 24
# Labels that have a colour of their own, and points of each.
MOST, POINTS = 9, 300
REST = "other labels"
# Without labels, rows by their errors.
THIRDS = ("smallest third of errors", "middle third", "largest third of errors")


def label_of(record: Record, columns: Sequence[str]) -> tuple[str, ...]:
    """What a row is, by the first column of such a name that is not read; nothing where there is none."""
    names = {name.lower(): name for name in record.fields if name not in columns}
    found = next((record.fields[names[word]] for word in LABELS if word in names), None)
    return (str(found)[:LONGEST],) if isinstance(found, str | int) and str(found) else ()


def code_map(outputs: Sequence[Rebuilt], examples: Sequence[AnyExample]) -> tuple[Chart, ...]:
    """A chart of dots, coloured by label where rows have one, else by error; nothing where codes have no two sides."""
    if len(outputs) < 3 or outputs[0].code.size < 2:
        return ()
    points, shares = two_components(np.stack([one.code for one in outputs]).astype(np.float64))
    if shares[1] <= 0:
        return ()
    axes = [f"component {k}: {100 * share:.0f} % of the variance" for k, share in enumerate(shares, start=1)]
    groups = _by_label(examples) if any(e.gold for e in examples) else _by_error(outputs)
    curves = (Curve(name, _dots(points[places]), dots=True) for name, places in groups.items())
    return (Chart("Codes: their two largest principal components", axes[0], axes[1], tuple(curves)),)


def two_components(codes: Floats) -> tuple[Floats, tuple[float, float]]:
    """(N, 2) of codes (N, Z), and which share of the variance each has; a direction's largest number is positive."""
    away = codes - codes.mean(0)
    _, sizes, axes = np.linalg.svd(away, full_matrices=False)
    axes = axes[:2] * np.sign(axes[np.arange(2), np.abs(axes[:2]).argmax(1)])[:, None]
    shares = sizes**2 / max(float((sizes**2).sum()), 1e-300)
    return away @ axes.T, (float(shares[0]), float(shares[1]))


def _by_label(examples: Sequence[AnyExample]) -> Mapping[str, Any]:
    """Places of each label, the commonest first, those beyond the colours together."""
    labels = np.array([e.gold[0] if e.gold else "" for e in examples])
    counts = sorted(Counter(labels.tolist()).items(), key=lambda pair: (-pair[1], pair[0]))
    kept = [label for label, _ in counts[: MOST + (len(counts) == MOST + 1)]]
    found = {label or "no label": np.flatnonzero(labels == label) for label in sorted(kept)}
    rest = np.flatnonzero(~np.isin(labels, kept))
    return {**found, REST: rest} if len(rest) else found


def _by_error(outputs: Sequence[Rebuilt]) -> Mapping[str, Any]:
    errors = np.array([one.squared / max(one.count, 1) for one in outputs])
    return dict(zip(THIRDS, np.array_split(np.argsort(errors, kind="stable"), 3), strict=True))


def _dots(points: Floats) -> tuple[tuple[float, float], ...]:
    some = points[:: max(1, -(-len(points) // POINTS))]
    return tuple((float(x), float(y)) for x, y in some[np.argsort(some[:, 0], kind="stable")])
