"""Films: which frames are read, from folders, videos and requests, and what is no film."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL", reason="Pillow is not installed")

from recurra.base.contracts import Origin
from recurra.base.errors import ConfigError, DataError
from recurra.data import films
from recurra.data.fields import FILM
from recurra.data.films import Frames, frames_of
from recurra.data.formats import read
from recurra.data.pictures import png_of

SMALL = Frames(height=2, width=3, resize="stretch")


def film(folder: Path, number: int = 12) -> Path:
    """Pictures 1.png to 12.png, each of one grey, its number."""
    folder.mkdir(parents=True)
    for k in range(1, number + 1):
        (folder / f"{k}.png").write_bytes(png_of(np.full((4, 6, 3), k, np.uint8)))
    return folder


def greys(values: np.ndarray) -> list[int]:
    return [round((float(frame[0]) + 1) * 127.5) for frame in values]


def test_frames_are_in_the_order_of_their_numbers_and_chosen_by_place(tmp_path: Path) -> None:
    where = Origin(str(film(tmp_path / "a" / "1")))
    found = frames_of("1", where, "values", SMALL)
    assert found.shape == (12, 2 * 3 * 3)
    assert greys(found) == list(range(1, 13))
    assert greys(frames_of("1", where, "values", Frames(height=2, width=3, every=5))) == [1, 6, 11]
    assert greys(frames_of("1", where, "values", Frames(height=2, width=3, number=4))) == [1, 5, 8, 12]
    assert Frames(number=1).chosen(5) == [0]
    assert Frames(number=9).chosen(3) == [0, 1, 2]
    grey = frames_of("1", where, "values", Frames(height=2, width=3, colours="grey"))
    assert grey.shape == (12, 6)
    pixels = [png_of(np.full((4, 6, 3), k, np.uint8)) for k in (7, 9)]
    assert greys(frames_of(FILM.of_request(pixels), Origin("request"), "values", SMALL)) == [7, 9]


def test_folders_of_films_are_classes(tmp_path: Path) -> None:
    for name in ("wave/1", "wave/2", "point/1"):
        film(tmp_path / name, 2)
    rows = list(read(tmp_path))
    assert [(row.fields["values"], row.fields["label"]) for row in rows] == [
        ("1", "point"),
        ("1", "wave"),
        ("2", "wave"),
    ]
    assert len(frames_of("2", rows[2].origin, "values", SMALL)) == 2
    (alone,) = read(tmp_path / "wave" / "1", format="films")
    assert dict(alone.fields) == {"values": "1"}


def test_what_is_no_film_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = Origin(str(tmp_path / "table.csv"), 3)

    def said(value: object, how: Frames = SMALL) -> str:
        with pytest.raises(DataError) as caught:
            frames_of(value, where, "film", how)
        return str(caught.value)

    (tmp_path / "empty").mkdir()
    assert "has no frame; expected pictures" in said("empty")
    assert "no such file or folder" in said("gone")
    assert "expected a folder of pictures, or a video" in said("table.csv") or "no such file" in said("table.csv")
    assert "expected the name of a folder of pictures, or of a video" in said(7)
    folder = film(tmp_path / "cut", 2)
    (folder / "2.png").write_bytes((folder / "2.png").read_bytes()[:40])
    assert "is damaged or cut off" in said("cut")
    bomb = film(tmp_path / "bomb", 1)
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    (bomb / "1.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    )
    assert "has 60,000 by 60,000 pixels, more than 50,000,000, the limit; it was not decoded" in said("bomb")
    monkeypatch.setattr(films, "MOST_READ", 1)
    film(tmp_path / "long", 2)
    assert "has 2 frames, of which 2 would be read, expected at most 1 of 100,000" in said("long")
    monkeypatch.setattr(films, "MOST_NUMBERS", 3 * 1024 * 1024 - 1)
    assert "1 frames of 3,145,728 numbers would be read" in said("long", Frames(number=1, height=1024, width=1024))
    with pytest.raises(ConfigError, match="every: has no effect with number"):
        Frames(every=2, number=4)
    with pytest.raises(ValueError, match="is no list of 1 to 512 pictures"):
        FILM.of_request("a name")


def test_a_video_is_read_by_its_frames(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="PyAV is not installed")
    path = tmp_path / "film.avi"
    with av.open(str(path), "w") as made:
        stream = made.add_stream("rawvideo", rate=10)
        stream.width, stream.height, stream.pix_fmt = 16, 8, "bgr24"
        for k in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((8, 16, 3), 20 * k, np.uint8), format="rgb24")
            for packet in stream.encode(frame):
                made.mux(packet)
        for packet in stream.encode():
            made.mux(packet)
    where = Origin(str(tmp_path / "t.csv"), 1)
    found = greys(frames_of("film.avi", where, "film", Frames(height=2, width=4, number=4)))
    assert found == [0, 60, 120, 180]
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile film.avi\n")
    with pytest.raises(DataError, match=r"list\.mp4: is no video that can be read"):  # other files are not followed
        frames_of("list.mp4", where, "film", SMALL)
    monkey = path.read_bytes()
    path.write_bytes(monkey[:100])
    with pytest.raises(
        DataError, match=r"film\.avi: (is no video that can be read|no frame can be decoded|has no frame)"
    ):
        frames_of("film.avi", where, "film", SMALL)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(DataError, match=r"text\.mp4: is no video that can be read"):
        frames_of("text.mp4", where, "film", SMALL)


def test_a_video_without_the_package_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(ConfigError, match=r'needs av, which is not installed; pip install "recurra\[video\]"'):
        frames_of("a.mp4", Origin(str(tmp_path / "t.csv"), 1), "film", SMALL)
