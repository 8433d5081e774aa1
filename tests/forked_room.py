"""A process that has torch already: a fork of this one, with the verbs of `subprocess.Popen`.

A fresh process takes seconds to load torch, which is longer than all that a test asks of it. Where the start itself is
what a test is about, it starts a fresh one.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from recurra.cells import BUILT_IN, CELLS
from training.toys import fork_child


class Forked:
    """Runs `work` as a process would begin: streams, environment and session of its own, signals that end it.

    pass_fds: files that stay open; all others but the streams are closed
    """

    def __init__(
        self,
        work: Callable[[], int],
        *,
        env: Mapping[str, str],
        pass_fds: Sequence[int] = (),
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
        stderr: int | None = None,
        start_new_session: bool = False,
    ) -> None:
        pipes = {0: stdin, 1: stdout, 2: stderr}
        ends = {number: os.pipe() for number, kind in pipes.items() if kind == subprocess.PIPE}

        def fresh() -> int:
            for number, kind in pipes.items():
                if kind == subprocess.PIPE:
                    os.dup2(ends[number][number > 0], number)
                elif kind == subprocess.DEVNULL:
                    os.dup2(os.open(os.devnull, os.O_RDWR), number)
            _close_all_but({0, 1, 2, *pass_fds})
            if start_new_session:
                os.setsid()
            _forget(env)
            sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115  until it ends
            try:
                return work()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()

        self.returncode: int | None = None
        self.pid = fork_child(fresh)
        self.stdin, self.stdout, self.stderr = (self._ours(ends, number) for number in range(3))

    @staticmethod
    def _ours(ends: Mapping[int, tuple[int, int]], number: int) -> IO[Any] | None:
        """This side of a stream; the other one is the child's."""
        if number not in ends:
            return None
        reading, writing = ends[number]
        os.close(writing if number else reading)
        return os.fdopen(reading) if number else os.fdopen(writing, "wb")

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *error: object) -> None:
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        self.wait()

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float = 60) -> int:
        until = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("a forked process", timeout)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run_script(path: Path, *words: str) -> tuple[int, str, str]:
    """The exit code, output and messages of a Python program, run in a fork of this process."""

    def work() -> int:
        sys.argv = [str(path), *words]
        runpy.run_path(str(path), run_name="__main__")
        return 0

    with Forked(work, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = process.stdout.read(), process.stderr.read()
        return process.wait(), *said


def _close_all_but(kept: set[int]) -> None:
    for handle in set(map(int, os.listdir("/proc/self/fd"))) - kept:
        with contextlib.suppress(OSError):
            os.close(handle)


def _forget(env: Mapping[str, str]) -> None:
    """What this process has put in place of what a new one has."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    variables = dict(env)  # it may be os.environ itself
    os.environ.clear()
    os.environ.update(variables)
    for name in set(CELLS) - BUILT_IN:
        CELLS.remove(name)
