"""Everybody who is measured does the same work: outputs and gradients against the oracles, written from the papers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oracles.catalogue import ORACLES
from recurra.bench.configuration import USUAL_CELLS, Configuration
from recurra.bench.peers import OURS, PEERS, missing, participants
from recurra.bench.problem import Problem

EVERYBODY = participants(PEERS)
MODES = ("train", "infer", "lengths", "stream", "bidirectional")
# float32; about 60 operations follow one another in two layers of five steps.
TOLERANCE = 1e-5


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def oracle_output(problem, x):
    """(T, N, directions * H), zero where padded; and the last states of the last layer's first direction."""
    c = problem.configuration
    oracle = ORACLES[c.cell]
    for layer in problem.weights:
        outputs = []
        for direction, packed in enumerate(layer):
            params = oracle.unpack({name: w.astype(np.float64) for name, w in packed.items()})
            zeros = [np.zeros((c.N, c.H)) for _ in oracle.states]
            output, last = oracle.run(x, zeros, params, problem.lengths, reverse=direction == 1)
            outputs.append((output, last))
        x = np.concatenate([output for output, _ in outputs], -1)
    return x, outputs[0][1]


def slope(problem, direction):
    """d(sum(output * d_output)) along a direction of x, exact, by the complex step (Squire & Trapp 1998)."""
    moved, _ = oracle_output(problem, problem.x.astype(np.float64) + 1e-30j * direction)
    return float(np.imag((moved * problem.d_output).sum()) / 1e-30)


@pytest.mark.parametrize("cell", USUAL_CELLS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", EVERYBODY)
def test_everybody_does_the_same_work(name, mode, cell, rng):
    configuration = Configuration(mode, cell, *((1, 1, 6, 6) if mode == "stream" else (5, 3, 4, 6)))
    peer = EVERYBODY[name]
    if peer.refuses(configuration):
        assert name != OURS
        return
    if absent := missing(peer):
        pytest.skip(f"not installed: {', '.join(absent)}")
    peer.start(1)
    problem = Problem(configuration)
    got = [np.asarray(array) for array in peer.work(problem)()]
    output, states = oracle_output(problem, problem.x.astype(np.float64))
    if mode == "stream":
        assert len(got) == len(states)
        for mine, expected in zip(got, states, strict=True):
            np.testing.assert_allclose(mine.reshape(expected.shape), expected, atol=TOLERANCE)
        return
    shape = output.shape
    np.testing.assert_allclose(np.where(problem.real[..., None], got[0].reshape(shape), 0), output, atol=TOLERANCE)
    if configuration.kind.trains:
        direction = rng.normal(size=problem.x.shape) * problem.real[..., None]
        assert (got[1] * direction).sum() == pytest.approx(slope(problem, direction), abs=1e-4)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_our_lengths_are_given_to_our_layer():
    problem = Problem(Configuration("lengths", "lstm", 20, 3, 4, 6))
    output, _ = EVERYBODY[OURS].work(problem)()
    assert problem.real.sum() < 60
    assert np.array_equal(np.any(output.numpy() != 0, axis=-1), problem.real)


def test_everybody_s_gradients_are_those_of_all_parameters():
    """A step that leaves out the weights' gradients is no training step: torch is asked for each of them."""
    asked = []
    problem = Problem(Configuration("train", "lstm", 3, 2, 4, 5))
    grad = torch.autograd.grad
    for name in (OURS, "torch"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.autograd, "grad", lambda o, inputs, d: asked.append(inputs) or grad(o, inputs, d))
            EVERYBODY[name].work(problem)()
    assert [len(inputs) for inputs in asked] == [5, 5]  # x, weight_ih, weight_hh, bias_ih, bias_hh


def test_what_a_peer_has_no_way_of_doing_it_refuses():
    def refusing(mode, cell):
        configuration = Configuration(mode, cell, 1, 1, 4, 4)
        return {name for name, peer in PEERS.items() if peer.refuses(configuration)}

    assert refusing("train", "lstm") == {"torch_packed", "torch_cell", "torch_loop", "onnxruntime", "openvino"}
    assert refusing("infer", "lstm") == {"torch_packed", "torch_cell", "torch_loop"}
    assert refusing("infer", "lstm_peephole") == {"torch", "torch_packed", "torch_cell", "flax", "openvino"}
    assert refusing("lengths", "gru") == {"torch_cell", "torch_loop", "onnxruntime", "openvino"}
    assert refusing("stream", "gru") == {"torch", "torch_packed", "torch_loop", "flax"}
    assert refusing("train", "slstm") == set(PEERS)
