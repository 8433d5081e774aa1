"""Triton kernels of every cell, in Triton's interpreter on the CPU: both forms of a step, and the executor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from conformance.battery import (
    CELLS_UNDER_TEST,
    REFERENCE,
    TOLERANCE,
    assert_close,
    gradients_of,
    oracle_gradients,
    oracle_run,
    probe,
    problem,
)
from recurra.base.errors import ConfigError
from recurra.cells import cell
from recurra.engine import BACKENDS, Call, Weights, choose, gpu, run
from recurra.lower import layout
from recurra.lower.triton import kernels
from recurra.nn import Recurrent
from triton_room import interpreted

pytestmark = pytest.mark.slow  # the interpreter is asked everything once, before the first test
with_triton = pytest.mark.skipif(not gpu.installed(), reason="triton is not installed: it is for Linux on x86-64")
# Of T = 3 and N = 3: one between, one empty, one whole.
T, RAGGED = 3, (2, 0, 3)


# Whose values are made again from the old states: products of a state alone, of a gated state, and sums over units.
RECOMPUTED = {"held": ("lstm_projected", "lstm_layernorm"), "tiled": ("lstm_projected", "gru_reset_before")}


def held_problem(name):
    return problem(name, T=T, H=3)


def tiled_call(name, kind):
    """Of two tiles of 16 units; the LSTM's products take two tiles of their argument.

    Two steps where stages hand values on, or sum them, and of the LSTM; of others, whose text is a subset of its, one.
    """
    made = kernels(CELLS_UNDER_TEST[name], held=False)
    several = any(sum(of.values()) for of in made.scratch) or "tl.sum" in made.text
    steps = 2 if several or name == "lstm" else 1
    given = problem(name, T=steps, N=2, H=18, P=17)
    return given, given.call(kind, (steps, 1), leaves=True)


def everything(given, call):
    """Output, last states and all gradients, by name."""
    result = run(call, backend="triton")
    yield "output", result.output
    yield from zip([f"end:{s}" for s in given.cell.states], result.states, strict=True)
    yield from ((f"d:{what}", torch.tensor(d)) for what, d in gradients_of(probe(given).of(result), call).items())


def work():
    """What the interpreter makes of all that the tests below ask, by name."""
    # Memory holds NaN before it is written. torch.use_deterministic_algorithms imports a compiler, 1.5 s.
    torch._C._set_deterministic_algorithms(True, warn_only=False)
    for name in CELLS_UNDER_TEST:
        given = held_problem(name)
        for what, value in everything(given, given.call(torch.float32, RAGGED, True, leaves=True)):
            yield f"{name} held {what}", value
    yield "whole", run(problem("lstm", T=T).call(torch.float32), backend="triton").output
    yield "without bias", run(problem("gru", T=T, bias=False).call(torch.float32), backend="triton").output
    yield "together", run(problem("gru_reset_before", T=T).call(torch.float32, RAGGED), backend="triton").output
    yield "alone", run(alone(problem("gru_reset_before", T=T).call(torch.float32)), backend="triton").output
    yield from zip(("drift bfloat16", "drift end"), drifted(), strict=True)
    yield "nan", run(with_nan(), backend="triton").output
    yield from ((f"layers {what}", value) for what, value in layers("triton"))
    with torch.autocast("cpu", torch.bfloat16):
        yield from ((f"autocast {what}", value.float()) for what, value in layers("triton"))
    yield from mixed()
    gpu.TAPE_BYTES = -1
    for name in RECOMPUTED["held"]:
        given = held_problem(name)
        for what, value in everything(given, given.call(torch.float32, RAGGED, True, leaves=True)):
            yield f"{name} held again {what}", value
    gpu.SHARED_BYTES, gpu.TILE, gpu.DEPTH = -1, 16, 32
    for name in RECOMPUTED["tiled"]:
        for what, value in everything(*tiled_call(name, torch.float32)):
            yield f"{name} tiled again {what}", value
    gpu.TAPE_BYTES = 1 << 30
    for name in CELLS_UNDER_TEST:
        gpu.DEPTH = 16 if name == "lstm" else 32
        for what, value in everything(*tiled_call(name, torch.float32)):
            yield f"{name} tiled {what}", value


def alone(call):
    """The third sequence of a batch by itself."""
    return replace(call, x=call.x[:, 2:], states=tuple(s[2:] for s in call.states))


def with_nan():
    call = problem("lstm", T=T).call(torch.float32, RAGGED)
    call.x[2:, 0] = torch.nan
    return call


def layers(backend):
    """Two layers in both directions, and the gradient of one weight."""
    torch.manual_seed(0)
    model = Recurrent(3, 4, num_layers=2, bidirectional=True, cell="mgu", backend=backend)
    output, h = model(torch.randn(2, 2, 3), lengths=[2, 1])
    yield "output", output
    yield "h", h
    yield "gradient", torch.autograd.grad(output.float().square().sum(), model.weight_hh_l0_reverse)[0]


def mixed():
    """Where weights fit on the chip once and not twice, values are made again by a backward kernel of the other form.

    Gradients are asked for under autocast, and saved tensors come back with other strides.
    """
    given, before = problem("mgu", T=T, H=3), (gpu.TAPE_BYTES, gpu.SHARED_BYTES)
    call = given.call(torch.float32, RAGGED, leaves=True)
    gpu.SHARED_BYTES = gpu.SPARE_BYTES + gpu.held_bytes(given.cell, {"I": 3, "H": 3, "P": 2}, torch.float32)
    for what, most in (("kept", gpu.TAPE_BYTES), ("again", -1)):
        gpu.TAPE_BYTES = most
        yield f"mixed {what} held", torch.tensor(gpu._Plan.of(call, training=True).held)
        with torch.no_grad():
            yield f"mixed {what} evaluated", run(call, backend="triton").output
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t, _otherwise):
            result = run(call, backend="triton")
            total = probe(given).of(result)
            with torch.autocast("cpu", torch.bfloat16):
                made = torch.autograd.grad(total, [call.x, *call.weights.tensors])
        yield f"mixed {what} output", result.output
        yield from ((f"mixed {what} d{k}", d) for k, d in enumerate(made))
    gpu.TAPE_BYTES, gpu.SHARED_BYTES = before


def _otherwise(t):
    return t.mT.contiguous().mT if t.dim() > 1 else t


@cell(states=("h", "c"))
def counter(x, h, c, p):
    c = c + p.W("h", x)
    return c + 0.0 * p.R("h", h), c


def drifted():
    """A state that grows by less than half a unit in the last place of bfloat16, in inputs of bfloat16."""
    packed = {p.name: torch.full(p.shape({"I": 1, "H": 2, "P": 2}), 2.0**-10).bfloat16() for p in layout(counter)}
    states = (torch.zeros(1, 2), torch.ones(1, 2))
    call = Call(torch.ones(8, 1, 1).bfloat16(), states, Weights(counter, packed))
    result = run(call, backend="triton")
    assert result.output.dtype is torch.bfloat16
    assert result.states[1].dtype is torch.float32
    return result.output.float(), result.states[1]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return interpreted(
        lambda: {name: value.detach().numpy() for name, value in work()}, tmp_path_factory.mktemp("triton") / "made.npz"
    )


@with_triton
@pytest.mark.parametrize("name", CELLS_UNDER_TEST)
def test_held_kernels_give_outputs_states_and_gradients_of_the_paper_written_out_in_numpy(made, name):
    given = held_problem(name)
    output, states = oracle_run(name, given, RAGGED, True)
    expected = {"output": output} | {f"end:{s}": a for s, a in zip(given.cell.states, states, strict=True)}
    expected |= {f"d:{what}": d for what, d in oracle_gradients(name, given, RAGGED, True).items()}
    for what, value in expected.items():
        assert_close(made[f"{name} held {what}"], value, TOLERANCE[torch.float32], what)


@with_triton
@pytest.mark.parametrize("name", CELLS_UNDER_TEST)
def test_tiled_kernels_give_outputs_states_and_gradients_of_the_reference(made, name):
    given, call = tiled_call(name, torch.float64)
    result = REFERENCE.run(call)
    expected = {"output": result.output} | dict(
        zip([f"end:{s}" for s in given.cell.states], result.states, strict=True)
    )
    expected |= {f"d:{what}": d for what, d in gradients_of(probe(given).of(result), call).items()}
    for what, value in expected.items():
        assert_close(made[f"{name} tiled {what}"], value, TOLERANCE[torch.float32], what)


@with_triton
@pytest.mark.parametrize(("form", "name"), [(form, name) for form, names in RECOMPUTED.items() for name in names])
def test_values_that_are_made_again_give_the_same_gradients_as_those_that_are_kept(made, name, form):
    names = [word for word in made if word.startswith(f"{name} {form} again ")]
    assert len(names) > 5
    for word in names:
        assert_close(made[word], made[word.replace(" again", "")], TOLERANCE[torch.float32], word)


@with_triton
def test_a_backward_kernel_of_another_form_gives_the_same_gradients_and_a_sequence_keeps_its_bits(made):
    assert [made[f"mixed {what} held"].tolist() for what in ("kept", "again")] == [[True, True], [True, False]]
    for word in ("evaluated", "output"):
        assert np.array_equal(made[f"mixed again {word}"], made[f"mixed kept {word}"]), word
    given = problem("mgu", T=T, H=3)
    expected = oracle_gradients("mgu", given, RAGGED, False)
    for k, what in enumerate(["x", *given.packed]):
        for form in ("kept", "again"):
            assert_close(made[f"mixed {form} d{k}"], expected[what], TOLERANCE[torch.float32], f"{form} {what}")


@with_triton
def test_whole_sequences_and_layers_without_bias_are_those_of_the_paper_too(made):
    assert_close(made["whole"], oracle_run("lstm", problem("lstm", T=T))[0], TOLERANCE[torch.float32])
    assert_close(made["without bias"], oracle_run("gru", problem("gru", T=T, bias=False))[0], TOLERANCE[torch.float32])


@with_triton
def test_a_sequence_has_the_same_bits_alone_and_in_a_batch(made):
    assert np.array_equal(made["together"][:, 2:], made["alone"])


@with_triton
def test_states_are_float32_where_inputs_and_weights_are_bfloat16(made):
    """From 1, a step of 2^-10 is lost in bfloat16, whose neighbours of 1 are 2^-7 apart; eight of them are 2^-7."""
    assert made["drift end"].tolist() == [[1 + 2.0**-7] * 2]
    assert made["drift bfloat16"][-1].tolist() == [[1 + 2.0**-7] * 2]


@with_triton
def test_a_nan_in_the_padding_reaches_nothing(made):
    assert_close(made["nan"], oracle_run("lstm", problem("lstm", T=T), RAGGED)[0], TOLERANCE[torch.float32])


@with_triton
@pytest.mark.parametrize(("words", "tolerance"), [("layers", 4e-6), ("autocast", 0.03)])
def test_stacked_layers_of_both_directions_are_those_of_the_reference(made, words, tolerance):
    """Also under autocast, with what 8 bits of its products leave."""
    for what, value in layers("reference"):
        assert_close(made[f"{words} {what}"], value, tolerance, what)


def test_a_cpu_is_refused_unless_the_interpreter_was_asked_for():
    call = problem("lstm_peephole").call(torch.float32)
    with pytest.raises(ConfigError, match=r"^backend 'triton': (it takes tensors on a CUDA device|triton is not inst)"):
        run(call, backend="triton")


def test_auto_takes_no_interpreter(monkeypatch):
    monkeypatch.setattr(gpu, "refusal", lambda call: None)
    double = problem("lstm_peephole").call(torch.float64)
    assert list(BACKENDS) == ["cpu", "torch", "triton", "reference"]
    assert choose(double) == "reference"


def on_a_device(name, **options):
    """A call whose tensors are not the CPU's."""
    call = problem(name).call(torch.float32)
    weights = Weights(call.cell, {word: t.to("meta") for word, t in call.weights.packed.items()})
    states = tuple(s.to("meta") for s in call.states)
    return replace(call, x=call.x.to("meta"), states=states, weights=weights, **options)


