"""What comes out: spans of the text, or its tokens with their tags."""

from __future__ import annotations

from collections.abc import Sequence

from recurra.base.answers import Span
from recurra.data.schemes import Span as Place
from recurra.data.schemes import read_default
from recurra.tasks.tagging.decoding import Tagged
from recurra.tasks.tagging.sentences import Sentence


def spans_of(sentence: Sentence, output: Tagged) -> tuple[Span, ...]:
    """Spans with their characters; score: the lowest probability of its tags, which the span's cannot exceed."""
    return tuple(_part(sentence, output, span) for span in read_default(output.tags))


def tokens_of(sentence: Sentence, output: Tagged, tags: Sequence[str]) -> tuple[Span, ...]:
    """Every token with its tag, as the files write it, and the tag's probability."""
    return tuple(_part(sentence, output, Place(tag, k, k + 1)) for k, tag in enumerate(tags))


def _part(sentence: Sentence, output: Tagged, span: Place) -> Span:
    start, end = sentence.bounds[2 * span.start], sentence.bounds[2 * span.end - 1]
    score = min(output.with_confidence[span.start : span.end]) if output.with_confidence else None
    return Span(sentence.text[start:end], span.label, start, end, score)
