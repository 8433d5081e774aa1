"""Linear layers on the tiles, alone and with cross-entropy: against NumPy in float64, and what they promise of bits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from oracles import linear_layer as oracle
from recurra.engine import cpu, linear

pytestmark = pytest.mark.skipif(not cpu.available(), reason="recurra was installed without its native engine")

# M rows, D features, V words: one of everything; less than a vector; whole vectors; several chunks of rows (more than
# 96), blocks of words (256) and depth (512; 64 to 512 of few rows; of a weight's gradient 256 rows, and 64 words packed
# together), none of them full.
SIZES = (
    (1, 1, 1), (3, 5, 2), (32, 64, 96), (40, 33, 50), (2, 130, 700), (230, 7, 300), (101, 21, 1030), (65, 530, 40),
    (1, 270, 130), (4, 515, 33), (12, 1100, 70), (600, 150, 130),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _restore_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiles(monkeypatch):
    """Plain products run on the tiles whatever the processor and the size."""
    monkeypatch.setattr(linear, "tiles_beat_torch", lambda: True)
    monkeypatch.setattr(linear, "FEWEST_ROWS", 0)


@pytest.fixture
def shared(monkeypatch):
    """Small work is shared between threads too."""
    monkeypatch.setattr(cpu, "SMALLEST_SHARED_CALL", 0)


def problem(M, D, V, seed=0):
    """x, weight, bias, targets."""
    g = torch.Generator().manual_seed(seed)
    x, weight, bias = (torch.randn(shape, generator=g) for shape in ((M, D), (V, D), (V,)))
    return x, weight * D**-0.5, bias, torch.randint(V, (M,), generator=g)


def loss_and_gradients(x, weight, bias, targets, *, smoothing=0.0, upstream=None):
    leaves = [t.detach().clone().requires_grad_() for t in (x, weight, bias)]
    nats = linear.cross_entropy(*leaves, targets, smoothing)
    upstream = torch.full_like(nats, 1 / len(nats)) if upstream is None else upstream
    return nats.detach(), *torch.autograd.grad(nats, leaves, upstream)


def answer_and_gradients(x, weight, bias, d_y):
    leaves = [t.detach().clone().requires_grad_() for t in (x, weight, bias)]
    y = linear.linear(*leaves)
    return y.detach(), *torch.autograd.grad(y, leaves, d_y)


def assert_close(got, expected):
    """Within 3e-6 of each array's largest number: 2^-24 a rounding, some thirty of them one after another."""
    for name, a, b in zip(("answer", "d x", "d weight", "d bias"), got, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b, rtol=0, atol=3e-6 * max(1.0, np.abs(b).max()), err_msg=name)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("isa", cpu.instruction_sets())
def test_nats_and_gradients_are_those_of_the_equations(isa, sizes, monkeypatch):
    monkeypatch.setenv("RECURRA_ISA", isa)
    x, weight, bias, targets = problem(*sizes)
    mean = np.full(len(x), 1 / len(x))
    expected = oracle.loss(x, weight, bias, targets, upstream=mean)
    assert_close(loss_and_gradients(x, weight, bias, targets), expected)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("isa", cpu.instruction_sets())
def test_smoothed_targets_and_rows_of_different_weight_are_those_of_the_equations(isa, sizes, monkeypatch):
    monkeypatch.setenv("RECURRA_ISA", isa)
    x, weight, bias, targets = problem(*sizes)
    upstream = torch.randn(len(x), generator=torch.Generator().manual_seed(1))
    expected = oracle.loss(x, weight, bias, targets, smoothing=0.3, upstream=upstream.double().numpy())
    assert_close(loss_and_gradients(x, weight, bias, targets, smoothing=0.3, upstream=upstream), expected)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("isa", cpu.instruction_sets())
@pytest.mark.usefixtures("tiles")
def test_a_linear_layer_and_its_gradients_are_those_of_the_equations(isa, sizes, monkeypatch):
    monkeypatch.setenv("RECURRA_ISA", isa)
    x, weight, bias, _ = problem(*sizes)
    d_y = torch.randn(len(x), len(weight), generator=torch.Generator().manual_seed(1))
    assert_close(answer_and_gradients(x, weight, bias, d_y), oracle.linear(x, weight, bias, d_y))


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.usefixtures("shared", "tiles")
def test_any_number_of_threads_gives_the_same_bits(sizes):
    x, weight, bias, targets = problem(*sizes)
    upstream = torch.randn(len(x), generator=torch.Generator().manual_seed(1))
    d_y = torch.randn(len(x), len(weight), generator=torch.Generator().manual_seed(2))

    def everything(threads):
        torch.set_num_threads(threads)
        return [
            *loss_and_gradients(x, weight, bias, targets, smoothing=0.1),
            *loss_and_gradients(x, weight, bias, targets, upstream=upstream),
            *answer_and_gradients(x, weight, bias, d_y),
        ]

    alone = everything(1)
    for threads in (2, 3):
        assert all(torch.equal(a, b) for a, b in zip(everything(threads), alone, strict=True))


