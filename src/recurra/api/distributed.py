"""Training on several ranks: start them, hear them, notice the one that fails, and begin again from the checkpoint."""

from __future__ import annotations

import contextlib
import json
import math
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from recurra.api.interrupts import second_interrupt
from recurra.base import errors
from recurra.base.contracts import Callback, Progress, Score
from recurra.base.errors import ConfigError, RecurraError, TrainingError
from recurra.base.shell import as_word
from recurra.data.formats import signed
from recurra.training import Stopping

# Seconds: for Python and torch to load, for the others to end (one that is refused takes them along sooner), a look.
LOADING, ENDING, REFUSED, LOOK = 60.0, 10.0, 1.0, 0.1
# Seconds for the step under way and its save, at least. Ranks that wait for one another show a heartbeat all the same.
STOPPING = 60.0


@dataclass(frozen=True, slots=True)
class Distributed:
    """How a training is shared. ranks: processes      timeout: seconds without a heartbeat before one counts as failed

    restarts: how often the ranks begin again, from the last checkpoint, after one of them has failed
    Raises ConfigError for a number that cannot be.
    """

    ranks: int
    timeout: float = 60.0
    restarts: int = 3

    def __post_init__(self) -> None:
        wrong = []
        if not 2 <= self.ranks <= 64:
            have = f"this machine has {os.cpu_count() or 1} cores"
            wrong.append(f"ranks: expected 2 to 64, got {self.ranks}; {have}. Leave it out for one process.")
        if not 1 <= self.timeout <= 86_400:
            wrong.append(f"rank timeout: expected 1 to 86,400 seconds, got {self.timeout:g}.")
        if not 0 <= self.restarts <= 1000:
            wrong.append(f"restarts: expected 0 to 1,000, got {self.restarts}.")
        if wrong:
            raise ConfigError(wrong)


@dataclass(slots=True)
class Rank:
    """A process, what it said last, and when. end: the word and values of its last message, once it has told one."""

    number: int
    process: subprocess.Popen[bytes]
    pipe: int
    beat: float
    lives: bool = False
    rest: bytes = b""
    end: list[Any] | None = None
    given_up: bool = False

    @property
    def word(self) -> str:
        """How it has told that it ends: ended, lost (another rank), refused, failed; "" if it has not."""
        return str(self.end[0]) if self.end else ""

    @property
    def failure(self) -> str:
        """What happened to it, in words, or "" if nothing has that is not another rank's fault."""
        code = self.process.poll()
        if self.given_up:
            return "sent no heartbeat"
        if self.end and self.word == "failed":
            return f"raised {self.end[1]}"
        if not code or self.word in ("lost", "refused", "ended"):
            return ""
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


@dataclass(slots=True)
class Attempt:
    """All ranks of one try. step: the last one that the first rank told of."""

    ranks: list[Rank]
    step: int = 0
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)


def launch(
    distributed: Distributed, orders: Mapping[str, Any], started: Path, watch: Callback, grace: float = 0.0
) -> signal.Signals | Literal["finish"] | None:
    """Train on several ranks, until the end or a signal, which comes back; "finish" if the run is to end here.

    orders: what `recurra.api.worker` reads; with a config the first try makes the run folder
    started: there once a run can be resumed
    Raises what a rank raises for the user to mend, and TrainingError when ranks have failed too often.
    """
    with Stopping() as stopping:
        for tried in range(distributed.restarts + 1):
            now = {**orders, "config": None if tried and started.exists() else orders["config"]}
            with _attempt(distributed, now) as attempt:
                failed = _hear(attempt, distributed.timeout, watch, stopping)
                if failed is None:
                    stopped = _stopped_by(attempt.ranks[0])
                    return stopped and _asked(stopping, stopped, grace, watch)
                if stopping.signal is not None:
                    return _asked(stopping, stopping.signal, grace, watch)
                happened = failed.failure or "did not end with the others"
                what = f"rank {failed.number} of {distributed.ranks} {happened} after step {attempt.step}"
                cause = RuntimeError(failed.end[2]) if failed.end and failed.word == "failed" else None
            if tried < distributed.restarts:
                watch.note(
                    f"{what}; all restart from the last checkpoint (restart {tried + 1} of {distributed.restarts})."
                )
    how = f"Resume with `recurra train --resume {as_word(orders['run'])}`."
    raise TrainingError(f"{what}, and {distributed.restarts} restarts did not help. {how}") from cause


def _stopped_by(first: Rank) -> signal.Signals | Literal["finish"] | None:
    """The signal that the first rank has heard, from this process or another; "finish" from `recurra finish`."""
    number = first.end[1] if first.end else None
    return number if number is None or number == "finish" else signal.Signals(number)


def _asked(
    stopping: Stopping, stopped: signal.Signals | Literal["finish"], grace: float, watch: Callback
) -> signal.Signals | Literal["finish"]:
    """What is wanted of ranks that have stopped. A second Ctrl-C, also within `grace` seconds, asks for the end."""
    if stopped == "finish" or stopping.signal != signal.SIGINT:
        return stopped if stopping.signal is None else stopping.signal
    return "finish" if second_interrupt(stopping, grace, watch) else stopping.signal


