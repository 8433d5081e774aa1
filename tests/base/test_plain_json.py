"""JSON from strangers: one meaning, and a bound on what it takes."""

from __future__ import annotations

import json

import pytest

from recurra.base import plain_json


@pytest.mark.parametrize("value", [None, True, -1.5, "ä, [b]: {", [], {}, {"a": [1, {"b": []}], "c": {"a": 0}}])
def test_what_json_writes_is_read(value: object) -> None:
    assert plain_json.loads(json.dumps(value).encode()) == value
    assert plain_json.loads(json.dumps(value, ensure_ascii=False, indent=1).encode()) == value


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b'{"a": 1, "b": {"c": 1, "d": 2, "c": 3}}', "the key 'c' comes twice"),
        (b"[NaN]", "it has the number NaN, which JSON has not"),
        (b'{"a": -Infinity}', "it has the number -Infinity, which JSON has not"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b"9" * 5000, "integer string conversion"),
        (b"{", "Expecting property name"),
        (b"\xff", "decode"),
        (b"", "Expecting value"),
    ],
)
def test_what_has_no_meaning_or_two_is_refused(text: bytes, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        plain_json.loads(text)


def test_too_much_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_json, "MAX_VALUES", 4)
    assert plain_json.loads(b"[1, 2, 3]") == [1, 2, 3]
    for text in (b"[1, 2, 3, 4]", b"[[],{}]"):
        with pytest.raises(ValueError, match="it has about 5 values, expected at most 4"):
            plain_json.loads(text)
    monkeypatch.setattr(plain_json, "MAX_BYTES", 9)
    assert plain_json.loads(b"[1, 2, 3]") == [1, 2, 3]
    with pytest.raises(ValueError, match="it has 10 bytes, expected at most 9"):
        plain_json.loads(b"[1, 2, 3] ")
