"""Codes of which few numbers are more than 0: by what they cost, or by keeping the largest."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.losses import steady_sigmoid
from recurra.models.contract import Sizes
from recurra.models.latents.contract import Coded
from recurra.nn import SteadyLinear

# Rates of units lie within these, so that their logarithms are finite.
NEAR = 1e-6
# Updates without any row after which a unit is dead.
DEAD_AFTER = 200


class L1(nn.Module):
    """z = relu(W h + b), which costs strength * sum |z| (of sparse codes Olshausen & Field 1996)."""

    is_distribution = False

    def __init__(
        self,
        input_size: int,
        sizes: Sizes,
        *,
        strength: Annotated[float, Opt("cost of the sum of a code's numbers", gt=0, le=1000)] = 1e-3,
    ) -> None:
        super().__init__()
        self.output_size, self.strength = sizes["code"], strength
        self.project = SteadyLinear(input_size, self.output_size)

    def forward(self, summary: Tensor, draws: Tensor | None) -> Coded:
        codes = torch.relu(self.project(summary))
        cost = self.strength * codes.sum(1)
        return Coded(codes, codes, cost, {"sparsity": cost})


class Rate(nn.Module):
    """z = sigmoid(W h + b), which costs strength * sum_j KL(rate || z_j) of Bernoulli's, for each row by itself.

    Ng 2011 ("Sparse autoencoder", section 3) has the mean of z_j over all rows in the place of z_j. Of a batch that
    mean would let a row's gradient depend on its neighbours. By convexity the mean of these is never less.
    """

    is_distribution = False

    def __init__(
        self,
        input_size: int,
        sizes: Sizes,
        *,
        rate: Annotated[float, Opt("what a number of the code should be", gt=0, lt=1)] = 0.05,
        strength: Annotated[float, Opt("cost of what it is away from it", gt=0, le=1000)] = 1e-2,
    ) -> None:
        super().__init__()
        self.output_size, self.rate, self.strength = sizes["code"], rate, strength
        self.project = SteadyLinear(input_size, self.output_size)

    def forward(self, summary: Tensor, draws: Tensor | None) -> Coded:
        codes = steady_sigmoid(self.project(summary))
        z, r = codes.clamp(NEAR, 1 - NEAR), self.rate
        away = r * torch.log(r / z) + (1 - r) * torch.log((1 - r) / (1 - z))
        cost = self.strength * away.sum(1)
        return Coded(codes, codes, cost, {"sparsity": cost})


class TopK(nn.Module):
    """z: the k largest of W h + b, the others 0: k-sparse (Makhzani & Frey 2014, arXiv:1312.5663).

    nonnegative: through a ReLU first, as Gao et al. 2024 have it (arXiv:2406.04093). A unit that no row has had among
    its largest for `dead_after` updates is dead. With `revive` the largest of the dead takes the last k-th place
    in training, so that it learns again. Of several ranks a unit is idle where no rank has used it.
    """

    is_distribution = False
    idle: Tensor
    used: Tensor

    def __init__(
        self,
        input_size: int,
        sizes: Sizes,
        *,
        k: Annotated[int, Opt("numbers of a code that are kept", ge=1)] = 8,
        nonnegative: Annotated[bool, Opt("through a ReLU first")] = True,
        revive: Annotated[bool, Opt("dead units take the last of the k places, the largest of them")] = True,
        dead_after: Annotated[
            int | None, Opt("updates without any row after which a unit is dead; null: 200; needs revive", ge=1)
        ] = None,
    ) -> None:
        super().__init__()
        if k >= sizes["code"]:
            raise ConfigError(f"k: is {k}, expected fewer than task.code_size, {sizes['code']}.")
        self.output_size, self.k, self.nonnegative = sizes["code"], k, nonnegative
        if dead_after is not None and not revive:
            raise ConfigError("dead_after: has no effect with revive: false; leave it out.")
        self.revive, self.dead_after = revive, DEAD_AFTER if dead_after is None else dead_after
        self.project = SteadyLinear(input_size, self.output_size)
        self.register_buffer("idle", torch.zeros(self.output_size, dtype=torch.int64))
        # By the batches of the update that is being made.
        self.register_buffer("used", torch.zeros(self.output_size, dtype=torch.bool), persistent=False)

    def forward(self, summary: Tensor, draws: Tensor | None) -> Coded:
        raw = self.project(summary)
        value = torch.relu(raw) if self.nonnegative else raw
        kept = self._kept(raw)
        codes = torch.where(kept, value, 0.0)
        if self.training:
            self.used |= kept.any(0)
        return Coded(codes, codes)

    def _kept(self, raw: Tensor) -> Tensor:
        """(N, Z) which numbers stay."""
        largest = torch.topk(raw, self.k, dim=1).indices
        dead = self.idle >= self.dead_after
        if self.training and self.revive and bool(dead.any()):
            best = torch.where(dead, raw, -torch.inf).argmax(1, keepdim=True)
            largest = torch.cat([largest[:, : self.k - 1], best], 1)
        return torch.zeros_like(raw, dtype=torch.bool).scatter_(1, largest, True)

    @torch.no_grad()
    def updated(self) -> None:
        """One more update is done: count those for which each unit has been idle."""
        self.idle.copy_(torch.where(self.used, 0, self.idle + 1))
        self.used.zero_()
