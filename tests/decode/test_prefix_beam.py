"""CTC prefix beam search against all paths of all texts; language models, hot words, lexicons; times of units."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from oracles import ctc as oracle
from recurra.base.errors import ConfigError, DataError, RunError, ShapeError
from recurra.decode.ctc import greedy
from recurra.decode.fusion import Fusion, NetworkScores
from recurra.decode.ngrams import NGrams
from recurra.decode.prefix_beam import PrefixStream, best_path, common, prefix_beam
from recurra.decode.texts import Texts

SPELLING = ("", "a", "b", " ")
ARPA = """
\\data\\
ngram 1=5
ngram 2=3
ngram 3=1

\\1-grams:
-1.0 <s> -0.3
-0.7 </s>
-0.5 a -0.2
-0.9 ab -0.4
-1.5 <unk>

\\2-grams:
-0.2 <s> a -0.1
-0.4 a ab
-0.6 ab </s>

\\3-grams:
-0.05 <s> a ab

\\end\\
"""


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(size=(6, 4)) * 1.5


@pytest.fixture
def ngrams(tmp_path):
    (tmp_path / "words.arpa").write_text(ARPA, encoding="utf-8")
    return NGrams.read(tmp_path / "words.arpa")


def heard(logits, beam=3000, **options):
    given = {"least": 0, "n_best": min(beam, 500), **options}
    return prefix_beam(torch.from_numpy(logits)[:, None], torch.tensor([len(logits)]), beam, **given)[0]


def text_of(units):
    return "".join(SPELLING[u] for u in units)


def test_a_wide_beam_finds_every_text_with_the_sum_of_its_paths(logits):
    found = heard(logits, n_best=2000)
    right = oracle.by_paths(logits)
    assert len(found) == len(right)
    assert [h.nats for h in found] == sorted((h.nats for h in found), reverse=True)
    for one in found:
        assert math.exp(one.nats) == pytest.approx(right[one.emitted.units], rel=1e-9)
        assert one.share == pytest.approx(right[one.emitted.units], rel=1e-9)


def test_a_beam_that_is_narrow_has_paths_of_its_own_prefixes_alone(logits):
    best = max(oracle.by_paths(logits).items(), key=lambda pair: pair[1])
    found = heard(logits, beam=4, n_best=1)[0]
    assert math.exp(found.nats) <= best[1] * (1 + 1e-12)


def bigram(before, unit):
    """ln p, any numbers, of a unit after the one before."""
    return -0.3 * (1 + (3 * len(before) + 5 * ord(unit) + (7 * ord(before[-1]) if before else 0)) % 11)


class Units:
    """A language model of units whose history is what was said."""

    def start(self):
        return ""

    def score(self, asked):
        return [(bigram(history, token), history + token) for history, token in asked]

    def end(self, histories):
        return [-0.1 * len(h) for h in histories]


def test_with_a_language_model_of_units_the_ranks_are_those_of_all_texts(logits):
    def worth(units):
        text = text_of(units)
        lm = sum(bigram(text[:k], text[k]) for k in range(len(text))) - 0.1 * len(text)
        return 0.7 * lm + 0.4 * len(text)

    right = {u: math.log(p) + worth(u) for u, p in oracle.by_paths(logits).items()}
    found = heard(logits, lm=[Fusion(Units(), "unit", 0.7, 0.4)], spelling=SPELLING)
    best = sorted(right.items(), key=lambda pair: -pair[1])[: len(found)]
    assert [h.emitted.units for h in found] == [u for u, _ in best]
    assert [h.score for h in found] == pytest.approx([s for _, s in best], abs=1e-9)


def arpa(words):
    """ln p of a sentence by the file above, by hand: Katz 1987."""
    grams = {}
    for line in ARPA.splitlines():
        cells = line.split()
        if cells and cells[0].startswith("-"):
            numbers = [c for c in cells[1:] if c.startswith("-")]
            grams[tuple(c for c in cells[1:] if not c.startswith("-"))] = (float(cells[0]), float((numbers or [0])[0]))

    def p(history, word):
        if (*history, word) in grams:
            return grams[(*history, word)][0]
        if not history:
            return grams[("<unk>",)][0]
        return grams.get(tuple(history), (0, 0))[1] + p(history[1:], word)

    said = ["<s>", *words, "</s>"]
    return sum(p(tuple(said[max(0, k - 2) : k]), said[k]) for k in range(1, len(said))) * math.log(10)


def test_with_words_of_an_arpa_file_and_hot_ones_the_ranks_are_those_of_all_texts(logits, ngrams):
    def worth(units):
        words = text_of(units).split()
        return 0.8 * arpa(words) + 0.5 * len(words) + 2.0 * words.count("ba")

    right = {u: math.log(p) + worth(u) for u, p in oracle.by_paths(logits).items()}
    found = heard(logits, lm=[Fusion(ngrams, "word", 0.8, 0.5)], spelling=SPELLING, hot={"ba": 2.0})
    best = sorted(right.items(), key=lambda pair: -pair[1])[: len(found)]
    assert [h.score for h in found] == pytest.approx([s for _, s in best], abs=1e-9)
    assert found[0].emitted.units == best[0][0]


def test_a_lexicon_leaves_its_words_alone(logits):
    words = {"ab", "b"}
    right = {u: p for u, p in oracle.by_paths(logits).items() if set(text_of(u).split()) <= words}
    found = heard(logits, spelling=SPELLING, lexicon=words)
    assert {h.emitted.units for h in found} == set(right)
    assert math.exp(found[0].nats) == pytest.approx(max(right.values()), rel=1e-9)
    with pytest.raises(RunError, match="row 0: no text"):
        heard(np.array([[-np.inf, 50, -50, -50]] * 3), spelling=SPELLING, lexicon={"b"}, least=1e-3)


def test_a_recording_that_ends_within_a_word_has_the_words_before_it():
    said = 5 * np.eye(4)[[1, 2, 3, 2, 1]]  # "ab ba", and the one word that begins with "ba" is longer
    (found,) = heard(said, beam=1, spelling=SPELLING, lexicon={"ab", "baa"}, hot={"ab": 2.0})
    assert found.emitted.units == (1, 2, 3)
    assert found.score == pytest.approx(found.nats + 2.0)
    (found,) = heard(said[3:], beam=1, spelling=SPELLING, lexicon={"ab", "baa"})
    assert found.emitted.units == ()
    first = heard(said[[0, 1]], beam=2, spelling=("", " ab", "a", " b"), lexicon={"ab", "aba", "abaa"})[0]
    assert first.emitted.units == (1, 2)  # "aba" is a word, so nothing is left out
    pieces = heard(said[[0, 2]], beam=1, spelling=("", " ab", "a", " b"), lexicon={"ab", "bb"})
    assert [one.emitted.units for one in pieces] == [(1,)]


@pytest.mark.parametrize("seed", range(6))
def test_a_lexicon_says_the_same_frame_by_frame_and_never_half_a_word(seed):
    words = {"abba", "baab", "aabb", "bbaa", "abab"}
    logits = torch.from_numpy(np.random.default_rng(seed).normal(size=(40, 1, 4)) * 3)
    ((whole,),) = prefix_beam(logits, torch.tensor([40]), 3, spelling=SPELLING, lexicon=words)
    assert set(text_of(whole.emitted.units).split()) <= words
    stream, said = PrefixStream(Texts(SPELLING, lexicon=words), 3), []
    for y in logits[:, 0].log_softmax(1).numpy():
        stream.feed(y)
        number = stream.agreed()
        said += stream.best()[:number]
        stream.forget(number)
    stream.end()
    assert said
    assert (*said, *stream.best()) == whole.emitted.units


class Toy:
    """Steps whose state is the sum of the tokens that were read; log-probabilities by it."""

    def __init__(self):
        self.rows = []

    def step(self, tokens, state):
        self.rows.append(len(tokens))
        after = state * 3 + tokens.double()
        return torch.sin(after[:, None] * torch.arange(1, 5)).log_softmax(1), after

    def select(self, state, rows):
        return state[rows]


def test_a_network_step_by_step_is_the_same_as_one_that_reads_texts_anew(logits):
    numbers = {"a": 1, "b": 2, " ": 3}

    def read(units):
        state, total = 0.0, 0.0
        for before, unit in zip([0, *units], [*units, 0], strict=True):
            state = state * 3 + before
            total += float(
                torch.sin(torch.tensor(state, dtype=torch.float64) * torch.arange(1, 5)).log_softmax(0)[unit]
            )
        return total

    toy = Toy()
    scores = NetworkScores(toy, torch.zeros(1, dtype=torch.float64), start=0, numbers=numbers, end=0)
    found = heard(logits, lm=[Fusion(scores, "unit", 1.0)], spelling=SPELLING)
    right = {u: math.log(p) + read(u) for u, p in oracle.by_paths(logits).items()}
    best = sorted(right.items(), key=lambda pair: -pair[1])[: len(found)]
    assert [h.score for h in found] == pytest.approx([s for _, s in best], abs=1e-9)
    assert max(toy.rows) > 50  # what was new in a frame was read together


def test_a_row_is_the_same_alone_and_its_padding_is_not_read(logits):
    both = torch.from_numpy(np.stack([logits, np.full_like(logits, np.nan)], 1))
    both[:4, 1] = torch.from_numpy(logits[:4])
    together = prefix_beam(both, torch.tensor([6, 4]), 5, n_best=3)
    assert together == prefix_beam(both, torch.tensor([6, 4]), 5, n_best=3)
    assert together[1] == prefix_beam(both[:4, 1:], torch.tensor([4]), 5, n_best=3)[0]
    assert prefix_beam(both, torch.tensor([0, 0]))[0][0].emitted.units == ()


def test_units_stand_at_the_frames_of_their_most_probable_path(logits):
    said = oracle.log_softmax(logits)
    for units in [(1, 2), (1, 1), (), (3,)]:
        paths = [p for p in product(range(4), repeat=6) if oracle.collapsed(p) == units]
        best = max(paths, key=lambda p: sum(said[t, u] for t, u in enumerate(p)))
        assert tuple(best_path(said, units)) == best
    sure = torch.full((5, 1, 4), -9.0)
    for t, unit in enumerate([1, 1, 0, 1, 3]):
        sure[t, 0, unit] = 9
    found, expected = (
        prefix_beam(sure.double(), torch.tensor([5]))[0][0].emitted,
        greedy(sure.double(), torch.tensor([5]))[0],
    )
    assert replace(found, probabilities=()) == replace(expected, probabilities=())
    assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-12)


def test_an_alignment_takes_a_byte_for_each_frame_and_state():
    said = np.log(np.full((2000, 3), 1 / 3))
    tracemalloc.start()
    best_path(said, [1, 2] * 100)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2 * 2000 * 401


def test_options_that_are_wrong_are_refused(logits):
    with pytest.raises(ConfigError, match="n_best: expected at most beam"):
        heard(logits, beam=2, n_best=3)
    with pytest.raises(ConfigError, match="spelling: is missing"):
        heard(logits, hot={"a": 1.0})
    with pytest.raises(ConfigError, match="'a b': expected a word"):
        heard(logits, spelling=SPELLING, hot={"a b": 1.0})
    with pytest.raises(ConfigError, match="lexicon: is empty"):
        heard(logits, spelling=SPELLING, lexicon=[])
    with pytest.raises(ShapeError, match="3 units are spelt"):
        heard(logits, spelling=SPELLING[:3])
    with pytest.raises(RunError, match="row 0: a logit is no number"):
        heard(logits * np.nan)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "ends without"),
        ("ngram 1=2\n", r":1: expected an ARPA file"),
        ("\\data\\\nngram 2=1\n", ":2: expected the number of 1-grams"),
        (ARPA.replace("-0.5 a -0.2", "a -0.2"), ":10: expected log10 p, 1 words"),
        (ARPA.replace("-0.5 a -0.2", "0.5 a -0.2"), ":10: expected log10 p"),
        (ARPA.replace("ngram 2=3", "ngram 2=4"), "3 2-grams, but its header says 4"),
        (ARPA.replace("\\end\\", ""), "ends without"),
        (ARPA.replace("\\2-grams:", "\\3-grams:"), r":14: expected \\2-grams:"),
        ("x" * 20000, ":1: a line of more than 10,000 characters"),
        ("\\data\\\nngram 1=" + "9" * 5000, r":2: expected an ARPA file"),
        (ARPA.replace("ngram 2=3", "ngram 2=99999999999"), ":4: more than 5,000,000 n-grams"),
        ("\\end\\\n", "has no n-grams"),
        (ARPA.replace("-0.5 a -0.2", "-0.5 a inf"), ":10: expected log10 p"),
        (ARPA.replace("-0.5 a -0.2", "-0.5 a 1e308"), ":10: expected log10 p"),
        (ARPA.replace("-0.5 a -0.2", "-0.5 a nan"), ":10: expected log10 p"),
        (ARPA.replace("-0.5 a -0.2", "nan a -0.2"), ":10: expected log10 p"),
    ],
)
def test_a_broken_arpa_file_is_refused_at_its_line(tmp_path, text, message):
    (tmp_path / "x.arpa").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        NGrams.read(tmp_path / "x.arpa")
    (tmp_path / "x.arpa").write_bytes(b"\x1f\x8b\xff")
    with pytest.raises(DataError, match="expected UTF-8"):
        NGrams.read(tmp_path / "x.arpa")


def test_no_more_of_a_long_line_is_read_than_shows_it(tmp_path):
    (tmp_path / "x.arpa").write_bytes(b"x" * 3_000_000)
    tracemalloc.start()
    with pytest.raises(DataError, match=":1: a line of more than"):
        NGrams.read(tmp_path / "x.arpa")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 500_000


def test_a_token_that_is_not_in_the_file_is_its_unknown_one_in_longer_n_grams_too(tmp_path):
    text = ARPA.replace("ngram 2=3", "ngram 2=5").replace(
        "-0.4 a ab\n", "-0.4 a ab\n-0.8 a <unk> -0.6\n-0.25 <unk> ab\n"
    )
    (tmp_path / "x.arpa").write_text(text, encoding="utf-8")
    model = NGrams.read(tmp_path / "x.arpa")
    ((first, history),) = model.score([(("a",), "elsewhere")])
    ((second, _),) = model.score([(history, "ab")])
    assert first == pytest.approx(-0.8 * math.log(10))
    assert second == pytest.approx((-0.6 - 0.25) * math.log(10))


def test_a_space_that_is_not_of_ascii_may_be_a_token(tmp_path):
    (tmp_path / "x.arpa").write_text(ARPA.replace("-0.5 a -0.2", "-0.5\t\u3000\t-0.2"), encoding="utf-8")
    assert NGrams.read(tmp_path / "x.arpa").score([((), "\u3000")])[0][0] == pytest.approx(-0.5 * math.log(10))


LETTERS = """\\data\\
ngram 1=5
ngram 2=3

