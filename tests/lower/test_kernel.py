"""The text of kernels: how the loops over units are cut."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recurra.base.errors import ConfigError
from recurra.cells import CELLS, Cell, Parameters, Value, cell
from recurra.cells.language import tanh
from recurra.lower import kernel as module
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


def chain(products: int) -> Cell:
    @cell(paper="made up for the tests")
    def deep(x: Value, h: Value, p: Parameters) -> Value:
        """Products, each of what the one before has given."""
        y = tanh(p.W("a", x) + p.R("a", h) + p.b("a"))
        for k in range(products):
            y = tanh(p.R(f"n{k}", y))
        return y

    return deep


def test_a_cell_of_more_parts_than_the_engine_has_room_for_is_refused():
    assert "namespace cell_deep" in kernel(chain(13))
    with pytest.raises(ConfigError, match=r"cell 'deep': has 34 values that wait .* the engine has room for 32\."):
        kernel(chain(14))


def test_the_room_is_that_of_the_headers():
    folder = Path(__file__).parents[2] / "native/recurrent"
    text = "".join((folder / name).read_text() for name in ("plan.h", "step.h"))
    found = {name: int(value) for name, value in re.findall(r"constexpr int (MAX_\w+) = (\d+);", text)}
    assert found.pop("MAX_STATES") == module.MAX_STATES
    assert found == {name: getattr(module, name) for name in found}
    assert len(found) == 4
