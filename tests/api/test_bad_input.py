"""Bad data and bad configs end in a clear sentence, exit code 2, and nothing lost."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from api.api_room import done, recurra, refused, rows, write_config, write_csv

from recurra.api.schema import read_settings
from recurra.base.errors import ConfigError


def write(text: str | bytes) -> Callable[[Path], None]:
    data = text if isinstance(text, bytes) else text.encode()
    return lambda path: path.write_bytes(data) and None


def table(lines: list[tuple[str, str]], header: str = "text,label") -> bytes:
    return "\n".join([header, *(f"{a},{b}" for a, b in lines)]).encode() + b"\n"


ROWS = table(rows())
BAD_DATA = {
    "missing": (lambda path: path.unlink(missing_ok=True), "data.csv: no such file."),
    "a folder": (lambda path: (path.unlink(missing_ok=True), path.mkdir()) and None, "data.csv: is a folder, expected a file."),
    "empty": (write(b""), "data.csv: is empty, expected a header and rows."),
    "only blank lines": (write("\n\n\n"), "data.csv: is empty, expected a header and rows."),
    "a header without rows": (write("text,label\n"), "data.csv: has no rows, only 1 line of header or blanks."),
    "wrong column": (write(table(rows(), "text,lable")), "data.csv:1: no column 'label'. Did you mean 'lable'? Columns: text, lable."),
    "duplicate columns": (write(table(rows(), "text,text")), "data.csv:1: column 'text' appears twice in the header (text, text)."),
    "one class": (write(table([(t, "good") for t, _ in rows()])),
                  "data.csv: expected at least 2 different labels, found 1 ('good') in 32 rows; there is nothing to tell apart."),
    "all labels missing": (write(table([(t, "") for t, _ in rows()])),
                           "data.csv:2: the label is empty; expected one label. Fill it in, or set data.on_error: skip."),
    "a blank text": (write("text,label\na,x\n  ,y\n"), "data.csv:3: column 'text' is empty, expected text."),
    "not UTF-8": (write(ROWS + "schön,good\n".encode("latin-1")), "data.csv:42: byte 4 of the line, 0xF6, is not UTF-8."),
    "NUL bytes": (write(ROWS + b"a\0b,good\n"), "data.csv:42: byte 2 of the line is NUL."),
    "UTF-16": (write("text,label\nx,y\n".encode("utf-16")), "data.csv:1: byte "),
    "a line of 10 MB": (write(ROWS + b"x" * 10_000_000 + b",good\n"),
                        "data.csv:42: the line is longer than 8,388,608 bytes, the limit."),
    "a cell too many": (write(ROWS + b"a,b,c\n"), "data.csv:42: expected 2 cells (text, label), got 3: 'a | b | c'."),
    "an open quote": (write(ROWS + b'"a,good\n'), "data.csv:42: a quote opens here and is never closed."),
    "a torn gzip": (write(gzip.compress(ROWS)[:-9]), "data.csv:"),
    "too few rows": (write("text,label\na,x\nb,y\n"), "data.csv: no row is left for dev out of 2; give more rows, or a file for dev."),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "sentence"), BAD_DATA.values(), ids=BAD_DATA)
def test_bad_training_data_is_named_before_anything_is_trained(
    spoil: Callable[[Path], None], sentence: str, data: Path
) -> None:
    spoil(data)
    said = [refused("check", "c.yaml"), refused("train", "c.yaml", "--out", "run")]
    for text in said:
        assert sentence in text
        assert len(text) < 1000
    assert not Path("run").exists(), "a run that could not begin leaves nothing in the way of the next try"


def test_after_the_data_is_mended_the_same_command_runs(data: Path) -> None:
    good = data.read_bytes()
    data.write_bytes(b"text,label\n")
    refused("train", "c.yaml", "--out", "run")
    data.write_bytes(good)
    assert done("train", "c.yaml", "--out", "run").out


def test_a_run_that_cannot_begin_takes_nothing_of_the_users_away(data: Path) -> None:
    Path("run").mkdir()
    Path("run/mine.txt").write_text("mine")
    data.write_bytes(b"")
    refused("train", "c.yaml", "--out", "run")
    assert [path.name for path in Path("run").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(("spoil", "sentence"), BAD_DATA.values(), ids=BAD_DATA)
def test_a_bad_file_to_evaluate_or_predict_is_named_and_the_run_stays_as_it_was(
    spoil: Callable[[Path], None], sentence: str, run: Path
) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    spoil(Path("data.csv"))
    Path("data.csv").rename("other.csv") if Path("data.csv").exists() else None
    write_csv(Path("data.csv"), rows())
    sentence = sentence.replace("data.csv", "other.csv")
    if "at least 2 different" not in sentence and "no row is left" not in sentence:
        assert sentence in refused("evaluate", run, "other.csv")
    if "label" not in sentence.partition(":")[2] and "no row is left" not in sentence and "blank" not in sentence and "'text' is empty" not in sentence:
        assert sentence in refused("predict", run, "--input", "other.csv", "--output", "out.csv")
    assert not Path("out.csv").exists()
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
