"""A recording as a figure: its spectrogram, what was heard in it and what should have been, by time; and its sound."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recurra.report.markup import Markup, join, tag

# Units of the picture: a second, the spectrogram, a line of units below it, and what stands in front.
SECOND, TALL, LINE, LEFT, AXIS = 200, 120, 26, 66, 22
# Bytes of all sounds of a page together: those that come later are named, but not in it.
MOST_BYTES = 3 * 2**20
# Steps of a spectrogram that are drawn; a longer one is shown to here.
MOST_STEPS = 3000


@dataclass(frozen=True, slots=True)
class Unit:
    """What stands under a stretch of a recording. start, end: seconds"""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class RecordingFigure:
    """title: one line      levels: (T, B) numbers of each step, the lowest band first; larger is darker

    seconds: of a step      lines: units by their name, such as "heard"      sound: a WAV file, or none
    """

    title: str
    levels: NDArray[np.float32]
    seconds: float
    lines: tuple[tuple[str, tuple[Unit, ...]], ...]
    sound: bytes = b""


def recordings(figures: Sequence[RecordingFigure]) -> Markup:
    """All of them, with their sounds as far as the page may hold these."""
    left, drawn = MOST_BYTES, []
    for figure in figures:
        kept = figure.sound if len(figure.sound) <= left else b""
        left -= len(kept)
        drawn.append(_figure(figure, kept))
    return join(*drawn)


def _figure(figure: RecordingFigure, sound: bytes) -> Markup:
    levels = figure.levels[:MOST_STEPS]
    wide = max(round(len(levels) * figure.seconds * SECOND), 1)
    high = TALL + AXIS + LINE * len(figure.lines)
    picture = tag(
        "svg",
        tag(
            "image",
            href=_data("image/png", grey_png(levels)),
            x=LEFT,
            y=0,
            width=wide,
            height=TALL,
            preserveAspectRatio="none",
        ),
        *_axis(len(levels) * figure.seconds),
        *(part for n, (name, units) in enumerate(figure.lines) for part in _line(n, name, units, wide)),
        viewBox=f"0 0 {LEFT + wide + 8} {high}",
        style=f"width:{LEFT + wide + 8}px;max-width:none",
        role="img",
        aria_label=f"{figure.title}: spectrogram",
    )
    # Without a sound there is nothing to press.
    player = [tag("audio", controls=True, preload="none", src=_data("audio/wav", sound))] if sound else []
    return tag(
        "figure",
        tag("figcaption", tag("b", figure.title)),
        *player,
        tag("div", picture, class_="scroll"),
        class_="sound",
    )


def _axis(seconds: float) -> Iterator[Markup]:
    for n in range(int(2 * seconds) + 1):
        x = LEFT + n * SECOND / 2
        yield tag("line", x1=x, x2=x, y1=TALL, y2=TALL + 5)
        if n % 2 == 0:
            yield tag("text", f"{n // 2} s", x=x + 2, y=TALL + 16)


def _line(n: int, name: str, units: Sequence[Unit], wide: int) -> Iterator[Markup]:
    top = TALL + AXIS + LINE * n
    yield tag("text", name, x=LEFT - 6, y=top + 17, class_="end")
    for unit in units:
        x, end = LEFT + unit.start * SECOND, LEFT + unit.end * SECOND
        if x >= LEFT + wide:
            return
        yield tag(
            "rect",
            tag("title", f"{unit.text}: {unit.start:.2f} to {unit.end:.2f} s"),
            x=f"{x:.1f}",
            y=top + 2,
            width=f"{max(end - x - 1, 1.5):.1f}",
            height=LINE - 5,
            class_="weight",
            fill_opacity="0.3",
        )
        yield tag("text", unit.text, x=f"{x + 1:.1f}", y=top + 17)


def grey_png(levels: NDArray[np.float32]) -> bytes:
    """A picture (B, T) of levels (T, B): the lowest band at the bottom, from white to black between their 1st and 99th
    of a hundred parts. Source: PNG specification, third edition, sections 5 and 11."""
    if not levels.size:
        levels = np.zeros((1, 1), np.float32)
    low, top = (float(x) for x in np.quantile(levels, (0.01, 0.99)))
    shade = 255.0 * np.clip((levels - low) / max(top - low, 1e-6), 0, 1)
    rows = (255 - np.round(shade)).astype(np.uint8).T[::-1]
    content = b"".join(b"\0" + row.tobytes() for row in rows)
    size = struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], 8, 0, 0, 0, 0)
    parts = ((b"IHDR", size), (b"IDAT", zlib.compress(content, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in parts)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