@contextlib.contextmanager
def _attempt(distributed: Distributed, orders: Mapping[str, Any]) -> Iterator[Attempt]:
    """Start all ranks; end whatever is left of them on the way out."""
    attempt = Attempt([])
    with tempfile.TemporaryDirectory(prefix="recurra-ranks-") as folder:
        try:
            for number in range(distributed.ranks):
                rank = _started(number, distributed, {**orders, "meeting": f"{folder}/meeting"})
                attempt.ranks.append(rank)
                attempt.selector.register(rank.pipe, selectors.EVENT_READ, rank)
            yield attempt
        finally:
            for rank in attempt.ranks:
                rank.process.kill()
            for rank in attempt.ranks:
                rank.process.wait()
                os.close(rank.pipe)
            attempt.selector.close()


def _started(number: int, distributed: Distributed, orders: Mapping[str, Any]) -> Rank:
    """A session of its own, so that Ctrl-C reaches only the process that watches, which asks the first rank to stop."""
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, torch.get_num_threads() // distributed.ranks))
    process = subprocess.Popen(
        [sys.executable, "-m", "recurra.api.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        pass_fds=(theirs,),
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": threads, "GLOO_SOCKET_IFNAME": _loopback()},
    )
    os.close(theirs)
    beat = min(1.0, distributed.timeout / 5)
    told = {
        **orders,
        "signed": signed(),
        "rank": number,
        "ranks": distributed.ranks,
        "pipe": theirs,
        "beat": beat,
    }
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
        stdin.write(json.dumps(told).encode())
    return Rank(number, process, ours, time.monotonic())


def _loopback() -> str:
    """The name of the loopback interface: ranks of one machine talk through nothing else."""
    names = [name for _, name in socket.if_nameindex()]
    return next((name for name in names if name.startswith("lo")), names[0])


def _hear(attempt: Attempt, timeout: float, watch: Callback, stopping: Stopping) -> Rank | None:
    """Pass on what the first rank tells, until all have ended; or the rank that has failed first, or does not stop."""
    deadline, asked, longest = math.inf, False, max(timeout, STOPPING)
    while True:
        for key, _ in attempt.selector.select(LOOK):
            _read(attempt, key.data, watch)
        if stopping.signal is not None and not asked:
            asked = True
            # Whichever signal it was: while Python still loads, only this one ends a process without a traceback.
            attempt.ranks[0].process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + longest
        _give_up(attempt.ranks, timeout)
        over = [rank for rank in attempt.ranks if rank.given_up or rank.process.poll() is not None]
        if over:
            wait = REFUSED if any(rank.word == "refused" for rank in over) else ENDING
            deadline = min(deadline, time.monotonic() + wait)
        if len(over) == len(attempt.ranks) or any(r.failure for r in over) or time.monotonic() > deadline:
            break
    if stopping.signal is not None and not over:
        watch.note(
            f"the ranks did not stop within {longest:g} seconds of {stopping.signal.name}; they were ended, and the "
            "run is as its last checkpoint has it."
        )
    for rank in attempt.ranks:
        _read(attempt, rank, watch)
    _raise_refusal(attempt.ranks)
    guilty = [rank for rank in attempt.ranks if rank.failure]
    return next(iter(guilty or [rank for rank in attempt.ranks if rank.word != "ended"]), None)


def _give_up(ranks: Sequence[Rank], timeout: float) -> None:
    """Those that have been silent for too long."""
    for rank in ranks:
        limit = timeout if rank.lives else max(timeout, LOADING)
        if rank.process.poll() is None and time.monotonic() - rank.beat > limit:
            rank.given_up = True


def _read(attempt: Attempt, rank: Rank, watch: Callback) -> None:
    """All that a rank has told so far."""
    while True:
        try:
            data = os.read(rank.pipe, 1 << 16)
        except BlockingIOError:
            return
        if not data:
            with contextlib.suppress(KeyError):
                attempt.selector.unregister(rank.pipe)
            return
        rank.beat, rank.lives = time.monotonic(), True
        *lines, rank.rest = (rank.rest + data).split(b"\n")
        for line in lines:
            _pass_on(attempt, rank, json.loads(line), watch)


def _pass_on(attempt: Attempt, rank: Rank, said: list[Any], watch: Callback) -> None:
    word, values = said[0], said[1:]
    if word in ("ended", "lost", "refused", "failed"):
        rank.end = said
    elif word == "note":
        watch.note(*values)
    elif word == "start":
        watch.start(*values)
    elif word == "step":
        step, epoch, loss, tokens, lr, norm, speed, left = values
        attempt.step = step
        loss, norm = (torch.tensor(number, dtype=torch.float32) for number in (loss, norm))
        watch.step(Progress(step, epoch, loss, tokens, lr, norm), speed, left)
    elif word == "scores":
        watch.scores(values[0], tuple(Score(*score) for score in values[1]), values[2])
    elif word == "done":
        watch.done()


def _raise_refusal(ranks: Sequence[Rank]) -> None:
    """What the user has to mend; the first rank's words, if it has any."""
    for rank in ranks:
        if rank.end and rank.word == "refused":
            name, problems = rank.end[1:]
            kind = getattr(errors, name, RecurraError)
            raise kind(problems if kind is ConfigError else "\n".join(problems))
