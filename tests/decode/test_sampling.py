"""Draws against the exact distribution, and one token after the other."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch

from decode.decode_room import END, START, Path, Toy
from recurra.base.errors import ConfigError, RunError, ShapeError
from recurra.decode import Hypothesis, Sampling, Token, greedy, sample, stream

ENDS = {"start": START, "end": END}
PROBS = np.array([0.05, 0.30, 0.02, 0.25, 0.20, 0.18])


def drawn(num: int, **options) -> np.ndarray:
    """How often each token of PROBS is drawn by rows 0..num-1 at step 1."""
    log_probs = torch.from_numpy(np.log(PROBS)).expand(num, -1)
    _, tokens = Sampling(seed=11, **options).choose(log_probs, rows=np.arange(num), step=1)
    return np.bincount(tokens, minlength=len(PROBS)) / num


def cut(
    probs: np.ndarray, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> np.ndarray:
    """The distribution after temperature, top-k and top-p, token by token."""
    powers = [p ** (1 / temperature) for p in probs]
    order = sorted(range(len(probs)), key=lambda token: -powers[token])[: top_k or len(probs)]
    whole, kept, mass = sum(powers[token] for token in order), [], 0.0
    for token in order:
        kept.append(token)
        mass += powers[token]
        if top_p is not None and mass >= top_p * whole:
            break
    return np.array([powers[token] / mass if token in kept else 0.0 for token in range(len(probs))])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0.5},
        {"temperature": 3.0},
        {"top_k": 3},
        {"top_k": 1},
        {"top_k": 99},
        {"top_p": 0.56},
        {"top_p": 0.3},
        {"top_p": 1e-9},
        {"top_p": 1.0},
        {"temperature": 2.0, "top_k": 4, "top_p": 0.7},
    ],
)
def test_tokens_are_drawn_as_often_as_their_probability_says(options):
    num, expected = 20_000, cut(PROBS, **options)
    seen = drawn(num, **options)
    # Five standard deviations of a binomial share; 0 where nothing may be drawn, and for a single candidate.
    assert np.all(np.abs(seen - expected) <= 5 * np.sqrt(expected * (1 - expected) / num) + 1e-12)
    assert set(np.flatnonzero(seen)) == set(np.flatnonzero(expected))


def test_the_log_probabilities_are_those_of_the_model_before_any_cut():
    toy = Toy(num_tokens=6, seed=4)
    ((answer,),) = sample(toy, toy.state(1), num_rows=1, max_length=6, temperature=2.0, top_k=3, seed=2, **ENDS)
    said = [*answer.tokens, *([END] if answer.ended else [])]
    expected = [toy.log_probs(0, tuple(said[:i]))[said[i]] for i in range(len(said))]
    assert answer.log_probs == pytest.approx(expected, abs=1e-12)
    assert answer.score == pytest.approx(sum(expected), abs=1e-12)


def test_a_row_draws_the_same_alone_and_in_any_batch():
    toy = Toy(num_tokens=9, seed=6)
    same = {"max_length": 8, "temperature": 1.3, "top_p": 0.9, "seed": 5, **ENDS}
    together = sample(toy, toy.state(6), num_rows=6, keys=["a", "b", "c", "d", "e", "f"], **same)
    alone = sample(toy, toy.state(1, first=3), num_rows=1, keys=["d"], **same)
    assert alone == together[3:4]


def test_another_seed_key_or_step_draws_anew_and_the_same_one_draws_the_same():
    log_probs = torch.full((40, 1000), math.log(1 / 1000))
    rows = np.arange(40)
    first = Sampling(seed=1).choose(log_probs, rows=rows, step=1)[1]
    assert Sampling(seed=1).choose(log_probs, rows=rows, step=1)[1].tolist() == first.tolist()
    others = [
        Sampling(seed=2).choose(log_probs, rows=rows, step=1)[1],
        Sampling(seed=1).choose(log_probs, rows=rows, step=2)[1],
        Sampling(seed=1, keys=[f"key {row}" for row in rows]).choose(log_probs, rows=rows, step=1)[1],
    ]
    assert all((first == other).mean() < 0.2 for other in others)  # by chance one in a thousand is equal
    assert len(set(first.tolist())) > 30


def test_a_token_of_probability_zero_is_never_drawn():
    log_probs = torch.tensor([[-math.inf, 0.0, -math.inf]]).expand(2_000, -1)
    for options in ({}, {"top_p": 1.0}, {"top_k": 2}, {"top_k": 3, "top_p": 1.0}):
        assert set(Sampling(**options).choose(log_probs, rows=np.arange(2_000), step=1)[1]) == {1}


@pytest.mark.parametrize("options", [{}, {"top_k": 2}, {"top_p": 1.0}])
def test_the_smallest_random_number_draws_no_token_of_probability_zero(options, monkeypatch):
    monkeypatch.setattr(Sampling, "_uniform", lambda self, rows, step: torch.zeros(len(rows), 1, dtype=torch.float64))
    log_probs = torch.tensor([[-math.inf, -math.inf, 0.0]])
    assert Sampling(**options).choose(log_probs, rows=np.arange(1), step=1)[1].tolist() == [2]


def test_top_p_takes_no_token_more_than_has_exactly_p():
    log_probs = torch.full((50, 2), math.log(0.5))
    assert set(Sampling(top_p=0.5).choose(log_probs, rows=np.arange(50), step=1)[1]) == {0}
    assert set(Sampling(top_p=0.51).choose(log_probs, rows=np.arange(50), step=1)[1]) == {0, 1}


def test_limits_hold_for_draws_too():
    toy = Toy(num_tokens=6, seed=8)
    answers = sample(toy, toy.state(50), num_rows=50, max_length=5, min_length=3, no_repeat_ngram=1, **ENDS)
    for (answer,) in answers:
        assert 3 <= len(answer.tokens) <= 5
        assert max(Counter(answer.tokens).values()) == 1


def test_a_stream_says_what_the_function_says_and_when():
    toy = Toy(num_tokens=6, seed=9, sharpness=0.5)
    tokens = list(stream(toy, toy.state(4), num_rows=4, max_length=7, **ENDS))
    for row, (answer,) in enumerate(greedy(toy, toy.state(4), num_rows=4, max_length=7, **ENDS)):
        mine = [token for token in tokens if token.row == row]
        assert tuple(t.token for t in mine if not t.ended) == answer.tokens
        assert tuple(t.log_prob for t in mine) == answer.log_probs
        assert [t.ended for t in mine] == [False] * (len(mine) - 1) + [answer.ended]
    draws = list(stream(toy, toy.state(1), max_length=7, choose=Sampling(seed=3), **ENDS))
    ((answer,),) = sample(toy, toy.state(1), num_rows=1, max_length=7, seed=3, **ENDS)
    assert tuple(t.token for t in draws if not t.ended) == answer.tokens


def test_a_stream_asks_the_model_only_as_far_as_it_is_read():
    toy = Toy(change=lambda sentence, path, log_probs: np.log(np.array([0.1, 0.2, 0.4, 0.3])))
    tokens = stream(toy, toy.state(1), max_length=7, **ENDS)
    assert toy.calls == []
    assert next(tokens) == Token(row=0, token=2, log_prob=math.log(0.4), ended=False)
    assert len(toy.calls) == 1
    assert torch.is_grad_enabled()


def test_a_wrong_option_of_a_stream_is_named_before_a_token_is_asked_for():
    with pytest.raises(ConfigError, match="max_length: expected 1 or more"):
        stream(Toy(), None, max_length=0, **ENDS)


def test_nan_and_an_impossible_row_are_named():
    def broken(sentence: int, path: Path, log_probs: np.ndarray) -> np.ndarray:
        return (
            np.full(4, math.nan if sentence == 1 else -math.inf) if len(path) == 1 else np.log([0.01, 0.33, 0.33, 0.33])
        )

    toy = Toy(change=broken)
    with pytest.raises(RunError, match="row 1, step 2: the model's log-probabilities hold NaN"):
        sample(toy, toy.state(2), num_rows=2, max_length=9, **ENDS)
    with pytest.raises(RunError, match="row 0, step 2: no token may follow"):
        sample(toy, toy.state(1), num_rows=1, max_length=9, top_p=0.5, **ENDS)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"temperature": 0}, "temperature: expected a number above 0, got 0; greedy search"),
        ({"temperature": math.nan}, "temperature: expected a number above 0, got nan"),
        ({"top_k": 0}, "top_k: expected 1 or more, got 0"),
        ({"top_p": 0.0}, r"top_p: expected a number above 0 and at most 1, got 0\.0"),
        ({"top_p": 1.1}, r"top_p: expected a number above 0 and at most 1, got 1\.1"),
        ({"seed": "x"}, "seed: expected a whole number, got 'x'"),
    ],
)
def test_a_wrong_option_is_named(wrong, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Sampling(**wrong)


def test_as_many_keys_as_rows_are_expected():
    with pytest.raises(ShapeError, match="keys: expected one for each of 2 rows, got 1"):
        sample(Toy(), None, num_rows=2, max_length=3, keys=["a"], **ENDS)


def test_a_sampled_answer_is_a_hypothesis_like_any_other():
    toy = Toy(change=lambda sentence, path, log_probs: np.where(np.arange(4) == END, 0.0, -math.inf))
    assert sample(toy, toy.state(1), num_rows=1, max_length=3, **ENDS) == [[Hypothesis((), (0.0,), 0.0, ended=True)]]
