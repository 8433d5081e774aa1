"""The wide part: n-grams of a text to logits, beside what a network says of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.data.ngrams import Counted
from recurra.models import SequenceModel
from recurra.models.inputs import BagOfNGrams
from recurra.models.wide import Bag
from recurra.tasks.wide import fit_scale, idf, pad_ngrams, solve_bag

B, C, W = 50, 3, 20
SIZES = {"tokens": 9, "labels": C, "ngrams": B, "word_ngrams": W}


def counted(number: int = 20, seed: int = 0) -> list[Counted]:
    draw = np.random.default_rng(seed)
    rows = [np.unique(draw.integers(0, B, int(draw.integers(0, 30)))) for _ in range(number)]
    return [Counted(ids.astype(np.uint32), draw.integers(1, 6, len(ids)).astype(np.float32)) for ids in rows]


def solved(weighting: Any = "tfidf", rows: list[Counted] | None = None) -> Bag:
    bag, rows = Bag(SIZES, weighting=weighting, l2=0.1), counted() if rows is None else rows
    gold = torch.arange(len(rows)) % C
    solve_bag(bag, rows, lambda logits, some: torch.nn.functional.cross_entropy(logits, gold[some], reduction="sum"))
    return bag.eval()


def batch(rows: list[Counted]) -> Batch:
    return Batch(pad_ngrams(rows), torch.zeros(len(rows), dtype=torch.int64), {}, tuple(range(len(rows))))


@pytest.mark.parametrize("weighting", ["tfidf", "counts", "binary"])
def test_logits_are_those_of_the_formula_in_float64(weighting: str) -> None:
    rows, bag = counted(), solved(weighting)
    having = [sum(k in row.ids for row in rows) for k in range(B)]
    expected = np.tile(bag.bias.double().numpy(), (len(rows), 1))
    for n, row in enumerate(rows):
        x = []
        for k, count in zip(row.ids.tolist(), row.counts.tolist(), strict=True):
            rare = np.log((1 + len(rows)) / (1 + having[k])) + 1
            x.append({"tfidf": (1 + np.log(count)) * rare, "counts": count, "binary": 1.0}[weighting])
        for k, value in zip(row.ids.tolist(), x, strict=True):
            square = sum(v * v for j, v in zip(row.ids.tolist(), x, strict=True) if (j < W) == (k < W))
            expected[n] += value / np.sqrt(2 * square) * bag.weight[k].double().numpy()
    np.testing.assert_allclose(bag.logits(batch(rows)), expected, atol=2e-6)  # float32
    assert np.abs(expected).max() > 0.5


def test_a_text_alone_has_the_bits_that_it_has_in_a_batch_whatever_stands_in_the_padding() -> None:
    rows, bag = counted(), solved()
    together = batch(rows)
    padded = together.inputs["ngram_counts"] == 0
    garbage = torch.where(padded, 10**12, together.inputs["ngrams"])
    found = bag.logits(Batch({**together.inputs, "ngrams": garbage}, together.lengths, {}, together.indices))
    for n, row in enumerate(rows):
        assert torch.equal(bag.logits(batch([row]))[0], found[n])
    assert padded.any()


def test_a_text_without_ngrams_has_the_bias_alone() -> None:
    bag = solved()
    nothing = Counted(np.zeros(0, np.uint32), np.zeros(0, np.float32))
    assert torch.equal(bag.logits(batch([nothing]))[0], bag.bias)


def test_an_ngram_of_one_row_counts_among_few_rows_and_not_among_a_thousand() -> None:
    ids = torch.tensor([0, 1, 1])
    assert idf(ids, 999, 3, True).tolist() == pytest.approx([np.log(1000 / 2) + 1, np.log(1000 / 3) + 1, 0])
    assert idf(ids, 1000, 3, True).tolist() == pytest.approx([0, np.log(1001 / 3) + 1, 0])
    assert idf(ids, 1000, 3, False).tolist() == [0, 1, 0]


def test_the_answer_is_the_sum_of_both_shares_and_training_sees_the_head_alone() -> None:
    rows, bag = counted(), solved()
    bag.share.copy_(torch.tensor([0.7, 0.2]))
    deep = torch.randn(len(rows), C, generator=torch.Generator().manual_seed(0))
    found = bag(batch(rows), {"logits": deep})["logits"]
    torch.testing.assert_close(found, 0.7 * bag.logits(batch(rows)) + 0.2 * deep)
    assert bag.train()(batch(rows), {"logits": deep})["logits"] is deep


def test_no_optimizer_moves_the_bag_and_its_numbers_are_saved_with_the_weights() -> None:
    model = SequenceModel(SIZES, wide="bag")
    assert not any(name.startswith("wide.") for name, _ in model.named_parameters())
    assert {f"wide.{name}" for name in ("scale", "weight", "bias", "share")} <= model.state_dict().keys()


def test_a_bag_without_ngrams_and_ngrams_without_a_bag_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"bag: reads n-grams, and none are counted; set task\.ngrams: hashed"):
        Bag({"tokens": 9, "labels": C})
    with pytest.raises(ConfigError, match=r"wide: nothing reads the n-grams that task\.ngrams counts"):
        SequenceModel(SIZES)


def test_a_bag_reads_no_text_in_pieces() -> None:
    model = SequenceModel(SIZES, wide="bag", encoder={"name": "recurrent", "bidirectional": False})
    assert model.cannot_stream() == [
        "model.wide.name: a bag counts the n-grams of a whole text; set model.wide and task.ngrams to none."
    ]


def read_by(inputs: BagOfNGrams, rows: list[Counted]) -> torch.Tensor:
    x, lengths = inputs(batch(rows))
    assert x.shape[0] == 1
    assert lengths.tolist() == [1] * len(rows)
    found: torch.Tensor = x[0]
    return found


@pytest.mark.parametrize("weighting", ["tfidf", "counts", "binary"])
def test_inputs_are_the_weighted_sum_of_vectors_in_float64(weighting: Any) -> None:
    torch.manual_seed(0)
    rows, inputs = counted(), BagOfNGrams(SIZES, embedding_size=4, weighting=weighting)
    fit_scale(inputs, rows)
    having = [sum(k in row.ids for row in rows) for k in range(B)]
    vectors = inputs.vectors.detach().double().numpy()
    expected = np.zeros((len(rows), 4))
    for n, row in enumerate(rows):
        x = {}
        for k, count in zip(row.ids.tolist(), row.counts.tolist(), strict=True):
            rare = np.log((1 + len(rows)) / (1 + having[k])) + 1
            x[k] = {"tfidf": (1 + np.log(count)) * rare, "counts": count, "binary": 1.0}[weighting]
        for k, value in x.items():
            square = sum(v * v for j, v in x.items() if (j < W) == (k < W))
            expected[n] += value / np.sqrt(2 * square) * vectors[k]
    with torch.no_grad():
        np.testing.assert_allclose(read_by(inputs, rows), expected, atol=1e-6)  # float32
    assert np.abs(expected).max() > 0.05


def test_inputs_of_a_text_alone_have_the_bits_that_they_have_in_a_batch() -> None:
    rows, inputs = counted(), BagOfNGrams(SIZES, embedding_size=4)
    with torch.no_grad():
        together = read_by(inputs, rows)
        for n, row in enumerate(rows):
            assert torch.equal(read_by(inputs, [row])[0], together[n])


def test_the_gradient_of_a_vector_is_what_its_ngram_counts() -> None:
    inputs = BagOfNGrams(SIZES, embedding_size=2, weighting="counts")
    row = Counted(np.array([1, 2, 30], np.uint32), np.array([3, 4, 2], np.float32))
    read_by(inputs, [row]).sum().backward()
    assert inputs.vectors.grad is not None
    found = inputs.vectors.grad[:, 0]
    assert found[[1, 2, 30]].tolist() == pytest.approx(np.array([3 / 5, 4 / 5, 1]) / np.sqrt(2))
    assert int((found != 0).sum()) == 3


def test_a_model_of_ngrams_alone_reads_no_text_piece_by_piece() -> None:
    model = SequenceModel(SIZES, inputs={"name": "bag", "embedding_size": 4}, encoder={"name": "dense", "sizes": (5,)})
    assert any("model.inputs.name: a bag counts the n-grams of a whole text" in one for one in model.cannot_stream())
    with pytest.raises(ConfigError, match="or other inputs"):
        BagOfNGrams({"tokens": 9})
