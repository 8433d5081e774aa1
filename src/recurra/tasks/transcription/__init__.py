"""Speech to text: recordings, as sounds or as features, to what is said in them."""

from __future__ import annotations

from recurra.tasks.transcription.config import TranscriptionConfig
from recurra.tasks.transcription.task import Transcription

__all__ = ["Transcription", "TranscriptionConfig"]
