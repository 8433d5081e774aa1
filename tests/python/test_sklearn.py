"""Estimators: scikit-learn's own checks as far as they have no numbers in them, and what people do with estimators."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator

import recurra
from api.api_room import rows
from recurra import ConfigError, RunError
from recurra.sklearn import EXPECTED_FAILED_CHECKS, SequenceClassifier, SequenceTagger

TEXTS, LABELS = map(list, zip(*rows(), strict=True))
TINY = {"epochs": 2, "hidden_size": 4, "random_state": 3, "config": {"training.optimizer.lr": 0.03}}


@pytest.fixture(scope="module")
def fitted() -> SequenceClassifier:
    return SequenceClassifier(**TINY).fit(TEXTS, LABELS)


def test_a_fit_makes_no_baselines_and_no_pictures_and_has_the_same_bits(
    fitted: SequenceClassifier, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    full = SequenceClassifier(**TINY | {"config": {**TINY["config"], "training.report": "full"}})  # type: ignore[dict-item]
    full.fit(TEXTS, LABELS)
    assert set(full.report_.baselines) == {"majority", "tfidf"}
    assert fitted.report_.baselines == {}
    assert fitted.report_.scores == full.report_.scores
    np.testing.assert_array_equal(fitted.predict_proba(TEXTS), full.predict_proba(TEXTS))
    monkeypatch.setattr("recurra.report.folder.pictures", pytest.fail)
    monkeypatch.setattr("recurra.tasks.Classification.baselines", pytest.fail)
    again = SequenceClassifier(**TINY).fit(TEXTS, LABELS)
    assert again.report_.scores == fitted.report_.scores


class SaysItTakesTables(SequenceClassifier):
    """So that scikit-learn runs all of its checks, which it does not for estimators of texts."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


@pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.SkipTestWarning", "ignore::UserWarning", "ignore::RuntimeWarning"
)
def test_the_checks_of_scikit_learn_that_give_no_numbers_pass_and_the_others_are_listed() -> None:
    found = check_estimator(SaysItTakesTables(), on_fail=None, on_skip=None)
    failed = {one["check_name"] for one in found if one["status"] == "failed"}
    assert failed == set(EXPECTED_FAILED_CHECKS)
    assert sum(one["status"] == "passed" for one in found) >= 10
    own = check_estimator(SequenceClassifier(), expected_failed_checks=dict(EXPECTED_FAILED_CHECKS), on_skip=None)
    assert {one["status"] for one in own} <= {"passed", "skipped"}


def test_it_fits_predicts_and_scores(fitted: SequenceClassifier) -> None:
    assert list(fitted.classes_) == ["bad", "good"]
    shares = fitted.predict_proba(TEXTS)
    assert shares.shape == (40, 2)
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-9)
    said = fitted.predict(np.array(TEXTS))
    assert [fitted.classes_[k] for k in shares.argmax(1)] == list(said)
    assert fitted.score(TEXTS, LABELS) == np.mean(said == np.array(LABELS))
    assert list(fitted.predict_proba([" "])[0]) == list(fitted.class_prior_) == [0.5, 0.5]
    assert fitted.report_.split == "test"


def test_it_is_the_run_of_recurra_train(fitted: SequenceClassifier, tmp_path: Path) -> None:
    data = [{"text": text, "label": label} for text, label in rows()]
    run = recurra.train(
        data, task="classification", out=tmp_path / "run", epochs=2, hidden_size=4, seed=3, lr=0.03, progress=False
    )
    saved = fitted.save(tmp_path / "saved")
    for name in ("model.safetensors", "task.json"):
        assert (saved.path / name).read_bytes() == (run.path / name).read_bytes()
    expected = [list(one.probabilities.values()) for one in run.predict(TEXTS)]  # type: ignore[attr-defined]
    assert fitted.predict_proba(TEXTS).tolist() == expected
    with pytest.raises(RunError, match=r"already holds a run\. Choose another folder\."):
        fitted.save(tmp_path / "saved")


def modules_of(data: bytes) -> set[str]:
    """The packages whose classes and functions a pickle names."""
    found = set()

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            found.add(module.partition(".")[0])
            return super().find_class(module, name)

    Reader(io.BytesIO(data)).load()
    return found


def test_it_is_pickled_with_the_bytes_of_its_run_and_no_module(fitted: SequenceClassifier, tmp_path: Path) -> None:
    fitted.predict(TEXTS[:1])
    data = pickle.dumps(fitted)
    assert modules_of(data) <= {"recurra", "numpy", "builtins", "_codecs"}
    joblib.dump(fitted, tmp_path / "it.joblib")
    for other in (pickle.loads(data), joblib.load(tmp_path / "it.joblib")):
        assert other.predict_proba(TEXTS[:3]).tolist() == fitted.predict_proba(TEXTS[:3]).tolist()
        assert other.get_params() == fitted.get_params()


