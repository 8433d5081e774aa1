"""Gates and states over the tokens of one text, as heat maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from recurra.doctor.activations import places
from recurra.doctor.hooks import Seen
from recurra.report import HeatMap

# A picture of more units than this cannot be read: those that move the most are shown.
UNITS = 24
# Tokens beside one another in one map.
WIDEST = 60


def gate_maps(one: Seen, tokens: Sequence[str]) -> Iterator[HeatMap]:
    """How far each gate is open at each step, 0..1: the mean over its units. None for a cell without gates."""
    gates = [p for p in places(one.trail.cell) if p.kind == "sigmoid"]
    rows = {p.name: _over_time(one, [m.values[p.at] for m in one.trail.moments]) for p in gates}
    if rows:
        weights = [row.mean(1).tolist() for row in rows.values()]
        yield from in_pieces(f"Gates, mean over units: {one.name}", list(rows), tokens, weights)


def state_maps(one: Seen, tokens: Sequence[str]) -> Iterator[HeatMap]:
    """The output h of the units that move the most, at each step, -1..1: beside the largest where one is beyond."""
    h = _over_time(one, [m.after[0] for m in one.trail.moments])
    if not len(h):
        return
    chosen = sorted((h.amax(0) - h.amin(0)).topk(min(UNITS, h.shape[1])).indices.tolist())
    scale = max(1.0, float(h.abs().max()))
    names = [f"h{k}" for k in chosen]
    yield from in_pieces(f"States h: {one.name}", names, tokens, [(h[:, k] / scale).tolist() for k in chosen])


def in_pieces(
    title: str, rows: Sequence[str], columns: Sequence[str], weights: Sequence[Sequence[float]]
) -> Iterator[HeatMap]:
    """A map of many columns as several, side by side in order."""
    for start in range(0, len(columns), WIDEST):
        stop = min(start + WIDEST, len(columns))
        part = f", steps {start + 1}-{stop}" if len(columns) > WIDEST else ""
        cut = tuple(tuple(row[start:stop]) for row in weights)
        yield HeatMap(f"{title}{part}", tuple(rows), tuple(columns[start:stop]), cut)


def _over_time(one: Seen, values: Sequence[Tensor]) -> Tensor:
    """(T, width) of the first row, in the order of time."""
    order = sorted(range(len(values)), key=lambda k: one.trail.moments[k].t)
    rows = [values[k].detach() for k in order]
    if not rows:
        return torch.zeros(0, 1, dtype=torch.float32)
    return torch.stack([row[0] if row.dim() == 2 else row for row in rows])
