"""CTC beam search for words by their pronunciations, against all paths and all ways to cut units into words."""

from __future__ import annotations

import gc
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from oracles import pronounced as oracle
from recurra.base.errors import ConfigError, RunError, ShapeError
from recurra.decode.ctc import greedy
from recurra.decode.fusion import Fusion
from recurra.decode.ngrams import NGrams
from recurra.decode.pronunciations import Pronunciations
from recurra.decode.word_beam import SpokenWords, word_beam

# Units 1 to 3. "one" and "won" sound alike; "to" has two ways; "toone" is said as "to one" is.
LEXICON = {
    "one": [((1, 2), 1.0)],
    "won": [((1, 2), 1.0)],
    "to": [((3,), 0.75), ((3, 1), 0.25)],
    "toone": [((3, 1, 2), 1.0)],
    "a": [((2,), 1.0)],
}
ARPA = """
\\data\\
ngram 1=7
ngram 2=4

\\1-grams:
-1.0 <s> -0.3
-0.7 </s>
-0.5 one -0.2
-1.1 won -0.1
-0.9 to -0.4
-1.2 a -0.3
-1.3 <unk> -0.2

\\2-grams:
-0.2 <s> one
-0.4 to won
-0.6 one </s>
-0.3 one one

\\end\\
"""


@pytest.fixture
def logits():
    return np.random.default_rng(4).normal(size=(6, 4)) * 1.5


@pytest.fixture
def ngrams(tmp_path):
    (tmp_path / "words.arpa").write_text(ARPA, encoding="utf-8")
    return NGrams.read(tmp_path / "words.arpa")


def tree(lexicon=LEXICON, num_units=4):
    said = {word: [(way, math.log(p)) for way, p in ways] for word, ways in lexicon.items()}
    return Pronunciations(said, num_units)


def heard(logits, beam=5000, lexicon=LEXICON, lm=(), hot=None, **options):
    given = {"least": 0, "n_best": beam, **options}
    frames, lengths = torch.from_numpy(logits)[:, None], torch.tensor([len(logits)])
    return word_beam(frames, lengths, SpokenWords(tree(lexicon), lm, hot), beam, **given)[0]


def words_of(one):
    return tuple(word for word, _ in one.emitted.words)


def test_a_wide_beam_finds_every_text_with_all_its_paths_and_pronunciations(logits):
    found, right = heard(logits), oracle.texts(logits, LEXICON, lambda words: 1.0)
    assert len(found) == len(right) > 50
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    for one in found:
        assert math.exp(one.score) == pytest.approx(right[words_of(one)], rel=1e-9)
        assert one.share == pytest.approx(right[words_of(one)] / sum(right.values()), rel=1e-9)
    # What frames alone say of "to one": each sequence of units that says it, once, whatever a way is worth.
    by_units = oracle.by_paths(logits)
    (one,) = (one for one in found if words_of(one) == ("to", "one"))
    assert math.exp(one.nats) == pytest.approx(by_units[3, 1, 2] + by_units[3, 1, 1, 2], rel=1e-9)


# log10 of a word after the one before it, by hand from the file: backing off adds the weight of the history.
BIGRAMS = {("<s>", "one"): -0.2, ("to", "won"): -0.4, ("one", "</s>"): -0.6, ("one", "one"): -0.3}
UNIGRAMS = {"</s>": -0.7, "one": -0.5, "won": -1.1, "to": -0.9, "a": -1.2, "<unk>": -1.3}
WEIGHTS = {"<s>": -0.3, "one": -0.2, "won": -0.1, "to": -0.4, "a": -0.3, "<unk>": -0.2}


def log10_of(words):
    total, before = 0.0, "<s>"
    for word in (*words, "</s>"):
        word = word if word in UNIGRAMS else "<unk>"
        total += BIGRAMS.get((before, word), WEIGHTS[before] + UNIGRAMS[word])
        before = word
    return total


def test_with_bigrams_a_bonus_and_hot_words_it_finds_what_all_texts_are_worth(logits, ngrams):
    def worth(words):
        return 10 ** (0.8 * log10_of(words)) * math.exp(0.7 * len(words) + 1.5 * words.count("won"))

    found = heard(logits, lm=[Fusion(ngrams, "word", 0.8, 0.7)], hot={"won": 1.5})
    right = oracle.texts(logits, LEXICON, worth)
    assert len(found) == len(right)
    for one in found:
        assert math.exp(one.score) == pytest.approx(right[words_of(one)], rel=1e-9)
    without = max(oracle.texts(logits, LEXICON, lambda words: 1.0).items(), key=lambda pair: pair[1])[0]
    assert words_of(found[0]) != without  # so that the language model is seen to act


