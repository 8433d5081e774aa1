"""Folders of pictures with captions, and COCO's file of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from picture_room import picture, write
from recurra.base.errors import DataError
from recurra.data.formats import read, recognised, splits_in


def test_a_folder_with_captions_is_read_as_its_table(tmp_path: Path):
    write(tmp_path, 2, 1)
    assert recognised(tmp_path) == ("captions", "it holds captions.csv")
    first, *rest = read(tmp_path)
    assert dict(first.fields) == {"image": "0.png", "caption": "a red wall on the left"}
    assert str(first.origin) == f"{tmp_path}/captions.csv:2"
    assert len(rest) == 3


def test_folders_of_splits_are_found(tmp_path: Path):
    write(tmp_path / "train", 2, 1)
    write(tmp_path / "val", 2, 2)
    assert dict(splits_in(tmp_path)) == {"train": tmp_path / "train", "dev": tmp_path / "val"}


def coco(folder: Path, **changes: Any) -> Path:
    (folder / "val2017").mkdir(exist_ok=True)
    (folder / "annotations").mkdir(exist_ok=True)
    (folder / "val2017" / "a.png").write_bytes(picture("red", "left"))
    data = {
        "info": {"year": 2017},
        "images": [{"id": 7, "file_name": "a.png"}, {"id": 8, "file_name": "b.png"}],
        "annotations": [
            {"id": 1, "image_id": 7, "caption": "A red wall.\n"},
            {"id": 2, "image_id": 7, "caption": "Red."},
        ],
    }
    path = folder / "annotations" / "captions_val2017.json"
    path.write_text(json.dumps({**data, **changes}))
    return path


def test_cocos_file_has_a_record_for_each_picture(tmp_path: Path):
    path = coco(tmp_path)
    assert recognised(path)[0] == "coco"
    said: list[str] = []
    (row,) = read(path, note=said.append)
    assert dict(row.fields) == {"image": tmp_path / "val2017" / "a.png", "caption": ["A red wall.", "Red."]}
    assert said == [f"{path}: left out: 1 picture without a caption."]


def test_what_cocos_file_lacks_is_named(tmp_path: Path):
    for changes, said in (
        ({"images": 3}, "expected a list under 'images'"),
        ({"images": [{"id": 1}]}, r"images\[0\]: expected an object with id and file_name"),
        ({"annotations": [{"image_id": 9, "caption": "x"}]}, r"annotations\[0\]: expected the caption of one"),
        ({"images": [{"id": 7, "file_name": "gone.png"}]}, "gone.png is in none of"),
    ):
        with pytest.raises(DataError, match=said):
            list(read(coco(tmp_path, **changes), format="coco"))


@pytest.mark.parametrize("key", ["id", "image_id"])
def test_a_picture_that_is_numbered_by_a_list_is_named(tmp_path: Path, key: str):
    data: Any = {"images": [{"id": 1, "file_name": "1.png"}], "annotations": [{"image_id": 1, "caption": "red"}]}
    next(one for part in data.values() for one in part if key in one)[key] = [1]
    (tmp_path / "captions.json").write_text(json.dumps(data))
    with pytest.raises(DataError, match=r"captions\.json: (images|annotations)\[0\]: expected"):
        list(read(tmp_path / "captions.json", format="coco"))
