"""What is found without a network: by words and pixels of the nearest training example; and by chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Score
from recurra.metrics import Compared
from recurra.metrics.captions import caption_words
from recurra.metrics.retrieval import FIRST, retrieval_scores
from recurra.tasks.captioning.rows import CaptionExample
from recurra.tasks.overlap import Weights
from recurra.tasks.picture_reader import PictureReader, nearest
from recurra.tasks.retrieval.scoring import Gallery, both_ranks

# Training examples among which the nearest one is looked for, and words of their captions.
MOST, WORDS = 10_000, 5_000
Vectors = NDArray[np.float32]


def compared(
    reader: PictureReader, train: Sequence[CaptionExample], splits: Mapping[str, Sequence[CaptionExample]]
) -> Compared:
    """nearest: a caption stands for the picture of the training caption with the most words in common, by their
    weight, and a picture for the caption of the training picture with the nearest pixels; chance: any order."""
    known = list(train[:MOST])
    pairs = [(n, one) for n, e in enumerate(known) for one in e.captions or ()]
    words = _Words([one for _, one in pairs])
    texts, pictures = words.vectors([one for _, one in pairs]), _pictures(reader, known)
    owners = np.array([n for n, _ in pairs], np.int64)
    found: list[Score] = []
    chance: list[Score] = []
    for name, examples in splits.items():
        said = words.vectors([one for e in examples for one in e.captions or ()])
        shown = _pictures(reader, examples)
        gallery = Gallery.of(examples)
        by_text, _ = both_ranks(shown, pictures[owners[nearest(texts, said)]], gallery)
        first = np.array([int(np.flatnonzero(owners == n)[0]) for n in nearest(pictures, shown)], np.int64)
        _, by_picture = both_ranks(texts[first], said, gallery)
        found += retrieval_scores(by_text.tolist(), by_picture.tolist(), name)
        chance += _chance(len(examples), len(said), name)
    notes = (f"baseline nearest: of {len(train):,} training rows the first {MOST:,} are looked at.",)
    return Compared({"nearest": tuple(found), "chance": tuple(chance)}, notes if len(train) > MOST else ())


def _pictures(reader: PictureReader, examples: Sequence[CaptionExample]) -> Vectors:
    return np.stack([reader.small(e.shown) for e in examples])


class _Words:
    """Captions as weights of their words, of length 1."""

    def __init__(self, captions: Sequence[str]) -> None:
        self.weights = Weights(captions)
        self.places = {word: k for k, (word, _) in enumerate(self.weights.counts.most_common(WORDS))}

    def vectors(self, captions: Sequence[str]) -> Vectors:
        found = np.zeros((len(captions), max(len(self.places), 1)), np.float32)
        for n, caption in enumerate(captions):
            for word in caption_words(caption):
                if (k := self.places.get(word)) is not None:
                    found[n, k] = self.weights.of(word)
        found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        return found


def _chance(pictures: int, captions: int, split: str) -> tuple[Score, ...]:
    """Of an order that is drawn, with one right answer: k of all among the first k."""
    each = {"text_to_image": pictures, "image_to_text": captions}
    recalls = [
        Score(f"{name}_r{k}", min(k / number, 1.0), "0..1", "higher", split)
        for name, number in each.items()
        for k in FIRST
    ]
    mean = sum(score.value for score in recalls) / len(recalls)
    medians = [Score(f"{n}_median_rank", (number + 1) / 2, "rank", "lower", split) for n, number in each.items()]
    return (Score("mean_recall", mean, "0..1", "higher", split), *recalls, *medians)
