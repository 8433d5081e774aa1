"""Attention and CTC in one search against every text there is, CTC by its paths in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oracles import ctc as oracle
from recurra.base.errors import ConfigError, RunError
from recurra.decode.fusion import Fusion
from recurra.decode.joint import Prefixes, joint_beam

T, V, D, SPELLING = 4, 3, 4, ("", "a", "b")


class Decoder:
    """ln p of what comes next, by a recurrence."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.table, self.turn = (torch.from_numpy(rng.normal(size=(n, D))) for n in (V, D))
        self.out = torch.from_numpy(rng.normal(size=(D, V)))

    def step(self, tokens, state):
        after = torch.tanh(self.table[tokens] + state @ self.turn)
        return (after @ self.out).log_softmax(1), after

    def select(self, state, rows):
        return state[rows]


def logits(seed=1, frames=T):
    return np.random.default_rng(seed).normal(size=(frames, V)) * 1.5


def attention_of(units):
    decoder, state, found = Decoder(), torch.zeros(1, D, dtype=torch.float64), []
    for unit, after in zip((0, *units), (*units, 0), strict=True):
        log_probs, state = decoder.step(torch.tensor([unit]), state)
        found.append(float(log_probs[0, after]))
    return found


def every_text(y):
    """ln p of CTC and of attention of every text that fits in the frames."""
    return {units: (np.log(p), sum(attention_of(units))) for units, p in oracle.by_paths(y).items()}


def heard(y, beam=500, share=0.4, **options):
    state = torch.zeros(1, D, dtype=torch.float64)
    given = torch.from_numpy(y).unsqueeze(1)
    return joint_beam(Decoder(), [state], given, torch.tensor([len(y)]), share, beam, n_best=beam, **options)[0]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_wide_beam_finds_every_text_with_its_share_of_both(share):
    right = {units: share * ctc + (1 - share) * attention for units, (ctc, attention) in every_text(logits()).items()}
    found = heard(logits(), share=share)
    assert {one.emitted.units for one in found} == set(right)
    for one in found:
        assert one.nats == pytest.approx(right[one.emitted.units], abs=1e-9)
    assert [one.nats for one in found] == pytest.approx(sorted(right.values(), reverse=True), abs=1e-9)


def test_a_beginning_is_as_probable_as_all_texts_that_begin_so():
    y = oracle.log_softmax(logits(5))
    texts = every_text(logits(5))
    now, begun = Prefixes.first(y, 0), ()
    for unit in (1, 1, 2):
        now, log_p = now.longer(y, np.array([0]), np.array([unit]), 0)
        begun += (unit,)
        right = np.logaddexp.reduce([ctc for units, (ctc, _) in texts.items() if units[: len(begun)] == begun])
        assert log_p[0] == pytest.approx(right, abs=1e-9)
        if begun in texts:
            assert now.whole()[0] == pytest.approx(texts[begun][0], abs=1e-9)


class Letters:
    """A language model of units: numbers by the last one and the next."""

    def start(self):
        return ""

    def score(self, asked):
        return [(-0.5 - 0.7 * ((3 * len(h) + ord(token)) % 4), h + token) for h, token in asked]

    def end(self, histories):
        return [-0.3 * (len(h) % 3) for h in histories]


def test_with_a_language_model_the_ranks_are_those_of_all_texts():
    def worth(units):
        text, lm = "".join(SPELLING[u] for u in units), Letters()
        total = sum(lm.score([(text[:k], text[k])])[0][0] for k in range(len(text))) + lm.end([text])[0]
        return 0.6 * total + 0.2 * len(text)

    right = {units: 0.4 * c + 0.6 * a + worth(units) for units, (c, a) in every_text(logits()).items()}
    found = heard(logits(), lm=[Fusion(Letters(), "unit", 0.6, 0.2)], spelling=SPELLING)
    assert [one.score for one in found] == pytest.approx(sorted(right.values(), reverse=True), abs=1e-9)


def test_units_are_as_sure_as_attention_is_where_ctc_has_them():
    for one in heard(logits())[:5]:
        units = one.emitted.units
        assert one.emitted.probabilities == pytest.approx(np.exp(attention_of(units)[:-1]).tolist())
        assert all(a < b for a, b in zip(one.emitted.starts, one.emitted.ends, strict=True))


def test_a_beam_of_one_goes_on_with_the_best_of_each_step():
    y, units = logits(3), ()
    texts = every_text(y)

    def begins(some):
        ctc = np.logaddexp.reduce([c for u, (c, _) in texts.items() if u[: len(some)] == some] or [-np.inf])
        return 0.4 * ctc + 0.6 * sum(attention_of(some)[:-1])

    while True:
        whole = 0.4 * texts[units][0] + 0.6 * sum(attention_of(units)) if units in texts else -np.inf
        best = max(((*units, unit) for unit in range(1, V)), key=begins)
        if whole >= begins(best):
            break
        units = best
    assert heard(y, beam=1)[0].emitted.units == units


def test_rows_without_frames_say_nothing_and_a_lexicon_holds():
    state = torch.zeros(1, D, dtype=torch.float64)
    given = torch.from_numpy(np.stack([logits(), logits(2)], 1))
    first, second = joint_beam(Decoder(), [None, state], given, torch.tensor([0, T]), 0.4, 4)
    assert first[0].emitted.units == ()
    (alone,) = joint_beam(Decoder(), [state], given[:, 1:], torch.tensor([T]), 0.4, 4)
    assert second == alone
    found = heard(logits(), spelling=("", "a", " b"), lexicon=["aa", "b"])
    said = {"".join(("", "a", " b")[u] for u in one.emitted.units).strip() for one in found}
    assert {word for text in said for word in text.split()} == {"aa", "b"}


@pytest.mark.parametrize("seed", range(6))
def test_a_recording_that_ends_within_a_word_has_the_words_before_it(seed):
    words, spelling = ["abbab", "babba", "aab"], ("", "a", " b")
    for one in heard(logits(seed, frames=9), beam=2, spelling=spelling, lexicon=words):
        assert set("".join(spelling[unit] for unit in one.emitted.units).split()) <= set(words)
        kept = len(one.emitted.units)
        assert one.emitted.probabilities == pytest.approx(np.exp(attention_of(one.emitted.units)[:kept]))
        assert len(one.emitted.starts) == kept


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="share: expected a number above 0 and below 1, got 1"):
        heard(logits(), share=1.0)
    with pytest.raises(ConfigError, match="beam"):
        heard(logits(), beam=0)
    with pytest.raises(RunError, match="row 0: a logit is no number"):
        heard(logits() * np.nan)
