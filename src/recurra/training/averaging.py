"""Averages of weights over the steps of training, and a model that wears them for a while."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import Parameter

from recurra.base.contracts import Score
from recurra.base.errors import ConfigError


# torch's SGD is inherited because every optimizer is one: schedules, checkpoints and hooks expect the class.
class AveragedSGD(torch.optim.SGD):
    """SGD; from the step where the dev score stands still, also the mean of all weights since then.

    evaluations: n; averaging begins with the first dev score that is worse than the best of those before the last n.
    So it is in the paper's ICLR edition, algorithm 1, and in its program; the first edition compares with the last n,
    which its authors call a slip (https://github.com/salesforce/awd-lstm-lm/issues/13).
    Everything that a resumed run needs is in `state_dict`: the means by parameter, scores and count in the group.
    """

    def __init__(
        self, parameters: Iterable[Parameter], *, lr: float, weight_decay: float, evaluations: int, **options: Any
    ) -> None:
        super().__init__(parameters, lr=lr, weight_decay=weight_decay, **options)
        self.param_groups[0].update(evaluations=evaluations, scores=[], averaging=False, averaged=0)

    def step(self, closure: Any = None) -> Any:
        """One step of SGD, and one more term of the means, if there are any."""
        loss = super().step(closure)
        group = self.param_groups[0]
        if group["averaging"]:
            group["averaged"] += 1
            with torch.no_grad():
                for p in group["params"]:
                    self._average(p, group["averaged"])
        return loss

    def _average(self, p: Parameter, count: int) -> None:
        """m <- m + (w - m) / count, the mean of the last `count` weights."""
        state = self.state[p]
        if count == 1:
            state["mean"] = p.detach().clone()
        else:
            state["mean"].lerp_(p, 1 / count)

    def observe(self, score: Score) -> None:
        """Take note of a dev score. Raises ConfigError if the score has no better direction."""
        if score.better == "neither":
            raise ConfigError(f"nt_asgd: score '{score.name}' has no better direction; watch the loss or an accuracy.")
        group = self.param_groups[0]
        if group["averaging"]:
            return
        # A checkpoint holds no NaN or infinity: such a score is the worst, None.
        scores, value = list(group["scores"]), score.value if score.better == "lower" else -score.value
        earlier = [math.inf if s is None else s for s in scores[: len(scores) - group["evaluations"]]]
        bad = not math.isfinite(value)
        group["averaging"] = len(scores) > group["evaluations"] and (bad or value > min(earlier))
        group["scores"] = [*scores, None if bad else value]


@contextmanager
def averaged(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Inside the block the parameters are the means that the optimizer keeps, if it keeps any; afterwards themselves.

    For scores and for the checkpoint that is kept as the best. No step may be made inside.
    """
    means = [(p, state["mean"]) for p, state in optimizer.state.items() if "mean" in state]
    own = [p.data for p, _ in means]
    try:
        for p, mean in means:
            p.data = mean
        yield
    finally:
        for (p, _), data in zip(means, own, strict=True):
            p.data = data
