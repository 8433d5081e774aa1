"""Parameters, schedule, tape and text of the built-in cells, against tables written by hand."""

from __future__ import annotations

import json

import pytest
import torch

from conformance.users_cell import leaky
from recurra.cells import CELLS, cell
from recurra.cells.language import maximum, mean, relu, tanh
from recurra.engine import Call, Weights, run, tape
from recurra.lower import LATEX, equations, gradient, layout, schedule, to_json, trace

SIZES = {"I": 3, "H": 5, "P": 2}
# Every packed parameter of every cell: gates in order, shape for I = 3, H = 5, P = 2.
LAYOUT = {
    "rnn": {"weight_ih": ("h", (5, 3)), "weight_hh": ("h", (5, 5)), "bias_ih": ("h", (5,)), "bias_hh": ("h", (5,))},
    "lstm": {
        "weight_ih": ("i f g o", (20, 3)),
        "weight_hh": ("i f g o", (20, 5)),
        "bias_ih": ("i f g o", (20,)),
        "bias_hh": ("i f g o", (20,)),
    },
    "lstm_peephole": {
        "weight_ih": ("i f g o", (20, 3)),
        "weight_hh": ("i f g o", (20, 5)),
        "bias_ih": ("i f g o", (20,)),
        "weight_v": ("i f o", (15,)),
    },
    "lstm_projected": {
        "weight_ih": ("i f g o", (20, 3)),
        "weight_hh": ("i f g o", (20, 2)),
        "bias_ih": ("i f g o", (20,)),
        "bias_hh": ("i f g o", (20,)),
        "weight_hr": ("r", (2, 5)),
    },
    "lstm_layernorm": {
        "weight_ih": ("i f g o", (20, 3)),
        "weight_hh": ("i f g o", (20, 5)),
        "bias_ih": ("i f g o c", (25,)),
        "gain": ("Wi Ri Wf Rf Wg Rg Wo Ro c", (45,)),
    },
    "gru": {
        "weight_ih": ("r z n", (15, 3)),
        "weight_hh": ("r z n", (15, 5)),
        "bias_ih": ("r z n", (15,)),
        "bias_hh": ("r z n", (15,)),
    },
    "gru_reset_before": {
        "weight_ih": ("r z n", (15, 3)),
        "weight_hh": ("r z n", (15, 5)),
        "bias_ih": ("r z n", (15,)),
    },
    "gru_simple": {"weight_ih": ("z n", (10, 3)), "weight_hh": ("z n", (10, 5)), "bias_ih": ("z n", (10,))},
    "mgu": {"weight_ih": ("f n", (10, 3)), "weight_hh": ("f n", (10, 5)), "bias_ih": ("f n", (10,))},
    "indrnn": {"weight_ih": ("h", (5, 3)), "bias_ih": ("h", (5,)), "weight_v": ("h", (5,))},
    "slstm": {
        "weight_ih": ("i f z o", (20, 3)),
        "weight_hh": ("i f z o", (20, 5)),
        "bias_ih": ("i f z o", (20,)),
    },
}
LAYOUT["rnn_relu"] = LAYOUT["rnn_sigmoid"] = LAYOUT["rnn"]
ONE_WAVE = {
    "rnn": "h",
    "rnn_relu": "h",
    "rnn_sigmoid": "h",
    "lstm": "i f g o",
    "lstm_peephole": "i f g o",
    "lstm_layernorm": "i f g o",
    "gru": "r z n",
    "gru_simple": "z n",
    "slstm": "i f z o",
}


@pytest.mark.parametrize("name", CELLS)
def test_parameters_have_the_names_gates_and_shapes_of_the_table(name):
    assert name in LAYOUT, f"write down the parameters of {name}, so that a change of their order is seen"
    found = {p.name: (" ".join(p.gates), p.shape(SIZES)) for p in layout(CELLS[name])}
    assert found == LAYOUT[name]
    assert list(found) == list(LAYOUT[name])
    unbiased = [p.name for p in layout(CELLS[name], bias=False)]
    assert unbiased == [word for word in LAYOUT[name] if not word.startswith("bias")]


@pytest.mark.parametrize("name", ONE_WAVE)
def test_gates_that_do_not_wait_for_one_another_are_one_product(name):
    assert schedule(CELLS[name]).phases == (tuple(f"R:{gate}" for gate in ONE_WAVE[name].split()),)


def test_a_product_that_waits_for_another_is_a_second_phase():
    assert schedule(CELLS["gru_reset_before"]).phases == (("R:r", "R:z"), ("R:n",))
    assert schedule(CELLS["mgu"]).phases == (("R:f",), ("R:n",))
    assert schedule(CELLS["lstm_projected"]).phases == (("R:i", "R:f", "R:g", "R:o"), ("P:r",))
    assert schedule(CELLS["indrnn"]).phases == ()


