"""From what an encoder makes of a sequence to named outputs.

label       logits of labels for a whole sequence
tags        a score for each tag at each step, alone or with a CRF
vocabulary  what the token after each step is, over the whole vocabulary
masked      which piece stands where one is hidden
numbers     numbers of a whole sequence
notes       which notes sound after each step
span        where an answer begins and ends
choice      how well a choice fits
ctc         what is said at each step, or nothing
transducer  what is said between steps, given what was said before
attention   what is said, unit by unit, by a decoder that looks at all steps; beside it CTC
"""

from __future__ import annotations

from collections.abc import Callable

from recurra.base.registry import Registry
from recurra.models.contract import Head
from recurra.models.heads.attention import AttentionHead
from recurra.models.heads.choice import ChoiceHead
from recurra.models.heads.ctc import CtcHead
from recurra.models.heads.label import LabelHead
from recurra.models.heads.masked import MaskedHead
from recurra.models.heads.notes import NotesHead
from recurra.models.heads.numbers import NumbersHead
from recurra.models.heads.span import SpanHead
from recurra.models.heads.tags import TagsHead
from recurra.models.heads.transducer import TransducerHead
from recurra.models.heads.vocabulary import VocabularyHead

HEADS: Registry[Callable[..., Head]] = Registry("head", "recurra.heads")
HEADS.add("label", LabelHead)
HEADS.add("tags", TagsHead)
HEADS.add("vocabulary", VocabularyHead)
HEADS.add("masked", MaskedHead)
HEADS.add("notes", NotesHead)
HEADS.add("numbers", NumbersHead)
HEADS.add("span", SpanHead)
HEADS.add("choice", ChoiceHead)
HEADS.add("ctc", CtcHead)
HEADS.add("transducer", TransducerHead)
HEADS.add("attention", AttentionHead)

__all__ = [
    "HEADS",
    "AttentionHead",
    "ChoiceHead",
    "CtcHead",
    "LabelHead",
    "MaskedHead",
    "NotesHead",
    "NumbersHead",
    "SpanHead",
    "TagsHead",
    "TransducerHead",
    "VocabularyHead",
]
