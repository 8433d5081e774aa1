"""The five verbs of a tagging: example, collate, loss, predict, score; by value, with a model that is a table."""

from __future__ import annotations

import json
import math
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from recurra.base.contracts import Batch, Origin, Prediction, Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.data.schemes import SCHEMES, read_default
from recurra.data.tokenizers import CUTTERS
from recurra.tasks import TASKS, Tagging, TaggingConfig
from recurra.tasks.letters import LONGEST_WORD
from recurra.tasks.options import task_with
from recurra.tasks.tagging import seen
from recurra.tasks.tagging.decoding import Tagged
from recurra.tasks.tagging.sentences import Sentence

ROWS = ["Anna/B-PER lives/O in/O New/B-LOC York/I-LOC", "Bob/B-PER ./O", "Rome/B-LOC"]


def record(tokens: object, tags: object = None, line: int = 7, **more: object) -> Record:
    return Record({"token": tokens, "tag": tags, **more}, Origin("f.jsonl", line))


def written(row: str, line: int = 7) -> Record:
    """A record from "word/TAG word/TAG"."""
    pairs = [part.rpartition("/") for part in row.split()]
    return record([word for word, _, _ in pairs], [tag for _, _, tag in pairs], line)


def task_of(rows: list[str] = ROWS, **options: Any) -> Tagging:
    return TaggingConfig(**options).fit([written(row, n) for n, row in enumerate(rows, 1)], "f.jsonl")


class Table(nn.Module):
    """Gives every word the scores of a table, by its number; with scores of pairs if there are some."""

    def __init__(self, task: Tagging, pairs: bool = False, seed: int = 0) -> None:
        super().__init__()
        rng = np.random.default_rng(seed)
        words, L = task.model_sizes["words"], task.model_sizes["labels"]
        self.table = torch.from_numpy(rng.normal(size=(words, L)))
        scores = {"transitions": (L, L), "first": (L,), "last": (L,)}
        self.scores = (
            {name: torch.from_numpy(rng.normal(size=shape)) for name, shape in scores.items()} if pairs else {}
        )

    def forward(self, batch: Batch) -> Prediction:
        return Prediction({"emissions": self.table[batch.inputs["words"]], **self.scores})


@pytest.mark.parametrize("room", [0, 7, 2**20])
def test_the_tags_of_sentences_are_seen_once_whether_they_are_in_memory_or_read_again(
    room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "FEW", room)
    plan = TaggingConfig()
    rows = [plan.read(written(row)) for row in ("a/X b/Y", "c/X", "d/X e/Y", "f/Y g/X", "h/X", "i/Y j/Y k/X")]
    found = seen.SeenTags(rows, None, cuts=False)
    assert list(map(tuple, found.different)) == [("X", "Y"), ("X",), ("Y", "X"), ("Y", "Y", "X")]
    assert len(found.different) == 4
    assert isinstance(found.different, seen.Different) == (room < 8)


# -- what a row is -----------------------------------------------------------------------------------------------------


def test_tokens_and_tags_of_every_form_are_one_sentence() -> None:
    plan = TaggingConfig()
    listed = plan.columns.read(record(["In", "New", "York"], ["O", "B-LOC", "I-LOC"])).sentence
    spaced = plan.columns.read(record("In New  York", "O B-LOC I-LOC")).sentence
    spans = plan.columns.read(record("In New York", [{"start": 3, "end": 11, "label": "LOC"}])).sentence
    triple = plan.columns.read(record("In New York", '[[3, 11, "LOC"]]')).sentence
    for sentence in (listed, spaced, spans, triple):
        assert sentence.tokens == ("In", "New", "York")
        assert sentence.tags == ("O", "B-LOC", "I-LOC")
    assert listed.places == spans.places == ((0, 2), (3, 6), (7, 11))
    assert spaced.places == ((0, 2), (3, 6), (8, 12))
    assert spaced.text == "In New  York"


def test_tokens_and_tags_that_numpy_holds_are_read_as_plain_texts() -> None:
    """Rows of a data frame hold numpy.str_, which is a str and cannot be interned."""
    columns, text = TaggingConfig().columns, np.str_
    row = columns.read(Record({"token": [text("Café"), text("b")], "tag": [text("B-X"), text("O")]}, Origin("r", 1)))
    assert (row.sentence.tokens, row.tags, row.spelt) == (("Café", "b"), ("B-X", "O"), ("B-X", "O"))
    assert {type(one) for one in (*row.sentence.tokens, *row.tags, *row.spelt)} == {str}


def test_a_text_without_spans_is_outside() -> None:
    assert TaggingConfig().columns.read(record("No names.", [])).sentence.tags == ("O", "O", "O")


def test_white_space_at_the_edges_of_a_span_belongs_to_no_token() -> None:
    spans = [{"start": 2, "end": 8, "label": "X"}]
    assert TaggingConfig().columns.read(record("In Rome now", spans)).sentence.tags == ("O", "B-X", "O")


