"""Texts to short codes, and back: what is learned is what a text has in common with others.

config     what a config says, before any data is read      task       the verbs
rows       texts as examples, and as batches                tables     what a report shows
scores     how well texts are written again                 sizing     what init chooses
"""

from __future__ import annotations

from recurra.tasks.text_autoencoding.config import TextAutoencodingConfig
from recurra.tasks.text_autoencoding.task import TextAutoencoding

__all__ = ["TextAutoencoding", "TextAutoencodingConfig"]