\\1-grams:
-99 <s> -0.3
-0.9 </s>
-0.5 a -0.2
-0.7 b -0.1
-0.6 {space} -0.4

\\2-grams:
-0.2 a {space}
-0.3 {space} b
-0.8 <s> a

\\end\\
"""


@pytest.mark.parametrize("space", ["<space>", "|", "\u2581"])
def test_characters_with_a_sign_of_the_space_are_asked_at_each_unit(tmp_path, space):
    (tmp_path / "x.arpa").write_text(LETTERS.format(space=space), encoding="utf-8")
    model = NGrams.read(tmp_path / "x.arpa")
    assert model.of_characters
    nats, history = [], model.start()
    for unit in "a bb":
        ((one, history),) = model.score([(history, unit)])
        nats.append(one)
    # <s> a, a _, _ b, and b b by its history's weight
    assert nats == pytest.approx([math.log(10) * p for p in (-0.8, -0.2, -0.3, -0.1 - 0.7)])


def test_a_space_that_a_file_of_characters_has_is_another_than_the_one_it_writes(tmp_path):
    text = LETTERS.format(space="<space>").replace("b -0.1", "\u3000 -0.1")
    (tmp_path / "x.arpa").write_text(text, encoding="utf-8")
    model = NGrams.read(tmp_path / "x.arpa")
    assert model.of_characters
    for unit, log10_p in ((" ", -0.6), ("\u3000", -0.7), ("\u2003", -0.6)):
        assert model.score([((), unit)])[0][0] == pytest.approx(math.log(10) * log10_p)


@pytest.mark.parametrize("other", ["ab", "<sp>", "c"])
def test_words_beside_characters_or_no_space_make_a_file_of_words(tmp_path, other):
    (tmp_path / "x.arpa").write_text(LETTERS.format(space=other), encoding="utf-8")
    assert not NGrams.read(tmp_path / "x.arpa").of_characters


def test_a_language_model_without_weight_changes_nothing_where_it_says_never(logits, tmp_path):
    text = ARPA.replace("-0.7 </s>", "-inf </s>").replace("-0.6 ab </s>", "-inf ab </s>")
    (tmp_path / "x.arpa").write_text(text, encoding="utf-8")
    found = heard(logits, lm=[Fusion(NGrams.read(tmp_path / "x.arpa"), "word", 0.0)], spelling=SPELLING)
    assert [h.emitted for h in found] == [h.emitted for h in heard(logits)]


@pytest.mark.parametrize("hot", [None, {"ab": 1.5}])
def test_frames_one_by_one_say_what_all_of_them_say_and_what_is_agreed_on_can_be_forgotten(hot):
    logits = torch.from_numpy(np.random.default_rng(3).normal(size=(60, 1, 4)) * 3)
    ((whole,),) = prefix_beam(logits, torch.tensor([60]), 4, spelling=SPELLING, hot=hot)
    stream, said = PrefixStream(Texts(SPELLING, (), hot), 4), []
    for y in logits[:, 0].log_softmax(1).numpy():
        stream.feed(y)
        number = stream.agreed()
        said += stream.best()[:number]
        stream.forget(number)
    assert len(said) > 5
    stream.end()
    assert (*said, *stream.best()) == whole.emitted.units


def test_what_texts_begin_with_is_what_all_of_them_do():
    assert common([(1, 2, 3), (1, 2), (1, 2, 4, 5)]) == 2
    assert common([(2,), (1,)]) == 0
    assert common([(1, 2)]) == 2


def test_texts_that_begin_otherwise_than_what_is_forgotten_are_followed_no_longer():
    stream = PrefixStream(Texts(SPELLING, (), {}), 4)
    stream.feed(np.log([0.05, 0.5, 0.4, 0.05]))
    assert (stream.best(), stream.agreed(), stream.alone) == ((1,), 0, False)
    stream.forget(1)
    assert (stream.best(), stream.alone) == ((), True)
    stream.feed(np.log([0.1, 0.1, 0.7, 0.1]))
    assert stream.best() == (2,)


def test_what_is_left_out_takes_no_frames_from_what_is_not():
    spelling, words = ("", " a", "a", "b"), {"aab", "abba"}
    said = 0.9 * np.eye(4)[[1, 2, 3, 1, 3]] + 0.025
    said[2] = 0.4, 0.05, 0.05, 0.5  # "b" is surer in the word that is not over
    (found,) = heard(np.log(said), beam=1, spelling=spelling, lexicon=words)
    assert (found.emitted.units, found.emitted.starts, found.emitted.ends) == ((1, 2, 3), (0, 1, 2), (1, 2, 3))
    assert found.emitted.blanks == 2
    stream = PrefixStream(Texts(spelling, lexicon=words), 1)
    for y in np.log(said):
        stream.feed(y)
    stream.end()
    assert (stream.best(), stream.left_out) == ((1, 2, 3), (1, 3))


def test_texts_that_say_the_same_without_what_is_left_out_are_one():
    said = np.log([[0.1, 0.2, 0.5, 0.2], [0.1, 0.5, 0.3, 0.1]])  # "ba" and "bb": no word is over
    (found,) = heard(said, beam=2, spelling=SPELLING, lexicon={"baa", "bbb"})
    assert (found.emitted.units, found.share) == ((), pytest.approx(1))