def test_a_clone_is_not_fitted_and_the_seed_makes_the_same(fitted: SequenceClassifier) -> None:
    other = clone(fitted)
    with pytest.raises(NotFittedError):
        other.predict(TEXTS)
    assert other.fit(TEXTS, LABELS).predict_proba(TEXTS).tolist() == fitted.predict_proba(TEXTS).tolist()


def test_it_is_validated_searched_and_part_of_a_pipeline() -> None:
    assert len(cross_val_score(SequenceClassifier(**{**TINY, "epochs": 1}), TEXTS, LABELS, cv=2)) == 2
    lower = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    whole = Pipeline([("lower", lower), ("model", SequenceClassifier(**{**TINY, "epochs": 1}))])
    search = GridSearchCV(whole, {"model__cell": ["gru", "lstm"]}, cv=2).fit(np.array(TEXTS), np.array(LABELS))
    assert search.best_params_["model__cell"] in ("gru", "lstm")
    assert search.predict(["LOVELY ITEM"])[0] in ("good", "bad")


def test_classes_of_any_type_come_back_as_they_were() -> None:
    numbers = np.array([7 if label == "good" else -1 for label in LABELS])
    found = SequenceClassifier(**{**TINY, "epochs": 1}).fit(np.array(TEXTS)[:, None], numbers)
    assert list(found.classes_) == [-1, 7]
    assert found.predict(TEXTS[:2]).dtype == numbers.dtype
    # Two classes that read as one: a letter with its mark, and the two characters of it.
    alike = np.array(["é" if label == "good" else "e\u0301" for label in LABELS])
    assert set(SequenceClassifier(**{**TINY, "epochs": 1}).fit(TEXTS, alike).predict(TEXTS)) <= set(alike)


def test_a_tagger_gives_a_tag_for_each_word() -> None:
    words = [text.split() for text in TEXTS]
    tags = [["ADJ", "NOUN", "NUM"] for _ in words]
    tagger = SequenceTagger(**{**TINY, "epochs": 1}).fit(words, tags)
    said = tagger.predict([["lovely", "item"], ["a"]])
    assert [len(row) for row in said] == [2, 1]
    assert {tag for row in said for tag in row} <= {"ADJ", "NOUN", "NUM"}
    right = [tag == "ADJ" for row in tagger.predict(words[:5]) for tag in row]
    assert tagger.score(words[:5], [["ADJ"] * 3] * 5) == np.mean(right)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "numbers": (
        lambda: SequenceClassifier().fit(np.ones((3, 2)), LABELS[:3]),
        "X[0]: expected a text (str), got ndarray. Vectors and tables of numbers are no input of this.",
    ),
    "one text": (
        lambda: SequenceClassifier().fit("a text", ["x", "y"]),
        "X: expected a list, an array or a column of texts (str), got str. A single text goes into a list: [text].",
    ),
    "a missing text": (lambda: SequenceClassifier().fit(["a", None], [0, 1]), "X[1]: expected a text (str), got None."),
    "no y": (
        lambda: SequenceClassifier().fit(TEXTS, None),
        "SequenceClassifier requires y to be passed, but the target y is None.",
    ),
    "one class": (
        lambda: SequenceClassifier().fit(TEXTS, ["x"] * 40), "y: expected at least 2 classes, got 'x' in 40 samples.",
    ),
    "another number of labels": (
        lambda: SequenceClassifier().fit(TEXTS, LABELS[:-1]), "Found input variables with inconsistent numbers of",
    ),
    "too few": (lambda: SequenceClassifier().fit(["a", "b"], [0, 1]), "data: no row"),
    "an option": (
        lambda: SequenceClassifier(cell="lsmt").fit(TEXTS, LABELS),
        "config: model.encoder.cell: unknown cell 'lsmt'. Did you mean 'lstm'?",
    ),
    "sentences": (
        lambda: SequenceTagger().fit(["a b"], [["x", "y"]]), "X[0]: expected a list of words (str), got str.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_mistake_is_said_in_a_sentence(name: str) -> None:
    call, sentence = REFUSED[name]
    with pytest.raises(ValueError, match=r".") as caught:
        call()
    assert str(caught.value).startswith(sentence)


def test_a_frame_of_one_column_is_texts() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed; it comes with recurra[test]")
    found = SequenceClassifier(**{**TINY, "epochs": 1}).fit(pandas.DataFrame({"body": TEXTS}), pandas.Series(LABELS))
    assert len(found.predict(pandas.Series(TEXTS[:3], index=[3, 3, 1]))) == 3
    with pytest.raises(ConfigError, match=r"^X: expected texts, or a frame of one column, got 2 columns\. Choose one"):
        found.predict(pandas.DataFrame({"a": TEXTS, "b": TEXTS}))
