"""Regression of texts and pairs, verb by verb: scale, loss and scores by hand, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from published_room import folder
from recurra.base.contracts import Origin, Prediction, Record
from recurra.base.errors import ConfigError, DataError
from recurra.metrics.spearman import pearson
from recurra.models import SequenceModel
from recurra.tasks import TextRegression, TextRegressionConfig
from recurra.tasks.text_regression.rows import EachText

ROWS: list[dict[str, Any]] = [
    {"a": "the film was good", "b": "a good film", "score": "5"},
    {"a": "the film was bad", "b": "it was good", "score": 1},
    {"a": "the good", "b": "the bad film", "score": 0.0},
    {"a": "was it", "b": "it was", "score": "2.0"},
]
PAIR = {"text": "a", "pair": "b"}


def record(number: int, fields: dict[str, Any]) -> Record:
    return Record(fields, Origin("sts.csv", number))


def records() -> list[Record]:
    return [record(n, row) for n, row in enumerate(ROWS, start=2)]


def task_for(**options: Any) -> TextRegression:
    return TextRegressionConfig(**{**PAIR, **options}).fit(records(), "sts.csv")


def test_numbers_are_learned_in_deviations_of_training_and_said_in_units_of_the_data() -> None:
    task = task_for()
    examples = [task.example(one) for one in records()]
    batch = task.collate(examples, range(4))
    # 5, 1, 0, 2: mean 2, deviation sqrt((9 + 1 + 4 + 0) / 4)
    deviation = math.sqrt(14 / 4)
    wanted = [3 / deviation, -1 / deviation, -2 / deviation, 0.0]
    np.testing.assert_allclose(batch.targets["numbers"][:, 0], wanted, rtol=1e-6)
    said = torch.tensor([[1.0], [0.0], [0.0], [-1.0]])
    loss = task.loss(Prediction({"numbers": said}), batch)
    assert loss.count == 4
    assert float(loss.total) == pytest.approx(sum((s - w) ** 2 for s, w in zip([1, 0, 0, -1], wanted, strict=True)))


def test_a_pair_is_read_as_one_row(tmp_path: Path) -> None:
    task = task_for()
    assert task.example(records()[1]).encoded.tokens == ("the", "film", "was", "bad", "<eos>", "it", "was", "good")
    pieces = task_for(tokenizer={"name": "pretrained", "folder": str(folder(tmp_path / "tiny"))})
    shown = pieces.example(records()[1]).encoded.tokens
    assert (shown[0], shown[5], shown[-1]) == ("[CLS]", "[SEP]", "[SEP]")
    alone = TextRegressionConfig(text="a").fit(records(), "x")
    assert alone.example(records()[1]).encoded.tokens == ("the", "film", "was", "bad")


def test_the_correlation_of_pearson_is_that_of_a_sum_by_hand() -> None:
    x, y = [1.0, 2.0, 4.0], [3.0, 1.0, 8.0]
    mx, my = sum(x) / 3, sum(y) / 3
    top = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True))
    size = math.sqrt(sum((a - mx) ** 2 for a in x) * sum((b - my) ** 2 for b in y))
    assert pearson(x, y) == pytest.approx(top / size, rel=1e-12)
    assert math.isnan(pearson([1.0, 1.0], [1.0, 2.0]))
    assert math.isnan(pearson([1.0], [1.0]))


def test_scores_are_correlations_and_errors_and_a_constant_correlates_with_nothing() -> None:
    task = task_for()
    examples = [task.example(one) for one in records()]
    found = {s.name: s.value for s in task.score([4.0, 3.0, 1.0, 2.0], examples, "dev")}
    assert found["pearson"] == pytest.approx(pearson([5, 1, 0, 2], [4, 3, 1, 2]))
    assert found["spearman"] == pytest.approx(0.8)  # ranks 4 2 1 3 and 4 3 1 2: 1 - 6 * 2 / (4 * 15)
    assert (found["mae"], found["rmse"]) == (1.0, pytest.approx(math.sqrt(6 / 4)))
    constant = {s.name: s.value for s in task.possible_scores(examples)}
    assert (constant["pearson"], constant["spearman"], constant["r2"]) == (0.0, 0.0, 0.0)
    assert {s.name: s.value for s in task.score(task.perfect(examples), examples, "dev")}["pearson"] == pytest.approx(1)


def test_the_baselines_are_the_mean_and_a_line_through_shared_words() -> None:
    task = task_for()
    examples = [task.example(one) for one in records()]
    found = {
        name: {s.name: s.value for s in one} for name, one in task.baselines(examples, {"dev": examples}).scores.items()
    }
    assert found["mean"]["rmse"] == pytest.approx(math.sqrt(14 / 4))
    assert found["words"]["rmse"] < found["mean"]["rmse"]


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"score": ""}, "sts.csv:2: column 'score'"),
    ({"score": "nan"}, "sts.csv:2: column 'score' holds"),
    ({"score": "good"}, "sts.csv:2: column 'score'"),
    ({"score": [1, 2]}, "expected a number"),
    ({"score": 1e300}, "expected a number"),  # its square is none, nor is it a float32
    ({"b": " "}, "sts.csv:2: column 'b' is empty, expected text"),
    ({"a": 7}, "sts.csv:2: column 'a' holds 7, expected text"),
]


@pytest.mark.parametrize(("fields", "said"), BROKEN)
def test_what_cannot_be_learned_from_is_refused_with_file_and_line(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError) as caught:
        TextRegressionConfig(**PAIR).read(record(2, {**ROWS[0], **fields}))
    assert said in str(caught.value)


def test_one_column_cannot_be_two_things() -> None:
    with pytest.raises(ConfigError, match="columns must be different"):
        TextRegressionConfig(text="a", pair="a")


def test_a_row_has_the_same_number_alone_and_in_any_batch() -> None:
    task = task_for()
    torch.manual_seed(0)
    model = SequenceModel(
        task.model_sizes,
        inputs={"name": "tokens", "embedding_size": 6},
        encoder={"name": "recurrent", "hidden_size": 5},
        head={"name": "numbers", "pooling": "mean"},
    ).eval()
    examples = [task.example(one) for one in records()]
    with torch.inference_mode():
        together = task.predict(model, task.collate(examples, range(4)), examples)
        alone = [task.predict(model, task.collate([e], [0]), [e])[0] for e in examples]
    assert together == pytest.approx(alone, abs=1e-5)


def test_answers_have_the_name_of_their_column_and_blank_texts_none() -> None:
    task = task_for()
    example = task.example(record(2, {"a": "good", "b": ""}), gold=False)
    assert task.answer(example, 3.25).to_dict() == {"numbers": {"score": 3.25}, "steps": 2}
    blank = task.example(record(2, {"a": " ", "b": ""}), gold=False)
    assert task.answer(blank, 3.25).to_dict() == {"numbers": {}, "steps": 0, "note": "blank text"}


def test_a_run_folder_holds_all_that_answers_need() -> None:
    task = task_for(max_length=8)
    again = task.plan.restore(json.loads(json.dumps(task.to_json())), "task.json")
    one, other = (t.collate([t.example(records()[0])], [0]) for t in (task, again))
    assert torch.equal(one.inputs["tokens"], other.inputs["tokens"])
    assert torch.equal(one.targets["numbers"], other.targets["numbers"])
    long = task.example(record(9, {"a": "the film " * 9, "b": "it was", "score": 1}))
    assert "1 of 1 rows are longer than task.max_length = 8" in task.filter([long], "dev")[1][0]


def test_what_is_cut_and_a_number_that_never_changes_are_said_of_all_rows() -> None:
    task = task_for(max_length=7)
    examples = [task.example(one) for one in records()]
    cut = (
        "train: 2 of 4 rows are longer than task.max_length = 7 tokens, and the rest is not read; the first: "
        "sts.csv:2, 8 tokens."
    )
    assert task.filter(examples, "train") == (examples, (cut,))
    same = [task.example(record(n, {**row, "score": 3})) for n, row in enumerate(ROWS, start=2)]
    assert task.filter(same, "train")[1] == ("train: the same number to predict in every row: score.", cut)
    assert task.filter(same[2:], "dev")[1] == ()
    assert task.filter([*same[2:], examples[2]], "train")[1] == ()


def test_the_texts_of_rows_are_as_many_as_is_said() -> None:
    for options in (PAIR, {"text": "a"}):
        plan = TextRegressionConfig(**options)
        texts = EachText([plan.read(one) for one in records()], len(plan.columns.texts))
        found = [one.text for one in texts]
        assert found == [row[name] for row in ROWS for name in options.values()]
        assert len(texts) == len(found)
