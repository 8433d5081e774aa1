"""Regression of series: targets and their scales, losses, boxes, what is refused, baselines, and what init finds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recurra.base.contracts import Batch, Origin, Prediction, Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.models import SequenceModel
from recurra.tasks import SeriesRegression, SeriesRegressionConfig

BOX = ("x", "y", "width", "height")


def record(values: Any, target: Any = 1.0, line: int = 1) -> Record:
    return Record({"values": values, "target": target}, Origin("d.jsonl", line))


def rows_of(number: int = 8, targets: int = 1, seed: int = 0) -> list[Record]:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 9, number)
    wanted = rng.normal(5, 3, size=(number, targets))
    return [
        record(rng.normal(size=(n, 2)).tolist(), gold.tolist(), k)
        for k, (n, gold) in enumerate(zip(lengths, wanted, strict=True), start=1)
    ]


def fitted(records: Sequence[Record] = (), **options: Any) -> SeriesRegression:
    return SeriesRegressionConfig(**options).fit(records or rows_of(), "d.jsonl")


def model_of(task: SeriesRegression, **encoder: Any) -> SequenceModel:
    torch.manual_seed(0)
    parts = {
        "inputs": {"name": "vectors"},
        "encoder": {"name": "recurrent", "hidden_size": 5, **encoder},
        "head": {"name": "numbers"},
    }
    return SequenceModel(task.model_sizes, **parts).eval()  # type: ignore[arg-type]


def said(task: SeriesRegression, numbers: Any) -> list[Any]:
    """What a task answers where the model says these scaled numbers."""

    class Fixed(torch.nn.Module):
        def forward(self, batch: Batch) -> Prediction:
            return Prediction({"numbers": torch.tensor(numbers, dtype=torch.float32)})

    return task.predict(Fixed(), Batch({}, torch.ones(len(numbers)), {}, ()), [None] * len(numbers))


# -- pieces ------------------------------------------------------------------------------------------------------------


def test_the_numbers_of_a_series_in_pieces_are_those_of_the_whole_bit_for_bit() -> None:
    task = fitted(rows_of(targets=2))
    model = model_of(task, bidirectional=False)
    steps = np.random.default_rng(3).normal(size=(23, 2)).tolist()
    whole = task.example(Record({"values": steps}, Origin("d.jsonl", 1)), gold=False)
    (expected,) = task.predict(model, task.collate([whole], [0]), [whole])
    for size in (1, 5, 23):
        predictor = task.predictor(model)
        place = predictor.begin()
        for start in range(0, 23, size):
            place, answer = predictor.read(place, json.dumps(steps[start : start + size]))
        assert answer == {"numbers": dict(zip(task.names, expected.tolist(), strict=True)), "steps": 23}
    _, nothing = predictor.read(predictor.begin(), "")
    assert (nothing["numbers"], nothing["steps"], nothing["note"]) == ({}, 0, "no steps")
    with pytest.raises(ConfigError, match="bidirectional"):
        task.predictor(model_of(task, bidirectional=True))


# -- targets -----------------------------------------------------------------------------------------------------------


def test_targets_are_scaled_by_training_rows_alone_and_answers_are_in_the_units_of_the_data() -> None:
    task = fitted([record([1], 2.0), record([1], 6.0)])  # mean 4, deviation 2
    other = task.example(record([1], 10.0))
    assert task.collate([other], [0]).targets["numbers"].tolist() == [[3.0]]
    assert [one.tolist() for one in said(task, [[3.0], [-1.0]])] == [[10.0], [2.0]]
    answer = task.answer(other, said(task, [[3.0]])[0])
    assert answer.to_dict() == {"numbers": {"target": 10.0}, "steps": 1}
    assert str(answer) == "10"


@pytest.mark.parametrize(
    ("fields", "target", "names"),
    [
        ({"target": 3}, "target", ("target",)),
        ({"target": "3.5"}, "target", ("target",)),
        ({"a": 1, "b": "-2e1"}, ("a", "b"), ("a", "b")),
        ({"target": [1, 2, 3]}, "target", ("target_1", "target_2", "target_3")),
        ({"target": "[1, 2]"}, "target", ("target_1", "target_2")),
    ],
)
def test_targets_are_a_column_several_or_a_list(fields: dict[str, Any], target: Any, names: tuple[str, ...]) -> None:
    rows = [Record({"values": [1, 2], **fields}, Origin("d", k)) for k in (1, 2)]
    task = fitted(rows, target=target)
    assert task.names == names
    assert task.model_sizes == {"features": 1, "targets": len(names)}


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (None, "d.jsonl:1: column 'target' holds null"),
        ("", "d.jsonl:1: column 'target': the number is missing"),
        ("nan", "the number is missing. Fill it in, or set data.on_error: skip"),
        ("many", 'expected a number, got "many"'),
        ("1,200", "column 'target' holds \"1,200\": write a number with a point and without commas"),
        (float("inf"), "column 'target': inf is no finite number"),
    ],
)
def test_what_is_no_number_to_predict_is_named(target: Any, message: str) -> None:
    with pytest.raises(DataError) as refused:
        SeriesRegressionConfig().read(record([1, 2], target))
    assert message in str(refused.value)


def test_rows_with_other_numbers_of_targets_are_named() -> None:
    with pytest.raises(DataError, match=r"d.jsonl:2: has 1 number to predict, and d.jsonl:1 has 2; expected as many"):
        fitted([record([1], [1, 2], 1), record([1], [1], 2)])
    with pytest.raises(DataError, match="d:1: column 'b' has 2 numbers, expected 1"):
        SeriesRegressionConfig(target=("a", "b")).read(Record({"values": [1], "a": 1, "b": [1, 2]}, Origin("d", 1)))


def test_options_without_effect_are_refused_together() -> None:
    with pytest.raises(ConfigError) as refused:
        SeriesRegressionConfig(values=("x", "x"), target=("x", "a", "a"), boxes=True)
    assert len(refused.value.problems) == 4


# -- losses ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "by_hand", "unit"),
    [
        ("mse", lambda d: d**2, "squared error in scaled units"),
        ("mae", abs, "absolute error in scaled units"),
        ("huber", lambda d: d**2 / 2 if abs(d) <= 1 else abs(d) - 0.5, "Huber loss in scaled units"),
    ],
)
def test_losses_are_sums_over_all_numbers_in_deviations(loss: str, by_hand: Any, unit: str) -> None:
    rows = rows_of(targets=2)
    task = fitted(rows, loss=loss)
    batch = task.collate([task.example(one) for one in rows], range(8))
    numbers = np.random.default_rng(1).normal(size=(8, 2)).astype(np.float32)
    gold = np.array([one.fields["target"] for one in rows])
    scaled = (gold - gold.mean(0)) / gold.std(0)
    expected = sum(by_hand(float(a) - b) for a, b in zip(numbers.ravel(), scaled.ravel(), strict=True))
    found = task.loss(Prediction({"numbers": torch.from_numpy(numbers)}), batch)
    assert (found.total.item(), found.count) == (pytest.approx(expected, rel=1e-5), 16)
    assert task.loss_unit == unit


def test_a_model_learns_the_mean_of_its_steps() -> None:
    rng = np.random.default_rng(0)
    rows = [record(values, float(np.mean(values)) * 100) for values in rng.normal(size=(32, 4)).tolist()]
    task = fitted(rows, flatten=True)
    torch.manual_seed(0)
    model = SequenceModel(
        task.model_sizes,
        inputs="vectors",
        encoder={"name": "dense", "sizes": [8], "activation": "tanh"},
        head="numbers",
    )
    examples = [task.example(one) for one in rows]
    batch, parameters = task.collate(examples, range(32)), list(model.parameters())
    for _ in range(200):
        gradients = torch.autograd.grad(task.loss(model(batch), batch).mean, parameters)
        with torch.no_grad():
            for p, gradient in zip(parameters, gradients, strict=True):
                p -= 0.2 * gradient
    with torch.no_grad():
        outputs = task.predict(model, batch, examples)
    assert next(s.value for s in task.score(outputs, examples, "train") if s.name == "r2") > 0.98


# -- boxes -------------------------------------------------------------------------------------------------------------


def boxes(**options: Any) -> SeriesRegression:
    rows = [record([1, 2], [1, 2, 3, 4], 1), record([1, 2], [3, 2, 1, 2], 2)]  # mean 2 2 2 3, deviation 1 0 1 1
    return fitted(rows, boxes=True, **options)


def test_a_box_has_four_names_and_never_a_negative_size() -> None:
    task = boxes()
    assert task.names == BOX
    assert [one.tolist() for one in said(task, [[0.5, 0, -5, 1], [-9, 0, 0, -3.5]])] == [[2.5, 2, 0, 4], [-7, 2, 2, 0]]
    assert task.usual_score == "iou"
    examples = [task.example(record([1, 2], [1, 2, 3, 4]))]
    assert {s.name: s.value for s in task.possible_scores(examples)}["iou"] == pytest.approx(
        0.5
    )  # 2 x 3 shared of 12 + 6
    assert {s.name: s.value for s in task.score(task.perfect(examples), examples, "dev")}["iou"] == 1
    assert "the same number to predict in every row: y" in " ".join(task.filter(examples, "train")[1])


def test_boxes_that_say_how_far_off_they_may_be_are_ranked_by_it() -> None:
    """Half of softplus(0) or so: ln 2 deviations, and 0.0001."""
    task = boxes(loss="gaussian")
    assert task.model_sizes["targets"] == 8
    (said_of_it,) = said(task, [[0.5, 0, 0, 0, 0, 0, 1, 0]])
    off = float(np.log(2) + 1e-4)
    assert said_of_it == pytest.approx([2.5, 2, 2, 4, off, off, off, off], rel=1e-6)
    example = task.example(record([1, 2], [1, 2, 3, 4]))
    answer = task.answer(example, said_of_it)
    assert list(answer.numbers) == list(answer.deviations or {}) == list(BOX)
    assert "deviations" not in boxes().answer(example, said_of_it[:4]).to_dict()
    right, wrong = [1, 2, 3, 4], [9, 9, 3, 4]
    rows = [task.example(record([1, 2], [1, 2, 3, 4])) for _ in range(2)]
    for sure, expected in ((0.1, 51 / 101), (9.0, 51 * 0.5 / 101)):  # the right one first, and behind the wrong one
        outputs = [np.array([*right, *[sure] * 4], float), np.array([*wrong, *[1.0] * 4], float)]
        found = {one.name: one.value for one in task.score(outputs, rows, "dev")}
        assert (found["map_50"], found["map"]) == (pytest.approx(expected), pytest.approx(expected))


def test_how_far_off_a_number_may_be_is_in_its_units_and_not_what_is_explained() -> None:
    rows = [record([1, 2], gold, line) for line, gold in enumerate([2.0, 10.0], 1)]  # mean 6, deviation 4
    task = fitted(rows, loss="gaussian")
    ((number, off),) = said(task, [[0.5, 0.0]])
    assert (number, off) == (pytest.approx(8), pytest.approx(4 * (np.log(2) + 1e-4), rel=1e-6))
    shown = task.explain(model_of(task), task.example(rows[0]), torch.device("cpu"))
    scored = shown.score(Prediction({"numbers": torch.tensor([[0.5, 99.0]])}), Batch({}, torch.ones(1), {}, ()))
    assert scored.item() == pytest.approx(8)


def test_the_gaussian_loss_is_its_density_by_hand() -> None:
    task = boxes(loss="gaussian")
    rows = [record([1, 2], [1, 2, 3, 4], 1)]  # in deviations: -1, 0, 1, 1
    batch = task.collate([task.example(one) for one in rows], range(1))
    numbers = torch.tensor([[0.0, 1.0, 0.5, 0.0, 1.0, -1.0, 0.0, 2.0]])
    expected = 0.0
    for mean, raw, gold in ((0.0, 1.0, -1), (0.5, 0.0, 0), (1.0, -1.0, 1), (0.0, 2.0, 1)):
        deviation = np.log1p(np.exp(raw)) + 1e-4
        expected -= np.log(np.exp(-(((gold - mean) / deviation) ** 2) / 2) / (deviation * np.sqrt(2 * np.pi)))
    assert task.loss(Prediction({"numbers": numbers}), batch).total.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ([1, 2, 3], "d.jsonl:1: has 3 numbers to predict, expected 4: x, y, width, height"),
        (
            [5, 5, -1, 2],
            "its box has width -1 and height 2, expected more than 0. A box is x, y, width, height, not two",
        ),
    ],
)
def test_what_is_no_box_is_named(target: list[float], message: str) -> None:
    with pytest.raises(DataError) as refused:
        SeriesRegressionConfig(boxes=True).read(record([1], target))
    assert message in str(refused.value)


# -- answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_series_does_not_notice_its_neighbours_and_a_run_is_what_it_was(bidirectional: bool) -> None:
    task = fitted(rows_of(targets=3))
    model = model_of(task, bidirectional=bidirectional)
    examples = [task.example(one, gold=False) for one in [*rows_of(7, 3, seed=5), record([])]]
    together = task.predict(model, task.collate(examples, range(8)), examples)
    again = task.plan.restore(json.loads(json.dumps(task.to_json())), "task.json")
    for k, example in enumerate(examples):
        (alone,) = task.predict(model, task.collate([example], [k]), [example])
        np.testing.assert_allclose(alone, together[k], rtol=1e-6)
        (same,) = again.predict(model, again.collate([example], [k]), [example])
        assert same.tolist() == alone.tolist()
    assert task.answer(examples[-1], together[-1]).to_dict() == {"numbers": {}, "steps": 0, "note": "no steps"}
    for part, value in (("reader", {}), ("targets", {}), ("targets", task.reader.scaler.to_json() | {"shift": []})):
        with pytest.raises(RunError, match=r"task.json: expected scales of series and of targets"):
            task.plan.restore({**task.to_json(), part: value}, "task.json")


def test_equal_rows_have_equal_digests_and_other_targets_others() -> None:
    task = fitted()
    digests = [task.example(record([[1, 2]], gold)).digest() for gold in (1.0, 1.0, 1.5)]
    assert digests[0] == digests[1] != digests[2]


# -- reports -----------------------------------------------------------------------------------------------------------


def test_baselines_are_constants_of_training_and_regressions_on_statistics() -> None:
    rng = np.random.default_rng(0)
    rows = [record((rng.normal(size=6) + k).tolist(), 10.0 * k + (900 if k == 39 else 0), k) for k in range(40)]
    task = fitted(rows)
    examples = [task.example(one) for one in rows]
    found = {name: {s.name: s.value for s in scores} for name, scores in
             task.baselines(examples, {"train": examples}).scores.items()}  # fmt: skip
    gold = np.array([one.fields["target"] for one in rows])
    assert found["mean"]["rmse"] == pytest.approx(gold.std())
    assert found["median"]["mae"] == pytest.approx(np.abs(gold - np.median(gold)).mean())
    assert found["mean"]["r2"] == pytest.approx(0)
    assert min(found["ridge"]["r2"], found["forest"]["r2"]) > 0.4
    assert list(found) == ["mean", "median", "ridge", "forest"]


def test_the_worst_rows_come_first_and_truth_stands_against_prediction() -> None:
    rows = [record([1], float(k), k) for k in range(1, 31)]
    task = fitted(rows)
    examples = [task.example(one) for one in rows]
    outputs = [np.array([k + (7.0 if k == 4 else 0.1 * k)]) for k in range(1, 31)]
    formulas, worst = task.tables(outputs, examples)
    assert [row[0] for row in formulas.rows] == ["mae", "rmse", "r2"]
    assert worst.rows[0] == ("4", "11", f"{7 / np.std(range(1, 31)):.4g}", "d.jsonl:4")
    assert worst.rows[1][3] == "d.jsonl:30"
    (chart,) = task.charts(outputs, examples)
    dots, line = chart.curves
    assert dots.points[3] == (4.0, 11.0)
    assert (dots.dots, line.points) == (True, ((1.0, 1.0), (30.0, 30.0)))


# -- init --------------------------------------------------------------------------------------------------------------


def suggestion(*rows: dict[str, Any]) -> dict[str, Any]:
    records = [Record(row, Origin("d", k)) for k, row in enumerate(rows, start=1)]
    found = SeriesRegressionConfig.suggested(records, Path("d.jsonl"))
    assert any(line.startswith("target: ") for line in found.said)
    return {**found.task, **({"layout": found.data["layout"]} if found.data else {})}


def test_init_finds_series_vectors_boxes_and_lists() -> None:
    series = {"signal": [1, 2, 3], "name": "a", "price": 3.5}
    assert suggestion(series, series) == {"values": "signal", "target": "price"}
    vector = {"rooms": 3, "area": 80.5, "town": "a", "rent": 900}
    assert suggestion(vector, vector) == {"values": ["rooms", "area"], "target": "rent"}
    picture = {"values": [[0, 1], [1, 0]], "x": 1, "y": 0, "width": 2, "height": 2}
    box = {"values": "values", "target": list(BOX), "boxes": True, "flatten": True}
    assert suggestion(picture, picture) == box
    listed = {"values": [[0, 1], [1, 0]], "bbox": [1, 0, 2, 2]}
    assert suggestion(listed, listed) == {**box, "target": "bbox"}
    assert "flatten" not in suggestion(listed, {**listed, "values": [[0, 1]]})
    assert suggestion({"values": [[0, 1], [1, 0]], "y": [1, 2, 3]}) == {"values": "values", "target": "y"}
    steps = {"id": "s1", "time": 1, "level": 2.0, "age": 40}
    assert suggestion(steps, steps) == {
        "values": "level", "target": "age", "layout": {"name": "long", "id": "id", "time": "time"},
    }  # fmt: skip


def test_init_names_what_a_file_lacks() -> None:
    with pytest.raises(DataError, match=r"d.jsonl: expected a column with the number to predict"):
        suggestion({"values": [1, 2], "name": "a"})
    with pytest.raises(DataError, match=r"d.jsonl: expected a column of numbers beside column 'y', found none"):
        suggestion({"name": "a", "y": 1.0})
