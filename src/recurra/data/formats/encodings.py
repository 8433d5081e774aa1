"""What a line says of the encoding of its file, where it is not UTF-8 text."""

from __future__ import annotations

# Longer marks first: that of UTF-32 begins as that of UTF-16 does.
_MARKS = {b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
# Where the high bytes of letters stand, of each four bytes. Below U+0900 (Latin to Arabic) they are 0 to 8.
_PLACES = {"UTF-32LE": (1, 2, 3), "UTF-32BE": (0, 1, 2), "UTF-16LE": (1, 3), "UTF-16BE": (0, 2)}
_HIGH = bytes(range(9))
# So many bytes tell the encoding; fewer high ones than two at each place tell nothing.
_LOOK, _FEW = 4096, 2


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
            return f"the file looks like {name}. Convert it, e.g. with `iconv -f {name} -t UTF-8`."
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
