"""What equations may say, and the sentence for each thing that they may not."""

from __future__ import annotations

import cProfile
import math
import sys
import threading

import pytest
import torch

from recurra.base.errors import ConfigError, ShapeError
from recurra.cells import cell
from recurra.cells.language import maximum, mean, normalize, relu, sigmoid, tanh
from recurra.lower import layout, trace


def refused(equations, *, states=("h",), sizes=None, error=ConfigError):
    """The message with which a cell is refused, without its place; the place is this file and the line of the cell."""
    made = cell(states=states, sizes=sizes, name="wrong")(equations)
    with pytest.raises(error) as caught:
        trace(made)
    place, _, message = str(caught.value).partition(": cell 'wrong': ")
    assert place == f"{__file__}:{equations.__code__.co_firstlineno}"
    return message


def test_values_of_different_widths_do_not_meet():
    message = refused(
        lambda x, h, c, p: (p.P("r", c + p.W("i", x)), h + c), states=("h", "c"), sizes={"h": "P"}, error=ShapeError
    )
    assert message == (
        "add: values of widths H and P meet; only equal widths can "
        "(a state that is projected to P units cannot be combined with one of H units)."
    )


def test_a_state_of_another_width_is_not_returned():
    message = refused(lambda x, h, p: p.P("r", p.W("i", x) + p.R("i", h)), error=ShapeError)
    assert message == (
        "returns the new h with width P, expected H; declare projected states with @cell(sizes={'h': 'P'})."
    )


def test_one_gate_is_one_product():
    message = refused(lambda x, h, p: tanh(p.W("i", x) + p.R("i", h) + p.R("i", h * h)))
    assert message == "p.R('i', ...) is used twice with different values; give the second another name."


def test_the_same_product_may_be_written_twice():
    def twice(x, h, p):
        return tanh(p.W("i", x) + p.R("i", h)) * sigmoid(p.W("i", x) + p.R("i", h))

    graph = trace(cell()(twice))
    assert [n.kind for n in graph.nodes].count("R") == 1
    assert [n.kind for n in graph.nodes].count("add") == 1


def with_if(x, h, p):
    new = tanh(p.W("h", x))
    return new if h else -new


def with_equality(x, h, p):
    new = tanh(p.W("h", x))
    return new if h == 0 else -new


def with_or(x, h, p):
    return h or p.W("h", x)


def with_max(x, h, p):
    return max(p.W("h", x), h)


@pytest.mark.parametrize("equations", [with_if, with_equality, with_or, with_max])
def test_equations_do_not_branch_on_a_value(equations):
    assert refused(equations) == (
        "a cell's equations cannot branch on a value (if, and, or, while, max): "
        "use maximum, relu or a product with a gate; every unit takes the same path."
    )


def test_an_unknown_word_is_named():
    assert refused(lambda x, h, p: p.W("h", x).softmax(-1)) == (
        "a cell's equations cannot use '.softmax': the words are those of recurra.cells.language "
        "and + - * /, so that gradients and kernels can be derived."
    )


@pytest.mark.parametrize(
    ("equations", "named"),
    [
        (lambda x, h, p: p.W("h", x) ** 2, "unsupported operand type(s) for ** or pow(): 'Symbol' and 'int'"),
        (lambda x, h, p: torch.tanh(p.W("h", x)), "tanh(): argument 'input' (position 1) must be Tensor, not Symbol"),
        (lambda x, h, p: math.exp(p.W("h", x)), "must be real number, not Symbol"),
        (lambda x, h, p: p.W("h", x)[0], "'Symbol' object is not subscriptable"),
        (lambda x, h, p: p.W("h", x) + sigmoid(1.0), "'float' object has no attribute 'sigmoid'"),
        (lambda x, h, p: p.W(x), "SymbolicParameters.W() missing 1 required positional argument: 'x'"),
    ],
    ids=["power", "torch", "math", "index", "number", "argument"],
)
def test_python_outside_the_language_is_refused_with_its_place(equations, named):
    assert refused(equations) == f"{named}; the words are those of recurra.cells.language and + - * /."


def test_an_unknown_parameter_is_answered_with_those_there_are():
    assert refused(lambda x, h, p: p.U("h", x)) == (
        "p.U is no parameter; there are p.W, p.R, p.P, p.b, p.b_R, p.v and p.gain."
    )


def test_values_combine_with_numbers_only():
    assert refused(lambda x, h, p: p.W("h", x) + "h") == (
        "a cell's equations combine values with numbers or other values, not with 'h'."
    )


def test_the_number_of_returned_states_is_that_of_the_declared_ones():
    assert refused(lambda x, h, c, p: p.W("h", x), states=("h", "c")) == "returns 1 values, expected 2: the new h, c."
    assert refused(lambda x, h, p: (p.W("h", x), h)) == "returns 2 values, expected 1: the new h."
    assert refused(lambda x, h, p: 1.0) == ("returns 1.0 as the new h; expected a value made from x and the states.")


def test_the_input_goes_through_input_weights_only():
    only = "the input x stands in p.W and only there, at least once; its width is not that of a state."
    assert refused(lambda x, h, p: p.W("h", x) * mean(x)) == only
    assert refused(lambda x, h, p: p.R("h", h)) == only
    assert refused(lambda x, h, p: p.W("h", h) + p.W("i", x)) == (
        "p.W('h', ...) takes the input x itself, so that all steps are one product; use p.R for a state."
    )
    assert refused(lambda x, h, p: p.R("h", x)) == (
        "p.R('h', ...) takes a value of the width of a state; use p.W for the input x."
    )
    assert refused(lambda x, h, p: p.W("h", 3)) == "p.W('h', ...) takes a value of the equations, not 3."


