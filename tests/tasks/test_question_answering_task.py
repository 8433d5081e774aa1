"""Question answering, verb by verb: windows, the loss and the best answers against loops in float64, and what is
refused.
"""

from __future__ import annotations

import json
import math
import tracemalloc
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from published_room import WORDS, folder
from recurra.base.contracts import Origin, Prediction, Record
from recurra.base.errors import ConfigError, DataError
from recurra.models import SequenceModel
from recurra.tasks import QuestionAnswering, QuestionAnsweringConfig
from recurra.tasks.question_answering.baselines import Distance
from recurra.tasks.question_answering.reading import owners
from recurra.tasks.question_answering.spans import best_spans, span_loss

TEXT = "Oslo is the capital of Norway. It has 700,000 people, and its harbour was first built in 1300."
ROWS = [
    ("What is the capital of Norway?", TEXT, "Oslo"),
    ("How many people has it?", TEXT, "700,000"),
    ("When was the harbour built?", TEXT, "1300"),
    ("Who was bad?", "the bad film was good", "the bad film"),
]
PLAIN: Mapping[str, Any] = {"answer": "answer"}


def record(number: int, *values: Any, **more: Any) -> Record:
    names = ("question", "context", "answer")
    return Record({**dict(zip(names, values, strict=False)), **more}, Origin("qa.csv", number))


def records(rows: list[tuple[str, str, str]] = ROWS) -> list[Record]:
    return [record(n, *row) for n, row in enumerate(rows, start=2)]


def fitted(rows: list[tuple[str, str, str]] = ROWS, **options: Any) -> QuestionAnswering:
    plan = QuestionAnsweringConfig(**{**PLAIN, **options})
    return plan.fit(records(rows), "qa.csv")


def model_for(task: QuestionAnswering, encoder: str = "recurrent") -> SequenceModel:
    torch.manual_seed(1)
    inputs: dict[str, Any] = {"name": "words_and_characters", "characters": "none", "embedding_size": 6}
    chosen: dict[str, Any] = {"name": encoder, "hidden_size": 8}
    if encoder == "pretrained":
        inputs = {"name": "word_pieces", "embedding_size": 8, "max_positions": 40}
    elif encoder == "transformer":
        chosen["num_heads"] = 2
    else:
        chosen["bidirectional"] = True
    return SequenceModel(task.model_sizes, inputs=inputs, encoder=chosen, head={"name": "span"}).eval()


# -- the loss and the answers against loops ---------------------------------------------------------------------------


def log_softmax(values: list[float]) -> list[float]:
    top = max(values)
    total = top + math.log(sum(math.exp(value - top) for value in values))
    return [value - total for value in values]


def loss_by_hand(logits: np.ndarray[Any, Any], nulls: int, span: tuple[int, int] | None) -> float:
    """-log p(first) - log p(last): softmax over no answer, the least of its windows, and the tokens of the context."""
    found = 0.0
    for end in (0, 1):
        tokens = [float(x) for x in logits[nulls:, end]]
        every = ([min(float(x) for x in logits[:nulls, end])] if nulls else []) + tokens
        place = 0 if span is None else bool(nulls) + span[end]
        found -= log_softmax(every)[place]
    return found


def test_the_loss_is_that_of_a_loop_over_tokens_and_windows() -> None:
    rng = np.random.default_rng(0)
    logits, lengths, nulls = rng.normal(size=(9, 4, 2)), [9, 4, 6, 7], [2, 1, 0, 3]
    spans: list[tuple[int, int] | None] = [(3, 5), None, (0, 5), None]
    found = span_loss(
        torch.from_numpy(logits),
        torch.tensor(lengths),
        torch.tensor(nulls),
        torch.tensor([s or (-1, -1) for s in spans]),
    )
    each = [loss_by_hand(logits[:length, n], nulls[n], spans[n]) for n, length in enumerate(lengths)]
    assert found.count == 4
    assert float(found.total) == pytest.approx(sum(each), rel=1e-12)


