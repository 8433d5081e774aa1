"""Files of words with their pronunciations: CMUdict, Kaldi's lexicon.txt and lexiconp.txt, lists of words."""

from __future__ import annotations

from pathlib import Path

import pytest

from recurra.base.errors import DataError
from recurra.data import lexicons
from recurra.data.lexicons import Lexicon


def read(folder: Path, text: str) -> Lexicon:
    (folder / "words.txt").write_text(text, encoding="utf-8")
    return Lexicon.read(folder / "words.txt")


def lines(found: Lexicon) -> list[tuple[str, str, float, int]]:
    return [(e.word, " ".join(e.units), e.p, e.line) for e in found.pronounced()]


def test_cmudict_has_variants_and_remarks(tmp_path: Path) -> None:
    found = read(
        tmp_path, ";;; of 2026\nread  R EH1 D\nread(2) R IY1 D # as in today\n\n# a remark\nd'artagnan D AH0\n"
    )
    assert lines(found) == [("read", "R EH1 D", 1.0, 2), ("read", "R IY1 D", 1.0, 3), ("d'artagnan", "D AH0", 1.0, 6)]
    assert list(found) == ["read", "d'artagnan"]
    assert "read" in found
    assert len(found) == 2


def test_kaldi_has_tabs_repeated_words_and_perhaps_probabilities(tmp_path: Path) -> None:
    assert lines(read(tmp_path, "A\tah\nA ey\n")) == [("A", "ah", 1.0, 1), ("A", "ey", 1.0, 2)]
    assert lines(read(tmp_path, "A 1.0 ah\nA 0.25 ey\n")) == [("A", "ah", 1.0, 1), ("A", "ey", 0.25, 2)]
    # A unit may be written as a number: these are no probabilities, as not all lines have one.
    assert lines(read(tmp_path, "A 1 b\nC d e\n")) == [("A", "1 b", 1.0, 1), ("C", "d e", 1.0, 2)]


def test_a_line_without_the_probability_that_others_have_is_named(tmp_path: Path) -> None:
    """Else the numbers of all lines would be units."""
    for bad in ("1.5", "0", "-0.5", "ah", "nan"):
        found = read(tmp_path, f"A 1.0 ah\nA {bad} ey\n")
        assert list(found) == ["A"]
        with pytest.raises(
            DataError, match=rf"words.txt:2: 'A' has '{bad}' before its pronunciation; expected its pro"
        ):
            found.pronounced()
    for bad in ("A", "A 0.5"):
        with pytest.raises(DataError, match=r"words.txt:2: 'A' has no pronunciation"):
            read(tmp_path, f"A 1.0 ah\n{bad}\n").pronounced()
    assert list(read(tmp_path, "the 5.3\nof 3.1\n")) == ["the", "of"]  # how often they are, which nobody asks


def test_marks_of_other_systems_are_no_part_of_a_word(tmp_path: Path) -> None:
    """What Windows writes at the beginning of a file and at the end of a line."""
    (tmp_path / "words.txt").write_bytes(b"\xef\xbb\xbfcat\tK AE T\r\n\t\t\r\ndog\tD AO G\r\n")
    assert lines(Lexicon.read(tmp_path / "words.txt")) == [("cat", "K AE T", 1.0, 1), ("dog", "D AO G", 1.0, 3)]


def test_a_list_of_words_is_read_and_says_no_pronunciation_by_its_line(tmp_path: Path) -> None:
    found = read(tmp_path, "cat K AE T\n\ndog\n")
    assert list(found) == ["cat", "dog"]
    with pytest.raises(DataError, match=r"words.txt:3: 'dog' has no pronunciation; expected the units"):
        found.pronounced()


def test_what_is_no_lexicon_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="holds no word"):
        read(tmp_path, "\n# nothing\n")
    with pytest.raises(DataError, match=r"words.txt:2: expected at most 1,000,000 lines, of 10,000 characters"):
        read(tmp_path, "a b\n" + "c" * 10_001)
    monkeypatch.setattr(lexicons, "MOST_LINES", 2)
    with pytest.raises(DataError, match=r"words.txt:3: expected at most 2 lines"):
        read(tmp_path, "a b\nc d\ne f\n")
    (tmp_path / "words.txt").write_bytes(b"\xff\xfe\n")
    with pytest.raises(DataError, match="cannot be read as text in UTF-8"):
        Lexicon.read(tmp_path / "words.txt")
    with pytest.raises(DataError, match="cannot be read"):
        Lexicon.read(tmp_path)
