"""Memory that stays with the process: a large tensor that is made again needs no new pages from the system."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

CHILD = """
import os, resource, sys, torch
from recurra.training.memory import keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.zeros(12 * 2**20)  # 48 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
torch.zeros(1)
before = faults()
kept = keep_freed_memory()
faults()  # the first time the pages are new, and a system under pressure may take some back once more
print(int(kept), before, min(faults() for _ in range(5)))
sys.stdout.flush()
os._exit(0)  # Python would take torch apart first, for a second
"""


def test_a_large_tensor_that_is_made_again_takes_the_pages_of_the_last_one() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    kept, before, after = map(int, done.stdout.split())
    pages = 48 * 2**20 // resource.getpagesize()
    if not kept:
        pytest.skip("this C library has no mallopt")
    if before < pages // 100:
        pytest.skip("this system gives large tensors large pages")
    assert after < before / 10
