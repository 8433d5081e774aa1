"""From what an encoder knows of a row to its code.

plain         fewer numbers than a row has
variational   a distribution, of which training draws
l1            what is not 0 costs
rate          what is away from a rate costs
top_k         the k largest numbers are kept
"""

from __future__ import annotations

from collections.abc import Callable

from recurra.base.registry import Registry
from recurra.models.latents.contract import Coded, Latent
from recurra.models.latents.plain import Plain
from recurra.models.latents.sparse import L1, Rate, TopK
from recurra.models.latents.variational import Variational

LATENTS: Registry[Callable[..., Latent]] = Registry("latent", "recurra.latents")
LATENTS.add("plain", Plain)
LATENTS.add("variational", Variational)
LATENTS.add("l1", L1)
LATENTS.add("rate", Rate)
LATENTS.add("top_k", TopK)

__all__ = ["L1", "LATENTS", "Coded", "Latent", "Plain", "Rate", "TopK", "Variational"]
