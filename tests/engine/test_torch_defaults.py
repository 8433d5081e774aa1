"""A layer of float32 on the CPU computes in float32 on the CPU, whatever torch's defaults for new tensors are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from recurra.engine import cpu

SCRIPT = Path(__file__).with_name("every_default.py")


@pytest.mark.parametrize("isa", cpu.instruction_sets()[-2:])
def test_another_default_type_or_device_changes_no_bit(isa):
    done = subprocess.run([sys.executable, str(SCRIPT), isa], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr[-1500:]) == (0, "done\n", "")
