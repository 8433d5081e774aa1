"""How much of a gradient the recurrence itself carries back, step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recurra.doctor.lag import Floats, Ints, last_steps, norm_of_rows
from recurra.engine.step_recording import Recording, StepRecord, real_rows

# exp of more is no float.
LARGEST = 700.0


@dataclass(frozen=True, slots=True)
class GradientFlow:
    """log10 of the carried gradient's norm by distance in time, 0 at distance 0; -inf where nothing arrives,
    inf from where it is beyond what a number holds.

    reach: the longest distance that at least a tenth of the rows have
    """

    log10: tuple[float, ...]
    reach: int

    @property
    def rate(self) -> float:
        """By what the norm is multiplied at each step back, on average over the reach; 1 where there is no step."""
        # The first step is another thing: it leads from the output h to all states.
        first, last = (1, self.reach) if self.reach > 1 else (0, self.reach)
        if last == first:
            return 1.0
        if math.isinf(self.log10[last]):
            return 0.0 if self.log10[last] < 0 else math.inf
        return math.exp(min((self.log10[last] - self.log10[first]) / (last - first) * math.log(10), LARGEST))


def gradient_flow(trail: Recording, start: Sequence[Tensor | None]) -> GradientFlow | None:
    """Follow the gradient from each row's last step back through the recurrence alone.

    start: dL/dh_t at each moment, (N_t, width) or None for zero; each row begins with that of its last step, so
    whatever the loss says at earlier steps does not enter. At each step the row is multiplied by the transposed
    Jacobian of the step, (ds_t / ds_{t-1})^T over all states s together, and scaled to length one: its logarithm is
    kept, so nothing underflows over however many steps. Of several rows: the root mean square, from one distance to
    the next over the rows that have both, so that a short row that ends is no change of the gradient.
    None where no row has a gradient at its last step.
    Source: Bengio, Simard & Frasconi 1994; Pascanu et al. 2013, arXiv:1211.5063, eq. 5: the product of Jacobians.
    """
    last = last_steps(trail)
    logs = np.full((int(last.max(initial=-1)) + 1, len(last)), np.nan)
    scale = np.zeros(len(last))
    carried: tuple[Tensor, ...] = ()
    started = np.zeros(len(last), dtype=bool)
    for k in range(len(trail.moments) - 1, -1, -1):
        moment = trail.moments[k]
        flow = _padded_to(moment, carried)
        for n in np.flatnonzero(last == k) if start[k] is not None else ():
            started[n] = _begin(flow[0], start[k], int(n))
        logs[0, (last == k) & started] = 0.0
        if k == 0:
            break
        carried = _through(moment, flow)
        rows = np.flatnonzero(started[: len(moment.given[0])])
        carried, scale = _to_length_one(carried, scale, rows)
        # Read backwards, a short row's first moments are padding: there is no time step so far back.
        rows = rows[real_rows(trail.moments[k - 1]).cpu().numpy()[rows]]
        logs[last[rows] - k + 1, rows] = scale[rows]
    return _summary(logs[:, started]) if started.any() else None


def _begin(flow: Tensor, start: Tensor | None, n: int) -> bool:
    """Put row n's first vector, of length one, into the flow; False if it is zero or not finite."""
    assert start is not None
    length = float(start[n].to(torch.float64).norm())
    if not (0 < length < float("inf")):
        return False
    flow[n] = start[n] / length
    return True


def _padded_to(moment: StepRecord, carried: tuple[Tensor, ...]) -> list[Tensor]:
    """The flow into the states after this moment: what comes from the next one, zeros for rows that ended here."""
    flow = [torch.zeros_like(state) for state in moment.after]
    for into, found in zip(flow, carried, strict=False):
        into[: len(found)] = found
    return flow


def _through(moment: StepRecord, flow: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The flow one step further back: times the transposed Jacobian."""
    pairs = [(after, d) for after, d in zip(moment.after, flow, strict=True) if after.requires_grad]
    if not pairs:
        return tuple(map(torch.zeros_like, moment.given))
    found = torch.autograd.grad(
        [after for after, _ in pairs],
        [state for state in moment.given if state.requires_grad],
        [d for _, d in pairs],
        retain_graph=True,
        allow_unused=True,
    )
    waiting = iter(found)
    parts = (next(waiting) if state.requires_grad else None for state in moment.given)
    return tuple(torch.zeros_like(state) if d is None else d for state, d in zip(moment.given, parts, strict=True))


def _to_length_one(carried: tuple[Tensor, ...], scale: Floats, rows: Ints) -> tuple[tuple[Tensor, ...], Floats]:
    """The rows scaled to length one, and log10 of what they were scaled by, summed up."""
    norms = norm_of_rows(carried)
    grown = scale.copy()
    with np.errstate(divide="ignore"):
        grown[rows] += np.log10(norms[rows])
    divisor = np.where((norms > 0) & np.isfinite(norms), norms, 1.0)
    by = torch.from_numpy(divisor).to(carried[0]).unsqueeze(1)
    return tuple(part / by for part in carried), grown


def _summary(logs: Floats) -> GradientFlow:
    """One curve from those of all rows (D, N); NaN where a row is shorter."""
    known = ~np.isnan(logs)
    curve = [0.0]
    for before, now, both in zip(logs, logs[1:], known[1:], strict=False):
        after = _log_mean_square(now[both]) if any(both) else -np.inf
        if not np.isfinite(after):  # nothing is left, or more than a number holds: so it stays
            curve += [after] * (len(logs) - len(curve))
            break
        curve.append(curve[-1] + after - _log_mean_square(before[both]))
    reach = int(np.flatnonzero(10 * known.sum(1) >= logs.shape[1])[-1])
    return GradientFlow(tuple(map(float, curve)), reach)


def _log_mean_square(log10: Floats) -> float:
    """log10 of the root mean square of numbers of which log10 is given; -inf if all are zero, inf if one is."""
    largest = float(log10.max())
    if not np.isfinite(largest):
        return largest
    return largest + 0.5 * float(np.log10(np.mean(10.0 ** (2 * (log10 - largest)))))
