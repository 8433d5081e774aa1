"""An autoencoder with what makes values of its outputs, for other programs."""

from __future__ import annotations

from torch import Tensor, nn

from recurra.base.contracts import Batch
from recurra.losses.likelihoods import Likelihood
from recurra.models.autoencoder import Autoencoder


class Rebuilding(nn.Module):
    """A model and its likelihood, for other programs: codes (N, Z), and what is expected of each number (T, N, D)."""

    def __init__(self, model: Autoencoder, likelihood: Likelihood) -> None:
        super().__init__()
        self.model, self.likelihood = model, likelihood

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        codes, mean = self.model.codes(batch), self.likelihood.mean
        numbers = self.model.decode(codes, batch.lengths.to(codes.device), mean=mean)
        return codes, mean(numbers)
