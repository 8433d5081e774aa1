"""Picture files: sizes, colours, turned and transparent ones, and what cannot be read, a sentence each."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.base.contracts import Origin
from recurra.base.errors import DataError
from recurra.data.fields import IMAGE
from recurra.data.picture_features import features_of
from recurra.data.pictures import MOST_PIXELS, PictureSize, picture_of, pixels_of, png_of

image = pytest.importorskip("PIL.Image", reason="Pillow is not installed; it comes with recurra[test]")
HERE = Origin("pictures.csv", 7)
# Left half red, right half blue; 8 high, 16 wide.
HALVES = np.zeros((8, 16, 3), np.uint8)
HALVES[:, :8, 0] = HALVES[:, 8:, 2] = 255


def size(height: int = 8, width: int = 16, **options: Any) -> PictureSize:
    known: Any = {"resize": "pad", "colours": "rgb", "background": "white", **options}
    return PictureSize(height, width, **known)


def encoded(made: Any, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    made.save(file, kind, **options)
    return file.getvalue()


def read(raw: bytes, how: PictureSize | None = None) -> np.ndarray:
    return pixels_of(picture_of(raw, HERE, "image"), how or size())


def refused(raw: bytes) -> str:
    with pytest.raises(DataError) as said:
        read(raw)
    text = str(said.value)
    assert text.startswith("pictures.csv:7: column 'image'" if "damaged" not in text else "pictures.csv:7")
    assert "\n" not in text
    return text


def test_our_png_is_read_as_it_was_written():
    np.testing.assert_array_equal(read(png_of(HALVES)), HALVES)
    np.testing.assert_array_equal(read(png_of(HALVES[:, :, :1]), size(colours="grey")), HALVES[:, :, :1])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_three_kinds_are_read(kind: str):
    found = read(encoded(image.fromarray(HALVES), kind)).astype(int)
    assert abs(found[4, 3] - [255, 0, 0]).max() < 8
    assert abs(found[4, 12] - [0, 0, 255]).max() < 8


def test_pad_crop_and_stretch_are_what_they_say():
    raw = png_of(HALVES)
    padded, cropped, stretched = (read(raw, size(16, 16, resize=how)) for how in ("pad", "crop", "stretch"))
    assert (padded[0] == 255).all()
    assert (padded[8, 2] == [255, 0, 0]).all()
    assert (cropped[0, 1] == [255, 0, 0]).all()
    assert (stretched[0, 1] == [255, 0, 0]).all()
    # The middle of a picture of 8 x 16 is 8 x 8, of which either half is half.
    assert (cropped[:, :6, 0] > 250).all()
    assert (read(raw, size(16, 16, background="black"))[0] == 0).all()


def test_a_picture_is_turned_as_its_exif_says():
    exif = image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees, clockwise
    for kind in ("PNG", "JPEG", "WEBP"):
        found = read(encoded(image.fromarray(HALVES), kind, exif=exif), size(16, 8)).astype(int)
        assert abs(found[2, 4] - [255, 0, 0]).max() < 8
        assert abs(found[13, 4] - [0, 0, 255]).max() < 8


def test_palettes_transparency_sixteen_bits_and_cmyk_are_colours():
    clear = np.dstack([HALVES, np.full((8, 16), 255, np.uint8)])
    clear[:, 8:, 3] = 0
    assert (read(encoded(image.fromarray(clear)))[0, 12] == 255).all()
    assert (read(encoded(image.fromarray(clear)), size(background="black"))[0, 12] == 0).all()
    palette = image.fromarray(HALVES).quantize(2)
    np.testing.assert_array_equal(read(encoded(palette)), HALVES)
    deep = image.fromarray(np.full((8, 16), 32768, np.uint16))
    assert set(np.unique(read(encoded(deep)))) == {128}
    found = read(encoded(image.fromarray(HALVES).convert("CMYK"), "JPEG")).astype(int)
    assert abs(found[4, 3] - [255, 0, 0]).max() < 12


def test_truncated_files_are_named_with_their_line():
    noise = image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8))
    for kind in ("PNG", "JPEG", "WEBP"):
        raw = encoded(noise, kind)
        assert "is damaged or cut off" in refused(raw[: len(raw) // 2])


def test_other_files_are_named_by_what_they_begin_with():
    assert "begins with b'GIF87a" in refused(encoded(image.fromarray(HALVES), "GIF"))
    assert "is empty" in refused(b"")
    assert "begins with b'#!/bin/s'" in refused(b"#!/bin/sh\n")


def test_a_bomb_is_refused_before_it_is_decoded():
    side = int(MOST_PIXELS**0.5) + 1
    head = struct.pack(">IIBBBBB", side, 5 * side, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", len(head)) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    bomb = b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    assert "the limit; it was not decoded" in refused(bomb)
    with pytest.raises(ValueError, match="the limit"):
        IMAGE.of_request(bomb)


def test_files_that_are_not_there_or_no_names_are_refused():
    for value, said in (("gone.png", "no such file"), (3, "expected the name of a picture file"), ("", "expected the")):
        with pytest.raises(DataError, match=f"pictures.csv:7: .*{said}"):
            picture_of(value, HERE, "image")


@pytest.mark.parametrize("of", [picture_of, features_of])
def test_a_text_in_the_place_of_a_name_is_no_file(of: Any):
    ends = ".npy" if of is features_of else ""
    for text in ("a red boat on the sea, " * 40, "a\0b"):
        with pytest.raises(DataError, match=r"p\.csv:3: column 'image': .*: no such file"):
            of(text + ends, Origin("p.csv", 3), "image")


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_picture_is_turned_as_pillow_does_whatever_else_its_exif_holds(turn: int):
    image = pytest.importorskip("PIL.Image", reason="pictures need Pillow (recurra[images])")
    from PIL import ImageOps

    exif = image.Exif()
    exif[0x0112], exif[0x010E] = turn, "hi"
    file = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    image.fromarray(pixels).save(file, "JPEG", exif=exif, quality=95)
    expected = np.asarray(ImageOps.exif_transpose(image.open(file)))
    width_as_text = file.getvalue().replace(b"\x01\x0e\x00\x02", b"\x01\x00\x00\x02")
    for raw in (file.getvalue(), width_as_text):
        found = pixels_of(picture_of(raw, Origin("p.csv", 3), "image"), PictureSize(6, 6, "pad", "rgb", "white"))
        np.testing.assert_array_equal(found, expected)


def test_a_webp_that_says_to_be_a_bomb_is_refused():
    image = pytest.importorskip("PIL.Image", reason="pictures need Pillow (recurra[images])")
    exif = image.Exif()
    exif[0x0112] = 6
    raw = io.BytesIO()
    image.new("RGB", (16, 16), "red").save(raw, "WEBP", exif=exif)
    damaged = bytearray(raw.getvalue())
    damaged[24:30] = b"\xff\x3f\x00\xff\x3f\x00"  # a canvas of 16,384 by 16,384
    with pytest.raises(DataError, match=r"p\.csv:3"):
        picture_of(bytes(damaged), Origin("p.csv", 3), "image")


def test_a_request_has_bytes_and_never_a_name():
    assert IMAGE.of_request(IMAGE.smallest) == IMAGE.smallest
    with pytest.raises(ValueError, match="not its name"):
        IMAGE.of_request("../secret.png")
    with pytest.raises(ValueError, match="expected a PNG, JPEG or WebP"):
        IMAGE.of_request("aGVsbG8=")


def test_features_are_vectors_places_or_grids(tmp_path: Path):
    origin = Origin(str(tmp_path / "f.csv"), 2)
    for shape, places, grid in (((5,), 1, (1, 1)), ((3, 5), 3, (1, 3)), ((2, 3, 5), 6, (2, 3))):
        values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        np.save(tmp_path / "a.npy", values)
        found = features_of("a.npy", origin, "image")
        assert (found.places, found.width, found.grid) == (places, 5, grid)
        np.testing.assert_array_equal(found.read(), values.reshape(places, 5))


def test_files_that_hold_no_features_are_named(tmp_path: Path):
    origin = Origin(str(tmp_path / "f.csv"), 2)
    np.save(tmp_path / "four.npy", np.zeros((1, 1, 1, 1)))
    np.save(tmp_path / "text.npy", np.array(["a"]))
    np.save(tmp_path / "nan.npy", np.array([np.nan]))
    (tmp_path / "no.npy").write_bytes(b"hello")
    for name, said in (
        ("four.npy", "expected numbers of shape"),
        ("text.npy", "expected numbers of shape"),
        ("nan.npy", "no finite number"),
        ("no.npy", "cannot be read as features"),
        ("gone.npy", "no such file"),
        ("cat.png", "leave task.features out"),
    ):
        with pytest.raises(DataError, match=f"f.csv:2: .*{said}"):
            features_of(name, origin, "image").read()