@pytest.mark.parametrize(
    ("cutter", "expected"),
    [
        ("words", ["Miller", "'", "s", "3", ".", "5", "km", "東", "京", "ที่", "café"]),
        ("spaces", ["Miller's", "3.5km", "東京ที่", "café"]),
        ("characters", [*"Miller's3.5km東京", "ที่", *"caf", "é"]),
    ],
)
def test_a_raw_text_is_cut_and_every_token_knows_its_place(cutter: Any, expected: list[str]) -> None:
    text = "Miller's 3.5km 東京ที่\u3000café"
    places = CUTTERS[cutter](text)
    assert [text[start:end] for start, end in places] == expected


BAD_ROWS = [
    (([], []), "f.jsonl:7: the sentence is empty, expected at least one token in column 'token'."),
    (("  ", "  "), "f.jsonl:7: the sentence is empty"),
    ((["a", "b"], ["O"]), "f.jsonl:7: 2 tokens in column 'token' and 1 tag in column 'tag', expected as many."),
    (("a b c", "O O"), "f.jsonl:7: 3 tokens in column 'token' and 2 tags in column 'tag'"),
    ((["a", " "], ["O", "O"]), "f.jsonl:7: token 2 is empty, expected a word or a sign."),
    ((["a", "b"], ["O", 3]), "f.jsonl:7: the tag of token 2, 'b', is 3; expected text."),
    ((["a", "b"], ["O", ""]), "f.jsonl:7: the tag of token 2, 'b', is ''; expected text."),
    ((["a", 3], ["O", "O"]), "f.jsonl:7: column 'token' holds ['a', 3], expected a text or a list of tokens."),
    ((3, "O"), "f.jsonl:7: column 'token' holds 3, expected a text or a list of tokens."),
    (("a b", ["O", "O"]), "holds a list of tags, and column 'token' a text that is not cut into tokens"),
    (("a b", 4), "f.jsonl:7: column 'tag' holds 4, expected tags or spans, such as [{"),
    (("a b", "[1, "), "f.jsonl:7: column 'tag' begins with [ and is no JSON list: '[1, '."),
    (("a b", [{"start": 0, "end": 1}]), "expected spans with a start, an end and a label"),
    (("a b", [{"start": True, "end": 1, "label": "X"}]), "expected spans with a start, an end and a label"),
    (("a b", [[0, 1, "X", 4]]), "expected spans with a start, an end and a label"),
    (("a b", [[0, 4, "X"]]), "span 0-4 of label 'X' does not lie in the text, which has 3 characters"),
    (("a b", [[1, 1, "X"]]), "span 1-1 of label 'X' does not lie in the text"),
    (("a b", [[1, 2, "X"]]), "f.jsonl:7: span 1-2 of label 'X' holds no token: ' '."),
    (
        ("in Berlin", [[4, 9, "X"]]),
        "f.jsonl:7: span 4-9 ('erlin') of label 'X' cuts through the token 'Berlin' at 3-9. Correct the span, or",
    ),
    (("in Berlin", [[0, 4, "X"]]), "span 0-4 ('in B') of label 'X' cuts through the token 'Berlin' at 3-9."),
    (
        ("a b c", [[2, 5, "X"], [0, 3, "Y"]]),
        "f.jsonl:7: the spans 0-3 ('a b') and 2-5 ('b c') overlap, and a token can have one tag.",
    ),
]


@pytest.mark.parametrize(("row", "message"), BAD_ROWS)
def test_a_row_that_is_no_sentence_is_named_with_what_is_wrong(row: tuple[object, object], message: str) -> None:
    with pytest.raises(DataError) as caught:
        TaggingConfig().read(record(*row))
    assert message in str(caught.value)
    assert str(caught.value).startswith("f.jsonl:7: ")


def test_a_tag_that_its_scheme_forbids_is_named_by_the_line_of_its_token() -> None:
    fields = {"token": ["a", "b", "c"], "tag": ["O", "I-X", "O"], "line": [4, 5, 6]}
    bad = Record(fields, Origin("f.jsonl", 4))
    with pytest.raises(
        DataError, match=r"f\.jsonl:5: tag 'I-X' stands after 'O'; in scheme bio, .* task\.repair: true"
    ):
        TaggingConfig(file_scheme="bio").read(bad)
    TaggingConfig(file_scheme="bio", repair=True).read(bad)
    TaggingConfig(file_scheme="iob1").read(bad)
    TaggingConfig(file_scheme="plain").read(bad)
    TaggingConfig().read(bad)  # auto knows the scheme when it has seen all rows


