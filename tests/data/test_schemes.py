"""Tagging schemes: which tags are legal, the spans of legal and illegal tags, and conversion."""

from __future__ import annotations

from itertools import product

import pytest

from recurra.data.schemes import SCHEMES, Span, detected, problem, read_default, read_strict

SPANS = [Span("A", 0, 2), Span("A", 2, 3), Span("B", 4, 7)]
WRITTEN = {
    "bio": "B-A I-A B-A O B-B I-B I-B",
    "iobes": "B-A E-A S-A O B-B I-B E-B",
}


@pytest.mark.parametrize("name", WRITTEN)
def test_spans_are_written_and_read_back(name: str) -> None:
    tags = WRITTEN[name].split()
    assert SCHEMES[name].write(SPANS, 7) == tags
    assert read_default(tags) == read_strict(SCHEMES[name], tags) == SPANS
    assert problem(SCHEMES[name], tags) is None


def test_iob1_begins_with_i_unless_another_span_of_the_type_ends() -> None:
    tags = ["I-A", "I-A", "B-A", "O", "I-B", "I-B", "I-B"]
    assert SCHEMES["iob1"].write(SPANS, 7) == tags
    assert SCHEMES["iob1"].write([Span("A", 0, 1), Span("B", 1, 2)], 2) == ["I-A", "I-B"]
    assert problem(SCHEMES["iob1"], tags) is None
    assert read_default(tags) == SPANS
    assert SCHEMES["bio"].write(read_default(tags), 7) == WRITTEN["bio"].split()


@pytest.mark.parametrize(
    ("name", "tags", "place", "words"),
    [
        ("bio", "O I-A", 1, "tag 'I-A' stands after 'O'"),
        ("bio", "I-A", 0, "at the beginning of a sentence"),
        ("bio", "B-A I-B", 1, "tag 'I-B' stands after 'B-A'"),
        ("bio", "B-A E-A", 1, "tag 'E-A' is not of scheme bio; expected O, B-..., I-...."),
        ("bio", "B-A LOC", 1, "tag 'LOC' is not of scheme bio"),
        ("iob1", "O B-A", 1, "tag 'B-A' stands after 'O'"),
        ("iobes", "O B-A", 1, "tag 'B-A' ends the sentence"),
        ("iobes", "B-A O", 1, "tag 'O' stands after 'B-A'"),
        ("iobes", "S-A E-A", 1, "tag 'E-A' stands after 'S-A'"),
    ],
)
def test_the_first_illegal_tag_is_named(name: str, tags: str, place: int, words: str) -> None:
    found = problem(SCHEMES[name], tags.split())
    assert found is not None
    assert found[0] == place
    assert words in found[1]


@pytest.mark.parametrize(
    ("tags", "name"),
    [("NN -LRB- O", "plain"), ("B-A I-A", "bio"), ("I-A B-A", "iob1"), ("S-A", "iobes"), ("O I-A O B-A", "bio")],
)
def test_the_scheme_of_a_file_is_told_by_its_tags(tags: str, name: str) -> None:
    assert detected([tags.split()]).scheme == name


def test_the_scheme_of_most_sentences_is_that_of_the_file() -> None:
    assert detected([["B-A", "I-A"], ["B-A"], ["S-A"]]).scheme == "bio"
    assert detected([["B-A", "E-A"], ["S-A"], ["B-A"]]).scheme == "iobes"
    assert detected([["I-A"], ["I-A", "I-A"], ["B-A"]]).scheme == "iob1"


def test_illegal_tags_are_read_as_seqeval_reads_them() -> None:
    # Worked out by hand from the two definitions.
    tags = ["I-A", "E-A", "O", "B-B", "I-C", "S-C", "B-C"]
    assert read_default(tags) == [("A", 0, 2), ("B", 3, 4), ("C", 4, 5), ("C", 5, 6), ("C", 6, 7)]
    assert read_strict(SCHEMES["iobes"], tags) == [("C", 5, 6)]
    assert read_strict(SCHEMES["bio"], ["I-A", "B-A", "I-A", "I-B", "O"]) == [("A", 1, 3)]


@pytest.mark.parametrize("name", WRITTEN)
def test_both_readings_agree_on_every_legal_sentence_of_four_tokens(name: str) -> None:
    scheme = SCHEMES[name]
    legal = [tags for tags in product(scheme.tags(["A", "B"]), repeat=4) if problem(scheme, tags) is None]
    assert len(legal) > 50
    for tags in legal:
        assert read_default(tags) == read_strict(scheme, tags)
        assert scheme.write(read_default(tags), 4) == list(tags)