def test_products_of_one_depth_with_different_arguments_are_different_phases():
    @cell(states=("h", "c"))
    def two_sources(x, h, c, p):
        return tanh(p.W("a", x) + p.R("a", h) + p.R("b", c)), c

    assert schedule(two_sources).phases == (("R:a",), ("R:b",))


def test_a_product_that_need_not_wait_comes_before_one_that_must():
    @cell()
    def disordered(x, h, p):
        a = p.R("a", h)
        b = p.R("b", a)
        return p.W("c", x) + b + p.R("c", h * h)

    assert schedule(disordered).phases == (("R:a",), ("R:c",), ("R:b",))


def test_a_chain_of_products_is_scheduled_without_delay():
    @cell()
    def chain(x, h, p):
        for k in range(60):  # 2 ** 60 ways, if each were walked
            h = p.R(f"a{k}", h) + p.R(f"b{k}", h)
        return h + p.W("h", x)

    phases = schedule(chain).phases
    assert phases[0] == ("R:a0", "R:b0")
    assert len(phases) == 60


@pytest.mark.parametrize("name", CELLS)
def test_every_input_product_is_hoisted_and_nothing_that_waits_for_a_state(name):
    graph = trace(CELLS[name])
    hoisted = set(schedule(CELLS[name]).hoisted)
    assert {at for at, n in enumerate(graph.nodes) if n.kind == "W"} <= hoisted
    waiting: set[int] = set()
    for at, node in enumerate(graph.nodes):
        if node.kind == "state" or waiting & set(node.args):
            waiting.add(at)
    assert not hoisted & waiting
    assert hoisted | waiting | {at for at, n in enumerate(graph.nodes) if not n.args} == set(range(len(graph.nodes)))


def kept(name):
    """What the tape keeps, in words."""
    graph = trace(CELLS[name])

    def word(at):
        node = graph.nodes[at]
        if node.kind == "state":
            return f"{node.name}_prev"
        return graph.labels.get(at) or f"{node.kind}({', '.join(word(a) for a in node.args)})"

    return {word(at) for at in gradient(CELLS[name]).tape}


def test_the_tape_of_an_lstm_is_six_values():
    assert kept("lstm") == {"c_prev", "i", "f", "g", "o", "tanh(c)"}
    assert kept("lstm_projected") == kept("lstm")
    assert kept("lstm_peephole") == kept("lstm") | {"c"}


def test_the_tape_of_a_gru_needs_no_one_minus_z():
    assert kept("gru_simple") == {"h_prev", "z", "n"}
    assert kept("gru_reset_before") == {"h_prev", "r", "z", "n"}
    # r meets R h + b: that sum is kept; its parts are not.
    assert kept("gru") == {"h_prev", "r", "z", "n", "add(R(h_prev), b_R())"}
    assert len(kept("rnn")) == 1


def test_the_mean_of_a_mean_has_the_gradient_of_one_number():
    @cell()
    def averaged(x, h, p):
        return p.W("h", x) * mean(mean(h) + mean(p.R("h", h)))

    torch.manual_seed(0)
    packed = {p.name: torch.randn(p.shape(SIZES), dtype=torch.float64, requires_grad=True) for p in layout(averaged)}
    h = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    call = Call(torch.randn(3, 2, 3, dtype=torch.float64), (h,), Weights(averaged, packed), zoneout=(None,))
    output = run(call).output
    expected = torch.autograd.grad(output.sum(), [h, *packed.values()])
    _, recorded = tape.forward(call)
    found = tape.backward(recorded, torch.ones_like(output), (torch.zeros_like(h),))
    for got, wanted in zip([*found.states, *found.weights.values()], expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)


def test_the_gradient_graph_halves_at_a_tie_of_the_maximum_and_stops_at_zero_for_relu():
    @cell(states=("h", "c"))
    def tied(x, h, c, p):
        return maximum(h, 1.0) + relu(c) + 0 * p.W("h", x), c

    packed = {p.name: torch.zeros(p.shape(SIZES), dtype=torch.float64) for p in layout(tied)}
    h, c = torch.tensor([[0.0, 1.0, 2.0, 1.0, 1.0]]).double(), torch.tensor([[-1.0, 0.0, 1.0, 0.0, 2.0]]).double()
    _, recorded = tape.forward(Call(torch.zeros(1, 1, 3, dtype=torch.float64), (h, c), Weights(tied, packed)))
    found = tape.backward(
        recorded, torch.ones(1, 1, 5, dtype=torch.float64), (torch.zeros_like(h), torch.zeros_like(c))
    )
    assert found.states[0].tolist() == [[0.0, 0.5, 1.0, 0.5, 0.5]]
    assert found.states[1].tolist() == [[0.0, 0.0, 1.0, 0.0, 1.0]]


