"""Tables of the report: captions whose pictures stand last, and what stands in front of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Table
from recurra.tasks.captioning.rows import CaptionExample
from recurra.tasks.retrieval.scoring import Gallery, both_ranks

WORST, BEST = 10, 10
SHOWN = 160


def retrieval_tables(
    images: NDArray[np.float32], texts: NDArray[np.float32], examples: Sequence[CaptionExample]
) -> tuple[Table, ...]:
    """The worst and the best captions, with the picture that stands first."""
    gallery = Gallery.of(examples)
    by_text, _ = both_ranks(images, texts, gallery)
    captions = [one for e in examples for one in e.captions or ()]
    order = np.argsort(-by_text, kind="stable")
    first = [int((texts[k] @ images.T).argmax()) for k in range(len(texts))]

    def listed(title: str, places: NDArray[np.int64]) -> Table:
        rows = tuple(
            (
                captions[k][:SHOWN],
                str(examples[gallery.owners[k]].origin),
                int(by_text[k]),
                " | ".join(examples[first[k]].captions or ())[:SHOWN],
            )
            for k in places
        )
        return Table(title, ("caption", "place", "rank of its picture", "captions of the first picture"), rows)

    return (
        listed("Captions whose pictures are found worst", order[:WORST]),
        listed("Captions whose pictures are found best", order[::-1][: min(BEST, len(order) // 2)]),
    )
