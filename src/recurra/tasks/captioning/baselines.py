"""What a model of captions must beat: the captions of the nearest picture, and always the same one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Score
from recurra.metrics import Compared
from recurra.tasks.captioning.rows import CaptionExample
from recurra.tasks.picture_reader import PictureReader, nearest

# Training pictures among which the nearest one is looked for: 0.06 GB of small pictures.
MOST = 20_000
LEFT_OUT = "baseline nearest: of {} training pictures the first {} are looked at."


def compared(
    reader: PictureReader,
    train: Sequence[CaptionExample],
    splits: Mapping[str, Sequence[CaptionExample]],
    score: Callable[[Sequence[str], Sequence[CaptionExample], str], tuple[Score, ...]],
) -> Compared:
    """Their scores on every split. In training itself the nearest picture is another one."""
    frequent = Counter(one for e in train for one in e.captions or ()).most_common(1)[0][0]
    known = list(train[:MOST])
    vectors = _vectors(reader, known)
    same: list[Score] = []
    near: list[Score] = []
    for name, examples in splits.items():
        same += score([frequent] * len(examples), examples, name)
        found = nearest(vectors, _vectors(reader, examples))
        near += score([(known[k].captions or ("",))[0] for k in found], examples, name)
    notes = (LEFT_OUT.format(f"{len(train):,}", f"{MOST:,}"),) if len(train) > MOST else ()
    return Compared({"nearest": tuple(near), "frequent": tuple(same)}, notes)


def _vectors(reader: PictureReader, examples: Sequence[CaptionExample]) -> NDArray[np.float32]:
    return np.stack([reader.small(e.shown) for e in examples])
