"""What the exports of annotation tools share: a list of JSON values, or one after another, each made a row by its tool.

A row has `text` and `spans`, a list of {"start", "end", "label"} in characters, or `label` where whole texts have one.
Where a tool repeats the text of a span, it must be what stands there: other offsets are counted in other units.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recurra.base.errors import DataError
from recurra.data.formats.items import Items
from recurra.data.formats.lines import Line, Lines, open_lines

Row = dict[str, Any]
# From a value to a row; None where it is left out, for a reason that is counted.
Reader = Callable[[Any, Counter[str]], Row | None]
SUFFIXES = (".json", ".jsonl", ".ndjson")
# Values that are looked at to see which tool wrote a file, and characters of a text that a message shows.
LOOK, SHOWN = 20, 40


class BadAnnotationError(Exception):
    """A value is not as its tool writes it, in a sentence."""


class AnnotatedRows:
    """Rows of an export. said: what was left out, when all is read"""

    columns = None

    def __init__(self, lines: Lines, read: Reader) -> None:
        self._lines, self._read = lines, read
        self._items = Items(lines, one_after_another=is_lines(lines.path))
        self._counts: Counter[str] = Counter()
        self._none_yet = True
        self.said: list[str] = []

    def next_row(self) -> tuple[Line, Mapping[str, Any]]:
        """The next row that is not left out; BadRowError for a value that is not as the tool writes it."""
        while True:
            try:
                line, value = self._items.next_item()
            except StopIteration:
                self._tell()
                raise
            try:
                row = self._read(value, self._counts)
            except BadAnnotationError as problem:
                raise self._lines.bad(str(problem), line) from None
            if row is not None:
                self._none_yet = False
                return line, row

    def _tell(self) -> None:
        told = ", ".join(f"{count:,} {reason}" for reason, count in self._counts.items())
        if told and self._none_yet:
            raise DataError(f"{self._lines.path}: no row is left: {told}.")
        self.said += [f"{told}."] if told else []
        self._counts.clear()


def is_lines(path: str | Path) -> bool:
    """Whether the name of a file says that it is JSON Lines."""
    return Path(str(path).lower().removesuffix(".gz")).suffix in SUFFIXES[1:]


def first_values(path: Path) -> list[Any]:
    """The first values of a JSON file; none of another file, and fewer of a damaged one."""
    found: list[Any] = []
    if Path(str(path).lower().removesuffix(".gz")).suffix not in SUFFIXES or not path.is_file():
        return found
    try:
        with open_lines(path) as lines:
            items = Items(lines, one_after_another=is_lines(path))
            for _ in range(LOOK):
                found.append(items.next_item()[1])
    except (DataError, StopIteration):  # whoever reads the file says it better
        pass
    return found


def text_in(value: Mapping[str, Any], *keys: str) -> str:
    """The text under the first of these keys that is there. Raises BadAnnotationError."""
    key = next((key for key in keys if key in value), keys[0])
    if not isinstance(value.get(key), str):
        raise BadAnnotationError(f"expected a text under '{key}', got {value.get(key)!r:.60}.")
    return str(value[key])


def span_of(text: str, start: object, end: object, label: object, said: object = None) -> Row:
    """A span. said: its text as the tool repeats it, or None. Raises BadAnnotationError for what is none."""
    if type(start) is not int or type(end) is not int or not isinstance(label, str) or not label.strip():
        raise BadAnnotationError(
            f"expected a span with a start, an end and a label, got {start!r:.20}, {end!r:.20} and {label!r:.40}."
        )
    if not 0 <= start < end <= len(text):
        raise BadAnnotationError(
            f"span {start}-{end} of label '{label[:SHOWN]}' does not lie in the text, which has {len(text)} characters"
            f"{units_hint(text, end)}; expected 0 <= start < end <= {len(text)}."
        )
    if isinstance(said, str) and same(said) != same(text[start:end]):
        fits = same(in_units(text, start, end)) == same(said)
        raise BadAnnotationError(
            f"span {start}-{end} of label '{label[:SHOWN]}' says {said[:SHOWN]!r}, and the text has "
            f"{text[start:end][:SHOWN]!r} there"
            + (
                "; it fits where an emoji counts as two, as in UTF-16. Count characters (code points)."
                if fits
                else ". Export again, or mend the offsets."
            )
        )
    return {"start": start, "end": end, "label": label}


def units_hint(text: str, end: int) -> str:
    """A clause where a place lies behind the text, but not behind it in UTF-16; "" elsewhere."""
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    return f" ({units} where an emoji counts as two, as in UTF-16)" if len(text) < end <= units else ""


def in_units(text: str, start: int, end: int) -> str:
    """What stands between two places that are counted in units of UTF-16."""
    raw = text.encode("utf-16-le", "surrogatepass")
    return raw[2 * start : 2 * end].decode("utf-16-le", "replace")


def same(text: str) -> str:
    """A text as it is compared: tools put a space for a line break."""
    return " ".join(text.split())


def one_or_all(labels: Sequence[str]) -> str | list[str]:
    """The only label of a text, or the list of them."""
    return labels[0] if len(labels) == 1 else list(labels)
