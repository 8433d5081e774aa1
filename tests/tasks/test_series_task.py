"""Classification of series: axes, scales, masks, what is refused, batches, pieces, and statistics by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.models import SequenceModel
from recurra.tasks import SeriesClassification, SeriesClassificationConfig
from recurra.tasks.series_reader import raw_series
from recurra.tasks.series_statistics import described, statistics


def record(values: Any, label: str = "a", line: int = 1) -> Record:
    return Record({"values": values, "label": label}, Origin("d.jsonl", line))


def series(number: int, width: int = 2, seed: int = 0) -> list[Record]:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 12, number)
    return [record(rng.normal(size=(n, width)).tolist(), "ab"[k % 2], k) for k, n in enumerate(lengths)]


def fitted(records: Sequence[Record] = (), **options: Any) -> SeriesClassification:
    return SeriesClassificationConfig(**options).fit(records or series(8), "d.jsonl")


def model_of(task: SeriesClassification, **encoder: Any) -> SequenceModel:
    torch.manual_seed(0)
    parts = {
        "inputs": {"name": "vectors"},
        "encoder": encoder if "name" in encoder else {"name": "recurrent", "hidden_size": 5, **encoder},
        "head": {"name": "label"},
    }
    return SequenceModel(task.model_sizes, **parts).eval()  # type: ignore[arg-type]


# -- reading -----------------------------------------------------------------------------------------------------------


def test_one_column_of_lists_and_several_columns_are_the_same_series() -> None:
    both = Record({"x": [1, 2, 3], "y": "4 5 6", "label": "a"}, Origin("d", 1))
    one = record([[1, 4], [2, 5], [3, 6]])
    apart = SeriesClassificationConfig(values=("x", "y")).read(both)
    assert apart.raw.tolist() == SeriesClassificationConfig().read(one).raw.tolist() == [[1, 4], [2, 5], [3, 6]]
    assert apart.raw.dtype == np.float32


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "d.jsonl:1: has no step; expected numbers"),
        ([1, None, 2], "d.jsonl:1: column 'values', step 2: the number is missing. Fill it in, or set task.missing"),
        ([1, float("inf")], "column 'values', step 2: inf is no finite number"),
        ([1e300], "step 1: 1e+300 is no finite number"),
        (["1", "x"], 'step 2: expected a number, got "x"'),
    ],
)
def test_what_cannot_be_learned_from_is_named_with_its_step(values: Any, message: str) -> None:
    with pytest.raises(DataError) as refused:
        SeriesClassificationConfig().read(record(values))
    assert message in str(refused.value)


def test_a_step_of_a_series_in_long_form_is_named_with_its_own_row() -> None:
    lines = tuple(Origin("d.csv", n) for n in (2, 9))
    with pytest.raises(DataError, match=r"d.csv:9: column 'values', step 2: the number is missing"):
        SeriesClassificationConfig().read(Record({"values": [1, None], "label": "a"}, lines[0], lines))


@pytest.mark.parametrize("empty", ["", " ", None])
def test_an_empty_cell_beside_a_number_is_a_number_that_is_missing(empty: object) -> None:
    row = Record({"x": empty, "y": "2", "z": 3.0}, Origin("d", 4))
    np.testing.assert_array_equal(raw_series(row, ("x", "y", "z"), "mask"), [[np.nan, 2, 3]])
    with pytest.raises(DataError, match="d:4: column 'x', step 1: the number is missing"):
        raw_series(row, ("x", "y", "z"), "refuse")
    assert raw_series(Record({"x": "", "y": ""}, Origin("d", 5)), ("x", "y"), "refuse").shape == (0, 2)


def test_columns_of_different_lengths_and_lists_in_several_columns_are_refused() -> None:
    plan = SeriesClassificationConfig(values=("x", "y"))
    with pytest.raises(DataError, match="d:1: column 'y' has 2 steps, column 'x' 3; expected as many in each"):
        plan.read(Record({"x": [1, 2, 3], "y": [1, 2], "label": "a"}, Origin("d", 1)))
    with pytest.raises(DataError, match="column 'x' has 2 numbers a step; of several columns each has one"):
        plan.read(Record({"x": [[1, 2]], "y": [1], "label": "a"}, Origin("d", 1)))


def test_an_end_to_keep_is_refused_where_nothing_is_cut() -> None:
    with pytest.raises(ConfigError, match="keep: has no effect without max_length"):
        SeriesClassificationConfig(keep="end")
    SeriesClassificationConfig(keep="end", max_length=3)


def test_exchanged_axes_are_named_in_training_and_later() -> None:
    good = [record([[1, 2, 3]] * 5, label, line) for line, label in enumerate("abab", start=1)]
    turned = record(np.zeros((3, 5)).tolist(), line=9)
    with pytest.raises(DataError, match=r"d.jsonl:9: has 5 numbers a step, and d.jsonl:1 has 3.* axes exchanged"):
        fitted([*good, turned])
    with pytest.raises(DataError, match=r"d.jsonl:9: has 5 numbers a step, training data had 3. Its axes may be exch"):
        fitted(good).example(turned)


def test_options_without_effect_are_refused_together() -> None:
    with pytest.raises(ConfigError) as refused:
        SeriesClassificationConfig(values=("x", "x"), label="x", separator=",")
    assert len(refused.value.problems) == 3


# -- what the model reads ----------------------------------------------------------------------------------------------


def test_a_mask_stands_beside_the_numbers_and_tells_zero_from_nothing() -> None:
    rows = [record([[1, 10], [3, 10]]), record([[2, None], [2, 10]], "b")]
    task = fitted(rows, missing="mask")
    assert task.model_sizes == {"features": 4, "labels": 2}
    mean, deviation = 2.0, np.sqrt(0.5)
    example = task.example(rows[1])
    np.testing.assert_allclose(example.values, [[0, 0, 1, 0], [0, 0, 1, 1]], atol=1e-6)
    np.testing.assert_allclose(task.example(rows[0]).values[:, 0], [(1 - mean) / deviation, (3 - mean) / deviation])


def test_nothing_behind_the_limit_is_read_or_learned_from() -> None:
    short = [record([1, 2, 3], "a"), record([3, 2, 1], "b")]
    poisoned = [record([1, 2, 3, 9e9], "a"), record([3, 2, 1, -9e9], "b")]
    task, other = fitted(short, max_length=3, scaling="series"), fitted(poisoned, max_length=3, scaling="series")
    for one, two in zip(short, poisoned, strict=True):
        assert task.example(one).values.tolist() == other.example(two).values.tolist()
    assert other.example(poisoned[0]).all_steps == 4
    assert fitted(poisoned, max_length=2, keep="end").example(poisoned[0]).length == 2


@pytest.mark.parametrize("missing", ["refuse", "mask"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_series_does_not_notice_its_neighbours(missing: str, bidirectional: bool) -> None:
    task = fitted(series(8), missing=missing)
    model = model_of(task, bidirectional=bidirectional)
    examples = [task.example(one, gold=False) for one in [*series(7, seed=5), record([])]]
    together = task.predict(model, task.collate(examples, range(8)), examples)
    for k, example in enumerate(examples):
        (alone,) = task.predict(model, task.collate([example], [k]), [example])
        assert alone.probabilities == pytest.approx(together[k].probabilities, rel=1e-6)


def test_a_series_without_steps_has_an_empty_answer_and_a_note() -> None:
    task = fitted()
    blank = task.example(record([]), gold=False)
    (output,) = task.predict(model_of(task), task.collate([blank], [0]), [blank])
    answer = task.answer(blank, output).to_dict()
    assert answer == {"label": "", "score": None, "probabilities": {}, "steps": 0, "note": "no steps"}
    assert task.warnings([output], [blank])[0].startswith("1 of 1 series has no steps and an empty answer")


# -- one vector --------------------------------------------------------------------------------------------------------


def test_flattened_steps_are_one_vector_each_of_whose_numbers_has_a_scale_of_its_own() -> None:
    rows = [record([[1, 10], [3, 10]]), record([[5, 30], [3, 14]], "b")]
    task = fitted(rows, flatten=True)
    assert task.model_sizes == {"features": 4, "labels": 2}
    example = task.example(rows[1])
    assert (example.length, example.all_steps) == (1, 2)
    np.testing.assert_allclose(example.values, [[1, 1, 0, 1]])  # the third number is 3 in both rows
    by_itself = fitted(rows, flatten=True, scaling="series").example(rows[0])
    np.testing.assert_allclose(by_itself.values, [[-1, 0, 1, 0]])  # each column by its own mean, then flat
    masked = fitted(rows, flatten=True, missing="mask").example(record([[1, None], [3, 10]]))
    np.testing.assert_allclose(masked.values, [[-1, 0, 0, -1, 1, 0, 1, 1]])
    assert "; one vector of 4." in task.input_notes([example])[1]
    assert task.facts({"train": [example]}) == {"labels": 2, "numbers a step": 2, "train series": 1, "train steps": 2}
    assert task.feature_names() == ("values 1", "values 2", "values 3", "values 4")


def test_rows_of_another_length_are_named_where_they_are_one_vector() -> None:
    rows = [record([1, 2, 3], "a", 1), record([1, 2], "b", 2)]
    with pytest.raises(DataError, match=r"d.jsonl:2: has 2 steps, expected 3, as d.jsonl:1 has: with task.flatten"):
        fitted(rows, flatten=True)
    task = fitted(rows, flatten=True, max_length=2)
    with pytest.raises(DataError, match=r"d.jsonl:9: has 1 step, expected 2, as training data had: with task.flatten"):
        task.example(record([1], line=9), gold=False)


def test_one_vector_alone_and_together_has_the_same_answer_and_of_no_steps_there_is_none() -> None:
    rows = [record(np.random.default_rng(k).normal(size=(5, 2)).tolist(), "ab"[k % 2], k) for k in range(6)]
    task = fitted(rows, flatten=True)
    model = model_of(task, name="dense", sizes=[4])
    examples = [task.example(one, gold=False) for one in [*rows, record([])]]
    together = task.predict(model, task.collate(examples, range(7)), examples)
    for k, example in enumerate(examples):
        (alone,) = task.predict(model, task.collate([example], [k]), [example])
        assert alone.probabilities == pytest.approx(together[k].probabilities, rel=1e-6)
    assert task.answer(examples[-1], together[-1]).to_dict()["note"] == "no steps"
    again = task.plan.restore(json.loads(json.dumps(task.to_json())), "task.json")
    assert again.example(rows[0]).values.tolist() == task.example(rows[0]).values.tolist()
    with pytest.raises(RunError, match="3 steps of 10 numbers"):
        task.plan.restore({**task.to_json(), "reader": {**task.to_json()["reader"], "steps": 3}}, "task.json")
    with pytest.raises(ConfigError, match=r"task.flatten: needs all steps first"):
        task.predictor(model)


def test_a_forest_reads_the_numbers_of_a_vector_themselves() -> None:
    """The sum of both numbers is 1 in every row, and so are all statistics of a label."""
    rows = [record([float(k % 2), float(1 - k % 2)], "ab"[k % 2], k) for k in range(20)]
    task = fitted(rows, flatten=True)
    assert described(task.example(rows[0]).values, task.reader).tolist() == [-1, 1]


# -- pieces ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["lstm", "gru", "slstm"])
def test_a_series_in_pieces_of_any_size_has_the_answer_of_the_whole_bit_for_bit(cell: str) -> None:
    task = fitted()
    model = model_of(task, cell=cell, bidirectional=False)
    steps = np.random.default_rng(3).normal(size=(23, 2)).tolist()
    whole = task.example(record(steps), gold=False)
    (expected,) = task.predict(model, task.collate([whole], [0]), [whole])
    for size in (1, 2, 5, 23):
        predictor = task.predictor(model)
        place = predictor.begin()
        for start in range(0, 23, size):
            place, answer = predictor.read(place, json.dumps(steps[start : start + size]))
        assert answer["probabilities"] == expected.probabilities
        assert answer["steps"] == 23
    place, nothing = task.predictor(model).read(task.predictor(model).begin(), "")
    assert (nothing["label"], nothing["steps"]) == ("", 0)


def test_no_step_behind_the_longest_length_is_read_of_pieces() -> None:
    task = fitted(max_length=9)
    model = model_of(task, bidirectional=False)
    steps = np.random.default_rng(3).normal(size=(23, 2)).tolist()
    whole = task.example(record(steps), gold=False)
    (expected,) = task.predict(model, task.collate([whole], [0]), [whole])
    for size in (2, 9, 10, 23):
        predictor = task.predictor(model)
        place = predictor.begin()
        for start in range(0, 23, size):
            place, answer = predictor.read(place, json.dumps(steps[start : start + size]))
        assert answer["probabilities"] == expected.probabilities
        assert answer["steps"] == 9


def test_a_model_that_needs_the_end_first_is_refused_with_all_reasons() -> None:
    task = fitted(scaling="series", max_length=9, keep="end")
    with pytest.raises(ConfigError) as refused:
        task.predictor(model_of(task, bidirectional=True))
    said = "\n".join(refused.value.problems)
    for word in ("bidirectional", "task.scaling", "task.keep"):
        assert word in said


# -- the rest ----------------------------------------------------------------------------------------------------------


def test_statistics_by_hand() -> None:
    found = statistics(np.array([[1.0], [4.0], [2.0]]))
    mean, deviation = 7 / 3, np.std([1, 4, 2])
    np.testing.assert_allclose(found, [mean, deviation, 1, 4, 1, 2, 2.5, 3, 3])
    assert statistics(np.zeros((0, 2))).shape == (17,)


def test_baselines_are_scored_on_the_same_rows() -> None:
    easy = [record([[float(k % 2), 0.0]] * 4, "ab"[k % 2], k) for k in range(20)]
    task = fitted(easy)
    examples = [task.example(one) for one in easy]
    found = task.baselines(examples, {"test": examples}).scores
    accuracy = {name: next(s.value for s in scores if s.name == "accuracy") for name, scores in found.items()}
    assert accuracy == {"majority": 0.5, "statistics": 1.0}


def test_a_task_survives_its_json_and_refuses_what_is_none() -> None:
    task = fitted(missing="mask", max_length=7)
    data = json.loads(json.dumps(task.to_json()))
    again = task.plan.restore(data, "task.json")
    one = record([[1, None], [2, 3]])
    assert again.example(one, gold=False).values.tolist() == task.example(one, gold=False).values.tolist()
    for path, value in (("labels", []), ("reader", {}), ("temperature", -1)):
        with pytest.raises(RunError, match=r"task.json: expected scales and labels of series"):
            task.plan.restore({**data, path: value}, "task.json")


def test_equal_series_have_equal_digests_and_other_numbers_or_labels_others() -> None:
    task = fitted()
    digests = [
        task.example(record(values, label)).digest()
        for values, label in (([[1, 2]], "a"), ([[1, 2]], "a"), ([[1, 2.5]], "a"), ([[1, 2]], "b"), ([[1, 2]] * 2, "a"))
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4
