"""Tables of the report: the worst and the best captions, and those that are said most often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from recurra.base.contracts import Table
from recurra.metrics.captions import Captioned, cider_d_of, rouge_l_of
from recurra.tasks.captioning.rows import CaptionExample

WORST, BEST, FREQUENT = 10, 10, 10
# Characters of a text that a table shows.
SHOWN = 160


def caption_tables(
    said: Sequence[str], rows: Sequence[Captioned], examples: Sequence[CaptionExample]
) -> tuple[Table, ...]:
    """By CIDEr-D of each picture, then ROUGE-L."""
    quality = list(zip(cider_d_of(rows), map(rouge_l_of, rows), strict=True))
    order = sorted(range(len(rows)), key=lambda k: quality[k])
    number = min(BEST, len(rows) // 2)
    return (
        _listed("Worst captions", order[:WORST], said, examples, quality),
        _listed("Best captions", order[::-1][:number], said, examples, quality),
        Table(
            "Captions that are written most often",
            ("caption", "times"),
            tuple((text[:SHOWN], times) for text, times in Counter(said).most_common(FREQUENT)),
        ),
    )


def _listed(
    caption: str,
    order: Sequence[int],
    said: Sequence[str],
    examples: Sequence[CaptionExample],
    quality: Sequence[tuple[float, float]],
) -> Table:
    rows = tuple(
        (
            str(examples[k].origin),
            said[k][:SHOWN],
            " | ".join(examples[k].captions or ())[:SHOWN],
            round(quality[k][0], 2),
            round(quality[k][1], 2),
        )
        for k in order
    )
    return Table(caption, ("place", "written", "right", "CIDEr-D", "ROUGE-L"), rows)
