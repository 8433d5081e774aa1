"""Recurrent layers as ONNX files: every cell against its oracle, the mask law, and which node a cell gets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from conformance.users_cell import leaky
from export.onnx_room import by_oracle, exported
from oracles.loop import Array
from recurra.base.errors import ConfigError, RunError
from recurra.cells import CELLS, Cell, cell
from recurra.cells.language import Parameters, Value, relu, sigmoid, tanh
from recurra.export import onnx, onnx_files, recurrent
from recurra.lower import projects
from recurra.nn import GRU, LSTM, RNN, Recurrent, quantize

I, H = 3, 4
CELLS_UNDER_TEST = dict(CELLS) | {"leaky": leaky}
NODES = {
    "rnn": "RNN", "rnn_relu": "RNN", "rnn_sigmoid": "RNN", "lstm": "LSTM", "lstm_peephole": "LSTM", "gru": "GRU",
    "gru_reset_before": "GRU",
}  # fmt: skip
# In a file for any runtime: peephole weights are an input of the node that OpenVINO leaves out.
NODES_FOR_ANY = NODES | {"lstm_peephole": "Scan"}
# So many times the error of the cell's own equations in float32, since two programs round differently. Measured: 3 at
# most where that error is above 1e-6, as with layer normalisation, which divides by the spread of few numbers.
LUCK = 10


def small(cell: str | Cell = "lstm", **options: Any) -> Recurrent:
    torch.manual_seed(1)
    cell = CELLS_UNDER_TEST[cell] if isinstance(cell, str) else cell
    if projects(cell):
        options.setdefault("proj_size", 2)
    return Recurrent(I, H, cell=cell, **options)


def inputs_of(layers: Recurrent, lengths: tuple[int, ...], T: int) -> tuple[Array, Array, dict[str, Array]]:
    """x (T, N, I) with NaN in the padding, lengths, and first states; a normaliser's are above 1."""
    random, N = np.random.default_rng(2), len(lengths)
    x = random.standard_normal((T, N, I)).astype(np.float32)
    for n, length in enumerate(lengths):
        x[length:, n] = np.nan
    rows = layers.num_layers * layers.num_directions
    states = {
        f"{name}_0": np.abs(random.standard_normal((rows, N, size))).astype(np.float32) + np.float32(name == "n")
        for name, size in zip(layers.cell.states, layers.state_sizes(), strict=True)
    }
    return x, np.array(lengths, dtype=np.int64), states


def rounding(layers: Recurrent, x: Array, lengths: Array, states: dict[str, Array], output: Array) -> float:
    """The largest error of the equations in float32. Layer normalisation divides by the spread of few numbers."""
    layers.backend = "reference"
    hx = tuple(map(torch.from_numpy, states.values()))
    with torch.no_grad():
        found, _ = layers(torch.from_numpy(x), hx if len(hx) > 1 else hx[0], lengths=lengths)
    return float(np.abs(found.numpy() - output).max())


