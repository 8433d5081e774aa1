"""One look at a model in training: where a gradient comes from and how far it gets, layer by layer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recurra.base.contracts import Batch, Loss
from recurra.doctor.activations import Activation, measured, places, values_at
from recurra.doctor.attending import AttentionProbe, attention_probe, has_heads
from recurra.doctor.gradient_flow import GradientFlow, gradient_flow
from recurra.doctor.hooks import Seen, watching
from recurra.doctor.lag import Floats, by_distance, root_mean_square
from recurra.engine.step_recording import real_rows
from recurra.training.randomness import seed_step

# A unit whose output moves by no more than this over all steps and rows says nothing.
STILL = 1e-6


@dataclass(frozen=True, slots=True)
class LayerProbe:
    """What was measured of one layer in one direction.

    rows, steps: how many rows were looked at, and the steps of the longest
    gradient:    root mean square over rows of the norm of dL/dh_t, by the steps to the row's end
    flow:        the same of dL/da for each activation, by name
    carried:     what the recurrence carries back from each row's last step; None where no gradient gets there
    dead:        units of h that are the same, within 1e-6, at every step of every row
    """

    name: str
    cell: str
    units: int
    rows: int
    steps: int
    gradient: tuple[float, ...]
    flow: dict[str, tuple[float, ...]]
    carried: GradientFlow | None
    activations: tuple[Activation, ...]
    dead: int


@dataclass(frozen=True, slots=True)
class Probe:
    """All layers after so many steps. loss: nats per target of the rows looked at; norm: of the whole gradient.

    attention: of a model with heads of attention, or of whose layers there is nothing to see; else None
    recurrent: whether recurrent layers ran; of rows without steps there is nothing to see of them
    """

    step: int
    loss: float
    norm: float
    layers: tuple[LayerProbe, ...]
    attention: AttentionProbe | None = None
    recurrent: bool = False

    @property
    def finite(self) -> bool:
        """Are the loss and the gradient numbers?"""
        return bool(np.isfinite([self.loss, self.norm]).all())


def probe(model: nn.Module, batch: Batch, loss: Callable[[Any, Batch], Loss], *, seed: int = 0, step: int = 0) -> Probe:
    """Run a copy of the model in training mode on a batch, and follow the gradient of the mean loss.

    The model, its gradients and torch's random state stay as they are. seed, step: dropout acts as it does in that
    step of training.
    """
    own = copy.deepcopy(model).train()
    own.zero_grad(set_to_none=True)
    own.requires_grad_(True)  # also where layers are frozen for a while: a gradient goes through them all the same
    with _random_state_kept(), torch.enable_grad(), watching(own) as seen:
        seed_step(seed, step, next(own.parameters()).device)
        found = loss(own(batch), batch)
        recurrent = bool(seen)
        seen = [one for one in seen if one.trail.moments]
        layers = tuple(_layer(one, gradients) for one, gradients in zip(seen, _gradients(found, seen), strict=True))
        if found.count and found.mean.requires_grad:
            found.mean.backward()  # type: ignore[no-untyped-call]
    looked = attention_probe(own, batch, loss) if has_heads(own) or not layers else None
    norms = [p.grad.norm() for p in own.parameters() if p.grad is not None]
    norm = float(torch.stack(norms).norm()) if norms else 0.0
    return Probe(step, float(found.mean.detach()), norm, layers, looked, recurrent)


@contextmanager
def _random_state_kept() -> Iterator[None]:
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield


# Of one layer: dL/dh at each moment, and dL/da by the activation's place.
_Flows = tuple[list[Tensor | None], dict[int, list[Tensor | None]]]


def _gradients(loss: Loss, seen: Sequence[Seen]) -> list[_Flows]:
    """The gradients of the mean loss to every state and activation that was seen, in one pass."""
    wanted: list[Tensor] = []
    for one in seen:
        wanted += [m.after[0] for m in one.trail.moments]
        wanted += [m.values[p.at] for p in places(one.trail.cell) for m in one.trail.moments]
    found: list[Tensor | None] = [None] * len(wanted)
    differentiable = [k for k, tensor in enumerate(wanted) if tensor.requires_grad]
    if differentiable and loss.count and loss.mean.requires_grad:
        tensors = [wanted[k] for k in differentiable]
        made = torch.autograd.grad(loss.mean, tensors, retain_graph=True, allow_unused=True)
        for k, gradient in zip(differentiable, made, strict=True):
            found[k] = gradient
    waiting = iter(found)
    return [_taken(waiting, one) for one in seen]


def _taken(waiting: Iterator[Tensor | None], one: Seen) -> _Flows:
    count = len(one.trail.moments)
    states = [next(waiting) for _ in range(count)]
    return states, {p.at: [next(waiting) for _ in range(count)] for p in places(one.trail.cell)}


def _layer(one: Seen, flows: _Flows) -> LayerProbe:
    trail, (states, activations) = one.trail, flows
    # An activation of parameters alone has no rows, and no gradient of a time step.
    rows = [p for p in places(trail.cell) if trail.moments[0].values[p.at].dim() == 2]
    gradient, *tables = by_distance(trail, states, *(activations[p.at] for p in rows))
    flow = {p.name: root_mean_square(table) for p, table in zip(rows, tables, strict=True)}
    return LayerProbe(
        name=one.name,
        cell=trail.cell.name,
        units=trail.moments[0].after[0].shape[1],
        rows=int((~np.isnan(gradient)).any(0).sum()) if gradient.size else 0,
        steps=len(gradient),
        gradient=tuple(root_mean_square(gradient).tolist()),
        flow={name: tuple(values.tolist()) for name, values in flow.items()},
        carried=gradient_flow(trail, states),
        activations=tuple(
            measured(p, values, _overall(flow.get(p.name)))
            for p in places(trail.cell)
            if (values := values_at(trail, p.at)).numel()
        ),
        dead=_still(one),
    )


def _overall(norms: Floats | None) -> float:
    known = np.zeros(0) if norms is None else norms[~np.isnan(norms)]
    return float(np.sqrt((known**2).mean())) if known.size else 0.0


def _still(one: Seen) -> int:
    """Units of h that do not move; 0 where there is one value only."""
    h = torch.cat([m.after[0].detach()[real_rows(m)] for m in one.trail.moments])
    return int((h.amax(0) - h.amin(0) <= STILL).sum()) if len(h) > 1 else 0
