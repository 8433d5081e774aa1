"""Ways to turn steps into text, by the head of the model.

ctc         at each step a unit, or nothing           transducer  between steps any number of units
attention   a decoder that looks at all steps, with CTC beside
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from recurra.tasks.transcription.methods.attention import Attention
from recurra.tasks.transcription.methods.contract import Decoding, Method, Path
from recurra.tasks.transcription.methods.ctc import Ctc
from recurra.tasks.transcription.methods.transducer import Transducer

# The word of a head -> what is made of its options
METHODS: Mapping[str, Callable[[Mapping[str, Any]], Method]] = {
    "ctc": lambda head: Ctc(),
    "transducer": lambda head: Transducer(),
    "attention": lambda head: Attention(head["ctc"]),
}

__all__ = ["METHODS", "Attention", "Ctc", "Decoding", "Method", "Path", "Transducer"]