def test_a_file_of_two_schemes_is_refused_at_the_first_tag_that_does_not_fit_the_other_sentences() -> None:
    with pytest.raises(
        DataError, match=r"f\.jsonl:3: tag 'I-X' ends the sentence; in scheme iobes, .* Correct the tag"
    ):
        task_of(["a/B-X b/E-X", "a/S-X b/O", "a/B-X b/I-X"])
    with pytest.raises(
        DataError, match=r"f\.jsonl:2: tag 'E-X' is not of scheme bio; expected O, B-\.\.\., I-\.\.\.\."
    ):
        task_of(["a/B-X b/I-X", "a/B-X b/E-X", "a/B-X"])
    with pytest.raises(DataError, match=r"f\.jsonl:2: tag 'I-X' stands after 'O'; in scheme bio"):
        task_of(["a/B-X b/I-X", "a/O b/I-X"])
    with pytest.raises(DataError, match=r"f\.jsonl:1: tag 'E-X' is not of scheme bio"):
        task_of(["a/B-X b/E-X"], file_scheme="bio", repair=True)


def test_tags_that_are_repaired_are_read_as_conlleval_reads_them() -> None:
    task = task_of(["a/O b/I-X c/I-X", "a/B-X b/I-Y"], file_scheme="bio", repair=True)
    assert task.example(written("a/O b/I-X c/I-X")).tags == ("O", "B-X", "I-X")
    assert task.example(written("a/B-X b/I-Y")).tags == ("B-X", "B-Y")


# -- plan and tags -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "options", "tags"),
    [
        (["a/NN b/VB", "b/NN"], {}, ("NN", "VB")),
        (["a/B-X b/I-X", "c/O"], {}, ("O", "B-X", "I-X")),
        (["a/B-X c/O"], {"scheme": "iobes"}, ("O", "B-X", "I-X", "E-X", "S-X")),
        (["a/I-X b/B-X"], {}, ("O", "B-X", "I-X")),
        (["a/B-Y b/E-Y", "a/S-A"], {}, ("O", "B-A", "I-A", "E-A", "S-A", "B-Y", "I-Y", "E-Y", "S-Y")),
        (["a/B-X b/O"], {"scheme": "plain"}, ("B-X", "O")),
    ],
)
def test_the_model_says_all_tags_of_its_scheme(rows: list[str], options: Any, tags: tuple[str, ...]) -> None:
    assert task_of(rows, **options).tagset.tags == tags


def test_tags_are_converted_between_schemes() -> None:
    rows = ["a/I-X b/I-X c/B-X d/O"]
    assert task_of(rows).example(written(rows[0])).tags == ("B-X", "I-X", "B-X", "O")
    assert task_of(rows, scheme="iobes").example(written(rows[0])).tags == ("B-X", "E-X", "S-X", "O")


def test_what_auto_found_is_said_once() -> None:
    task = task_of(["a/I-X b/B-X"])
    examples = [task.example(written("a/I-X b/B-X"))]
    labels = "train: column 'tag': 1 label: X (2)."
    assert task.filter(examples, "train")[1] == ("task.file_scheme: auto found iob1; the model learns bio.", labels)
    assert task.filter(examples, "dev")[1] == ()
    assert task_of(["a/I-X b/B-X"], file_scheme="iob1").filter(examples, "train")[1] == (labels,)
    plain = task_of(["a/NN b/VB"])
    assert plain.filter([], "train")[1][0] == "task.file_scheme: auto found plain tags, 2 of them."


def test_a_scheme_of_spans_needs_tags_of_spans() -> None:
    with pytest.raises(ConfigError, match=r"task\.scheme: is iobes, and the tags of f\.jsonl are plain"):
        task_of(["a/NN"], scheme="iobes")


def test_options_that_have_no_effect_on_the_tags_that_were_found_are_named() -> None:
    with pytest.raises(ConfigError) as caught:
        task_of(["a/NN"], constrained=False, repair=True)
    assert [problem.partition(",")[0] for problem in caught.value.problems] == [
        "task.constrained: has no effect",
        "task.repair: has no effect",
    ]


@pytest.mark.parametrize("scheme", ["auto", "bio", "iob1", "iobes"])
def test_spans_of_characters_are_the_same_spans_whatever_scheme_is_named(scheme: Any) -> None:
    rows = [record("Rome Oslo", [[0, 4, "X"], [5, 9, "X"]]), record("a b", [[0, 3, "Y"]])]
    for one in rows:
        TaggingConfig(file_scheme=scheme).read(one)
    task = TaggingConfig(file_scheme=scheme).fit(rows, "f")
    assert [read_default(task.example(one).tags or ()) for one in rows] == [[("X", 0, 1), ("X", 1, 2)], [("Y", 0, 2)]]


