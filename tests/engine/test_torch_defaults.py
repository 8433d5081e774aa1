"""A layer of float32 on the CPU computes in float32 on the CPU, whatever torch's defaults for new tensors are."""

from __future__ import annotations

from pathlib import Path

import pytest

from forked_room import run_script
from recurra.engine import cpu

SCRIPT = Path(__file__).with_name("every_default.py")


@pytest.mark.parametrize("isa", cpu.instruction_sets()[-2:])
def test_another_default_type_or_device_changes_no_bit(isa):
    code, out, err = run_script(SCRIPT, isa)  # a process of its own: a native call on a wrong tensor may end it
    assert (code, out, err[-1500:]) == (0, "done\n", "")
