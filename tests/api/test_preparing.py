"""From files to the batches of the first epoch: what is read is read once, and the batches are those of always."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from api.api_room import done, refused, write_config
from recurra.api.callbacks import NoCallback
from recurra.api.fingerprint import KIND, fingerprint
from recurra.api.prepare import Prepared, prepare
from recurra.api.schema import read_settings
from recurra.base.digest import digest_of
from recurra.data.store import Stored
from recurra.data.tokenizers import Vocabulary
from recurra.data.tokenizers.characters import Characters
from recurra.data.tokenizers.spaces import Spaces
from recurra.data.tokenizers.words import Words
from recurra.tasks.labels import ManyLabels, OneLabel
from recurra.tasks.tagging import sentences
from recurra.tasks.tagging.sentences import Columns as TagColumns
from recurra.tasks.translation.pairs import Columns

SENTENCE = "the Sea is a long way off and nobody has seen it but <unk> café 12 times , they say ."
WORDS = SENTENCE.split()


def text(number: int, length: int) -> str:
    words = [WORDS[(number * 7 + k * k) % len(WORDS)] + ("x" * (k % 3)) * (number % 5 == 1) for k in range(length)]
    return " ".join([*words, f"n{number}"])


ROWS = [(text(n, 3 + n % 9), text(n + 3, 2 + n % 6)) for n in range(40)]
FILES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "texts": [{"text": one, "label": "xyz"[n % 3]} for n, (one, _) in enumerate(ROWS)],
    "several": [{"text": one, "label": ["", "x", "y|x"][n % 3]} for n, (one, _) in enumerate(ROWS)],
    "pairs": [{"source": one, "target": two, "also": text(n + 5, 3)} for n, (one, two) in enumerate(ROWS)],
    "words": [{"token": one.split(), "tag": [("O", "B-A", "B-B")[len(w) % 3] for w in one.split()]} for one, _ in ROWS],
    "spans": [{"token": one, "tag": [{"start": 0, "end": len(one.split()[0]), "label": "A"}]} for one, _ in ROWS],
    "lines": [{"text": one} for pair in ROWS for one in pair],
}
# The data of a config, its task, and the first eight digits of SHA-256 of its first epoch, of what is said of it and of
# its facts, as they were when every token was looked up in every batch.
TASKS: Mapping[str, tuple[str, dict[str, Any], str]] = {
    "one label": ("texts", {"name": "classification"}, "f6d05bdb"),
    "cut": ("texts", {"name": "classification", "max_length": 4, "keep": "end", "max_vocabulary": 20}, "a67c816b"),
    "many labels": (
        "several", {"name": "classification", "labels": "many", "separator": "|", "min_count": 3,
                    "tokenizer": {"name": "subwords", "vocab_size": 60}}, "57935ac2",
    ),
    "file": ("lines", {"name": "language_model", "bptt": 5, "tokenizer": "spaces", "min_count": 2}, "13e5d17d"),
    "rows": ("lines", {"name": "language_model", "bptt": 5, "document": "row", "tokenizer": "characters"}, "f237ad40"),
    "tags": ("words", {"name": "tagging", "min_count": 4}, "2029e005"),
    "spans": ("spans", {"name": "tagging", "scheme": "iobes", "lowercase": False}, "ab33142c"),
    "pairs": (
        "pairs", {"name": "translation", "scores": "exact", "min_count": 3, "target_tokenizer": "characters"},
        "ccebcc33",
    ),
    "shared": (
        "pairs", {"name": "translation", "scores": "exact", "vocabulary": "shared", "accepted": "also",
                  "max_source_length": 9, "max_vocabulary": 25}, "e4173125",
    ),
}  # fmt: skip


def prepared(name: str, folder: Path, **data_options: Any) -> Prepared:
    data, task, _ = TASKS[name]
    path = folder / f"{data}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in FILES[data]))
    return prepare(read_settings({"task": task, "data": {"train": str(path), **data_options}}), NoCallback())


def first_epoch(found: Prepared) -> str:
    sha = hashlib.sha256(json.dumps(list(found.facts.values())).encode())  # their numbers; the words may change
    sampler = found.task.sampler(found.splits["train"], batch_tokens=64, batch_rows=4, seed=3)
    for batch in [*map(sampler.batch, sampler.plan(1)), found.task.collate(found.splits["dev"], range(9))]:
        inputs = dict(batch.inputs)
        if "source_copy" in inputs:  # the name under which the digests were made
            inputs["source"] = inputs.pop("tokens")
        inputs.pop("patterns", None)  # which batches of words have had since
        for part in (inputs, batch.targets, {"lengths": batch.lengths}):
            for key in sorted(part):
                sha.update(f"{key} {part[key].dtype} {tuple(part[key].shape)}".encode() + part[key].numpy().tobytes())
    return sha.hexdigest()[:8]


@pytest.mark.parametrize("name", TASKS)
def test_the_batches_of_the_first_epoch_are_those_of_always(name: str, tmp_path: Path) -> None:
    assert first_epoch(prepared(name, tmp_path)) == TASKS[name][2]


@pytest.mark.parametrize("name", TASKS)
def test_the_batches_are_those_of_always_from_the_disk_too(name: str, tmp_path: Path) -> None:
    found = prepared(name, tmp_path, store="disk", scratch=str(tmp_path))
    assert all(isinstance(examples, Stored) for examples in found.splits.values())
    assert first_epoch(found) == TASKS[name][2]
    held = prepared(name, tmp_path, store="memory")
    assert found.fingerprint == held.fingerprint
    assert {k: list(v) for k, v in found.splits.items()} == {k: list(v) for k, v in held.splits.items()}
    assert [note for note in found.notes if not note.startswith("data.store: keeps")] == list(held.notes)
    assert [path.name for path in tmp_path.iterdir()] == [f"{TASKS[name][0]}.jsonl"]


# -- once --------------------------------------------------------------------------------------------------------------


def calls(monkeypatch: pytest.MonkeyPatch, kind: type, name: str) -> Counter[str]:
    """How often a method is called, by its argument."""
    seen: Counter[str] = Counter()
    method = getattr(kind, name)

    def counting(self: Any, value: Any, *rest: Any) -> Any:
        seen[str(value)] += 1
        return method(self, value, *rest)

    monkeypatch.setattr(kind, name, counting)
    return seen


@pytest.mark.parametrize(
    ("name", "kind"), [("one label", Words), ("cut", Words), ("file", Spaces), ("rows", Characters)]
)
def test_each_text_is_cut_into_tokens_once(
    name: str, kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = calls(monkeypatch, kind, "tokenize")
    prepared(name, tmp_path)
    assert cut == Counter(row["text"] for row in FILES[TASKS[name][0]])


def test_both_texts_of_a_pair_are_cut_into_tokens_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, written = calls(monkeypatch, Words, "tokenize"), calls(monkeypatch, Characters, "tokenize")
    prepared("pairs", tmp_path)
    assert read == Counter(row["source"] for row in FILES["pairs"])
    assert written == Counter(row["target"] for row in FILES["pairs"])


@pytest.mark.parametrize("name", ["tags", "spans"])
def test_a_sentence_is_read_once(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = calls(monkeypatch, TagColumns, "read")
    names: Counter[str] = Counter()
    monkeypatch.setattr(sentences, "_parsed", lambda value, *rest: names.update([str(value)]) or value)
    prepared(name, tmp_path)
    assert read.total() == len(ROWS)
    assert names == Counter(str(row["tag"]) for row in FILES[TASKS[name][0]])


def test_the_answers_of_a_row_are_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = calls(monkeypatch, Columns, "answers")
    prepared("shared", tmp_path)
    assert found.total() == len(FILES["pairs"])


def test_each_label_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, many = calls(monkeypatch, OneLabel, "read"), calls(monkeypatch, ManyLabels, "read")
    prepared("one label", tmp_path)
    prepared("many labels", tmp_path)
    assert one == Counter(row["label"] for row in FILES["texts"])
    assert many == Counter(row["label"] for row in FILES["several"])


@pytest.mark.parametrize(
    "name", ["one label", "cut", "many labels", "file", "rows", "pairs", "shared", "tags", "spans"]
)
def test_no_token_is_looked_up_again_for_a_batch(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = prepared(name, tmp_path)
    monkeypatch.delattr(Vocabulary, "ids")
    assert first_epoch(found) == TASKS[name][2]


# -- the fingerprint ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [5, 5000])
def test_a_number_that_changes_in_the_middle_of_an_array_changes_the_fingerprint(number: int) -> None:
    """NumPy shows six of 5,000 numbers: their repr is the same."""
    array = np.arange(number, dtype=np.float32)
    other = array.copy()
    other[number // 2] += 0.5

    def of(values: object) -> str:
        return fingerprint({"train": [SimpleNamespace(digest=lambda: digest_of(values, "label"))], "dev": []})

    assert of(array) == of(np.arange(number, dtype=np.float32))
    assert len({of(array), of(other), of(array.astype(np.float64)), of(array[None])}) == 4


@pytest.mark.parametrize("split", ["train", "dev"])
@pytest.mark.parametrize("name", TASKS)
def test_the_fingerprint_is_of_all_rows_in_order(name: str, split: str, tmp_path: Path) -> None:
    first, again = prepared(name, tmp_path), prepared(name, tmp_path)
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint.startswith(KIND)
    examples = list(first.splits[split])
    turned, fewer = {**first.splits, split: examples[::-1]}, {**first.splits, split: examples[:-1]}
    assert len({first.fingerprint, fingerprint(turned), fingerprint(fewer)}) == 3 - (len(examples) == 1)


def test_a_run_of_an_earlier_version_says_that_its_data_cannot_be_compared(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config()
    with monkeypatch.context() as earlier:
        earlier.setattr("recurra.api.prepare.fingerprint", lambda splits: "0" * 64)
        done("train", "c.yaml", "--out", "run")
    said = refused("train", "--resume", "run", "--set", "training.epochs=2")
    assert "an earlier version of recurra, which kept another fingerprint of its data" in said
    assert "Train again in another folder." in said
    said = done("evaluate", "run").err
    assert "an earlier version of recurra trained this run" in said
    assert "not what it was trained on" not in said
