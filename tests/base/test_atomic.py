"""A file is there whole or not at all, and what a killed process left is told from what a living one is writing."""

from __future__ import annotations

import errno
import os
import posix
import subprocess
import sys
from pathlib import Path

import pytest

from recurra.base import atomic
from recurra.base.atomic import PREFIX, remove_leftovers, replacing, write_text


def temporaries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(f"{PREFIX}*"))


def dead_pid() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as process:
        process.wait()
    return process.pid


def test_a_file_appears_when_the_block_ends_and_not_before(tmp_path: Path) -> None:
    with replacing(tmp_path / "a") as file:
        file.write(b"new")
        assert not (tmp_path / "a").exists()
        assert len(temporaries(tmp_path)) == 1
    assert (tmp_path / "a").read_bytes() == b"new"
    assert temporaries(tmp_path) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_raises_leaves_the_old_file_and_nothing_else(error: type[BaseException], tmp_path: Path) -> None:
    write_text(tmp_path / "a", "old – é")

    def write_half() -> None:
        with replacing(tmp_path / "a") as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        write_half()
    assert (tmp_path / "a").read_text("utf-8") == "old – é"
    assert temporaries(tmp_path) == []


def test_contents_are_on_the_disk_before_the_name_and_the_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, replace = posix.fsync, os.replace  # the system's own: see tests/conftest.py

    def noted_fsync(handle: int) -> None:
        calls.append("fsync folder" if os.path.samestat(os.fstat(handle), os.stat(tmp_path)) else "fsync file")
        fsync(handle)

    def noted_replace(source: Path, target: Path) -> None:
        calls.append(f"rename, {source.stat().st_size} bytes")
        replace(source, target)

    monkeypatch.setattr(atomic.os, "fsync", noted_fsync)
    monkeypatch.setattr(atomic.os, "replace", noted_replace)
    write_text(tmp_path / "a", "text")
    assert calls == ["fsync file", "rename, 4 bytes", "fsync folder"]


def test_an_error_of_the_disk_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space") as caught, replacing(tmp_path / "a"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "a")


def test_leftovers_of_the_dead_go_and_files_of_the_living_stay(tmp_path: Path) -> None:
    left, living = f"{PREFIX}{dead_pid()}-0123abcd-last.ckpt", f"{PREFIX}{os.getppid()}-0123abcd-last.ckpt"
    for name in (left, living, f"{PREFIX}strange", "last.ckpt"):
        (tmp_path / name).write_text("x")
    (tmp_path / f"{PREFIX}folder").mkdir()
    with replacing(tmp_path / "predictions.csv") as file:
        file.write(b"half")
        assert remove_leftovers(tmp_path) == 2
        assert living in temporaries(tmp_path)
        assert any(name.endswith("predictions.csv") for name in temporaries(tmp_path))
    assert (tmp_path / "predictions.csv").read_bytes() == b"half"
    assert temporaries(tmp_path) == sorted([living, f"{PREFIX}folder"])
    assert (tmp_path / "last.ckpt").exists()


def test_a_leftover_of_an_earlier_process_with_our_own_number_goes(tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}{os.getpid()}-0123abcd-last.ckpt").write_text("x")  # in a container the number is always 1
    assert remove_leftovers(tmp_path) == 1


@pytest.mark.parametrize("error", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_a_disk_that_cannot_sync_is_written_to(error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(handle: int) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "fsync", fsync)
    write_text(tmp_path / "a", "whole")
    assert (tmp_path / "a").read_text() == "whole"
    assert atomic.sync_folder(tmp_path) is False


def test_a_disk_that_fails_to_sync_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(handle: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output error"):
        write_text(tmp_path / "a", "whole")
    assert not (tmp_path / "a").exists()


def test_a_folder_that_can_be_synced_is(tmp_path: Path) -> None:
    assert atomic.sync_folder(tmp_path) is True
