"""Tables of the report: sentences with the most mistakes."""

from __future__ import annotations

from collections.abc import Sequence

from recurra.base.contracts import Table
from recurra.data.schemes import Span
from recurra.tasks.tagging.sentences import Sentence

WORST = 10
# Characters of a text that a table shows.
SHOWN = 200


def worst_by_tags(sentences: Sequence[Sentence], gold: Sequence[Sequence[str]], said: Sequence[Sequence[str]]) -> Table:
    """The sentences with the most wrong tags, and which; the shorter sentence first."""
    wrong = [
        [f"{word}: {one}, not {other}" for word, one, other in zip(s.tokens, row, given, strict=True) if one != other]
        for s, row, given in zip(sentences, gold, said, strict=True)
    ]
    order = _worst(list(map(len, wrong)), sentences)
    rows = tuple((str(sentences[k].origin), _short(sentences[k].text), _short("; ".join(wrong[k]))) for k in order)
    return Table("Sentences with the most mistakes", ("place", "sentence", "right, and what was said"), rows)


def worst_by_spans(
    sentences: Sequence[Sentence], gold: Sequence[Sequence[Span]], said: Sequence[Sequence[Span]]
) -> Table:
    """The sentences with the most spans that are missed or not there, and which; the shorter sentence first."""
    missed = [[span for span in row if span not in given] for row, given in zip(gold, said, strict=True)]
    extra = [[span for span in given if span not in row] for row, given in zip(gold, said, strict=True)]
    order = _worst([len(one) + len(other) for one, other in zip(missed, extra, strict=True)], sentences)
    rows = tuple(
        (
            str(sentences[k].origin),
            _short(sentences[k].text),
            _short(_written(sentences[k], missed[k])),
            _short(_written(sentences[k], extra[k])),
        )
        for k in order
    )
    return Table("Sentences with the most mistakes", ("place", "sentence", "not found", "found, and not there"), rows)


def _worst(mistakes: Sequence[int], sentences: Sequence[Sentence]) -> list[int]:
    faulty = [k for k, number in enumerate(mistakes) if number]
    return sorted(faulty, key=lambda k: (-mistakes[k], sentences[k].length, k))[:WORST]


def _written(sentence: Sentence, spans: Sequence[Span]) -> str:
    at = sentence.bounds
    return "; ".join(f"{label}: {sentence.text[at[2 * start] : at[2 * end - 1]]}" for label, start, end in spans)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
