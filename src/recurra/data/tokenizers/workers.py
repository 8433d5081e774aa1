"""Processes that cut texts: `python -m recurra.data.tokenizers.workers`, each with one block at a time.

A new interpreter, and no fork: this process may have threads by now (torch, OpenMP), and a fork copies their locks. It
loads no torch, reads blocks from its standard input and writes them to its output, as `marshal` has them: both ends are
this program. Blocks are handed out in turn and taken back in that order, so the result is that of one process.
"""

from __future__ import annotations

import contextlib
import json
import marshal
import os
import signal
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from recurra.base.errors import RunError
from recurra.data.tokenizers.blocks import Block, Places, cut_block, gathered
from recurra.data.tokenizers.cutter import Cutter, cutter_from_json

T = TypeVar("T")
# Characters that are cut here before workers are started: these take five seconds, and each worker half a second.
WORTH = 2**26
_SIZE = struct.Struct("<q")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Crew:
    """Cuts blocks with so many processes; with one, or where the texts are few, this one does it alone."""

    def __init__(self, cutter: Cutter, number: int) -> None:
        self._cutter = cutter
        # A tokenizer of a package of the user's own may not be there in a new interpreter.
        known = type(cutter.tokenizer).__module__.startswith("recurra.")
        self._number = number if known else 1

    def blocks(
        self, rows: Iterable[T], text: Callable[[T], str], places: Places | None = None
    ) -> Iterator[tuple[list[T], Block]]:
        """Rows with their texts cut, in order. places: of blocks that are cut here, see `cut_block`

        Raises RunError if a worker is lost.
        """
        waiting = gathered(rows, text)
        size = 0
        for some, texts in waiting:
            yield some, cut_block(self._cutter, texts, places)
            size += sum(map(len, texts))
            if size >= WORTH and self._number > 1:
                break
        # One more block is looked at, so that no worker is started for nothing.
        for first in waiting:
            yield from self._together(chain([first], waiting))

    def _together(self, waiting: Iterable[tuple[list[T], list[str]]]) -> Iterator[tuple[list[T], Block]]:
        crew: deque[Worker] = deque()
        busy: deque[tuple[Worker, list[T]]] = deque()
        started: list[Worker] = []
        try:
            for _ in range(self._number):
                started.append(Worker(self._cutter))
            crew.extend(started)
            for some, texts in waiting:
                if crew:
                    crew[0].give(texts)
                    busy.append((crew.popleft(), some))
                    continue
                worker, done = busy.popleft()
                block = worker.take()
                worker.give(texts)
                busy.append((worker, some))
                yield done, block
            for worker, done in busy:
                yield done, worker.take()
        finally:
            for worker in started:
                worker.end()


class Worker:
    """A process that cuts one block at a time: `give`, then `take`."""

    def __init__(self, cutter: Cutter) -> None:
        source = str(Path(__file__).parents[3])
        paths = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, this module
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
        )
        self._send(json.dumps(cutter.to_json()).encode())

    def give(self, texts: list[str]) -> None:
        """Texts to cut."""
        self._send(marshal.dumps(texts))

    def take(self) -> Block:
        """What came of them. Raises RunError if the process is gone."""
        assert self._process.stdout is not None
        data = _read(self._process.stdout)
        if data is None:
            raise self._lost()
        tokens, numbers, lengths = marshal.loads(data)  # noqa: S302 - this program's own
        return Block(tokens, np.frombuffer(numbers, np.int32), np.frombuffer(lengths, np.int32))

    def end(self) -> None:
        """Let it go, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            _write(self._process.stdin, data)
        except BrokenPipeError:
            raise self._lost() from None

    def _lost(self) -> RunError:
        code = self._process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return RunError(
            f"data.workers: a process that cuts texts has ended early ({how}); it may have been killed for its memory. "
            "Start again, with data.workers: 1 if it comes back."
        )


def _write(pipe: Any, data: bytes) -> None:
    pipe.write(_SIZE.pack(len(data)) + data)
    pipe.flush()


def _read(pipe: Any) -> bytes | None:
    """The next message; None where there is no more."""
    head = pipe.read(_SIZE.size)
    if len(head) < _SIZE.size:
        return None
    (size,) = _SIZE.unpack(head)
    data: bytes = pipe.read(size)
    return data if len(data) == size else None


def main(source: BinaryIO, target: BinaryIO) -> None:
    """Cut blocks until there are no more."""
    orders = _read(source)
    if orders is None:
        return
    cutter = cutter_from_json(json.loads(orders))
    while (data := _read(source)) is not None:
        block = cut_block(cutter, marshal.loads(data))  # noqa: S302 - this program's own
        _write(target, marshal.dumps((list(block.tokens), block.numbers.tobytes(), block.lengths.tobytes())))


if __name__ == "__main__":
    # Ctrl-C reaches the whole group: the process that started this one ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        main(sys.stdin.buffer, sys.stdout.buffer)
    except BrokenPipeError:
        os._exit(1)
