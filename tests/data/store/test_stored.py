"""Rows and examples in files without a name: what comes back, what stays in memory, and what is said of a full disk."""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.base.contracts import Origin
from recurra.base.errors import DataError
from recurra.data.splits import overlap, stored_overlap
from recurra.data.store import OnDisk, Scratch, Stored, chosen, digests_of, lengths_of
from recurra.data.store import scratch as files
from recurra.data.store import stored as module


class One:
    """An example that counts how many of its kind are alive."""

    alive = most = 0

    def __init__(self, number: int, origin: Origin) -> None:
        self.number, self.origin = number, origin
        One.alive += 1
        One.most = max(One.most, One.alive)

    def __del__(self) -> None:
        One.alive -= 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, One) and (self.number, self.origin) == (other.number, other.origin)

    @property
    def length(self) -> int:
        return self.number % 7

    @property
    def key(self) -> str:
        return str(self.number % 1000)

    def digest(self) -> bytes:
        return self.number.to_bytes(32, "big")


class Plain:
    def to_plain(self, one: One) -> Any:
        return one.number

    def from_plain(self, plain: Any, origin: Origin) -> One:
        return One(plain, origin)


def ones(first: int, number: int) -> Iterator[One]:
    return (One(n, Origin(f"f{n % 3}.csv", n if n % 5 else None)) for n in range(first, first + number))


def stored(folder: Path, first: int, number: int) -> Stored[One]:
    found = OnDisk(Scratch(folder)).examples(ones(first, number), Plain())
    assert isinstance(found, Stored)
    return found


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 16)
    monkeypatch.setattr(module, "FAR", 64)


@pytest.mark.parametrize("number", [0, 1, 15, 16, 17, 100])
def test_what_was_put_into_a_file_comes_back_in_order(number: int, tmp_path: Path) -> None:
    expected, found = list(ones(0, number)), stored(tmp_path, 0, number)
    assert list(found) == expected
    assert [found[k] for k in range(-number, number)] == expected * 2
    assert found[3:80:7] == expected[3:80:7]
    assert lengths_of(found).tolist() == [e.length for e in expected]
    assert b"".join(digests_of(found)) == b"".join(e.digest() for e in expected)
    with pytest.raises(IndexError):
        found[number]


@pytest.mark.parametrize("step", [1, 3, 70])
def test_some_of_what_was_put_into_a_file_are_a_sequence_too(step: int, tmp_path: Path) -> None:
    held, found = list(ones(0, 300)), stored(tmp_path, 0, 300)
    few, expected = chosen(found, (k % step == 0 for k in range(300))), held[::step]
    assert list(few) == expected
    assert few[1:3] == expected[1:3]
    assert list(chosen(few, (e.number % 2 == 0 for e in expected))) == [e for e in expected if e.number % 2 == 0]
    assert b"".join(digests_of(few)) == b"".join(e.digest() for e in expected)
    assert lengths_of(few).tolist() == [e.length for e in expected]


def test_no_more_than_a_chunk_of_examples_is_alive_at_a_time(tmp_path: Path) -> None:
    gc.collect()
    One.alive = One.most = 0
    found = stored(tmp_path, 0, 5000)
    assert One.most <= 2
    assert sum(one.number for one in found) == 5000 * 4999 // 2
    assert One.most <= 2


@pytest.mark.parametrize("reads_at", [False, True])
def test_pages_that_were_read_are_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads_at: bool) -> None:
    monkeypatch.setattr(files, "READS_AT", reads_at and files.READS_AT)
    monkeypatch.setattr(files, "RESIDENT", 4 * files.AROUND)
    released: list[int] = []
    release = files.Pages.release
    monkeypatch.setattr(files.Pages, "release", lambda self: released.append(1) or release(self))
    found = stored(tmp_path, 0, 200)
    assert [found[k].number for k in range(0, 200, 10)] == list(range(0, 200, 10))
    # Of the examples and of their ends, after each four of them; what is read without a map has none.
    assert len(released) == (0 if files.READS_AT else 2 * (20 // 4))


def test_files_have_no_name_and_are_gone_with_what_reads_them(tmp_path: Path) -> None:
    found = stored(tmp_path, 0, 50)
    handles = set(os.listdir("/proc/self/fd"))
    assert list(tmp_path.iterdir()) == []
    del found
    gc.collect()
    assert len(set(os.listdir("/proc/self/fd"))) < len(handles)


def test_a_row_of_another_file_is_found_by_its_key(tmp_path: Path) -> None:
    train, test = stored(tmp_path, 0, 950), stored(tmp_path, 1900, 120)
    found = stored_overlap(train, test)
    assert found == overlap(list(ones(0, 950)), list(ones(1900, 120)), key=lambda one: one.key)
    assert (found.num_rows, found.num_seen) == (70, 120)  # 1900..1949 have the keys 900..949, 2000..2019 those of 0..19
    assert stored_overlap(stored(tmp_path, 0, 0), test).num_rows == 0


# -- a disk without room -----------------------------------------------------------------------------------------------


def test_a_disk_that_fills_up_is_a_sentence_with_the_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BUFFER", 100)
    write = os.write
    left = [3]

    def full(handle: int, data: Any) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DataError, match=r"the disk is full: [0-9,]+ bytes .* set data\.scratch to a folder on another"):
        stored(tmp_path, 0, 1000)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_takes_a_part_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:7]))
    assert list(stored(tmp_path, 0, 40)) == list(ones(0, 40))


def test_too_little_room_is_said_before_anything_is_written(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    scratch.require(1)
    with pytest.raises(
        DataError, match=r"takes about 1,000,000,000,000,000,000 bytes of the disk, and [0-9,]+ are free"
    ):
        scratch.require(10**18)


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.scratch: '.*nowhere' is no folder"):
        files.scratch_folder(str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="prepared data cannot be written there: No such file or directory"):
        Scratch(tmp_path / "nowhere").file()


def test_numbers_come_back_as_they_were(tmp_path: Path) -> None:
    numbers = OnDisk(Scratch(tmp_path)).numbers(np.int32)
    numbers.extend(np.arange(10))
    numbers.extend([7, -1])
    assert len(numbers) == 12
    assert numbers.read(8, 12).tolist() == [8, 9, 7, -1]
