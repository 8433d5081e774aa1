"""A code that is a distribution: the variational autoencoder."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.base.option import OneOf, Opt
from recurra.config import build
from recurra.models.contract import Sizes
from recurra.models.latents.contract import Coded
from recurra.models.latents.warmups import WARMUPS, NoWarmup
from recurra.models.options import Component
from recurra.nn import SteadyLinear

# Logarithms of variances lie within these, so that neither they nor their exponentials leave float32.
LEAST, MOST = -20.0, 20.0


class Variational(nn.Module):
    """q(z | x) = N(m, s^2), each number by itself, beside p(z) = N(0, 1) (Kingma & Welling 2014, arXiv:1312.6114).

    A row costs beta w KL(q || p), KL = (m^2 + s^2 - 1) / 2 - log s summed over the code; w is the warm-up's. With free
    bits a number of the code whose KL is below them costs what they are, and has no gradient of it (Kingma et al. 2016,
    arXiv:1606.04934, appendix C.8, here for each row by itself).
    Raises ConfigError for a task that does not say that it is variational.
    """

    updates: Tensor
    is_distribution = True

    def __init__(
        self,
        input_size: int,
        sizes: Sizes,
        *,
        beta: Annotated[float, Opt("weight of the KL; 1: the bound on the likelihood", ge=0, le=1000)] = 1.0,
        warmup: Annotated[Component, OneOf("how that weight rises at first", WARMUPS)] = "none",
        free_bits: Annotated[float, Opt("nats of KL that each number of the code has for free", ge=0, le=100)] = 0.0,
    ) -> None:
        super().__init__()
        if not sizes["variational"]:
            raise ConfigError("name: variational needs task.variational: true, so that bounds are scored.")
        if free_bits and not beta:
            raise ConfigError("free_bits: have no effect with beta 0; leave them out.")
        self.output_size, self.beta, self.free_bits = sizes["code"], beta, free_bits
        self.warmup = build(warmup, WARMUPS)
        if not beta and not isinstance(self.warmup, NoWarmup):
            raise ConfigError("warmup: has no effect with beta 0; leave it out.")
        self.mean = SteadyLinear(input_size, self.output_size)
        self.log_variance = SteadyLinear(input_size, self.output_size)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def forward(self, summary: Tensor, draws: Tensor | None) -> Coded:
        mean, log_variance = self.mean(summary), self.log_variance(summary).clamp(LEAST, MOST)
        if draws is None and self.training:
            draws = torch.randn_like(mean)
        codes = mean if draws is None else mean + torch.exp(0.5 * log_variance) * draws
        each = divergence(mean, log_variance)
        charged = each.clamp(min=self.free_bits) if self.free_bits else each
        cost = self.beta * self._share() * charged.sum(1)
        return Coded(codes, mean, cost, {"kl": each.sum(1)}, mean, log_variance)

    def _share(self) -> float:
        return float(self.warmup(int(self.updates))) if self.training else 1.0

    def updated(self) -> None:
        """One more update is done: the warm-up's place."""
        self.updates += 1


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(m, s^2) || N(0, 1)) of each number, from m and log s^2 (Kingma & Welling 2014, appendix B)."""
    return 0.5 * (mean**2 + torch.exp(log_variance) - 1 - log_variance)
