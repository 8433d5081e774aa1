"""Tags as CoNLL columns: what the input has line by line, with a column more, or a token and its tag a line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

from recurra.base.atomic import replacing
from recurra.base.errors import DataError
from recurra.cli.failures import UsageError
from recurra.cli.terminal import say
from recurra.data.formats.conll import CONLL, DOCUMENT
from recurra.data.formats.conllu import COLUMNS, CONLLU, is_conllu
from recurra.data.formats.lines import BadRowError, Line, Lines, open_lines
from recurra.data.formats.sentences import LINE, is_blank

if TYPE_CHECKING:
    from recurra.api import Answered, Source

SUFFIXES = (*CONLL.suffixes, *CONLLU.suffixes)
# The key of a tag in the last column of CoNLL-U, where the tag's own column is taken.
KEY = "Predicted"
Tags = Mapping[int, str]


def write_conll(path: Path, answers: Iterable[Answered], source: Source | None, column: str) -> int:
    """Write tags; the file is there whole or not at all. Returns the number of sentences. column: of the true tags

    From CoNLL each line is copied with its tag behind it; from CoNLL-U a tag goes to its column where the sentence has
    none there, else to MISC as Predicted=TAG; comments and all other lines and columns stay. From anything else: a
    token and its tag a line, a blank line behind each sentence.
    Raises UsageError for CoNLL-U from something else, and for answers without tags.
    """
    given = source.format if source else ""
    misnamed = source is not None and given == "conll" and _holds_conllu(source)
    if misnamed:
        given = "conllu"
    if path.suffix.lower() in CONLLU.suffixes and given != "conllu":
        raise UsageError(f"--output {path}: CoNLL-U is written from CoNLL-U (--input FILE.conllu) alone; use .conll.")
    counted = _Counted(answers, path)
    if source is not None and given == "conll" and path.suffix.lower() in CONLL.suffixes:
        lines = _copied(source, counted, _behind)
    elif source is not None and (misnamed or path.suffix.lower() in CONLLU.suffixes):
        lines = _copied(source, counted, _Universal(column, path))
    else:
        lines = (line for one in counted for line in _plainly(one))
    with replacing(path) as file:
        for line in lines:
            file.write(line.encode())
    return counted.number


def _holds_conllu(source: Source) -> bool:
    """Whether a file that is called .conll has the columns of CoNLL-U."""
    with open_lines(source.path, encoding=source.encoding) as lines:
        tokens = (line.text for line in _readable(lines) if not _holds_no_token([line]))
        return is_conllu(next(tokens, ""))


class _Counted:
    """Answers with tags, counted. Raises UsageError for one without, DataError for a tag that no column can hold."""

    def __init__(self, answers: Iterable[Answered], path: Path) -> None:
        self._answers, self._path, self.number = answers, path, 0

    def __iter__(self) -> Iterator[Answered]:
        for one in self._answers:
            if one.tags is None:
                raise UsageError(f"--output {self._path}: this run answers with no tags; use .csv, .tsv or .jsonl.")
            for tag in one.tags:
                if tag.split() != [tag]:
                    raise DataError(f"{self._path}: the tag {tag!r} holds white space, as no column can; use .jsonl.")
            self.number += 1
            yield one


def _plainly(one: Answered) -> Iterator[str]:
    yield from (f"{token}\t{tag}\n" for token, tag in zip(one.tokens or (), one.tags or (), strict=True))
    yield "\n"


def _behind(block: list[Line], tags: Tags) -> Iterator[str]:
    """The lines of a sentence, each with its tag behind it."""
    for line in block:
        more = f"{chr(9) if chr(9) in line.text else ' '}{tags[line.number]}" if line.number in tags else ""
        yield f"{line.text}{more}{line.ending or chr(10)}"


class _Universal:
    """The lines of a CoNLL-U sentence with its tags, in their column or in MISC."""

    def __init__(self, column: str, path: Path) -> None:
        self._place = COLUMNS.index(column) if column in COLUMNS else None
        self._column, self._path, self._told = column, path, False

    def __call__(self, block: list[Line], tags: Tags) -> Iterator[str]:
        cells = {line.number: line.text.split("\t") for line in block if line.number in tags}
        place = self._place
        taken = place is None or any(row[place] != "_" for row in cells.values())
        if taken and not self._told:
            self._told = True
            say(f"{self._path}: {self._column} holds tags, which stay; the predicted ones are in MISC as {KEY}=TAG.")
        for line in block:
            if (row := cells.get(line.number)) is None:
                yield line.text + (line.ending or "\n")
                continue
            if taken or place is None:
                row[-1] = _with_tag(row[-1], tags[line.number])
            else:
                row[place] = tags[line.number]
            yield "\t".join(row) + (line.ending or "\n")


def _with_tag(misc: str, tag: str) -> str:
    """MISC with a tag more; a bar in it is written as UDPipe does, and a key that is taken gets a number."""
    parts = [] if misc == "_" else misc.split("|")
    keys = {part.partition("=")[0] for part in parts}
    key = next(name for name in chain([KEY], (f"{KEY}{n}" for n in count(2))) if name not in keys)
    return "|".join([*parts, f"{key}={tag.replace(chr(92), chr(92) * 2).replace('|', chr(92) + 'p')}"])


def _copied(
    source: Source, answers: Iterable[Answered], put: Callable[[list[Line], Tags], Iterator[str]]
) -> Iterator[str]:
    """The lines of a file with tags put in; sentences without an answer are left out."""
    if not source.path.is_file():
        raise UsageError(f"{source.path}: is read twice to write CoNLL, and is no file on disk; save it first.")
    with open_lines(source.path, encoding=source.encoding) as lines:
        blocks = _blocks(lines)
        for one in answers:
            tags = dict(zip(one.record.fields[LINE], one.tags or (), strict=True))
            for block in blocks:
                mine = any(line.number in tags for line in block)
                if mine or _holds_no_token(block):
                    yield from put(block, tags)
                if mine:
                    break
        for block in blocks:
            if _holds_no_token(block):
                yield from put(block, {})


def _blocks(lines: Lines) -> Iterator[list[Line]]:
    """Lines up to a blank one, it and those behind it too."""
    block: list[Line] = []
    for line in _readable(lines):
        if block and is_blank(block[-1]) and not is_blank(line):
            yield block
            block = []
        block.append(line)
    if block:
        yield block


def _readable(lines: Lines) -> Iterator[Line]:
    while True:
        try:
            yield next(lines)
        except StopIteration:
            return
        except BadRowError as damage:  # of a sentence that was refused, and has no answer
            yield damage.line


def _holds_no_token(block: list[Line]) -> bool:
    return all(is_blank(line) or line.text.startswith(("#", DOCUMENT)) for line in block)