def test_padding_and_windows_for_no_answer_get_no_gradient_from_a_context_without_them() -> None:
    logits = torch.randn(6, 2, 2, requires_grad=True)
    spans = torch.tensor([[1, 2], [0, 2]])
    total = span_loss(logits, torch.tensor([6, 3]), torch.tensor([0, 0]), spans).total
    total.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[3:, 1].abs().sum() == 0
    assert (logits.grad[:, 0] != 0).all()


@pytest.mark.parametrize("nulls", [0, 1, 3])
def test_the_best_answers_are_those_of_trying_every_span(nulls: int) -> None:
    rng = np.random.default_rng(nulls)
    logits = rng.normal(size=(nulls + 11, 2))
    tokens = logits[nulls:]
    every = [(tokens[i, 0] + tokens[j, 1], (i, j)) for i in range(11) for j in range(i, min(i + 4, 11))]
    none = min(logits[:nulls, 0]) + min(logits[:nulls, 1]) if nulls else -math.inf
    whole = sum(math.exp(score) for score, _ in every) + math.exp(none)
    found = best_spans(logits, nulls, longest=4, number=7)
    expected = sorted(every, key=lambda one: -one[0])[:7]
    assert [one.span for one in found.best] == [span for _, span in expected]
    assert [one.probability for one in found.best] == pytest.approx([math.exp(s) / whole for s, _ in expected])
    if nulls:
        assert found.null is not None
        assert found.null.probability == pytest.approx(math.exp(none) / whole)
        assert found.gap == pytest.approx(none - expected[0][0])
    else:
        assert (found.null, found.gap) == (None, -math.inf)


def test_of_several_windows_the_one_counts_that_says_least_for_no_answer() -> None:
    # Windows say 5 and -2 for no answer, the best span 1 + 1: the gap is -4 - 2, not 10 - 2.
    logits = np.array([[5.0, 5.0], [-2.0, -2.0], [1.0, 0.0], [0.0, 1.0]])
    assert best_spans(logits, 2, longest=5, number=1).gap == -6.0


# -- windows --------------------------------------------------------------------------------------------------------


def test_windows_share_what_the_config_says_and_cover_all() -> None:
    reader = fitted(window=24, overlap=3, max_question=8).reader
    spans = reader.windows(6, 40)  # 24 - 6 - 3 = 15 tokens a window
    assert spans == [(0, 15), (12, 27), (24, 39), (36, 40)]
    assert reader.windows(6, 15) == [(0, 15)]
    assert fitted().reader.windows(6, 4000) == [(0, 4000)]


def test_a_token_counts_in_the_window_where_it_stands_farthest_from_an_end() -> None:
    spans = [(0, 8), (4, 12)]
    # Of 4..7: 4 is 3 from the first window's end and 0 from the second's beginning; 6 is 1 and 2.
    assert owners(spans, 12).tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]


def test_each_place_is_the_step_of_its_token(tmp_path: Path) -> None:
    for task in (
        fitted(window=26, overlap=2, max_question=16),
        fitted(pieces=str(folder(tmp_path / "tiny")), window=40, overlap=5, max_question=30),
    ):
        examples = [task.example(one) for one in records()]
        batch = task.collate(examples, range(4))
        tokens = batch.inputs["words" if task.pieces is None else "tokens"]
        assert max(e.windows for e in examples) > 1
        assert tokens.shape[1] == sum(e.windows for e in examples)
        for n, example in enumerate(examples):
            places = batch.inputs["places"][: batch.lengths[n], n]
            assert tokens.flatten()[places].tolist() == example.passage.ids.tolist()


@pytest.mark.parametrize("begin", ["[CLS]", "<s>"])
def test_pieces_are_framed_as_the_published_weights_have_pairs(begin: str, tmp_path: Path) -> None:
    named = {"[CLS]": begin, "[SEP]": "</s>" if begin == "<s>" else "[SEP]"}
    path = folder(tmp_path / "tiny", words=[named.get(word, word) for word in WORDS])
    task = fitted(pieces=str(path))
    assert task.pieces is not None
    example = task.example(records()[3])
    batch = task.collate([example], [0])
    framed = task.pieces.framed([example.asked.tokens, example.passage.tokens])
    assert framed.count(named["[SEP]"]) == (3 if begin == "<s>" else 2)
    assert batch.inputs["tokens"][:, 0].tolist() == task.pieces.vocabulary.ids(framed)
    assert task.reader.framed(example.asked, example.passage) == tuple(framed)
    places = batch.inputs["places"][:, 0].tolist()
    assert [framed[step] for step in places] == list(example.passage.tokens)