def test_on_a_device_auto_takes_torch_for_its_cells_and_triton_for_the_others(monkeypatch):
    monkeypatch.setattr(gpu, "installed", lambda: True)
    monkeypatch.setattr(gpu, "_refused_tensors", lambda call: None)
    fused = {name for name in CELLS_UNDER_TEST if choose(on_a_device(name)) == "torch"}
    assert fused == {"rnn", "rnn_relu", "lstm", "gru"}
    assert {choose(on_a_device(name)) for name in CELLS_UNDER_TEST if name not in fused} == {"triton"}
    # What neither has goes to the equations.
    assert choose(on_a_device("lstm", zoneout=(0.5, None))) == "reference"
    monkeypatch.setattr(gpu, "installed", lambda: False)
    assert choose(on_a_device("mgu")) == "reference"


def test_weights_stay_on_the_chip_as_far_as_the_formula_says():
    """Of an LSTM on an A100: 4 H^2 numbers and two arguments of 16 rows; float32 counts twice."""
    sizes, lstm = {"I": 1, "P": 1}, CELLS_UNDER_TEST["lstm"]
    assert gpu.held_bytes(lstm, sizes | {"H": 128}, torch.bfloat16) == 2 * (4 * 128**2 + 2 * 16 * 128)
    fits = {
        kind: [H for H in (64, 65, 128, 129) if gpu.holds(lstm, sizes | {"H": H}, kind, gpu.SHARED_BYTES)]
        for kind in (torch.bfloat16, torch.float32)
    }
    assert fits == {torch.bfloat16: [64, 65, 128], torch.float32: [64]}
    assert not gpu.holds(lstm, sizes | {"H": 128}, torch.bfloat16, gpu.SHARED_BYTES, recompute=True)


def test_kernels_have_no_name_of_a_cell_in_them():
    """Names of states and gates may come from a file of someone else."""

    @cell(states=("secret_state",))
    def secret_cell(x, secret_state, p):
        return p.W("secret_gate", x) + p.R("secret_gate", secret_state) + p.b("secret_gate")

    for held in (True, False):
        assert "secret" not in kernels(secret_cell, held=held).text


def test_weights_of_another_type_are_refused_unless_autocast_takes_all_in_one(monkeypatch):
    monkeypatch.setattr(gpu, "installed", lambda: True)
    monkeypatch.setattr(gpu, "interpreted", lambda: True)
    call = problem("mgu").call(torch.float32)
    mixed = replace(call, x=call.x.bfloat16())
    assert gpu.refusal(call) is None
    assert gpu.refusal(mixed) == "the weights are torch.float32 and the input is torch.bfloat16"
    with torch.autocast("cpu", torch.bfloat16):
        assert gpu.refusal(mixed) is None
    assert gpu.refusal(problem("mgu").call(torch.float64)) == "it takes float32, bfloat16 and float16"
