"""Bounds on the likelihood of rows, and how much of a code is used."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from recurra.base.contracts import Score
from recurra.data.draws import normals

if TYPE_CHECKING:
    from recurra.tasks.autoencoding.task import Rebuilt

# What codes are drawn from, sample by sample; and a row's code for the mutual information.
FIRST = 1000
# A unit is active where its mean varies by more than this (Burda, Grosse & Salakhutdinov 2016, appendix C).
ACTIVE = 0.01
# Rows that are compared with one another.
ROWS = 500


@dataclass(frozen=True, slots=True)
class Bound:
    """Codes N(mean, exp(log_variance)) of rows, each (N, Z); what is drawn is a function of each row's key.

    costs: of codes (N, Z), - log p(x | z) (N,)
    """

    mean: Tensor
    log_variance: Tensor
    costs: Callable[[Tensor], Tensor]
    keys: Sequence[int]

    def drawn(self, sample: int) -> Tensor:
        """(N,) - log p(x | z) of one code."""
        return self.costs(self._codes(sample)[0])

    def nll(self, samples: int) -> Tensor:
        """(N,) - log mean_k p(x | z_k) p(z_k) / q(z_k | x) (Burda et al. 2016, arXiv:1509.00519, equation 8)."""
        weights = []
        for sample in range(samples):
            codes, noise = self._codes(sample)
            prior_over_code = 0.5 * (noise**2 - codes**2 + self.log_variance).sum(1)
            weights.append(prior_over_code - self.costs(codes))
        return math.log(samples) - torch.logsumexp(torch.stack(weights).double(), 0)

    def _codes(self, sample: int) -> tuple[Tensor, Tensor]:
        size = self.mean.shape[1]
        rows = np.array([normals(key, size, FIRST + sample) for key in self.keys]).reshape(-1, size)
        noise = torch.from_numpy(rows.astype(np.float32)).to(self.mean.device)
        return self.mean + torch.exp(0.5 * self.log_variance) * noise, noise


def bound_scores(nats: float, outputs: Sequence[Rebuilt], split: str) -> tuple[Score, ...]:
    """The ELBO with its KL, how much of the code is used, and the importance-sampled bound where it was asked for.

    Of outputs without codes there are none.
    """
    if not outputs or "kl" not in outputs[0].parts:
        return (Score("elbo", -nats, "nats", "higher", split),)
    kl = float(np.mean([one.parts["kl"] for one in outputs]))
    found = [Score("elbo", -nats - kl, "nats", "higher", split), Score("kl", kl, "nats", "neither", split)]
    if "nll" in outputs[0].parts:
        nll = float(np.mean([one.parts["nll"] for one in outputs]))
        found.append(Score("nll", nll, "nats", "lower", split))
    means = np.stack([one.code for one in outputs]).astype(np.float64)
    active = float((means.var(0) > ACTIVE).sum())
    found.append(Score("active_units", active, "", "neither", split))
    found.append(Score("mutual_information", mutual_information(outputs), "nats", "neither", split))
    return tuple(found)


def mutual_information(outputs: Sequence[Rebuilt]) -> float:
    """How much a code says about which of these rows it is of, in nats: log of their number at most, about.

    A row's code is drawn for it; it may come out slightly below 0, as all estimates from samples.
    """
    some = outputs[:: max(1, len(outputs) // ROWS)][:ROWS]
    mean = np.stack([one.code for one in some]).astype(np.float64)
    log_variance = np.stack([one.log_variance for one in some if one.log_variance is not None]).astype(np.float64)
    noise = np.stack([normals(n, mean.shape[1], FIRST) for n in range(len(some))])
    codes = mean + np.exp(0.5 * log_variance) * noise
    # (n, m): log q(z_n | x_m), without the constant that both terms have
    away = (codes[:, None] - mean[None]) ** 2 * np.exp(-log_variance)[None]
    each = -0.5 * (away + log_variance[None]).sum(2)
    top = each.max(1, keepdims=True)
    together = top[:, 0] + np.log(np.exp(each - top).mean(1))
    return float((np.diag(each) - together).mean())