@pytest.mark.parametrize("target", ["any", "onnxruntime"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one-way", "both-ways"])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("name", CELLS_UNDER_TEST)
def test_every_cell_in_onnx_runtime_is_what_its_oracle_says(
    name: str, num_layers: int, bidirectional: bool, target: str, tmp_path: Path
) -> None:
    layers = small(name, num_layers=num_layers, bidirectional=bidirectional)
    file = exported(layers, tmp_path / "layers.onnx", target=target)
    x, lengths, states = inputs_of(layers, (5, 0, 2, 7), 7)
    got = file(x=x, lengths=lengths, **states)
    output, final = by_oracle(layers, x, lengths, states)
    tolerance = 2e-6 + LUCK * rounding(layers, x, lengths, states, output)
    np.testing.assert_allclose(got["output"], output, atol=tolerance, rtol=0)
    for state, expected in zip(layers.cell.states, final, strict=True):
        np.testing.assert_allclose(got[f"{state}_n"], expected, atol=tolerance, rtol=0, err_msg=state)
    node = (NODES_FOR_ANY if target == "any" else NODES).get(name, "Scan")
    assert recurrent.node_of(layers, for_any=target == "any") == node
    assert node in file.nodes


@pytest.mark.parametrize("name", CELLS_UNDER_TEST)
def test_a_sequence_does_not_notice_its_neighbours(name: str, tmp_path: Path) -> None:
    layers = small(name, bidirectional=True)
    file = exported(layers, tmp_path / "layers.onnx")
    x, lengths, states = inputs_of(layers, (4, 6, 1), 6)
    together = file(x=x, lengths=lengths, **states)
    for n, length in enumerate(lengths):
        some = slice(n, n + 1)
        alone = file(x=x[:length, some], lengths=lengths[some], **{k: s[:, some] for k, s in states.items()})
        np.testing.assert_allclose(alone["output"][:, 0], together["output"][:length, n], atol=1e-6, rtol=0)
        assert not together["output"][length:, n].any()
        for state in layers.cell.states:
            np.testing.assert_allclose(alone[f"{state}_n"][:, 0], together[f"{state}_n"][:, n], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn", "slstm"])
def test_an_empty_sequence_keeps_its_first_states_also_where_nothing_is_read(name: str, tmp_path: Path) -> None:
    layers = small(name, bidirectional=True)
    file = exported(layers, tmp_path / "layers.onnx")
    for T in (0, 3):
        x, lengths, states = inputs_of(layers, (0, 0), T)
        got = file(x=x, lengths=lengths, **states)
        assert got["output"].shape == (T, 2, 2 * H)
        assert not got["output"].any()
        for state in layers.cell.states:
            np.testing.assert_array_equal(got[f"{state}_n"], states[f"{state}_0"])


@pytest.mark.parametrize("name", ["lstm", "gru_simple"])
@pytest.mark.parametrize("merge", ["sum", "mean", "product"])
def test_two_directions_are_merged_as_the_layer_says(merge: str, name: str, tmp_path: Path) -> None:
    apart, merged = small(name, bidirectional=True), small(name, bidirectional=True, merge=merge)
    x, lengths, states = inputs_of(apart, (5, 3), 5)
    both = exported(apart, tmp_path / "a.onnx")(x=x, lengths=lengths, **states)["output"]
    forward, backward = both[..., :H], both[..., H:]
    expected = {"sum": forward + backward, "mean": (forward + backward) / 2, "product": forward * backward}
    got = exported(merged, tmp_path / "m.onnx")(x=x, lengths=lengths, **states)["output"]
    np.testing.assert_allclose(got, expected[merge], atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "layers",
    [
        LSTM(I, H, bias=False),
        GRU(I, H, 2, bias=False),
        small("slstm", bias=False),
        LSTM(I, H, zoneout=(0.1, 0.2)),
        GRU(I, H, batch_first=True, bidirectional=True),
        RNN(I, H, nonlinearity="relu"),
        LSTM(I, H, proj_size=2, num_layers=2, bidirectional=True),
    ],
    ids=str,
)
def test_options_of_a_layer_take_effect(layers: Recurrent, tmp_path: Path) -> None:
    file = exported(layers, tmp_path / "layers.onnx")
    x, lengths, states = inputs_of(layers, (3, 5), 5)
    x = x.swapaxes(0, 1) if layers.batch_first else x
    given = tuple(torch.from_numpy(state) for state in states.values())
    with torch.no_grad():
        layers.eval()
        expected, _ = layers(
            torch.from_numpy(x), given if len(given) > 1 else given[0], lengths=torch.from_numpy(lengths)
        )
    np.testing.assert_allclose(file(x=x, lengths=lengths, **states)["output"], expected.numpy(), atol=1e-6, rtol=0)


@cell(states=("h", "c"), bias_pair=True)
def my_lstm(x: Value, h: Value, c: Value, p: Parameters) -> Value:
    """The LSTM under another name, its gates written in another order of lines."""
    i = sigmoid(p.W("i", x) + p.R("i", h) + p.b("i"))
    f = sigmoid(p.W("f", x) + p.R("f", h) + p.b("f"))
    g = tanh(p.W("g", x) + p.R("g", h) + p.b("g"))
    o = sigmoid(p.W("o", x) + p.R("o", h) + p.b("o"))
    c = f * c + i * g
    return o * tanh(c), c


@cell(states=("h", "c"), bias_pair=True, name="lstm")
def no_lstm(x: Value, h: Value, c: Value, p: Parameters) -> Value:
    """Called lstm, and yet its memory is squashed twice."""
    i = sigmoid(p.W("i", x) + p.R("i", h) + p.b("i"))
    f = sigmoid(p.W("f", x) + p.R("f", h) + p.b("f"))
    g = tanh(p.W("g", x) + p.R("g", h) + p.b("g"))
    o = sigmoid(p.W("o", x) + p.R("o", h) + p.b("o"))
    c = tanh(f * c + i * g)
    return o * tanh(c), c


@cell()
def logistic(x: Value, h: Value, p: Parameters) -> Value:
    """The logistic map on 0..1, which about doubles a difference at each step: chaos."""
    h = p.R("h", h) + p.W("h", x)
    h = relu(h) - relu(h - 1)
    return 3.99 * h * (1 - h)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "gru_reset_before"])
def test_a_file_is_right_where_a_node_is_told_no_length_and_wrong_if_it_was_written_for_onnx_runtime(
    cell: str, tmp_path: Path
) -> None:
    # onnx's own evaluator reads no lengths and knows no direction but forward, as other runtimes.
    layers = small(cell)
    x, lengths, states = inputs_of(layers, (5, 0, 2, 7), 7)
    output, final = by_oracle(layers, x, lengths, states)

    def apart(target: str) -> float:
        file = exported(layers, tmp_path / "layers.onnx", target=target)
        with np.errstate(over="ignore"):  # its sigmoid is 1 / (1 + exp(-x)), and a gate is shut by 2^17
            got = ReferenceEvaluator(file.model).run(None, {"x": x, "lengths": lengths, **states})
        return max(float(np.abs(a - b).max()) for a, b in zip(got, (output, *final), strict=True))

    assert apart("any") < 2e-6
    assert apart("onnxruntime") > 0.1


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_no_node_of_a_file_for_any_runtime_reads_lengths_backwards_or_peepholes(name: str, tmp_path: Path) -> None:
    file = exported(small(name, num_layers=2, bidirectional=True), tmp_path / "layers.onnx")
    nodes = [node for node in file.model.graph.node if node.op_type in ("RNN", "LSTM", "GRU")]
    assert len(nodes) == 4
    for node in nodes:
        assert list(node.input[4:5]) in ([], [""])
        assert len(node.input) <= 7
        assert {a.name: a.s for a in node.attribute}.get("direction", b"forward") == b"forward"


@pytest.mark.parametrize("length", [0, 1, 3])
def test_an_lstm_holds_its_memory_exactly_through_any_padding(length: int, tmp_path: Path) -> None:
    layers = small("lstm")
    file = exported(layers, tmp_path / "layers.onnx")
    x, lengths, states = inputs_of(layers, (length,), max(length, 1))
    states = {name: 8 * state for name, state in states.items()}  # a first state may be far from -1..1
    padded = np.concatenate([x, np.full((500, 1, I), np.nan, np.float32)])
    short, long = (file(x=values, lengths=lengths, **states) for values in (x, padded))
    for name in ("h_n", "c_n"):
        np.testing.assert_array_equal(short[name], long[name])


def test_a_file_for_a_runtime_that_is_not_known_or_not_installed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"--for: unknown runtime 'openvin'\. Did you mean 'openvino'"):
        onnx(small(), tmp_path / "a.onnx", target="openvin")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ConfigError, match="openvino is not installed; pip install openvino"):
        onnx(small(), tmp_path / "a.onnx", target="openvino")
    assert list(tmp_path.iterdir()) == []


