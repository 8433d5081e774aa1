"""Series as NumPy arrays, IDX, ARFF, a CSV file each, and pictures by rows: read by value, refused in sentences."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from recurra import api
from recurra.base.errors import DataError
from recurra.data.formats import read, recognised
from recurra.data.formats.arrays import shape_of

X = np.arange(24, dtype=np.float32).reshape(4, 3, 2)


def rows(path: Path, **options: Any) -> list[tuple[Any, Any]]:
    """Values as lists, with their labels."""
    found = [row.fields for row in read(path, **options)]
    return [(np.asarray(one["values"], float).tolist(), one.get("label")) for one in found]


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


# -- arrays ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [np.array([1, 0, 1, 0]), np.array(["1", "0", "1", "0"]), np.array([1.0, 0, 1, 0])])
def test_arrays_are_series_steps_numbers_and_that_is_said(tmp_path: Path, labels: Any) -> None:
    np.savez(tmp_path / "a.npz", X=X, y=labels)
    said: list[str] = []
    assert rows(tmp_path / "a.npz", note=said.append) == [(X[k].tolist(), "1010"[k]) for k in range(4)]
    assert said == [f"{tmp_path / 'a.npz'}: axes: 4 series, 3 steps, 2 numbers."]
    np.save(tmp_path / "X_train.npy", X[:, :, 0])
    assert rows(tmp_path / "X_train.npy")[0] == ([0, 2, 4], None)
    np.save(tmp_path / "y_train.npy", labels)
    assert rows(tmp_path / "X_train.npy")[3] == ([18, 20, 22], "0")


def test_padding_is_left_out_by_lengths_and_more_numbers_than_steps_are_doubted(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 3, 7)), lengths=np.array([1, 3]))
    said: list[str] = []
    assert [len(values) for values, _ in rows(tmp_path / "a.npz", note=said.append)] == [1, 3]
    assert said[0].endswith("where the axes are (series, numbers, steps), as aeon has them, save X.transpose(0, 2, 1).")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"z": X}, "has no array X, but z"),
        ({"X": X, "y": np.zeros(3)}, r"y has shape \(3,\), expected \(4,\), one for each series"),
        ({"X": X, "y": np.zeros((3, 2))}, r"y has shape \(3, 2\), expected \(4,\), one for each series"),
        ({"X": np.zeros(4)}, r"X has shape \(4,\) of float64, expected numbers in \(series, steps\)"),
        ({"X": np.array([["a"]])}, "X has shape .* of <U1, expected numbers"),
        ({"X": np.array([[1], None], dtype=object)}, "holds pickled objects, which could run code and are not read"),
        ({"X": X, "lengths": np.array([1, 2, 3, 4])}, "lengths are not all whole numbers from 0 to 3"),
    ],
)
def test_arrays_that_cannot_be_read_are_named(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message):
        rows(tmp_path / "a.npz")


def test_several_numbers_to_predict_are_a_list_of_each_row(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=X, y=np.arange(8).reshape(4, 2))
    assert [label for _, label in rows(tmp_path / "a.npz")] == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0]]


def test_what_only_has_the_name_of_an_array_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "X.npy", X)
    whole = (tmp_path / "X.npy").read_bytes()
    np.savez(tmp_path / "a.npz", X=X)
    objects = np.array([[1], None], dtype=object)
    np.save(tmp_path / "X_o.npy", objects)
    (tmp_path / "X_zip.npy").write_bytes((tmp_path / "a.npz").read_bytes())
    (tmp_path / "X_header.npy").write_bytes(whole.replace(b"'descr'", b"'descr ", 1))
    (tmp_path / "X_cut.npy").write_bytes(whole[:20])
    (tmp_path / "X_empty.npy").write_bytes(b"")
    (tmp_path / "X_text.npy").write_text("no array")
    (tmp_path / "X_y.npy").write_bytes(whole)
    (tmp_path / "y_y.npy").write_bytes(whole[:20])
    for name in ("X_zip", "X_header", "X_cut", "X_empty", "X_text"):
        with pytest.raises(DataError, match=f"{name}.npy: cannot be read"):
            rows(tmp_path / f"{name}.npy")
        assert shape_of(tmp_path / f"{name}.npy") == ()
    with pytest.raises(DataError, match=r"y_y\.npy: cannot be read"):
        rows(tmp_path / "X_y.npy")
    with pytest.raises(DataError, match=r"X_o\.npy: holds pickled objects"):
        rows(tmp_path / "X_o.npy")


def test_damaged_arrays_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=X)
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[:-30])
    np.save(tmp_path / "X.npy", X)
    (tmp_path / "X.npy").write_bytes((tmp_path / "X.npy").read_bytes()[:-8])
    for name in ("a.npz", "X.npy"):
        with pytest.raises(DataError, match=f"{name}: cannot be read"):
            rows(tmp_path / name)


def idx(path: Path, array: Any) -> Path:
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes()))
    return path


def test_images_of_mnist_are_rows_of_pixels_with_the_labels_beside(tmp_path: Path) -> None:
    path = idx(tmp_path / "train-images-idx3-ubyte.gz", X)
    idx(tmp_path / "train-labels-idx1-ubyte.gz", np.array([7, 0, 7, 9]))
    assert recognised(path) == ("idx", "its name says IDX")
    assert rows(path) == [(X[k].tolist(), "7079"[k]) for k in range(4)]
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-4]))
    with pytest.raises(DataError, match="is cut off: its header says 24 bytes, and 20 are there"):
        rows(path)
    path.write_bytes(gzip.compress(b"words and words"))
    with pytest.raises(DataError, match="is no IDX file: it begins with b'word'"):
        rows(path)


def lying(shape: tuple[int, ...]) -> bytes:
    """An array whose header says this shape, with 80 bytes of numbers behind it."""
    made = io.BytesIO()
    np.lib.format.write_array_header_1_0(made, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return made.getvalue() + bytes(80)


def test_an_array_whose_header_says_more_than_is_there_is_refused_before_memory_is_asked_for(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("X.npy", lying((2**33, 2)))
    said = r"a\.npz: its part X\.npy is cut off: its header says 137,438,953,472 bytes, and 80 are there"
    with pytest.raises(DataError, match=said):
        rows(tmp_path / "a.npz")


def test_an_archive_that_is_locked_is_refused_in_a_sentence(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=X)
    whole = bytearray((tmp_path / "a.npz").read_bytes())
    for sign, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # where headers of a part have their flags
        whole[whole.index(sign) + place] |= 1
    (tmp_path / "a.npz").write_bytes(whole)
    with pytest.raises(DataError, match=r"a\.npz: cannot be read: .*encrypted"):
        rows(tmp_path / "a.npz")


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"])
@pytest.mark.parametrize("packed", [True, False])
def test_idx_that_is_cut_anywhere_is_named(tmp_path: Path, name: str, packed: bool) -> None:
    ending = ".gz" if packed else ""
    images = idx(tmp_path / "train-images-idx3-ubyte.gz", X)
    labels = idx(tmp_path / "train-labels-idx1-ubyte.gz", np.array([7, 0, 7, 9]))
    if not packed:
        for one in (images, labels):
            one.with_suffix("").write_bytes(gzip.decompress(one.read_bytes()))
    path = tmp_path / f"{name}{ending}"
    whole = path.read_bytes()
    for length in range(3, len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=rf"{name}{ending}(:1)?: "):
            rows(tmp_path / f"train-images-idx3-ubyte{ending}")
    path.write_bytes(whole)
    assert len(rows(tmp_path / f"train-images-idx3-ubyte{ending}")) == 4


# -- ARFF --------------------------------------------------------------------------------------------------------------

ONE = "% a comment\n@relation r\n@attribute t1 numeric\n@attribute t2 REAL\n@ATTRIBUTE target {a,'b'}\n@data\n"
NUMERIC = "@attribute t1 numeric\n@attribute t2 numeric\n"
MANY = f"@relation r\n@attribute r relational\n{NUMERIC}@end r\n@attribute c {{a,b}}\n@data\n"


def test_arff_of_one_channel_and_of_many(tmp_path: Path) -> None:
    assert rows(text(tmp_path / "a.arff", ONE + "1,2.5,a\n\n4,3,'b'\n")) == [
        ([1, 2.5], "a"),
        ([4, 3], "b"),
    ]
    assert rows(text(tmp_path / "b.arff", MANY + "'1,2\\n3,4\\n5,6',a\n")) == [([[1, 3, 5], [2, 4, 6]], "a")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ONE + "1,a\n", "a.arff:7: has 2 cells, and the header 3 attributes"),
        (ONE + "{0 1, 2 a}\n", "a.arff:7: is sparse"),
        (ONE.replace("REAL", "string") + "1,2,a\n", "a.arff: has an attribute of 'string'; expected numbers"),
        (ONE.replace("@data", ""), "a.arff: has no line @data"),
        ("1,2,a\n", "a.arff:1: expected @relation, @attribute or @data"),
        (MANY + "'1,2\\n3',a\n", "a.arff:8: its channels have 2, 1 numbers; expected as many in each"),
        (MANY + "1,2,a\n", "a.arff:8: expected channels in quotes"),
    ],
)
def test_arff_that_cannot_be_read_is_named_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        rows(text(tmp_path / "a.arff", content))


# -- a file each -------------------------------------------------------------------------------------------------------


def test_files_beside_their_targets_are_found_by_the_number_at_the_end(tmp_path: Path) -> None:
    text(tmp_path / "s" / "rss_1.csv", "#a, b\n1, 2\n3, 4\n")
    text(tmp_path / "s" / "rss_02.csv", "5,6\n")
    text(tmp_path / "s" / "rss_target.csv", "#sequence, label\n2, -1\n1, 1\n")
    assert recognised(tmp_path / "s") == ("sequences", "it holds a series a file, and rss_target.csv their labels")
    assert rows(tmp_path / "s") == [([[5, 6]], "-1"), ([[1, 2], [3, 4]], "1")]
    text(tmp_path / "s" / "rss_target.csv", "3, 1\n")
    with pytest.raises(DataError, match=r"rss_target.csv:1: there is no file for .3."):
        rows(tmp_path / "s")
    text(tmp_path / "s" / "other_1.csv", "5,6\n")
    with pytest.raises(DataError, match=r"other_1.csv and rss_1.csv are both '1' for rss_target.csv"):
        rows(tmp_path / "s")


def test_files_by_class_and_steps_of_other_widths(tmp_path: Path) -> None:
    text(tmp_path / "s" / "walk" / "1.csv", "x,y\n1,2\n3,4\n")
    text(tmp_path / "s" / "run" / "1.csv", "5;6\n")
    assert rows(tmp_path / "s") == [([[5, 6]], "run"), ([[1, 2], [3, 4]], "walk")]
    text(tmp_path / "s" / "walk" / "1.csv", "x,y\n1,2\n3\n")
    with pytest.raises(DataError, match=r"walk/1.csv:3: has another number of cells than line 2"):
        rows(tmp_path / "s")


# -- pictures ----------------------------------------------------------------------------------------------------------


def test_pictures_are_rows_of_pixels_grey_or_red_green_blue(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed; it comes with recurra[test]")
    for name, shape in (("grey", (2, 3)), ("colour", (2, 1, 3))):
        (tmp_path / "p" / name).mkdir(parents=True)
        pixels = np.arange(6, dtype=np.uint8).reshape(shape)
        image.fromarray(pixels).save(tmp_path / "p" / name / "1.png")
    assert rows(tmp_path / "p") == [([[0, 1, 2], [3, 4, 5]], name) for name in ("colour", "grey")]
    (tmp_path / "p" / "grey" / "1.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"1.png: is no picture that can be read"):
        rows(tmp_path / "p")


# -- to a config -------------------------------------------------------------------------------------------------------


def test_init_finds_values_and_labels_in_arrays_files_and_lists(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 5, 2)), np.arange(12) % 2
    np.savez(tmp_path / "a.npz", X=x, y=y)
    for k in range(12):
        text(tmp_path / "s" / f"{y[k]}" / f"{k}.csv", "\n".join(",".join(map(str, step)) for step in x[k]))
    sources = [tmp_path / "a.npz", tmp_path / "s"]
    try:
        from pyarrow import parquet, table

        lists = table({"values": [step.tolist() for step in x], "label": [str(one) for one in y]})
        parquet.write_table(lists, tmp_path / "a.parquet")
        sources.append(tmp_path / "a.parquet")
    except ImportError:
        pass
    found = []
    for source in sources:
        tree = yaml.safe_load(api.init("series_classification", source))
        assert (tree["task"]["values"], tree["task"]["label"]) == ("values", "label")
        tree["data"]["split"] = {"name": "random", "dev": 0.2, "test": 0.0}
        found.append(api.check(tree).facts)
    assert all(one["numbers a step"] == 2 for one in found)
    assert len({one["train series"] for one in found}) == 1
