"""FASTA: headers to fields, letters over several lines, and what is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from recurra import api
from recurra.base.errors import DataError
from recurra.data.formats import read


def rows(folder: Path, content: str) -> list[dict[str, object]]:
    (folder / "a.fasta").write_text(content, encoding="utf-8")
    return [dict(row.fields) for row in read(folder / "a.fasta")]


def test_a_header_gives_a_name_what_follows_and_the_fields_in_it(tmp_path: Path) -> None:
    content = "\n; a comment\n>s1 label=EI from a gene\nACGT\nacg*\n\n>s2\nNN NN\n"
    assert rows(tmp_path, content) == [
        {"id": "s1", "description": "label=EI from a gene", "label": "EI", "sequence": "ACGTacg*"},
        {"id": "s2", "description": "", "sequence": "NNNN"},
    ]


def test_a_tab_ends_a_name_too(tmp_path: Path) -> None:
    assert rows(tmp_path, ">s1\tlabel=EI \nAC\n") == [
        {"id": "s1", "description": "label=EI", "label": "EI", "sequence": "AC"}
    ]


def test_the_place_of_a_sequence_is_its_header_and_an_empty_one_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.fa").write_text(">a x\n>b y\nAC\n", encoding="utf-8")
    found = list(read(tmp_path / "a.fa"))
    assert [(row.origin.line, row.fields["sequence"]) for row in found] == [(1, ""), (2, "AC")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("ACGT\n>a\nAC\n", r"a.fasta:1: expected a header such as '>seq1 label=a', got .ACGT."),
        (">a\nAC\n>\nGT\n", r"a.fasta:3: has no name behind '>'"),
    ],
)
def test_what_is_no_record_is_named_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        rows(tmp_path, content)


def test_init_reads_letters_with_the_label_of_the_header(tmp_path: Path) -> None:
    content = "".join(f">s{k} label={'ab'[k % 2]}\n{'ACGT' * (k + 2)}\n" for k in range(20))
    (tmp_path / "a.fasta").write_text(content, encoding="utf-8")
    task = yaml.safe_load(api.init("classification", tmp_path / "a.fasta"))["task"]
    assert (task["text"], task["label"], task["tokenizer"]["name"]) == ("sequence", "label", "characters")
