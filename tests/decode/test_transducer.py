"""Transducer decoding against every way to say every text; language models beside; one row as many."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch

from recurra.base.errors import ConfigError, RunError, ShapeError
from recurra.decode.fusion import Fusion
from recurra.decode.texts import Texts
from recurra.decode.transducer import Network, TransducerStream, transducer_beam, transducer_greedy

V, D, SPELLING = 3, 4, ("", "a", "b")


class Reader:
    """Units to vectors by a recurrence; how many rows each step had."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.table, self.turn = (torch.from_numpy(rng.normal(size=(n, D))) for n in (V, D))
        self.rows = []

    def step(self, tokens, state):
        self.rows.append(len(tokens))
        after = torch.tanh(self.table[tokens] + state @ self.turn)
        return after, after

    def select(self, state, rows):
        return state[rows]


@pytest.fixture
def network():
    weight = torch.from_numpy(np.random.default_rng(1).normal(size=(D, V)))
    reader = Reader()
    return Network(reader, torch.zeros(1, D, dtype=torch.float64), lambda x, h: 2 * torch.tanh(x + h) @ weight)


@pytest.fixture
def frames():
    return torch.from_numpy(np.random.default_rng(2).normal(size=(4, 1, D)))


def log_probs(network, frame, units):
    state = network.state
    for unit in (network.start, *units):
        vector, state = network.steps.step(torch.tensor([unit]), state)
    return network.joint(frame[None], vector).log_softmax(1)[0].tolist()


def by_ways(network, frames, most):
    """ln p of every text, over all ways that say at most so many units in a frame."""
    found = {}

    def go(t, units, total):
        if t == len(frames):
            found[units] = np.logaddexp(found.get(units, -np.inf), total)
            return
        for number in range(most + 1):
            for said in product(range(1, V), repeat=number):
                ways = total
                for k in range(number):
                    ways += log_probs(network, frames[t], (*units, *said[:k]))[said[k]]
                go(t + 1, (*units, *said), ways + log_probs(network, frames[t], (*units, *said))[0])

    go(0, (), 0.0)
    return found


def heard(network, frames, beam=500, **options):
    return transducer_beam(frames, torch.tensor([len(frames)]), network, beam, n_best=beam, **options)[0]


def test_a_wide_beam_finds_every_text_with_the_sum_of_its_ways(network, frames):
    frames = frames[:3]
    right, found = by_ways(network, frames[:, 0], 2), heard(network, frames, most=2)
    assert {h.emitted.units for h in found} == set(right)
    for one in found:
        assert one.nats == pytest.approx(right[one.emitted.units], abs=1e-9)
    assert [h.nats for h in found] == pytest.approx(sorted(right.values(), reverse=True), abs=1e-9)
    assert sum(h.share for h in found) == pytest.approx(1)


class Letters:
    """A language model of units: numbers by the last one and the next."""

    def start(self):
        return ""

    def score(self, asked):
        return [(-0.5 - 0.7 * ((3 * len(h) + ord(token)) % 4), h + token) for h, token in asked]

    def end(self, histories):
        return [-0.3 * (len(h) % 3) for h in histories]


def test_with_a_language_model_the_ranks_are_those_of_all_texts(network, frames):
    frames = frames[:3]

    def worth(units):
        text, lm = "".join(SPELLING[u] for u in units), Letters()
        total = sum(lm.score([(text[:k], text[k])])[0][0] for k in range(len(text))) + lm.end([text])[0]
        return 0.6 * total + 0.2 * len(text)

    right = {units: nats + worth(units) for units, nats in by_ways(network, frames[:, 0], 1).items()}
    found = heard(network, frames, most=1, lm=[Fusion(Letters(), "unit", 0.6, 0.2)], spelling=SPELLING)
    assert [h.score for h in found] == pytest.approx(sorted(right.values(), reverse=True), abs=1e-9)
    assert found[0].emitted.units == max(right, key=right.get)


def test_greedy_takes_the_best_unit_of_each_frame_and_stays_in_it(network):
    frames = torch.from_numpy(np.random.default_rng(3).normal(size=(40, 2, D)) * 2)
    for n, (length, one) in enumerate(
        zip((40, 17), transducer_greedy(frames, torch.tensor([40, 17]), network, most=3), strict=True)
    ):
        units, places, sure, t, here = [], [], [], 0, 0
        while t < length:
            y = log_probs(network, frames[t, n], tuple(units))
            best = int(np.argmax(y))
            if best:
                units.append(best), places.append(t), sure.append(math.exp(y[best]))
                here += 1
            if not best or here == 3:
                t, here = t + 1, 0
        assert one.units == tuple(units)
        assert one.starts == tuple(places)
        assert one.probabilities == pytest.approx(sure)
        assert one.blanks == length - len(set(places))
        assert one.frames == length