def test_a_projection_starts_from_all_units():
    assert (
        refused(lambda x, h, c, p: (p.P("r", h), c + p.W("i", x)), states=("h", "c"), sizes={"h": "P"})
        == "p.P('r', ...) projects from H units; got a value of width P."
    )


@pytest.mark.parametrize("gate", ["", "a b", 'x"; system("', "i" * 41, 7, None])
def test_a_gate_is_named_by_letters_digits_and_underscores(gate):
    assert refused(lambda x, h, p: p.W(gate, x)) == f"p.W({gate!r}): a gate's name is 1 to 40 letters, digits and _."
    assert refused(lambda x, h, p: p.W("h", x) + p.b(gate)) == (
        f"p.b({gate!r}): a gate's name is 1 to 40 letters, digits and _."
    )


def test_recurrent_products_take_values_of_one_width():
    @cell(states=("h", "c"), sizes={"h": "P"})
    def mixed(x, h, c, p):
        c = tanh(p.W("c", x) + p.R("c", h) + p.R("d", c))
        return p.P("r", c), c

    with pytest.raises(ConfigError, match=r"cell 'mixed': all p\.R products must take values of one width"):
        layout(mixed)


def test_a_second_bias_of_a_pair_needs_a_first():
    @cell(bias_pair=True)
    def lopsided(x, h, p):
        return tanh(p.W("n", x) + p.R("n", h) + p.b_R("n"))

    with pytest.raises(ConfigError, match=r"cell 'lopsided': every gate of p\.b_R needs a p\.b as well"):
        layout(lopsided)


def test_a_value_that_is_written_twice_is_computed_once_and_what_is_not_needed_is_dropped():
    @cell()
    def tidy(x, h, p):
        unused = relu(p.R("unused", h))  # noqa: F841
        return tanh(p.W("h", x)) * tanh(p.W("h", x)) + 0 * 1

    graph = trace(tidy)
    assert [n.kind for n in graph.nodes] == ["x", "W", "tanh", "mul"]
    assert [p.name for p in layout(tidy)] == ["weight_ih"]


def test_the_maximum_takes_a_number_on_either_side():
    @cell()
    def clipped(x, h, p):
        return maximum(0.5, p.W("h", x)) + maximum(p.W("g", x), -1)

    kinds = [(n.kind, n.value) for n in trace(clipped).nodes if n.kind in ("const", "maximum")]
    assert kinds == [("const", 0.5), ("maximum", 0.0), ("const", -1.0), ("maximum", 0.0)]
    a = torch.tensor([-2.0, 0.0, 2.0])
    assert maximum(0.5, a).tolist() == [0.5, 0.5, 2.0]
    assert maximum(a, -1).tolist() == [-1.0, 0.0, 2.0]


def test_the_maximum_halves_the_gradient_at_a_tie():
    a = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    maximum(a, 2.0).sum().backward()
    assert a.grad.tolist() == [0.0, 0.5, 1.0]


def test_normalisation_over_parts_is_that_of_the_joined_parts():
    parts = torch.randn(3, 4, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)
    joined = torch.cat(normalize(*parts[:1], parts[0] * 2), -1)
    expected = torch.nn.functional.layer_norm(torch.cat([parts[0], parts[0] * 2], -1), (8,), eps=1e-5)
    torch.testing.assert_close(joined, expected, rtol=0, atol=1e-14)


# -- Beside other tools ------------------------------------------------------------------------------------------------


def fresh_cell():
    """A cell that has not been traced before: `trace` keeps what it has found."""

    @cell()
    def fresh(x, h, p):
        a = p.W("a", x) + p.b("a")
        return tanh(a + p.R("a", h))

    return fresh


def labels_of(one):
    return sorted(trace(one).labels.values())


def test_local_names_are_found_while_cprofile_runs_and_it_goes_on_counting():
    profiler = cProfile.Profile()
    profiler.enable()
    try:
        assert labels_of(fresh_cell()) == ["a"]
        after_tracing()
    finally:
        profiler.disable()
    assert any(entry.code is after_tracing.__code__ for entry in profiler.getstats() if not isinstance(entry.code, str))


def after_tracing():
    """What a profiler must still see."""


def test_a_profile_function_stays_and_sees_the_equations():
    seen = []

    def profile(frame, event, _):
        seen.append((event, frame.f_code.co_name))

    sys.setprofile(profile)
    try:
        assert labels_of(fresh_cell()) == ["a"]
        assert sys.getprofile() is profile
    finally:
        sys.setprofile(None)
    assert ("return", "fresh") in seen


def test_cells_are_traced_in_several_threads_at_once():
    found, start = [], threading.Barrier(4)

    def one():
        made = fresh_cell()
        start.wait()
        found.append(labels_of(made))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [["a"]] * 4


def test_equations_that_call_others_and_products_in_a_loop_have_their_own_names():
    def sum_of(parts):
        inner, *rest = parts
        for part in rest:
            inner = inner + part
        return inner

    @cell()
    def looped(x, h, p):
        gates = sum_of([p.W(g, x) + p.R(g, h) for g in "ab"])
        return tanh(gates)

    assert labels_of(looped) == ["gates"]
