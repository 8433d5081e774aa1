"""What one training step adds to a process's resident memory at its peak, in a process of its own.

The process loads the library by a tiny step, prepares the real one, gives freed memory back to the system, resets the
kernel's high-water mark, and does the step once. Counted are the output, the tape, scratch and
all gradients; not the inputs and weights, and not the library. Linux only: it reads /proc/self.
"""

from __future__ import annotations

import ctypes
import gc
import json
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

from recurra.base.errors import ConfigError, RunError
from recurra.bench.configuration import Configuration
from recurra.bench.peers import PEERS, participants
from recurra.bench.problem import Problem

RESET, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
LONGEST_SECONDS = 600


def growth(name: str, configuration: Configuration, threads: int) -> float:
    """MiB that a participant's step adds at its peak.

    Raises ConfigError where the system does not say; RunError if the process fails or takes ten minutes.
    """
    if not RESET.exists():
        raise ConfigError("modes: 'memory' needs Linux (it reads /proc/self); leave it out.")
    asked = json.dumps({"name": name, "configuration": asdict(configuration), "threads": threads})
    command = [sys.executable, "-c", "from recurra.bench.memory import report; report()", asked]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise RunError(f"memory of {name}: its process took more than {LONGEST_SECONDS} s.") from None
    if done.returncode != 0:
        raise RunError(f"memory of {name}: its process ended with {done.returncode}: {_last_line(done.stderr)}")
    return float(done.stdout.split()[-1])


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]


def measured(name: str, configuration: Configuration, threads: int) -> float:
    """MiB, in this process."""
    peer = participants(PEERS)[name]
    peer.start(threads)
    tiny = replace(configuration, T=2, N=1, I=3, H=4)
    peer.work(Problem(tiny, threads))()
    work = peer.work(Problem(configuration, threads))
    _give_back()
    RESET.write_text("5")  # the high-water mark of the resident set; Linux, proc(5)
    before = _status("VmRSS")
    work()
    return _status("VmHWM") - before


def _give_back() -> None:
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # glibc only
        trim(0)


def _status(field: str) -> float:
    found = re.search(rf"^{field}:\s+(\d+) kB$", STATUS.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def report() -> None:
    """What the process of its own does: measure what its argument says, and print it."""
    asked = json.loads(sys.argv[1])
    print(measured(asked["name"], Configuration(**asked["configuration"]), asked["threads"]))
