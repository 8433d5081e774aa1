"""Estimators with scikit-learn's interface: texts to classes, and words to tags.

They work in `cross_val_score`, `GridSearchCV`, `Pipeline`, `clone`, pickle and joblib. A fitted one holds its run as
the bytes of its files, none of which is pickled.

Most of scikit-learn's own checks (`sklearn.utils.estimator_checks.check_estimator`) give numbers as X, and so cannot
apply where X is text; the tags of the estimators say so. EXPECTED_FAILED_CHECKS names those that fail where they are
run all the same, each with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    from scipy.sparse import issparse
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'recurra.sklearn needs scikit-learn, which is not installed; pip install "recurra[text]".', name=error.name
    ) from None

from recurra.api.given import path_of, refusal
from recurra.base.atomic import replacing
from recurra.base.errors import ConfigError, RunError
from recurra.base.normal import name_of
from recurra.python.evaluation import Evaluation
from recurra.python.rows import frame_of, list_of
from recurra.python.run import Run, load
from recurra.python.training import train

__all__ = ["EXPECTED_FAILED_CHECKS", "SequenceClassifier", "SequenceTagger"]

_GIVE_NUMBERS = (
    "check_classifier_data_not_an_array",
    "check_classifiers_classes",
    "check_classifiers_train",
    "check_dict_unchanged",
    "check_dont_overwrite_parameters",
    "check_dtype_object",
    "check_estimator_sparse_array",
    "check_estimators_dtypes",
    "check_estimators_empty_data_messages",
    "check_estimators_fit_returns_self",
    "check_estimators_nan_inf",
    "check_estimators_overwrite_params",
    "check_estimators_pickle",
    "check_f_contiguous_array_estimator",
    "check_fit2d_1feature",
    "check_fit2d_1sample",
    "check_fit2d_predict1d",
    "check_fit_check_is_fitted",
    "check_fit_idempotent",
    "check_fit_score_takes_y",
    "check_methods_sample_order_invariance",
    "check_methods_subset_invariance",
    "check_n_features_in",
    "check_n_features_in_after_fitting",
    "check_pipeline_consistency",
    "check_positive_only_tag_during_fit",
    "check_readonly_memmap_input",
    "check_supervised_y_2d",
)
# Checks of scikit-learn that no estimator of texts can pass, each with the reason; as `check_estimator` takes them.
EXPECTED_FAILED_CHECKS: Mapping[str, str] = dict.fromkeys(_GIVE_NUMBERS, "gives numbers as X, where texts are expected")

# Files of a run that make it whole, without checkpoints, log, pictures and data.
_KEPT = (
    "run.json",
    "config.yaml",
    "task.json",
    "cell.json",
    "model.safetensors",
    "scores.json",
    "baselines.json",
    "findings.json",
    "examples.json",
    "report.html",
)


class _Sequences(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What both estimators have: parameters, a run as bytes, and the run itself, opened when it is asked."""

    def __init__(
        self,
        *,
        epochs: int | None = None,
        cell: str | None = None,
        hidden_size: int | None = None,
        config: Mapping[str, Any] | None = None,
        random_state: Any = None,
        device: str = "auto",
        progress: Any = False,
    ) -> None:
        self.epochs = epochs
        self.cell = cell
        self.hidden_size = hidden_size
        self.config = config
        self.random_state = random_state
        self.device = device
        self.progress = progress

    def save(self, path: Any) -> Run:
        """Write the run folder that it holds, and open it: for `recurra.load`, `recurra serve` and the rest.

        Raises RunError where there is a run already.
        """
        check_is_fitted(self)
        folder = path_of(path, "path")
        if (folder / "run.json").exists():
            raise RunError(f"{folder}: already holds a run. Choose another folder.")
        _write(self._files, folder)
        return load(folder, device=self.device, progress=self.progress)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_files")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        tags.target_tags.required = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in dict(super().__getstate__()).items() if name != "_run"}

    def _fit(self, rows: Sequence[Mapping[str, Any]], task: str, **columns: str) -> None:
        """Train, and keep the files of the run."""
        own = {
            "training.epochs": self.epochs,
            "training.seed": _seed(self.random_state),
            "model.encoder.cell": self.cell,
            "model.encoder.hidden_size": self.hidden_size,
        }
        quick = {"training.keep_checkpoints": "none", "training.report": "scores"}  # a search fits hundreds of times
        options: dict[str, Any] = {**quick, **(self.config or {})}
        options |= {f"task.{option}": column for option, column in columns.items()}
        options |= {path: value for path, value in own.items() if value is not None}
        with TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            run = train(rows, task=task, out=out, config=options, device=self.device, progress=self.progress)
            self.report_: Evaluation = run.report
            self._files = {name: (run.path / name).read_bytes() for name in _KEPT if (run.path / name).is_file()}
        self.__dict__.pop("_run", None)

    def _opened(self) -> Run:
        check_is_fitted(self)
        if "_run" not in self.__dict__:
            with TemporaryDirectory() as folder:
                _write(self._files, Path(folder))
                self._run = load(folder, device=self.device, progress=self.progress)
        return self._run


