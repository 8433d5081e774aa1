"""What a model of speech must beat: always the same text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from recurra.metrics import Compared, compare
from recurra.metrics.transcripts import transcript_scores
from recurra.tasks.transcription.rows import Utterance


class SameText:
    """The most frequent text of training; of equally frequent ones the first."""

    def fit(self, recordings: Sequence[Any], gold: Sequence[str]) -> None:
        self.text = Counter(gold).most_common(1)[0][0]

    def predict(self, recordings: Sequence[Any]) -> list[str]:
        return [self.text] * len(recordings)


def compared(train: Sequence[Utterance], splits: Mapping[str, Sequence[Utterance]]) -> Compared:
    """Its scores on every split."""

    def pairs(examples: Sequence[Utterance]) -> tuple[list[Any], list[str]]:
        return list(examples), [e.text or "" for e in examples]

    known: dict[str, Any] = {"same_text": SameText()}
    return compare(known, train=pairs(train), splits={k: pairs(v) for k, v in splits.items()}, score=transcript_scores)