def test_words_that_a_model_does_not_know_share_what_it_has_for_one(logits, ngrams):
    more = {**LEXICON, "tune": [((3, 2), 1.0)]}
    ((total, _),) = SpokenWords(tree(more), [Fusion(ngrams, "word", 1.0)]).closed([((0.0, ((),)), "tune", 0.0)])
    assert total == pytest.approx(-1.3 * math.log(10) - math.log(2))  # "toone" is the other
    ((total, _),) = SpokenWords(tree(), [Fusion(ngrams, "word", 1.0)]).closed([((0.0, ((),)), "toone", 0.0)])
    assert total == pytest.approx(-1.3 * math.log(10))


def test_a_way_that_is_there_twice_counts_as_the_likelier():
    found = Pronunciations({"a": [((1,), -1.0), ((1,), -2.0)], "b": [((1,), -3.0)]}, 4)
    assert found.said(found.after[1]) == (("a", -1.0), ("b", -3.0))


def test_looking_ahead_in_a_word_takes_the_best_word_below_and_is_taken_back(ngrams):
    words = SpokenWords(tree(), [Fusion(ngrams, "word", 2.0, 0.5)], {"to": 0.25})
    node = words.tree.after[3]
    best = max(2 * -0.9 * math.log(10) + 0.5 + 0.25 + math.log(0.75), 2 * -1.3 * math.log(10) + 0.5)
    assert words.ahead[node] == pytest.approx(best)
    node = words.tree.after[node * 4 + 1]
    best = max(2 * -0.9 * math.log(10) + 0.75 + math.log(0.25), 2 * -1.3 * math.log(10) + 0.5)
    assert words.ahead[node] == pytest.approx(best)
    assert words.ahead[0] == 0.0
    later = SpokenWords(tree(), [Fusion(ngrams, "word", 2.0, 0.5)]).with_hot({"to": 0.25})
    assert later.ahead == pytest.approx(words.ahead)
    assert later.closed([((0.0, ((),)), "to", 0.0)]) == words.closed([((0.0, ((),)), "to", 0.0)])


def test_looking_ahead_changes_no_text_of_a_wide_beam(logits, ngrams, monkeypatch):
    options = {"lm": [Fusion(ngrams, "word", 0.8, 0.7)]}
    ahead = heard(logits, **options)
    monkeypatch.setattr(Pronunciations, "best_below", lambda self, worth: [0.0] * len(self))
    for one, other in zip(heard(logits, **options), ahead, strict=True):
        assert words_of(one) == words_of(other)
        assert one.score == pytest.approx(other.score, abs=1e-9)


def test_a_narrow_beam_follows_what_looking_ahead_keeps(ngrams):
    """Of many words that begin alike the rare ones must not fill the beam."""
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(9, 4))
    wide = heard(logits, lm=[Fusion(ngrams, "word", 1.5)], beam=600, n_best=1)[0]
    narrow = heard(logits, lm=[Fusion(ngrams, "word", 1.5)], beam=10, n_best=1)[0]
    assert words_of(narrow) == words_of(wide)
    assert narrow.score <= wide.score + 1e-9


def test_a_row_says_the_same_alone_and_in_a_batch(logits, ngrams):
    short = logits[:4]
    batch = np.zeros((6, 2, 4))
    batch[:, 0], batch[:4, 1], batch[4:, 1] = logits, short, 9.0
    lm = [Fusion(ngrams, "word", 0.8, 0.7)]
    both = word_beam(torch.from_numpy(batch), torch.tensor([6, 4]), SpokenWords(tree(), lm), 8, n_best=4)
    assert both == [heard(logits, 8, lm=lm, n_best=4, least=1e-3), heard(short, 8, lm=lm, n_best=4, least=1e-3)]


def test_units_stand_at_their_frames_and_words_count_them(ngrams):
    path = [0, 1, 1, 2, 0, 3, 0, 1, 2, 2]
    logits = np.full((10, 4), -9.0)
    logits[np.arange(10), path] = 9.0
    known = {word: ways for word, ways in LEXICON.items() if word != "toone"}
    best = heard(logits, 16, known, lm=[Fusion(ngrams, "word", 0.1)], n_best=1)[0]
    assert replace(best.emitted, words=None) == greedy(torch.from_numpy(logits)[:, None], torch.tensor([10]))[0]
    assert best.emitted.words == (("one", 2), ("to", 1), ("won", 2))


def test_a_recording_that_ends_within_a_word_has_the_words_before_it():
    path = [1, 2, 3, 3, 1]
    logits = np.full((5, 4), -30.0)
    logits[np.arange(5), path] = 30.0
    lexicon = {"one": LEXICON["one"], "toone": LEXICON["toone"]}
    best = heard(logits, 16, lexicon, n_best=1, least=1e-3)[0]
    assert best.emitted.words == (("one", 2),)
    assert best.emitted.units == (1, 2)
    assert best.emitted.frames == 5
    assert heard(logits, 1, lexicon, n_best=1, least=1e-3)[0].emitted == best.emitted  # where that is all that is left


