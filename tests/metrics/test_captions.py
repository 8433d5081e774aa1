"""Scores of captions, against figures of the reference tool (pycocoevalcap 1.2) on sentences made here."""

from __future__ import annotations

import pytest

from recurra.metrics.captions import bleu, caption_scores, captioned, cider_d, cider_d_of, rouge_l, rouge_l_of

SAID = {
    "a red boat on the sea": ("a red boat sails on the sea", "a small boat at sea", "the boat is red"),
    "two dogs play in the snow": ("two dogs are playing in the snow", "dogs in the snow"),
    "a man rides a horse": (
        "a man is riding a brown horse",
        "a man on a horse",
        "someone rides a horse in the field",
        "a rider",
    ),
    "the the the the": ("the cat sits on the mat", "a cat on a mat"),
    "a plate of food with a fork and a knife and a cup of tea on a table": ("a plate of food on a table", "food"),
    "green": ("a green apple", "green"),
}
ROWS = [captioned(said, references) for said, references in SAID.items()]


def test_scores_are_those_of_the_reference_tool():
    # Its BLEU adds 1e-9 to lengths and counts of n-grams; the others are the same sums in another order.
    assert bleu(ROWS) == pytest.approx(
        [0.64999999998375, 0.5355041604569937, 0.41059020081472464, 0.23174139917136755], rel=1e-9
    )
    each = [0.9104477611940297, 0.9242424242424241, 0.8, 0.3860759493670886, 0.6082621082621082, 1.0]
    assert [rouge_l_of(row) for row in ROWS] == pytest.approx(each, rel=1e-12)
    assert rouge_l(ROWS) == pytest.approx(0.7715047071776083, rel=1e-12)
    each = [
        2.710440788157258,
        3.5396131722214474,
        2.0423048103270793,
        0.1482897291586682,
        0.33032164156502064,
        2.0839619781498127,
    ]
    assert cider_d_of(ROWS) == pytest.approx(each, rel=1e-12)
    assert cider_d(ROWS) == pytest.approx(1.8091553532632145, rel=1e-12)


def test_of_two_lengths_as_close_the_shorter_one_counts():
    row = captioned("a b c", ("a b", "a b c d"))  # so nothing is taken off for being short
    assert bleu([row])[:3] == pytest.approx([1.0, 1.0, 1.0])
    assert bleu([captioned("a b c", ("a b c d",))])[0] == pytest.approx(2.718281828459045 ** (1 - 4 / 3))


def test_a_single_picture_has_a_cider_of_zero():
    assert cider_d(ROWS[:1]) == 0.0


def test_signs_and_capitals_make_no_difference():
    (row,) = [captioned("A red boat, on the SEA!", ("A red boat.",))]
    assert row.said == ("a", "red", "boat", "on", "the", "sea")
    assert row.references == (("a", "red", "boat"),)


def test_nothing_said_scores_nothing():
    found = caption_scores([captioned("", ("a boat",)), captioned("", ("a dog",))], "dev")
    assert {score.name: score.value for score in found if score.value} == {}
