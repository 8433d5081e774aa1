"""BERT as Google published it: read by the names of tensors, without TensorFlow; and what is damaged is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import checkpoint_room as room
from models.test_pretrained import made, outputs, reader
from published_room import WORDS, Tensors, tensors
from published_room import folder as hf_folder
from recurra.api.schema import read_settings
from recurra.base.errors import ConfigError, DataError
from recurra.models.published import crc32c as check
from recurra.models.published import read_tensors
from recurra.models.published.checkpoint import masked
from recurra.models.published.crc32c import crc32c
from recurra.models.published.snappy import unpacked

DENSE = "bert/encoder/layer_1/output/dense/kernel"


def test_the_check_has_the_values_that_rfc_3720_lists() -> None:
    listed = {bytes(32): 0x8A9136AA, b"\xff" * 32: 0x62A8AB43, bytes(range(32)): 0x46DD794E, b"123456789": 0xE3069283}
    for data, value in listed.items():  # appendix B.4; the last is the usual check value of CRC-32C
        assert crc32c(memoryview(data)) == value
    assert crc32c(memoryview(b"")) == 0
    assert masked(0x8A9136AA) == int.from_bytes(room.mask(0x8A9136AA), "little")


@pytest.mark.parametrize("size", [1, 255, 256, 257, 3000])
def test_the_check_of_any_size_is_that_of_bit_by_bit(size: int) -> None:
    data = np.random.default_rng(size).bytes(size)
    assert crc32c(memoryview(data)) == room.crc32c(data)


def test_the_check_goes_on_from_one_piece_of_a_large_tensor_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "TOGETHER", 1024)
    data = np.random.default_rng(1).bytes(3 * 1024 + 7)
    assert crc32c(memoryview(data)) == room.crc32c(data)


def test_a_bert_of_google_is_the_bert_of_a_hugging_face_folder_to_the_bit(tmp_path: Path) -> None:
    where = room.folder(tmp_path / "google")
    assert torch.equal(outputs(where), outputs(hf_folder(tmp_path / "hf")))
    said = made(where).said
    assert "39 tensors are the encoder's first weights." in said
    assert "79 tensors that its optimizer kept (adam_m, adam_v, global_step) are not read." in said
    assert "Left out" not in said


def test_several_files_of_numbers_are_one(tmp_path: Path) -> None:
    where = room.folder(tmp_path / "several", room.named(tensors()), shards=3)
    assert torch.equal(outputs(where), outputs(hf_folder(tmp_path / "hf")))
    (where / "bert_model.ckpt.data-00001-of-00003").unlink()
    with pytest.raises(DataError, match=r"data-00001-of-00003: is missing, and bert_model\.ckpt\.index names it for "):
        made(where)


def heads() -> Tensors:
    """Those of pre-training, as Google's code names them."""
    random = np.random.default_rng(2)
    shapes = {"transform/dense/kernel": (8, 8), "transform/dense/bias": (8,), "transform/LayerNorm/gamma": (8,),
              "transform/LayerNorm/beta": (8,), "output_bias": (len(WORDS),)}  # fmt: skip
    found = {f"cls/predictions/{name}": random.normal(size=shape).astype("f4") for name, shape in shapes.items()}
    return {**found, "cls/seq_relationship/output_weights": np.ones((2, 8), np.float32)}


def test_the_head_that_tells_hidden_pieces_begins_as_google_has_it(tmp_path: Path) -> None:
    where = room.folder(tmp_path, {**room.named(tensors()), **heads()})
    assert "Left out, as no part of the encoder: cls/predictions/output_bias" in made(where).said
    encoder = {"name": "pretrained", "folder": str(where)}
    tree = {"task": "masked_lm", "data": {"train": "x.txt"}, "model": {"encoder": encoder}}
    model = read_settings(tree).model(reader(where).sizes)
    said = model.encoder.begin(model.inputs, model.head)
    assert said.endswith("5 tensors are the head's. Left out, as no part of the encoder: "
                         "cls/seq_relationship/output_weights.")  # fmt: skip
    head = {name: torch.from_numpy(array) for name, array in heads().items()}
    assert torch.equal(model.head.transform.weight, head["cls/predictions/transform/dense/kernel"].T)
    assert torch.equal(model.head.transform.bias, head["cls/predictions/transform/dense/bias"])
    assert torch.equal(model.head.norm.weight, head["cls/predictions/transform/LayerNorm/gamma"])
    assert torch.equal(model.head.norm.bias, head["cls/predictions/transform/LayerNorm/beta"])
    assert torch.equal(model.head.bias, head["cls/predictions/output_bias"])


