"""What went wrong: words and letters that were taken for others, and the worst recordings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recurra.base.contracts import Table
from recurra.metrics.transcripts import Edits, confusions, edits, summed
from recurra.tasks.transcription.rows import Utterance

WORST = 20
# Characters of a text that a table shows.
SHOWN = 300
NONE = "(nothing)"


def transcript_tables(outputs: Sequence[Any], examples: Sequence[Utterance]) -> tuple[Table, ...]:
    """Most confused words, most confused letters, the worst recordings."""
    pairs = [(e.text or "", one.text) for e, one in zip(examples, outputs, strict=True)]
    words = [edits(a.split(), b.split()) for a, b in pairs]
    letters = summed([edits(a, b) for a, b in pairs])
    return (
        _confused("Words taken for others", summed(words)),
        _confused("Letters taken for others", letters),
        _worst(words, outputs, examples),
    )


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


def _shown(said: str) -> str:
    return "(space)" if said == " " else said or NONE