@pytest.mark.parametrize(
    ("options", "problems"),
    [
        ({"tokens": "a", "tags": "a"}, ["tags: is 'a', the column of tokens too; expected another column."]),
        ({"tags": "line"}, ["tags: is 'line', which holds line numbers; expected another column."]),
        (
            {"file_scheme": "plain", "scheme": "bio", "repair": True, "constrained": False},
            [
                "scheme: bio writes spans, and file_scheme: plain has none; leave one of them out.",
                "repair: has no effect with file_scheme: plain, which allows everything; leave it out.",
                "constrained: has no effect on plain tags, which allow everything; leave it out.",
            ],
        ),
    ],
)
def test_options_without_effect_are_all_named(options: dict[str, Any], problems: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        TaggingConfig(**options)
    assert list(caught.value.problems) == problems


def test_the_way_to_cut_texts_is_suggested_by_the_file() -> None:
    spaced, spans = [record("a b", "O B-X")], [record("a b", "[[0, 1, 'X']]")]
    assert TaggingConfig.suggested(spaced, Path("f.tsv")).task == {
        "tokens": "token",
        "tags": "tag",
        "tokenizer": "spaces",
    }
    assert TaggingConfig.suggested(spans, Path("f.tsv")).task == {"tokens": "token", "tags": "tag"}
    assert TaggingConfig.suggested([written("a/O")], Path("f.conll")).task == {"tokens": "token", "tags": "tag"}


# -- example and collate -----------------------------------------------------------------------------------------------


def test_words_are_looked_up_folded_and_letters_are_read_as_they_are() -> None:
    task = task_of(["Anna/O 1999/O anna/O", "anna/X"])
    batch = task.collate([task.example(written("ANNA/O 2024/O Zoe/O"))], [0])
    anna, year, zoe = batch.inputs["words"][:, 0].tolist()
    assert task.reader.words.tokens([anna, year]) == ["anna", "0000"]
    assert zoe == 1
    letters = batch.inputs["characters"][:, :, 0]
    known = task.reader.letters
    assert letters[:, 0].tolist() == [*known.ids("ANNA")]
    assert letters[0, 0] == known.ids("A")[0] > 1
    assert known.ids("a") != known.ids("A")
    assert letters[:3, 2].tolist() == [1, 1, 1]
    assert batch.inputs["character_lengths"][:, 0].tolist() == [4, 4, 3]
    exact = task_of(["Anna/O 1999/O anna/O", "anna/X"], lowercase=False, zero_digits=False)
    assert exact.collate([exact.example(written("ANNA/O 2024/O anna/O"))], [0]).inputs["words"][:2, 0].tolist() == [
        1,
        1,
    ]


def test_a_batch_is_padded_with_zeros_and_known_words_are_above_one() -> None:
    task = task_of()
    examples = [task.example(written(row)) for row in ROWS]
    batch = task.collate(examples, [3, 4, 5])
    assert batch.indices == (3, 4, 5)
    assert batch.lengths.tolist() == [5, 2, 1]
    assert batch.inputs["words"].shape == (5, 3)
    assert batch.inputs["characters"].shape == (5, 5, 3)
    for n, example in enumerate(examples):
        real = batch.inputs["words"][: example.length, n]
        assert (real > 1).all()
        for name in ("words", "character_lengths"):
            assert not batch.inputs[name][example.length :, n].any()
        assert not batch.inputs["characters"][:, example.length :, n].any()
        for t, token in enumerate(example.tokens):
            spelt = batch.inputs["characters"][:, t, n].tolist()
            assert "".join(task.reader.letters.tokens(spelt[: len(token)])) == token
            assert not any(spelt[len(token) :])
    assert batch.targets["tags"][:, 0].tolist() == [task.tagset.tags.index(tag) for tag in examples[0].tags or ()]


def test_of_a_very_long_word_the_first_and_last_letters_are_read() -> None:
    task = task_of()
    word = "a" * 40 + "b" * 100_000 + "c" * 40
    assert task.reader.spelt(word) == "a" * 32 + "c" * 32
    batch = task.collate([task.example(record([word]), gold=False)], [0])
    assert batch.inputs["characters"].shape == (LONGEST_WORD, 1, 1)


def test_a_batch_with_nothing_to_read_is_empty() -> None:
    task = task_of()
    batch = task.collate([task.example(record(""), gold=False)], [0])
    assert batch.inputs["words"].shape == (0, 1)
    assert batch.inputs["characters"].shape == (0, 0, 1)
    assert task.predict(Table(task), batch, []) == [Tagged((), ())]


def test_rows_longer_than_the_limit_are_left_out_of_training_alone() -> None:
    task = task_of(max_length=2)
    examples = [task.example(written(row, n)) for n, row in enumerate(ROWS, 1)]
    kept, notes = task.filter(examples, "train")
    assert kept == examples[1:]
    assert "train: 1 of 3 sentences were left out" in notes[2]
    assert "max_length = 2 tokens; the first: f.jsonl:1, with 5." in notes[2]
    assert task.filter(examples, "dev")[0] == examples
    assert "lives" not in task.reader.seen
    with pytest.raises(DataError, match=r"f\.jsonl: no sentence has at most max_length = 1 tokens"):
        task_of(ROWS[:2], max_length=1)


def test_a_tag_that_training_never_saw_counts_as_a_mistake_and_is_said() -> None:
    task = task_of()
    examples = [task.example(written("Anna/B-PER Acme/B-ORG", 3)), task.example(written("Rome/B-LOC", 5))]
    kept, (note,) = task.filter(examples, "test")
    assert kept == examples
    assert note == (
        "test: 1 of 3 tags were never seen in training, and no model can say them: 'ORG'; the first: 'Acme' in the "
        "sentence at f.jsonl:3. They count as mistakes."
    )
    assert task.collate(examples, [0, 1]).targets == {}
    outputs = [Tagged(("B-PER", "O")), Tagged(("B-LOC",))]
    values = {s.name: s.value for s in task.score(outputs, examples, "test")}
    assert values["recall_micro"] == pytest.approx(2 / 3)
    assert values["f1[ORG]"] == 0.0


# -- loss and predict --------------------------------------------------------------------------------------------------


def brute(task: Tagging, model: Table, words: list[int], *, constrained: bool) -> dict[tuple[str, ...], float]:
    """The probability of every tagging that is allowed, by adding up all of them."""
    tags, scores = task.tagset.tags, model.scores
    table = model.table.numpy()
    found: dict[tuple[str, ...], float] = {}
    for row in product(range(len(tags)), repeat=len(words)):
        names = tuple(tags[k] for k in row)
        if constrained and SCHEMES["bio"].write(read_default(names), len(names)) != list(names):
            continue
        total = sum(table[word, k] for word, k in zip(words, row, strict=True))
        if scores:
            total += float(scores["first"][row[0]] + scores["last"][row[-1]])
            total += sum(float(scores["transitions"][a, b]) for a, b in pairwise(row))
        found[names] = math.exp(total)
    whole = sum(found.values())
    return {names: value / whole for names, value in found.items()}


@pytest.mark.parametrize("constrained", [True, False])
@pytest.mark.parametrize("pairs", [True, False])
def test_the_best_tags_and_their_probabilities_are_those_of_all_taggings(pairs: bool, constrained: bool) -> None:
    task = task_of(constrained=constrained)
    for seed in range(8):
        model = Table(task, pairs, seed)
        example = task.example(record(["Anna", "in", "York", "Rome"]), gold=False)
        batch = task.collate([example], [0])
        chances = brute(task, model, batch.inputs["words"][:, 0].tolist(), constrained=constrained)
        (output,) = task.predict(model, batch, [example])
        assert output.tags == max(chances, key=chances.__getitem__)
        for place, (tag, with_confidence) in enumerate(zip(output.tags, output.with_confidence, strict=True)):
            assert with_confidence == pytest.approx(
                sum(p for names, p in chances.items() if names[place] == tag), abs=1e-6
            )


def test_the_loss_is_minus_the_log_of_the_probability_of_the_right_tags() -> None:
    task = task_of()
    examples = [task.example(written(row)) for row in ROWS[1:]]
    batch = task.collate(examples, [0, 1])
    for pairs in (True, False):
        model = Table(task, pairs)
        loss = task.loss(model(batch), batch)
        expected = 0.0
        for n, example in enumerate(examples):
            words = batch.inputs["words"][: example.length, n].tolist()
            expected -= math.log(brute(task, model, words, constrained=False)[example.tags or ()])
        assert loss.count == 3
        assert float(loss.total) == pytest.approx(expected, abs=1e-9)


def test_a_sentence_alone_gets_what_it_gets_in_a_batch_whatever_stands_in_the_padding() -> None:
    task = task_of(scheme="iobes")
    model = Table(task, pairs=True)
    examples = [task.example(written(row)) for row in ROWS]
    together = task.collate(examples, range(3))
    spoilt = model(together)
    real = torch.arange(5).unsqueeze(1) < together.lengths
    emissions = torch.where(real.unsqueeze(2), spoilt.outputs["emissions"], torch.nan)

    class Spoilt(nn.Module):
        def forward(self, batch: Batch) -> Prediction:
            return Prediction({**spoilt.outputs, "emissions": emissions})

    found = task.predict(Spoilt(), together, examples)
    for example, output in zip(examples, found, strict=True):
        (alone,) = task.predict(model, task.collate([example], [0]), [example])
        assert alone.tags == output.tags
        assert alone.with_confidence == pytest.approx(output.with_confidence, abs=1e-7)


def test_weights_that_are_not_finite_are_named() -> None:
    task = task_of()
    model = Table(task)
    model.table[:] = torch.nan
    example = task.example(record("Anna"), gold=False)
    with pytest.raises(RunError, match="the scores of tags hold NaN or infinity"):
        task.predict(model, task.collate([example], [0]), [example])


def test_a_draft_says_the_same_tags_without_probabilities() -> None:
    task = task_of()
    model, example = Table(task), task.example(written(ROWS[0]))
    batch = task.collate([example], [0])
    (full,), (for_validation,) = (
        task.predict(model, batch, [example]),
        task.for_validation.predict(model, batch, [example]),
    )
    assert for_validation == Tagged(full.tags)


# -- answers -----------------------------------------------------------------------------------------------------------


def test_spans_keep_the_characters_of_the_text() -> None:
    task = task_of()
    text = "Anna's in  New\tYork!"
    example = task.example(record(text), gold=False)
    assert example.tokens == ("Anna", "'", "s", "in", "New", "York", "!")
    output = Tagged(("B-PER", "O", "O", "O", "B-LOC", "I-LOC", "O"), (0.9, 0.8, 0.8, 0.8, 0.7, 0.6, 0.8))
    answer = task.answer(example, output).to_dict()
    assert answer == {
        "spans": [
            {"text": "Anna", "label": "PER", "start": 0, "end": 4, "score": 0.9},
            {"text": "New\tYork", "label": "LOC", "start": 11, "end": 19, "score": 0.6},
        ],
        "text": text,
        "tags": [list(pair) for pair in zip(example.tokens, output.tags, strict=True)],
    }
    assert all(text[one["start"] : one["end"]] == one["text"] for one in answer["spans"])


def test_plain_tags_are_given_for_every_token() -> None:
    task = task_of(["a/DT dog/NN"])
    example = task.example(record(["a", "dog"]), gold=False)
    assert task.answer(example, Tagged(("DT", "NN"), (0.75, 0.5))).to_dict() == {
        "tokens": [
            {"text": "a", "label": "DT", "start": 0, "end": 1, "score": 0.75},
            {"text": "dog", "label": "NN", "start": 2, "end": 5, "score": 0.5},
        ],
        "text": "a dog",
    }


def test_options_of_other_tasks_are_refused() -> None:
    with pytest.raises(ConfigError, match="beam: has no effect, because a tagging has no such option"):
        task_with(task_of(), {"beam": 2}, "tagging")


def test_letters_that_training_never_saw_are_said() -> None:
    task = task_of()
    examples = [task.example(record(text, line=n), gold=False) for n, text in enumerate(("Rome", "Рим в Rome"), 1)]
    (note,) = task.warnings([], examples)
    assert note == (
        "1 of 2 texts holds characters that training never saw, which are read as unknown, in 'Рим', 'в'; the first: "
        "f.jsonl:2."
    )


# -- scores ------------------------------------------------------------------------------------------------------------


def sentence(row: str, line: int = 1) -> Sentence:
    found = written(row, line)
    return TaggingConfig().columns.read(found).sentence


def test_scores_of_spans_by_value() -> None:
    task = task_of()
    examples = [sentence("Anna/B-PER in/O New/B-LOC York/I-LOC"), sentence("Zoe/B-PER in/O Rome/B-LOC")]
    outputs = [Tagged(("B-PER", "O", "B-LOC", "O")), Tagged(("O", "O", "B-LOC"))]
    scores = task.score(outputs, examples, "dev")
    values = {s.name: (s.value, s.unit) for s in scores}
    # 3 spans were said, 2 of them right; 4 are true.
    assert values["precision_micro"] == (pytest.approx(2 / 3), "0..1")
    assert values["recall_micro"] == (0.5, "0..1")
    assert values["f1_micro"] == values["f1_strict"] == (pytest.approx(4 / 7), "0..1")
    assert values["token_accuracy"] == (pytest.approx(5 / 7), "0..1")
    assert values["unseen_accuracy"] == (0.0, "0..1")
    assert values["sentence_accuracy"] == (0.0, "0..1")
    assert values["support[LOC]"] == (2.0, "spans")
    assert (values["precision[PER]"][0], values["recall[PER]"][0]) == (1.0, 0.5)


def test_spans_that_are_not_written_as_the_scheme_has_them_count_by_default_and_not_strictly() -> None:
    task = task_of(constrained=False)
    values = {s.name: s.value for s in task.score([Tagged(("I-PER", "O"))], [sentence("Bob/B-PER ./O")], "dev")}
    assert (values["f1_micro"], values["f1_strict"]) == (1.0, 0.0)


def test_scores_of_plain_tags_by_value() -> None:
    task = task_of(["a/DT dog/NN runs/VB", "dogs/NN run/VB"])
    outputs = [Tagged(("DT", "NN", "NN")), Tagged(("NN", "VB"))]
    scores = task.score(outputs, [sentence("a/DT dog/NN runs/VB"), sentence("cats/NN run/VB")], "dev")
    values = {s.name: (s.value, s.unit) for s in scores}
    assert values["token_accuracy"] == (0.8, "0..1")
    assert values["unseen_accuracy"] == (1.0, "0..1")
    assert values["sentence_accuracy"] == (0.5, "0..1")
    assert values["precision[NN]"] == (pytest.approx(2 / 3), "0..1")
    assert values["recall[VB]"] == (0.5, "0..1")
    assert values["support[VB]"] == (2.0, "tokens")
    assert values["f1_macro"] == (pytest.approx((1 + 0.8 + 2 / 3) / 3), "0..1")
    assert task.usual_score == "token_accuracy"


def test_possible_scores_are_those_of_real_answers() -> None:
    for rows, unseen in ((ROWS, "Zoe/B-PER in/O"), (["a/DT dog/NN"], "cats/NN a/DT")):
        task = task_of(rows)
        examples = [sentence(unseen), sentence(rows[0])]
        names = {s.name for s in task.possible_scores(examples)}
        assert task.usual_score in names
        right = [Tagged(e.tags or ()) for e in examples]
        assert {s.name for s in task.score(right, examples, "dev")} == names


def test_possible_scores_are_those_of_the_most_frequent_tag() -> None:
    plain = task_of(["a/DT dog/NN cat/NN"])
    values = {s.name: s.value for s in plain.possible_scores([sentence("a/DT dog/NN cat/NN")])}
    assert values["token_accuracy"] == pytest.approx(2 / 3)
    spans = task_of(ROWS)
    values = {s.name: s.value for s in spans.possible_scores([sentence("Zoe/B-PER Zoe/B-PER in/O")])}
    assert (values["f1_micro"], values["token_accuracy"]) == (0.0, pytest.approx(1 / 3))


def test_the_baselines_are_the_most_frequent_tag_and_a_dictionary_of_spans() -> None:
    rows = [
        "New/B-LOC York/I-LOC is/O New/O",
        "New/O York/O",
        "New/B-LOC York/I-LOC",
        "Anna/B-PER is/O in/O Rome/B-LOC",
    ]
    task = task_of(rows)
    train = [task.example(written(row)) for row in rows]
    test = [sentence("New/B-LOC York/I-LOC is/O in/O Rome/B-LOC"), sentence("Anna/B-PER New/O")]
    found = task.baselines(train, {"test": test}).scores
    by_name = {name: {s.name: s.value for s in scores} for name, scores in found.items()}
    # York is I-LOC more often than not; New is as often B-LOC as O, and B-LOC comes first in the alphabet.
    assert by_name["frequent"]["token_accuracy"] == pytest.approx(6 / 7)
    # A dictionary knows New York (2 of 3 times a span), Rome and Anna; New alone was never a span.
    assert by_name["dictionary"]["f1_micro"] == 1.0
    assert set(task_of(["a/DT b/NN"]).baselines([sentence("a/DT")], {"test": [sentence("a/DT")]}).scores) == {
        "frequent"
    }


def test_a_phrase_that_is_seldom_a_span_is_not_in_the_dictionary() -> None:
    rows = ["will/O go/O", "will/O stay/O", "Will/O will/B-PER"]
    task = task_of(rows)
    train = [task.example(written(row)) for row in rows]
    scores = task.baselines(train, {"test": [sentence("will/O go/O")]}).scores["dictionary"]
    assert {s.name: s.value for s in scores}["token_accuracy"] == 1.0


# -- tables ------------------------------------------------------------------------------------------------------------


def test_tables_of_spans_count_what_became_of_each() -> None:
    task = task_of()
    examples = [
        sentence("a/B-LOC b/I-LOC c/O d/B-PER e/B-LOC", 1),
        sentence("a/B-PER b/O c/B-LOC d/B-LOC e/I-LOC", 2),
    ]
    outputs = [Tagged(("B-LOC", "O", "O", "B-LOC", "B-LOC")), Tagged(("O", "B-PER", "O", "O", "B-PER"))]
    kinds, confusion, confused, worst = task.tables(outputs, examples)
    counts = {row[0]: row[1] for row in kinds.rows}
    assert counts == {
        "right": 1,
        "right place, wrong label": 1,
        "overlaps, right label": 1,
        "overlaps, wrong label": 1,
        "missed": 2,
        "not there": 1,
    }
    assert confusion.columns[1:] == ("LOC", "O", "PER")
    assert confusion.rows[0] == ("LOC", 2, 3, 1)
    assert confused.rows[0] == ("LOC", "O", 3, 0.5, "b, c, d")
    assert worst.rows[0][0] == "f.jsonl:2"
    assert worst.rows[0][2:] == ("PER: a; LOC: c; LOC: d e", "PER: b; PER: e")


def test_tables_of_plain_tags_name_the_words() -> None:
    task = task_of(["a/DT dog/NN runs/VB"])
    examples = [sentence("a/DT dog/NN runs/VB", 4), sentence("a/DT dog/NN", 5)]
    confusion, confused, worst = task.tables([Tagged(("DT", "VB", "NN")), Tagged(("DT", "VB"))], examples)
    assert confusion.rows == (("DT", 2, 0, 0), ("NN", 0, 0, 2), ("VB", 0, 1, 0))
    assert confused.rows == (("NN", "VB", 2, 1.0, "dog (2)"), ("VB", "NN", 1, 1.0, "runs"))
    assert worst.rows[0] == ("f.jsonl:4", "a dog runs", "dog: NN, not VB; runs: VB, not NN")


# -- there and back ----------------------------------------------------------------------------------------------------


def test_a_task_comes_back_from_json_as_it_was() -> None:
    plan = TaggingConfig(scheme="iobes", lowercase=False)
    task = plan.fit([written(row) for row in ROWS], "f.jsonl")
    again = plan.restore(json.loads(json.dumps(task.to_json())), "task.json")
    assert again.to_json() == task.to_json()
    examples = [task.example(written(row)) for row in ROWS]
    one, other = task.collate(examples, range(3)), again.collate(examples, range(3))
    assert all(torch.equal(one.inputs[name], other.inputs[name]) for name in one.inputs)
    assert torch.equal(one.targets["tags"], other.targets["tags"])


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.pop("tagset"),
        lambda data: data.update(cuts=3),
        lambda data: data["tagset"]["spelling"].update(letters="XYZW"),
        lambda data: data["tagset"].update(spelling=None),
        lambda data: data["tagset"].update(tags=[]),
        lambda data: data["tagset"].update(tags=["O", "O"]),
        lambda data: data["tagset"].update(tags=["O", 3]),
        lambda data: data["tagset"].update(learned="bilou"),
        lambda data: data["tagset"].update(written=[]),
        lambda data: data.update(reader=4),
        lambda data: data["reader"].update(seen="abc"),
        lambda data: data["reader"].update(lowercase=1),
        lambda data: data["reader"]["words"].update(tokens=[""]),
        lambda data: data["reader"].pop("letters"),
    ],
)
def test_a_damaged_task_is_named(damage: Any) -> None:
    data = json.loads(json.dumps(task_of().to_json()))
    damage(data)
    with pytest.raises(RunError):
        TaggingConfig().restore(data, "task.json")


