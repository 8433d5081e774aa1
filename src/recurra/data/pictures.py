"""Picture files by the package Pillow (`recurra[images]`): what their header says, and their pixels at one size.

PNG, JPEG and WebP; other decoders are never asked. Pixels are counted by the header, before anything is decoded.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from dataclasses import dataclass
from os.path import isfile  # unlike Path's, False of a name that is too long, or no name
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Origin
from recurra.base.errors import DataError
from recurra.base.optional import needs
from recurra.data.film_names import SUFFIXES
from recurra.data.named_files import source_of

EXTRA = "images"
# Pixels of a picture as its file has it: a camera's 50 megapixels, 150 MB in colour.
MOST_PIXELS = 50_000_000
# Bytes of a file that are read at all.
MOST_BYTES = 100_000_000
# Characters of a name in a message: a text where a name should be may be any.
LONGEST = 300
Resize = Literal["pad", "crop", "stretch"]
Colours = Literal["rgb", "grey"]
Background = Literal["white", "black"]
Pixels = NDArray[np.uint8]
# By what a file begins with: the module of Pillow that reads it, and its class.
_KINDS = (
    (b"\x89PNG\r\n\x1a\n", "PIL.PngImagePlugin", "PngImageFile"),
    (b"\xff\xd8\xff", "PIL.JpegImagePlugin", "JpegImageFile"),
    (b"RIFF", "PIL.WebPImagePlugin", "WebPImageFile"),
)
_ORIENTATION = 0x0112
# What Pillow raises for files that are damaged.
_DAMAGED = (
    OSError,
    ValueError,
    SyntaxError,
    IndexError,
    EOFError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
)
# How Pillow turns a picture upright, by its EXIF's orientation (CIPA DC-008, 4.6.5).
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


@dataclass(frozen=True, slots=True)
class PictureSize:
    """How pictures become numbers: all at one size, by whole files alone.

    resize: pad, the whole picture with background beside it; crop, its middle; stretch, both sides by themselves
    background: of what is padded, and behind what is transparent
    """

    height: int
    width: int
    resize: Resize
    colours: Colours
    background: Background

    @property
    def channels(self) -> int:
        return 3 if self.colours == "rgb" else 1


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that is not decoded yet. source: its file, or its bytes      width, height: as the file has them

    digest: of its bytes, 32      origin: where it is named
    """

    source: Path | bytes
    width: int
    height: int
    digest: bytes
    origin: Origin

    @property
    def name(self) -> str:
        """For messages."""
        return str(self.origin) if isinstance(self.source, bytes) else str(self.source)


def names_picture(value: Any) -> bool:
    """Whether a value of a file has the name of a picture."""
    return isinstance(value, str | Path) and Path(str(value).strip().lower()).suffix in SUFFIXES


def picture_of(value: Any, origin: Origin, column: str) -> Picture:
    """The picture in a field: bytes, a Path, or the name of a file, which is relative to the file that names it.

    Raises DataError, a sentence, for what is no picture or has too many pixels; ConfigError without Pillow.
    """
    source = source_of(value, origin, column, "picture")
    if isinstance(source, Path) and not isfile(source):
        raise DataError(f"{origin}: column '{column}': {str(source)[:LONGEST]}: no such file.")
    raw = _bytes_of(source, f"{origin}: column '{column}'")
    where = f"{origin}: column '{column}'" + ("" if isinstance(source, bytes) else f": {source}")
    opened = _opened(raw, where)
    width, height = opened.size
    return Picture(source, width, height, hashlib.sha256(raw).digest(), origin)


def pixels_of(picture: Picture, size: PictureSize) -> Pixels:
    """(height, width, channels) of a picture at this size, turned as its EXIF says.

    16 bits become 8, palettes and CMYK their colours; what is transparent shows the background.
    Raises DataError for a file that is damaged, or cut off, and for one that has changed since its header was read.
    """
    where = str(picture.origin) if isinstance(picture.source, bytes) else f"{picture.origin}: {picture.source}"
    raw = _bytes_of(picture.source, where)
    opened = _opened(raw, where)
    if opened.size != (picture.width, picture.height):
        raise DataError(f"{where}: has changed since its header was read.")
    try:
        opened.draft(None, (2 * size.width, 2 * size.height))  # a large JPEG, decoded at a fraction of its size
        opened.load()
        return _sized(_upright(_plain(opened, size)), size)
    except (*_DAMAGED, _image().DecompressionBombError) as error:
        raise DataError(f"{where}: is damaged or cut off: {_told(error)}. Copy it again.") from None