def test_rows_are_the_same_alone_and_texts_are_read_once(network):
    frames = torch.from_numpy(np.random.default_rng(4).normal(size=(9, 2, D)))
    both = transducer_beam(frames, torch.tensor([9, 5]), network, 4, n_best=2)
    assert both[1] == transducer_beam(frames[:5, 1:], torch.tensor([5]), network, 4, n_best=2)[0]
    assert max(network.steps.rows) > 1
    assert transducer_beam(frames, torch.tensor([0, 0]), network)[0][0].emitted.units == ()
    assert transducer_greedy(frames, torch.tensor([0, 0]), network)[1].units == ()


def test_options_that_are_wrong_are_refused(network, frames):
    with pytest.raises(ConfigError, match="n_best: expected at most beam"):
        transducer_beam(frames, torch.tensor([4]), network, 2, n_best=3)
    with pytest.raises(ConfigError, match="most"):
        transducer_greedy(frames, torch.tensor([4]), network, most=0)
    with pytest.raises(ShapeError, match="lengths from 5 to 5, expected 0 to 4"):
        transducer_greedy(frames, torch.tensor([5]), network)
    with pytest.raises(RunError, match="row 0: a logit is no number"):
        transducer_greedy(frames * torch.nan, torch.tensor([4]), network)
    loud = Network(network.steps, network.state, lambda x, h: torch.tensor([[-torch.inf, 1, 1]]).expand(len(x), -1))
    with pytest.raises(RunError, match="row 0: no text"):
        heard(loud, frames, spelling=("", " a", " b"), lexicon={"c"})


@pytest.mark.parametrize("hot", [None, {"ab": 1.5}])
def test_frames_one_by_one_say_what_all_of_them_say_and_what_is_agreed_on_can_be_forgotten(network, hot):
    frames = torch.from_numpy(np.random.default_rng(4).normal(size=(60, 1, D))) * 2
    ((whole,),) = transducer_beam(frames, torch.tensor([60]), network, 3, spelling=SPELLING, hot=hot)
    stream, said, gone = TransducerStream(network, Texts(SPELLING, (), hot), 3, frames.device), [], 0
    for t in range(60):
        stream.feed(frames[t, 0], t - gone)
        number = stream.agreed()
        said += [(unit, at + gone, chance) for unit, at, chance in stream.best()[:number]]
        stream.forget(number, t + 1 - gone)
        gone = t + 1
    stream.end()
    said += [(unit, at + gone, chance) for unit, at, chance in stream.best()]
    assert tuple(unit for unit, _, _ in said) == whole.emitted.units
    assert len(said) > 5


@pytest.mark.parametrize("seed", range(4, 8))
def test_a_lexicon_says_the_same_frame_by_frame_and_never_half_a_word(network, seed):
    words = {"abba", "baab", "aabb", "bbaa", "abab"}
    frames = torch.from_numpy(np.random.default_rng(seed).normal(size=(30, 1, D))) * 2
    ((whole,),) = transducer_beam(frames, torch.tensor([30]), network, 3, spelling=SPELLING, lexicon=words)
    assert set("".join(SPELLING[unit] for unit in whole.emitted.units).split()) <= words
    (all_of_them,) = transducer_beam(frames, torch.tensor([30]), network, 3, n_best=3, spelling=SPELLING, lexicon=words)
    assert sum(one.share for one in all_of_them) == pytest.approx(1)
    stream, said, gone = TransducerStream(network, Texts(SPELLING, lexicon=words), 3, frames.device), [], 0
    for t in range(30):
        stream.feed(frames[t, 0], t - gone)
        number = stream.agreed()
        said += [unit for unit, _, _ in stream.best()[:number]]
        stream.forget(number, t + 1 - gone)
        gone = t + 1
    stream.end()
    assert (*said, *(unit for unit, _, _ in stream.best())) == whole.emitted.units


class Last:
    """Says the unit that was read, as a vector with a one."""

    def step(self, tokens, state):
        return torch.eye(4, dtype=torch.float64)[tokens], state

    def select(self, state, rows):
        return state[rows]


def once(frames, said):
    """Logits: the unit of the frame, or the blank where it was said last."""
    same = (frames * said).sum(1, keepdim=True)
    return 4 * (frames * (1 - same) + same * torch.eye(4)[:1])


def test_a_pause_within_a_word_settles_nothing_as_its_end_may_leave_the_word_out():
    network = Network(Last(), torch.zeros(1, 4, dtype=torch.float64), once)
    frames = torch.eye(4, dtype=torch.float64)[[1, 3, 1, 2, 2, 2, 2, 2, 1, 1]]  # "a ab", long, "a"
    options = {"spelling": ("", "a", "b", " "), "lexicon": {"a", "abab"}}
    ((whole,),) = transducer_beam(frames.unsqueeze(1), torch.tensor([10]), network, 1, most=1, **options)
    assert whole.emitted.units == (1, 3)
    texts = Texts(options["spelling"], lexicon=options["lexicon"])
    stream = TransducerStream(network, texts, 1, frames.device, most=1)
    for t, frame in enumerate(frames):
        stream.feed(frame, t)
    assert [stream.settled(t) for t in (1, 2, 3, 4, 7)] == [True, True, False, False, False]
    stream.end()
    assert tuple(unit for unit, _, _ in stream.best()) == whole.emitted.units
