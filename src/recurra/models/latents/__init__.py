"""From what an encoder knows of a row to its code.

plain   fewer numbers than a row has
"""

from __future__ import annotations

from collections.abc import Callable

from recurra.base.registry import Registry
from recurra.models.latents.contract import Coded, Latent
from recurra.models.latents.plain import Plain

LATENTS: Registry[Callable[..., Latent]] = Registry("latent", "recurra.latents")
LATENTS.add("plain", Plain)

__all__ = ["LATENTS", "Coded", "Latent", "Plain"]
