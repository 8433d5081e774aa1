"""Snappy (its format_description.txt), with which some writers of TensorFlow's checkpoints make an index smaller.

A number, how long the text is, then pieces: bytes as they are, or a stretch of what there is already.
"""

from __future__ import annotations

# Of what is unpacked: a block of an index has some kilobytes.
MAX_BYTES = 2**24


def unpacked(data: bytes) -> bytes:
    """The bytes that were compressed. Raises ValueError or IndexError for what is no such text."""
    size, at = varint(data, 0)
    if size > MAX_BYTES:
        raise ValueError(f"a block has {size:,} bytes, expected at most {MAX_BYTES:,}")
    found = bytearray()
    while at < len(data):
        tag, at = data[at], at + 1
        if tag & 3:
            length, back, at = _stretch(data, tag, at)
            _repeat(found, back, length)
        else:
            length, at = _length(data, tag >> 2, at)
            found += data[at : at + length]
            at += length
        if len(found) > size:
            break
    if len(found) != size or at != len(data):
        raise ValueError(f"a block has {len(found):,} bytes unpacked and says {size:,}")
    return bytes(found)


def _length(data: bytes, said: int, at: int) -> tuple[int, int]:
    """How many bytes stand as they are: up to 60 in the tag, else in the one to four bytes behind it."""
    if said < 60:
        return said + 1, at
    return int.from_bytes(data[at : at + said - 59], "little") + 1, at + said - 59


def _stretch(data: bytes, tag: int, at: int) -> tuple[int, int, int]:
    """How many bytes, from how far back; and where the piece ends."""
    if tag & 3 == 1:
        return (tag >> 2 & 7) + 4, tag >> 5 << 8 | data[at], at + 1
    width = 2 if tag & 3 == 2 else 4
    return (tag >> 2) + 1, int.from_bytes(data[at : at + width], "little"), at + width


def _repeat(found: bytearray, back: int, length: int) -> None:
    """Put a stretch behind the rest, which may reach into what it makes itself."""
    if not 0 < back <= len(found):
        raise ValueError(f"a stretch begins {back} bytes before {len(found)}")
    stretch = bytes(found[len(found) - back :][:length])
    found += (stretch * -(-length // len(stretch)))[:length]


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, seven bits a byte, the lowest first; and where it ends."""
    found = 0
    for k in range(10):
        byte = data[at + k]
        found |= (byte & 0x7F) << 7 * k
        if byte < 0x80:
            return found, at + k + 1
    raise ValueError("a number has more than ten bytes")
