"""Cuts that are learned from a file's own tokens, in several languages, and their JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from recurra.data.tokenizers.learned import Learned, Unit, edges, found_share, guessed_units, learn, learned_from_json


def units(sentence: str) -> list[Unit]:
    """From "I do|n't know |." : white space as in the text, | where the file cuts; du=de+le is spelt otherwise."""
    found = []
    for run in sentence.split():
        if "=" in run:
            word, _, tokens = run.partition("=")
            found.append(Unit(word, tuple(tokens.split("+")), True))
            continue
        parts = run.split("|")
        found += [Unit(part, (part,), k == len(parts) - 1) for k, part in enumerate(parts)]
    return found


def cuts(sentences: list[str], text: str) -> list[str]:
    return learn([units(sentence) for sentence in sentences])(text)[0]


ENGLISH = [
    "I do|n't know Mr. Smith|.",
    "They ca|n't see it|, Mr. Jones|.",
    "You wo|n't go to the U.S. soon|.",
    "We do|n't like Ann|'s dog|.",
    "He can|not win|.",
    "She can|not sing|.",
    "It can|not be|.",
    "Is it Bob|'s car|?",
    "Paul|'s house is red|.",
    "The end of the day|.",
]


def test_contractions_and_abbreviations_are_cut_as_the_file_cuts_them() -> None:
    text = "Mr. Brown does n't see, and don't you: Carl's cannot end."
    found = cuts(ENGLISH, text)
    assert found[:2] == ["Mr.", "Brown"]
    assert found[found.index("do") : found.index("do") + 3] == ["do", "n't", "you"]
    assert found[-6:] == ["Carl", "'s", "can", "not", "end", "."]


@pytest.mark.parametrize(
    ("sentences", "text", "expected"),
    [
        (
            ["l'|eau est froide|.", "il voit l'|homme|.", "d'|abord il dort|.", "qu'|il dorme|.", "j'|ai vu l'|or|."],
            "l'arbre d'or",
            ["l'", "arbre", "d'", "or"],
        ),
        (["dell'|arte|.", "nell'|acqua|.", "c'|era una volta|.", "un'|ora fa|."], "dell'acqua", ["dell'", "acqua"]),
        (["l'|home", "d'|aigua", "no dona|-|me|-|ho", "porta|-|ho"], "l'aigua", ["l'", "aigua"]),
    ],
    ids=["French", "Italian", "Catalan"],
)
def test_the_apostrophe_stays_where_the_language_has_it(sentences: list[str], text: str, expected: list[str]) -> None:
    assert cuts(sentences * 2, text) == expected


def test_words_that_are_spelt_otherwise_share_a_place() -> None:
    learned = learn([units("il parle du=de+le chat|.")] * 2 + [units("des=de+les amis")] * 2 + [units("des amis")])
    tokens, places = learned("Du pain des amis")
    assert tokens == ["De", "le", "pain", "de", "les", "amis"]
    assert places == [(0, 2), (0, 2), (3, 7), (8, 11), (8, 11), (12, 16)]


def test_tokens_alone_teach_what_stands_together() -> None:
    rows = ["Mr. Smith said : I do n't know , it 's l' eau .", "The U.S. and Mr. Jones , too .", "A week 's end ."]
    learned = learn([guessed_units(row.split()) for row in rows * 3])
    assert learned("Mr. Jones, don't end it.")[0] == ["Mr.", "Jones", ",", "do", "n't", "end", "it", "."]
    assert learned("l'eau's U.S. end.")[0][-3:] == ["U.S.", "end", "."]


def test_guessed_texts_are_set_as_a_printer_would() -> None:
    found = guessed_units(["He", "said", ":", '"', "(", "do", "n't", ")", '"', ",", "l'", "eau", "."])
    text = "".join(unit.text + (" " if unit.space else "") for unit in found)
    assert text == "He said: \"(don't)\", l'eau. "


def test_without_anything_learned_a_text_is_cut_finely() -> None:
    learned = Learned({}, [], {})
    assert learned("Miller's 3.5km 東京")[0] == ["Miller", "'", "s", "3", ".", "5", "km", "東", "京"]
    assert learned(" \t ") == ([], [])


def test_every_token_stands_at_its_place() -> None:
    learned = learn([units(sentence) for sentence in ENGLISH])
    text = "  I don't  know\tMr. Smith's. "
    tokens, places = learned(text)
    assert [text[start:end] for start, end in places] == tokens
    assert "".join(tokens) == "".join(text.split())


def test_the_share_of_tokens_that_are_found_is_counted_at_their_place() -> None:
    learned = Learned({}, [], {})
    # don ' t . of do n't . : the full stop alone; a, b of a b.
    assert found_share(learned, [units("do|n't|."), units("a b")]) == pytest.approx(3 / 5)
    assert found_share(learned, []) == 1.0


def test_what_was_learned_comes_back_from_json() -> None:
    learned = learn([*(units(sentence) for sentence in ENGLISH), units("du=de+le chat"), units("du=de+le roi")])
    again = learned_from_json(json.loads(json.dumps(learned.to_json())))
    text = "I don't know Mr. Brown, du tout."
    assert again(text) == learned(text)


@pytest.mark.parametrize(
    "change",
    [
        {"weights": {"a": float("nan")}},
        {"weights": {"a": True}},
        {"weights": dict.fromkeys(map(str, range(20_001)), 1.0)},
        {"weights": []},
        {"endings": [["a"]]},
        {"endings": [[1, "b"]]},
        {"endings": 3},
        {"words": {"du": "de"}},
        {"words": {"du": [1]}},
        {"words": {"du": []}},
    ],
)
def test_rules_that_are_none_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        learned_from_json({"weights": {}, "endings": [], "words": {}, **change})


def test_what_is_looked_at_does_not_grow_with_the_text() -> None:
    for part in ("n't", "a.", "x", "'", "9"):
        text = part * 3_000
        found = list(edges(text, 0, len(text), {"n": ["'t"], "x": [""]}))
        assert len(found) <= len(text)
        assert all(len(feature) < 80 for edge in found for feature in edge.features)
