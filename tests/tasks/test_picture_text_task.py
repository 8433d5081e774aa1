"""A label of a picture and a text: what makes two rows the same, how large a row is, and what a batch of them holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recurra.base.contracts import Origin, Record
from recurra.data.pictures import png_of
from recurra.tasks.picture_text import PictureTextClassification, PictureTextConfig

RED, BLUE = (png_of(np.full((8, 8, 3), colour, np.uint8)) for colour in ((255, 0, 0), (0, 0, 255)))


def record(image: Any, text: Any, label: str | None = "yes") -> Record:
    return Record({"image": image, "text": text, "label": label}, Origin("rows.jsonl", 3))


def task_of(*records: Record, **options: Any) -> PictureTextClassification:
    return PictureTextConfig(**options).fit(records, "rows.jsonl")


def test_rows_are_the_same_where_picture_and_text_are() -> None:
    plan = PictureTextConfig(height=8)
    rows = [
        plan.read(record(*one))
        for one in ((RED, "caf\u00e9"), (RED, "cafe\u0301", "no"), (BLUE, "caf\u00e9"), (RED, "b"))
    ]
    keys = [one.key for one in rows]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3
    task = task_of(record(RED, "caf\u00e9"), record(BLUE, "b", "no"), height=8)
    examples = list(task.examples(rows))
    assert [one.key for one in examples] == keys
    assert len({one.digest() for one in examples}) == 4


def test_places_of_features_count_beside_the_words_of_a_batch() -> None:
    rows = [
        record([[float(k)] * 2] * places, "a " * words, "yes" if k else "no")
        for k, (places, words) in enumerate([(1, 1), (6, 2), (3, 5), (6, 1)])
    ]
    task = task_of(*rows, features=True)
    examples = [task.example(one) for one in rows]
    assert [one.length for one in examples] == [2, 8, 8, 7]
    sampler = task.sampler(examples, batch_tokens=16, batch_rows=64, seed=0)
    batches = [sampler.batch(item) for item in sampler.plan(0)]
    assert sorted(k for batch in batches for k in batch.indices) == [0, 1, 2, 3]
    assert all(max(examples[k].length for k in batch.indices) * len(batch.indices) <= 16 for batch in batches)
    batch = task.collate(examples, range(4))
    assert batch.inputs["features"].shape == (6, 4, 2)
    assert batch.lengths.tolist() == [1, 6, 3, 6]
    assert batch.inputs["text_lengths"].tolist() == [1, 2, 5, 1]


@pytest.mark.parametrize("text", [" ", None])
def test_a_blank_text_is_blank_whatever_picture_stands_beside(text: str | None) -> None:
    task = task_of(record([[1.0]], "a"), record([[2.0]], "b", "no"), features=True)
    example = task.example(record([[1.0], [2.0]], text), gold=False)
    assert example.is_blank
    assert example.gold is None
    assert not task.example(record([[1.0]], "a"), gold=False).is_blank
    assert task.answer(example, None).score is None


def test_training_moves_pictures_and_answers_do_not() -> None:
    noise = png_of(np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8))
    rows = [record(noise, f"a{'b' * k}", "yes" if k else "no") for k in range(2)]
    task = task_of(*rows, height=8, shift=3)
    examples = [task.example(one) for one in rows]
    still = task.collate(examples, (0, 1)).inputs["pixels"]
    moved = [task.drawn(examples, (0, 1), 0, epoch).inputs["pixels"] for epoch in range(4)]
    assert (still[0] == still[1]).all()
    assert any((one != still).any() for one in moved)
    assert any((one != moved[0]).any() for one in moved)