def test_places_for_no_answer_are_where_windows_of_pieces_begin_and_those_of_words_end(tmp_path: Path) -> None:
    rows = [*ROWS, ("Who?", TEXT, "")]
    pieces = fitted(rows, pieces=str(folder(tmp_path / "tiny")), window=40, overlap=5, max_question=30)
    for task in (pieces, fitted(rows, window=26, overlap=2, max_question=16)):
        batch = task.collate([task.example(records(rows)[0])], [0])
        nulls, lengths = int(batch.inputs["nulls"][0]), batch.inputs["piece_lengths"].tolist()
        assert nulls == len(lengths) > 1
        R = len(lengths)
        expected = list(range(R)) if task is pieces else [(length - 1) * R + r for r, length in enumerate(lengths)]
        assert batch.inputs["places"][:nulls, 0].tolist() == expected


@pytest.mark.parametrize("encoder", ["recurrent", "transformer", "pretrained"])
def test_a_question_has_the_same_answers_alone_and_in_any_batch(encoder: str, tmp_path: Path) -> None:
    short: dict[str, Any] = {"window": 26, "overlap": 2, "max_question": 16}
    if encoder == "pretrained":
        short = {"window": 40, "overlap": 5, "max_question": 30, "pieces": str(folder(tmp_path / "tiny"))}
    rows = [*ROWS, ("Who?", TEXT, "")]
    task = fitted(rows, **short)
    model = model_for(task, encoder)
    examples = [task.example(one) for one in records(rows)]
    with torch.inference_mode():
        together = task.predict(model, task.collate(examples, range(5)), examples)
        alone = [task.predict(model, task.collate([e], [0]), [e])[0] for e in examples]
    for one, other in zip(together, alone, strict=True):
        assert [c.span for c in one.best] == [c.span for c in other.best]
        scores = [c.score for c in other.best]
        # Recurrent layers sum in another order in another batch.
        assert [c.score for c in one.best] == (pytest.approx(scores, abs=1e-6) if encoder == "recurrent" else scores)


# -- reading --------------------------------------------------------------------------------------------------------


def test_an_answer_is_learned_as_the_tokens_that_it_covers() -> None:
    task = fitted()
    for one in records():
        example = task.example(one)
        assert example.span is not None
        assert example.text(*example.span) == one.fields["answer"]


def test_of_several_answers_the_one_is_learned_that_most_people_gave() -> None:
    answers = [{"text": "the capital", "answer_start": 8}] + 2 * [{"text": "capital", "answer_start": 12}]
    task = fitted()
    given = record(2, "q", TEXT, answers=answers)
    example = QuestionAnsweringConfig().fit([given], "x").example(given)
    assert example.answers == ("the capital", "capital", "capital")
    assert example.span == (3, 3)
    assert task.example(record(2, "q", TEXT, "people")).span is not None


@pytest.mark.parametrize(
    "answers",
    [
        {"text": ["Oslo"], "answer_start": [0]},
        [{"text": "Oslo", "answer_start": 0}],
        ["Oslo"],
        {"text": "Oslo", "answer_start": 0},
        {"text": ["Oslo"]},
        "Oslo",
    ],
)
def test_answers_may_be_written_as_people_write_them(answers: Any) -> None:
    row = QuestionAnsweringConfig().read(record(2, "Which?", TEXT, answers=answers))
    assert [(one.text, one.start) for one in row.answers] == [("Oslo", 0)]


@pytest.mark.parametrize("answers", [None, "", [], {"text": [], "answer_start": []}])
def test_a_question_may_have_no_answer(answers: Any) -> None:
    assert QuestionAnsweringConfig().read(record(2, "Which?", TEXT, answers=answers)).answers == ()


