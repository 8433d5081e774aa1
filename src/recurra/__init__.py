"""recurra: train, explain and ship sequence models."""

from __future__ import annotations

__version__ = "0.1.0"
