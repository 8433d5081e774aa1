"""The text of kernels: how the loops over units are cut."""

from __future__ import annotations

import re

import pytest

from recurra.cells import CELLS
from recurra.lower.kernel import kernel


def unit_loops(cell: str, function: str) -> list[str]:
    """The bodies of the loops over blocks of units in one function of a cell's kernel."""
    text = kernel(CELLS[cell]).split(f"void {function}(")[1].split("template")[0]
    return text.split("for (int u = ")[1:]


def test_a_function_of_a_functions_result_stands_in_a_loop_of_its_own():
    loops = unit_loops("lstm", "forward_0")  # c = f c + i g and h = o tanh(c): tanh(c) waits for four functions
    assert [loop.count("sigmoid(") for loop in loops] == [3, 0]
    assert [loop.count("tanh(") for loop in loops] == [1, 1]


def test_what_a_later_loop_needs_is_carried_to_it():
    first, second = unit_loops("gru", "forward_0")  # n = tanh(W x + r R h), h = (1 - z) n + z h
    carried = re.findall(r"(c\d+)\[u - from\] =", first)  # tanh's argument, 1 - z and z h
    assert len(carried) == 3
    assert all(f"{name}[u - from];" in second for name in carried)


@pytest.mark.parametrize(("cell", "function"), [("rnn", "forward_0"), ("lstm", "backward_0"), ("gru", "backward_0")])
def test_units_without_functions_of_functions_are_one_loop(cell, function):
    assert len(unit_loops(cell, function)) == 1
