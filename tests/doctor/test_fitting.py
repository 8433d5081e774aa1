"""What went wrong in a training, from its scores: each fault by its name, and none where all is well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from recurra.base.contracts import Score
from recurra.doctor import Story, findings

TREE: Mapping[str, Mapping[str, Any]] = {
    "task": {"name": "classification", "calibration": "temperature", "class_weights": "none"},
    "model": {
        "inputs": {"embedding_dropout": 0.5, "word_dropout": 0.3},
        "head": {"pooling": "max", "output_dropout": 0.5},
    },
    "training": {
        "epochs": 10, "batch_rows": 64, "patience": 3, "select": "auto", "optimizer": {"name": "adam", "lr": 0.003},
    },
}  # fmt: skip


def scores(**values: float) -> tuple[Score, ...]:
    better = {"log_loss": "lower"}
    return tuple(Score(name, value, "0..1", better.get(name, "higher"), "test") for name, value in values.items())


GOOD = Story(
    select="accuracy", better="higher", floor=0.5, dev=(0.7, 0.85, 0.9, 0.9, 0.9), steps=1000, all_steps=1000,
    early=False, train=0.95, scores=scores(accuracy=0.9, log_loss=0.3),
    baselines={"majority": scores(accuracy=0.5, log_loss=0.69), "tfidf": scores(accuracy=0.88, log_loss=0.35)},
)  # fmt: skip


def words(story: Story, tree: Mapping[str, Mapping[str, Any]] = TREE) -> list[str]:
    return [finding.word for finding in findings(story, tree)]


def test_of_a_training_that_went_well_nothing_is_said() -> None:
    assert words(GOOD) == []


NOTHING = replace(GOOD, select="f1_micro", floor=0.0, dev=(0.0,) * 4, scores=scores(f1_micro=0.0), train=0.0)


@pytest.mark.parametrize(
    ("story", "word"),
    [
        (replace(NOTHING, steps=88, all_steps=220, early=True), "stopped before it learned"),
        (replace(NOTHING, steps=88), "too few steps"),
        (NOTHING, "learned nothing"),
        (replace(GOOD, dev=(float("nan"),) * 3), "learned nothing"),
        (replace(GOOD, dev=(0.5, 0.5, 0.49)), "learned nothing"),
        (replace(GOOD, steps=60), "too few steps"),
        (replace(GOOD, scores=scores(accuracy=0.9, log_loss=0.9)), "too sure of itself"),
        (replace(GOOD, scores=scores(accuracy=0.87, log_loss=0.3)), "worse than a baseline"),
        (replace(GOOD, dev=(0.6, 0.7, 0.8, 0.9)), "still improving"),
        (replace(GOOD, train=1.0, dev=(0.7, 0.8, 0.8, 0.8)), "overfitting"),
    ],
)
def test_each_fault_has_its_name(story: Story, word: str) -> None:
    assert words(story) == [word]


@pytest.mark.parametrize("lost", [(float("nan"), 0.6, 0.7, 0.9), (0.6, float("nan"), 0.7, 0.9)])
def test_an_epoch_without_a_number_hides_no_rise(lost: tuple[float, ...]) -> None:
    assert words(replace(GOOD, dev=lost)) == ["still improving"]
    assert words(replace(GOOD, dev=(*lost, float("nan")))) == []


@pytest.mark.parametrize(
    ("rows", "settings", "why"),
    [
        (8, "training.epochs=30", "three times"),
        (12, "training.epochs=30", "three times"),
        (16, "training.batch_rows=8", "2 times"),
        (64, "training.batch_rows=16", "4 times"),
    ],
)
def test_more_steps_are_at_least_twice_as_many(rows: int, settings: str, why: str) -> None:
    tree = {**TREE, "training": {**TREE["training"], "batch_rows": rows}}
    (found,) = findings(replace(NOTHING, steps=88), tree)
    assert found.advice[0].settings == (settings,)
    assert found.advice[0].why == f"{why} as many steps."


def test_one_answer_for_all_rows_is_named() -> None:
    one = scores(**{"accuracy": 0.6, "log_loss": 0.6, "recall[bad]": 0.0, "recall[good]": 1.0})
    (found,) = findings(replace(GOOD, scores=one), TREE)
    assert found.word == "one answer only"
    assert "'good'" in found.evidence
    assert ("task.class_weights=balanced",) in [advice.settings for advice in found.advice]


def test_the_evidence_has_the_numbers_and_the_advice_is_a_setting() -> None:
    (found,) = findings(replace(NOTHING, steps=88, all_steps=220, early=True), TREE)
    assert found.evidence == (
        "dev f1_micro is 0 at its best, and takes no learning to reach (0); training stopped after 88 of 220 steps."
    )
    assert found.advice[0].settings == ("training.patience=null",)
    assert found.advice[1].settings == ("training.batch_rows=16",)
    assert str(found).startswith("stopped before it learned: dev f1_micro is 0 at its best")


def test_a_lower_score_that_is_better_is_read_the_right_way() -> None:
    perplexity = replace(
        GOOD, select="perplexity", better="lower", floor=1000.0, dev=(500.0, 90.0, 88.0, 87.9), train=None,
        scores=scores(perplexity=90.0), baselines={"bigram": scores(perplexity=100.0)},
    )  # fmt: skip
    assert words(perplexity) == []
    assert words(replace(perplexity, scores=scores(perplexity=120.0))) == ["worse than a baseline"]
    assert words(replace(perplexity, dev=(2000.0, 1500.0))) == ["learned nothing"]
    assert words(replace(perplexity, dev=(500.0, 300.0, 200.0))) == ["still improving"]


# -- a Transformer's illnesses -----------------------------------------------------------------------------------------

ATTENTION = {"name": "transformer", "norm_first": True}
TRANSLATION: Mapping[str, Mapping[str, Any]] = {
    "task": {"name": "translation"},
    "model": {"encoder": ATTENTION, "decoder": ATTENTION},
    "training": {"epochs": 10, "batch_rows": 64, "optimizer": {"name": "adam", "lr": 0.005}, "schedule": "constant"},
}
WELL = Story(
    select="bleu", better="higher", floor=0.0, dev=(10.0, 20.0, 25.0, 25.0), steps=1000, all_steps=1000, early=False,
    train=None, scores=scores(bleu=25.0, log_loss=2.0), baselines={"unigrams": scores(log_loss=5.0)},
)  # fmt: skip
WARMED = {**TRANSLATION["training"], "schedule": {"name": "inverse_sqrt", "warmup": 0.1}}


def test_a_loss_of_frequencies_alone_is_a_plateau_with_warm_up_against_it() -> None:
    stuck = replace(WELL, dev=(0.0, 0.0, 0.0), scores=scores(bleu=0.0, log_loss=4.95))
    (found,) = findings(stuck, TRANSLATION)
    assert found.word == "unigram plateau"
    assert "log loss is 4.95 a token after 1,000 steps; to know how frequent each token is has 5" in found.evidence
    assert found.advice[0].settings == ("training.schedule={name: inverse_sqrt, warmup: 0.1}",)
    (warmed,) = findings(stuck, {**TRANSLATION, "training": WARMED})
    assert warmed.advice[0].settings == ("training.optimizer.lr=0.0015",)
    assert words(WELL, TRANSLATION) == []
    assert words(replace(stuck, steps=50), TRANSLATION) == ["too few steps"]


def test_a_language_model_on_the_plateau_of_its_unigrams_is_named_and_one_below_is_not() -> None:
    tree = {**TRANSLATION, "task": {"name": "language_model"}, "model": {"encoder": ATTENTION}}
    stuck = replace(
        WELL, select="perplexity", better="lower", floor=8000.0, dev=(500.0, 420.0), scores=scores(log_loss=5.95),
        baselines={"unigram": scores(log_loss=6.0), "bigram": scores(log_loss=5.0)},
    )  # fmt: skip
    assert words(stuck, tree) == ["unigram plateau"]
    assert "unigram plateau" not in words(replace(stuck, scores=scores(log_loss=5.5)), tree)


def test_norms_behind_the_parts_want_a_warm_up() -> None:
    behind = {**TRANSLATION, "model": {"encoder": ATTENTION, "decoder": {**ATTENTION, "norm_first": False}}}
    (found,) = findings(WELL, behind)
    assert (found.word, found.evidence.split()[0]) == ("no warm-up", "model.decoder.norm_first")
    assert words(WELL, {**behind, "training": WARMED}) == []


def test_a_code_that_nobody_reads_is_named_and_one_that_is_read_is_not() -> None:
    used = scores(active_units=5, mutual_information=2.0, kl=9.0)
    assert words(replace(GOOD, scores=used)) == []
    for lost in (
        scores(active_units=0, mutual_information=2.0, kl=0.2),
        scores(active_units=1, mutual_information=0.03, kl=0.2),
    ):
        (finding,) = findings(replace(GOOD, scores=lost), TREE)
        assert finding.word == "collapsed code"
        assert finding.advice[0].settings == ("model.latent.warmup={name: linear, updates: 250}",)
        assert "its KL is 0.2 nats" in finding.evidence


def test_rows_that_lose_their_detail_are_named_and_sharp_ones_are_not() -> None:
    latent = {"latent": {"name": "variational", "beta": 1.0}}
    tree = {**TREE, "task": {"name": "autoencoding", "code_size": 8}, "model": latent}
    assert words(replace(GOOD, scores=scores(r2=0.9, detail_kept=0.8)), tree) == []
    assert words(replace(GOOD, scores=scores(r2=0.2, detail_kept=0.1)), tree) == []
    (finding,) = findings(replace(GOOD, scores=scores(r2=0.9, detail_kept=0.31)), tree)
    assert finding.word == "blur by scale"
    assert "of the power of the finest detail 31.0% comes back" in finding.evidence
    assert [one.settings for one in finding.advice] == [("task.code_size=16",), ("model.latent.beta=0.25",)]


def test_a_model_of_speech_that_says_only_blanks_is_named_and_one_that_speaks_is_not() -> None:
    tree = {**TREE, "task": {"name": "transcription", "stack": 3}}
    assert words(replace(GOOD, scores=scores(blank_share=0.8, length_ratio=0.97)), tree) == []
    assert words(replace(GOOD, scores=scores(blank_share=0.97, length_ratio=0.97)), tree) == []
    (finding,) = findings(replace(GOOD, scores=scores(blank_share=0.998, length_ratio=0.02)), tree)
    assert finding.word == "blank collapse"
    assert "99.8% of the steps" in finding.evidence
    assert "task.stack: 6" in [one.change for one in finding.advice]