@pytest.mark.parametrize("isa", cpu.instruction_sets())
@pytest.mark.usefixtures("tiles")
def test_a_row_has_the_same_bits_alone_and_among_others(isa, monkeypatch):
    monkeypatch.setenv("RECURRA_ISA", isa)
    x, weight, bias, targets = problem(230, 33, 300)
    d_y = torch.randn(230, 300, generator=torch.Generator().manual_seed(2))
    nats, d_x, *_ = loss_and_gradients(x, weight, bias, targets, upstream=torch.ones(230))
    y, d_x_linear, *_ = answer_and_gradients(x, weight, bias, d_y)
    for rows in (slice(0, 1), slice(97, 98), slice(229, 230), slice(50, 170)):
        ones = torch.ones(len(x[rows]))
        few = loss_and_gradients(x[rows], weight, bias, targets[rows], upstream=ones)
        assert torch.equal(few[0], nats[rows])
        assert torch.equal(few[1], d_x[rows])
        with torch.no_grad():
            assert torch.equal(linear.cross_entropy(x[rows], weight, bias, targets[rows], 0.0), nats[rows])
        few = answer_and_gradients(x[rows], weight, bias, d_y[rows])
        assert torch.equal(few[0], y[rows])
        assert torch.equal(few[1], d_x_linear[rows])


# One row, rows that are lanes of one vector or of two, tiles that reach over several panels, several tiles, the most
# rows that are few, and more.
ROWS = (1, 2, 3, 4, 5, 6, 8, 12, 14, 16, 17, 28, 31, 32, 33, 48, 49, 60)


@pytest.mark.parametrize("isa", cpu.instruction_sets())
@pytest.mark.parametrize(("D", "V"), [(33, 300), (270, 130), (1100, 40)])
def test_few_rows_have_the_bits_of_many_however_weights_are_cut(D, V, isa, monkeypatch):
    monkeypatch.setenv("RECURRA_ISA", isa)
    x, weight, bias, _ = problem(60, D, V)
    with torch.no_grad():
        many = linear.steady_linear(x, weight, bias)
        alone = torch.cat([linear.steady_linear(x[n : n + 1], weight, bias) for n in range(60)])
        assert torch.equal(alone, many)
        for rows in ROWS:
            assert torch.equal(linear.steady_linear(x[-rows:], weight, bias), many[-rows:])


@pytest.mark.parametrize("isa", cpu.instruction_sets())
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_in_its_row(isa, poison, monkeypatch):
    monkeypatch.setenv("RECURRA_ISA", isa)
    x, weight, bias, targets = problem(40, 20, 300)
    clean = loss_and_gradients(x, weight, bias, targets)
    x[7, 3] = poison
    nats, d_x, d_weight, d_bias = loss_and_gradients(x, weight, bias, targets)
    others = torch.arange(40) != 7
    assert nats[7].isnan()
    assert d_x[7].isnan().all()
    assert torch.equal(nats[others], clean[0][others])
    assert torch.equal(d_x[others], clean[1][others])
    assert d_weight.isnan().any()
    assert d_bias.isnan().any()


