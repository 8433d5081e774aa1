"""A cell as JSON and back: nothing is lost, and nothing hostile gets in."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.battery import CELLS_UNDER_TEST, problem, same_bits
from recurra.base.errors import RunError
from recurra.cells import CELLS
from recurra.engine import Weights, run
from recurra.lower import equal, equations, from_json, gradient, layout, schedule, to_json, trace


def through_a_file(cell):
    return from_json(json.loads(json.dumps(to_json(cell))), "run/cell.json")


@pytest.mark.parametrize("name", CELLS_UNDER_TEST)
def test_a_stored_cell_is_the_same_graph_and_gives_the_same_bits(name):
    cell, given_ = CELLS_UNDER_TEST[name], problem(name)
    back = through_a_file(cell)
    assert (back.name, back.states, back.paper, back.doc) == (cell.name, cell.states, cell.paper, cell.doc)
    assert equal(cell, back)
    assert layout(cell) == layout(back)
    assert gradient(cell).tape == gradient(back).tape
    call = given_.call(torch.float64, (2, 0, 4))
    again = type(call)(**{**_fields(call), "weights": Weights(back, call.weights.packed)})
    expected, got = run(call, backend="reference"), run(again, backend="reference")
    assert same_bits(expected.output, got.output)
    assert all(same_bits(a, b) for a, b in zip(expected.states, got.states, strict=True))


def _fields(call):
    return {word: getattr(call, word) for word in ("x", "states", "weights", "lengths", "reverse", "zoneout")}


def test_different_cells_are_not_equal():
    cells = list(CELLS.values())
    assert [equal(a, b) for a in cells for b in cells] == [a is b for a in cells for b in cells]
    assert not equal(CELLS["gru_simple"], CELLS["mgu"])


def hostile(change):
    """The message with which lstm's JSON is refused after `change`."""
    data = json.loads(json.dumps(to_json(CELLS["lstm"])))
    replaced = change(data)
    with pytest.raises(RunError) as caught:
        from_json(data if replaced is None else replaced, "run/cell.json")
    start = "run/cell.json: this is not a cell as recurra stores it ("
    assert str(caught.value).startswith(start)
    assert str(caught.value).endswith(").")
    return str(caught.value).removeprefix(start).removesuffix(").")


def put(*way):
    """A change that puts the last of `way` where the others lead."""

    def change(data):
        *path, key, value = way
        for step in path:
            data = data[step]
        data[key] = value

    return change


@pytest.mark.parametrize("word", ["name", "states", "sizes", "bias_pair", "paper", "doc", "nodes", "outputs"])
def test_a_missing_part_is_named(word):
    assert hostile(lambda data: data.pop(word) and None) == f"'{word}' is missing"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("nodes", 3, 0, "import"), "node 3 has the unknown kind 'import'"),
        (put("nodes", 3, 0, "adjoint"), "node 3 has the unknown kind 'adjoint'"),
        (put("nodes", 3, 1, [8]), "node 3 (W) has the arguments (8,)"),
        (put("nodes", 3, 1, [-1]), "node 3 (W) has the arguments (-1,)"),
        (put("nodes", 3, 1, [True]), "node 3 (W) has the arguments (True,)"),
        (put("nodes", 3, 1, []), "node 3 (W) has the arguments ()"),
        (put("nodes", 0, ["state", [], "z", 0.0, "H"]), "node 0 reads the unknown state 'z'"),
        (put("outputs", {"h": 3}), "its outputs are not its states"),
        (put("outputs", {"h": 3, "c": 99}), "its outputs are not its states"),
        (put("name", "../../lstm"), "'../../lstm' is no name for a cell"),
        (put("paper", ["text"]), "its name, states, paper and doc are not all text"),
        (put("sizes", {"h": "Q"}), "its sizes or its bias_pair are none"),
        (put("bias_pair", "yes"), "its sizes or its bias_pair are none"),
        (lambda data: {**data, "states": ["h", "c", "h"]}, "its outputs are not its states"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_is_wrong_is_said(change, said):
    assert hostile(change) == said


@pytest.mark.parametrize("data", [None, [], "lstm", 7, {"nodes": 3}, [[]]])
def test_something_else_than_a_cell_is_refused(data):
    hostile(lambda _: data if data is not None else [])
    with pytest.raises(RunError):
        from_json(data, "run/cell.json")


def test_too_many_nodes_and_too_long_chains_are_refused_before_any_work():
    assert hostile(put("nodes", [["x", [], "", 0.0, "I"]] * 20_000)) == "it has 20000 nodes, expected 1 to 1000"
    chain = [["x", [], "", 0.0, "I"], ["state", [], "h", 0.0, "H"]]
    chain += [["neg", [k], "", 0.0, "H"] for k in range(1, 900)]
    assert hostile(put("nodes", chain)) == "it has a chain of 900 nodes, expected at most 100"


def test_a_graph_that_equations_could_not_have_made_is_refused():
    # R of the input, a state of the wrong width, a gate that is no name, no input at all.
    x, h = ["x", [], "", 0.0, "I"], ["state", [], "h", 0.0, "H"]

    def one(*nodes):
        return lambda data: {
            **data,
            "states": ["h"],
            "sizes": {},
            "nodes": list(nodes),
            "outputs": {"h": len(nodes) - 1},
        }

    assert "takes a value of the width of a state" in hostile(one(x, ["R", [0], "h", 0.0, "H"]))
    assert "returns the new h with width I" in hostile(one(x))
    assert "a gate's name is" in hostile(one(x, ["W", [0], 'h"); system("', 0.0, "H"]))
    assert "the input x stands in p.W" in hostile(one(h, ["R", [0], "h", 0.0, "H"]))
    assert hostile(lambda data: {**data, "states": [], "outputs": {}, "nodes": [x]}) == "its outputs are not its states"
    assert "constant arguments only" in hostile(one(x, ["const", [], "", 1.0, "1"], ["exp", [1], "", 0.0, "1"]))


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 40), st.floats(), st.sampled_from(["", "x", "R", "P", "const", "mean"]),
    st.lists(st.integers(-1, 9), max_size=3), st.just({}), st.just(10**400), st.just([[]]),
)  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_whatever_is_changed_it_is_a_cell_or_refused(data):
    stored = copy.deepcopy(to_json(CELLS[data.draw(st.sampled_from(["gru", "lstm_projected", "slstm"]))]))
    for _ in range(data.draw(st.integers(1, 3))):
        word = data.draw(st.sampled_from([*stored, "nodes", "nodes", "nodes"]))
        if word != "nodes" or not isinstance(stored["nodes"], list) or data.draw(st.integers(0, 9)) == 0:
            stored[word] = data.draw(ODD)
            continue
        node = data.draw(st.integers(0, len(stored["nodes"]) - 1))
        field = data.draw(st.integers(-1, 4))
        if field == -1 or not isinstance(stored["nodes"][node], list):
            stored["nodes"][node] = data.draw(ODD)
        else:
            stored["nodes"][node][field] = data.draw(ODD)
    try:
        cell = from_json(stored, "f")
    except RunError:
        return
    derived = trace(cell), schedule(cell), layout(cell), gradient(cell), equations(cell)
    assert all(derived)