def test_float16_and_float64_are_read_as_what_they_are(tmp_path: Path) -> None:
    arrays = {name: array.astype("float64") for name, array in room.named(tensors()).items()}
    arrays[DENSE] = arrays[DENSE].astype("float16")
    room.folder(tmp_path, arrays)
    assert read_tensors(tmp_path)[DENSE].dtype == torch.float16
    np.testing.assert_array_equal(read_tensors(tmp_path)[DENSE].numpy(), arrays[DENSE].T)


def test_an_index_that_is_compressed_says_the_same(tmp_path: Path) -> None:
    plain, small = (room.folder(tmp_path / name, kind=kind) for kind, name in enumerate(("plain", "small")))
    sizes = [(where / "bert_model.ckpt.index").stat().st_size for where in (plain, small)]
    assert sizes[1] < 0.9 * sizes[0]
    assert torch.equal(outputs(small), outputs(plain))


@pytest.mark.parametrize(
    ("data", "text"),
    [  # of google/snappy's format_description.txt, written by hand
        (b"\x00", b""),
        (b"\x03\x08abc", b"abc"),
        (b"\x07\x08abc\x01\x03", b"abcabca"),  # four from three back: reaches into itself
        (b"\x08\x0cabcd\x0e\x02\x00", b"abcdcdcd"),  # two bytes of distance
        (b"\x05\x00a\x0f\x01\x00\x00\x00", b"aaaaa"),  # four bytes
        (b"\x46\xf0\x45" + b"x" * 70, b"x" * 70),  # a length of its own byte
        (b"\xac\x02\xf4\x2b\x01" + b"y" * 300, b"y" * 300),
    ],
)
def test_what_snappy_makes_small_comes_back(data: bytes, text: bytes) -> None:
    assert unpacked(data) == text


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x04\x08abc", "has 3 bytes unpacked and says 4"),
        (b"\x02\x08abc", "has 3 bytes unpacked and says 2"),
        (b"\x09\x08abc\x01\x04", "a stretch begins 4 bytes before 3"),
        (b"\x09\x08abc\x01\x00", "a stretch begins 0 bytes before 3"),
        (b"\x05\x10abc", "has 3 bytes unpacked and says 5"),
        (b"\x81\x80\x80\x08", "has 16,777,217 bytes, expected at most 16,777,216"),
        (b"\x03\xf0", "says 3"),
    ],
)
def test_what_is_no_snappy_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        unpacked(data)


def test_a_tensor_that_is_missing_is_named(tmp_path: Path) -> None:
    arrays = room.named(tensors())
    del arrays[DENSE]
    with pytest.raises(DataError, match=r"lacks encoder\.layer\.1\.output\.dense\.weight, expected every tensor"):
        made(room.folder(tmp_path, arrays))


def test_a_tensor_of_another_shape_is_named_as_the_file_names_it(tmp_path: Path) -> None:
    arrays = {**room.named(tensors()), DENSE: np.zeros((8, 12), np.float32)}
    with pytest.raises(DataError, match=rf"{DENSE} has the shape \(12, 8\).*makes it \(8, 12\)"):
        made(room.folder(tmp_path, arrays))


