"""CoNLL columns and CoNLL-U: sentences by value, and what is wrong by file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from recurra.base.contracts import Origin
from recurra.base.errors import DataError
from recurra.data.formats import SkippedRows, read


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode("utf-8"))
    return path


def test_a_sentence_is_a_record_of_lists_whose_origin_is_its_first_line(tmp_path: Path) -> None:
    path = put(tmp_path, "a.conll", "-DOCSTART- O\n\nIn O\nBerlin B-LOC\n\n\n# O\n")
    first, second = read(path)
    assert first.fields == {"token": ["In", "Berlin"], "tag": ["O", "B-LOC"], "line": [3, 4]}
    assert first.origin == Origin(str(path), 3)
    assert second.fields == {"token": ["#"], "tag": ["O"], "line": [7]}


def test_columns_are_cut_at_tabs_where_the_first_line_has_one_and_may_be_named(tmp_path: Path) -> None:
    path = put(tmp_path, "a.iob2", "\ufeffNew York\tB-LOC\r\n\t\r\nx\tO\r\n")
    first, second = read(path, columns=["word", "ner"])
    assert (first.fields["word"], first.fields["ner"]) == (["New York"], ["B-LOC"])
    assert second.fields["line"] == [3]


def test_four_columns_have_the_names_of_the_shared_task(tmp_path: Path) -> None:
    (record,) = read(put(tmp_path, "a.conll", "EU NNP B-NP B-ORG\n"))
    assert record.fields == {"token": ["EU"], "pos": ["NNP"], "chunk": ["B-NP"], "tag": ["B-ORG"], "line": [1]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a O\nb\n", "a.conll:2: expected 2 columns (token, tag) but found 1: 'b'."),
        ("a\tO\nb\t\n", "a.conll:2: column 'tag' is empty: 'b\\t'."),
        ("\n\n", "a.conll: has no rows, only 2 lines of header or blanks."),
    ],
)
def test_broken_columns_are_named_by_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        list(read(put(tmp_path, "a.conll", text)))
    assert str(caught.value) == f"{tmp_path}/{message}"


def test_a_broken_sentence_is_skipped_as_a_whole(tmp_path: Path) -> None:
    skipped = SkippedRows()
    path = put(tmp_path, "a.conll", "a O\n\nb O\nc\nd O\n\ne O\n")
    assert [r.fields["token"] for r in read(path, bad_rows=skipped)] == [["a"], ["e"]]
    assert skipped.count == 1


def test_a_column_called_line_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a column is called 'line', which holds line numbers"):
        list(read(put(tmp_path, "a.conll", "a O\n"), columns=["line", "tag"]))


def word(number: str, form: str, upos: str) -> str:
    return "\t".join([number, form, "_", upos, "_", "_", "0", "_", "_", "_"]) + "\n"


def test_words_of_conllu_are_the_lines_with_whole_numbers(tmp_path: Path) -> None:
    lines = "# text = don't\n" + word("1-2", "don't", "_") + word("1", "do", "AUX") + word("2", "n't", "PART")
    path = put(tmp_path, "a.conllu", f"# only a comment\n\n{lines}{word('2.1', 'x', '_')}\n")
    (record,) = read(path, fields=("form", "upos"))
    assert (record.fields["form"], record.fields["upos"]) == (["do", "n't"], ["AUX", "PART"])
    assert (record.fields["line"], record.origin) == ([5, 6], Origin(str(path), 5))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (word("1", "a", "X") + word("3", "b", "X"), "a.conllu:2: expected word number 2, got '3'."),
        (word("1", "a", "X") + "2\tb\n", "a.conllu:2: expected 10 columns (id, form, lemma"),
        (word("1", "a", ""), "a.conllu:1: column 'upos' is empty, expected a value or _"),
        (word("1-2", "a", "X"), "a.conllu:1: a sentence without words"),
    ],
)
def test_broken_conllu_is_named_by_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        list(read(put(tmp_path, "a.conllu", text)))
    assert message in str(caught.value)


def test_conllu_knows_the_words_of_its_raw_text(tmp_path: Path) -> None:
    lines = word("1-2", "don't", "_") + word("1", "do", "AUX") + word("2", "n't", "PART")
    glued = word("3", "go", "VERB").replace("_\n", "Gloss=x|SpaceAfter=No\n")
    (record,) = read(put(tmp_path, "a.conllu", f"{lines}{glued}{word('4', '.', 'PUNCT')}"))
    assert record.fields["surface"] == [("don't", 2, True), ("go", 1, False), (".", 1, True)]