def test_a_node_is_chosen_by_the_equations_and_not_by_the_name(tmp_path: Path) -> None:
    assert "LSTM" in exported(small(my_lstm), tmp_path / "a.onnx").nodes
    assert "LSTM" not in exported(small(no_lstm), tmp_path / "b.onnx").nodes


def test_a_model_in_training_is_written_as_in_evaluation_and_left_as_it_was(tmp_path: Path) -> None:
    layers = LSTM(I, H, 2, dropout=0.5, variational_dropout=0.5, backend="cpu").train()
    before = {name: tensor.clone() for name, tensor in layers.state_dict().items()}
    onnx(layers, tmp_path / "a.onnx")
    assert layers.training
    assert layers.backend == "cpu"
    assert all(torch.equal(tensor, before[name]) for name, tensor in layers.state_dict().items())


def test_a_file_that_differs_from_the_model_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = recurrent.Standard("lstm", "LSTM", ("i", "f", "o", "g"))
    monkeypatch.setattr(recurrent, "STANDARD", (wrong,))
    path = tmp_path / "a.onnx"
    path.write_bytes(b"mine")
    with pytest.raises(
        RunError, match=r"a\.onnx: not written: in ONNX Runtime [\d.]+ the output '.*' is .* from the model's"
    ):
        onnx(small("lstm"), path, target="onnxruntime")
    assert path.read_bytes() == b"mine"
    assert [p.name for p in tmp_path.iterdir()] == ["a.onnx"]


