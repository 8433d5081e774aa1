"""Word vectors as a task: which words are read, in which pieces, what is scored, and what a config cannot ask for."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from recurra.api.schema import read_settings
from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.data.word_vectors.subwords import fnv
from recurra.engine import cpu, words
from recurra.models import TwoTables
from recurra.tasks import GivesVectors, MovesModel, WordVectorLearning, WordVectorsConfig
from recurra.tasks.sizing import Seen

pytestmark = pytest.mark.skipif(not cpu.available(), reason="needs the native engine")
TEXTS = ["a b a c", "a b rare", "", "c a b a"]


class AllThreads:
    """As many threads as may be, whether or not they are faster."""

    def run(self, threads: int, size: int, work: Callable[[int], Any]) -> Any:
        return work(threads)


@pytest.fixture(autouse=True)
def all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "TEAM", AllThreads())


def records(texts: list[str]) -> list[Record]:
    return [Record({"text": text}, Origin("t.txt", line)) for line, text in enumerate(texts, 1)]


def fitted(texts: list[str] = TEXTS, **options: Any) -> WordVectorLearning:
    usual = {"min_count": 2} if options.get("method") == "glove" else {"min_count": 2, "sample": 0.0}
    return WordVectorsConfig(**{**usual, **options}).fit(records(texts), "t.txt")


def examples(task: WordVectorLearning, texts: list[str] = TEXTS) -> list[Any]:
    return [task.example(record) for record in records(texts)]


def test_words_are_numbered_by_how_often_they_are_seen_and_rare_ones_left_out() -> None:
    task = fitted()
    assert task.learning.counts.tolist() == [5, 3, 2]  # a, b, c
    assert [one.words.tolist() for one in examples(task)] == [[0, 1, 0, 2], [0, 1], [], [2, 0, 1, 0]]
    assert task.model_sizes == {"words": 3, "outputs": 3}
    assert fitted(max_vocabulary=2).learning.counts.tolist() == [5, 3]


def test_a_batch_has_whole_texts_up_to_its_words_and_long_texts_are_cut() -> None:
    task = fitted()
    sampler = task.sampler(examples(task), batch_tokens=6, batch_rows=100, seed=9)
    found = [sampler.batch(item) for item in sampler.plan(2)]
    assert [batch.inputs["words"].tolist() for batch in found] == [[0, 1, 0, 2, -1], [0, 1, -1, -1], [2, 0, 1, 0, -1]]
    assert [int(batch.lengths.sum()) for batch in found] == [4, 2, 4]
    assert [batch.inputs["draws"].tolist() for batch in found] == [[9, 14], [9, 19], [9, 23]]  # 14 in epoch 1
    short = task.sampler(examples(task), batch_tokens=3, batch_rows=100, seed=9)
    pieces = [short.batch(item).inputs["words"].tolist() for item in short.plan(1)]
    assert [number for piece in pieces for number in piece] == [0, 1, 0, 2, -1, 0, 1, -1, -1, 2, 0, 1, 0, -1]
    assert max(map(len, pieces)) <= 4
    rows = task.sampler(examples(task), batch_tokens=100, batch_rows=1, seed=9)
    assert len(rows.plan(1)) == 4


def test_a_text_is_the_mean_of_its_known_words() -> None:
    task = fitted()
    model = TwoTables(task.model_sizes, vector_size=4)
    some = examples(task, ["a b unknown", "unknown"])
    said = task.predict(model, task.collate(some, (0, 1)), some)
    np.testing.assert_allclose(said[0].vector, (model.inputs[0] + model.inputs[1]) / 2, atol=1e-7)
    assert said[1].vector.tolist() == [0, 0, 0, 0]
    assert [one.words for one in said] == [2, 0]
    answer = task.answer(some[0], said[0])
    assert list(answer.numbers) == ["v1", "v2", "v3", "v4"]
    assert answer.steps == 2
    assert "1 of 2 texts holds no word that has a vector" in task.warnings(said, some)[0]


def test_the_loss_of_vectors_of_zeros_is_that_of_even_answers() -> None:
    """In a vocabulary of three, a word is told from two others: 3 answers, ln 2 each."""
    task = fitted(negatives=2)
    model = TwoTables(task.model_sizes, vector_size=4)
    some = examples(task)
    said = task.predict(model, task.collate(some, range(len(some))), some)
    assert task.score(said, some, "dev")[0].value == pytest.approx(3 * math.log(2), rel=1e-6)
    assert task.possible_scores(some)[0].value == pytest.approx(3 * math.log(2))
    # p = 1/3 for the right one and for each other: -ln(1/3) - 2 ln(2/3)
    (baseline,) = task.baselines(some, {"dev": some}).scores["without context"]
    assert baseline.value == pytest.approx(math.log(3) + 2 * math.log(1.5))


def test_scoring_moves_nothing_and_a_step_moves_both_tables() -> None:
    task = fitted()
    model = TwoTables(task.model_sizes, vector_size=4)
    some = examples(task)
    before = model.inputs.clone(), model.outputs.clone()
    task.predict(model, task.collate(some, range(len(some))), some)
    (item,) = (sampler := task.sampler(some, batch_tokens=100, batch_rows=100, seed=1)).plan(1)
    batch = sampler.batch(item)
    expected = task.loss(model(batch), batch)
    assert torch.equal(model.inputs, before[0])
    found = task.update(model, batch, 1e-5)  # so little that later windows lose as much as before
    assert found.count == expected.count
    assert float(found.total) == pytest.approx(float(expected.total), rel=1e-5)
    assert not torch.equal(model.outputs, before[1])


def test_of_a_tree_the_floor_is_the_entropy_of_the_words() -> None:
    """Counts 5, 3, 2: paths of 1, 2, 2 nodes, 1.5 on average; without context no code is shorter than the entropy."""
    task = fitted(objective="hierarchical_softmax", method="cbow")
    assert task.model_sizes == {"words": 3, "outputs": 2}
    some = examples(task)
    assert task.possible_scores(some)[0].value == pytest.approx(1.5 * math.log(2))
    (baseline,) = task.baselines(some, {"dev": some}).scores["without context"]
    assert baseline.value == pytest.approx(-sum(p * math.log(p) for p in (0.5, 0.3, 0.2)))
    with pytest.raises(ConfigError, match="negatives: has no effect with objective: hierarchical_softmax"):
        WordVectorsConfig(objective="hierarchical_softmax", negatives=3)
    with pytest.raises(DataError, match="a tree needs two words that were seen 9 times"):
        fitted(objective="hierarchical_softmax", min_count=9)


@pytest.mark.parametrize("method", ["skip_gram", "cbow", "subwords"])
@pytest.mark.parametrize("objective", ["negative_sampling", "hierarchical_softmax"])
def test_every_way_lowers_the_loss_of_what_it_reads(method: str, objective: str) -> None:
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(list("abcd" if n % 2 else "efgh"), 8)) for n in range(60)]
    task = fitted(texts, method=method, objective=objective, dynamic_window=False)
    model = TwoTables(task.model_sizes, vector_size=8)
    some = examples(task, texts)
    sampler = task.sampler(some, batch_tokens=1000, batch_rows=1000, seed=1)
    for epoch in range(1, 31):
        task.update(model, sampler.batch(sampler.plan(epoch)[0]), 0.1)
    said = task.predict(model, task.collate(some, range(len(some))), some)
    (score,) = task.score(said, some, "dev")
    (floor,) = task.baselines(some, {"dev": some}).scores["without context"]
    assert score.value < floor.value - 0.2


def two_topics() -> tuple[WordVectorLearning, list[Any], TwoTables]:
    """Words of two topics that never meet, learned by GloVe."""
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(list("abcd" if n % 2 else "efgh"), 8)) for n in range(60)]
    task = fitted(texts, method="glove", x_max=10.0)
    some, model = examples(task, texts), TwoTables(task.model_sizes, vector_size=8)
    sampler = task.sampler(some, batch_tokens=1000, batch_rows=1000, seed=1)
    for epoch in range(1, 31):
        for item in sampler.plan(epoch):
            task.update(model, sampler.batch(item), 0.1)
    return task, some, model


def test_glove_learns_the_logarithms_of_what_it_counts() -> None:
    torch.manual_seed(1)
    task, some, model = two_topics()
    (item, *_) = (sampler := task.sampler(some, batch_tokens=1000, batch_rows=1000, seed=1)).plan(1)
    batch = sampler.batch(item)
    pairs = batch.inputs["pairs"].numpy()
    rows, columns = pairs[:, :2].T
    log = pairs[:, 2:].copy().view(np.float32)[:, 0]
    w, c = model.inputs.numpy(), model.outputs.numpy()
    said = (w[rows, :-1] * c[columns, :-1]).sum(1) + w[rows, -1] + c[columns, -1]
    np.testing.assert_allclose(said, log, atol=0.2)  # ln x is 4 to 5
    assert float(task.loss(model(batch), batch).mean) < 0.01
    assert task.loss_unit == "squared error"
    vectors = task.vectors_of(model)
    np.testing.assert_allclose(vectors.matrix, w[:, :-1] + c[:, :-1])
    near = vectors.units @ vectors.units.T
    first = np.array([word in "abcd" for word in vectors.words])
    assert near[np.ix_(first, first)].mean() > near[np.ix_(first, ~first)].mean() + 0.1


def test_glove_is_scored_by_how_often_a_word_is_preferred_to_one_that_is_drawn() -> None:
    """Vectors that know two topics and no more: of the words drawn, those of the other topic are never preferred."""
    task, some, model = two_topics()
    topic = np.array([float(word in "abcd") for word in task.vectors_of(model).words])
    rows = np.stack((topic, 1 - topic, *[np.zeros(len(topic))] * 7), 1)
    drawn = task.learning.counts**0.75 / (task.learning.counts**0.75).sum()
    for table in (model.inputs, model.outputs):
        table.copy_(torch.from_numpy(rows))
    model.outputs[:, -1] = 0.3  # the same for all
    said = task.predict(model, task.collate(some, range(len(some))), some)
    (score,) = task.score(said, some, "dev")
    assert (score.name, score.better) == ("pair_accuracy", "higher")
    same = (drawn @ topic + drawn @ (1 - topic)) / 2  # the topics have as many pairs
    assert score.value == pytest.approx(1 - same / 2, abs=0.01)  # half of ties, 10,000 draws
    model.inputs.zero_()
    model.outputs[:, -1] = 0.3
    said = task.predict(model, task.collate(some, range(len(some))), some)
    assert task.score(said, some, "dev")[0].value == 0.5 == task.possible_scores(some)[0].value


def test_the_more_frequent_word_is_right_as_often_as_its_counts_say() -> None:
    """Counts 16, 1: drawn by 8 to 1. P(more frequent seen, rarer drawn) + half of P(the same)."""
    task = fitted(["a " * 16 + "b"], method="glove", min_count=1)
    (baseline,) = task.baselines([], {"dev": []}).scores["without context"]
    assert baseline.value == pytest.approx(16 / 17 * 1 / 9 + (16 / 17 * 8 / 9 + 1 / 17 * 1 / 9) / 2)


def test_the_pairs_of_an_epoch_are_the_same_in_another_order() -> None:
    task = fitted(["a b a c", "a b c a b a", "c a b a"] * 4, method="glove", symmetric=False)
    some = examples(task, ["a b a c", "a b c a b a", "c a b a"] * 4)
    sampler = task.sampler(some, batch_tokens=1, batch_rows=1, seed=1)
    again = task.sampler(some, batch_tokens=1, batch_rows=1, seed=1)
    assert sampler.plan(2) == again.plan(2) != sampler.plan(1)
    assert sorted(sampler.plan(2)) == sorted(sampler.plan(1))
    for item in sampler.plan(1):
        a, b = sampler.batch(item), again.batch(item)
        assert all(torch.equal(a.inputs[name], b.inputs[name]) for name in ("pairs", "begins"))
        assert int(a.lengths) == len(a.inputs["pairs"]) <= 5  # one word has five on its left


def test_a_word_of_subwords_is_the_mean_of_its_own_row_and_its_ngrams() -> None:
    task = fitted(["abc bcd", "abc bcd", "abc"], method="subwords", min_ngram=3, max_ngram=3, buckets=50)
    assert task.model_sizes["words"] == 2 + 50
    model = TwoTables(task.model_sizes, vector_size=4)
    vectors = task.vectors_of(model)
    table = model.inputs.numpy()

    def rows(word: str) -> list[int]:
        marked = f"<{word}>"
        return [2 + fnv(marked[k : k + 3].encode()) % 50 for k in range(len(marked) - 2)]

    np.testing.assert_allclose(vectors["abc"], table[[0, *rows("abc")]].mean(0), atol=1e-7)
    np.testing.assert_allclose(vectors["never"], table[rows("never")].mean(0), atol=1e-7)  # n-grams alone
    said = task.predict(model, task.collate((some := examples(task, ["abc bcd"])), (0,)), some)
    np.testing.assert_allclose(said[0].vector, (vectors["abc"] + vectors["bcd"]) / 2, atol=1e-7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "glove", "sample": 0.1}, "sample: has no effect with method: glove"),
        ({"method": "glove", "objective": "hierarchical_softmax"}, "objective: has no effect with method: glove"),
        ({"x_max": 5.0}, "x_max: has no effect with method: skip_gram"),
        ({"method": "cbow", "buckets": 5}, "buckets: has no effect with method: cbow"),
        ({"method": "subwords", "min_ngram": 7}, "min_ngram: expected at most max_ngram, 6, got 7"),
    ],
)
def test_options_of_another_method_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WordVectorsConfig(**options)


@pytest.mark.parametrize("method", ["skip_gram", "cbow", "subwords", "glove"])
def test_a_step_has_the_same_bits_for_any_number_of_threads(method: str) -> None:
    task = fitted(method=method)
    sampler = task.sampler(examples(task), batch_tokens=100, batch_rows=100, seed=1)
    found, before = [], torch.get_num_threads()
    for threads in (1, 2, 4):
        torch.manual_seed(1)
        model = TwoTables(task.model_sizes, vector_size=70)
        torch.set_num_threads(threads)
        try:
            for epoch in (1, 2):
                task.update(model, sampler.batch(sampler.plan(epoch)[0]), 0.1)
        finally:
            torch.set_num_threads(before)
        found.append(model.inputs.numpy().tobytes() + model.outputs.numpy().tobytes())
    assert found[0] == found[1] == found[2]


def test_a_task_comes_back_from_its_json_and_a_damaged_one_is_refused() -> None:
    task, plan = fitted(), WordVectorsConfig(min_count=2, sample=0.0)
    again = plan.restore(task.to_json(), "task.json")
    assert again.to_json() == task.to_json()
    for changed in ({}, {"counts": [5, 3]}, {"counts": [5, 3, 0]}, {"counts": "5"}, {"counts": [5, 3, True]}):
        stored = {**task.to_json(), **changed} if changed else {}
        with pytest.raises(RunError, match=r"task\.json: expected"):
            plan.restore(stored, "task.json")


def test_text_without_a_pair_is_refused() -> None:
    with pytest.raises(DataError, match="all 2 training rows are blank"):
        fitted(["", " "])
    task = fitted()
    with pytest.raises(DataError, match="dev: no text has two words that were seen often enough"):
        task.filter(examples(task, ["a", "rare x"]), "dev")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("training.optimizer=adam", "moved by plain sgd"),
        ("training.optimizer={name: sgd, momentum: 0.9}", "moved by plain sgd"),
        ("training.clipping=norm", "clipping: has no effect on word vectors"),
        ("training.l2=0.1", "l2: has no effect on word vectors"),
        ("training.init_vectors=x.txt", "init_vectors: has no effect on word vectors"),
        ("data.split=folds", "expected ordered or random or hash"),
    ],
)
def test_what_has_no_effect_is_refused(given: str, message: str) -> None:
    config = {"task": {"name": "word_vectors"}, "data": {"train": "t.txt"}}
    assert read_settings(config).training.epochs == 5
    with pytest.raises(ConfigError, match=message):
        read_settings(config, [given])


def test_the_task_has_its_capabilities() -> None:
    task = fitted()
    assert isinstance(task, MovesModel)
    assert isinstance(task, GivesVectors)
    assert task.vectors_of(TwoTables(task.model_sizes, vector_size=4)).words == ("a", "b", "c")


def test_what_init_chooses_for_glove_are_the_settings_of_its_paper() -> None:
    seen = Seen(records(["a b c " * 100] * 20), 20)
    chosen = {one.path: one.value for one in WordVectorsConfig.sized({"text": "text", "method": "glove"}, seen)}
    assert (chosen["task.window"], chosen["training.epochs"], chosen["training.schedule"]) == (10, 50, "constant")
    assert chosen["training.optimizer"] == {"name": "sgd", "lr": 0.05}
    assert "task.window" not in {one.path for one in WordVectorsConfig.sized({"text": "text"}, seen)}
