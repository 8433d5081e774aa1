"""`@cell`: what it makes of a function, and its sentences for a wrong one."""

from __future__ import annotations

import copy
import pickle

import pytest

from recurra.base.errors import ConfigError
from recurra.cells import CELLS, Cell, cell
from recurra.cells.language import tanh


def test_the_functions_parameters_are_the_input_the_states_and_p():
    def swapped(x, p, h):
        return h

    with pytest.raises(ConfigError) as caught:
        cell()(swapped)
    assert str(caught.value) == (
        f"{__file__}:{swapped.__code__.co_firstlineno}: cell 'swapped' takes (x, p, h), expected (x, h, p): "
        "the input x, then the states as named in @cell(states=...), then the parameters p."
    )


def test_a_state_that_is_not_taken_is_seen():
    with pytest.raises(ConfigError, match=r"cell 'forgetful' takes \(x, h, p\), expected \(x, h, c, p\)"):

        @cell(states=("h", "c"))
        def forgetful(x, h, p):
            return h


@pytest.mark.parametrize("name", ["LSTM", "my cell", "2lstm", "a-b", "../x", ""])
def test_a_name_is_small_letters_digits_and_underscores(name):
    def mine(x, h, p):
        return h

    if name:
        with pytest.raises(ConfigError) as caught:
            cell(name=name)(mine)
        assert str(caught.value).endswith(f": '{name}' is no name for a cell; use small letters, digits and _.")
    else:  # no name is the function's
        assert cell(name=name)(mine).name == "mine"


@pytest.mark.parametrize(
    ("states", "sizes", "said"),
    [
        (("h",), {"c": "P"}, "sizes names the state 'c', which is not in states (h)."),
        (("h",), {"h": "Q"}, "sizes['h'] is 'Q', expected 'H' or 'P'."),
        ((), {}, "it has no state; a cell has at least one, and the first is its output."),
    ],
)
def test_a_wrong_description_is_refused(states, sizes, said):
    def described(x, h, p):
        return h

    def stateless(x, p):
        return x

    with pytest.raises(ConfigError) as caught:
        cell(states=states, sizes=sizes)(described if states else stateless)
    assert str(caught.value).endswith(f": cell '{'described' if states else 'stateless'}': {said}")


def test_one_returned_value_becomes_a_tuple():
    @cell()
    def plain(x, h, p):
        return x + h

    assert plain.step(1, (2,), None) == (3,)


def test_the_description_is_the_docstring():
    assert CELLS["gru"].doc.startswith("Gated recurrent unit, reset after the product")
    assert CELLS["lstm_projected"].size("h") == "P"
    assert CELLS["lstm_projected"].size("c") == "H"
    assert repr(CELLS["lstm"]) == "<cell lstm: h, c>"


def test_every_cell_says_what_it_is_and_where_it_comes_from():
    for made in CELLS.values():
        assert made.doc.endswith(".")
        assert any(character.isdigit() for character in made.paper), f"{made.name}: the paper's year is missing"


def test_an_unknown_cell_is_answered_with_its_neighbour():
    with pytest.raises(ConfigError, match=r"^unknown cell 'lsmt'\. Did you mean 'lstm'\?$"):
        CELLS["lsmt"]


@cell(states=("h",))
def at_the_top(x, h, p):
    return tanh(p.W("h", x) + p.R("h", h))


def test_a_cell_is_copied_as_itself():
    assert copy.copy(at_the_top) is at_the_top
    assert copy.deepcopy([at_the_top])[0] is at_the_top


@pytest.mark.parametrize("name", CELLS)
def test_a_built_in_cell_is_pickled_by_its_place(name):
    assert pickle.loads(pickle.dumps(CELLS[name])) is CELLS[name]


def test_a_cell_that_another_process_cannot_find_is_not_pickled():
    @cell()
    def hidden(x, h, p):
        return h

    with pytest.raises(pickle.PicklingError, match=r"cell 'hidden' is not found as .*define it at the top"):
        pickle.dumps(hidden)


def test_two_functions_of_one_text_are_two_cells():
    def same(x, h, p):
        return h

    first, second = cell()(same), cell()(same)
    assert isinstance(first, Cell)
    assert first != second
