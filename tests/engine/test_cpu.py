"""The native engine against the reference executor in float64, and what it promises about bits."""

from __future__ import annotations

import itertools
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from recurra.base.errors import ConfigError, RunError, ShapeError
from recurra.cells import CELLS
from recurra.engine import BACKENDS, Call, Result, Stepper, Weights, cpu, run
from recurra.lower import layout

pytestmark = pytest.mark.skipif(not cpu.available(), reason="recurra was installed without its native engine")

# Each form of a call once; sizes that are no multiple of any vector length, and one that is.
FORMS = {
    "one step, one row": {"T": 1, "N": 1, "I": 3, "H": 5},
    "whole vectors": {"T": 7, "N": 3, "I": 4, "H": 32},
    "reversed": {"T": 6, "N": 5, "I": 3, "H": 37, "reverse": True},
    "lengths": {"T": 6, "N": 19, "I": 20, "H": 40, "lengths": True},
    "lengths, reversed": {"T": 6, "N": 9, "I": 20, "H": 21, "lengths": True, "reverse": True},
    "zoneout mask": {"T": 5, "N": 4, "I": 3, "H": 20, "zoneout": 0.3},
    "zoneout expected": {"T": 5, "N": 4, "I": 3, "H": 20, "zoneout": "expected", "lengths": True},
    # More tokens than the gradients of weights take at once (256), and inputs too narrow for tiles.
    "one number a step": {"T": 9, "N": 31, "I": 1, "H": 21},
    "two numbers a step, lengths": {"T": 9, "N": 70, "I": 2, "H": 24, "lengths": True},
    "recurrent mask": {"T": 5, "N": 4, "I": 3, "H": 20, "mask": True, "lengths": True},
}


@pytest.fixture(autouse=True)
def _restore_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def shared(monkeypatch):
    """Small work is shared between threads too."""
    monkeypatch.setattr(cpu, "SMALLEST_SHARED_STEP", 0)
    monkeypatch.setattr(cpu, "SMALLEST_SHARED_CALL", 0)


def random_call(
    name: str,
    *,
    T: int,
    N: int,
    I: int,
    H: int,
    P: int = 7,
    lengths: bool | list[int] = False,
    reverse: bool = False,
    zoneout: float | str | None = None,
    mask: bool = False,
    seed: int = 0,
) -> Call:
    """A call with parameters that keep every cell away from its kinks and overflows."""
    g, cell = torch.Generator().manual_seed(seed), CELLS[name]
    sizes = {"I": I, "H": H, "P": P}
    packed = {p.name: 0.3 * torch.randn(p.shape(sizes), generator=g) for p in layout(cell)}
    widths = [sizes[cell.size(s)] for s in cell.states]
    states = tuple(0.1 + torch.rand(N, w, generator=g) for w in widths)
    zones: tuple[Tensor | float | None, ...] = (None,) * len(widths)
    if zoneout == "expected":
        zones = (0.25,) * len(widths)
    elif zoneout is not None:
        zones = tuple(torch.rand(T, N, w, generator=g) < zoneout for w in widths)
    if isinstance(lengths, list):
        chosen: Tensor | None = torch.tensor(lengths)
    else:
        chosen = torch.randint(0, T + 1, (N,), generator=g) if lengths else None
    return Call(
        torch.randn(T, N, I, generator=g),
        states,
        Weights(cell, packed),
        lengths=chosen,
        reverse=reverse,
        zoneout=zones,
        recurrent_mask=(torch.rand(N, widths[0], generator=g) < 0.5) * 2.0 if mask else None,
    )


