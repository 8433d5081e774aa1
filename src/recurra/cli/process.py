"""`console`: the program as a whole process, which leaves as soon as its work is done."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import TextIO

from recurra.cli.failures import FAILED
from recurra.cli.program import main


def console() -> int:
    """Run the command of `sys.argv`, and end the process with its exit code.

    Where Python would then take every module apart, which takes a second once torch is there, the process just ends.
    Where something waits for Python's own end (a debugger, a profiler, coverage, `python -i`), the code comes back.
    """
    code = main()
    return code if _is_awaited() else leave(code)


def leave(code: int) -> int:
    """End the process like `sys.exit(code)`, but for the tear-down of modules: in the same order as Python.

    Threads that are no daemons are waited for, handlers of `atexit` run (those of logging and of child processes are
    among them), and the standard streams are flushed: what they cannot take makes a 0 a 1. Never returns.
    """
    threading._shutdown()  # type: ignore[attr-defined] # as multiprocessing ends its processes; so is the next
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if not _is_flushed(stream):
            code = code or FAILED
    os._exit(code)


def _is_flushed(stream: TextIO | None) -> bool:
    if stream is None or stream.closed:
        return True
    try:
        stream.flush()
    except OSError:  # a full disk, or a reader that has gone
        return False
    return True


def _is_awaited() -> bool:
    tools = getattr(sys, "monitoring", None)  # from Python 3.12
    measured = tools is not None and any(tools.get_tool(number) for number in range(6))
    return bool(sys.gettrace() or sys.getprofile() or sys.flags.inspect or measured)
