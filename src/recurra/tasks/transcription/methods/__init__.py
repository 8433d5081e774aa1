"""Ways to turn steps into text, by the head of the model.

ctc         at each step a unit, or nothing           transducer  between steps any number of units
"""

from __future__ import annotations

from recurra.tasks.transcription.methods.contract import Decoding, Method, Path
from recurra.tasks.transcription.methods.ctc import Ctc
from recurra.tasks.transcription.methods.transducer import Transducer

METHODS: dict[str, type[Method]] = {one.word: one for one in (Ctc, Transducer)}

__all__ = ["METHODS", "Ctc", "Decoding", "Method", "Path", "Transducer"]
