"""Pools and embeddings, by numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from recurra.base.errors import ConfigError
from recurra.nn import POOLS, Embedding, OneHot

NAN = float("nan")
# T = 3, N = 4, F = 2: three real steps, one, two with a gap of NaN behind, none.
OUTPUTS = torch.tensor(
    [
        [[1.0, -4.0], [5.0, -6.0], [1.0, 2.0], [NAN, NAN]],
        [[2.0, -5.0], [9.0, 9.0], [3.0, -2.0], [NAN, NAN]],
        [[6.0, -3.0], [9.0, 9.0], [NAN, NAN], [NAN, NAN]],
    ],
    dtype=torch.float64,
)
MASK = torch.tensor([[1, 1, 1, 0], [1, 0, 1, 0], [1, 0, 0, 0]]).bool()
LAST = torch.tensor([[7.0, 8.0], [1.0, 2.0], [3.0, 4.0], [NAN, 9.0]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("last", [[7.0, 8.0], [1.0, 2.0], [3.0, 4.0], [0.0, 0.0]]),
        ("mean", [[3.0, -4.0], [5.0, -6.0], [2.0, 0.0], [0.0, 0.0]]),
        ("max", [[6.0, -3.0], [5.0, -6.0], [3.0, 2.0], [0.0, 0.0]]),
        (
            "concat",
            [
                [7.0, 8.0, 6.0, -3.0, 3.0, -4.0],
                [1.0, 2.0, 5.0, -6.0, 5.0, -6.0],
                [3.0, 4.0, 3.0, 2.0, 2.0, 0.0],
                [0.0] * 6,
            ],
        ),
    ],
)
def test_a_pool_sees_real_steps_only(word, expected):
    assert POOLS[word](2)(OUTPUTS, LAST, MASK).tolist() == expected


def attention():
    """Scores are tanh(first feature): hidden is the identity, and the query reads feature 0."""
    pool = POOLS["attention"](2).double()
    with torch.no_grad():
        pool.hidden.weight.copy_(torch.eye(2))
        pool.hidden.bias.zero_()
        pool.query.weight.copy_(torch.tensor([[1.0, 0.0]]))
    return pool


def test_attention_is_a_weighted_mean_over_real_steps():
    a, b = math.exp(math.tanh(1.0)), math.exp(math.tanh(3.0))
    weights = attention().weights(OUTPUTS, MASK)
    torch.testing.assert_close(weights[:, 2], torch.tensor([a / (a + b), b / (a + b), 0.0], dtype=torch.float64))
    torch.testing.assert_close(weights.sum(0), torch.tensor([1.0, 1.0, 1.0, 0.0], dtype=torch.float64))
    pooled = attention()(OUTPUTS, LAST, MASK)
    expected = [(a * 1 + b * 3) / (a + b), (a * 2 - b * 2) / (a + b)]
    torch.testing.assert_close(pooled[2], torch.tensor(expected, dtype=torch.float64))
    assert pooled[1].tolist() == [5.0, -6.0]
    assert pooled[3].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("word", POOLS)
def test_gradients_of_a_pool_agree_with_finite_differences_and_are_zero_in_the_padding(word):
    torch.manual_seed(0)
    pool = POOLS[word](2).double()
    outputs = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    last = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda o, s: pool(o, s, MASK), (outputs, last))
    poisoned = torch.where(MASK.unsqueeze(2), outputs.detach(), NAN).requires_grad_()
    pool(poisoned, last, MASK).square().sum().backward()
    expected = torch.autograd.grad(pool(outputs, last, MASK).square().sum(), outputs, allow_unused=True)[0]
    if word == "last":
        assert expected is None
        assert poisoned.grad is None
    else:
        torch.testing.assert_close(poisoned.grad, expected, rtol=0, atol=0)
        assert not expected[~MASK].any()
    assert all(p.grad.isfinite().all() for p in pool.parameters())


@pytest.mark.parametrize("word", POOLS)
def test_no_steps_and_no_sequences_give_zeros_and_nothing(word):
    pool = POOLS[word](2).double()
    assert pool(OUTPUTS[:0], LAST * 0 + 1, MASK[:0]).tolist() == [[0.0] * pool.output_size] * 4
    assert pool(OUTPUTS[:, :0], LAST[:0], MASK[:, :0]).shape == (0, pool.output_size)


def test_an_unknown_pool_is_answered_with_its_neighbour():
    with pytest.raises(ConfigError, match=r"^unknown pooling 'attenton'\. Did you mean 'attention'\?$"):
        POOLS["attenton"]


TOKENS = torch.tensor([[2, 0], [1, 3]])


def test_one_hot_rows_are_ones_for_tokens_and_zeros_for_padding():
    embed = OneHot(4)
    assert embed.output_size == 4
    assert embed(TOKENS).tolist() == [[[0, 0, 1, 0], [0, 0, 0, 0]], [[0, 1, 0, 0], [0, 0, 0, 1]]]
    assert not list(embed.parameters())
    assert not embed.state_dict()
    assert embed.double()(TOKENS).dtype == torch.float64


def test_an_embedding_reads_its_table_and_padding_is_zero_and_learns_nothing():
    torch.manual_seed(0)
    embed = Embedding(4, 3)
    assert embed.output_size == 3
    output = embed(TOKENS)
    assert torch.equal(output[0, 0], embed.weight[2])
    assert torch.equal(output[1, 1], embed.weight[3])
    assert not output[0, 1].any()
    output.sum().backward()
    assert embed.weight.grad.tolist() == [[0.0] * 3, [1.0] * 3, [1.0] * 3, [1.0] * 3]


def test_embedded_vectors_have_length_about_one_whatever_their_size():
    torch.manual_seed(0)
    for size in (4, 64, 256):
        lengths = Embedding(2000, size).weight[1:].norm(dim=1)
        assert lengths.square().mean().item() == pytest.approx(1.0, abs=0.08)


def test_gradients_of_an_embedding_agree_with_finite_differences():
    embed = Embedding(4, 3).double()

    def lookup(weight):
        return torch.func.functional_call(embed, {"weight": weight}, (torch.tensor([[1, 2], [3, 1]]),))

    assert torch.autograd.gradcheck(lookup, (torch.randn(4, 3, dtype=torch.float64, requires_grad=True),))
