"""The training loop: a generator, because what happens between two steps is the caller's business."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from torch import nn

from recurra.base.contracts import Batch, CountsUpdates, Loss, MarksUse, Prediction, Progress
from recurra.training.clipping import Clipping, gradient_norm, no_clipping
from recurra.training.nonfinite import Failure
from recurra.training.optimizers import set_lr
from recurra.training.penalties import Penalty, weights_of
from recurra.training.randomness import seed_step
from recurra.training.ranks import Ranks, SingleProcess
from recurra.training.schedules import Schedule


def fit(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    loss: Callable[[Any, Batch], Loss],
    optimizer: torch.optim.Optimizer,
    schedule: Schedule,
    on_nonfinite: Callable[[Failure], None],
    seed: int,
    epoch: int,
    steps_done: int,
    clipping: Clipping | None = None,
    penalties: Sequence[Penalty] = (),
    forward: Callable[[Batch], Prediction] | None = None,
    ranks: Ranks | None = None,
    update: Callable[[Batch, float], Loss] | None = None,
    accumulate: int = 1,
) -> Iterator[Progress]:
    """Make one optimizer step per batch, or per `accumulate` of them, and yield its Progress right after it.

    accumulate: batches whose losses and targets are added up to one step, as if they were one batch; the last step may
    have fewer

    update: moves the model itself by a batch at a rate, in the place of a gradient and an optimizer; its loss is that
    of the batch before it was moved by, and its gradient's norm is not known (0).

    loss(forward(batch), batch) is a sum in nats and a count; the step follows the gradient of their quotient plus
    `penalties`, clipped. forward: the model itself by default; a `Carry` of it where rows go on from batch to batch.
    steps_done: steps before the first batch, so the first one is steps_done + 1.
    ranks: the processes that share the batches, of which each gets its rows; a batch without rows is not run.
    Randomness inside the model is a function of (seed, step, rank): torch's global generator is seeded at each step.
    Where the loss or the gradient is not finite, or a batch has no target, the parameters stay as they are and
    `on_nonfinite` decides: it raises TrainingError, or returns, and the step counts without an update.
    The caller may save, evaluate or stop between two steps; the model is back in training mode at the next.
    """
    clip, predict, together = clipping or no_clipping(), forward or model, ranks or SingleProcess()
    parameters, weights = [p for p in model.parameters() if p.requires_grad], weights_of(model)
    modes, counting = _Modes(model), [module for module in model.modules() if isinstance(module, CountsUpdates)]
    for step, group in enumerate(_groups(batches, accumulate), start=steps_done + 1):
        modes.keep()
        lr = set_lr(optimizer, schedule(step))
        if update is not None:
            (batch,) = group
            now = update(batch, lr)
            yield Progress(step, epoch, now.mean, int(batch.lengths.sum()), lr, torch.zeros((), dtype=torch.float32))
            continue
        seed_step(seed, step, parameters[0].device, together.number)
        optimizer.zero_grad(set_to_none=True)
        ours, bad = _added(group, loss, predict)
        now, tokens = together.backward(ours, _tokens(group), parameters, begun=len(group) > 1)
        norm = with_penalties(now, parameters, penalties, weights)
        # Reading two numbers costs 2 us on a CPU, and no bad update can slip through until the next look.
        if now.count and math.isfinite(now.total.item()) and math.isfinite(norm.item()):
            clip(parameters, norm)
            optimizer.step()
        else:
            on_nonfinite(Failure(step, seed, lr, model, loss, group[bad], now, norm, bad))
        _count(counting, together)
        yield Progress(step, epoch, now.mean.detach(), tokens, lr, norm, _means(now))


class _Modes:
    """A model told to train, which may leave parts of it at rest; told again where one is not as that left it.

    Telling all of a small model takes a tenth of its step, and looking at them next to nothing.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model.train()
        self._left = [(module, module.training) for module in model.modules()]

    def keep(self) -> None:
        if any(module.training is not mode for module, mode in self._left):
            self._model.train()


def _count(counting: Sequence[CountsUpdates], ranks: Ranks) -> None:
    """Tell modules that a step is done; what one rank has used, all have."""
    for module in counting:
        if isinstance(module, MarksUse):
            ranks.anywhere(module.used)
        module.updated()


def _tokens(group: Sequence[Batch]) -> int:
    """Those of some batches together."""
    return sum(int(batch.lengths.sum()) for batch in group)


def _means(loss: Loss) -> dict[str, torch.Tensor]:
    """What its parts are of each target."""
    return {name: part / max(loss.count, 1) for name, part in loss.parts.items()}


def _groups(batches: Iterable[Batch], number: int) -> Iterator[tuple[Batch, ...]]:
    """So many batches at a time; the last group may have fewer."""
    waiting = iter(batches)
    while group := tuple(islice(waiting, number)):
        yield group


def _added(
    group: Sequence[Batch], loss: Callable[[Any, Batch], Loss], predict: Callable[[Batch], Prediction]
) -> tuple[Loss, int]:
    """The loss of all batches of a step, and which of them is the first whose loss is not finite, or the last.

    The gradients of all but the last are in the parameters, as those of a sum; the last one's are in the graph.
    """
    total, count, bad = torch.zeros((), dtype=torch.float32), 0, len(group) - 1
    parts: dict[str, torch.Tensor] = {}
    for place, batch in enumerate(group):
        if not len(batch.lengths):
            continue
        one = loss(predict(batch), batch)
        if place < bad and not math.isfinite(one.total.item()):
            bad = place
        if place + 1 < len(group) and one.count:
            one.total.backward()  # type: ignore[no-untyped-call]
            one = Loss(one.total.detach(), one.count, one.parts)
        parts |= {name: part + parts.get(name, 0) for name, part in one.parts.items()}
        total, count = one.total + total.to(one.total.device) if count else one.total, count + one.count
    return Loss(total, count, parts), bad


def with_penalties(
    loss: Loss, parameters: Sequence[nn.Parameter], penalties: Sequence[Penalty], weights: Sequence[nn.Parameter]
) -> torch.Tensor:
    """Add the gradients of the penalties to those of the mean loss; return the norm. An empty batch has none."""
    if loss.count:
        for penalty in penalties:
            penalty(weights)
    return gradient_norm(parameters)
