"""Files of a run folder that are made to attack: each is refused with a sentence, in little time and memory."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from api.api_room import done, recurra

MOST_SECONDS, MOST_MEGABYTES = 1.0, 200
Spoil = Callable[[Path], None]


# -- model.safetensors -------------------------------------------------------------------------------------------------


def weights(data: bytes | Callable[[bytes], bytes]) -> Spoil:
    """A run whose weights are these bytes, or what a function makes of the good ones."""

    def spoil(run: Path) -> None:
        path = run / "model.safetensors"
        path.write_bytes(data if isinstance(data, bytes) else data(path.read_bytes()))

    return spoil


def header_of(good: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack("<Q", good[:8])
    return json.loads(good[8 : 8 + length]), good[8 + length :]


def with_header(text: str, tensors: bytes) -> bytes:
    data = text.encode()
    data += b" " * (-len(data) % 8)
    return struct.pack("<Q", len(data)) + data + tensors


def changed(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    """The good file with another header."""

    def made(good: bytes) -> bytes:
        header, tensors = header_of(good)
        change(header)
        return with_header(json.dumps(header), tensors)

    return made


def offsets(name: str, begin: int, end: int) -> Callable[[dict[str, Any]], object]:
    return lambda header: header[name].update(data_offsets=[begin, end])


def overlapping(header: dict[str, Any]) -> None:
    header["head.output.bias"]["data_offsets"] = header["encoder.recurrent.bias_hh_l0"]["data_offsets"][0:1] * 2
    header["head.output.bias"]["data_offsets"][1] += 8


def twice(good: bytes) -> bytes:
    header, tensors = header_of(good)
    text = json.dumps(header)
    return with_header(f'{text[:-1]}, "head.output.bias": {json.dumps(header["head.output.bias"])}}}', tensors)


def renamed(name: str) -> Callable[[dict[str, Any]], object]:
    def rename(header: dict[str, Any]) -> None:
        header[name] = header.pop("head.output.bias")

    return rename


def told(tied: str) -> Callable[[dict[str, Any]], object]:
    return lambda header: header["__metadata__"].update(tied=tied)


def many_tensors(good: bytes) -> bytes:
    """90 MB of header, below the limit of the safetensors library: two million tensors without numbers."""
    one = '"t%07d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    return with_header("{" + ",".join(one % n for n in range(1_500_000)) + "}", b"")


def torch_file(good: bytes) -> bytes:
    file = io.BytesIO()
    torch.save({"head.output.bias": torch.zeros(2)}, file)
    return file.getvalue()


def zip_bomb(good: bytes) -> bytes:
    """50 MB of zeros in 50 kB, which nothing may unpack."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.pkl", bytes(50_000_000))
    return file.getvalue()


def sparse(run: Path) -> None:
    """A terabyte that takes no room on the disk."""
    os.truncate(run / "model.safetensors", 1 << 40)


def nan(run: Path) -> None:
    path = run / "model.safetensors"
    save_file({**load_file(path), "head.output.bias": torch.tensor([0.0, float("nan")])}, path)


# -- JSON and YAML -----------------------------------------------------------------------------------------------------


def file(name: str, data: bytes | Callable[[bytes], bytes]) -> Spoil:
    def spoil(run: Path) -> None:
        (run / name).write_bytes(data if isinstance(data, bytes) else data((run / name).read_bytes()))

    return spoil


def pipe(name: str) -> Spoil:
    """A file that waits for ever for somebody who writes into it."""

    def spoil(run: Path) -> None:
        (run / name).unlink()
        os.mkfifo(run / name)

    return spoil


def linked(name: str, target: str) -> Spoil:
    def spoil(run: Path) -> None:
        (run / name).unlink()
        (run / name).symlink_to(target)

    return spoil


