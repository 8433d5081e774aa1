"""Every crash point of a save; kill -9 at random moments; signals."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from recurra.base import atomic
from recurra.base.errors import TrainingError
from recurra.training import Checkpoints, FolderLock, MissingError, Stopping, checkpoint_manager
from recurra.training.checkpoint import load
from training.test_checkpoint import assert_is_state_of, state_of
from training.toys import TOTAL, exit_of, fork_child, run_recipe, same_bits, toy_plan


class Disk:
    """Stands between recurra and the system: counts calls that touch the disk, and fails at the chosen one.

    The `point`-th call does not happen; a write happens by half. A power cut also takes what was never synced: file
    contents not fsynced, and, where `lose_renames`, renames in a folder that was not fsynced since.
    """

    def __init__(self, folder: Path, point: int, fail: Callable[[Disk], None]) -> None:
        self.folder, self.point, self.fail, self.count = folder, point, fail, 0
        self.dead = False
        self.dirty: set[int] = set()
        self.undo: list[Callable[[], None]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def reach(self) -> None:
        if self.dead:
            raise Killed
        self.count += 1
        if self.count == self.point:
            self.fail(self)

    def builtin_open(self, path: Path, mode: str) -> File:
        self.reach()
        return File(self, open(path, mode, buffering=0))

    def open(self, path: Path, flags: int) -> int:
        self.reach()
        return os.open(path, flags)

    def fsync(self, handle: int) -> None:
        self.reach()  # that is all: what a power cut takes is decided below, and a real fsync takes milliseconds
        self.dirty.discard(os.fstat(handle).st_ino)
        if os.path.samestat(os.fstat(handle), os.stat(self.folder)):
            self.undo.clear()

    def replace(self, source: Path, target: Path) -> None:
        self.reach()
        kept = self.keep(target)
        os.replace(source, target)
        self.undo += [lambda: os.replace(kept, target)] if kept else []
        self.undo += [lambda: os.replace(target, source)]

    def link(self, source: Path, target: Path) -> None:
        self.reach()
        os.link(source, target)
        self.undo.append(lambda: os.unlink(target))

    def unlink(self, target: Path) -> None:
        self.reach()
        kept = self.keep(target)
        os.unlink(target)
        self.undo.append(lambda: os.replace(kept, target))

    def keep(self, target: Path) -> str | None:
        """A second name for what stands under `target`, so that it can come back."""
        if not os.path.exists(target):
            return None
        os.link(target, kept := f"{target}.undo-{self.count}")
        return kept

    def cut_power(self, lose_renames: bool) -> None:
        for path in self.folder.iterdir():
            if path.stat().st_ino in self.dirty:
                os.truncate(path, path.stat().st_size // 2)
        for take_back in reversed(self.undo if lose_renames else []):
            take_back()


class File:
    """A file whose writes go through `Disk`."""

    def __init__(self, disk: Disk, file: Any) -> None:
        self.disk, self.file = disk, file

    def __enter__(self) -> File:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def write(self, data: bytes) -> None:
        half = len(data) // 2
        self.file.write(data[:half])
        self.disk.dirty.add(os.fstat(self.file.fileno()).st_ino)
        self.disk.reach()
        self.file.write(data[half:])

    def flush(self) -> None:
        self.file.flush()

    def fileno(self) -> int:
        return self.file.fileno()


class Killed(BaseException):
    """The process is no more: no cleanup of it reaches the disk."""


def no_space(disk: Disk) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def io_error(disk: Disk) -> None:
    raise OSError(errno.EIO, "Input/output error")


def kill(disk: Disk) -> None:
    disk.dead = True
    raise Killed


def power_cut(disk: Disk) -> None:
    disk.cut_power(lose_renames=False)
    kill(disk)


def power_cut_before_the_renames(disk: Disk) -> None:
    disk.cut_power(lose_renames=True)
    kill(disk)


@contextmanager
def failing(disk: Disk) -> Iterator[None]:
    """Put `disk` between recurra and the system."""

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if disk.dead:
            raise Killed
        os.unlink(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic, "os", disk)
        patch.setattr(checkpoint_manager, "os", disk)
        patch.setattr(atomic, "open", disk.builtin_open, raising=False)
        patch.setattr(Path, "unlink", unlink)
        yield


def save_on(disk: Disk, method: str) -> str:
    """Save state 9 on a failing disk: what save() said, if it had the time."""
    with failing(disk):
        try:
            getattr(Checkpoints(disk.folder), method)(state_of(9))
        except TrainingError:
            return "failed"
        except Killed:
            return "killed"
        return "saved"


# open, four writes, fsync, (fsync, unlink, link,) rename, open the folder, fsync it
POINTS = {("save_best", 0): 9, ("save_last", 0): 10, ("save_last", 1): 12, ("save_last", 2): 12}


@pytest.mark.parametrize("earlier", [0, 1, 2])
@pytest.mark.parametrize("fail", [no_space, io_error, kill, power_cut, power_cut_before_the_renames])
def test_every_crash_point_of_saving_the_last_leaves_the_old_or_the_new_state_whole(fail, earlier, tmp_path):
    before = tmp_path / "before"
    before.mkdir()
    for step in range(1, earlier + 1):
        Checkpoints(before).save_last(state_of(step))
    for point in range(1, POINTS["save_last", earlier] + 2):
        folder = shutil.copytree(before, tmp_path / str(point))
        said, reached = crash(Disk(folder, point, fail), "save_last")
        assert reached == (point <= POINTS["save_last", earlier]), "the walk meets every call"
        found = Checkpoints(folder).newest()
        step = found.checkpoint.step if found else 0
        assert step in ({9} if said == "saved" else {earlier, 9}), point
        if found:
            assert_is_state_of(step, found.checkpoint)


@pytest.mark.parametrize("earlier", [0, 1])
@pytest.mark.parametrize("fail", [no_space, io_error, kill, power_cut, power_cut_before_the_renames])
def test_every_crash_point_of_saving_the_best_leaves_the_old_or_the_new_state_whole(fail, earlier, tmp_path):
    for point in range(1, POINTS["save_best", 0] + 2):
        folder = tmp_path / str(point)
        folder.mkdir()
        if earlier:
            Checkpoints(folder).save_best(state_of(1))
        said, reached = crash(Disk(folder, point, fail), "save_best")
        assert reached == (point <= POINTS["save_best", 0]), "the walk meets every call"
        try:
            best = Checkpoints(folder).load_best()
        except MissingError:
            assert not earlier
            assert said != "saved"
        else:
            assert best.step in ({9} if said == "saved" else {earlier, 9}), point
            assert_is_state_of(best.step, best)


def crash(disk: Disk, method: str) -> tuple[str, bool]:
    """Save on the failing disk, then start anew: what save() said, and whether the failure came at all."""
    said = save_on(disk, method)
    assert len(list(disk.folder.glob(".tmp-*"))) <= (said == "killed")
    with FolderLock(disk.folder):
        assert not list(disk.folder.glob(".tmp-*")), "leftovers go when the next run starts"
    return said, disk.count >= disk.point


def test_a_full_disk_says_which_file_and_how_many_bytes_and_what_to_do(tmp_path):
    Checkpoints(tmp_path).save_best(state_of(2))
    size = (tmp_path / "best.ckpt").stat().st_size
    Checkpoints(tmp_path).save_last(state_of(1))
    with failing(Disk(tmp_path, 4, no_space)), pytest.raises(TrainingError) as caught:
        Checkpoints(tmp_path).save_last(state_of(2))
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / 'last.ckpt'}: not written: No space left on device; {size:,} bytes needed, ")
    assert f"recurra train --resume {tmp_path}" in said
    assert_is_state_of(1, load(tmp_path / "last.ckpt"))
    assert not list(tmp_path.glob(".tmp-*"))


def test_a_disk_that_fills_up_stops_the_run_and_a_resume_after_that_has_the_same_bits(tmp_path):
    (tmp_path / "whole").mkdir(), (tmp_path / "cut").mkdir()
    whole = run_recipe(tmp_path / "whole")
    with pytest.raises(TrainingError, match="No space left on device"), failing(Disk(tmp_path / "cut", 75, no_space)):
        run_recipe(tmp_path / "cut")
    assert same_bits(whole, run_recipe(tmp_path / "cut"))


def train_child(folder: Path, *, pause: float = 0.0, wait_at: int = 0, tell: int = -1, **options: Any) -> int:
    """Train in a forked child until the end, or until a signal; at step `wait_at`, say so and wait for the signal."""

    def work() -> int:
        def seen(step: int, indices: tuple[int, ...]) -> None:
            time.sleep(pause)
            if step == wait_at:
                os.write(tell, b"!")
            while step == wait_at and not stopping.requested:
                time.sleep(0.002)

        with Stopping() as stopping, FolderLock(folder):
            run_recipe(folder, stop_asked=lambda: stopping.requested, seen=seen, **options)
        return 128 + stopping.signal if stopping.signal else 0

    return fork_child(work)


@pytest.mark.parametrize("seed", range(2))
def test_kill_9_at_random_moments_then_resume_ends_with_the_bits_of_an_undisturbed_run(seed, tmp_path):
    (tmp_path / "whole").mkdir()
    whole = run_recipe(tmp_path / "whole", optimizer="adamw", save_every=2)
    rng, folder, kills, code = random.Random(seed), tmp_path / "cut", 0, None
    while code != 0:
        pid = train_child(folder, optimizer="adamw", save_every=2, pause=0.005)
        time.sleep(rng.uniform(0.0, 0.07))  # from before the first checkpoint to several epochs later
        os.kill(pid, signal.SIGKILL)
        code = exit_of(pid)
        kills += code == -signal.SIGKILL
        assert kills < 300
        if kills >= 6:
            code = exit_of(train_child(folder, optimizer="adamw", save_every=2))
    assert kills >= 2
    assert same_bits(whole, run_recipe(folder, optimizer="adamw"))
    assert (folder / "log.jsonl").read_bytes() == (tmp_path / "whole/log.jsonl").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_step_saves_and_the_resumed_run_has_the_same_bits(number, tmp_path):
    (tmp_path / "whole").mkdir()
    whole = run_recipe(tmp_path / "whole", save_every=100)
    ready, tell = os.pipe()
    pid = train_child(tmp_path / "cut", save_every=100, wait_at=8, tell=tell)
    os.read(ready, 1)
    os.kill(pid, number)
    assert exit_of(pid) == 128 + number
    assert load(tmp_path / "cut/last.ckpt").step == 8
    assert same_bits(whole, run_recipe(tmp_path / "cut", save_every=100))


def test_a_signal_during_a_save_harms_nothing(tmp_path):
    def interrupt(disk: Disk) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)

    with Stopping() as stopping:
        assert save_on(Disk(tmp_path, 4, interrupt), "save_last") == "saved"
    assert stopping.signal is signal.SIGTERM  # the first one is the one that counts
    assert_is_state_of(9, load(tmp_path / "last.ckpt"))


def test_the_handlers_of_before_are_back_after_the_block():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Stopping() as stopping:
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert not stopping.requested


def test_the_toy_run_is_as_long_as_these_tests_believe():
    assert 3 * len(toy_plan(1)) == TOTAL
