"""What training rows say of a word: by hand, a sentence's own left out, the same alone and batched; and patterns."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.tasks import Tagging, TaggingConfig
from recurra.tasks.tagging.readers import pattern
from recurra.tasks.tagging.sentences import Sentence

# "rome" is LOC twice and O once, "new york" LOC once of its two times, "york" alone is never a span.
ROWS = ["Rome/B-LOC and/O Rome/B-LOC", "in/O New/B-LOC York/I-LOC", "rome/O", "a/O new/O york/O and/O York/O"]


def record(row: str, line: int = 1) -> Record:
    pairs = [part.rpartition("/") for part in row.split()]
    fields = {"token": [word for word, _, _ in pairs], "tag": [tag for _, _, tag in pairs]}
    return Record(fields, Origin("f.jsonl", line))


def fitted(rows: list[str] = ROWS, **options: Any) -> tuple[Tagging, list[Sentence]]:
    plan = TaggingConfig(**{"dictionary": "lookup", **options})
    task, examples = plan.fit_examples([plan.read(record(row, n)) for n, row in enumerate(rows, 1)], "f.jsonl")
    return task, list(examples)


def looked_up(task: Tagging, *sentences: Sentence) -> torch.Tensor:
    return task.collate(sentences, range(len(sentences))).inputs["dictionary"]


# -- patterns ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("Anna", "Xxx"),
        ("I", "X"),
        ("USA", "XX"),
        ("a", "x"),
        ("McDonald's", "XxXxx'x"),
        ("2,000", "d,dd"),
        ("A-37b", "X-ddx"),
        ("...", ".."),
        ("Ωmega", "Xxx"),
        ("東京都", "oo"),
        ("٣٤", "dd"),
        ("Ǆ", "X"),
        ("ǅ", "X"),
        ("@user_1", "@xx_d"),
    ],
)
def test_a_pattern_has_the_kinds_of_letters_and_at_most_two_of_a_run(word: str, expected: str) -> None:
    assert pattern(word) == expected


def test_a_pattern_that_one_word_of_training_has_is_unknown_and_teaches_what_that_means() -> None:
    task, (first, *_) = fitted(["Rome/B-LOC Oslo/B-LOC in/O 7/O", "Rome/B-LOC it/O"])
    patterns = task.reader.patterns
    assert patterns.tokens(range(4, len(patterns))) == ["Xxx", "xx"]
    assert task.collate([first], (0,)).inputs["patterns"].flatten().tolist() == [4, 4, 5, 1]


def test_patterns_are_of_the_word_as_it_is_written() -> None:
    """Though it is looked up in lower case, with digits as 0."""
    task, _ = fitted(["Rome/B-LOC 7b/O", "Rome/B-LOC 7b/O"])
    upper, lower = (task.example(record(f"{word}/O"), gold=False) for word in ("Rome", "rome"))
    batch = task.collate([upper, lower], (0, 1)).inputs
    assert batch["words"][0, 0] == batch["words"][0, 1]
    assert task.reader.patterns.tokens(batch["patterns"][0].tolist()) == ["Xxx", "<unk>"]


# -- counts ------------------------------------------------------------------------------------------------------------


def test_a_new_sentence_reads_what_all_of_training_counted() -> None:
    """Tags are O, B-LOC, I-LOC: Rome 1, 2, 0 of 3, over 3 + 1; new 1, 1, 0 of 2; york 2, 0, 1 of 3; unseen words 0."""
    task, _ = fitted()
    assert task.tagset.tags == ("O", "B-LOC", "I-LOC")
    assert task.model_sizes["dictionary"] == 6
    found = looked_up(task, task.example(record("Rome/O new/O york/O Oslo/O"), gold=False))[:, 0]
    expected = [[1 / 4, 2 / 4, 0], [1 / 3, 1 / 3, 0], [2 / 4, 0, 1 / 4], [0, 0, 0]]
    np.testing.assert_allclose(found[:, :3], expected, rtol=1e-6)


def test_a_sentence_of_training_does_not_find_its_own_tags() -> None:
    """By hand: without the first row rome is O once of 1; without the second "in" is nowhere, new O once, york O twice;
    without the third rome is LOC twice of 2; without the last a and york: and O once, york I-LOC once."""
    task, examples = fitted()
    expected = [
        [[1 / 2, 0, 0], [1 / 2, 0, 0], [1 / 2, 0, 0]],
        [[0, 0, 0], [1 / 2, 0, 0], [2 / 3, 0, 0]],
        [[0, 2 / 3, 0]],
        [[0, 0, 0], [0, 1 / 2, 0], [0, 0, 1 / 2], [1 / 2, 0, 0], [0, 0, 1 / 2]],
    ]
    for example, rows in zip(examples, expected, strict=True):
        np.testing.assert_allclose(looked_up(task, example)[:, 0, :3], rows, rtol=1e-6)


def test_spans_are_the_longest_stretches_that_were_one_at_least_half_of_the_time() -> None:
    """Rome is LOC 2 of 3 times, "new york" 1 of 2; york alone never."""
    task, _ = fitted()
    found = looked_up(task, task.example(record("New/O York/O and/O rome/O York/O"), gold=False))[:, 0, 3:]
    assert found.tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_a_sentence_of_training_does_not_find_its_own_spans() -> None:
    """Without the first row rome is no span, 0 of 1; without the second "new york" none, 0 of 1; without the third rome
    is one, 2 of 2; without the last "new york" is one, 1 of 1."""
    task, examples = fitted()
    found = [looked_up(task, example)[:, 0, 3:].argmax(1).tolist() for example in examples]
    some = [looked_up(task, example)[:, 0, 3:].any(1).tolist() for example in examples]
    assert some == [[False] * 3, [False] * 3, [True], [False, True, True, False, False]]
    assert (found[2], found[3][1:3]) == ([1], [1, 2])


def test_the_scheme_of_the_model_writes_the_spans_of_the_dictionary() -> None:
    task, _ = fitted(scheme="iobes")
    assert task.tagset.tags == ("O", "B-LOC", "I-LOC", "E-LOC", "S-LOC")
    found = looked_up(task, task.example(record("New/O York/O rome/O"), gold=False))[:, 0, 5:]
    assert found.argmax(1).tolist() == [1, 3, 4]


def test_words_without_a_number_of_their_own_are_in_no_dictionary() -> None:
    """They are many words: what one of them was says nothing of another. Their own tags are not left out either."""
    task, examples = fitted(min_count=2)
    assert not looked_up(task, examples[3])[0].any()  # "a" occurs once
    assert not looked_up(task, task.example(record("Oslo/O"), gold=False)).any()


def test_sentences_that_are_too_long_to_learn_from_are_not_counted() -> None:
    task, _ = fitted(max_length=3)
    found = looked_up(task, task.example(record("york/O a/O"), gold=False))[:, 0, :3]
    np.testing.assert_allclose(found, [[0, 0, 1 / 2], [0, 0, 0]], rtol=1e-6)


def test_a_sentence_alone_has_the_numbers_that_it_has_in_a_batch() -> None:
    task, examples = fitted()
    together = looked_up(task, *examples)
    assert together.shape == (5, 4, 6)
    for n, example in enumerate(examples):
        assert torch.equal(together[: example.length, n], looked_up(task, example)[:, 0])
        assert not together[example.length :, n].any()
    blank = task.example(Record({"token": ""}, Origin("f", 1)), gold=False)
    assert looked_up(task, blank).shape == (0, 1, 6)
    assert torch.equal(looked_up(task, blank, examples[2])[:, 1], looked_up(task, examples[2])[:, 0])


def test_plain_tags_have_counts_alone() -> None:
    task, examples = fitted(["the/DET saw/NOUN", "saw/VERB the/DET saw/NOUN"])
    tags = task.tagset.tags
    assert task.model_sizes["dictionary"] == len(tags) == 3
    found = dict(zip(tags, looked_up(task, examples[0])[1, 0].tolist(), strict=True))
    assert found == pytest.approx({"DET": 0, "NOUN": 1 / 3, "VERB": 1 / 3})


# -- entries of the user's own -----------------------------------------------------------------------------------------


def listed(folder: Path, text: str, rows: list[str] = ROWS, **options: Any) -> tuple[Tagging, list[Sentence]]:
    (folder / "names.tsv").write_text(text, encoding="utf-8")
    own = {"name": "lookup", "words": False, "spans": False, "file": str(folder / "names.tsv")}
    return fitted(rows, dictionary={**own, **options})


ENTRIES = "\ufeffNew York City\tplace\nnew york\tplace\n\nYORK\thouse\nOslo 7\tplace\n"


def test_entries_are_the_longest_of_the_file_that_fit_and_are_marked_by_label(tmp_path: Path) -> None:
    """Columns: B, I, E, S of house, then of place. Case and digits are those of words that are looked up."""
    task, _ = listed(tmp_path, ENTRIES)
    assert task.model_sizes["dictionary"] == 8
    found = looked_up(task, task.example(record("New/O York/O City/O York/O in/O new/O York/O OSLO/O 3/O"), gold=False))
    assert found[:, 0].argmax(1).tolist() == [4, 5, 6, 3, 0, 4, 6, 4, 6]
    assert found[:, 0].sum(1).tolist() == [1, 1, 1, 1, 0, 1, 1, 1, 1]


def test_a_file_of_entries_says_the_same_of_training_sentences(tmp_path: Path) -> None:
    """Nobody has counted it in their tags."""
    _, examples = listed(tmp_path, "rome\nYork\n")
    task, _ = listed(tmp_path, "rome\nYork\n")
    assert task.model_sizes["dictionary"] == 4
    assert looked_up(task, examples[0])[:, 0].tolist() == [[0, 0, 0, 1], [0] * 4, [0, 0, 0, 1]]


def test_entries_stand_behind_what_training_says_and_fit_plain_tags_too(tmp_path: Path) -> None:
    task, _ = listed(tmp_path, ENTRIES, words=True, spans=True)
    assert task.model_sizes["dictionary"] == 3 + 3 + 8
    plain, examples = listed(tmp_path, ENTRIES, ["the/DET saw/NOUN", "York/NOUN saw/VERB"], spans=None)
    assert looked_up(plain, examples[1])[0, 0].tolist() == [0, 0, 0, 1, 0, 0, 0, 0]


def test_a_run_holds_its_entries_and_another_file_is_other_data(tmp_path: Path) -> None:
    task, examples = listed(tmp_path, ENTRIES)
    held = json.loads(json.dumps(task.to_json()))
    _, others = listed(tmp_path, "rome\n")
    assert [a.digest() == b.digest() for a, b in zip(examples, others, strict=True)] == [False] * 4
    plan = TaggingConfig(dictionary={"name": "lookup", "file": "gone"})
    again = plan.restore(held, "task.json")
    row = record("New/O York/O City/O")
    ours, theirs = (looked_up(t, t.example(row, gold=False)) for t in (task, again))
    assert ours.any()
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "names.tsv: has no entry"),
        (b"a\nRome\tplace\tmore\n", "names.tsv:2: expected an entry, or an entry, a tab and its label"),
        (b"Rome\t\n", "names.tsv:1: expected an entry"),
        (b"\tplace\n", "names.tsv:1: expected an entry"),
        (b"\xff\xfe", "names.tsv: is no UTF-8"),
        (None, "names.tsv: cannot be read: No such file or directory. Correct task.dictionary.file."),
    ],
)
def test_a_file_that_holds_no_entries_is_named(content: bytes | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "names.tsv").write_bytes(content)
    with pytest.raises(DataError, match=re.escape(said)):
        fitted(dictionary={"name": "lookup", "file": str(tmp_path / "names.tsv")})


# -- options and runs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "size"), [({"words": False}, 3), ({"spans": False}, 3), ({"spans": True}, 6)])
def test_each_half_can_be_left_out(options: dict[str, bool], size: int) -> None:
    task, _ = fitted(dictionary={"name": "lookup", **options})
    assert task.model_sizes["dictionary"] == size


def test_without_a_dictionary_a_batch_has_none() -> None:
    task, examples = fitted(dictionary="none")
    assert "dictionary" not in task.model_sizes
    assert "dictionary" not in task.collate(examples, range(4)).inputs


def test_a_dictionary_that_holds_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="words: is false and so is spans, so nothing is looked up"):
        TaggingConfig(dictionary={"name": "lookup", "words": False, "spans": False})
    plain = ["the/DET saw/NOUN", "saw/VERB"]
    with pytest.raises(ConfigError, match=r"task\.dictionary\.spans: has no effect, because the tags .* are plain"):
        fitted(plain, dictionary={"name": "lookup", "spans": True})
    with pytest.raises(ConfigError, match=r"task\.dictionary\.words: is false, and the tags of f.jsonl are plain"):
        fitted(plain, dictionary={"name": "lookup", "words": False})


def test_a_restored_task_reads_the_same_bits_of_a_new_sentence() -> None:
    task, _ = fitted()
    again = TaggingConfig(dictionary="lookup").restore(json.loads(json.dumps(task.to_json())), "task.json")
    assert again.model_sizes == task.model_sizes
    row = record("Rome/O is/O New/O York/O")
    ours, theirs = (t.collate([t.example(row, gold=False)], (0,)).inputs for t in (task, again))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


DAMAGED: list[Any] = [
    {"words": [], "spans": None, "entries": None},
    {"words": [[[3, 1]], *[[]] * 5], "spans": None, "entries": None},
    {"words": [[[0, 0]]] * 6, "spans": None, "entries": None},
    {"words": [[[0, 2**40]]] * 6, "spans": None, "entries": None},
    {"words": None, "spans": [[[], 1, {"LOC": 1}]], "entries": None},
    {"words": None, "spans": [[["a"], "1", {"LOC": 1}]], "entries": None},
    {"words": None, "spans": [[["a"], 1, ["LOC"]]], "entries": None},
    {"words": None, "spans": None},
    {"words": None, "spans": None, "entries": [["a"]]},
    3,
]


@pytest.mark.parametrize("held", DAMAGED)
def test_a_damaged_dictionary_is_named(held: Any) -> None:
    task, _ = fitted()
    with pytest.raises(RunError, match=r"task\.json: expected the dictionary of a tagging"):
        TaggingConfig(dictionary="lookup").restore({**task.to_json(), "dictionary": held}, "task.json")
