"""A language model beside another model: what it says of each token, and what a transcription makes of it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.data.tokenizers import EOS, UNK
from recurra.decode.fusion import Fusion
from recurra.decode.ngrams import NGrams
from recurra.nn import softmax_log_probabilities
from tasks.test_language_model_task import fitted, model_for
from tasks.test_transcription_task import task_for as speech_for


def said_of(task: Any, model: Any, numbers: list[int]) -> list[float]:
    """ln p of each token after those before, all in one pass."""
    read = torch.tensor([task.start, *numbers[:-1]]).unsqueeze(1)
    with torch.inference_mode():
        outputs = model(Batch({"tokens": read}, torch.tensor([len(read)]), {}, (0,))).outputs
        log_probs = softmax_log_probabilities(outputs)[:, 0].double()
    return [float(log_probs[k, number]) for k, number in enumerate(numbers)]


@pytest.mark.parametrize(("tokenizer", "by"), [("spaces", "word"), ("characters", "unit")])
def test_token_by_token_a_text_has_the_probability_that_it_has_in_one_pass(tokenizer, by):
    task = fitted(tokenizer=tokenizer, document="row")
    model = model_for(task)
    scores, kind = task.token_scores(model)
    assert kind == by
    tokens = ["to", "be", "strange", "or"] if by == "word" else list("to beQ")
    numbers = task.vocabulary.ids(tokens)
    assert UNK in numbers  # what it never saw is as probable as the unknown token
    assert [scores.knows(token) for token in tokens] == [number != UNK for number in numbers]
    history, found = scores.start(), []
    for token in tokens:
        ((log_p, history),) = scores.score([(history, token)])
        found.append(log_p)
    found.append(scores.end([history])[0])
    assert found == pytest.approx(said_of(task, model, [*numbers, EOS]), abs=1e-5)


def test_texts_are_read_as_the_language_model_cuts_its_own():
    task = fitted(tokenizer={"name": "characters", "lowercase": True}, document="row")
    scores, _ = task.token_scores(model_for(task))
    ((loud, _), (quiet, _)) = scores.score([(scores.start(), "T"), (scores.start(), "t")])
    assert loud == quiet
    assert scores.knows("T")


def test_a_language_model_of_pieces_is_refused():
    task = fitted(tokenizer={"name": "subwords", "vocab_size": 30}, document="row")
    with pytest.raises(ConfigError, match="lm: reads subwords; expected a language model of characters or of words"):
        task.token_scores(model_for(task))


class Says:
    """A language model that knows one word."""

    def start(self):
        return None

    def score(self, asked):
        return [(0.0 if token == "b" else -9.0, None) for _, token in asked]

    def end(self, histories):
        return [0.0] * len(histories)


def test_a_language_model_and_hot_words_have_a_say_in_what_was_said():
    task = speech_for()
    assert task.units.spelling == ("", " ", "a", "b")
    logits = torch.log(torch.tensor([[0.1, 0.001, 0.5, 0.4]])).unsqueeze(1)

    def best(**options):
        how = task.with_options({"beam": 8, **options}).decoding
        batch = Batch({}, torch.tensor([1]), {}, (0,))
        return task.method.search(torch.nn.Identity(), batch, {"logits": logits}, torch.tensor([1]), how)[0].units

    assert best() == (2,)
    assert best(lm=Fusion(Says(), "word", 0.5)) == (3,)
    assert best(hot_words={"b": 1.0}) == (3,)
    assert best(hot_words={"b": math.log(5 / 4) - 0.01}) == (2,)


def test_units_say_where_a_word_begins():
    assert speech_for(tokenizer="spaces").units.spelling == ("", " a", " ab", " b", " bb")
    pieces = speech_for(tokenizer={"name": "subwords", "vocab_size": 6}).units
    text = "".join(pieces.spelling[k] for k in pieces.numbers("ab b")[0])
    assert text.split() == ["ab", "b"]


def test_options_without_effect_are_refused():
    task = speech_for()
    for options, said in (
        ({"lm": Fusion(Says(), "word")}, "no effect with a beam of 1"),
        ({"hot_words": {"a": 1.0}}, "no effect with a beam of 1"),
        ({"beam": 4, "lm": "words.arpa"}, "recurra.api.predict opens one by its path"),
        ({"beam": 4, "hot_words": ["a"]}, "expected words with their nats"),
        ({"beam": 4, "hot_words": {"a b": 1.0}}, "expected a word without a space"),
        ({"beam": 4, "hot_words": {"abc": 1.0}}, "'abc' needs 'c', which no training text has"),
        ({"beam": 4, "hot_words": {"A": 1.0}}, "'A' needs 'A'"),
        ({"beam": 4, "hot_words": {"a": math.nan}}, "expected numbers of nats"),
    ):
        with pytest.raises(ConfigError, match=said):
            task.with_options(options)


def test_hot_words_are_read_as_texts_are():
    task = speech_for(case="lower", punctuation="drop")
    assert task.with_options({"beam": 4, "hot_words": {"AB,": 1}}).decoding.hot_words == {"ab": 1.0}
    with pytest.raises(ConfigError, match="some are the same word, as the run reads texts: a, A"):
        task.with_options({"beam": 4, "hot_words": {"a": 1.0, "A": 2.0}})
    with pytest.raises(ConfigError, match="'bbb' needs 'bbb'"):
        speech_for(tokenizer="spaces").with_options({"beam": 4, "hot_words": {"bbb": 1.0}})


def network_of_characters():
    written = fitted(tokenizer="characters", document="row")
    scores, by = written.token_scores(model_for(written))
    assert by == "unit"
    return scores


@pytest.mark.parametrize("scores", [network_of_characters, lambda: NGrams({}, 1, space="|")])
def test_characters_beside_other_units_are_refused(scores):
    lm = Fusion(scores(), "unit")
    assert speech_for().with_options({"beam": 4, "lm": lm}).decoding.lm is lm
    for tokenizer, name in (("spaces", "spaces"), ({"name": "subwords", "vocab_size": 6}, "subwords")):
        with pytest.raises(ConfigError, match=f"judges characters, and the units of this run are {name}"):
            speech_for(tokenizer=tokenizer).with_options({"beam": 4, "lm": lm})
