"""One thing in two spellings is one thing to every task: labels, tags, columns, references, words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from recurra.base.contracts import Origin, Record
from recurra.base.errors import DataError, RunError
from recurra.tasks import (
    Classification,
    ClassificationConfig,
    LanguageModelConfig,
    Tagging,
    TaggingConfig,
    Translation,
    TranslationConfig,
)
from recurra.tasks.columns import named

CAFE, APART = "café", "cafe\u0301"
HIDDEN = "ca\u200bfé"


def record(line: int = 7, /, **fields: Any) -> Record:
    return Record(fields, Origin("f.jsonl", line))


def values(scores: Any) -> dict[str, float]:
    return {score.name: score.value for score in scores}


# -- classification ----------------------------------------------------------------------------------------------------


def classified(given: list[Any], /, **options: Any) -> Classification:
    rows = [record(n, text=f"text {n}", label=label) for n, label in enumerate(given, start=2)]
    return ClassificationConfig(**options).fit(rows, "f.csv")


def test_spellings_of_a_label_are_one_class_and_said() -> None:
    task = classified([CAFE, APART, HIDDEN, "bar"])
    assert task.labels == ("bar", CAFE)
    example = task.example(record(text="x", label=APART))
    assert example.gold == CAFE
    _, notes = task.filter([example], "train")
    assert notes[1:2] == (
        "train: 1 label is written in several ways that look alike, and each was read as one: 'caf\\xe9' is also "
        "'cafe\\u0301', 'ca\\u200bf\\xe9'.",
    )
    assert task.filter([example], "dev")[1] == ()


def test_labels_in_one_spelling_need_no_note() -> None:
    task = classified([APART, APART, " bar", "bar"])
    notes = task.filter([task.example(record(text="x", label=CAFE))], "train")[1]
    assert not any("several ways" in note for note in notes)


def test_spellings_of_one_of_many_labels_are_one_and_twice_is_twice() -> None:
    task = classified([f"{CAFE},bar", f"bar,{APART}", ""], labels="many")
    assert task.labels == ("bar", CAFE)
    with pytest.raises(DataError, match="a label stands twice"):
        task.example(record(text="x", label=f"{CAFE},{APART}"))


def test_a_label_of_nothing_that_is_seen_is_empty() -> None:
    with pytest.raises(DataError, match=r"f\.jsonl:7: the label is empty"):
        classified(["a", "b"]).example(record(text="x", label="\u200b\ufeff"))


def test_a_weight_is_found_by_any_spelling_of_its_label() -> None:
    task = classified([CAFE, "bar"], class_weights={APART: 3.0})
    assert task.weights is not None
    assert task.weights.tolist() == [1.0, 3.0]


def test_a_saved_task_knows_its_labels_by_any_spelling() -> None:
    data = json.loads(json.dumps(classified([CAFE, "bar"]).to_json()))
    data["labels"] = ["bar", APART]
    task = ClassificationConfig().restore(data, "task.json")
    task.refuse_unknown([task.example(record(text="x", label=CAFE))])
    data["labels"] = [CAFE, APART]
    with pytest.raises(RunError, match=r"task\.json: .* 'caf\\xe9' twice"):
        ClassificationConfig().restore(data, "task.json")


def test_a_text_in_another_spelling_is_the_same_text() -> None:
    task, plan = classified([CAFE, "bar"]), ClassificationConfig()
    one, other = (task.example(record(text=text, label="bar")) for text in (CAFE, APART))
    assert one.key == other.key
    assert plan.read(record(text=CAFE, label="x")).key == plan.read(record(text=APART, label="x")).key
    assert (one.text, other.text) == (CAFE, APART)  # an answer repeats the text as it was given


def test_the_bag_of_words_reads_a_test_text_in_another_spelling() -> None:
    pytest.importorskip("sklearn", reason="sklearn is not installed; it comes with recurra[test]")
    task = classified([CAFE, "bar"])
    texts = {CAFE: "été", "bar": "blé"}
    train = [task.example(record(text=f"{text} {n}", label=label)) for n in range(9) for label, text in texts.items()]
    test = [
        task.example(record(text="e\u0301te\u0301", label=CAFE)),
        task.example(record(text="ble\u0301", label="bar")),
    ]
    found = task.baselines(train, {"test": test}).scores["tfidf"]
    assert values(found)["accuracy"] == 1


# -- columns -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [APART, f"\ufeff{CAFE}", f"{CAFE}\u200b", f" {CAFE}"])
def test_a_column_is_found_by_any_spelling_of_its_name(name: str) -> None:
    task = ClassificationConfig(text=CAFE).fit([record(**{name: "a b", "label": x}) for x in "xy"], "f.jsonl")
    assert task.example(record(**{name: "a b", "label": "x"})).tokens == ("a", "b")


# -- translation -------------------------------------------------------------------------------------------------------


def translated(rows: list[tuple[str, str]], **options: Any) -> Translation:
    made = TranslationConfig(**options).fit([record(n, source=s, target=t) for n, (s, t) in enumerate(rows)], "f.tsv")
    assert isinstance(made, Translation)
    return made


@pytest.mark.parametrize("form", ["nfc", "none"])
@pytest.mark.parametrize("apart", [False, True])
def test_an_output_that_is_right_reaches_every_score_whichever_way_the_reference_is_spelt(
    form: str, apart: bool
) -> None:
    pytest.importorskip("sacrebleu", reason="sacrebleu is not installed; it comes with recurra[test]")
    said = "le café était très agréable"
    target = said.replace("é", "e\u0301").replace("è", "e\u0300") if apart else said
    task = translated([("a b", target)], source_tokenizer={"name": "words", "normalization": form})
    example = task.example(record(source="a b", target=target))
    found = values(task._said([said], [example], "test"))
    assert found == {"bleu": pytest.approx(100), "chrf": pytest.approx(100), "exact_match": 1}


def test_groups_in_two_spellings_are_one() -> None:
    task = translated([("a", "b")], scores="exact", group=None)
    plan = TranslationConfig(scores="exact", group="lang")
    groups = {plan.columns.group_of(record(source="a", target="b", lang=text)) for text in (CAFE, APART, HIDDEN)}
    assert groups == {CAFE}
    assert task.columns.group_of(record(source="a", target="b")) is None


def test_accepted_answers_in_another_spelling_are_not_others() -> None:
    plan = TranslationConfig(scores="exact", accepted="accepted")
    rows = [record(source="a", target=CAFE, accepted=f"{APART}|bar")]
    task = plan.fit(rows, "f.tsv")
    assert task.example(rows[0]).wanted.right == ((CAFE,), ("bar",))


# -- tagging -----------------------------------------------------------------------------------------------------------


def tagged(rows: list[tuple[list[str], list[str]]], **options: Any) -> Tagging:
    made = TaggingConfig(**options).fit([record(n, token=a, tag=b) for n, (a, b) in enumerate(rows)], "f.jsonl")
    assert isinstance(made, Tagging)
    return made


def test_words_and_tags_in_two_spellings_are_one_and_their_places_stay() -> None:
    task = tagged([([APART, "x"], [f"B-{APART}", "O"]), ([CAFE], [f"B-{CAFE}"])])
    assert task.tagset.tags == ("O", f"B-{CAFE}", f"I-{CAFE}")
    example = task.example(record(token=[APART, "x"], tag=[f"B-{HIDDEN}", "O"]))
    assert (example.tokens, example.tags) == ((CAFE, "x"), (f"B-{CAFE}", "O"))
    assert (example.text, example.places) == (f"{APART} x", ((0, 5), (6, 7)))
    assert example.written == (APART, "x")
    _, notes = task.filter([example], "train")
    assert any("tags" in note or "label is written" in note for note in notes)


def test_labels_of_spans_in_two_spellings_are_one() -> None:
    read = TaggingConfig().columns.read
    (one, other) = (read(record(token="In Rome", tag=[[3, 7, text]])).tags for text in (CAFE, HIDDEN))
    assert one == other == ("O", f"B-{CAFE}")


def test_a_word_that_training_saw_in_another_spelling_is_not_unseen() -> None:
    task = tagged([([APART], ["X"]), (["bar"], ["Y"])])
    example = task.example(record(token=[CAFE], tag=["X"]))
    found = task.baselines([task.example(record(token=[APART], tag=["X"]))], {"test": [example]}).scores["frequent"]
    assert "unseen_accuracy" not in values(found)
    restored = TaggingConfig().restore(
        json.loads(json.dumps(task.to_json()).replace(json.dumps(CAFE)[1:-1], "cafe\\u0301")), "t"
    )
    assert CAFE in restored.reader.seen


def test_a_text_that_is_cut_keeps_its_places_and_reads_its_words_in_normal_form() -> None:
    task = tagged([([CAFE], ["X"]), (["bar"], ["Y"])])
    example = task.example(record(token=f"un {APART} noir"), gold=False)
    assert example.tokens == ("un", CAFE, "noir")
    assert example.places == ((0, 2), (3, 8), (9, 13))


# -- language model ----------------------------------------------------------------------------------------------------


def test_a_split_puts_two_spellings_of_a_text_together() -> None:
    plan = LanguageModelConfig(document="row")
    assert plan.read(record(text=CAFE)).key == plan.read(record(text=APART)).key


def test_init_finds_a_column_by_its_usual_name_in_any_spelling() -> None:
    assert named(("label", "text"), ["\ufeffText ", "LABEL\u200b"]) == "LABEL\u200b"
