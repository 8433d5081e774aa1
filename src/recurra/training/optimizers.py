"""Update rules, from torch, with bounds on every option and no combination that does nothing.

All run as one fused pass where torch has one on the CPU: for 62 thousand parameters in 8 tensors a step of Adam takes
0.24 ms instead of 0.76, of SGD with momentum 0.11 instead of 0.24 (one thread). RMSprop has none; `foreach` takes
0.40 instead of 0.52. Each is element by element, so its bits do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import torch
from torch.nn import Parameter

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.training.averaging import AveragedSGD
from recurra.training.bounds import bounded

Rate = Annotated[float, Opt("learning rate, at its peak if there is a schedule", gt=0)]
Decay = Annotated[float, Opt("weight decay, added to the gradient (L2, on all parameters)", ge=0)]
Epsilon = Annotated[float, Opt("added to the denominator", gt=0)]


@bounded
def sgd(
    parameters: Iterable[Parameter],
    *,
    lr: Rate = 0.1,
    momentum: Annotated[float, Opt("share of the last update that is kept", ge=0, lt=1)] = 0.0,
    nesterov: Annotated[bool, Opt("look ahead along the momentum")] = False,
    weight_decay: Decay = 0.0,
) -> torch.optim.Optimizer:
    """Stochastic gradient descent: v <- momentum v + g; w <- w - lr v (Nesterov: w - lr (g + momentum v)).

    Raises ConfigError if nesterov is asked for without momentum: there is nothing to look ahead along.
    Source: Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning", in torch's form.
    """
    if nesterov and momentum == 0:
        raise ConfigError("sgd: nesterov: needs momentum > 0, got momentum 0; set momentum: 0.9 or nesterov: false.")
    return torch.optim.SGD(
        parameters, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay, fused=True
    )


@bounded
def rmsprop(
    parameters: Iterable[Parameter],
    *,
    lr: Rate = 1e-3,
    alpha: Annotated[float, Opt("decay of the running mean of squared gradients", ge=0, lt=1)] = 0.99,
    eps: Epsilon = 1e-8,
    momentum: Annotated[float, Opt("share of the last update that is kept", ge=0, lt=1)] = 0.0,
    centered: Annotated[bool, Opt("divide by the deviation instead of the root mean square")] = False,
    weight_decay: Decay = 0.0,
) -> torch.optim.Optimizer:
    """RMSprop: m <- alpha m + (1 - alpha) g^2; w <- w - lr g / (sqrt(m) + eps).

    Source: Tieleman & Hinton 2012, Coursera lecture 6.5; the centered form: Graves 2013, arXiv:1308.0850, eq. 38-45.
    """
    return torch.optim.RMSprop(
        parameters,
        lr=lr,
        alpha=alpha,
        eps=eps,
        momentum=momentum,
        centered=centered,
        weight_decay=weight_decay,
        foreach=True,
    )


@bounded
def adam(
    parameters: Iterable[Parameter],
    *,
    lr: Rate = 1e-3,
    beta1: Annotated[float, Opt("decay of the running mean of gradients", ge=0, lt=1)] = 0.9,
    beta2: Annotated[float, Opt("decay of the running mean of squared gradients", ge=0, lt=1)] = 0.999,
    eps: Epsilon = 1e-8,
    weight_decay: Decay = 0.0,
) -> torch.optim.Optimizer:
    """Adam: w <- w - lr m' / (sqrt(v') + eps), with bias-corrected first and second moments m' and v'.

    Source: Kingma & Ba 2015, arXiv:1412.6980, algorithm 1.
    """
    return torch.optim.Adam(parameters, lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=weight_decay, fused=True)


@bounded
def adamw(
    parameters: Iterable[Parameter],
    *,
    lr: Rate = 1e-3,
    beta1: Annotated[float, Opt("decay of the running mean of gradients", ge=0, lt=1)] = 0.9,
    beta2: Annotated[float, Opt("decay of the running mean of squared gradients", ge=0, lt=1)] = 0.999,
    eps: Epsilon = 1e-8,
    weight_decay: Annotated[float, Opt("w shrinks by lr * weight_decay a step (all parameters)", ge=0)] = 0.01,
) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay: w <- w - lr weight_decay w, then the step of Adam.

    Source: Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2.
    """
    return torch.optim.AdamW(parameters, lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=weight_decay, fused=True)


@bounded
def nt_asgd(
    parameters: Iterable[Parameter],
    *,
    lr: Rate = 30.0,
    evaluations: Annotated[int, Opt("evaluations without a better dev score until averaging begins", ge=1)] = 5,
    weight_decay: Decay = 0.0,
) -> torch.optim.Optimizer:
    """SGD whose weights are averaged once the dev score stands still; dev scores and the best model use the average.

    Averaging begins with the first score that is worse than the best of those before the last `evaluations`.
    Sources: Merity, Keskar & Socher 2017, arXiv:1708.02182, algorithm 1; averages: Polyak & Juditsky 1992.
    """
    return AveragedSGD(parameters, lr=lr, weight_decay=weight_decay, evaluations=evaluations, fused=True)


def set_lr(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Set each group's learning rate to `factor` times its own peak; return the first group's.

    The peak is kept in the group as `initial_lr`, torch's word, so a saved optimizer carries it.
    """
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
    return float(optimizer.param_groups[0]["lr"])