class SequenceClassifier(ClassifierMixin, _Sequences):  # type: ignore[misc]
    """Texts to classes by a recurrent network, as `recurra train` makes one.

    epochs, cell, hidden_size: None takes what the size of the data suggests (`recurra init`)
    config: any other options of a run, by section or path: {"task.tokenizer": "characters", "training.lr": ...}
    random_state: None, a whole number, or a numpy.random.RandomState
    device: "auto", "cpu" or "cuda"      progress: False, True for a bar, or a callback
    A tenth of the texts is held out to choose the best epoch and another to test (`report_`); `data.split` of config
    changes that. Baselines and pictures are left out; {"training.report": "full"} makes them. X is a list, an array or
    a column of texts, or one column of a frame. Numbers are refused, and so scikit-learn's checks that give them cannot
    apply: recurra.sklearn.EXPECTED_FAILED_CHECKS lists these.

    classes_: the classes, sorted      class_prior_: their shares of the training texts, which blank texts get
    """

    def fit(self, X: Any, y: Any) -> SequenceClassifier:
        """Train on texts X and their classes y. Raises ValueError (also as ConfigError or DataError)."""
        if y is None:
            raise ConfigError("SequenceClassifier requires y to be passed, but the target y is None.")
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            shown = ", ".join(map(repr, self.classes_.tolist())) or "none"
            raise ConfigError(f"y: expected at least 2 classes, got {shown} in {len(y):,} samples.")
        texts = _texts(X)
        check_consistent_length(texts, y)
        self.class_prior_ = np.bincount(codes) / len(codes)
        self._names = _names(self.classes_)
        rows = [{"text": text, "label": self._names[code]} for text, code in zip(texts, codes, strict=True)]
        self._fit(rows, "classification", text="text", label="label")
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """The probability of each class, (N, C), in the order of classes_; of a blank text, class_prior_."""
        run = self._opened()
        found = np.tile(self.class_prior_, (len(texts := _texts(X)), 1))
        for row, answer in enumerate(run.predict(texts)):
            probabilities: Mapping[str, float] = answer.to_dict()["probabilities"]
            if probabilities:
                found[row] = [probabilities.get(name, 0.0) for name in self._names]
        return found

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each text, (N,)."""
        best = self.predict_proba(X).argmax(1)
        found: NDArray[Any] = self.classes_[best]
        return found


class SequenceTagger(_Sequences):
    """Words to tags by a recurrent network: X is a list of lists of words, y a list of lists of their tags.

    The parameters are those of `SequenceClassifier`.
    """

    def fit(self, X: Any, y: Any) -> SequenceTagger:
        """Train on sentences X and their tags y. Raises ValueError (also as ConfigError or DataError)."""
        if y is None:
            raise ConfigError("SequenceTagger requires y to be passed, but the target y is None.")
        words = _sentences(X, "X")
        tags = _sentences(y, "y")
        check_consistent_length(words, tags)
        rows = [{"tokens": some, "tags": theirs} for some, theirs in zip(words, tags, strict=True)]
        self._fit(rows, "tagging", tokens="tokens", tags="tags")
        return self

    def predict(self, X: Any) -> list[list[str]]:
        """The tag of each word."""
        answers = self._opened().predict([{"tokens": words} for words in _sentences(X, "X")])
        return [[tag for _, tag in answer.tags] for answer in answers]

    def score(self, X: Any, y: Any) -> float:
        """The share of words whose tag is right, 0..1; 0 for no words."""
        wanted = _sentences(y, "y")
        pairs = [
            pair for said, gold in zip(self.predict(X), wanted, strict=True) for pair in zip(said, gold, strict=True)
        ]
        return sum(said == gold for said, gold in pairs) / max(len(pairs), 1)


def _seed(random_state: Any) -> int | None:
    if random_state is None or isinstance(random_state, int | np.integer):
        return None if random_state is None else int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _texts(X: Any) -> list[str]:
    """A list of texts. Raises ConfigError for what holds none."""
    frame = frame_of(X)
    if frame is not None:
        if len(frame.columns) != 1:
            raise ConfigError(
                f"X: expected texts, or a frame of one column, got {len(frame.columns)} columns. Choose one: X['text']."
            )
        X = frame[frame.columns[0]].to_list()
    if issparse(X):
        raise ConfigError(
            "X: sparse input is not supported: expected texts (str), and no vectors that are made of them."
        )
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.shape[1] == 1:
        X = X[:, 0]
    if isinstance(X, str | bytes | Mapping) or not isinstance(X, Iterable):
        raise refusal("X", "a list, an array or a column of texts (str)", X, "A single text goes into a list: [text].")
    texts = list(X)
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise refusal(f"X[{number}]", "a text (str)", text, "Vectors and tables of numbers are no input of this.")
    return texts


def _sentences(X: Any, name: str) -> list[list[str]]:
    """Lists of words, or of tags. Raises ConfigError for what is none."""
    if isinstance(X, str | bytes | Mapping) or not isinstance(X, Iterable):
        raise refusal(name, "a list of lists of words (str)", X)
    found = []
    for number, row in enumerate(X):
        words = list_of(row)
        if words is None or not all(isinstance(word, str) for word in words):
            raise refusal(f"{name}[{number}]", "a list of words (str)", row)
        found.append(words)
    return found


def _names(classes: NDArray[Any]) -> list[str]:
    """What the run calls the classes: by their texts, or by numbers where two would be called the same."""
    names = [str(one) for one in classes.tolist()]
    told_apart = len(set(map(name_of, names))) == len(names) and all(map(name_of, names))
    return names if told_apart else [str(number) for number in range(len(names))]


def _write(files: Mapping[str, bytes], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        with replacing(folder / name) as file:
            file.write(content)