def test_a_state_that_nothing_reads_has_no_gradient_and_one_that_stays_has_all_of_it():
    @cell(states=("h", "c", "d"))
    def idle(x, h, c, d, p):
        return tanh(p.W("h", x)), c, h

    packed = {p.name: torch.randn(p.shape(SIZES), dtype=torch.float64) for p in layout(idle)}
    states = tuple(torch.randn(2, 5, dtype=torch.float64) for _ in range(3))
    _, recorded = tape.forward(Call(torch.randn(3, 2, 3, dtype=torch.float64), states, Weights(idle, packed)))
    d_states = tuple(torch.full((2, 5), float(k), dtype=torch.float64) for k in (1, 2, 3))
    found = tape.backward(recorded, torch.zeros(3, 2, 5, dtype=torch.float64), d_states)
    assert [s.unique().tolist() for s in found.states] == [[0.0], [2.0], [0.0]]


def test_an_lstm_reads_as_in_a_textbook():
    assert equations(CELLS["lstm"]) == (
        "i_t = σ(W_i x_t + R_i h_{t-1} + b_i)",
        "f_t = σ(W_f x_t + R_f h_{t-1} + b_f)",
        "g_t = tanh(W_g x_t + R_g h_{t-1} + b_g)",
        "o_t = σ(W_o x_t + R_o h_{t-1} + b_o)",
        "c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t",
        "h_t = o_t ⊙ tanh(c_t)",
    )


def test_an_lstm_reads_as_in_a_textbook_in_latex():
    assert equations(CELLS["lstm"], LATEX) == (
        r"i_{t} = \sigma\left(W_{i} x_{t} + R_{i} h_{t-1} + b_{i}\right)",
        r"f_{t} = \sigma\left(W_{f} x_{t} + R_{f} h_{t-1} + b_{f}\right)",
        r"g_{t} = \tanh\left(W_{g} x_{t} + R_{g} h_{t-1} + b_{g}\right)",
        r"o_{t} = \sigma\left(W_{o} x_{t} + R_{o} h_{t-1} + b_{o}\right)",
        r"c_{t} = f_{t} \odot c_{t-1} + i_{t} \odot g_{t}",
        r"h_{t} = o_{t} \odot \tanh\left(c_{t}\right)",
    )


def test_brackets_stand_where_they_are_needed():
    assert equations(CELLS["gru_reset_before"])[2:] == (
        "n_t = tanh(W_n x_t + R_n (r_t ⊙ h_{t-1}) + b_n)",
        "h_t = (1 - z_t) ⊙ n_t + z_t ⊙ h_{t-1}",
    )
    assert equations(CELLS["slstm"])[5:] == (
        "c_t = exp(f_t - m_t) ⊙ c_{t-1} + exp(i_t - m_t) ⊙ z_t",
        "n_t = exp(f_t - m_t) ⊙ n_{t-1} + exp(i_t - m_t)",
        "h_t = o_t ⊙ c_t / n_t",
    )
    assert equations(leaky, LATEX)[1] == (
        r"n_{t} = \tanh\left(W_{n} x_{t} + R_{n} (a_{t} \odot h_{t-1} - \frac{h_{t-1}}{3}) + b_{n} + b_{Rn}\right)"
    )


def test_brackets_keep_differences_and_quotients_apart():
    @cell()
    def nested(x, h, p):
        a = p.W("a", x)
        b = -(h - (a - 1)) / (a * (h / (a / h)))
        return h - (a + (h - b))

    assert equations(nested) == (
        "a_t = W_a x_t",
        "b_t = (-(h_{t-1} - (a_t - 1))) / (a_t ⊙ h_{t-1} / (a_t / h_{t-1}))",
        "h_t = h_{t-1} - (a_t + h_{t-1} - b_t)",
    )


def test_text_does_not_double_with_every_line():
    @cell()
    def doubling(x, h, p):
        for _ in range(16):  # 2 ** 16 terms, if each were written out
            h = h + h * h
        return h + p.W("h", x)

    assert sum(map(len, equations(doubling))) < 5_000


def test_every_cell_can_be_written_in_both_notations():
    for name in CELLS:
        for notation in (equations(CELLS[name]), equations(CELLS[name], LATEX)):
            assert all(" = " in line for line in notation)
            for line in notation:
                assert line.count("{") == line.count("}")
                assert line.count(r"\left(") == line.count(r"\right)")


def test_a_stored_cell_is_small():
    assert max(len(json.dumps(to_json(cell))) for cell in CELLS.values()) < 8_000
