"""A score that no answers could bring to its best value is said, and one that they cannot move chooses no epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from api.api_room import done, refused
from recurra.api.ceilings import ceiling
from recurra.base.contracts import Origin, Record
from recurra.tasks import ClassificationConfig, LanguageModelConfig, TaggingConfig, TranslationConfig

MODEL = {"inputs": {"embedding_size": 4}, "encoder": {"hidden_size": 4}, "decoder": {"embedding_size": 4}}


def records(*rows: dict[str, Any]) -> list[Record]:
    return [Record(row, Origin("f.jsonl", n)) for n, row in enumerate(rows, start=1)]


def said(plan: Any, train: list[Record], dev: list[Record]) -> tuple[dict[str, float], list[str]]:
    """The scores of right answers that are short of the best, and the notes."""
    task = plan.fit(train, "f.jsonl")
    found = ceiling(task, [task.example(record) for record in dev])
    notes: list[str] = []
    found.say("dev", type("Kept", (), {"note": lambda _, message: notes.append(message)})())
    return {s.name: s.value for s in found.short}, notes


def test_right_labels_reach_every_score_but_those_of_labels_without_rows() -> None:
    rows = records(*({"text": "a b", "label": label} for label in ("x", "y", "z")))
    assert said(ClassificationConfig(), rows, rows) == ({}, [])
    short, notes = said(ClassificationConfig(), rows, rows[:2])
    assert (short["f1[z]"], notes) == (0, [])
    assert "f1_macro" not in short, "macro averages of one label a row are over the labels that occur"


def test_an_average_over_labels_without_rows_is_said_of_many_labels() -> None:
    rows = records(*({"text": "a b", "label": label} for label in ("x,y", "z", "")))
    assert said(ClassificationConfig(labels="many"), rows, rows) == ({}, [])
    short, notes = said(ClassificationConfig(labels="many"), rows, rows[:1])
    assert short["f1_macro"] == pytest.approx(2 / 3)
    assert notes == [
        "dev: no answers can score more than precision_macro 0.6667 of 1, recall_macro 0.6667 of 1, f1_macro 0.6667 of "
        "1, which the right ones do themselves.",
        "dev: no row has the label 'z', and a rate of nothing is 0.",
    ]


def test_sentences_without_a_span_are_said() -> None:
    rows = records({"token": ["In", "Rome"], "tag": ["O", "B-LOC"]}, {"token": ["No"], "tag": ["O"]})
    assert said(TaggingConfig(), rows, rows) == ({}, [])
    short, notes = said(TaggingConfig(), rows, rows[1:])
    assert short["f1_micro"] == 0
    assert notes[1] == "dev: no span is in its 1 sentences, and a rate of nothing is 0."


def test_a_language_model_is_judged_by_no_right_answer() -> None:
    rows = records({"text": "to be or not to be"})
    assert said(LanguageModelConfig(), rows, rows) == ({}, [])


def translated(targets: list[str], **options: Any) -> tuple[dict[str, float], list[str]]:
    for package in ("sacrebleu", "rouge_score"):
        pytest.importorskip(package, reason=f"{package} is not installed; it comes with recurra[test]")
    rows = records(*({"source": "a", "target": target} for target in targets))
    return said(TranslationConfig(**options), rows, rows)


def test_right_translations_reach_every_score() -> None:
    assert translated(["Hello, world: how are you?"]) == ({}, [])
    assert translated(["le café est fermé"], scores="summarization") == ({}, [])


def test_a_tokenizer_that_cannot_write_the_references_is_said_with_one_of_them() -> None:
    tokenizer = {"name": "words", "normalization": "nfkc"}
    short, notes = translated(["one ﬁne day in may", "one two three four five"], source_tokenizer=tokenizer)
    # 9 of 10 words, 6 of 8 pairs, 4 of 6 triples and 2 of 4 runs of four are right.
    assert short["bleu"] == pytest.approx(100 * (9 / 10 * 6 / 8 * 4 / 6 * 2 / 4) ** 0.25, abs=0.01)
    assert notes[1] == (
        "dev: 1 of 2 references come out otherwise when the target's tokenizer has cut and joined them, such as "
        "'one ﬁne day in may' as 'one fine day in may'."
    )


def test_what_a_score_does_not_read_is_said_though_it_is_reached() -> None:
    short, notes = translated(["Москва 2024", "Омск 1999"], scores="summarization")
    assert short == {"rouge2": 0}
    assert notes[1].startswith("dev: ROUGE with words: english counts a-z and 0-9 alone")


def config(folder: Path, **task: Any) -> Path:
    rows = "".join(f"слово {word}\tмама мыла раму {word}\n" for word in ("раз", "два", "три", "пять", "шесть") * 4)
    (folder / "t.tsv").write_text("source\ttarget\n" + rows, encoding="utf-8")
    settings = {
        "task": {"name": "translation", **task},
        "data": {"train": str(folder / "t.tsv"), "dev": str(folder / "t.tsv")},
        "model": MODEL,
        "training": {"epochs": 1},
    }
    path = folder / "c.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


def test_a_score_that_is_0_for_the_right_answers_chooses_no_epoch(tmp_path: Path) -> None:
    pytest.importorskip("rouge_score", reason="rouge_score is not installed; it comes with recurra[test]")
    path = config(tmp_path, scores="summarization")
    wanted = "training.select: rougeL cannot tell one epoch from another"
    assert wanted in (sentence := refused("check", path, "--set", "training.select=rougeL"))
    assert "words: any" in sentence
    assert wanted in refused("train", path, "--out", tmp_path / "run", "--set", "training.select=rougeL")
    assert not (tmp_path / "run").exists()
    done("check", path, "--set", "training.select=rougeL", "--set", "task.scores={name: summarization, words: any}")
    said = done("train", path, "--out", tmp_path / "run").err
    assert "\ndev: no answers can score more than" in said
    assert "auto selected 'token_accuracy' in place of rougeL, which is 0 for the right answers themselves." in said


@pytest.mark.parametrize(("kind", "expected"), [("translation", "chrf"), ("exact", "exact_match")])
def test_the_usual_score_gives_way_to_one_that_tells(kind: str, expected: str) -> None:
    pytest.importorskip("sacrebleu", reason="sacrebleu is not installed; it comes with recurra[test]")
    rows = records({"source": "a", "target": "x y"})
    task = TranslationConfig(scores=kind).fit(rows, "f.tsv")
    examples = [task.example(record) for record in rows]
    assert ceiling(task, examples).telling(task.usual_score, task.possible_scores(examples)) == expected