def test_a_model_whose_answers_are_rounding_is_not_written(tmp_path: Path) -> None:
    chaotic = Recurrent(I, H, cell=logistic)
    with torch.no_grad():
        chaotic.weight_ih_l0.zero_()
        chaotic.weight_hh_l0.copy_(torch.eye(H))
    said = r"expected at most 1\.0e-03 of numbers of order 1; recurra's own float32 is [\d.]+e[-+]0[01] from float64"
    with pytest.raises(RunError, match=said):
        onnx(chaotic, tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_numbers_that_are_not_finite_are_a_difference() -> None:
    one = np.array([1.0])
    assert onnx_files.difference(np.array([np.nan]), one) == float("inf")
    assert onnx_files.difference(one, np.array([np.inf])) == float("inf")
    assert onnx_files.difference(np.zeros((1, 1)), one) == float("inf")
    assert onnx_files.difference(np.array([2.0, 10.5]), np.array([2.5, 10.0])) == 0.05
    assert onnx_files.difference(np.array([0.0, 0.5]), np.array([0.25, 0.5])) == 0.25


def test_what_has_no_form_in_onnx_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"float64 weights, expected float32; call \.float\(\)"):
        onnx(small().double(), tmp_path / "a.onnx")
    with pytest.raises(ConfigError, match="cannot write a Bilinear as ONNX; known models: Recurrent, SequenceModel"):
        onnx(torch.nn.Bilinear(1, 1, 1), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_without_the_packages_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for missing in ("onnx", "onnxruntime"):
        with monkeypatch.context() as patch:
            patch.setitem(__import__("sys").modules, missing, None)
            with pytest.raises(ConfigError, match=r'pip install "recurra\[onnx\]"'):
                onnx(small(), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_file_says_which_recurra_wrote_it_and_what_else_it_was_given(tmp_path: Path) -> None:
    from recurra import __version__

    file = exported(small(), tmp_path / "a.onnx", metadata={"labels": '["a", "ä"]'})
    assert file.metadata == {"recurra": __version__, "labels": '["a", "ä"]'}


def test_products_of_bfloat16_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the weights are bfloat16_products, and files round no inputs and states"):
        onnx(quantize(small(), "bfloat16_products"), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())
    assert onnx(quantize(small(), "bfloat16"), tmp_path / "b.onnx")


@pytest.mark.parametrize("bidirectional", [False, True], ids=["one-way", "both-ways"])
@pytest.mark.parametrize("name", ["lstm", "lstm_peephole", "gru", "rnn"])
def test_a_sequence_without_steps_keeps_first_states_of_any_size(
    name: str, bidirectional: bool, tmp_path: Path
) -> None:
    """First h of 1e6 times weights of 0.5 outweighs what holds a memory through the padding, 2^17."""
    layers = small(name, bidirectional=bidirectional)
    x, lengths, states = inputs_of(layers, (5, 0), 5)
    states["h_0"] *= 1e6
    got = exported(layers, tmp_path / "layers.onnx")(x=x, lengths=lengths, **states)
    for first in states:
        np.testing.assert_array_equal(got[f"{first.removesuffix('_0')}_n"][:, 1], states[first][:, 1])
