"""What the exports of annotation tools share: a list of JSON values, or one after another, each made a row by its tool.

A row has `text` and `spans`, a list of {"start", "end", "label"} in characters, or `label` where whole texts have one.
Where a tool repeats the text of a span, it must be what stands there. Tools that count as JavaScript does, in 16-bit
units, are read with `offsets: utf-16`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from recurra.base.errors import DataError
from recurra.data.formats.format import Offsets, ReadOptions
from recurra.data.formats.items import Items
from recurra.data.formats.lines import Line, Lines, open_lines

Row = dict[str, Any]
# A span as a tool has it: start, end and label, and its text where the tool repeats it.
Given = tuple[object, object, object, object]
# From a value to a row, whose `spans` are as given; None where it is left out, for a reason that is counted.
Reader = Callable[[Any, Counter[str]], Row | None]
SUFFIXES = (".json", ".jsonl", ".ndjson")
# Values that are looked at to see which tool wrote a file, and characters of a text that a message shows.
LOOK, SHOWN = 20, 40


class BadAnnotationError(Exception):
    """A value is not as its tool writes it, in a sentence."""


class AnnotatedRows:
    """Rows of an export. said: what was left out, when all is read"""

    columns = None

    def __init__(self, lines: Lines, read: Reader, options: ReadOptions) -> None:
        self._lines, self._read, self._offsets = lines, read, options.offsets
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
                if row is not None and "spans" in row:
                    count = places_in(row["text"], self._offsets)
                    row["spans"] = [span_of(row["text"], one, count) for one in row["spans"]]
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


class Characters:
    """Places in code points, as Python has them."""

    units, others = "characters", ("utf-16", "where an emoji counts as two, as in UTF-16")

    def __init__(self, text: str) -> None:
        self.length = len(text)

    def place(self, place: int) -> int | None:
        """A place in code points; None inside of a character."""
        return place


class Utf16:
    """Places in 16-bit units: a character above U+FFFF, such as an emoji, takes two."""

    units, others = "units of UTF-16", ("characters", "where an emoji counts as one")

    def __init__(self, text: str) -> None:
        ends = accumulate((1 + (ord(character) > 0xFFFF) for character in text), initial=0)
        self._places = {unit: place for place, unit in enumerate(ends)}
        self.length = max(self._places)

    def place(self, place: int) -> int | None:
        """A place in code points; None inside of a character."""
        return self._places.get(place)


Places = Characters | Utf16


def places_in(text: str, offsets: Offsets | None) -> Places:
    """How places in a text are counted."""
    return Utf16(text) if offsets == "utf-16" else Characters(text)


def span_of(text: str, given: Given, count: Places) -> Row:
    """A span in characters, from places that are counted so. Raises BadAnnotationError for what is none."""
    start, end, label, said = given
    if type(start) is not int or type(end) is not int or not isinstance(label, str) or not label.strip():
        raise BadAnnotationError(
            f"expected a span with a start, an end and a label, got {start!r:.20}, {end!r:.20} and {label!r:.40}."
        )
    named = f"span {start}-{end} of label '{label[:SHOWN]}'"
    if not 0 <= start < end <= count.length:
        hint = units_hint(text, end) if isinstance(count, Characters) else ""
        raise BadAnnotationError(
            f"{named} does not lie in the text, which has {count.length} {count.units}{hint}; expected 0 <= start < "
            f"end <= {count.length}."
        )
    first, last = count.place(start), count.place(end)
    if first is None or last is None:
        raise BadAnnotationError(f"{named} begins or ends inside of a character{_step(text, start, end, said, count)}")
    if isinstance(said, str) and same(said) != same(text[first:last]):
        raise BadAnnotationError(
            f"{named} says {said[:SHOWN]!r}, and the text has {text[first:last][:SHOWN]!r} there"
            f"{_step(text, start, end, said, count)}"
        )
    return {"start": first, "end": last, "label": label}


def _step(text: str, start: int, end: int, said: object, count: Places) -> str:
    """What to do about a span that does not fit: count otherwise, if its text is there then."""
    other = Utf16(text) if isinstance(count, Characters) else Characters(text)
    first, last = other.place(start), other.place(end)
    if isinstance(said, str) and first is not None and last is not None and same(text[first:last]) == same(said):
        return f"; it fits {count.others[1]}. Set data.offsets: {count.others[0]}."
    return ". Export again, or mend the offsets."


def units_hint(text: str, end: int) -> str:
    """A clause where a place lies behind the text, but not behind it in UTF-16; "" elsewhere."""
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    hint = f" ({units} where an emoji counts as two, as in UTF-16: see data.offsets)"
    return hint if len(text) < end <= units else ""


def same(text: str) -> str:
    """A text as it is compared: tools put a space for a line break."""
    return " ".join(text.split())


def one_or_all(labels: Sequence[str]) -> str | list[str]:
    """The only label of a text, or the list of them."""
    return labels[0] if len(labels) == 1 else list(labels)
