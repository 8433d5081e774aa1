"""A file of vectors to a table, whatever its form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from recurra.base.errors import ConfigError, DataError, did_you_mean
from recurra.data.formats.lines import open_bytes, refuse_missing
from recurra.data.word_vectors.binary import read_binary
from recurra.data.word_vectors.collected import BAD, Bad, Collected
from recurra.data.word_vectors.subwords import MAGIC, read_subwords
from recurra.data.word_vectors.table import WordVectors
from recurra.data.word_vectors.tensors import read_tensors
from recurra.data.word_vectors.text import read_text


class Form(NamedTuple):
    """How vectors are kept in a file. doc: in a line."""

    doc: str
    read: Callable[[Path, Collected], WordVectors]


FORMS: Final[Mapping[str, Form]] = {
    "text": Form(
        "a word a line with its numbers, with or without a line of sizes first (GloVe, word2vec, .vec)", read_text
    ),
    "binary": Form("word2vec's binary form (.bin)", read_binary),
    "fasttext": Form("fastText's model (.bin), which has vectors for unseen words too", read_subwords),
    "safetensors": Form("a tensor `vectors` and the words, as recurra writes them", read_tensors),
}


def read_vectors(
    path: str | Path,
    *,
    form: str = "auto",
    top: int | None = None,
    bad: Bad = "error",
    note: Callable[[str], None] = lambda message: None,
) -> WordVectors:
    """The vectors in a file, also where gzip has packed it.

    form: a word of FORMS, or `auto`, which looks at the file's beginning
    top:  no more than the first so many words; files have the frequent ones first
    bad:  `error`: a line that cannot be read ends the reading; `skip`: it is left out, and counted in a note
    note: takes what was left out, in a sentence
    Raises DataError with `file:line` or `file: word N`, ConfigError for unknown words.
    """
    path = Path(path)
    if bad not in BAD:
        raise ConfigError(f"bad: unknown choice '{bad}'; expected one of {', '.join(BAD)}.")
    if top is not None and top < 1:
        raise ConfigError(f"top: expected a number of words from 1, got {top}.")
    refuse_missing(path)
    collected = Collected(str(path), top, bad)
    found = FORMS[_form(path, form)].read(path, collected)
    for message in collected.notes():
        note(message)
    return found


def _form(path: Path, form: str) -> str:
    if form != "auto":
        if form not in FORMS:
            hint = did_you_mean(form, FORMS) or f" Expected one of {', '.join(FORMS)}."
            raise ConfigError(f"form: unknown form '{form}'.{hint}")
        return form
    with open_bytes(path) as file:
        head = file.read(4096)
    if not head:
        raise DataError(f"{path}: the file is empty.")
    return _guessed(head)


def _guessed(head: bytes) -> str:
    """The form that a file begins as. After a line of two sizes, text has a line of numbers, the binary form none."""
    if head.startswith(MAGIC):
        return "fasttext"
    if len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**32:
        return "safetensors"
    first, _, rest = head.partition(b"\n")
    if [field.isdigit() for field in first.split()] != [True, True] or not rest:
        return "text"
    sample = rest.partition(b"\n")[0]
    numbers = sample.rstrip().split(b" ")[1:]
    return "text" if numbers and all(_is_number(field) for field in numbers[:3]) else "binary"


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
