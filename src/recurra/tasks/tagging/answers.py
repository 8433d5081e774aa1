"""What comes out: spans of the text, or its tokens with their tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recurra.data.schemes import Span, read_default
from recurra.tasks.tagging.decoding import Tagged
from recurra.tasks.tagging.sentences import Sentence


def spans_of(sentence: Sentence, output: Tagged) -> list[dict[str, Any]]:
    """Spans with their characters; score: the lowest probability of its tags, which the span's cannot exceed."""
    return [_part(sentence, output, span) for span in read_default(output.tags)]


def tokens_of(sentence: Sentence, output: Tagged, tags: Sequence[str]) -> list[dict[str, Any]]:
    """Every token with its tag, as the files write it, and the tag's probability."""
    return [_part(sentence, output, Span(tag, k, k + 1)) for k, tag in enumerate(tags)]


def _part(sentence: Sentence, output: Tagged, span: Span) -> dict[str, Any]:
    start, end = sentence.bounds[2 * span.start], sentence.bounds[2 * span.end - 1]
    found: dict[str, Any] = {"text": sentence.text[start:end], "label": span.label, "start": start, "end": end}
    return found | {"score": min(output.with_confidence[span.start : span.end])} if output.with_confidence else found
