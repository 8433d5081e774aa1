"""Answers put together as people write: by what the training texts showed, or by rule where these were tokenised."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from recurra.base.errors import RunError
from recurra.data.tokenizers import TOKENIZERS, Joining, joining_from_json

ENGLISH = [
    "Two dogs, running.",
    'She said, "Come in!" and left.',
    "A well-known man (a doctor) sleeps; who knows?",
    "It costs $3.50 at 10:30.",
    "He doesn't know: 20% of them.",
    'The "end" is near.',
]
FRENCH = ["Qui est-ce ?", "L'eau est bonne !", "Il dit : « Viens ; vite ! »", "Deux chiens, à la plage."]


def learned(name: str, texts: Sequence[str], **options: object) -> Joining:
    tokenizer = TOKENIZERS[name](**options).train(texts)
    return Joining.learn(tokenizer, texts)


def cut(name: str, text: str, **options: object) -> str:
    tokenizer = TOKENIZERS[name](**options).train([text])
    return tokenizer.join(tokenizer.tokenize(text))


@pytest.mark.parametrize("text", ENGLISH + FRENCH)
def test_words_are_joined_as_the_training_texts_were_written(text: str) -> None:
    joining = learned("words", ENGLISH if text in ENGLISH else FRENCH)
    assert joining(cut("words", text)) == text
    assert not joining.tokenised
    back = joining_from_json(json.loads(json.dumps(joining.to_json())), "task.json")
    assert back(cut("words", text)) == text


def test_what_was_learned_is_used_on_other_texts() -> None:
    english, french = learned("words", ENGLISH), learned("words", FRENCH)
    assert english("three cats ( a pair ) , asleep .") == "three cats (a pair), asleep."
    assert english('a " b c " d " e " .') == 'a "b c" d "e".'
    assert english("is it so ?") == "is it so?"
    assert french("est - ce bon ?") == "est-ce bon ?"
    assert english("never 7 . 25 seen ! !") == "never 7.25 seen!!"
    assert english("§ of a sign that was never seen") == "§ of a sign that was never seen"


def test_scripts_without_spaces_get_none() -> None:
    joining = learned("words", ["天气很好。", "你好，世界！"])
    assert joining("世 界 好 。") == "世界好。"


def test_lower_case_and_normal_forms_are_no_hindrance() -> None:
    joining = learned("words", ["VIENS, cafe\u0301."], lowercase=True)
    assert joining("caf\u00e9 , viens .") == "caf\u00e9, viens."


@pytest.mark.parametrize("name", ["characters", "spaces"])
def test_a_tokenizer_that_loses_no_space_leaves_its_texts_as_they_are(name: str) -> None:
    joining = learned(name, ENGLISH)
    assert joining("a , b .") == "a , b ."
    assert not joining.tokenised


def test_pieces_of_words_are_joined_as_words_are() -> None:
    joining = learned("subwords", ENGLISH, algorithm="wordpiece", vocab_size=120)
    assert joining("two dogs , running .") == "two dogs, running."
    assert learned("subwords", ENGLISH, vocab_size=120)("two , dogs") == "two , dogs"


TOKENISED = ["two dogs , running .", "a man ( a doctor ) sleeps .", "she is n't here , is she ?", "a dog , a cat ."]


@pytest.mark.parametrize("name", ["words", "spaces"])
def test_training_texts_that_are_tokenised_are_known_and_their_answers_stay_so_unless_asked(name: str) -> None:
    joining = learned(name, TOKENISED)
    assert joining.tokenised
    assert joining("two cats , asleep .") == "two cats , asleep ."
    assert joining.by_rule("two cats , asleep .") == "two cats, asleep."
    assert joining_from_json(joining.to_json(), "task.json").tokenised


@pytest.mark.parametrize(
    ("tokenised", "text"),
    [
        ("do n't , I 'm here .", "don't, I'm here."),
        ("John 's dog ( old ) [ 2 ]", "John's dog (old) [2]"),
        ("he said : `` no '' .", 'he said: "no".'),
        ('he said : " no " .', 'he said: "no".'),
        ("a well @-@ known man", "a well-known man"),
        ("a well - known man", "a well-known man"),
        ("from 3 - 5 p.m. ; why ?", "from 3-5 p.m.; why?"),
        ("&apos; a &amp; b &apos;", "' a & b '"),
        ("John &apos;s &quot; dog &quot;", 'John\'s "dog"'),
        ("-LRB- a -RRB- 5 % of $ 3", "(a) 5% of $3"),
        ("wait ... what ?", "wait... what?"),
        ("l' eau", "l'eau"),
        ("", ""),
    ],
)
def test_english_that_was_tokenised_is_joined_by_rule(tokenised: str, text: str) -> None:
    assert learned("spaces", TOKENISED).by_rule(tokenised) == text


def test_french_that_was_tokenised_keeps_its_spaces_before_high_signs() -> None:
    texts = ["un chien , à la plage .", "l' eau est bonne , et la vie ?", "les deux hommes , dans une rue ."]
    joining = learned("spaces", texts)
    assert joining.tokenised
    assert joining.by_rule("qu' est -ce que c' est ?") == "qu'est-ce que c'est ?"
    assert (
        joining.by_rule("il dit : « viens ; vite ! » , aujourd' hui .") == "il dit : « viens ; vite ! », aujourd'hui."
    )
    assert learned("spaces", TOKENISED).by_rule("est ?") == "est?"


def test_a_dash_stays_one_where_hyphens_stand_inside_words() -> None:
    joining = learned("spaces", [*TOKENISED, "a well-known man , a far-off land ."])
    assert joining.by_rule("a dog - a cat") == "a dog - a cat"


@pytest.mark.parametrize(
    "data",
    [None, [], {}, {"gaps": [], "tokenised": 1, "french": False, "hyphens": False}, {"gaps": [[1]], "tokenised": True,
     "french": False, "hyphens": False}],
)  # fmt: skip
def test_what_is_no_joining_is_refused(data: object) -> None:
    with pytest.raises(RunError, match=r"^task\.json: expected how tokens are joined"):
        joining_from_json(data, "task.json")
