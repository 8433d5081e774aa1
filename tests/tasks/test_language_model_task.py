"""Language models: rows to documents, passages and streams; scores against sums by hand; what is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import pytest
import symusic
import torch

from models.models_room import language_model
from recurra.base.contracts import Batch, Origin, Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.data.splits import OrderedSplit, split
from recurra.data.tokenizers import EOS, UNK, encode
from recurra.models import SequenceModel
from recurra.nn import softmax_log_probabilities
from recurra.tasks import GenerationOptions, LanguageModelConfig, LanguageModelling
from recurra.tasks.language_model import documents
from recurra.tasks.language_model.generation import Held, Text, choice
from recurra.tasks.language_model.scoring import doubling_bins, text_scores
from recurra.tasks.language_model.suggesting import Suggester
from recurra.tasks.language_model.task import scored
from recurra.training import TruncatedBPTT

LINES = ("to be or not to be", "", "that is the <unk> question", "whether tis nobler")


def records(texts: Sequence[str], path: str = "a.txt") -> list[Record]:
    return [Record({"text": text}, Origin(path, n)) for n, text in enumerate(texts, start=1)]


def fitted(texts: Sequence[str] = LINES, **options: Any) -> LanguageModelling:
    return LanguageModelConfig(**{"tokenizer": "spaces", **options}).fit(records(texts), "a.txt")


def model_for(task: LanguageModelling, **options: Any) -> SequenceModel:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"embedding_size": 5, "hidden_size": 6, "num_layers": 2, "init": "orthogonal"}
    return language_model(*task.model_sizes.values(), **{**sizes, **options}).eval()


def passages(task: LanguageModelling, texts: Sequence[str] = LINES) -> list[documents.Passage]:
    rows = [documents.TextRow(str(record.fields["text"]), record.origin) for record in records(texts)]
    return list(task.filter(list(task.examples(rows)), "dev")[0])


def document_numbers(task: LanguageModelling, passages: Sequence[documents.Passage]) -> list[int]:
    """What stands before a document, its tokens and its end."""
    own = [p.numbers(task.start)[1 + p.start - p.first :].tolist() for p in passages]
    return [task.start, *chain.from_iterable(own)]


def by_document(passages: Sequence[documents.Passage]) -> list[list[documents.Passage]]:
    found: list[list[documents.Passage]] = []
    for passage in passages:
        if not passage.start:
            found.append([])
        found[-1].append(passage)
    return found


def nats_by_one_run(
    task: LanguageModelling, model: SequenceModel, document: Sequence[documents.Passage]
) -> list[float]:
    """-log p of each target, in one pass from the beginning, from the matrix of all probabilities."""
    numbers = torch.tensor(document_numbers(task, document))
    batch = Batch({"tokens": numbers[:-1].unsqueeze(1)}, torch.tensor([len(numbers) - 1]), {}, (0,))
    with torch.inference_mode():
        log_probs = softmax_log_probabilities(model(batch).outputs)[:, 0].double()
    return (-log_probs.gather(1, numbers[1:].unsqueeze(1)).squeeze(1)).tolist()


# -- documents ---------------------------------------------------------------------------------------------------------


def test_the_lines_of_a_file_follow_one_another_with_a_token_at_each_end() -> None:
    task = fitted()
    (passage,) = passages(task)
    expected = "to be or not to be / / that is the <unk> question / whether tis nobler /"
    assert passage.tokens == tuple(expected.replace("/", "\n").split(" "))
    # The <unk> of the text is the unknown token, a line break a token like others, and one stands before the first.
    numbers = document_numbers(task, [passage])
    names = task.reader.vocabulary.tokens(numbers)
    assert names[:3] == ["\n", "to", "be"]
    assert (names[12], numbers[12]) == ("<unk>", UNK)
    assert passage.characters == sum(len(line) + 1 for line in LINES)
    assert passage.targets == len(passage.tokens)


def test_rows_that_are_documents_end_with_an_end_and_keep_the_line_breaks_inside() -> None:
    task = fitted(("a b\r\nc", "d"), document="row")
    first, second = passages(task, ("a b\r\nc", "d"))
    assert first.tokens == ("a", "b", "\n", "c")
    numbers = document_numbers(task, [first])
    assert (numbers[0], numbers[-1]) == (EOS, EOS)
    assert (first.targets, second.targets) == (5, 2)
    assert (first.characters, second.characters) == (7, 2)


def test_numbers_are_in_the_order_of_frequency() -> None:
    task = fitted(["c c c b b a", "b c"], line_breaks=False)
    assert task.reader.vocabulary.tokens([4, 5, 6]) == ["c", "b", "a"]


def test_line_breaks_false_leaves_them_out() -> None:
    task = fitted(line_breaks=False)
    (passage,) = passages(task)
    assert "\n" not in passage.tokens
    assert task.start == EOS
    with pytest.raises(ConfigError, match=r"line_breaks: false would glue"):
        LanguageModelConfig(line_breaks=False, tokenizer="characters")


def test_blank_lines_before_the_first_token_of_a_document_are_counted_too() -> None:
    task = fitted(("", " ", "a b"), line_breaks=False)
    (passage,) = passages(task, ("", " ", "a b"))
    assert passage.tokens == ("a", "b")
    assert passage.characters == 1 + 2 + 4


def test_characters_give_the_text_back() -> None:
    task = fitted(("Ärger\t", "", " zwei"), tokenizer="characters")
    (passage,) = passages(task, ("Ärger\t", "", " zwei"))
    assert "".join(passage.tokens) == "Ärger\t\n\n zwei\n"
    assert passage.targets == passage.characters == 14


def test_a_long_document_is_cut_into_passages_that_hold_each_target_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "PIECE", 4)
    monkeypatch.setattr(documents, "WARM_UP", 3)
    task = fitted()
    found = passages(task)
    assert [(p.start, p.stop, p.first) for p in found] == [(0, 4, 0), (4, 8, 1), (8, 12, 5), (12, 16, 9), (16, 18, 13)]
    assert sum(p.characters for p in found) == sum(len(line) + 1 for line in LINES)
    assert [p.origin.line for p in found] == [1, 1, 3, 3, 4]
    batch = task.collate(found, range(5))
    assert batch.lengths.tolist() == [4, 7, 7, 7, 5]
    assert scored(batch).sum(0).tolist() == [4, 4, 4, 4, 2]


# -- streams -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", ["file", "row"])
def test_streams_with_a_carried_state_see_what_one_run_of_each_document_sees(document: str) -> None:
    texts = [line for line in LINES if line]
    task = fitted(texts, document=document, bptt=3)
    model, found = model_for(task), passages(task, texts)
    sampler = task.sampler(found, batch_tokens=100, batch_rows=1, seed=3)
    carry, said = TruncatedBPTT(model), []
    with torch.inference_mode():
        for item in sampler.plan(1):
            batch = sampler.batch(item)
            assert batch.inputs["tokens"].shape[0] <= 3
            said.append(float(task.loss(carry(batch), batch).total))
    expected = [n for d in by_document(found) for n in nats_by_one_run(task, model, d)]
    assert math.fsum(said) == pytest.approx(math.fsum(expected), rel=1e-5)  # float32, other order of the sums


def test_a_batch_names_the_passages_its_rows_are_in_and_never_reads_over_an_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(documents, "PIECE", 4)
    monkeypatch.setattr("recurra.tasks.language_model.order.PIECE", 4)
    task = fitted(document="row", texts=[f"{'a ' * k}b" for k in range(12)], bptt=5)
    found = passages(task, [f"{'a ' * k}b" for k in range(12)])
    sampler = task.sampler(found, batch_tokens=15, batch_rows=64, seed=1)
    seen = []
    for epoch in (1, 2):
        for item in sampler.plan(epoch):
            batch = sampler.batch(item)
            assert batch.inputs["tokens"].shape[1] <= 3, "batch_tokens bounds the rows"
            rows = zip(batch.indices, batch.lengths.tolist(), batch.targets["tokens"].t().tolist(), strict=True)
            for index, length, targets in rows:
                (document,) = (d for d in by_document(found) if found[index] in d)
                whole = document_numbers(task, document)[1:]
                some = targets[:length]
                assert any(whole[k : k + length] == some for k in range(len(whole)))
                seen.append(length)
    assert sum(seen) == 2 * sum(p.targets for p in found)


# -- scores ------------------------------------------------------------------------------------------------------------


def test_nats_of_passages_are_those_of_one_run_where_the_warm_up_reaches_back_to_the_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(documents, "PIECE", 4)
    monkeypatch.setattr(documents, "WARM_UP", 100)
    task = fitted()
    model, found = model_for(task), passages(task)
    with torch.inference_mode():
        outputs = task.predict(model, task.collate(found, range(len(found))), found)
    expected = nats_by_one_run(task, model, found)
    np.testing.assert_allclose([n for o in outputs for n in o.nats], expected, rtol=1e-5)
    perplexity, bits, loss = task.score(outputs, found, "dev")
    assert (perplexity.name, bits.name, loss.name) == ("perplexity", "bits_per_character", "log_loss")
    assert perplexity.value == pytest.approx(math.exp(sum(expected) / 18), rel=1e-5)
    assert bits.value == pytest.approx(sum(expected) / math.log(2) / sum(len(line) + 1 for line in LINES), rel=1e-5)


def test_a_passage_alone_has_the_bits_that_it_has_in_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "PIECE", 5)
    monkeypatch.setattr(documents, "WARM_UP", 2)
    task = fitted()
    model, found = model_for(task), passages(task)
    with torch.inference_mode():
        together = task.predict(model, task.collate(found, range(len(found))), found)
        alone = [task.predict(model, task.collate([p], (k,)), [p])[0] for k, p in enumerate(found)]
    assert together == alone


def test_what_a_batch_has_in_its_padding_changes_no_loss() -> None:
    task = fitted(("a b c d", "a"), document="row")
    model, found = model_for(task), passages(task, ("a b c d", "a"))
    batch = task.collate(found, (0, 1))
    expected = task.loss(model(batch), batch).total
    batch.inputs["tokens"][2:, 1] = 5
    batch.targets["tokens"][2:, 1] = 5
    assert torch.equal(task.loss(model(batch), batch).total, expected)


def test_scores_by_hand() -> None:
    scores = text_scores([1.0, 2.0], count=2, characters=6, split="test")
    assert [s.value for s in scores] == pytest.approx([math.exp(1.5), 3 / math.log(2) / 6, 1.5])
    assert text_scores([1e6], count=1, characters=1, split="test")[0].value == math.inf
    assert doubling_bins([0, 1, 2, 3, 4, 9], [1, 2, 3, 5, 6, 8]) == [(0, 0, 1, 1), (1, 1, 1, 2), (2, 3, 2, 4),
                                                                     (4, 7, 1, 6), (8, 15, 1, 8)]  # fmt: skip


def test_baselines_count_training_and_score_the_same_targets() -> None:
    task = fitted(["a b a b", "a c"])
    train = passages(task, ["a b a b", "a c"])
    found = task.baselines(train, {"dev": train})
    # 7 tokens: a 3, b 2, c 1, two line breaks: 8 in all; V = 4 special ones and 4 tokens.
    expected = -sum(n * math.log((n + 1) / (8 + 8)) for n in (3, 2, 1, 2)) / 8
    assert found.scores["unigram"][2].value == pytest.approx(expected)
    assert found.scores["bigram"][2].value < found.scores["unigram"][2].value


def test_a_table_shows_the_loss_by_rank_and_a_chart_by_position() -> None:
    task = fitted()
    found = passages(task)
    outputs = [type(o)(tuple(float(k) for k in range(18))) for o in [task_output(task, found)]]
    (table,) = task.tables(outputs, found)
    assert [row[0] for row in table.rows] == ["1 to 10", "11 to 100", "unknown"]
    assert sum(int(row[1]) for row in table.rows) == 18
    (chart,) = task.charts(outputs, found)
    assert chart.curves[0].points == ((0.0, 0.0), (1.0, 1.0), (2.0, 2.5), (3.0, 5.5), (4.0, 11.5), (5.0, 16.5))


def task_output(task: LanguageModelling, found: Sequence[documents.Passage]) -> Any:
    with torch.inference_mode():
        return task.predict(model_for(task), task.collate(found, (0,)), found)[0]


# -- what is wrong -----------------------------------------------------------------------------------------------------


def test_what_cannot_be_read_is_said_with_its_place() -> None:
    row = LanguageModelConfig(document="row")
    with pytest.raises(DataError, match=r"a\.txt:2: column 'text' is empty, .*document: file"):
        row.read(records(["a", " "])[1])
    LanguageModelConfig(document="file").read(records([""])[0])
    with pytest.raises(DataError, match=r"a\.txt: column 'text' holds 3, expected text"):
        row.read(Record({"text": 3}, Origin("a.txt")))
    with pytest.raises(DataError, match=r"a\.txt: all 2 training rows are blank"):
        fitted(["", "  "])
    task = fitted(["a b"], line_breaks=False)
    with pytest.raises(DataError, match="dev: its rows hold no token"):
        passages(task, [""])
    with pytest.raises(DataError, match=r"a\.txt:1: has 100,002 tokens, and predict takes at most 100,000"):
        fitted().example(records(["a " * 100_001])[0], gold=False)


def test_a_task_comes_back_from_its_json_and_from_nothing_else() -> None:
    plan = LanguageModelConfig(tokenizer="spaces")
    task = plan.fit(records(LINES), "a.txt")
    assert plan.restore(task.to_json(), "task.json").to_json() == task.to_json()
    for wrong in ({}, {"reader": {}}, {"reader": 3}):
        with pytest.raises(RunError, match=r"task\.json: expected"):
            plan.restore(wrong, "task.json")


@pytest.mark.parametrize("texts", [["ab cde " * 100], ["x", "ab cde " * 100], ["été " * 200]])
def test_a_text_of_too_few_lines_is_cut_where_a_split_ends(texts: list[str]) -> None:
    plan = LanguageModelConfig()
    rule = OrderedSplit(dev=0.1, test=0.2)
    given = [plan.read(record) for record in records(texts)]
    assert not all(split(given, rule, group=lambda row: row.key).values())
    torn = plan.torn(given, rule)
    assert "".join(row.text for row in torn) == "".join(texts)
    assert {row.origin.line for row in torn} == {row.origin.line for row in given}
    parts = split(torn, rule, group=lambda row: row.key)
    whole = sum(map(len, texts))
    for name, share in (("train", 0.7), ("dev", 0.1), ("test", 0.2)):
        rows = [row.text for row in parts[name]]
        assert sum(map(len, rows)) / whole == pytest.approx(share, abs=0.02)
        assert all(text.endswith((" ", "x")) for text in rows), "cut behind a space"


def test_a_text_without_spaces_is_cut_between_characters() -> None:
    plan, rule = LanguageModelConfig(), OrderedSplit()
    text = "e\u0301" * 5_000
    parts = split(plan.torn([plan.read(*records([text]))], rule), rule, group=lambda row: row.key)
    rows = [row.text for name in ("train", "dev", "test") for row in parts[name]]
    assert [len(row) % 2 for row in rows] == [0, 0, 0]
    assert "".join(rows) == text


# -- writing -----------------------------------------------------------------------------------------------------------


def test_a_prompt_is_read_as_one_run_reads_it_and_the_most_probable_token_follows() -> None:
    task = fitted()
    model = model_for(task)
    writer = task.writer(model)
    numbers, _ = writer.read("to be\nthat")
    assert task.reader.vocabulary.tokens(numbers) == ["\n", "to", "be", "\n", "that"]
    steps, state = writer.step(torch.tensor(numbers[-1:]), writer.state(numbers[:-1]))
    batch = Batch({"tokens": torch.tensor(numbers).unsqueeze(1)}, torch.tensor([len(numbers)]), {}, (0,))
    with torch.inference_mode():
        expected = softmax_log_probabilities(model(batch).outputs)[-1, 0]
    torch.testing.assert_close(steps[0, 4:], expected[4:])
    assert torch.isinf(steps[0, :4]).all(), "no padding, unknown token, beginning or end"
    assert set(state) == {"state.h_l0", "state.c_l0", "state.h_l1", "state.c_l1"}


def test_what_is_written_is_what_its_tokens_join_to(monkeypatch: pytest.MonkeyPatch) -> None:
    task = fitted()
    writer = task.writer(model_for(task))
    text = "".join(w.text for w in writer.write("to be", GenerationOptions(length=12, temperature=0)))
    first, *rest = text.split("\n")
    words = [*first.split(" ")[1:], *(word for line in rest for word in ("\n", *line.split()))]
    assert first == "" or first.startswith(" ")
    assert len(words) == 12
    assert not encode(task.reader.vocabulary, words).unknown


def test_text_is_held_back_only_while_it_may_be_the_stop() -> None:
    for whole, stop, expected in (
        ("abcabd!", "abd", "abc"),
        ("aaab", "aab", "a"),
        ("no such thing", "\n\n", "no such thing"),
        ("x\n\ny", "\n\n", "x"),
    ):
        for size in (1, 2, 3):
            held, shown = Held(stop), ""
            parts = [whole[k : k + size] for k in range(0, len(whole), size)]
            for n, part in enumerate(parts, start=1):
                shown += held.add(part, last=n == len(parts))
                if held.stopped:
                    break
            assert shown == expected


def test_writing_ends_before_a_stop_that_is_spelt_otherwise_than_the_model_writes() -> None:
    task = fitted(["été été été"], tokenizer={"name": "characters", "lowercase": True})
    writer = task.writer(model_for(task))
    how = {"length": 40, "seed": 3}
    whole = "".join(w.text for w in writer.write("", GenerationOptions(**how)))
    assert "é" in whole
    cut = "".join(w.text for w in writer.write("", GenerationOptions(**how, stop="E\u0301")))
    assert cut == whole.partition("é")[0]


def test_options_of_writing_are_checked_at_once() -> None:
    task = fitted()
    writer = task.writer(model_for(task))
    with pytest.raises(ConfigError, match="stop: is empty"):
        writer.write("a", GenerationOptions(length=3, stop=""))
    with pytest.raises(ConfigError, match="length: expected a whole number from 1 to 100,000, got 0"):
        writer.write("a", GenerationOptions(length=0))
    with pytest.raises(ConfigError, match="top_k: has no effect at temperature 0"):
        choice(GenerationOptions(temperature=0, top_k=3))


def test_each_option_of_writing_reaches_the_draw() -> None:
    """Of one candidate, by number or by probability, the most probable is drawn, at any temperature and seed."""
    task = fitted()
    writer = task.writer(model_for(task))

    def text(**options: Any) -> str:
        return "".join(w.text for w in writer.write("to be", GenerationOptions(length=20, **options)))

    best = text(temperature=0)
    assert text(top_k=1, temperature=9.0, seed=4) == text(top_p=1e-9, temperature=9.0, seed=5) == best
    drawn = [text(), text(seed=1), text(number=1), text(temperature=9.0)]
    assert len({best, *drawn}) == 5


def test_a_tune_that_was_written_is_played() -> None:
    score = symusic.Score.from_midi(fitted().midi("X: 1\nM: 4/4\nL: 1/4\nK: D\nF2 z c|"))
    assert [note.pitch for note in score.tracks[0].notes] == [66, 73]  # F and C are sharp in D major
    with pytest.raises(DataError, match="no tune in ABC"):
        fitted().midi("to be or not")


# -- suggesting --------------------------------------------------------------------------------------------------------

TOKENIZERS: dict[str, Any] = {
    "spaces": "spaces",
    "words": {"name": "words", "lowercase": True},
    "characters": "characters",
    "bpe": {"name": "subwords", "vocab_size": 40},
    "wordpiece": {"name": "subwords", "vocab_size": 40, "algorithm": "wordpiece"},
}


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
def test_suggestions_while_typing_are_those_of_a_fresh_look_and_begin_with_what_is_typed(tokenizer: Any) -> None:
    task = fitted(tokenizer=tokenizer)
    writer = task.writer(model_for(task))
    typist = Suggester(writer)
    text = "to be or\nthat th"
    for end in [*range(len(text) + 1), *range(len(text) - 1, 0, -3), len(text)]:
        some = text[:end]
        found = typist.suggest(some, 4)
        typed = "" if not some or some[-1].isspace() else some.split()[-1]
        assert found
        assert all(one.word.startswith(typed) for one in found)
        assert [one.probability for one in found] == sorted((one.probability for one in found), reverse=True)
        assert 0 < sum(one.probability for one in found) <= 1 + 1e-6
        fresh = Suggester(writer).suggest(some, 4)
        assert [one.word for one in fresh] == [one.word for one in found]
        np.testing.assert_allclose(
            [one.probability for one in fresh], [one.probability for one in found], rtol=1e-4
        )  # float32: one call of many steps, and many of one


def test_words_of_one_token_have_their_probability_among_those_that_fit() -> None:
    task = fitted()
    model = model_for(task)
    found = Suggester(task.writer(model)).suggest("or not t", 5)
    batch = Batch(
        {"tokens": torch.tensor([*task.reader.vocabulary.ids(["\n", "or", "not"])]).unsqueeze(1)},
        torch.tensor([3]), {}, (0,),
    )  # fmt: skip
    with torch.inference_mode():
        log_probs = softmax_log_probabilities(model(batch).outputs)[-1, 0]
    fitting = {w: float(log_probs[task.reader.vocabulary.ids([w])[0]].exp()) for w in ("to", "the", "that", "tis")}
    assert {one.word: one.probability for one in found} == pytest.approx(
        {word: p / sum(fitting.values()) for word, p in fitting.items()}, rel=1e-5
    )


def test_words_of_letters_have_the_probability_of_their_letters_and_an_end() -> None:
    """All words of at most two letters of a tiny alphabet, counted out: after "a", the words a, aa and ab."""
    task = fitted(("aa ab", "a ba"), tokenizer="characters")
    model = model_for(task)
    writer = task.writer(model)

    def p(text: str, following: str) -> float:
        numbers, _ = writer.read(text)
        log_probs, _ = writer.step(torch.tensor(numbers[-1:]), writer.state(numbers[:-1]))
        return math.fsum(float(log_probs[0, task.reader.vocabulary.ids([c])[0]].exp()) for c in following)

    found = {one.word: one.probability for one in Suggester(writer).suggest("ba a", 100)}
    # Whatever is looked at, the shares of two words are as their probabilities are; a line break is an end as well.
    a, ab = 1 - p("ba a", "ab"), p("ba a", "b") * (1 - p("ba ab", "ab"))
    assert found["a"] / found["ab"] == pytest.approx(a / ab, rel=1e-4)


def test_nothing_is_suggested_where_nothing_fits() -> None:
    task = fitted()
    assert Suggester(task.writer(model_for(task))).suggest("to xyz") == []


@pytest.mark.parametrize(
    "options",
    [*({"cell": name} for name in ("lstm", "gru_reset_before", "slstm", "rnn")), {"zoneout": 0.2}, {"weight_drop": 0.3},
     {"cell": "lstm_projected", "proj_size": 5}, {"softmax": "adaptive"}, {"backend": "reference"},
     {"tied": False, "num_layers": 3}],
    ids=str,
)  # fmt: skip
def test_one_step_after_another_is_what_the_model_says_of_all_at_once(options: dict[str, Any]) -> None:
    task = fitted()
    model = model_for(task, **options)
    writer = task.writer(model)
    numbers = torch.tensor([[4, 5], [6, 4], [7, 9], [5, 5]])
    batch = Batch({"tokens": numbers}, torch.tensor([4, 4]), {}, (0, 1))
    with torch.inference_mode():
        expected = softmax_log_probabilities(model(batch).outputs)
    state: dict[str, torch.Tensor] = {}
    for t in range(4):
        log_probs, state = writer.step(numbers[t], state)
        torch.testing.assert_close(log_probs[:, 4:], expected[t][:, 4:], atol=1e-5, rtol=1e-5)


def test_signs_stand_close_where_words_are_joined_token_by_token() -> None:
    reader = fitted(("Yes (no), sir: why?",), tokenizer="words").reader
    text = Text(reader.tokenizer, ["Well", ","])
    added = [text.add(token) for token in ("yes", "(", "no", ")", ",", "sir", "!", "\n", "He", ".")]
    assert added == [" yes", " (", "no", ")", ",", " sir", "!", "\n", "He", "."]
    cut = fitted(("a , b",)).reader
    assert Text(cut.tokenizer, ["a"]).add(",") == " ,"


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
def test_a_long_line_comes_out_as_its_tokens_join(tokenizer: Any) -> None:
    reader = fitted(tokenizer=tokenizer).reader
    tokens = reader.tokenizer.tokenize("to be or not to be that is the question whether tis nobler " * 12)
    text = Text(reader.tokenizer, tokens[:1])
    assert len(tokens) > 140
    assert reader.tokenizer.join(tokens[:1]) + "".join(map(text.add, tokens[1:])) == reader.tokenizer.join(tokens)


def test_writing_ends_where_the_learned_positions_do() -> None:
    task = fitted()
    torch.manual_seed(0)
    encoder = {"name": "transformer", "causal": True, "hidden_size": 8, "num_heads": 2, "positions": "learned",
               "max_positions": 6}  # fmt: skip
    model = SequenceModel(task.model_sizes, inputs={"name": "tokens", "embedding_size": 8}, encoder=encoder,
                          head="vocabulary").eval()  # fmt: skip
    writer = task.writer(model)
    numbers, _ = writer.read("to be")
    pieces = list(writer.write("to be", GenerationOptions(length=12, temperature=0)))
    assert len(pieces) == 6 - (len(numbers) - 1), "the last token of a prompt is read by the first step"
    with pytest.raises(ConfigError, match="a sequence has 7 steps, and there are positions for 6"):
        list(writer.write("to be to be to be", GenerationOptions(length=12)))