def test_two_equal_units_of_two_words_need_a_blank_between():
    lexicon = {"one": [((1,), 1.0)], "eye": [((1, 2), 1.0)]}
    logits = np.full((3, 4), -30.0)
    logits[[0, 1, 2], [1, 1, 2]] = 30.0
    assert words_of(heard(logits, 16, lexicon, n_best=1)[0]) == ("eye",)
    logits = np.full((4, 4), -30.0)
    logits[[0, 1, 2, 3], [1, 0, 1, 2]] = 30.0
    assert words_of(heard(logits, 16, lexicon, n_best=1)[0]) == ("one", "eye")


def test_nothing_heard_is_no_word(ngrams):
    logits = np.full((3, 4), -30.0)
    logits[:, 0] = 30.0
    best = heard(logits, 8, lm=[Fusion(ngrams, "word", 1.0)], n_best=1)[0]
    assert best.emitted.words == ()
    assert best.emitted.units == ()
    assert heard(np.zeros((0, 4)), 8, n_best=1)[0].emitted.words == ()


def test_a_model_without_unigrams_is_asked_at_the_end_of_words_alone(logits, ngrams):
    class Plain:
        def __init__(self):
            self.start, self.score, self.end = ngrams.start, ngrams.score, ngrams.end

    known = {word: ways for word, ways in LEXICON.items() if word != "toone"}
    lm = [Fusion(Plain(), "word", 0.8, 0.7)]
    for one, other in zip(
        heard(logits, lexicon=known, lm=lm),
        heard(logits, lexicon=known, lm=[Fusion(ngrams, "word", 0.8, 0.7)]),
        strict=True,
    ):
        assert words_of(one) == words_of(other)
        assert one.score == pytest.approx(other.score, abs=1e-9)


def test_a_long_recording_keeps_no_text_that_nobody_follows(ngrams):
    counted = []

    class Counts:
        def __init__(self):
            self.start, self.score = ngrams.start, ngrams.score

        def end(self, histories):
            counted.append(sum(type(one).__name__ == "_Spoken" for one in gc.get_objects()))
            return ngrams.end(histories)

    logits = np.random.default_rng(3).normal(size=(300, 4)) * 1.5
    gc.collect()
    heard(logits, 8, lm=[Fusion(Counts(), "word")], n_best=1)
    assert 8 <= counted[0] <= 300  # the units of what was said, and few others


def test_what_cannot_be_is_refused_by_name(logits, ngrams):
    with pytest.raises(ConfigError, match="judges units, and a lexicon with pronunciations says words"):
        heard(logits, 4, n_best=1, lm=[Fusion(ngrams, "unit")])
    with pytest.raises(ConfigError, match="expected a word without a space"):
        tree({"a b": [((1,), 1.0)]})
    with pytest.raises(ConfigError, match="'a': expected units from 1 to 3"):
        tree({"a": [((4,), 1.0)]})
    with pytest.raises(ConfigError, match="has no pronunciation"):
        tree({})
    with pytest.raises(ConfigError, match="n_best: expected at most beam"):
        heard(logits, 4, n_best=5)
    with pytest.raises(ConfigError, match="hot words: expected numbers"):
        heard(logits, 4, n_best=1, hot={"a": math.inf})
    with pytest.raises(ShapeError, match="word_beam: lengths from 9 to 9"):
        word_beam(torch.from_numpy(logits)[:, None], torch.tensor([9]), SpokenWords(tree()), 4)
    with pytest.raises(ShapeError, match="words are of 9 units, and logits of 4"):
        word_beam(torch.from_numpy(logits)[:, None], torch.tensor([6]), SpokenWords(tree(num_units=9)), 4)
    logits[2, 1] = math.nan
    with pytest.raises(RunError, match="row 0: a logit is no number"):
        heard(logits, 4, n_best=1)


def test_words_that_sound_alike_do_not_fill_the_beam():
    """As many ways to write "one one one ..." as a beam has places leave room for another sound."""
    many = {**{f"one{k}": [((1, 2), 1.0)] for k in range(4)}, "to": [((3,), 1.0)]}
    alone = {"one0": [((1, 2), 1.0)], "to": [((3,), 1.0)]}
    for seed in (2, 4, 6, 8):
        logits = np.random.default_rng(seed).normal(size=(14, 4)) * 2
        found, right = (heard(logits, 8, some, n_best=1)[0] for some in (many, alone))
        assert found.emitted.units == right.emitted.units
