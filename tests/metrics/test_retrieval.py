"""Ranks and recalls, by hand."""

from __future__ import annotations

import numpy as np

from recurra.metrics.retrieval import ranks, retrieval_scores


def test_a_rank_counts_wrong_answers_that_are_at_least_as_alike():
    alike = np.array([[0.9, 0.5, 0.1], [0.2, 0.8, 0.8], [0.3, 0.3, 0.3]], np.float32)
    assert ranks(alike, np.eye(3, dtype=bool)).tolist() == [1, 2, 3]
    both = np.array([[False, True, True]] * 3)
    assert ranks(alike, both).tolist() == [2, 1, 2]


def test_a_model_that_says_no_number_has_found_nothing():
    alike = np.full((3, 3), np.nan, np.float32)
    assert ranks(alike, np.eye(3, dtype=bool)).tolist() == [3, 3, 3]
    alike = np.array([[0.9, 0.5, 0.1], [0.2, np.nan, 0.1], [np.nan, 0.3, 0.4]], np.float32)
    assert ranks(alike, np.eye(3, dtype=bool)).tolist() == [1, 3, 2]


def test_recalls_and_medians_are_counted_either_way():
    found = {s.name: s.value for s in retrieval_scores([1, 5, 6, 11], [1, 1, 2, 40], "test")}
    assert found["text_to_image_r1"] == 0.25
    assert found["text_to_image_r5"] == 0.5
    assert found["text_to_image_r10"] == 0.75
    assert found["text_to_image_median_rank"] == 5.5
    assert found["image_to_text_r1"] == 0.5
    assert found["image_to_text_median_rank"] == 1.5
    better = {s.name: s.better for s in retrieval_scores([1], [1], "test")}
    assert {name for name, word in better.items() if word == "lower"} == {
        "text_to_image_median_rank",
        "image_to_text_median_rank",
    }
    assert found["mean_recall"] == (0.25 + 0.5 + 0.75 + 0.5 + 0.75 + 0.75) / 6
