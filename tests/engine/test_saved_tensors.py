"""Hooks on saved tensors, save_on_cpu and checkpoints: the right gradients, or a sentence for what cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from forked_room import run_script
from recurra.base.errors import RunError
from recurra.engine import cpu
from recurra.nn import LSTM

SCRIPT = Path(__file__).with_name("every_hook.py")


@pytest.mark.parametrize("isa", cpu.instruction_sets()[-2:])
def test_what_hooks_give_back_is_used_as_what_it_means_or_refused(isa):
    code, out, err = run_script(SCRIPT, isa)  # a process of its own: a native call on a wrong tensor may end it
    assert (code, out, err[-1500:]) == (0, "done\n", "")


@pytest.mark.skipif(not cpu.available(), reason="recurra was installed without its native engine")
def test_what_came_back_and_what_was_expected_are_named():
    with saved_tensors_hooks(lambda t: t, lambda t: t.double()):
        output, _ = LSTM(3, 4)(torch.zeros(5, 2, 3))
    sentence = r"came back as .*float64 on cpu, expected \(5, 2, 4\) of torch.float32 on cpu: .*saved_tensors_hooks"
    with pytest.raises(RunError, match=sentence):
        output.sum().backward()
