"""Standoff annotations of brat: `doc.txt` beside `doc.ann`, in one folder; a document is a row.

Lines that begin with T are spans. Relations, events, attributes and notes are left out, which is counted and said.
Source: brat.nlplab.org/standoff.html
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recurra.base.contracts import Origin
from recurra.base.errors import DataError
from recurra.data.formats.annotated import BadAnnotationError, Given, Row, places_in, span_of
from recurra.data.formats.documents import TEXT, Folder, has, names_in, parts_of, text_of
from recurra.data.formats.format import Format, ReadOptions
from recurra.data.formats.lines import Line, open_lines

STANDOFF = ".ann"
_SPAN = re.compile(r"(T\d+)\t(\S+) (\d+ \d+(?:;\d+ \d+)*)(?:\t(.*))?", re.ASCII)


class BratRows:
    """Rows of documents, by name."""

    columns = ("text", "spans")

    def __init__(self, source: Folder, options: ReadOptions) -> None:
        self._source, self._offsets = source, options.offsets
        self._counts: Counter[str] = Counter()
        self._files = self._found()

    def next_row(self) -> tuple[Origin, Mapping[str, Any]]:
        """The next document; BadRowError for a text that is missing, and a line that is no span of it."""
        try:
            text, standoff = next(self._files)
        except StopIteration:
            self._tell()
            raise
        self._source.number += 1
        if not text.is_file():
            raise self._source.bad(f"{standoff.name} has no text beside it; expected {text.name}.")
        content = text_of(text, self._source.encoding)
        return Origin(str(text)), {"text": content, "spans": self._spans(content, standoff)}

    def _spans(self, text: str, path: Path) -> list[Row]:
        found, count = [], places_in(text, self._offsets)
        with open_lines(path, encoding=self._source.encoding) as lines:
            for line in lines:
                if not line.text.startswith("T"):
                    self._counts["lines that are no spans are left out"] += bool(line.text.strip())
                    continue
                try:
                    found.append(span_of(text, _span(line), count))
                except BadAnnotationError as problem:
                    raise lines.bad(str(problem), line) from None
        return found

    def _found(self) -> Iterator[tuple[Path, Path]]:
        folder = self._source.folder
        if not folder.is_dir():
            yield folder.with_suffix(TEXT), folder
            return
        names = names_in(folder)
        for name in names:
            if name.endswith(STANDOFF):
                yield (folder / name).with_suffix(TEXT), folder / name
        alone = [name for name in names if name.endswith(TEXT) and name[: -len(TEXT)] + STANDOFF not in names]
        self._counts["texts without annotations are left out"] += len(alone)

    def _tell(self) -> None:
        told = ", ".join(f"{count:,} {what}" for what, count in self._counts.items() if count)
        self._source.said += [f"{told}."] if told else []
        self._counts.clear()


def _span(line: Line) -> Given:
    match = _SPAN.fullmatch(line.text)
    if match is None:
        raise BadAnnotationError(f"expected a span such as 'T1<tab>PER 0 4<tab>Anna', got {line.text[:60]!r}.")
    name, label, places, said = match.groups()
    if ";" in places:
        raise BadAnnotationError(
            f"{name} of label '{label[:40]}' is discontinuous ({places[:60]}), and a span is one stretch of text. "
            "Make it one, or leave the document out."
        )
    start, end = places.split()
    if len(start) > 9 or len(end) > 9:
        raise BadAnnotationError(f"{name}: {places[:60]} lies in no text.")
    return int(start), int(end), label, said


@contextmanager
def open_brat(path: Path, options: ReadOptions) -> Iterator[Folder]:
    """Open a folder, or one document by its .ann file. Raises DataError for what is none."""
    if path.is_dir() and not has(path, STANDOFF):
        parts = ", ".join(map(str, splits_of(path).values()))
        raise DataError(
            f"{path}: holds several splits: name one in the config, e.g. data.train: one of {parts}."
            if parts
            else f"{path}: holds no annotations of brat; expected files .txt and .ann beside each other."
        )
    if not path.is_dir() and not path.is_file():
        raise DataError(f"{path}: no such file or folder.")
    yield Folder(path, options.encoding)


def splits_of(path: Path) -> Mapping[str, Path]:
    """The folders of splits in a folder, where those hold annotations."""
    parts = {} if has(path, STANDOFF) else parts_of(path)
    return parts if parts and all(has(part, STANDOFF) for part in parts.values()) else {}


def _takes(path: Path) -> str:
    if not path.is_dir():
        return ""
    if has(path, STANDOFF):
        return "it holds .ann files, as those of brat"
    if splits_of(path):
        return "its folders train, dev and test hold .ann files, as those of brat"
    return ""


BRAT = Format(
    doc="annotations of brat: a folder of .txt and .ann files side by side",
    suffixes=(STANDOFF,),
    open=lambda source, options: BratRows(source, options),
    options=("encoding", "offsets"),
    opened=open_brat,
    takes=_takes,
    by_line=False,
    splits=splits_of,
)
