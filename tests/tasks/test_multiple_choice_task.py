"""Multiple choice, verb by verb: the loss against a loop in float64, any number of choices, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from published_room import folder
from recurra.base.contracts import Batch, Origin, Prediction, Record
from recurra.base.errors import ConfigError, DataError
from recurra.models import SequenceModel
from recurra.tasks import MultipleChoice, MultipleChoiceConfig
from recurra.tasks.multiple_choice.task import by_question
from recurra.tasks.two_texts import fitted

ROWS: list[dict[str, Any]] = [
    {"context": "the film was good", "choices": ["good film", "bad film"], "label": 0},
    {"context": "a bad film", "choices": ["the good", "it was bad", "was it"], "label": 1},
    {"context": "was it good", "choices": ["bad", "good", "film", "the"], "label": 1},
]


def record(number: int, fields: Mapping[str, Any]) -> Record:
    return Record(fields, Origin("choices.jsonl", number))


def records() -> list[Record]:
    return [record(n, row) for n, row in enumerate(ROWS, start=1)]


def task_for(**options: Any) -> MultipleChoice:
    return MultipleChoiceConfig(**options).fit(records(), "choices.jsonl")


def model_for(task: MultipleChoice, encoder: str = "recurrent", pooling: str = "last") -> SequenceModel:
    torch.manual_seed(1)
    inputs = {"name": "tokens", "embedding_size": 6}
    chosen: dict[str, Any] = {"name": encoder, "hidden_size": 8}
    if encoder == "pretrained":
        inputs = {"name": "word_pieces", "embedding_size": 8, "max_positions": 40}
    elif encoder == "transformer":
        chosen["num_heads"] = 2
    return SequenceModel(
        task.model_sizes, inputs=inputs, encoder=chosen, head={"name": "choice", "pooling": pooling}
    ).eval()


def test_the_loss_is_softmax_over_the_choices_of_each_question() -> None:
    logits, counts, gold = np.random.default_rng(0).normal(size=9), [2, 3, 4], [0, 2, 1]
    expected, at = 0.0, 0
    for count, right in zip(counts, gold, strict=True):
        own = [float(x) for x in logits[at : at + count]]
        expected += math.log(sum(math.exp(x) for x in own)) - own[right]
        at += count
    batch = Batch({"choices": torch.tensor(counts)}, torch.ones(9), {"choices": torch.tensor(gold)}, (0, 1, 2))
    loss = task_for().loss(Prediction({"choice_logits": torch.from_numpy(logits).unsqueeze(1)}), batch)
    assert (float(loss.total), loss.count) == (pytest.approx(expected, rel=1e-12), 3)


def test_questions_with_fewer_choices_have_nothing_in_the_places_of_others() -> None:
    table = by_question(torch.arange(5.0).unsqueeze(1), torch.tensor([2, 3]))
    assert table.tolist() == [[0.0, 1.0, -math.inf], [2.0, 3.0, 4.0]]


def test_a_row_of_the_batch_is_a_choice_with_what_it_is_about(tmp_path: Path) -> None:
    for task in (task_for(), task_for(tokenizer={"name": "pretrained", "folder": str(folder(tmp_path / "tiny"))})):
        examples = [task.example(one) for one in records()]
        batch = task.collate(examples, range(3))
        assert batch.inputs["choices"].tolist() == [2, 3, 4]
        assert batch.targets["choices"].tolist() == [0, 1, 1]
        assert batch.inputs["tokens"].shape[1] == len(batch.lengths) == 9
        shown = examples[0].encoded[1].tokens
        marks = ("[CLS]", "[SEP]", "[SEP]") if task.pieces else ("", "<eos>", "")
        words = [*marks[:1], "the", "film", "was", "good", marks[1], "bad", "film", marks[2]]
        assert list(shown) == [word for word in words if word]


def test_a_question_stands_before_its_choices_and_behind_the_context() -> None:
    plan = MultipleChoiceConfig(question="question")
    row = plan.read(record(1, {"context": "A b.", "question": "Is it?", "choices": ["yes", "no"], "label": 0}))
    assert row.pairs() == [("A b.", "Is it? yes"), ("A b.", "Is it? no")]
    alone = MultipleChoiceConfig(context=None, question="question")
    row = alone.read(record(1, {"question": "Is it?", "choices": ["yes", "no"], "label": 0}))
    assert row.pairs() == [("Is it?", "yes"), ("Is it?", "no")]


@pytest.mark.parametrize("encoder", ["recurrent", "transformer", "pretrained"])
def test_a_question_has_the_same_answer_alone_and_in_any_batch(encoder: str, tmp_path: Path) -> None:
    published = {"tokenizer": {"name": "pretrained", "folder": str(folder(tmp_path / "tiny"))}}
    task = task_for(**(published if encoder == "pretrained" else {}))
    model = model_for(task, encoder)
    examples = [task.example(one) for one in records()]
    with torch.inference_mode():
        together = task.predict(model, task.collate(examples, range(3)), examples)
        alone = [task.predict(model, task.collate([e], [0]), [e])[0] for e in examples]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)  # a product of more rows sums in another order


def test_the_longer_text_is_cut_on_equality_the_second() -> None:
    one, other = tuple("abcde"), tuple("1234567")
    assert fitted(one, other, 12) == (one, other)
    assert fitted(one, other, 9) == (tuple("abcde"), tuple("1234"))
    assert fitted(one, other, 8) == (tuple("abcd"), tuple("1234"))
    assert fitted(one, ("1",), 4) == (tuple("abc"), ("1",))
    assert fitted(("a",), other, 4) == (("a",), tuple("123"))


def test_what_is_cut_is_said_with_its_row() -> None:
    task = task_for(max_length=8)
    long = record(9, {"context": "the film " * 9, "choices": ["good", "bad"], "label": 0})
    examples = [task.example(one) for one in (*records(), long)]
    assert max(len(one) for one in examples[3].encoded) == 8
    (note,) = task.filter(examples, "dev")[1]
    assert "1 of 4 questions have a choice that is longer than task.max_length = 8" in note
    assert "choices.jsonl:9, 20 tokens" in note


@pytest.mark.parametrize(
    ("label_is", "first", "label", "place"),
    [("index", 0, 1, 1), ("index", 0, "1", 1), ("index", 1, "1", 0), ("letter", 0, "B", 1), ("letter", 0, "a", 0),
     ("text", 0, " no", 1)],
)  # fmt: skip
def test_a_label_names_a_choice_by_number_letter_or_text(label_is: Any, first: int, label: Any, place: int) -> None:
    plan = MultipleChoiceConfig(label_is=label_is, first=first)
    row = plan.read(record(1, {"context": "x", "choices": ["yes", "no"], "label": label}))
    assert row.gold == place


@pytest.mark.parametrize("choices", [["yes", "no"], '["yes", "no"]', "yes\nno\n"])
def test_choices_are_a_list_or_lines(choices: Any) -> None:
    row = MultipleChoiceConfig().read(record(1, {"context": "x", "choices": choices, "label": 0}))
    assert row.choices == ("yes", "no")


def test_choices_may_stand_in_columns_of_which_the_last_may_be_empty() -> None:
    plan = MultipleChoiceConfig(choices=("a", "b", "c"))
    row = plan.read(record(1, {"context": "x", "a": "yes", "b": "no", "c": "", "label": 0}))
    assert row.choices == ("yes", "no")
    with pytest.raises(DataError, match="choice 2 of 3 is empty"):
        plan.read(record(1, {"context": "x", "a": "yes", "b": " ", "c": "no", "label": 0}))


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"choices": ["yes"]}, "choices.jsonl:1: has 1 choice, expected at least 2"),
    ({"choices": ["yes", " "]}, "choices.jsonl:1: choice 2 of 2 is empty"),
    ({"choices": ["yes", "yes"]}, "choices.jsonl:1: the choice 'yes' stands there twice"),
    ({"choices": [1, 2]}, "column 'choices' holds"),
    ({"context": ""}, "choices.jsonl:1: column 'context' is empty"),
    ({"context": 4}, "choices.jsonl:1: column 'context' holds 4, expected text"),
    ({"label": 2}, r"column 'label' holds 2, expected 0 to 1 (task.label_is: index)"),
    ({"label": -1}, "column 'label' holds -1, expected 0 to 1"),
    ({"label": "A"}, "expected 0 to 1"),
]


@pytest.mark.parametrize(("fields", "said"), BROKEN)
def test_what_cannot_be_learned_from_is_refused_with_file_and_line(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError) as caught:
        MultipleChoiceConfig().read(record(1, {"context": "x", "choices": ["yes", "no"], "label": 0, **fields}))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"context": None}, "context: is null, and question too"),
        ({"choices": ("a", "a")}, "columns must be different"),
        ({"label_is": "text", "first": 1}, "first: has no effect with label_is: text"),
    ],
)
def test_options_that_cannot_take_effect_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        MultipleChoiceConfig(**options)


def test_an_answer_has_the_probability_of_each_choice() -> None:
    task = task_for()
    example = task.example(records()[1], gold=False)
    answer = task.answer(example, np.log(np.array([1.0, 6.0, 3.0])))
    assert (answer.label, answer.score) == ("it was bad", pytest.approx(0.6))
    assert answer.probabilities == pytest.approx({"the good": 0.1, "it was bad": 0.6, "was it": 0.3})
    blank = task.example(record(1, {"context": " ", "choices": ["a", "b"]}), gold=False)
    assert (task.answer(blank, np.zeros(2)).label, task.answer(blank, np.zeros(2)).note) == ("", "blank text")


def test_scores_and_baselines_are_shares_of_right_choices() -> None:
    task = task_for()
    examples = [task.example(one) for one in records()]
    said = [np.array([1.0, 0.0]), np.array([0.0, 0.0, 2.0]), np.array([0.0, 1.0, 0.0, 0.0])]
    scores = {s.name: s.value for s in task.score(said, examples, "dev")}
    assert scores["accuracy"] == pytest.approx(2 / 3)
    nats = [math.log(1 + math.e) - 1, math.log(2 + math.exp(2)), math.log(3 + math.e) - 1]
    assert scores["log_loss"] == pytest.approx(sum(nats) / 3)
    found = {name: one[0].value for name, one in task.baselines(examples, {"dev": examples}).scores.items()}
    # The second place is right in two of three; each right choice has words of its context, and the others fewer.
    assert found == {"majority": pytest.approx(2 / 3), "overlap": 1.0}
    assert {s.value for s in task.score(task.perfect(examples), examples, "dev")} == {1.0, 0.0}


def test_a_run_folder_holds_all_that_answers_need(tmp_path: Path) -> None:
    for options in ({}, {"tokenizer": {"name": "pretrained", "folder": str(folder(tmp_path / "tiny"))}}):
        task = task_for(**options)
        again = task.plan.restore(json.loads(json.dumps(task.to_json())), "task.json")
        one, other = (t.collate([t.example(records()[0])], [0]) for t in (task, again))
        assert torch.equal(one.inputs["tokens"], other.inputs["tokens"])


@pytest.mark.parametrize(
    ("label_is", "choices", "label", "expected"),
    [
        ("letter", ["a", "b"], "ß", "A to B"),  # two letters in upper case
        ("letter", ["a", "b"], "ﬁ", "A to B"),
        ("text", ["None", "b"], None, "one of the choices"),  # a cell that is missing is no text
        ("text", ["True", "b"], True, "one of the choices"),
        ("index", ["a", "b"], "1" * 5000, "0 to 1"),
        ("index", ["a", "b"], "²", "0 to 1"),
    ],
)
def test_a_label_that_only_looks_like_a_choice_is_refused_at_its_line(
    label_is: Any, choices: list[str], label: Any, expected: str
) -> None:
    plan = MultipleChoiceConfig(context=None, question="q", label_is=label_is)
    with pytest.raises(DataError, match=rf"x\.csv:3: column 'label' holds .*, expected {expected} "):
        plan.read(Record({"q": "why?", "choices": choices, "label": label}, Origin("x.csv", 3)))


def test_a_list_that_is_nested_without_end_or_has_a_number_without_end_is_a_line_of_text() -> None:
    plan = MultipleChoiceConfig(context=None, question="q")
    for cell in ("[" * 100_000, f"[{'1' * 5000}]"):
        with pytest.raises(DataError, match=r"x\.csv:3: has 1 choice, expected at least 2"):
            plan.read(Record({"q": "why?", "choices": cell, "label": 0}, Origin("x.csv", 3)))