BROKEN: list[tuple[Mapping[str, Any], str]] = [
    ({"answers": "Bergen"}, "qa.csv:2: the answer 'Bergen' does not stand in its context"),
    (
        {"answers": [{"text": "is", "answer_start": 4}]},
        "qa.csv:2: the answer 'is' is said to begin at character 4, where the context has ' i'; it stands at 5",
    ),
    ({"answers": [{"text": "Oslo", "answer_start": -1}]}, "is said to begin at character -1"),
    ({"answers": [{"text": " ", "answer_start": 4}]}, "the answer ' ' does not stand in its context"),
    ({"answers": 5}, "column 'answers' holds 5, expected an answer as text"),
    ({"answers": {"text": ["a"], "answer_start": []}}, "expected an answer as text"),
    ({"answers": [{"text": "is", "answer_start": "5"}]}, "expected an answer as text"),
    ({"answers": "Oslo", "question": "  "}, "qa.csv:2: column 'question' is empty"),
    ({"answers": "Oslo", "context": ""}, "qa.csv:2: column 'context' is empty"),
    ({"answers": "Oslo", "context": 3}, "qa.csv:2: column 'context' holds 3, expected text"),
]


@pytest.mark.parametrize(("fields", "said"), BROKEN)
def test_what_cannot_be_learned_from_is_refused_with_file_and_line(fields: Mapping[str, Any], said: str) -> None:
    with pytest.raises(DataError) as caught:
        QuestionAnsweringConfig().read(record(2, **{"question": "Which?", "context": TEXT, **fields}))
    assert said in str(caught.value)


def test_a_place_of_its_own_column_must_be_one() -> None:
    plan = QuestionAnsweringConfig(answer="answer", start="at", id="id")
    assert plan.read(record(2, "q", "no no no", "no", at="3", id="x")).answers[0].start == 3
    assert plan.read(record(2, "q", "no no no", "no", at="", id="x")).answers[0].start == 0
    with pytest.raises(DataError, match="question 'x': column 'at' holds \"three\", expected a place"):
        plan.read(record(2, "q", "no no no", "no", at="three", id="x"))


def test_an_id_may_not_come_twice() -> None:
    plan = QuestionAnsweringConfig(answer="answer", id="id")
    task = plan.fit([record(n, *ROWS[0], id=n) for n in (2, 3)], "x")
    examples = [task.example(record(n, *ROWS[0], id="same")) for n in (2, 3)]
    with pytest.raises(DataError, match=r"qa.csv:3: the id 'same' stands at qa.csv:2 too"):
        task.filter(examples, "dev")


def test_what_is_cut_widened_or_read_in_windows_is_said_with_its_row() -> None:
    rows = [*ROWS, ("How long is it?", "it is 20mg_x", "20mg_")]
    task = fitted(rows, tokenizer="spaces", window=20, overlap=2, max_question=4, max_answer=2)
    examples = [task.example(one) for one in records(rows)]
    notes = task.filter(examples, "train")[1]
    wanted = [
        ("2 of 5 answers begin or end inside a token", "qa.csv:4, '1300' in '1300.'"),
        ("contexts are longer than task.window = 20 tokens, and are read in 2 windows that share 2", "qa.csv:2"),
        ("questions are longer than task.max_question = 4 tokens", "qa.csv:2, 6 tokens"),
        ("1 of 5 answers have more than task.max_answer = 2 tokens", "qa.csv:5"),
    ]
    for said, first in wanted:
        assert [said in note and first in note for note in notes].count(True) == 1, (said, notes)
    assert len(task.warnings([], examples)) == 2