def task(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def made(good: bytes) -> bytes:
        tree = json.loads(good)
        change(tree)
        return json.dumps(tree).encode()

    return made


def config(old: str, new: str) -> Callable[[bytes], bytes]:
    def made(good: bytes) -> bytes:
        assert old.encode() in good
        return good.replace(old.encode(), new.encode())

    return made


def greedy(run: Path) -> None:
    """A network of half a terabyte, and a limit that allows it."""
    path = run / "config.yaml"
    path.write_bytes(config("hidden_size: 4 ", "hidden_size: 65536 ")(path.read_bytes()))
    path.write_bytes(config("max_model_gib: 2.0 ", "max_model_gib: 1000000.0 ")(path.read_bytes()))


def wide(run: Path) -> None:
    """One-hot rows of a vocabulary that is itself no larger than a file may be."""
    path = run / "config.yaml"
    path.write_bytes(config("embedding_size: 3 ", "embedding_size: one_hot ")(path.read_bytes()))
    path.write_bytes(config("max_model_gib: 2.0 ", "max_model_gib: 1000000.0 ")(path.read_bytes()))
    (run / "task.json").write_bytes(task(long_vocabulary)((run / "task.json").read_bytes()))


def long_vocabulary(tree: dict[str, Any]) -> None:
    tree["reader"]["vocabulary"]["tokens"] = [f"t{n}" for n in range(300_000)]


# What is large is made in its test: 250 MB of the process would be copied into each fork's tables of pages.
HOSTILE: dict[str, tuple[Spoil, str]] = {
    "a pickle": (weights(pickle.dumps({"head.output.bias": 1})), "model.safetensors"),
    "a file of torch.save, which is a zip of a pickle": (weights(torch_file), "model.safetensors"),
    "a zip bomb": (weights(zip_bomb), "model.safetensors"),
    "a header beyond the file": (weights(struct.pack("<Q", 1 << 40) + b"{}"), "model.safetensors"),
    "a header of 2**63 bytes": (weights(struct.pack("<Q", 1 << 63) + b"{}"), "model.safetensors"),
    "a header of a million tensors": (weights(many_tensors), "model.safetensors"),
    "a header of brackets": (weights(with_header("[" * 900_000, b"")), "model.safetensors"),
    "deep metadata": (weights(changed(told("[" * 100_000))), "model.safetensors"),
    "metadata that are no map": (weights(changed(told("[]"))), "model.safetensors"),
    "a tie to what is not there": (weights(changed(told('{"head.output.bias": "x"}'))), "model.safetensors"),
    "a tie to itself": (weights(changed(told('{"head.output.bias": "head.output.bias"}'))), "model.safetensors"),
    "a tie to a list": (weights(changed(told('{"head.output.bias": []}'))), "model.safetensors"),
    "offsets beyond the file": (weights(changed(offsets("head.output.bias", 0, 1 << 40))), "model.safetensors"),
    "offsets that run backwards": (weights(changed(offsets("head.output.bias", 8, 0))), "model.safetensors"),
    "offsets below zero": (weights(changed(offsets("head.output.bias", -8, 0))), "model.safetensors"),
    "tensors that overlap": (weights(changed(overlapping)), "model.safetensors"),
    "a tensor that is named twice": (weights(twice), "model.safetensors"),
    "a name that leads out of the folder": (weights(changed(renamed("../../output.bias"))), "model.safetensors"),
    "a name that is code": (weights(changed(renamed("__class__"))), "model.safetensors"),
    "a name that drives a terminal": (weights(changed(renamed("\x1b[2J"))), "model.safetensors"),
    "a shape of 2**64 numbers": (
        weights(changed(lambda header: header["head.output.bias"].update(shape=[1 << 32, 1 << 32]))),
        "model.safetensors",
    ),
    "a shape that is empty in one direction and endless in another": (
        weights(changed(lambda header: header["head.output.bias"].update(shape=[0, 1 << 62]))),
        "model.safetensors",
    ),
    "a type that does not exist": (
        weights(changed(lambda header: header["head.output.bias"].update(dtype="F1"))),
        "model.safetensors",
    ),
    "a terabyte of nothing": (sparse, "model.safetensors"),
    "NaN among the weights": (nan, "model.safetensors"),
    "weights from a pipe": (pipe("model.safetensors"), "run"),
    "weights from a device": (linked("model.safetensors", "/dev/zero"), "run"),
    "a network that would fill the memory": (greedy, "run"),
    "a table that would fill the memory": (wide, "run"),
    "deep JSON": (file("task.json", b'{"reader":' * 50_000), "task.json"),
    "200 MB of lists": (file("task.json", lambda good: b"[" + b"[]," * 70_000_000 + b"0]"), "task.json"),
    "40 MB of numbers": (file("task.json", lambda good: b"[" + b"0," * 20_000_000 + b"0]"), "task.json"),
    "a number of a million digits": (file("task.json", b'{"reader":' + b"9" * 1_000_000 + b"}"), "task.json"),
    "a key that comes twice": (file("task.json", lambda good: b'{"labels":["a"],' + good[1:]), "task.json"),
    "NaN in JSON": (file("task.json", task(lambda tree: tree.update(class_weights=[float("nan")] * 2))), "task.json"),
    "a task from a pipe": (pipe("task.json"), "task.json"),
    "a task from a device": (linked("task.json", "/dev/zero"), "task.json"),
    "a mark from a pipe": (pipe("run.json"), "run"),
    "a config from a pipe": (pipe("config.yaml"), "config.yaml"),
    "a config of a million keys": (
        file("config.yaml", lambda good: b"".join(b"k%d: 1\n" % n for n in range(100_000)) + good),
        "config.yaml",
    ),
    "a deep config": (file("config.yaml", lambda good: b"a: " + b"[" * 500_000 + good), "config.yaml"),
    "a config with code": (file("config.yaml", config("cell: lstm ", "cell: !!python/name:os.system ")), "config.yaml"),
    "a cell of the folder with a built-in name": (
        file("cell.json", lambda good: b'{"name": "lstm"}'),
        "cell.json",
    ),
}


def peak() -> int:
    """Bytes of memory that this process has had at most since the last reset."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_file_that_is_made_to_attack_is_refused_with_a_sentence(attack: str, run: Path) -> None:
    spoil, named = HOSTILE[attack]
    if named == "cell.json":
        (run / "cell.json").write_bytes(b"")
    spoil(run)
    begun = time.process_time()
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = peak()
    said = recurra("predict", run, "lovely item a1")
    seconds, megabytes = time.process_time() - begun, (peak() - before) / 1e6
    assert (said.code, said.out) == (2, ""), said.err
    assert str(run if named == "run" else run / named) in said.err
    assert len(said.err) < 1000
    assert "\x1b" not in said.err
    assert seconds < MOST_SECONDS
    assert megabytes < MOST_MEGABYTES


# -- a run that is moved -----------------------------------------------------------------------------------------------


def test_a_copied_run_answers_the_same_from_anywhere(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = done("predict", run, "lovely item a1", "--json").out
    moved = tmp_path / "elsewhere" / "with a space" / "renamed"
    moved.parent.mkdir(parents=True)
    shutil.move(run, moved)
    for name in ("data.csv", "c.yaml"):  # what it was trained from stays behind
        Path(name).unlink()
    monkeypatch.chdir(moved.parent)
    assert done("predict", "renamed", "lovely item a1", "--json").out == answer
    monkeypatch.chdir("/")
    assert done("predict", moved, "lovely item a1", "--json").out == answer
    assert str(tmp_path) not in (moved / "config.yaml").read_text() + (moved / "task.json").read_text()
