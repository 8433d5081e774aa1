"""Probabilities of tags that fit dev: by value, against NumPy loops over all taggings and all temperatures."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from recurra.base.errors import RunError
from recurra.tasks import Tagging, TaggingConfig
from recurra.tasks.tagging.decoding import Tagged
from tasks.test_tagging_task import ROWS, Table, brute, record, task_of, written

DEV = ["Anna/B-PER in/O York/B-LOC Rome/I-LOC", "Bob/O lives/B-PER", "Rome/B-LOC ./O", "New/O York/B-LOC"]


def said(task: Tagging, model: Table, rows: list[str]) -> tuple[list[Tagged], list[Any]]:
    examples = [task.example(written(row, n)) for n, row in enumerate(rows, 1)]
    return task.predict(model, task.collate(examples, range(len(rows))), examples), examples


def by_hand(task: Tagging, model: Table, examples: list[Any]) -> tuple[np.ndarray[Any, Any], list[int]]:
    """(tokens, L) marginals over all allowed taggings, by adding them up one by one; and the right tags' places."""
    tags = task.tagset.tags
    found: list[list[float]] = []
    gold: list[int] = []
    for example in examples:
        words = task.collate([example], [0]).inputs["words"][:, 0].tolist()
        whole = brute(task, model, words, constrained=task.constrained)
        for place in range(len(words)):
            found.append([sum(p for names, p in whole.items() if names[place] == tag) for tag in tags])
        gold += [tags.index(tag) for tag in example.tags or ()]
    return np.array(found), gold


def too_sure(task: Tagging, model: Table) -> tuple[list[Tagged], list[Any]]:
    """Sentences of which the model, whose scores are four times as far apart, is right in two tokens of three."""
    model.table *= 4
    words = ["Anna in York Rome", "Bob lives", "Rome . Bob", "New York"]
    asked = [task.example(record(row.split()), gold=False) for row in words]
    outputs = task.predict(model, task.collate(asked, range(len(asked))), asked)
    tags, count, examples = task.tagset.tags, 0, []
    for example, output in zip(asked, outputs, strict=True):
        gold = list(output.tags)
        for place in range(len(gold)):
            count += 1
            likely = [k for k in range(len(tags)) if output.chances is not None and output.chances[place][k] > 0]
            if count % 3 == 0:
                gold[place] = tags[next(k for k in likely if tags[k] != gold[place])]
        examples.append(task.numbered(example, tuple(gold)))
    return outputs, examples


def mean_nats(p: np.ndarray[Any, Any], gold: list[int], temperature: float) -> float:
    """The mean of -log of the right tag's share of p^(1/T)."""
    powers = p ** (1 / temperature)
    shares = powers / powers.sum(1, keepdims=True)
    return float(-np.log(shares[np.arange(len(gold)), gold]).mean())


@pytest.mark.parametrize("pairs", [True, False])
@pytest.mark.parametrize("constrained", [True, False])
def test_the_temperature_is_the_one_at_which_the_right_tags_are_most_probable(pairs: bool, constrained: bool) -> None:
    task = task_of(constrained=constrained)
    grid = np.exp(np.linspace(np.log(1.05), np.log(40), 4001))  # in steps of 0.1 %
    for seed in range(3):
        model = Table(task, pairs, seed)
        outputs, examples = too_sure(task, model)
        p, gold = by_hand(task, model, examples)
        best = grid[np.argmin([mean_nats(p, gold, t) for t in grid])]
        assert grid[0] < best < grid[-1]
        assert task.calibrated(outputs, examples).temperature == pytest.approx(best, rel=2e-3)


@pytest.mark.parametrize("pairs", [True, False])
def test_probabilities_are_shares_of_powers_and_no_answer_changes(pairs: bool) -> None:
    task = task_of()
    model = Table(task, pairs, 3)
    plain, examples = said(task, model, DEV)
    fitted = task.calibrated(plain, examples)
    fitted.temperature = 2.5
    p, _ = by_hand(task, model, examples)
    shares = p**0.4 / (p**0.4).sum(1, keepdims=True)
    after, _ = said(fitted, model, DEV)
    assert [one.tags for one in after] == [one.tags for one in plain]
    chances = np.concatenate([one.chances for one in after if one.chances is not None])
    np.testing.assert_allclose(chances, shares, atol=1e-6)  # float32
    of_tags = [q for one in after for q in one.with_confidence]
    places = [task.tagset.tags.index(tag) for one in after for tag in one.tags]
    np.testing.assert_allclose(of_tags, shares[np.arange(len(places)), places], atol=1e-6)
    batch = task.collate(examples[:1], [0])
    np.testing.assert_allclose(fitted.chances(model(batch), batch)[:, 0], shares[:4], atol=1e-6)