def test_the_task_is_registered() -> None:
    assert TASKS["tagging"] is TaggingConfig


# -- raw texts ---------------------------------------------------------------------------------------------------------


def from_treebank(words: list[tuple[str, int, bool]], tokens: list[str]) -> Record:
    """A record as CoNLL-U gives it, with the words of its raw text."""
    tags = ["X" if token.isalpha() else "Y" for token in tokens]
    return Record({"form": tokens, "upos": tags, "surface": words}, Origin("f.conllu", 3))


TREEBANK = [
    from_treebank([("don't", 2, True), ("go", 1, False), (".", 1, True)], ["do", "n't", "go", "."]),
    from_treebank([("Mr.", 1, True), ("can't", 2, False), (".", 1, True)], ["Mr.", "ca", "n't", "."]),
    from_treebank([("won't", 2, True), ("Mr.", 1, True), ("du", 2, True)], ["wo", "n't", "Mr.", "de", "le"]),
]


def test_a_raw_text_is_cut_as_the_file_cuts_its_own() -> None:
    plan = TaggingConfig(tokens="form", tags="upos")
    task = plan.fit(TREEBANK * 2, "f.conllu")
    asked = Record({"form": "Mr. du don't."}, Origin("argument", 1))
    found = task.example(asked, gold=False)
    assert found.tokens == ("Mr.", "de", "le", "do", "n't", ".")
    assert found.places == ((0, 3), (4, 6), (4, 6), (7, 9), (9, 12), (12, 13))
    restored = plan.restore(json.loads(json.dumps(task.to_json())), "task.json")
    assert restored.example(asked, gold=False) == found
    other = TaggingConfig(tokens="form", tags="upos", tokenizer="words").fit(TREEBANK, "f.conllu")
    assert other.example(asked, gold=False).tokens == ("Mr", ".", "du", "don", "'", "t", ".")


def test_a_raw_text_that_is_cut_otherwise_than_the_tokens_is_said_with_its_share() -> None:
    task = TaggingConfig(tokens="form", tags="upos", tokenizer="words").fit(TREEBANK, "f.conllu")
    examples = [task.example(one) for one in TREEBANK]
    # Found: go and . of four; . of four; none of five.
    assert task.filter(examples, "dev")[1] == (
        "dev: 23.1 % of the tokens are found in the raw text, as task.tokenizer cuts it; answers for raw texts miss "
        "the others. The scores are of the file's own tokens.",
    )
    assert task.facts({"dev": examples})["dev tokens found in the raw text"] == "23.08%"
    learned = TaggingConfig(tokens="form", tags="upos").fit(TREEBANK * 2, "f.conllu")
    assert learned.filter(examples, "dev")[1] == ()


def test_cuts_cannot_be_learned_from_texts() -> None:
    rows = [record("a b", [[0, 1, "X"]]), record("a b", [])]
    with pytest.raises(ConfigError, match=r"task\.tokenizer: is learned, and f has texts, not tokens"):
        TaggingConfig(tokenizer="learned").fit(rows, "f")
    assert TaggingConfig().fit(rows, "f").columns.learned is None