def test_the_questions_of_an_article_stay_in_one_split() -> None:
    grouped = QuestionAnsweringConfig(answer="answer", group="title")
    first, second = (grouped.read(record(n, *ROWS[n], title="Oslo")) for n in (0, 3))
    assert first.key == second.key
    by_context = [QuestionAnsweringConfig(answer="answer").read(record(n, *ROWS[n])).key for n in (0, 1, 3)]
    assert by_context[0] == by_context[1] != by_context[2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"context": "question"}, "context: is 'question', another column's name too"),
        ({"overlap": 4}, "overlap: has no effect without window"),
        ({"window": 100, "overlap": 40}, "cannot share 40; expected at most 31"),
        ({"pieces": "x", "min_count": 2}, "min_count: has no effect with pieces"),
    ],
)
def test_options_that_cannot_take_effect_are_refused(options: Mapping[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        QuestionAnsweringConfig(**options)


# -- answers --------------------------------------------------------------------------------------------------------


def logits_for(task: QuestionAnswering, example: Any, spans: Mapping[tuple[int, int], float], null: float) -> Any:
    """Outputs of a model that scores these spans so, and everything else far below."""
    logits = np.full((int(task.nulls) + len(example.passage), 2), -50.0)
    if task.nulls:
        logits[0] = null / 2
    for (start, end), score in spans.items():
        logits[int(task.nulls) + start, 0], logits[int(task.nulls) + end, 1] = score / 2, score / 2
    return best_spans(logits, int(task.nulls), longest=30, number=20)


def test_an_answer_is_given_with_its_characters_in_the_raw_text() -> None:
    text = "Ünïcode 😀 is  fine, says Łódź."
    task = fitted([("Who?", text, "Łódź")])
    example = task.example(record(2, "Who?", text), gold=False)
    span = task.example(record(2, "Who?", text, "Łódź")).span
    assert span is not None
    answer = task.with_options({"n_best": 3}).answer(example, logits_for(task, example, {span: 3.0}, 0.0))
    assert (answer.answer, answer.start, answer.end) == ("Łódź", 25, 29)
    assert answer.score == pytest.approx(1.0, abs=1e-6)
    assert answer.to_dict()["n_best"][0] == {"answer": "Łódź", "score": answer.score, "start": 25, "end": 29}


def test_no_answer_is_always_among_the_best_and_is_given_above_the_threshold() -> None:
    task = fitted([*ROWS, ("Who?", TEXT, "")])
    example = task.example(record(2, "Who?", TEXT), gold=False)
    output = logits_for(task, example, {(0, 0): 2.0, (5, 5): 1.0}, 3.0)
    assert task.answer(example, output).to_dict() == {
        "answer": "",
        "score": output.null.probability,
        "start": None,
        "end": None,
        "question": "Who?",
        "note": "no answer",
    }
    task.threshold = 1.5  # no answer is 1 above the best one
    answer = task.with_options({"n_best": 2}).answer(example, output)
    assert answer.answer == "Oslo"
    assert answer.n_best is not None
    assert [one.answer for one in answer.n_best] == ["", "Oslo", "Oslo is the capital of Norway"]
    with pytest.raises(ConfigError, match="beam"):
        task.with_options({"beam": 2})


def test_the_threshold_is_where_f1_on_dev_is_best() -> None:
    rows = [*ROWS, ("Who?", TEXT, "")]
    task = fitted(rows)
    examples = [task.example(one) for one in records(rows)]
    gaps = [-3.0, -2.0, -1.0, 1.0, 2.0]  # the last one has no answer
    outputs = [logits_for(task, e, {e.span or (0, 0): 4.0}, 4.0 + gap) for e, gap in zip(examples, gaps, strict=True)]
    tuned = task.thresholded(outputs, examples)
    assert (task.threshold, tuned.threshold) == (0.0, 1.5)
    assert tuned.fitted == "1.5, where F1 is best on 5 dev rows: 80.0 to 100.0 %"
    assert json.loads(json.dumps(tuned.to_json()))["threshold"] == 1.5
    assert [one.tunes for one in (task, fitted(rows, threshold=-1.0), fitted())] == [True, False, False]


def test_a_blank_text_has_no_answer_and_a_note() -> None:
    task = fitted()
    model = model_for(task)
    for question, context in ((" ", TEXT), ("Who?", "")):
        example = task.example(record(1, question, context), gold=False)
        (output,) = task.predict(model, task.collate([example], [0]), [example])
        assert (task.answer(example, output).answer, task.answer(example, output).note) == ("", "blank text")


def test_right_answers_score_everything_and_those_inside_a_token_do_not() -> None:
    rows = [*ROWS, ("How long is it?", "it is 20mg_x", "20mg_")]
    task = fitted(rows, tokenizer="spaces")
    examples = [task.example(one) for one in records(rows)]
    scores = {s.name: s.value for s in task.score(task.perfect(examples), examples, "dev")}
    # 'spaces' keeps the comma, which is not compared; "20mg_x" beside "20mg_" has no word in common.
    assert scores == {"exact_match": 0.8, "f1": 0.8}
    assert task.doubts(examples, task.score(task.perfect(examples), examples, "dev")) != ()


def test_a_run_folder_holds_all_that_answers_need(tmp_path: Path) -> None:
    for options in ({}, {"pieces": str(folder(tmp_path / "tiny")), "window": 40, "overlap": 5, "max_question": 30}):
        task = fitted([*ROWS, ("Who?", TEXT, "")], **options)
        task.threshold = -1.25
        again = task.plan.restore(json.loads(json.dumps(task.to_json())), "task.json")
        one, other = (t.collate([t.example(records()[0])], [0]) for t in (task, again))
        assert all(torch.equal(one.inputs[name], other.inputs[name]) for name in one.inputs)
        assert (again.threshold, again.nulls) == (-1.25, True)


def test_words_are_marked_that_the_other_text_has_too() -> None:
    task = fitted()
    batch = task.collate([task.example(record(2, "capitals of norway", "the Capital of Oslo", "Oslo"))], [0])
    marks = batch.inputs["dictionary"][:, 0].int().tolist()
    # BOS capitals of norway EOS | the Capital of Oslo EOS: whose, the same word, the same first five letters
    assert marks == [
        [1, 0, 0], [1, 0, 1], [1, 1, 1], [1, 0, 0], [1, 0, 0],
        [0, 0, 0], [0, 0, 1], [0, 1, 1], [0, 0, 0], [0, 0, 0],
    ]  # fmt: skip


def test_the_baselines_read_nothing_but_words_in_common() -> None:
    task = fitted()
    examples = [task.example(one) for one in records()]
    found = task.baselines(examples, {"dev": [examples[1]]}).scores
    # "How many people has it?": the second sentence, which has six words beside the right one as compared.
    said = "It has 700,000 people, and its harbour was first built in 1300."
    words = len(said.split())
    precision = 1 / words
    assert {s.name: s.value for s in found["sentence"]}["f1"] == pytest.approx(2 * precision / (precision + 1))
    assert set(found) == {"sentence", "distance"}


def test_a_prediction_is_no_target_where_an_answer_is_not_known() -> None:
    task = fitted()
    known, unknown = task.example(records()[0]), task.example(records()[0], gold=False)
    assert task.collate([known, unknown], [0, 1]).targets == {}
    batch = task.collate([known], [0])
    loss = task.loss(Prediction({"span_logits": torch.zeros(len(known.passage), 1, 2)}), batch)
    assert float(loss.total) == pytest.approx(2 * math.log(len(known.passage)))
    assert replace(known, span=None).length == known.length


def test_a_start_of_thousands_of_digits_is_refused_at_its_line() -> None:
    plan = QuestionAnsweringConfig(answer="answer", start="start")
    row = {"question": "where?", "context": "Oslo is it", "answer": "Oslo", "start": "1" * 5000}
    with pytest.raises(DataError, match=r"x\.csv:3: column 'start' holds .*, expected a place in the context"):
        plan.read(Record(row, Origin("x.csv", 3)))


def test_the_distance_baseline_answers_a_long_context_without_memory_of_its_square() -> None:
    context = " ".join(f"w{k % 997}" for k in range(6000))
    baseline = Distance()
    baseline.fit([("", context), ("", "a"), ("", "b"), ("", "c")], [()] * 4)
    tracemalloc.start()
    found = baseline.predict([("what is w10 or w12 or w13", context)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == ["w11"]  # next to two of the three
    assert peak < 60e6  # distances between 6,000 words and 6,000 are 288 MB