def decoded_pixels(raw: bytes) -> int:
    """Pixels that the bytes of a picture hold by their header. Raises ValueError, a clause, for what is no picture."""
    try:
        opened = _opened(raw, "a picture")
    except DataError as error:
        raise ValueError(str(error).removeprefix("a picture: ").rstrip(".")) from None
    return int(opened.size[0] * opened.size[1])


def png_of(pixels: Pixels) -> bytes:
    """A PNG of (H, W, 3) or (H, W, 1), 8 bits a colour (ISO/IEC 15948)."""
    height, width, channels = pixels.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], 1)  # each without a filter
    head = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def sized_pixels(pixels: Pixels, size: PictureSize) -> Pixels:
    """(height, width, channels) of the colours (H, W, 3) of a picture that is decoded already."""
    image = _image().fromarray(pixels)
    return _sized(image if size.colours == "rgb" else image.convert("L"), size)


def _bytes_of(source: Path | bytes, where: str) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        if (size := source.stat().st_size) > MOST_BYTES:
            raise DataError(f"{where}: {source}: has {size:,} bytes, more than {MOST_BYTES:,}, the limit.")
        return source.read_bytes()
    except OSError as error:
        raise DataError(f"{where}: {source}: cannot be read: {error.strerror}.") from None


def _opened(raw: bytes, where: str) -> Any:
    """A picture whose header is read. The class of its kind is asked itself: what is not listed is never decoded."""
    needs("PIL.Image", EXTRA, f"{where}: a picture")
    kind = next(((module, name) for begins, module, name in _KINDS if raw.startswith(begins)), None)
    if kind is None or (raw[:4] == b"RIFF" and raw[8:12] != b"WEBP"):
        what = "is empty" if not raw else f"begins with {raw[:8]!r}"
        raise DataError(f"{where}: {what}, expected a PNG, JPEG or WebP picture. Convert it.")
    try:
        opened = getattr(needs(kind[0], EXTRA, where), kind[1])(io.BytesIO(raw))
    except (*_DAMAGED, _image().DecompressionBombError) as error:
        raise DataError(f"{where}: is damaged or cut off: {_told(error)}. Copy it again.") from None
    width, height = opened.size
    if width * height > MOST_PIXELS:
        raise DataError(
            f"{where}: has {width:,} by {height:,} pixels, more than {MOST_PIXELS:,}, the limit; it was not decoded. "
            "Make it smaller."
        )
    return opened


def _plain(opened: Any, size: PictureSize) -> Any:
    """Eight bits a colour, without transparency."""
    if opened.mode.startswith("I"):  # 16 bits of grey
        scaled = np.asarray(opened, np.float64) / 257.0
        opened_exif, opened = opened.getexif(), _image().fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))
        opened.getexif().update(opened_exif)
    mode = "RGB" if size.colours == "rgb" else "L"
    if opened.mode in ("LA", "RGBA", "PA", "La", "RGBa") or "transparency" in opened.info:
        turned = opened.getexif().get(_ORIENTATION)
        layer = opened.convert("RGBA")
        behind = _image().new("RGBA", layer.size, size.background)
        opened = _image().alpha_composite(behind, layer)
        if turned:
            opened.getexif()[_ORIENTATION] = turned
    converted = opened if opened.mode == mode else opened.convert(mode)
    if converted is not opened and (turned := opened.getexif().get(_ORIENTATION)):
        converted.getexif()[_ORIENTATION] = turned
    return converted


def _upright(image: Any) -> Any:
    """Turned, and mirrored, as its EXIF says, whatever else stands there."""
    turn = _TURNS.get(image.getexif().get(_ORIENTATION))
    return image if turn is None else image.transpose(getattr(_image().Transpose, turn))


def _sized(image: Any, size: PictureSize) -> Pixels:
    """(height, width, channels), each pixel the mean of those in its place, by triangles (Pillow's BILINEAR)."""
    target, bilinear = (size.width, size.height), _image().Resampling.BILINEAR
    ops = needs("PIL.ImageOps", EXTRA, "a picture")
    if size.resize == "stretch":
        image = image.resize(target, bilinear)
    elif size.resize == "crop":
        image = ops.fit(image, target, bilinear)
    else:
        image = ops.pad(image, target, bilinear, color=size.background)
    return np.ascontiguousarray(np.asarray(image, np.uint8).reshape(size.height, size.width, size.channels))


def _image() -> Any:
    return needs("PIL.Image", EXTRA, "a picture")


def _told(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120].rstrip(".") or type(error).__name__
