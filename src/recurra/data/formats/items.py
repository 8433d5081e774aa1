"""The values of a JSON list, one at a time: `[{...}, {...}]`, or `{"data": [{...}, ...]}` where one key holds the list.

Memory does not grow with the file: what is read is given out and let go, and one value may have 8 MiB, as a line may.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

from recurra.base.errors import DataError
from recurra.data.formats.jsonl import STRICT, refuse_lone_surrogates
from recurra.data.formats.lines import MAX_LINE_BYTES, Line, Lines

_SPACE = re.compile(r"[ \t\r\n]*")
_LAX = json.JSONDecoder()
# An error so near to the end of what is read may be one of what is not read yet: of the longest escape, or of a number.
_NEAR = 64


class _NotStrictError(Exception):
    """A value is JSON, but has a key twice or a number that is none."""


class Items:
    """The values of the list that a file holds, with the lines where they begin.

    one_after_another: there is no list, the values of the file follow one another, as in JSON Lines
    """

    def __init__(self, lines: Lines, *, one_after_another: bool = False) -> None:
        self._lines = lines
        self._bare = one_after_another
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._text, self._at, self._line, self._ended = "", 0, 1, False
        self.keys: list[str] = []
        self._inside = False
        self._first = True
        self._of_key: str | None = None

    def next_item(self) -> tuple[Line, Any]:
        """The next value. Raises StopIteration at the end of the list.

        Raises BadRowError for a value that is JSON but not strictly so (a key twice, NaN), after which the next call
        gives the one behind it; DataError for what is no JSON or no list, where nothing behind it can be told.
        """
        if self._bare:
            if not self._peek():
                raise StopIteration
        elif not self._inside:
            self._open()
        elif not self._comma("]"):
            self._close()
            raise StopIteration
        return self._item()

    def _open(self) -> None:
        """Go to the first value of the list. Raises StopIteration where it is empty, or where there is no other."""
        sign = self._peek()
        if self._first and not sign:
            raise DataError(f"{self._lines.path}: is empty, expected a list of rows.")
        if self._first and sign == "[":
            self._enter()
        elif self._first and sign == "{":
            self._at += 1
            self._to_list(begins=True)
        elif self._first:
            raise self._broken(f"expected a list of rows, [{{...}}, ...], got {self._text[self._at :][:20]!r}")
        self._first = False
        if self._peek() == "]":
            self._at += 1
            self._close()
            raise StopIteration

    def _enter(self) -> None:
        self._at += 1
        self._inside = True

    def _close(self) -> None:
        """Behind the list: nothing, or the other keys of the object that it is in."""
        self._inside = False
        if self._of_key is not None:
            self._to_list(begins=False)
        if self._peek():
            raise self._broken(f"expected nothing behind the list, got {self._text[self._at :][:20]!r}")

    def _to_list(self, *, begins: bool) -> None:
        """Go through the keys of the object, up to one that holds a list of rows, or to its end."""
        while True:
            if begins and self._peek() == "}":
                self._at += 1
                break
            if not begins and not self._comma("}"):
                break
            begins = False
            key = self._key()
            if self._peek() == "[" and self._holds_rows():
                if self._of_key is not None:
                    raise self._broken(
                        f"the keys {self._of_key!r} and {key!r} both hold a list of rows, expected one. Write each to "
                        "a file of its own"
                    )
                self._of_key = key
                self._enter()
                return
            self._value()
        if self._of_key is None:
            shown = ", ".join(map(repr, self.keys[:8])) or "none"
            raise self._broken(
                "expected a list of rows, [{...}, ...], or an object with one key that holds it, got an object with "
                f"keys {shown}. pandas writes such a list with to_json(orient='records')"
            )

    def _holds_rows(self) -> bool:
        """Whether the list that begins here is one of objects or lists."""
        at = self._at
        while True:
            found = _SPACE.match(self._text, at + 1)
            if found and found.end() < len(self._text):
                return self._text[found.end()] in "{["
            if not self._fill():
                return False
            at = self._at

    def _key(self) -> str:
        if self._peek() != '"':
            raise self._broken(f"expected a key in quotes, got {self._text[self._at :][:20]!r}")
        key = str(self._value())
        self.keys.append(key)
        if self._peek() != ":":
            raise self._broken(f"expected a colon behind the key {key!r}")
        self._at += 1
        return key

    def _comma(self, end: str) -> bool:
        """Pass over a comma; False where the list or object ends, which is passed over too."""
        sign = self._peek()
        if sign not in (",", end):
            what = f"got {self._text[self._at :][:20]!r}" if sign else "the file ends"
            raise self._broken(f"expected a comma or {end} behind a value, {what}")
        self._at += 1
        return sign == ","

    def _item(self) -> tuple[Line, Any]:
        self._peek()
        line = Line(self._line, "", "")
        try:
            return line, self._value(STRICT)
        except _NotStrictError as problem:
            raise self._lines.bad(str(problem), line) from None

    def _value(self, decoder: json.JSONDecoder = _LAX) -> Any:
        """The value that begins here; it is passed over. Raises _NotStrictError for what the decoder refuses."""
        self._peek()
        self._text, self._at = self._text[self._at :], 0
        while True:
            try:
                value, end = decoder.raw_decode(self._text)
                if "\\u" in self._text[:end]:
                    refuse_lone_surrogates(value)
            except json.JSONDecodeError as error:
                told = error.msg.startswith("Unterminated") or error.pos >= len(self._text) - _NEAR
                if told and self._fill(len(self._text)):
                    continue
                self._line += self._text.count("\n", 0, error.pos)
                raise self._broken(f"not JSON: {error.msg}") from None
            except RecursionError:
                raise self._broken("the JSON is nested too deeply") from None
            except ValueError as error:
                if decoder is _LAX:
                    raise self._broken(str(error).rstrip(".")) from None
                self._value()
                raise _NotStrictError(str(error)) from None
            # A number or a word may go on behind what is read.
            if end < len(self._text) or not self._fill():
                self._line += self._text.count("\n", 0, end)
                self._at = end
                return value

    def _peek(self) -> str:
        """The next sign that is no space; "" at the end of the file."""
        while True:
            found = _SPACE.match(self._text, self._at)
            end = found.end() if found else self._at
            self._line += self._text.count("\n", self._at, end)
            self._at = end
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._fill():
                return ""

    def _fill(self, least: int = 1) -> bool:
        """Read on; False at the end of the file. least: characters more, so that long values are not read often."""
        if len(self._text) - self._at > MAX_LINE_BYTES:
            raise self._broken(f"the value that begins here is longer than {MAX_LINE_BYTES:,} characters, the limit")
        parts, number = [self._text[self._at :]], 0
        while not self._ended and number < least:
            parts.append(self._decoded(self._lines.chunk()))
            number += len(parts[-1])
        self._text, self._at = "".join(parts), 0
        return number > 0

    def _decoded(self, raw: bytes) -> str:
        self._ended = not raw
        try:
            return self._decode(raw, final=self._ended)
        except UnicodeDecodeError as error:
            line = self._line + self._text.count("\n", self._at) + raw[: error.start].count(b"\n")
            raise DataError(
                f"{self._lines.path}:{line}: a byte is not UTF-8, 0x{error.object[error.start]:02X}. Set data.encoding "
                "to what the file is, such as windows-1252."
            ) from None

    def _broken(self, message: str) -> DataError:
        return DataError(f"{self._lines.path}:{self._line}: {message}.")