@pytest.mark.parametrize("isa", cpu.instruction_sets())
def test_huge_and_impossible_logits_behave_as_in_torch(isa, monkeypatch):
    monkeypatch.setenv("RECURRA_ISA", isa)
    inf, V = float("inf"), 600  # three blocks of words, the second impossible throughout
    bias = torch.zeros(V)
    bias[256:512] = -inf
    weight, targets = torch.zeros(V, 2), torch.tensor([0, 300, 599, 1])
    weight[0], weight[1] = torch.tensor([300.0, 0.0]), torch.tensor([-300.0, 0.0])
    x = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    # 300 against 0s; a word that cannot be; one of 344; 300 and -300.
    expected = torch.tensor([0.0, inf, np.log(344), 600.0], dtype=torch.float32)
    leaves = [t.requires_grad_() for t in (x, weight, bias)]
    nats = linear.cross_entropy(*leaves, targets, 0.0)
    torch.testing.assert_close(nats, expected)
    got = torch.autograd.grad(nats, leaves, torch.ones(4))
    usual = torch.nn.functional.cross_entropy(torch.nn.functional.linear(*leaves), targets, reduction="none")
    for a, b in zip(got, torch.autograd.grad(usual, leaves, torch.ones(4)), strict=True):
        torch.testing.assert_close(a, b, equal_nan=True, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("isa", cpu.instruction_sets())
def test_rows_that_only_fill_up_a_vector_reach_no_gradient(isa, monkeypatch):
    monkeypatch.setenv("RECURRA_ISA", isa)
    x, weight, bias, targets = problem(3, 5, 40)
    weight[7] = -float("inf")  # times the zeros that fill up: NaN; times positive features: a word that cannot be
    targets[targets == 7] = 8
    x = x.abs() + 0.1
    leaves = [weight.requires_grad_(), bias.requires_grad_()]
    got = torch.autograd.grad(linear.cross_entropy(x, *leaves, targets, 0.0).sum(), leaves)
    usual = torch.nn.functional.cross_entropy(torch.nn.functional.linear(x, *leaves), targets, reduction="sum")
    for a, b in zip(got, torch.autograd.grad(usual, leaves), strict=True):
        torch.testing.assert_close(a, b)


def test_an_overflowing_sum_of_logits_is_no_overflow_of_the_loss():
    x, weight, bias = torch.full((1, 1), 2e36), torch.full((300, 1), 1.0), torch.zeros(300)
    assert linear.cross_entropy(x, weight, bias, torch.tensor([5]), 0.0).item() == pytest.approx(np.log(300), rel=1e-6)


def test_calls_from_several_threads_at_once_do_not_disturb_one_another():
    problems = [problem(50 + k, 16, 300, seed=k) for k in range(6)]
    alone = [loss_and_gradients(*p) for p in problems]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda p: loss_and_gradients(*p), problems))
    assert all(torch.equal(a, b) for x, y in zip(alone, together, strict=True) for a, b in zip(x, y, strict=True))


@pytest.mark.usefixtures("tiles")
def test_another_default_type_changes_nothing():
    x, weight, bias, targets = problem(40, 20, 300)
    expected = *loss_and_gradients(x, weight, bias, targets), linear.linear(x, weight, bias)
    torch.set_default_dtype(torch.float64)
    try:
        got = *loss_and_gradients(x, weight, bias, targets), linear.linear(x, weight, bias)
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(got, expected, strict=True))


def resident(key):
    line = next(t for t in Path("/proc/self/status").read_text().splitlines() if t.startswith(key))
    return int(line.split()[1]) / 1024


def test_the_matrix_of_logits_is_never_held():
    try:
        Path("/proc/self/clear_refs").write_text("5")  # forgets the highest resident size so far
        before = resident("VmRSS")
    except OSError:
        pytest.skip("this system does not tell how much memory a process has used")
    loss_and_gradients(*problem(1500, 2, 20000))  # (M, V) is 114 MiB
    assert resident("VmHWM") - before < 50


def test_plain_products_are_torchs_own_where_those_are_faster(monkeypatch):
    x, weight, bias, _ = problem(70, 5, 6)
    monkeypatch.setattr(linear, "tiles_beat_torch", lambda: False)
    assert torch.equal(linear.linear(x, weight, bias), torch.nn.functional.linear(x, weight, bias))


@pytest.mark.usefixtures("tiles")
def test_a_linear_layer_takes_any_leading_sizes_and_differentiates_twice():
    x, weight, bias, _ = problem(12, 5, 6)
    leaves = [t.requires_grad_() for t in (x, weight, bias)]
    y = linear.linear(leaves[0].reshape(3, 4, 5), *leaves[1:])
    torch.testing.assert_close(y.reshape(12, 6), torch.nn.functional.linear(*leaves))
    (d_x,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)  # 2 y W, so dL/db of its sum is 2 W 1 W
    (d_b,) = torch.autograd.grad(d_x.sum(), bias)
    torch.testing.assert_close(d_b, 2 * 12 * (weight @ torch.ones(5)).detach())


@pytest.mark.parametrize(("x", "bias"), [((4, 6), 5), ((4, 9), 5), ((70, 8), 4), ((8,), 9)])
def test_sizes_that_do_not_fit_are_an_error_as_in_torch(x, bias):
    given = torch.randn(x), torch.randn(5, 8), torch.randn(bias)
    for function in (linear.steady_linear, linear.linear):
        with pytest.raises(RuntimeError, match=r"shape|size|expand"):
            function(*given)


def test_without_the_native_engine_a_product_is_torchs(monkeypatch):
    x, weight, bias, _ = problem(70, 5, 6)
    monkeypatch.setattr(linear.cpu, "_native", None)
    assert torch.equal(linear.linear(x, weight, bias), torch.nn.functional.linear(x, weight, bias))
