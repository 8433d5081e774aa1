"""Tokens put together again: what a model writes, as a reader wants to see it."""

from __future__ import annotations

import json

import pytest

from recurra.data.tokenizers import TOKENIZERS, tokenizer_from_json

TEXTS = ["two dogs, running.", "a dog's  life", "(yes) it is so-called"]


@pytest.mark.parametrize(
    ("name", "joined"),
    [
        ("spaces", ["two dogs, running.", "a dog's life", "(yes) it is so-called"]),
        ("words", ["two dogs , running .", "a dog's life", "( yes ) it is so - called"]),
        ("characters", TEXTS),
        ({"name": "subwords", "vocab_size": 60}, ["two dogs, running.", "a dog's life", "(yes) it is so-called"]),
        ({"name": "subwords", "vocab_size": 60, "algorithm": "unigram"},
         ["two dogs, running.", "a dog's life", "(yes) it is so-called"]),
        ({"name": "subwords", "vocab_size": 70, "algorithm": "wordpiece"},
         ["two dogs , running .", "a dog's life", "( yes ) it is so - called"]),
    ],
    ids=str,
)  # fmt: skip
def test_tokens_are_joined_as_their_tokenizer_cut_them(name: object, joined: list[str]) -> None:
    options = {"name": name} if isinstance(name, str) else dict(name)  # type: ignore[call-overload]
    tokenizer = TOKENIZERS[options.pop("name")](**options).train(TEXTS)
    assert [tokenizer.join(tokenizer.tokenize(text)) for text in TEXTS] == joined
    again = tokenizer_from_json(json.loads(json.dumps(tokenizer.to_json())))
    assert [again.join(tokenizer.tokenize(text)) for text in joined] == joined
    assert tokenizer.join([]) == ""


def test_phones_between_spaces_stay_whole() -> None:
    tokenizer = TOKENIZERS["spaces"]().train([])
    assert tokenizer.tokenize(" t͡ʃ a\u0303 k\u02d0 . ") == ["t͡ʃ", "ã", "kː", "."]
