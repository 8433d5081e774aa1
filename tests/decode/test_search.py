"""Greedy and beam search against every sequence there is, and against a search of Python lists."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from decode.decode_room import DIVISORS, END, START, Path, Rules, StepTokens, Toy, every_sequence, plain_beam
from recurra.base.errors import ConfigError, RunError, ShapeError
from recurra.decode import LENGTH_PENALTIES, Hypothesis, beam_search, greedy, sample, stream

LIMITS = [{}, {"min_length": 2}, {"no_repeat_ngram": 1}, {"no_repeat_ngram": 2, "min_length": 3}]
ENDS = {"start": START, "end": END}


def found(hypotheses: list[Hypothesis]) -> list[tuple[float, Path, bool]]:
    return [(pytest.approx(h.score, abs=1e-12), h.tokens, h.ended) for h in hypotheses]


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("penalty", LENGTH_PENALTIES)
def test_a_beam_that_holds_everything_finds_the_best_of_all_sequences(penalty, limits):
    toy = Toy(num_tokens=3, seed=1)
    rules = Rules(max_length=5, divisor=DIVISORS[penalty], **limits)
    answers = beam_search(
        toy, toy.state(4), num_rows=4, max_length=5, beam=64, n_best=10, **ENDS, **limits,
        length_penalty=LENGTH_PENALTIES[penalty](),
    )  # fmt: skip
    for sentence, hypotheses in enumerate(answers):
        every = sorted(every_sequence(toy, sentence, rules), key=lambda one: -one[0])
        assert len(every) <= 63  # 2^0 + ... + 2^4 that end, and 2^5 that do not
        assert found(hypotheses) == every[:10]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("beam", [2, 3, 7])
@pytest.mark.parametrize("penalty", LENGTH_PENALTIES)
def test_a_beam_finds_what_a_search_that_never_stops_early_finds(penalty, beam, seed):
    limits = LIMITS[seed % 4]
    toy = Toy(num_tokens=5, seed=seed, sharpness=2.5)
    rules = Rules(max_length=9, divisor=DIVISORS[penalty], **limits)
    expected = [plain_beam(toy, sentence, rules, beam) for sentence in range(6)]
    for n_best in (1, beam):
        answers = beam_search(
            toy, toy.state(6), num_rows=6, max_length=9, beam=beam, n_best=n_best, **ENDS, **limits,
            length_penalty=LENGTH_PENALTIES[penalty](),
        )  # fmt: skip
        for hypotheses, best in zip(answers, expected, strict=True):
            assert found(hypotheses) == best[:n_best]


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("penalty", LENGTH_PENALTIES)
def test_a_beam_of_one_is_greedy_search(penalty, limits):
    toy = Toy(num_tokens=6, seed=3, sharpness=1.0)
    same = {"num_rows": 12, "max_length": torch.arange(2, 14), **ENDS, **limits}
    one = greedy(toy, toy.state(12), **same)
    beams = beam_search(toy, toy.state(12), beam=1, length_penalty=LENGTH_PENALTIES[penalty](), **same)
    for row in range(12):
        (by_greedy,), (by_beam,) = one[row], beams[row]
        assert (by_greedy.tokens, by_greedy.log_probs, by_greedy.ended) == (
            by_beam.tokens,
            by_beam.log_probs,
            by_beam.ended,
        )
        assert by_beam.score == pytest.approx(by_greedy.score / DIVISORS[penalty](len(by_greedy.log_probs)), abs=1e-12)
    assert {row[0].ended for row in one} == {True, False}


def test_equals_are_taken_in_the_order_of_their_numbers_by_greedy_and_beam_alike():
    toy = Toy(num_tokens=4, change=lambda sentence, path, log_probs: np.log(np.array([0.1, 0.3, 0.3, 0.3])))
    assert greedy(toy, toy.state(1), num_rows=1, max_length=2, **ENDS)[0][0].tokens == (1, 1)
    assert beam_search(toy, toy.state(1), num_rows=1, max_length=2, beam=1, **ENDS)[0][0].tokens == (1, 1)


def test_a_hypothesis_holds_one_log_probability_per_token_and_one_of_the_end():
    def certain(sentence: int, path: Path, log_probs: np.ndarray) -> np.ndarray:
        wanted = (2, 3, END)[len(path)]
        return np.log(np.where(np.arange(4) == wanted, 0.7, 0.1))

    toy = Toy(change=certain)
    ((answer,),) = greedy(toy, toy.state(1), num_rows=1, max_length=9, **ENDS)
    assert answer == Hypothesis((2, 3), (math.log(0.7),) * 3, 3 * math.log(0.7), ended=True)
    ((cut,),) = greedy(toy, toy.state(1), num_rows=1, max_length=2, **ENDS)
    assert cut == Hypothesis((2, 3), (math.log(0.7),) * 2, 2 * math.log(0.7), ended=False)
    ((normal,),) = beam_search(
        toy, toy.state(1), num_rows=1, max_length=9, beam=1, length_penalty=LENGTH_PENALTIES["wu"](alpha=1.0), **ENDS
    )
    assert normal.score == pytest.approx(3 * math.log(0.7) * 6 / 8, abs=1e-12)  # length 3: (5 + 3) / 6


def test_a_row_alone_is_the_row_in_a_batch():
    toy = Toy(num_tokens=7, seed=5)
    longest = torch.tensor([3, 12, 1, 7, 5])
    penalty = LENGTH_PENALTIES["wu"]()
    same = {"beam": 4, "n_best": 3, "length_penalty": penalty, "no_repeat_ngram": 2, **ENDS}
    together = beam_search(toy, toy.state(5), num_rows=5, max_length=longest, **same)
    for row in range(5):
        alone = beam_search(toy, toy.state(1, first=row), num_rows=1, max_length=longest[row : row + 1], **same)
        assert alone == together[row : row + 1]


def test_the_search_stops_when_nothing_can_change_and_finished_rows_leave():
    def ends(sentence: int, path: Path, log_probs: np.ndarray) -> np.ndarray:
        """The end is nearly certain at step 2 (sentence 0) or 4 (sentence 1)."""
        is_over = len(path) >= (1, 3)[sentence]
        return np.log([0.97, 0.010, 0.004, 0.016] if is_over else [0.004, 0.010, 0.97, 0.016])

    toy = Toy(change=ends)
    for penalty in LENGTH_PENALTIES.values():
        toy.calls.clear()
        beam_search(toy, toy.state(2), num_rows=2, max_length=50, beam=3, length_penalty=penalty(), **ENDS)
        # One path a row at first, then three. 0.97 * 0.97 is closed; the next is 0.97 * 0.016, too little even over 50.
        assert toy.calls == [[0, 1], [0, 0, 0, 1, 1, 1], [1, 1, 1], [1, 1, 1]]


def test_what_belongs_to_one_row_stays_together_in_the_state():
    toy = Toy(num_tokens=9, seed=2)
    beam_search(toy, toy.state(8), num_rows=8, max_length=12, beam=5, n_best=5, **ENDS)
    assert all(call == sorted(call) for call in toy.calls)
    assert max(len(call) for call in toy.calls) > 30


def test_a_state_is_not_moved_where_every_hypothesis_goes_on_in_its_place():
    toy = Toy(change=lambda sentence, path, log_probs: np.log([0.01, 0.09, 0.7, 0.2]))
    beam_search(toy, toy.state(3), num_rows=3, max_length=6, beam=1, **ENDS)
    greedy(toy, toy.state(3), num_rows=3, max_length=6, **ENDS)
    assert (len(toy.calls), toy.num_selected) == (12, 0)


@pytest.mark.parametrize("search", [greedy, beam_search])
def test_what_the_model_gave_is_not_written_to(search):
    toy = Toy(num_tokens=5)
    search(toy, toy.state(1), num_rows=1, max_length=4, min_length=3, no_repeat_ngram=1, **ENDS)
    assert len(toy.given) == 4
    assert all(torch.isfinite(given).all() for given in toy.given)


def test_the_penalty_of_wu_is_the_one_of_the_paper():
    divisors = LENGTH_PENALTIES["wu"](alpha=0.5).divisor(np.array([1, 19]))
    assert divisors.tolist() == pytest.approx([1.0, 2.0])  # (6/6)^0.5 and (24/6)^0.5
    assert LENGTH_PENALTIES["mean"]().divisor(np.array([1, 19])).tolist() == [1.0, 19.0]
    assert LENGTH_PENALTIES["none"]().divisor(np.array([1, 19])).tolist() == [1.0, 1.0]
    with pytest.raises(ConfigError, match=r"length penalty wu: alpha: expected a number in 0..10, got -0\.1"):
        LENGTH_PENALTIES["wu"](alpha=-0.1)


@pytest.mark.parametrize("search", [greedy, beam_search])
def test_nan_is_named_with_its_row_and_step(search):
    def broken(sentence: int, path: Path, log_probs: np.ndarray) -> np.ndarray:
        log_probs[END] = -50
        return np.where(np.arange(4) == 2, math.nan, log_probs) if sentence == 2 and len(path) == 4 else log_probs

    toy = Toy(change=broken)
    with pytest.raises(RunError, match="row 2, step 5: the model's log-probabilities hold NaN"):
        search(toy, toy.state(3), num_rows=3, max_length=9, **ENDS)


@pytest.mark.parametrize("search", [greedy, beam_search])
def test_logits_in_place_of_log_probabilities_are_refused(search):
    toy = Toy(change=lambda sentence, path, log_probs: log_probs + 4)
    with pytest.raises(RunError, match=r"row 0, step 1: expected log-probabilities, 0 at most, got .*log_softmax"):
        search(toy, toy.state(2), num_rows=2, max_length=9, **ENDS)


@pytest.mark.parametrize("search", [greedy, beam_search])
def test_a_sum_that_is_above_one_by_rounding_counts_as_one(search):
    toy = Toy(change=lambda sentence, path, log_probs: np.where(np.arange(4) == END, 1e-7, -20.0))
    assert search(toy, toy.state(1), num_rows=1, max_length=9, **ENDS) == [[Hypothesis((), (0.0,), 0.0, ended=True)]]


@pytest.mark.parametrize("search", [greedy, beam_search])
def test_a_row_that_nothing_may_follow_is_named(search):
    toy = Toy(num_tokens=3)  # two tokens that are not the end: the third must repeat one, or end too early
    with pytest.raises(RunError, match=r"row 0, step 3: no token may follow: .*min_length=5 and no_repeat_ngram=1"):
        search(toy, toy.state(2), num_rows=2, max_length=9, min_length=5, no_repeat_ngram=1, **ENDS)


def test_a_row_with_fewer_sequences_than_asked_for_gives_those_it_has():
    toy = Toy(num_tokens=3)
    ((*answers,),) = beam_search(
        toy, toy.state(1), num_rows=1, max_length=9, beam=50, n_best=50, no_repeat_ngram=1, **ENDS
    )
    assert {h.tokens for h in answers} == {(), (1,), (2,), (1, 2), (2, 1)}


@pytest.mark.parametrize("search", [greedy, beam_search])
def test_no_rows_need_no_model(search):
    assert search(Toy(), None, num_rows=0, max_length=3, **ENDS) == []


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"beam": 0}, "beam: expected 1 or more, got 0"),
        ({"beam": 2.0}, "beam: expected a whole number, got 2.0"),
        ({"beam": 3, "n_best": 4}, "n_best: expected at most beam, which is 3, got 4"),
        ({"n_best": 0}, "n_best: expected 1 or more, got 0"),
        ({"max_length": 0}, "max_length: expected 1 or more, got 0"),
        ({"max_length": torch.tensor([4, -1])}, "max_length: expected 1 or more, got -1"),
        ({"max_length": 2.5}, "max_length: expected a whole number, got 2.5"),
        ({"min_length": -1}, "min_length: expected 0 or more, got -1"),
        ({"min_length": 4}, "min_length: expected less than max_length, which is 4 and counts the end, got 4"),
        ({"no_repeat_ngram": -2}, "no_repeat_ngram: expected 0 or more, got -2"),
        ({"start": -1}, "start: expected 0 or more, got -1"),
        ({"end": True}, "end: expected a whole number, got True"),
    ],
)
def test_a_wrong_option_is_named_before_the_model_is_asked(wrong, sentence):
    with pytest.raises(ConfigError, match=sentence):
        beam_search(None, None, **({"num_rows": 2, "max_length": 4, **ENDS} | wrong))


def test_a_shape_that_does_not_fit_is_named():
    toy = Toy()
    with pytest.raises(ShapeError, match="end is token 9, but the model knows only 4 tokens"):
        greedy(toy, toy.state(1), num_rows=1, max_length=4, start=START, end=9)
    with pytest.raises(ShapeError, match=r"one for each of 2 rows, got torch\.int64 of shape \(3,\)"):
        greedy(toy, toy.state(2), num_rows=2, max_length=torch.tensor([1, 2, 3]), **ENDS)
    toy.step = lambda tokens, state: (torch.zeros(3, 4), state)
    with pytest.raises(ShapeError, match=r"gave log-probabilities of shape \(3, 4\), expected \(2, V\)"):
        beam_search(toy, toy.state(2), num_rows=2, max_length=4, **ENDS)


class Ending(Toy):
    """A toy of which each row has a number of steps that it can take."""

    most: Tensor | int | None = None

    def most_steps(self, state: StepTokens) -> Tensor | int | None:
        return self.most


def sampled(steps, state, **options):
    return sample(steps, state, **options, seed=3)


@pytest.mark.parametrize("search", [greedy, beam_search, sampled])
@pytest.mark.parametrize("most", [None, 4, torch.tensor([3, 9, 1])])
def test_a_row_is_cut_where_its_steps_end_as_at_its_longest_length(search, most):
    toy, same = Ending(num_tokens=9, sharpness=0.5), {"num_rows": 3, **ENDS}
    toy.most = most
    longest = torch.tensor([7, 7, 7]) if most is None else torch.as_tensor(most).expand(3).clamp(max=7)
    assert search(toy, toy.state(3), **same, max_length=7) == search(
        Toy(9, sharpness=0.5), toy.state(3), **same, max_length=longest.clone()
    )


def test_a_stream_ends_where_the_steps_do():
    toy = Ending(change=lambda sentence, path, log_probs: np.where(np.arange(len(log_probs)) == END, -99.0, log_probs))
    toy.most = 2
    assert [token.ended for token in stream(toy, toy.state(1), **ENDS, max_length=5)] == [False, False]
