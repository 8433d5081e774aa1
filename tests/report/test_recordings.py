"""Recordings on the page: a picture that a reader of PNG understands, units by time, and sounds within a bound."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

from recurra.report import RecordingFigure, Unit, html
from recurra.report.recordings import MOST_BYTES, grey_png, recordings
from report.reporting import StrictReader


def figure(title: str = "a.wav", sound: bytes = b"") -> RecordingFigure:
    levels = np.arange(12, dtype=np.float32).reshape(4, 3)
    return RecordingFigure(title, levels, 0.5, (("heard", (Unit("<b>", 0.0, 1.0), Unit("late", 9.0, 9.5))),), sound)


def read(page: str) -> StrictReader:
    reader = StrictReader()
    reader.feed(page)
    assert not reader.open
    return reader


def test_a_spectrogram_has_its_low_bands_at_the_bottom_and_is_dark_where_it_is_loud() -> None:
    raw = grey_png(np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], np.float32))
    assert raw[:8] == b"\x89PNG\r\n\x1a\n"
    at, parts = 8, {}
    while at < len(raw):
        (size,), name = struct.unpack(">I", raw[at : at + 4]), raw[at + 4 : at + 8]
        parts[name] = raw[at + 8 : at + 8 + size]
        assert zlib.crc32(name + parts[name]) == struct.unpack(">I", raw[at + 8 + size : at + 12 + size])[0]
        at += 12 + size
    assert struct.unpack(">IIBBBBB", parts[b"IHDR"]) == (3, 2, 8, 0, 0, 0, 0)
    rows = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(2, 4)[:, 1:]
    # Between the quantiles 0.05 and 4.95: 1 is 0.95 / 4.9 of the way from white to black.
    assert rows.tolist() == [[round(255 - 255 * 0.95 / 4.9), 255 - round(255 * 2.95 / 4.9), 0], [255, 154, 49]]


def test_units_stand_where_they_are_said_and_what_lies_behind_the_picture_is_left_out() -> None:
    found = read(str(recordings([figure()])))
    boxes = [given for name, given in found.elements if name == "rect"]
    assert [(box["x"], box["width"]) for box in boxes] == [("66.0", "199.0")]
    assert ("text", "<b>") in found.texts or any("<b>" in text for _, text in found.texts)
    assert not [name for name, _ in found.elements if name in ("audio", "b>")]


def test_the_page_holds_sounds_up_to_its_bound_and_asks_nobody_for_them() -> None:
    half = bytes(MOST_BYTES // 2)
    page = html_of([figure("one", half), figure("two", half), figure("three", b"RIFF")])
    found = read(page)
    sounds = [str(given["src"]) for name, given in found.elements if name == "audio"]
    assert len(sounds) == 2
    assert base64.b64decode(sounds[0].removeprefix("data:audio/wav;base64,")) == half
    assert "media-src data:" in page
    assert "http" not in page.replace("http-equiv", "")


def html_of(figures: list[RecordingFigure]) -> str:
    from recurra.base.contracts import Report

    return html(Report("run", (), {}, ()), recordings=figures)
