"""The five verbs of a classification: example, collate, loss, decode, score; by value."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch

from recurra.base.contracts import Origin, Prediction, Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.data.fields import Field
from recurra.metrics.outputs import LabelOutput, LabelSetOutput
from recurra.tasks import TASKS, Classification, ClassificationConfig
from recurra.tasks.classification.task import TextExample
from recurra.tasks.labels import ManyLabels, OneLabel
from recurra.tasks.mistakes import mistaken
from recurra.tasks.text import TextEncoder, pad_arrays, unknown_share

TEXTS = ["a b c", "b c", "c c d", "e"]
LABELS = ["yes", "no", "yes", "yes"]
MANY = ["x|y", "", "y", "x"]


def record(text: object = "a b", label: object = "yes", line: int = 7) -> Record:
    return Record({"text": text, "label": label}, Origin("f.csv", line))


def records(labels: list[Any], texts: list[str] = TEXTS) -> list[Record]:
    return [record(text, label, n) for n, (text, label) in enumerate(zip(texts, labels, strict=True), start=2)]


def task_of(values: list[Any] = LABELS, /, **options: Any) -> Classification:
    return ClassificationConfig(**options).fit(records(values), "f.csv")


def many(**options: Any) -> Classification:
    return task_of(MANY, labels="many", separator="|", **options)


def logits(*rows: list[float]) -> Prediction:
    return Prediction({"logits": torch.tensor(rows, dtype=torch.float64)})


# -- fit ---------------------------------------------------------------------------------------------------------------


def test_fit_takes_labels_in_order_of_their_names_and_words_in_order_of_their_counts() -> None:
    task = task_of()
    assert task.labels == ("no", "yes")
    assert task.reader.vocabulary.tokens(range(4, 9)) == ["c", "b", "a", "d", "e"]
    assert task.model_sizes == {"tokens": 9, "labels": 2}


def test_labels_are_text_without_the_space_around_it() -> None:
    assert task_of([" yes", "no ", "yes", "yes"]).labels == ("no", "yes")
    assert task_of([1, 2, 1, 1]).labels == ("1", "2")
    assert task_of([True, False, True, True]).labels == ("False", "True")


@pytest.mark.parametrize(
    ("labels", "options", "sentence"),
    [
        (["yes"] * 4, {}, r"^f\.csv: expected at least 2 different labels, found 1 \('yes'\) in 4 rows"),
        (["", "", "", ""], {"labels": "many"}, r"^f\.csv: expected at least 1 different label, found 0 \(none\) in 4"),
        (["yes", " ", "no", "no"], {}, r"^f\.csv:3: the label is empty"),
        (["yes", None, "no", "no"], {}, r"^f\.csv:3: the label is empty"),
        (["yes", ["no"], "no", "no"], {}, r"^f\.csv:3: expected one label, got \[.no.\]\. Set task\.labels: many"),
        (
            ["x,x", "y", "x", "x"],
            {"labels": "many"},
            r"^f\.csv:2: a label stands twice in 'x,x'; expected each once\.$",
        ),
        (LABELS, {"min_count": 9}, "Lower min_count"),
    ],
)
def test_labels_that_teach_nothing_are_refused(labels: list[Any], options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        task_of(labels, **options)


def test_one_label_is_enough_where_a_row_may_have_none() -> None:
    assert task_of(["x", "", "x", ""], labels="many").labels == ("x",)


@pytest.mark.parametrize(
    ("options", "problems"),
    [
        ({"text": "a", "label": "a"}, ["label: is 'a', the text column too; expected another column."]),
        ({"separator": ";"}, ["separator: has no effect with labels: one; leave it out, or set labels: many."]),
        ({"labels": "many", "separator": ""}, ["separator: is empty; expected a text that stands between labels"]),
        ({"labels": "many", "label_smoothing": 0.1, "class_weights": "balanced"},
         ["label_smoothing: has no effect with labels: many", "class_weights: balanced needs labels: one"]),
    ],
)  # fmt: skip
def test_options_without_effect_are_all_named(options: dict[str, Any], problems: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        ClassificationConfig(**options)
    assert [problem.startswith(start) for problem, start in zip(caught.value.problems, problems, strict=True)] == [
        True
    ] * len(problems)


def test_class_weights_by_name_or_balanced() -> None:
    assert task_of().weights is None
    named = task_of(class_weights={"no": 3.0}).weights
    assert named is not None
    assert named.tolist() == [3.0, 1.0]
    balanced = task_of(class_weights="balanced").weights
    assert balanced is not None
    assert balanced.tolist() == pytest.approx([2.0, 2 / 3])  # rows / (classes * rows of the class): 4/2/1, 4/2/3
    with pytest.raises(ConfigError, match=r"class_weights: unknown label 'nou'\. Did you mean 'no'\?"):
        task_of(class_weights={"nou": 2.0})


# -- example -----------------------------------------------------------------------------------------------------------


def test_an_example_has_its_text_its_tokens_its_label_and_its_place() -> None:
    example = task_of().example(record("a  b?", "yes"))
    assert (example.text, example.tokens, example.gold) == ("a  b?", ("a", "b", "?"), "yes")
    assert (example.length, example.all_tokens, str(example.origin)) == (3, 3, "f.csv:7")


@pytest.mark.parametrize(("keep", "kept"), [("start", ("a", "b")), ("end", ("c", "d"))])
def test_a_long_text_is_cut_at_the_end_that_was_not_chosen(keep: str, kept: tuple[str, ...]) -> None:
    task = task_of(max_length=2, keep=keep)
    example = task.example(record("a b c d"))
    assert (example.tokens, example.length, example.all_tokens) == (kept, 2, 4)
    assert task.example(record("a b")).tokens == ("a", "b")
    facts = task.facts({"train": [example, task.example(record("a"))]})
    assert facts["train texts cut"] == "1 of 2, 2 tokens (max_length 2)"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"label": "yes"}, r"^f\.csv:7: no column 'text'"),
        ({"text": "a"}, r"^f\.csv:7: no column 'label'"),
        ({"text": "  ", "label": "yes"}, r"^f\.csv:7: column 'text' is empty, expected text\. Fill it in, or set data"),
        ({"text": 5, "label": "yes"}, r"^f\.csv:7: column 'text' holds 5, expected text\.$"),
        ({"text": None, "label": "yes"}, r"^f\.csv:7: column 'text' holds null, expected text\.$"),
        ({"text": "a", "label": ""}, r"^f\.csv:7: the label is empty"),
    ],
)
def test_a_record_that_cannot_be_learned_from_is_named(fields: dict[str, Any], sentence: str) -> None:
    row = Record(fields, Origin("f.csv", 7))
    with pytest.raises(DataError, match=sentence):
        task_of().example(row)
    with pytest.raises(DataError, match=sentence):
        ClassificationConfig().read(row)


def test_to_predict_needs_no_label_and_takes_an_empty_text() -> None:
    example = task_of().example(Record({"text": ""}, Origin("argument")), gold=False)
    assert (example.tokens, example.gold) == ((), None)


def test_labels_that_training_never_saw_are_named() -> None:
    task = task_of()
    with pytest.raises(
        DataError, match=r"^f\.csv:7: label 'nno' does not occur in the training data\. Did you mean 'no'"
    ):
        task.refuse_unknown([task.example(record("a", "no")), task.example(record("a", "nno"))])
    with pytest.raises(DataError, match=r"label 'xyzzy' does not occur in the training data\. Known: no, yes\.$"):
        task.collate([task.example(record("a", "xyzzy"))], [0])
    with pytest.raises(DataError, match="label 'z' does not occur"):
        many().refuse_unknown([many().example(record("a", "x|z"))])


def test_the_same_labels_are_the_same_stratum_in_any_order_and_form() -> None:
    plan = ClassificationConfig(labels="many", separator="|")
    assert (
        plan.read(record(label="b|a")).stratum
        == plan.read(record(label=["a", "b"])).stratum
        == plan.read(record(label="a| b")).stratum
    )
    assert plan.read(record(label="a")).stratum != plan.read(record(label="a|b")).stratum
    assert ClassificationConfig().read(record(label=" yes")).stratum == "yes"
    assert ClassificationConfig().read(record("a b")).key == "a b"


# -- collate -----------------------------------------------------------------------------------------------------------


def test_a_batch_is_time_major_padded_with_zeros_and_has_its_lengths_and_classes() -> None:
    task = task_of()
    batch = task.collate([task.example(row) for row in records(LABELS)[:2]], [4, 9])
    assert batch.inputs["tokens"].tolist() == [[6, 5], [5, 4], [4, 0]]  # a b c | b c: c 4, b 5, a 6
    assert batch.lengths.tolist() == [3, 2]
    assert batch.targets["labels"].tolist() == [1, 0]
    assert batch.indices == (4, 9)


def test_unknown_words_are_one_and_the_same_number() -> None:
    task = task_of()
    batch = task.collate([task.example(record("a zebra xylophone"))], [0])
    assert batch.inputs["tokens"].flatten().tolist() == [6, 1, 1]
    texts = [task.reader.encode(text)[0] for text in ("a zebra", "b c")]
    assert unknown_share(texts) == 0.25
    assert unknown_share([]) == 0


def test_a_batch_of_many_labels_has_zeros_and_ones() -> None:
    task = many()
    batch = task.collate([task.example(row) for row in records(MANY)], range(4))
    assert task.labels == ("x", "y")
    assert batch.targets["labels"].tolist() == [[1, 1], [0, 0], [0, 1], [1, 0]]


def test_without_answers_there_are_no_targets() -> None:
    task = task_of()
    known, unknown = task.example(record()), task.example(record(), gold=False)
    assert task.collate([unknown], [0]).targets == {}
    assert task.collate([known, unknown], [0, 1]).targets == {}
    assert task.collate([unknown], [0]).inputs["tokens"].shape == (2, 1)


# -- loss, decode, score -----------------------------------------------------------------------------------------------


def test_the_loss_is_a_sum_in_nats_over_rows() -> None:
    task = task_of()
    batch = task.collate([task.example(row) for row in records(LABELS)[:2]], [0, 1])  # yes, no
    loss = task.loss(logits([0.0, math.log(3)], [0.0, math.log(3)]), batch)
    assert loss.total.item() == pytest.approx(-math.log(3 / 4) - math.log(1 / 4))
    assert loss.count == 2
    weighted = task_of(class_weights={"no": 5.0}).loss(logits([0.0, math.log(3)], [0.0, math.log(3)]), batch)
    assert weighted.total.item() == pytest.approx(-math.log(3 / 4) - 5 * math.log(1 / 4))
    smooth = task_of(label_smoothing=0.2).loss(logits([0.0, math.log(3)]), task.collate([task.example(record())], [0]))
    assert smooth.total.item() == pytest.approx(-0.9 * math.log(3 / 4) - 0.1 * math.log(1 / 4))


def test_the_loss_of_many_labels_is_the_sum_over_yes_and_no_questions() -> None:
    task = many()
    batch = task.collate([task.example(records(MANY)[2])], [0])  # no x, but y
    loss = task.loss(logits([math.log(1 / 4), math.log(3)]), batch)  # p(x) = 1/5, p(y) = 3/4
    assert loss.total.item() == pytest.approx(-math.log(4 / 5) - math.log(3 / 4))


def test_an_answer_is_the_likeliest_label_with_all_probabilities() -> None:
    task = task_of()
    first, second = task.decode(logits([0.0, math.log(3)], [1.0, 1.0]))
    answer = task.answer(task.example(record()), first)
    assert (answer.label, answer.score) == ("yes", pytest.approx(0.75))
    assert answer.probabilities == {"no": pytest.approx(0.25), "yes": pytest.approx(0.75)}
    assert second.label == "no", "of equals, the first"


def test_an_answer_of_many_labels_has_each_that_is_at_least_even() -> None:
    task = many()
    example = task.example(records(MANY)[0])
    outputs = task.decode(logits([0.0, -1e-6], [-9.0, -9.0], [9.0, 9.0]))
    assert [task.answer(example, output).labels for output in outputs] == [("x",), (), ("x", "y")]
    assert task.answer(example, outputs[0]).probabilities["x"] == 0.5


def test_scores_count_what_is_right() -> None:
    task = task_of()
    examples = [task.example(row) for row in records(LABELS)]  # yes no yes yes
    outputs = task.decode(logits([0, 1], [0, 1], [0, 1], [1, 0]))
    found = {score.name: score.value for score in task.score(outputs, examples, "dev")}
    assert found["accuracy"] == 0.5
    assert found["precision[yes]"] == pytest.approx(2 / 3)
    assert found["recall[yes]"] == pytest.approx(2 / 3)
    assert found["f1[no]"] == 0
    assert {score.split for score in task.score(outputs, examples, "dev")} == {"dev"}
    assert {score.name for score in task.possible_scores(examples)} == found.keys()
    tables = task.tables(outputs, examples)
    assert tables[0].rows == (("no", 0, 1), ("yes", 1, 2))


def test_labels_of_a_single_row_are_named_with_file_and_line() -> None:
    task = task_of()
    examples = [task.example(row) for row in records(LABELS)]  # yes no yes yes
    kept, notes = task.filter(examples, "train")
    assert len(kept) == 4
    assert f"train: 1 label has a single row, too few to learn from: 'no' ({examples[1].origin})." in notes
    assert task.filter(examples, "dev")[1] == ()


def test_possible_scores_are_those_of_a_model_that_knows_how_frequent_labels_are() -> None:
    task = task_of()
    found = {s.name: s.value for s in task.possible_scores([task.example(row) for row in records(LABELS)])}
    assert found["accuracy"] == 0.75  # yes no yes yes
    assert found["log_loss"] == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    sets = many()
    found = {s.name: s.value for s in sets.possible_scores([sets.example(row) for row in records(MANY)])}
    assert math.isfinite(found["log_loss"])


@pytest.mark.parametrize(("task", "score"), [(task_of, "accuracy"), (many, "f1_micro")])
def test_the_usual_score_is_one_of_those_there_are(task: Any, score: str) -> None:
    made = task()
    examples = [made.example(row) for row in records(MANY if score == "f1_micro" else LABELS)]
    assert made.usual_score == score
    assert score in {one.name for one in made.possible_scores(examples) if one.better != "neither"}


def test_baselines_read_texts_as_the_tokenizer_does() -> None:
    words, characters = task_of(), task_of(tokenizer="characters")
    assert (words._reads_characters, characters._reads_characters) == (False, True)
    examples = [words.example(row) for row in records(LABELS)]
    compared = words.baselines(examples, {"dev": examples})
    majority = {score.name: score.value for score in compared.scores["majority"]}
    assert majority["accuracy"] == 0.75


def test_facts_have_the_sizes_of_every_split() -> None:
    task = task_of()
    facts = task.facts({"train": [task.example(row) for row in records(LABELS)], "dev": [task.example(record("a zz"))]})
    assert facts == {
        "labels": 2, "vocabulary": 9, "train rows": 4, "train tokens": 9, "train unknown tokens": "0.00%",
        "dev rows": 1, "dev tokens": 2, "dev unknown tokens": "50.00%",
    }  # fmt: skip


# -- to a run folder and back ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokenizer", ["words", "characters", {"name": "subwords", "vocab_size": 300}])
def test_a_stored_task_reads_and_answers_as_before(tokenizer: Any) -> None:
    plan = ClassificationConfig(tokenizer=tokenizer, class_weights="balanced", max_length=3, keep="end")
    task = plan.fit(records(LABELS), "f.csv")
    back = plan.restore(json.loads(json.dumps(task.to_json())), "task.json")
    assert back.to_json() == task.to_json()
    example = task.example(record("a b c d zebra"))
    assert back.example(record("a b c d zebra")) == example
    assert torch.equal(back.collate([example], [0]).inputs["tokens"], task.collate([example], [0]).inputs["tokens"])
    assert back.labels == task.labels
    assert back.weights is not None
    assert task.weights is not None
    assert torch.equal(back.weights, task.weights)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ["a", "a"]}, {"labels": []}, {"labels": "ab"}, {"labels": [1, 2]}, {"labels": None},
        {"class_weights": [1.0]}, {"class_weights": ["x", "y"]}, {"class_weights": [10**400, 1]}, {"reader": None},
        {"reader": {}}, {"reader": {"max_length": 0}},
    ],
)  # fmt: skip
def test_a_stored_task_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    stored = {**task_of().to_json(), **change}
    with pytest.raises(RunError, match=r"^task\.json: expected "):
        ClassificationConfig().restore(stored, "task.json")


def test_an_example_takes_two_bytes_a_token() -> None:
    """A corpus of six million words would take 370 MB as text, an object for each."""
    known, unknown = task_of().example(record("a b c")), task_of().example(record("a wörd c"))
    assert (len(known.encoded.data), known.encoded.spelling) == (6, b"")
    assert (len(unknown.encoded.data), unknown.encoded.spelling) == (6, "wörd".encode())
    assert unknown.tokens == ("a", "wörd", "c")


def test_a_reader_without_texts_pads_nothing() -> None:
    reader: TextEncoder = task_of().reader
    ids, lengths = pad_arrays([reader.encode("")[0].ids] * 2)
    assert ids.shape == (0, 2)
    assert lengths.tolist() == [0, 0]


def test_the_task_is_registered() -> None:
    assert TASKS["classification"] is ClassificationConfig


def test_mistaken_texts_are_shown_with_what_was_said_the_surest_first() -> None:
    def example(text: str, gold: Any) -> TextExample:
        return TextExample(text, task_of().reader.encode(text)[0], gold, Origin("a.csv", len(text)), 1)

    one = [LabelOutput("yes", {"yes": 0.6, "no": 0.4}), LabelOutput("no", {"yes": 0.1, "no": 0.9})]
    table = mistaken([*one, one[0]], [example("ab", "no"), example("long" * 100, "yes"), example("c", "yes")])
    assert table.rows == (
        ("long" * 74 + "lon…", "yes", "no", 0.9, "a.csv:400"), ("ab", "no", "yes", 0.6, "a.csv:2"),
    )  # fmt: skip
    many = [LabelSetOutput(("a",), {"a": 0.7, "b": 0.2}), LabelSetOutput((), {"a": 0.1, "b": 0.4})]
    rows = mistaken(many, [example("x", ("b",)), example("y", ())]).rows
    assert rows == (("x", "b", "a", pytest.approx(0.8), "a.csv:1"),)


# -- several columns of text -------------------------------------------------------------------------------------------


def of_two(title: object, body: object, label: str = "a") -> Record:
    return Record({"title": title, "body": body, "label": label}, Origin("f.csv", 2))


def test_several_columns_are_read_as_one_text() -> None:
    plan = ClassificationConfig(text=("title", "body"))
    assert plan.fields == ("title", "body", "label")
    assert plan.inputs == (Field("title", "text"), Field("body", "text"))
    task = plan.fit([of_two("Good news", "we won"), of_two("Bad news", "we lost", "b")], "f.csv")
    assert task.example(of_two("Good news", "we won")).text == "Good news\nwe won"
    assert task.example(of_two(" ", "we won")).text == "we won"
    asked = Record({"title": "Good news"}, Origin("argument", 1))
    assert task.example(asked, gold=False).text == "Good news"
    alone = Record({"body": "we won"}, Origin("argument", 1))
    assert task.example(alone, gold=False).tokens == ("we", "won")
    assert plan.read(of_two("a", "b")).key != plan.read(of_two("a", "c")).key


def test_rows_without_any_of_the_texts_are_named() -> None:
    plan = ClassificationConfig(text=("title", "body"))
    with pytest.raises(DataError, match=r"f\.csv:2: columns 'title', 'body' are all empty, expected text"):
        plan.read(of_two("", " "))
    with pytest.raises(DataError, match=r"f\.csv:2: column 'body' holds 3"):
        plan.read(of_two("a", 3))
    with pytest.raises(DataError, match="no column 'body'"):
        plan.read(Record({"title": "a", "label": "x"}, Origin("f.csv", 2)))


def test_columns_of_text_that_cannot_be_are_refused() -> None:
    for text in ((), ("a", "a")):
        with pytest.raises(ConfigError, match="text: expected a column, or different ones"):
            ClassificationConfig(text=text)
    with pytest.raises(ConfigError, match="label: is 'a', the text column too"):
        ClassificationConfig(text=("a", "b"), label="a")


@pytest.mark.parametrize("value", [[None], [["a"]], ("a", float("nan")), [{}]], ids=str)
def test_what_is_no_label_in_a_list_of_labels_is_refused(value: Any) -> None:
    with pytest.raises(DataError, match=r"^f:3: expected a list of labels, got .* in it\.$"):
        ManyLabels("|").read(value, Origin("f", 3))


def test_a_tuple_of_labels_is_a_list_and_a_cell_of_nan_is_empty() -> None:
    assert ManyLabels("|").read(("x", "y"), Origin("f", 3))[0] == ("x", "y")
    assert ManyLabels("|").read(float("nan"), Origin("f", 3))[0] == ()
    with pytest.raises(DataError, match=r"^f:3: the label is empty"):
        OneLabel().read(float("nan"), Origin("f", 3))
    with pytest.raises(DataError, match=r"^f:3: expected one label, got"):
        OneLabel().read(("x", "y"), Origin("f", 3))


def test_which_end_is_read_is_refused_where_all_is_read() -> None:
    with pytest.raises(ConfigError, match="keep: has no effect without max_length"):
        ClassificationConfig(keep="end")
    assert ClassificationConfig(keep="end", max_length=3).keep == "end"
