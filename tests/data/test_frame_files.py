"""Files of features: NumPy's, HTK's and Sphinx's, by their headers; and what is none."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest

from recurra.base.contracts import Origin
from recurra.base.errors import DataError
from recurra.data.frame_files import frames_of

VALUES = np.arange(26, dtype=np.float32).reshape(2, 13) / 7


def origin(folder: Path) -> Origin:
    return Origin(str(folder / "rows.csv"), 2)


def write(folder: Path, kind: str) -> str:
    big, little = VALUES.astype(">f4").tobytes(), VALUES.astype("<f4").tobytes()
    name = "a.npy" if kind == "npy" else "a.mfc"
    if kind == "npy":
        np.save(folder / name, VALUES.astype(np.float64))
    elif kind == "htk":
        (folder / name).write_bytes(struct.pack(">iihh", 2, 100_000, 52, 6) + big)
    else:
        order = ">" if kind == "big" else "<"
        (folder / name).write_bytes(struct.pack(f"{order}i", 26) + (big if kind == "big" else little))
    return name


@pytest.mark.parametrize("kind", ["npy", "htk", "big", "little"])
def test_a_file_of_features_is_read_by_its_header(kind, tmp_path):
    found = frames_of(write(tmp_path, kind), origin(tmp_path), "audio")
    assert (found.steps, found.width) == (2, 13)
    np.testing.assert_array_equal(found.read(), VALUES)


def test_numbers_in_the_row_are_features_too(tmp_path):
    found = frames_of(VALUES.tolist(), origin(tmp_path), "audio")
    np.testing.assert_array_equal(found.read(), VALUES)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (struct.pack(">i", 26) + bytes(50), "It may be cut off"),
        (b"", "no file of features"),
        (struct.pack(">i", 14) + bytes(56), "14 numbers are no frames of 13; set task.frame_size"),
        (struct.pack(">iihh", 2, 1, 26, 0x400 | 6) + bytes(52), "without _C"),
    ],
)
def test_what_is_no_file_of_features_is_named(content, said, tmp_path):
    (tmp_path / "a.mfc").write_bytes(content)
    with pytest.raises(DataError, match=said):
        frames_of("a.mfc", origin(tmp_path), "audio")


def of_zip() -> bytes:
    held = io.BytesIO()
    np.savez(held, a=VALUES)
    return held.getvalue()


def of_shape(shape: bytes) -> bytes:
    held = io.BytesIO()
    np.save(held, VALUES)
    return held.getvalue().replace(b"(2, 13)", shape)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no file of NumPy's"),
        (b"hello", "is no file of NumPy's"),
        (of_zip(), "is no file of NumPy's"),
        (of_shape(b"(-2, -1"), "is no file of features that can be read"),
        (of_shape(b"(2, 10000000000000000000)"), "is no file of features that can be read"),
        (of_shape(b"(9, 13)"), "mmap length is greater than file size"),
        (of_shape(b"(2, 0) "), "frames of no number"),
    ],
)
def test_a_broken_file_of_numpy_is_named(content, said, tmp_path):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(DataError, match=said):
        frames_of("a.npy", origin(tmp_path), "audio")


def test_a_number_too_large_for_single_precision_is_named_alone(tmp_path, recwarn):
    np.save(tmp_path / "a.npy", np.full((2, 3), 1e300))
    with pytest.raises(DataError, match="frame 1 holds what is no finite number"):
        frames_of("a.npy", origin(tmp_path), "audio").read()
    assert not recwarn.list


def test_a_missing_file_is_named_with_its_row(tmp_path):
    with pytest.raises(DataError, match=r"rows\.csv:2: column 'audio': .*b\.mfc: no such file"):
        frames_of("b.mfc", origin(tmp_path), "audio")
    with pytest.raises(DataError, match=r"task\.sound"):
        frames_of("b.wav", origin(tmp_path), "audio")


def test_an_array_of_objects_or_of_one_dimension_is_refused(tmp_path):
    np.save(tmp_path / "o.npy", np.array([{}], object), allow_pickle=True)
    np.save(tmp_path / "f.npy", np.zeros(3))
    for name in ("o.npy", "f.npy"):
        with pytest.raises(DataError, match="no file of features"):
            frames_of(name, origin(tmp_path), "audio")


def test_a_number_that_is_none_is_named(tmp_path):
    bad = VALUES.copy()
    bad[1, 3] = np.nan
    np.save(tmp_path / "a.npy", bad)
    with pytest.raises(DataError, match="frame 2 holds"):
        frames_of("a.npy", origin(tmp_path), "audio").read()