def answers_and_gradients(call: Call, backend: str, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Output, final states, and the gradients of a fixed random weighting of both."""

    def leaf(t: Tensor) -> Tensor:
        return t.detach().to(dtype).requires_grad_()

    x, states = leaf(call.x), tuple(leaf(s) for s in call.states)
    packed = {name: leaf(t) for name, t in call.weights.packed.items()}
    mask = None if call.recurrent_mask is None else call.recurrent_mask.to(dtype)
    copy = Call(x, states, Weights(call.cell, packed), call.lengths, call.reverse, call.zoneout, mask)
    result = run(copy, backend=backend)
    g = torch.Generator().manual_seed(5)
    tops = [result.output, *result.states]
    loss = torch.stack([(t * torch.randn(t.shape, generator=g).to(dtype)).sum() for t in tops]).sum()
    leaves = {"d x": x, **{f"d {n}0": s for n, s in zip(call.cell.states, states, strict=True)}}
    leaves |= {f"d {name}": t for name, t in packed.items()}
    gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    found = {"output": result.output, **dict(zip(call.cell.states, result.states, strict=True))}
    found |= {n: torch.zeros_like(t) if d is None else d for (n, t), d in zip(leaves.items(), gradients, strict=True)}
    return {name: t.detach() for name, t in found.items()}


def assert_close(got: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Within 4e-6 of each tensor's largest number: 2^-24 a rounding, some thirty of them one after another."""
    for name, value in expected.items():
        scale = max(1.0, float(value.abs().max()))
        torch.testing.assert_close(got[name].double(), value, rtol=0, atol=4e-6 * scale, msg=f"{name} differs")


def assert_same_bits(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    for name in a:
        assert torch.equal(a[name], b[name]), name


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CELLS)
def test_every_cell_gives_the_references_answers_and_gradients(name, form):
    call = random_call(name, **FORMS[form])
    expected = answers_and_gradients(call, "reference", torch.float64)
    got = answers_and_gradients(call, "cpu")
    assert_close(got, expected)


@pytest.mark.parametrize("isa", cpu.instruction_sets())
@pytest.mark.parametrize("name", ["lstm_peephole", "gru_reset_before", "lstm_projected", "lstm_layernorm", "slstm"])
def test_every_instruction_set_agrees_with_the_reference(name, isa, monkeypatch):
    monkeypatch.setenv("RECURRA_ISA", isa)
    call = random_call(name, **FORMS["lengths, reversed"])
    expected = answers_and_gradients(call, "reference", torch.float64)
    assert_close(answers_and_gradients(call, "cpu"), expected)


def test_an_unknown_instruction_set_is_named_with_what_there_is(monkeypatch):
    monkeypatch.setenv("RECURRA_ISA", "avx1024")
    with pytest.raises(ConfigError, match=r"RECURRA_ISA: unknown instruction set 'avx1024'"):
        cpu.instruction_set()


@pytest.mark.parametrize("name", ["lstm", "gru_reset_before", "lstm_projected", "lstm_layernorm", "indrnn"])
@pytest.mark.parametrize("N", [1, 5, 40])
def test_any_number_of_threads_gives_the_same_bits(name, N, shared):
    call = random_call(name, T=9, N=N, I=6, H=70, P=40, lengths=True, seed=N)
    torch.set_num_threads(1)
    alone = answers_and_gradients(call, "cpu")
    for threads in (2, 3, 4, 8):
        torch.set_num_threads(threads)
        assert_same_bits(answers_and_gradients(call, "cpu"), alone)


# More tokens than there is memory for deltas at once (512): several blocks of steps, and steps of more rows than that.
MANY = {
    "even": {"T": 40, "N": 31, "I": 6, "H": 20},
    "whole vectors": {"T": 40, "N": 31, "I": 6, "H": 16},
    "lengths, reversed": {"T": 70, "N": 31, "I": 6, "H": 20, "lengths": True, "reverse": True},
    "zoneout mask": {"T": 70, "N": 19, "I": 6, "H": 20, "lengths": True, "zoneout": 0.3},
    "one number a step": {"T": 90, "N": 8, "I": 1, "H": 16},
    "many rows": {"T": 3, "N": 600, "I": 6, "H": 20},
}


@pytest.mark.parametrize("form", MANY)
@pytest.mark.parametrize("name", ["rnn", "indrnn"])
def test_deltas_of_many_steps_are_summed_up_a_few_at_a_time(name, form, shared):
    call = random_call(name, **MANY[form])
    torch.set_num_threads(1)
    alone = answers_and_gradients(call, "cpu")
    assert_close(alone, answers_and_gradients(call, "reference", torch.float64))
    for threads in (2, 3):
        torch.set_num_threads(threads)
        assert_same_bits(answers_and_gradients(call, "cpu"), alone)


@pytest.mark.parametrize("name", ["lstm", "gru", "gru_reset_before", "lstm_layernorm", "lstm_projected"])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_sequence_has_the_same_bits_alone_and_in_any_batch(name, reverse):
    lengths = [4, 9, 1, 0, 7, *([9] * 30)]
    call = random_call(name, T=9, N=35, I=6, H=24, lengths=lengths, reverse=reverse)
    together = answers_and_gradients(call, "cpu")
    for n, length in itertools.islice(enumerate(lengths), 7):
        x, states = call.x[:length, n : n + 1], tuple(s[n : n + 1] for s in call.states)
        if length == 0:
            continue
        alone = run(Call(x, states, call.weights, reverse=reverse), backend="cpu")
        assert torch.equal(alone.output[:, 0], together["output"][:length, n])
        for state, s in zip(call.cell.states, alone.states, strict=True):
            assert torch.equal(s[0], together[state][n])


@pytest.mark.parametrize("name", CELLS)
def test_what_is_in_the_padding_changes_no_bit(name):
    call = random_call(name, T=6, N=5, I=3, H=20, lengths=[3, 6, 0, 1, 5])
    padding = ~(torch.arange(6).unsqueeze(1) < call.lengths)
    clean = answers_and_gradients(call, "cpu")
    call.x[padding] = float("nan")
    assert_same_bits(answers_and_gradients(call, "cpu"), clean)
    assert clean["output"][padding].abs().max() == 0
    assert clean["d x"][padding].abs().max() == 0


def test_nan_in_one_sequence_stays_in_that_sequence():
    call = random_call("lstm", T=4, N=17, I=3, H=20)
    call.x[2, 5] = float("nan")
    output = run(call, backend="cpu").output
    assert output[2:, 5].isnan().all()
    output[2:, 5] = 0
    assert output.isfinite().all()


@pytest.mark.parametrize("name", CELLS)
def test_a_sequence_in_two_pieces_has_the_bits_of_one(name):
    call = random_call(name, T=8, N=3, I=4, H=20)
    whole = run(call, backend="cpu")
    first = run(Call(call.x[:3], call.states, call.weights), backend="cpu")
    second = run(Call(call.x[3:], first.states, call.weights), backend="cpu")
    assert torch.equal(torch.cat([first.output, second.output]), whole.output)
    assert all(torch.equal(a, b) for a, b in zip(second.states, whole.states, strict=True))


def test_odd_memory_layouts_are_read_as_what_they_mean():
    call = random_call("gru", T=5, N=4, I=6, H=10)
    x = torch.randn(4, 6, 10)[..., ::2].permute(2, 0, 1)  # (5, 4, 6), no two dimensions in order
    states = (call.states[0][:1].expand(4, 10),)
    odd = run(Call(x, states, call.weights), backend="cpu").output
    assert torch.equal(odd, run(Call(x.contiguous(), (states[0].contiguous(),), call.weights), backend="cpu").output)


def test_only_the_gradients_that_are_asked_for_are_made():
    call = random_call("lstm", T=5, N=4, I=6, H=10)
    everything = answers_and_gradients(call, "cpu")
    call.weights.packed["weight_hh"].requires_grad_()
    g = torch.Generator().manual_seed(5)
    result = run(call, backend="cpu")
    tops = [result.output, *result.states]
    torch.stack([(t * torch.randn(t.shape, generator=g)).sum() for t in tops]).sum().backward()
    assert torch.equal(call.weights.packed["weight_hh"].grad, everything["d weight_hh"])
    assert call.x.grad is None


def gradient_twice(result: Result, x: Tensor) -> tuple[Tensor, Tensor]:
    (first,) = torch.autograd.grad(result.output.sum(), x, retain_graph=True)
    (second,) = torch.autograd.grad(result.output.sum(), x)
    return first, second


@pytest.mark.parametrize("tops", [(0,), (1,), (2,), (0, 2)])
@pytest.mark.parametrize("asked", ["x", "weight_hh", "states"])
def test_gradients_flow_from_some_of_the_results_to_some_of_the_inputs(tops, asked):
    """What nobody uses counts as a gradient of zeros, and what nobody asks for has no memory."""
    found = []
    for backend, dtype in (("cpu", torch.float32), ("reference", torch.float64)):
        call = random_call("lstm", T=4, N=3, I=6, H=20, lengths=[4, 0, 2])
        x, states = call.x.to(dtype), tuple(s.to(dtype) for s in call.states)
        packed = {name: t.to(dtype) for name, t in call.weights.packed.items()}
        leaf = {"x": x, "weight_hh": packed["weight_hh"], "states": states[1]}[asked].requires_grad_()
        result = run(Call(x, states, Weights(call.cell, packed), call.lengths), backend=backend)
        used = [(result.output, *result.states)[k] for k in tops]
        (gradient,) = torch.autograd.grad(torch.stack([t.sin().sum() for t in used]).sum(), leaf)
        found.append({asked: gradient.double()})
    assert found[1][asked].any()
    assert_close(*found)


def test_the_tape_can_be_read_twice():
    call = random_call("lstm", T=5, N=4, I=6, H=10)
    call.x.requires_grad_()
    assert torch.equal(*gradient_twice(run(call, backend="cpu"), call.x))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("width", "laid"), [(2, lambda x: x), (2, lambda x: x.transpose(0, 1)), (1, lambda x: x.expand(2, 2, 3))]
)
def test_second_derivatives_are_refused(width, laid, weighted):
    """Also of an input that is copied before it is read: they were zeros, for the copy depended on nothing."""
    call = random_call("rnn", T=2, N=2, I=3, H=4)
    call.weights.packed["weight_ih"].requires_grad_(weighted)
    x = call.x[:, :width].clone().requires_grad_()
    output = run(Call(laid(x), call.states, call.weights), backend="cpu").output
    (d,) = torch.autograd.grad(output.sum(), x, create_graph=True)
    with pytest.raises(RunError, match='backend "cpu" has no second derivatives'):
        torch.autograd.grad(d.sum(), x, allow_unused=True)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"lengths": torch.tensor([1, 9])}, r"lengths\[1\] is 9, expected 0 to 4"),
        ({"lengths": torch.tensor([1, -1])}, r"lengths\[1\] is -1"),
        ({"lengths": torch.tensor([1])}, r"lengths: got \(1,\), expected \(2,\)"),
        ({"x": torch.zeros(4, 2, 5)}, r"weight_ih: got \(40, 3\), expected \(40, 5\)"),
        ({"states": (torch.zeros(2, 10), torch.zeros(2, 9))}, r"initial state c: got \(2, 9\), expected \(2, 10\)"),
        ({"states": (torch.zeros(2, 10),)}, "the number of states: got 1, expected 2"),
        ({"recurrent_mask": torch.zeros(2, 9)}, r"recurrent_mask: got \(2, 9\)"),
        ({"zoneout": (torch.zeros(4, 2, 9), None)}, r"a zoneout mask: got \(4, 2, 9\)"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change, sentence):
    call = random_call("lstm", T=4, N=2, I=3, H=10)
    fields = {name: getattr(call, name) for name in ("x", "states", "weights", "lengths", "zoneout", "recurrent_mask")}
    with pytest.raises(ShapeError, match=sentence):
        run(Call(**(fields | change)), backend="cpu")


