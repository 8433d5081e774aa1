"""Rows of numbers and pictures to a short code, and back: what is learned is what a row has in common with others."""

from __future__ import annotations

from recurra.tasks.autoencoding.config import AutoencodingConfig
from recurra.tasks.autoencoding.task import Autoencoding

__all__ = ["Autoencoding", "AutoencodingConfig"]
