"""What went wrong: words and letters that were taken for others, and the worst recordings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from recurra.base.contracts import Table
from recurra.metrics.transcripts import Edits, confusions, edits, summed
from recurra.tasks.transcription.rows import Utterance

WORST = 20
# Characters of a text that a table shows.
SHOWN = 300
NONE = "(nothing)"
# Words, or letters, of a matrix.
MOST_SHOWN = 40


def transcript_tables(outputs: Sequence[Any], examples: Sequence[Utterance]) -> tuple[Table, ...]:
    """Most confused words, most confused letters, the worst recordings."""
    pairs = [(e.text or "", one.text) for e, one in zip(examples, outputs, strict=True)]
    words = [edits(a.split(), b.split()) for a, b in pairs]
    letters = summed([edits(a, b) for a, b in pairs])
    return (
        *_matrix(pairs, words, letters),
        _confused("Words taken for others", summed(words)),
        _confused("Letters taken for others", letters),
        _worst(words, outputs, examples),
    )


def _matrix(pairs: Sequence[tuple[str, str]], words: Sequence[Edits], letters: Edits) -> tuple[Table, ...]:
    """How often each word, or phone, was taken for which; of more than a picture can have: each letter."""
    counts = Counter(word for said, _ in pairs for word in said.split())
    if 1 < len(counts) <= MOST_SHOWN:
        return (_counted("Words: said (rows) and heard (columns)", counts, summed(words)),)
    counts = Counter(letter for said, _ in pairs for letter in said)
    if len(counts) < 2 or not letters.all:
        return ()
    return (_counted("Letters: said (rows) and heard (columns)", counts, letters),)


def _counted(caption: str, counts: Counter[str], found: Edits) -> Table:
    """A matrix of the most frequent ones, `NONE` for what was left out or added."""
    known = sorted(one for one, _ in counts.most_common(MOST_SHOWN))
    wrong = Counter(found.pairs)
    mistaken = Counter(a for a, _ in found.pairs)
    said = [*known, None]
    rows: tuple[tuple[str | int | float, ...], ...] = tuple(
        (_shown(a), *((counts[a] - mistaken[a] if a == b and a is not None else wrong[a, b]) for b in said))
        for a in said
    )
    return Table(caption, ("", *(_shown(one) for one in said)), rows)


def _confused(caption: str, found: Edits) -> Table:
    rows = [(_shown(a), _shown(b), number) for a, b, number in confusions(found)]
    return Table(caption, ("said", "heard", "times"), tuple(rows))


def _worst(words: Sequence[Edits], outputs: Sequence[Any], examples: Sequence[Utterance]) -> Table:
    each = sorted(zip(words, outputs, examples, strict=True), key=lambda one: -one[0].all)
    rows = [
        ((e.text or "")[:SHOWN], one.text[:SHOWN], found.all, f"{e.seconds:.1f}", e.recording.name)
        for found, one, e in each[:WORST]
        if found.all
    ]
    return Table("The worst recordings", ("said", "heard", "edits", "seconds", "place"), tuple(rows))


def _shown(said: str | None) -> str:
    return "(space)" if said == " " else said or NONE
