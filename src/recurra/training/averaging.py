"""Averages of weights over the steps of training, and a model that wears them for a while."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
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


class WeightAverage:
    """The weights that dev scores and the best model have in place of those of the last step: a mean of several.

    last: of so many epochs' ends, the newest included (as fairseq averages checkpoints), all alike
    decay: after each step m <- d m + (1 - d) w, with d = min(decay, (1 + t) / (10 + t)), so that the first weights,
    which are random, do not stay for long. Neither: there is no mean.
    """

    def __init__(self, model: nn.Module, *, last: int | None = None, decay: float | None = None) -> None:
        self._parameters = dict(model.named_parameters())
        self._last, self._decay = last, decay
        self._kept: list[dict[str, Tensor]] = []

    def end_step(self, step: int) -> None:
        """Take note of the weights after the step of this number, from 1."""
        if self._decay is None:
            return
        if not self._kept:
            self._kept = [self._now()]
            return
        share = 1 - min(self._decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, p in self._parameters.items():
                self._kept[0][name].lerp_(p, share)

    def end_epoch(self) -> None:
        """Take note of the weights at the end of an epoch, once its scores are made."""
        if self._last is not None:
            self._kept = [*self._kept, self._now()][-self._last + 1 :] if self._last > 1 else []

    @contextmanager
    def worn(self) -> Iterator[None]:
        """Inside the block the parameters are the mean, if there is one; afterwards themselves."""
        means = self._means()
        own = {name: self._parameters[name].data for name in means}
        try:
            for name, mean in means.items():
                self._parameters[name].data = mean
            yield
        finally:
            for name, data in own.items():
                self._parameters[name].data = data

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs, by name."""
        return {f"{k}/{name}": value for k, kept in enumerate(self._kept) for name, value in kept.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go back to a state. Raises KeyError or ValueError for one of another model."""
        number = len({name.partition("/")[0] for name in state})
        self._kept = [
            {name: _like(state[f"{k}/{name}"], p) for name, p in self._parameters.items()} for k in range(number)
        ]

    def _now(self) -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in self._parameters.items()}

    def _means(self) -> dict[str, Tensor]:
        if self._decay is not None:
            return dict(self._kept[0]) if self._kept else {}
        if self._last is None:
            return {}
        # Summed in float64: float32 would lose a bit or two of ten weights that are nearly alike.
        return {name: self._mean(name, p) for name, p in self._parameters.items()}

    def _mean(self, name: str, now: Parameter) -> Tensor:
        total = torch.zeros_like(now, dtype=torch.float64)
        for kept in self._kept:
            total += kept[name]
        return ((total + now.detach()) / (len(self._kept) + 1)).to(now.dtype)


def _like(saved: Tensor, parameter: Parameter) -> Tensor:
    if saved.shape != parameter.shape:
        raise ValueError(f"a mean of shape {tuple(saved.shape)} for a parameter of shape {tuple(parameter.shape)}")
    return saved.to(parameter.device)


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