def test_float64_is_refused_by_name_and_left_to_others_by_auto():
    call = random_call("gru_simple", T=2, N=2, I=3, H=4)
    weights = Weights(call.cell, {n: t.double() for n, t in call.weights.packed.items()})
    double = Call(call.x.double(), tuple(s.double() for s in call.states), weights)
    with pytest.raises(ConfigError, match="it takes float32"):
        run(double, backend="cpu")
    assert BACKENDS["cpu"].refusal(double) == "it takes float32"
    assert run(double).output.dtype == torch.float64


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("N", [1, 3])
def test_a_stepper_has_the_bits_of_the_whole_run(name, N):
    call = random_call(name, T=4, N=N, I=5, H=20)
    whole, step, states = run(call, backend="cpu"), Stepper(call.weights), list(call.states)
    for t in range(4):
        states = step(call.x[t], states)
        assert torch.equal(states[0], whole.output[t])
    assert all(torch.equal(a, b) for a, b in zip(states, whole.states, strict=True))


@pytest.mark.parametrize("name", ["lstm", "gru_reset_before", "lstm_layernorm", "lstm_projected"])
@pytest.mark.parametrize("N", [1, 40])
def test_a_stepper_has_the_same_bits_on_any_number_of_threads(name, N, shared):
    call = random_call(name, T=3, N=N, I=5, H=70)
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        step, states = Stepper(call.weights), list(call.states)
        for x in call.x:
            states = step(x, states)
        found.append(states)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def test_a_stepper_refuses_what_does_not_fit():
    call = random_call("lstm", T=4, N=2, I=5, H=20)
    step = Stepper(call.weights)
    with pytest.raises(ShapeError, match=r"x: got \(2, 4\) torch.float32 on cpu, expected \(2, 5\)"):
        step(call.x[0, :, :4], call.states)
    with pytest.raises(ShapeError, match=r"state 1: got \(2, 20\) torch.float64"):
        step(call.x[0], (call.states[0], call.states[1].double()))


def test_eight_python_threads_at_once_get_the_same_bits(shared):
    call = random_call("lstm", T=9, N=5, I=6, H=70, lengths=True)
    torch.set_num_threads(2)
    expected = answers_and_gradients(call, "cpu")
    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(lambda _: answers_and_gradients(call, "cpu"), range(16)):
            assert_same_bits(got, expected)


def test_a_forked_child_does_not_wait_for_its_parents_threads(shared):
    call = random_call("lstm", T=9, N=5, I=6, H=70)
    torch.set_num_threads(2)
    expected = run(call, backend="cpu").output
    child = os.fork()
    if child == 0:
        os._exit(0 if torch.equal(run(call, backend="cpu").output, expected) else 1)
    assert os.waitpid(child, 0)[1] == 0
