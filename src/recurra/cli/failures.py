"""An error to a sentence on standard error and an exit code. User errors show no traceback; `--debug` shows it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from recurra.base.errors import ConfigError, DataError, RecurraError, RunError, ShapeError
from recurra.cli.terminal import complain

DONE, FAILED, YOUR_INPUT = 0, 1, 2
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
EXIT_CODES = {
    DONE: "done", FAILED: "failed", YOUR_INPUT: "invalid input", INTERRUPTED: "Ctrl-C", TERMINATED: "SIGTERM"
}  # fmt: skip


class UsageError(RecurraError):
    """The command line itself is wrong: a misspelt word, a missing argument, two options that exclude each other."""


class TerminatedError(BaseException):
    """SIGTERM arrived outside of training. Unwinds like Ctrl-C does, so that no half-written file stays."""


# A path that a person gave leads nowhere, or to the wrong kind of thing. A full disk is nobody's mistake.
_NAMED_WRONGLY = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError, FileExistsError)


def guarded(run: Callable[[], int], *, debug: bool) -> int:
    """Run a command; return its exit code, or the one that its error stands for."""
    try:
        with _terminable():
            code = run()
            sys.stdout.flush()
            return code
    except (Exception, KeyboardInterrupt, TerminatedError) as error:  # noqa: BLE001 - the outermost handler there is
        if debug:
            complain(traceback.format_exc().rstrip())
        code, message = explained(error)
        if message:
            complain(message)
        return code


def explained(error: BaseException) -> tuple[int, str]:
    """The exit code and the sentence for an error; no sentence where nobody reads it."""
    if isinstance(error, UsageError | ConfigError | DataError | ShapeError | RunError):
        return YOUR_INPUT, str(error)
    if isinstance(error, RecurraError):
        return FAILED, str(error)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "Interrupted."
    if isinstance(error, TerminatedError):
        return TERMINATED, "Terminated."
    if isinstance(error, BrokenPipeError):
        _close_stdout()
        return FAILED, ""
    if isinstance(error, _NAMED_WRONGLY):
        return YOUR_INPUT, f"{error.filename or 'recurra'}: {error.strerror or error}."
    if isinstance(error, OSError):
        return FAILED, f"{error.filename or 'recurra'}: {error.strerror or error}."
    if isinstance(error, MemoryError):
        return FAILED, "Out of memory. A smaller batch, shorter sequences or a smaller model need less."
    return FAILED, f"recurra failed: {type(error).__name__}: {error}. Run again with --debug to see where."


def _close_stdout() -> None:
    """The reader of our output is gone (`| head`); keep Python from complaining when it flushes at exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        return


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM raise TerminatedError; only the main thread may set handlers."""

    def stop(number: int, frame: object) -> None:
        raise TerminatedError

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
