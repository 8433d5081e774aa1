"""Word pieces of published vocabularies: pieces and places by BERT's own rules, pairs, truncation, files."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from oracles import wordpiece
from published_room import WORDS, folder
from recurra.base.errors import ConfigError, DataError
from recurra.data.tokenizers import PAIR, Pieces, read_pieces, refuse_limits, tokenizer_from_json
from recurra.data.tokenizers.published import from_words
from recurra.tasks.text import TextEncoder

# Letters with accents, signs, other scripts, white space of several kinds, what is invisible.
STRANGE = (
    "aeéÉñßx GOOD film  the\t\n!.,-–—$^`~«»'’“北京語ッйёЙΣσςﬁǅ1²½😀👍🏽[](){}#"
    "\u0301\u200b\u00ad\ufffd\x00\u2028\u00a0\u3000"
)


@pytest.mark.parametrize("lowercase", [True, False])
def test_ten_thousand_strange_texts_have_the_pieces_and_places_of_berts_own_rules(lowercase: bool) -> None:
    words = [
        *WORDS,
        "É",
        "##É",
        "й",
        "##й",
        "и",
        "##и",
        "σ",
        "##σ",
        "北",
        "G",
        "##O",
        "##D",
        "–",
        "1",
        "##1",
        "ñ",
        "##ñ",
    ]
    pieces, draw = from_words(words, lowercase), random.Random(3)
    known, total = set(words), 0
    for _ in range(10_000):
        text = "".join(draw.choices(STRANGE, k=draw.randrange(1, 13)))
        expected = wordpiece.cut(text, known, lowercase=lowercase)
        said = pieces.pieces(text)
        assert [place for _, place in said] == [(a, b) for _, a, b in expected], text
        names = [piece if piece in known else "[UNK]" for piece, _ in said]
        assert names == [piece for piece, _, _ in expected], text
        total += len(said)
    assert total > 30_000


def test_a_word_of_more_than_a_hundred_characters_is_unknown(tmp_path: Path) -> None:
    pieces = read_pieces(folder(tmp_path))
    assert [p for p, _ in pieces.pieces("a" * 100)] == ["a", *["##a"] * 99]
    assert pieces.pieces("a" * 101) == [("a" * 101, (0, 101))]


def test_marks_that_a_text_spells_out_are_text(tmp_path: Path) -> None:
    pieces = read_pieces(folder(tmp_path))
    assert pieces.tokenize("[SEP]") == ["[CLS]", "[", "s", "##e", "##p", "]", "[SEP]"]


def test_a_pair_has_a_separator_between_and_an_empty_second_text_has_its_own(tmp_path: Path) -> None:
    pieces = read_pieces(folder(tmp_path))
    assert pieces.tokenize("the film" + PAIR + "was bad") == [
        "[CLS]", "the", "film", "[SEP]", "was", "bad", "[SEP]"]  # fmt: skip
    assert pieces.tokenize("the" + PAIR) == ["[CLS]", "the", "[SEP]", "[SEP]"]
    assert pieces.join(pieces.tokenize("the filming" + PAIR + "was")) == "the filming was"


@pytest.mark.parametrize(
    ("text", "limit", "keep", "kept"),
    [
        ("a b c d e", 5, "start", "[CLS] a b c [SEP]"),
        ("a b c d e", 5, "end", "[CLS] c d e [SEP]"),
        ("a b c d e", 2, "start", "[CLS] [SEP]"),
        ("a b c d e" + PAIR + "x y", 8, "start", "[CLS] a b c [SEP] x y [SEP]"),
        # On equality from the second: 3 and 3 become 3 and 2, then 2 and 2.
        ("a b c" + PAIR + "x y z", 8, "start", "[CLS] a b c [SEP] x y [SEP]"),
        ("a b c" + PAIR + "x y z", 7, "start", "[CLS] a b [SEP] x y [SEP]"),
        ("a b c" + PAIR + "x y z", 7, "end", "[CLS] b c [SEP] y z [SEP]"),
        ("a" + PAIR + "x y z", 6, "start", "[CLS] a [SEP] x y [SEP]"),
    ],
)
def test_what_is_cut_is_cut_from_the_longer_text_and_marks_stay(
    tmp_path: Path, text: str, limit: int, keep: str, kept: str
) -> None:
    pieces = read_pieces(folder(tmp_path))
    encoded, number = TextEncoder(pieces, pieces.vocabulary, limit, keep).encode(text)  # type: ignore[arg-type]
    assert " ".join(encoded.tokens) == kept
    assert number == len(pieces.tokenize(text))


def test_an_unknown_word_is_named_as_it_is_written_also_behind_a_cut(tmp_path: Path) -> None:
    pieces = read_pieces(folder(tmp_path))
    encoded, _ = TextEncoder(pieces, pieces.vocabulary, 4, "end").encode("ж the Ж")
    assert encoded.tokens == ("[CLS]", "the", "Ж", "[SEP]")
    assert encoded.unknown == ("Ж",)


def test_it_comes_back_from_json_with_the_same_numbers(tmp_path: Path) -> None:
    pieces = read_pieces(folder(tmp_path))
    again = tokenizer_from_json(json.loads(json.dumps(pieces.to_json())))
    assert isinstance(again, Pieces)
    assert again.vocabulary == pieces.vocabulary
    assert again.tokenize("Film, filming!") == pieces.tokenize("Film, filming!")
    # Four numbers of a vocabulary are taken: piece k of the folder has number k + 4.
    assert again.vocabulary.ids(["[SEP]"]) == [WORDS.index("[SEP]") + 4]


def test_cased_is_what_the_config_says_or_a_capital_letter_in_the_vocabulary(tmp_path: Path) -> None:
    assert [p for p, _ in read_pieces(folder(tmp_path / "a")).pieces("The")] == ["the"]
    cased = folder(tmp_path / "b", words=[*WORDS, "The"])
    assert [p for p, _ in read_pieces(cased).pieces("The the")] == ["The", "the"]
    (cased / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    assert [p for p, _ in read_pieces(cased).pieces("The")] == ["the"]


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("vocab.txt", "a\nb\na\n", r"vocab\.txt: holds no tokenizer: 1 pieces stand in it twice"),
        ("vocab.txt", "[PAD]\n[UNK]\na\n", r"vocab\.txt: holds no tokenizer.*no \[CLS\] and no \[SEP\]"),
        ("tokenizer.json", "{", r"tokenizer\.json: holds no tokenizer"),
        ("tokenizer.json", '{"model": {"type": "X", "vocab": {}}}', r"tokenizer\.json: holds no tokenizer"),
    ],
)
def test_a_file_that_holds_no_tokenizer_is_named(tmp_path: Path, file: str, content: str, words: str) -> None:
    where = folder(tmp_path)
    (where / file).write_text(content)
    with pytest.raises(DataError, match=words):
        read_pieces(where)


def test_a_folder_without_a_vocabulary_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected tokenizer\.json or vocab\.txt"):
        read_pieces(tmp_path)


def test_options_that_choose_a_vocabulary_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"min_count: has no effect with tokenizer: pretrained"):
        refuse_limits(read_pieces(folder(tmp_path)), 2, None)