ONE = np.zeros((12, 8), np.float32)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (room.entry(ONE, 0, 0, dtype=7), f"{DENSE} has numbers of kind 7 .DataType of TensorFlow., expected floats"),
        (room.entry(ONE, 0, 0, more=room.field(7, b"")), f"{DENSE} is cut into parts, expected whole tensors"),
        (room.entry(ONE, 3, 0), f"{DENSE} stands in file 3 of numbers, and there are 1"),
        (room.entry(ONE, 0, 2**40), rf"data-00000-of-00001: has [\d,]+ bytes, and {DENSE} ends at 1,099,511,628,160"),
        (room.entry(ONE, 0, 4), f"data-00000-of-00001: {DENSE} has another check .CRC-32C. than its bytes"),
        (room.entry(ONE, 0, 0) + room.field(5, 380), rf"{DENSE} has 380 bytes, and its shape \(12, 8\) takes 384"),
        (room.entry(ONE, 0, 0) + room.field(2, room.field(2, room.field(1, 2**62)) * 2), "a tensor has the shape"),
        (room.entry(ONE, 0, 0) + room.field(2, room.field(2, b"") * 9), "a tensor has the shape .0, 0, 0"),
        (b"\x0a", r"ckpt\.index: damaged or not the index of a TensorFlow checkpoint: index out of range"),
        (b"\x0a\x05a", "a field ends behind its message"),
        (b"\x0b", "a field is of kind 3"),
        (b"\x08" + b"\xff" * 11, "a number has more than ten bytes"),
        (room.field(1, b"x"), "field 1 of a message is no number"),
    ],
)
def test_an_entry_that_cannot_be_is_refused_with_its_name(tmp_path: Path, entry: bytes, words: str) -> None:
    where = room.folder(tmp_path, room.named(tensors()), entries={DENSE: entry})
    with pytest.raises(DataError, match=words):
        made(where)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data[:-1], "it does not end as such a file does"),
        (lambda data: b"", "it does not end as such a file does"),
        (lambda data: data[:9] + bytes([data[9] ^ 1]) + data[10:], "the block at 0 has another check than its bytes"),
        (lambda data: data[100:], "has another check|does not fit into it"),
        (lambda data: data[:-48] + b"\xff" * 9 + b"\x01" + data[-38:], "does not fit into it"),
        (lambda data: room.table({"a": b""}), "it has no header"),
        (lambda data: room.table({"": room.field(1, 1)}, kind=2), "compressed in way 2, expected none or Snappy"),
        (lambda data: room.table({"": b""}), "it names 0 files of numbers, expected 1 to 10,000"),
        (lambda data: room.table({"": room.field(1, 1) + room.field(2, 1)}), "its numbers are big-endian"),
        (lambda data: room.table({"": room.field(1, 1), "x" * 2000: b""}), r"a key of the block at \d+ does not fit"),
    ],
)
def test_a_damaged_index_is_refused(tmp_path: Path, change: Callable[[bytes], bytes], words: str) -> None:
    path = room.folder(tmp_path, room.named(tensors())) / "bert_model.ckpt.index"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=rf"bert_model\.ckpt\.index: damaged.*({words})"):
        made(tmp_path)


def test_no_byte_of_an_index_can_be_another_one_unnoticed(tmp_path: Path) -> None:
    """36 are padding, between the places of blocks and the mark at the end; each other one is missed."""
    path = room.folder(tmp_path, {"a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}) / "bert_model.ckpt.index"
    data, right = path.read_bytes(), read_tensors(tmp_path)["a/kernel"]
    refused = 0
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :])
        try:
            assert torch.equal(read_tensors(tmp_path)["a/kernel"], right)
        except DataError:
            refused += 1
    assert refused == len(data) - 36


def test_an_index_of_more_than_sixteen_mebibytes_is_refused(tmp_path: Path) -> None:
    with (room.folder(tmp_path) / "bert_model.ckpt.index").open("r+b") as file:
        file.truncate(2**24 + 1)
    with pytest.raises(DataError, match="it has more than 16 MiB"):
        made(tmp_path)


def test_two_checkpoints_in_a_folder_are_refused_and_a_folder_without_weights_too(tmp_path: Path) -> None:
    where = room.folder(tmp_path)
    (where / "model.ckpt-20.index").write_bytes(b"")
    with pytest.raises(DataError, match=r"holds 2 checkpoints \(bert_model\.ckpt\.index, model\.ckpt-20\.index\)"):
        made(where)
    for path in where.glob("*.index"):
        path.unlink()
    with pytest.raises(DataError, match=r"expected model\.safetensors, or bert_model\.ckpt\.index with its data"):
        made(where)


def test_safetensors_beside_a_checkpoint_are_what_is_read(tmp_path: Path) -> None:
    where = room.folder(tmp_path, room.named(tensors(seed=5)))
    assert torch.equal(outputs(hf_folder(where)), outputs(hf_folder(tmp_path / "hf")))


def test_a_config_of_google_that_is_no_object_is_named(tmp_path: Path) -> None:
    where = room.folder(tmp_path)
    (where / "bert_config.json").write_text("[]")
    with pytest.raises(ConfigError, match=r"bert_config\.json: says no"):
        made(where)