def test_independent_tags_have_the_softmax_of_their_scores_over_the_temperature() -> None:
    """Guo et al. 2017, eq. 9."""
    task = task_of(constrained=False)
    model = Table(task, False, 1)
    task.temperature = 1.7
    outputs, examples = said(task, model, DEV[:1])
    words = task.collate(examples, [0]).inputs["words"][:, 0]
    z = model.table[words].numpy() / 1.7
    expected = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    np.testing.assert_allclose(outputs[0].chances, expected, atol=1e-6)


def test_log_loss_and_calibration_error_are_of_tokens_and_fall_on_dev() -> None:
    task = task_of(constrained=False)
    model = Table(task, True, 0)
    outputs, examples = too_sure(task, model)
    p, gold = by_hand(task, model, examples)
    scores = {s.name: s for s in task.score(outputs, examples, "dev")}
    assert scores["log_loss"].value == pytest.approx(mean_nats(p, gold, 1.0), rel=1e-5)
    assert (scores["log_loss"].unit, scores["log_loss"].better) == ("nats", "lower")
    best = [task.tagset.tags.index(tag) for one in outputs for tag in one.tags]
    confidence, right = p[np.arange(len(best)), best], np.array(best) == gold
    bins = np.ceil(confidence * 15).astype(int)
    error = sum(abs((right[bins == b] - confidence[bins == b]).sum()) for b in range(16)) / len(gold)
    assert scores["calibration_error"].value == pytest.approx(error, abs=1e-5)
    fitted = task.calibrated(outputs, examples)
    again = fitted.predict(model, fitted.collate(examples, range(len(examples))), examples)
    after = {s.name: s.value for s in fitted.score(again, examples, "dev")}
    assert after["log_loss"] < scores["log_loss"].value
    (table,) = [t for t in task.tables(outputs, examples) if t.caption.startswith("Reliability")]
    assert sum(int(row[2]) for row in table.rows) == len(gold)


def test_outputs_without_probabilities_have_no_scores_of_them_and_ask_for_no_temperature() -> None:
    task = task_of()
    cheap = task.for_validation
    outputs, examples = said(cheap, Table(task), DEV)
    assert outputs[0].chances is None
    assert not {"log_loss", "calibration_error"} & {s.name for s in task.score(outputs, examples, "dev")}
    assert task.calibrated(outputs, examples).temperature == 1.0


def test_tags_that_training_never_saw_or_that_are_impossible_fit_no_temperature() -> None:
    task = task_of()
    model = Table(task, False, 2)
    outputs, examples = said(task, model, [*DEV, "Anna/B-ORG"])
    known, fewer = said(task, model, DEV)
    assert task.calibrated(outputs, examples).temperature == task.calibrated(known, fewer).temperature
    only = [task.example(written("Anna/B-ORG"))]
    assert task.calibrated(said(task, model, ["Anna/B-ORG"])[0], only).temperature == 1.0


def test_the_temperature_is_kept_and_a_run_of_before_has_1() -> None:
    plan, task = TaggingConfig(), task_of(ROWS)
    task.temperature = 1.25
    kept = json.loads(json.dumps(task.to_json()))
    assert plan.restore(kept, "task.json").temperature == 1.25
    del kept["temperature"]
    assert plan.restore(kept, "task.json").temperature == 1.0
    for wrong in (0, -1.0, "1", None, True, float("nan"), float("inf")):
        with pytest.raises(RunError, match=r"task.json: expected a temperature above 0"):
            plan.restore({**kept, "temperature": wrong}, "task.json")


def test_calibration_none_leaves_probabilities_as_they_are() -> None:
    task = task_of(calibration="none")
    assert task.calibrated(*said(task, Table(task, True, 0), DEV)).temperature == 1.0
