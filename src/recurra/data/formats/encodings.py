"""Text that is not UTF-8: what its bytes say of its encoding, and how it is read all the same.

A file with the mark of UTF-16 or UTF-32 is read as that. Spreadsheets write Windows-1252 without any mark: `guessed`
takes a table for it where its bytes fit that and nothing else; whoever reads says so.
"""

from __future__ import annotations

import codecs
import io
import re
from typing import BinaryIO

from recurra.base.errors import ConfigError

# Longer marks first: that of UTF-32 begins as that of UTF-16 does.
_MARKS = {b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
# Where the high bytes of letters stand, of each four bytes. Below U+0900 (Latin to Arabic) they are 0 to 8.
_PLACES = {"UTF-32LE": (1, 2, 3), "UTF-32BE": (0, 1, 2), "UTF-16LE": (1, 3), "UTF-16BE": (0, 2)}
_HIGH = bytes(range(9))
# So many bytes tell the encoding; fewer high ones than two at each place tell nothing.
_LOOK, _FEW = 4096, 2
# Bytes at the beginning of a table that show whether it is UTF-8.
HEAD = 2**20
_CHUNK = 64 * 2**10
_SEVERAL = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
# Bytes that stand for nothing in Windows-1252, and those that no text holds.
_NEVER = re.compile(rb"[\x81\x8d\x8f\x90\x9d\x00-\x08\x0e-\x19\x1b-\x1f]")
# One half of a pair stands for bytes that are no character: strict UTF-8 then refuses the line, and no other one.
_UNDECODABLE = "recurra.undecodable"
codecs.register_error(_UNDECODABLE, lambda error: ("\udcff", error.end))  # type: ignore[attr-defined]


def checked(name: str) -> str:
    """The codec of `data.encoding`, "" for UTF-8. Raises ConfigError for what is no encoding of texts."""
    try:
        known = codecs.lookup("none" if "escape" in name else name).name  # those read escapes
        printable = bytes(range(32, 127))
        fits = known.startswith(("utf-16", "utf-32")) or printable.decode(known) == printable.decode("ascii")
        codecs.getincrementaldecoder(known)(_UNDECODABLE)
    except (LookupError, ValueError, TypeError):
        fits = False
    if not fits:
        raise ConfigError(
            f"encoding: unknown encoding {name!r}; expected one of utf-8, utf-16, windows-1252, windows-1251, gbk, "
            "shift_jis or another codec of Python."
        )
    return "" if known in ("utf-8", "utf-8-sig") else known


def codec_of_mark(first: bytes) -> str:
    """UTF-16 or UTF-32 where a file begins with its mark, "" elsewhere."""
    return next((name for mark, name in _MARKS.items() if first.startswith(mark)), "")


def guessed(head: bytes) -> str:
    """Windows-1252 where the beginning of a table can be nothing else that spreadsheets write; "" elsewhere.

    It is no UTF-8, not even in part, has no byte that Windows-1252 lacks, and few letters that are not ASCII: Russian
    or Greek in one of their own encodings have many.
    """
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        high = sum(byte >= 0x80 for byte in head)
        letters = sum(1 for byte in head if chr(byte).isascii() and chr(byte).isalpha())
        if not _SEVERAL.search(head) and not _NEVER.search(head) and 2 * high < letters:
            return "windows-1252"
    return ""


class Transcoded(io.RawIOBase):
    """The bytes of a file as UTF-8. Bytes that its codec does not know become bytes that no UTF-8 text holds."""

    def __init__(self, file: BinaryIO, codec: str) -> None:
        self._file, self._ready, self._ended = file, b"", False
        self._decoder = codecs.getincrementaldecoder(codec)(_UNDECODABLE)

    def readable(self) -> bool:
        return True

    def readinto(self, target: bytearray) -> int:  # type: ignore[override]
        while not self._ready and not self._ended:
            raw = self._file.read1(_CHUNK)  # type: ignore[attr-defined]  # a BufferedReader or a GzipFile
            self._ended = not raw
            self._ready = self._decoder.decode(raw, final=self._ended).encode("utf-8", "surrogatepass")
        taken, self._ready = self._ready[: len(target)], self._ready[len(target) :]
        target[: len(taken)] = taken
        return len(taken)


def marked(raw: bytes) -> str:
    """A sentence on a file whose first bytes are the mark of another encoding; "" for other files."""
    name = next((name for mark, name in _MARKS.items() if raw.startswith(mark)), "")
    return (
        f"the file is {name}, as its first bytes say. Convert it, e.g. with `iconv -f {name} -t UTF-8`." if name else ""
    )


def with_nul(body: bytes, *, at_end: bool) -> str:
    """A sentence on a line that holds a NUL. at_end: whether the file ends with it"""
    for name, places in _PLACES.items():
        if _looks_like(body[:_LOOK], places):
            return (
                f"the file looks like {name}. Set data.encoding: {name.lower()}, or convert it, e.g. with "
                f"`iconv -f {name} -t UTF-8`."
            )
    padding = len(body) - len(body.rstrip(b"\0"))
    remove = "Remove what is NUL, e.g. with `tr -d '\\000'`."
    if at_end and padding == body.count(b"\0"):
        count = "1 NUL byte" if padding == 1 else f"{padding:,} NUL bytes"
        return f"the file ends in {count}, as one does whose copy was cut off. {remove}"
    return f"byte {body.index(0) + 1} of the line is NUL, which no text holds. {remove}"


def _looks_like(body: bytes, places: tuple[int, ...]) -> bool:
    """Whether high bytes stand at these places of each four, nearly always, and nearly never at the others."""
    shares = [_share(body[place::4]) for place in range(4)]
    number = sum(byte in _HIGH for place in places for byte in body[place::4])
    return number >= _FEW * len(places) and all(
        share >= 0.6 if place in places else share <= 0.2 for place, share in enumerate(shares)
    )


def _share(body: bytes) -> float:
    return sum(byte in _HIGH for byte in body) / max(len(body), 1)
