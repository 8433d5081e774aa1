"""What a model must beat: frequencies by hand, and the regression on texts that it must separate."""

from __future__ import annotations

import sys

import pytest

from recurra.metrics import (
    Majority,
    MajoritySets,
    TfidfLogistic,
    TfidfLogisticSets,
    compare,
    label_baselines,
    label_set_baselines,
    labelling,
    scores,
)

TEXTS = [f"{word} {i}" for i in range(10) for word in ("good film", "bad film")]
GOLD = ["pos", "neg"] * 10


def test_the_majority_baseline_answers_with_the_training_frequencies():
    baseline = Majority(["x", "a", "b"])
    baseline.fit(["", "", "", ""], ["a", "b", "b", "b"])
    answers = baseline.predict(["one", "two"])
    assert [o.label for o in answers] == ["b", "b"]
    assert answers[0].probabilities == {"x": 0.0, "a": 0.25, "b": 0.75}


def test_a_tie_goes_to_the_first_of_the_label_set():
    baseline = Majority(["b", "a"])
    baseline.fit(["", ""], ["a", "b"])
    assert baseline.predict([""])[0].label == "b"


def test_the_majority_baseline_gives_each_label_that_half_of_the_rows_have():
    baseline = MajoritySets(["a", "b", "c"])
    baseline.fit(["", ""], [("a", "b"), ("a", "a")])
    answer = baseline.predict([""])[0]
    assert answer.labels == ("a", "b")
    assert answer.probabilities == {"a": 1.0, "b": 0.5, "c": 0.0}


@pytest.mark.parametrize("analyzer", ["words", "characters"])
def test_the_regression_separates_what_one_word_tells(analyzer):
    baseline = TfidfLogistic(["neg", "pos"], analyzer=analyzer)
    baseline.fit(TEXTS, GOLD)
    answers = baseline.predict(["a good one", "bad luck"])
    assert [o.label for o in answers] == ["pos", "neg"]
    assert all(sum(o.probabilities.values()) == pytest.approx(1) for o in answers)
    assert answers[0].probabilities["pos"] > 0.7


def test_characters_see_endings_that_words_do_not():
    texts = [f"{stem}{end}" for stem in ("mal", "ter", "vin", "sol", "cor") for end in ("ien", "reich")]
    baseline = TfidfLogistic(["fr", "de"], analyzer="characters")
    baseline.fit(texts, ["fr", "de"] * 5)
    assert [o.label for o in baseline.predict(["Frankreich", "Brasilien"])] == ["de", "fr"]


@pytest.mark.parametrize(("analyzer", "one", "other"), [("words", "not bad", "bad not"), ("characters", "abc", "cba")])
def test_neighbours_count_and_not_only_single_words_or_characters(analyzer, one, other):
    baseline = TfidfLogistic(["x", "y"], analyzer=analyzer)
    baseline.fit([one, other] * 5, ["x", "y"] * 5)
    assert [o.label for o in baseline.predict([one, other])] == ["x", "y"]


def test_a_label_without_training_rows_has_probability_zero():
    baseline = TfidfLogistic(["pos", "none", "neg"])
    baseline.fit(TEXTS, GOLD)
    assert baseline.predict(["good"])[0].probabilities["none"] == 0.0


def test_the_regression_gives_the_same_bits_twice():
    runs = []
    for _ in range(2):
        baseline = TfidfLogistic(["neg", "pos"])
        baseline.fit(TEXTS, GOLD)
        runs.append(baseline.predict(["good bad"])[0].probabilities)
    assert runs[0] == runs[1]


def test_the_regression_answers_each_label_of_a_set_alone():
    gold = [("pos", "film") if word == "pos" else ("film",) for word in GOLD]
    baseline = TfidfLogisticSets(["pos", "film", "never"])
    baseline.fit(TEXTS, gold)
    first, second = baseline.predict(["good", "bad"])
    assert (first.labels, second.labels) == (("pos", "film"), ("film",))
    assert (first.probabilities["film"], first.probabilities["never"]) == (1.0, 0.0)


def scored(gold, outputs, split):
    return scores(labelling(gold, outputs, labels=["neg", "pos"]), split)


def test_baselines_are_scored_on_every_split_with_the_models_own_scores():
    found = compare(
        label_baselines(["neg", "pos"], analyzer="words"),
        train=(TEXTS, GOLD),
        splits={"dev": (["good", "bad"], ["pos", "neg"]), "test": (["good"], ["pos"])},
        score=scored,
    )
    accuracy = {(n, s.split): s.value for n, ss in found.scores.items() for s in ss if s.name == "accuracy"}
    assert accuracy == {
        ("majority", "dev"): 0.5,
        ("majority", "test"): 0.0,  # a tie: neg is first
        ("tfidf", "dev"): 1.0,
        ("tfidf", "test"): 1.0,
    }
    assert found.notes == ()


def test_a_baseline_that_fails_is_left_out_and_the_others_stand():
    found = compare(
        label_baselines(["neg", "pos"], analyzer="words"),
        train=(TEXTS, ["pos"] * 20),
        splits={"test": (["good"], ["pos"])},
        score=scored,
    )
    assert set(found.scores) == {"majority"}
    assert len(found.notes) == 1
    assert found.notes[0].startswith("baseline tfidf was left out: ValueError: ")


def test_without_scikit_learn_the_sentence_names_the_package_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.feature_extraction.text", None)  # what an import then raises is the same
    found = compare(
        label_set_baselines(["pos"], analyzer="characters"),
        train=(TEXTS, [("pos",)] * 20),
        splits={},
        score=lambda gold, outputs, split: (),
    )
    assert set(found.scores) == {"majority"}
    assert found.notes == ('baseline tfidf was left out: scikit-learn is not installed; pip install "recurra[text]".',)


def test_the_bag_of_words_reads_scripts_without_spaces_and_vowel_signs() -> None:
    pytest.importorskip("sklearn", reason="sklearn is not installed; it comes with recurra[test]")
    texts, gold = ["我爱茶", "你喝水", "कि", "की"] * 5, ["tea", "water", "short", "long"] * 5
    baseline = TfidfLogistic(sorted(set(gold)))
    baseline.fit(texts, gold)
    assert [o.label for o in baseline.predict(["他买茶", "有水", "कि", "की"])] == ["tea", "water", "short", "long"]
