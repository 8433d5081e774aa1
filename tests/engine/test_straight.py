"""The shortest way of a layer gives the bits of the long one, and leaves to it what it cannot do."""

from __future__ import annotations

import copy
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.testing import assert_close

from recurra import engine
from recurra.base.errors import RunError, ShapeError
from recurra.cells import CELLS
from recurra.engine import cpu, straight
from recurra.engine.memory import PLAIN
from recurra.nn import GRU, LSTM, Recurrent

pytestmark = pytest.mark.skipif(not cpu.available(), reason="recurra was installed without its native engine")


def by_the_long_way(layer, x, states=None):
    """The same layer's answer by `engine.run`, from zeros or the states (1, N, width)."""
    x = x.transpose(0, 1) if layer.batch_first else x
    before = states or tuple(torch.zeros(1, x.shape[1], size) for size in layer.state_sizes())
    made = engine.run(engine.Call(x, tuple(s[0] for s in before), layer.weights_of(0, 0)))
    after = tuple(s.unsqueeze(0) for s in made.states)
    return made.output.transpose(0, 1) if layer.batch_first else made.output, after if len(after) > 1 else after[0]


def long_way(layer, x):
    with torch.no_grad():
        return by_the_long_way(layer, x)


def flat(made):
    output, state = made
    return [output, *(state if isinstance(state, tuple) else (state,))]


def gradients(layer, x, way):
    """Of a sum of all results, each with a weight of its own: of x and of the parameters."""
    x = x.clone().requires_grad_()
    results = flat(way(layer, x))
    weights = [torch.linspace(-1, 1, r.numel()).view_as(r) for r in results]
    loss = sum((r * w).sum() for r, w in zip(results, weights, strict=True))
    return torch.autograd.grad(loss, [x, *layer.parameters()])


def called(layer, x):
    return layer(x)


@pytest.fixture
def taken(monkeypatch):
    """How many calls went the shortest way to its end."""
    counted = []

    def watched(way):
        def run(*given):
            if (made := way(*given)) is not None:
                counted.append(1)
            return made

        return run

    for way in ("run", "again"):
        monkeypatch.setattr(straight.Straight, way, watched(getattr(straight.Straight, way)))
    return counted


@pytest.mark.parametrize("cell", sorted(CELLS))
@pytest.mark.parametrize("shape", [(1, 1, 3), (7, 5, 4), (3, 17, 1)])
def test_every_cell_has_the_bits_of_the_long_way(cell, shape, taken):
    torch.manual_seed(3)
    projected = {"proj_size": 6} if cell == "lstm_projected" else {}
    layer, x = Recurrent(shape[2], 19, cell=cell, **projected), torch.randn(shape)
    with torch.no_grad():
        short = layer(x)
    assert taken == [1]
    for a, b in zip(flat(short), flat(long_way(layer, x)), strict=True):
        assert a.shape == b.shape
        assert torch.equal(a, b)


@pytest.mark.parametrize("isa", cpu.instruction_sets())
@pytest.mark.parametrize("cell", sorted(CELLS))
def test_every_cell_has_the_gradients_of_the_long_way_in_their_bits(cell, isa, taken, monkeypatch):
    monkeypatch.setenv("RECURRA_ISA", isa)
    torch.manual_seed(4)
    projected = {"proj_size": 6} if cell == "lstm_projected" else {}
    layer, x = Recurrent(4, 19, cell=cell, **projected), torch.randn(7, 5, 4)
    found = gradients(layer, x, called)
    assert taken == [1]
    assert all(map(torch.equal, found, gradients(layer, x, by_the_long_way)))


@pytest.mark.parametrize("frozen", [("x",), ("weight_ih_l0", "bias_hh_l0"), ("x", "weight_hh_l0")])
def test_what_wants_no_gradient_gets_none_and_changes_no_other(frozen):
    layer, x = LSTM(3, 5), torch.randn(6, 4, 3).requires_grad_()
    leaves = {"x": x, **dict(layer.named_parameters())}
    every = dict(zip(leaves, torch.autograd.grad(layer(x)[0].sum(), leaves.values()), strict=True))
    for name in frozen:
        leaves[name].requires_grad_(requires_grad=False)
    layer(x)[0].sum().backward()
    assert all(leaves[name].grad is None for name in frozen)
    assert all(torch.equal(leaves[name].grad, every[name]) for name in leaves if name not in frozen)


def test_only_a_state_may_be_asked_for_gradients():
    layer, x = LSTM(3, 5), torch.randn(6, 4, 3)
    leaves = list(layer.parameters())
    found = torch.autograd.grad(layer(x)[1][1].sum(), leaves)
    assert all(map(torch.equal, found, torch.autograd.grad(by_the_long_way(layer, x)[1][1].sum(), leaves)))


def test_gradients_can_be_asked_for_again_with_the_same_bits(taken):
    layer, x = LSTM(3, 5), torch.randn(6, 4, 3)
    leaves, total = list(layer.parameters()), layer(x)[0].square().sum()
    first, *others = [torch.autograd.grad(total, leaves, retain_graph=True) for _ in range(3)]
    assert taken == [1]
    assert all(torch.equal(a, b) for other in others for a, b in zip(first, other, strict=True))


def test_second_derivatives_and_batches_of_gradients_are_refused(taken):
    layer, x = LSTM(3, 5), torch.randn(6, 4, 3)
    leaves, output = list(layer.parameters()), layer(x)[0]
    made = torch.autograd.grad(output.square().sum(), leaves, create_graph=True)
    with pytest.raises(RunError, match="no second derivatives"):
        made[0].sum().backward()
    with pytest.raises(RunError, match="no batched gradients"):
        torch.autograd.grad(layer(x)[0], leaves, torch.zeros(2, 6, 4, 5), is_grads_batched=True)
    assert taken == [1, 1]


def test_a_write_between_a_call_and_its_backward_pass_is_refused():
    layer, x = LSTM(3, 5), torch.randn(6, 4, 3)
    output = layer(x)[0]
    with torch.no_grad():
        layer.weight_hh_l0.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


@pytest.mark.parametrize("plainly", [False, True])
def test_tensors_are_read_by_their_interface_in_c_or_by_questions_alike(plainly):
    read = cpu._native.Torch(torch.Tensor, tuple(PLAIN), torch.float32, plainly).reads
    plain = torch.randn(4, 3, 2)
    readable = [
        plain,
        torch.nn.Parameter(plain),
        torch.nn.Buffer(plain),
        plain[1:],
        plain[:, :1, :].transpose(0, 1)[:, :1],
        torch.zeros(7),
    ]
    negated = torch.zeros(4, dtype=torch.complex64).conj().imag.contiguous()._neg_view()
    unreadable = [
        plain.transpose(0, 1), plain.double(), plain.bfloat16(), plain.to("meta"), plain.to_sparse(), negated,
        torch.zeros(1, 1, 1, 1), torch.zeros(0), 3,
    ]  # fmt: skip
    assert [read(t) for t in readable] == [True] * len(readable)
    assert [type(t).__name__ for t in unreadable if read(t)] == []


def test_the_batch_may_come_first(taken):
    layer, x = GRU(3, 5, batch_first=True), torch.randn(1, 6, 3)
    with torch.no_grad():
        short = layer(x)
    assert taken == [1]
    assert all(torch.equal(a, b) for a, b in zip(flat(short), flat(long_way(layer, x)), strict=True))


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (LSTM(3, 5), torch.randn(6, 4, 3).transpose(0, 1)),  # not in order
        (LSTM(3, 5).double(), torch.randn(6, 4, 3, dtype=torch.float64)),
        (LSTM(3, 5), torch.randn(0, 4, 3)),
        (LSTM(3, 5), torch.randn(6, 3)),  # no batch
        (LSTM(3, 5, num_layers=2, dropout=0.5), torch.randn(6, 4, 3)),
        (LSTM(3, 5, bidirectional=True), torch.randn(6, 4, 3)),
        (LSTM(3, 5, zoneout=0.5), torch.randn(6, 4, 3)),
        (LSTM(3, 5, variational_dropout=0.5), torch.randn(6, 4, 3)),
        (LSTM(3, 5, backend="reference"), torch.randn(6, 4, 3)),
    ],
)
def test_what_asks_for_more_goes_the_long_way(layer, x, taken):
    with torch.no_grad():
        layer(x)
    assert not taken


@pytest.mark.parametrize("cell", sorted(CELLS))
@pytest.mark.parametrize("shape", [(1, 1, 3), (7, 5, 4)])
def test_every_cell_goes_on_from_states_with_the_bits_of_the_long_way(cell, shape, taken):
    torch.manual_seed(5)
    projected = {"proj_size": 6} if cell == "lstm_projected" else {}
    layer, x = Recurrent(shape[2], 19, cell=cell, **projected), torch.randn(shape)
    states = tuple(torch.rand(1, shape[1], size) + 0.5 for size in layer.state_sizes())
    kept = [s.clone() for s in states]
    with torch.no_grad():
        layer(x)  # from zeros, which says nothing of the next call
        short = layer(x, states if len(states) > 1 else states[0])
        expected = by_the_long_way(layer, x, states)
    assert len(taken) == 2
    assert all(map(torch.equal, flat(short), flat(expected)))
    assert all(map(torch.equal, states, kept))


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_several_layers_go_the_shortest_way_one_by_one_with_the_same_bits(cell, given, batch_first, taken):
    torch.manual_seed(6)
    layer, x = Recurrent(3, 5, num_layers=3, cell=cell, batch_first=batch_first), torch.randn(6, 4, 3)
    x = x.transpose(0, 1) if batch_first else x
    hx = tuple(torch.randn(3, 4, size) for size in layer.state_sizes())
    hx = (hx if len(hx) > 1 else hx[0]) if given else None
    with torch.no_grad():
        short = layer(x, hx)
    assert len(taken) == 3
    with torch.enable_grad():
        long = layer(x, hx, lengths=[6] * 4)  # with gradients, which this way has not
    assert all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(flat(short), flat(long), strict=True))


def test_lengths_that_say_that_all_steps_are_real_take_the_shortest_way_and_no_others(taken):
    layer, x = GRU(3, 5), torch.randn(6, 4, 3)
    with torch.no_grad():
        whole = layer(x, lengths=torch.full((4,), 6))
        assert len(taken) == 1
        assert all(map(torch.equal, flat(whole), flat(by_the_long_way(layer, x))))
        assert all(map(torch.equal, flat(layer(x, lengths=[6, 6, 6, 6])), flat(whole)))
        layer(x, lengths=torch.tensor([6, 6, 6, 5]))
        assert len(taken) == 1
        for wrong in (torch.full((5,), 6), torch.full((4,), 6.0)):
            with pytest.raises(ShapeError, match="lengths has shape"):
                layer(x, lengths=wrong)


def test_states_that_ask_for_a_gradient_get_one(taken):
    layer, x = GRU(3, 5), torch.randn(6, 4, 3)
    h = torch.randn(1, 4, 5, requires_grad=True)
    for parameter in layer.parameters():
        parameter.requires_grad_(requires_grad=False)
    layer(x, h)[0].sum().backward()
    assert not taken
    assert h.grad.abs().sum() > 0


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("shapes", "message"), [((), "hx has 0"), ((4,), "hx has 1"), ((3, 4), "Expected hidden")])
def test_states_of_another_number_or_shape_are_refused_as_ever(shapes, message, layers):
    states = tuple(torch.zeros(layers, rows, 5) for rows in shapes)
    with pytest.raises(ShapeError, match=message), torch.no_grad():
        LSTM(3, 5, num_layers=layers)(torch.randn(6, 4, 3), states)


def test_a_parameter_of_another_shape_is_refused_as_ever():
    layer = LSTM(3, 5)
    layer.weight_hh_l0.data = layer.weight_hh_l0.data[:8]
    with pytest.raises(ShapeError), torch.no_grad():
        layer(torch.randn(6, 4, 3))


def test_changed_parameters_are_seen_at_once(taken):
    layer, x = LSTM(3, 5), torch.randn(6, 4, 3)
    with torch.no_grad():
        before = layer(x)[0]
        layer.weight_ih_l0.data.mul_(2.0)
        after = layer(x)[0]
        layer.weight_ih_l0.data = layer.weight_ih_l0.data.clone().mul_(0.5)
        again = layer(x)[0]
    assert len(taken) == 3
    assert not torch.equal(before, after)
    assert torch.equal(before, again)


def test_a_layer_can_be_copied_after_it_was_called():
    layer, x = LSTM(3, 5), torch.randn(6, 4, 3)
    with torch.no_grad():
        expected = layer(x)[0]
        assert torch.equal(copy.deepcopy(layer)(x)[0], expected)


def none_of(layer):
    """Options of a layer that a call notices, each with how the layer answers then."""

    def of_reference():
        layer.backend = "reference"

    def with_zoneout():
        layer.zoneout = (0.5, 0.5)

    def watched():
        layer.watch = lambda *told: None

    def halved():
        nn.utils.parametrize.register_parametrization(layer, "weight_hh_l0", Halved())

    def hooked():
        layer.register_forward_hook(lambda layer, given, made: (made[0] * 2, made[1]))

    return {f.__name__: f for f in (of_reference, with_zoneout, watched, halved, hooked)}


class Halved(nn.Module):
    def forward(self, weight):
        return weight / 2


@pytest.mark.parametrize("change", none_of(None))
@pytest.mark.parametrize("grad", [False, True])
def test_a_change_of_a_layer_is_noticed_after_calls_that_asked_nothing(change, grad, taken):
    torch.manual_seed(5)
    layer, x = LSTM(3, 5).eval(), torch.randn(6, 4, 3)
    with torch.set_grad_enabled(grad):
        plain = [layer(x)[0] for _ in range(3)][-1]
        before = len(taken)
        none_of(layer)[change]()
        changed = layer(x)[0]
    assert before == 3
    assert len(taken) == (4 if change in {"halved", "hooked"} else 3)
    if change == "hooked":
        assert torch.equal(changed, plain * 2)
    else:
        rows = x.shape[0] if layer.batch_first else x.shape[1]
        zeros = tuple(torch.zeros(layer.num_layers * layer.num_directions, rows, 5) for _ in range(2))
        assert_close(changed, layer(x, zeros)[0], atol=1e-6, rtol=1e-5)
        assert torch.allclose(changed, plain) == (change in {"of_reference", "watched"})


def test_a_call_with_other_parameters_takes_those():
    layer, x = LSTM(3, 5), torch.randn(6, 4, 3)
    others = {name: torch.randn_like(p) for name, p in layer.named_parameters()}
    with torch.no_grad():
        plain = [layer(x)[0] for _ in range(3)][-1]
        swapped = torch.func.functional_call(layer, others, (x,))[0]
        assert torch.equal(layer(x)[0], plain)
        layer.load_state_dict(others)
        assert torch.equal(layer(x)[0], swapped)
    assert not torch.allclose(plain, swapped)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, of its jit
def test_batched_calls_and_tangents_go_another_way_after_calls_that_asked_nothing(taken):
    layer, x = LSTM(3, 5), torch.randn(6, 4, 3)
    with torch.no_grad():
        plain = [layer(x)[0] for _ in range(3)][-1]
        each = torch.func.vmap(lambda one: layer(one)[0])(torch.stack([x, x]))
        with forward_ad.dual_level():
            tangent = forward_ad.unpack_dual(layer(forward_ad.make_dual(x, torch.ones_like(x)))[0]).tangent
    assert_close(each, torch.stack([plain, plain]), atol=1e-6, rtol=1e-5)
    assert tangent is not None
    assert len(taken) == 3


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_a_recording_of_a_layer_follows_its_weights_after_calls_that_asked_nothing():
    layer, x = GRU(3, 5), torch.randn(6, 4, 3)
    with torch.no_grad():
        for _ in range(3):
            layer(x)
        traced = torch.jit.trace(layer, x, check_trace=False)
        layer.weight_hh_l0.mul_(0.5)
        assert_close(traced(x)[0], layer(x)[0], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("isa", cpu.instruction_sets())
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_zeros_times_recurrent_weights_that_are_not_finite_are_not_left_out(value, isa, monkeypatch):
    monkeypatch.setenv("RECURRA_ISA", isa)
    layer, x = LSTM(3, 16), torch.randn(1, 1, 3)
    with torch.no_grad():
        layer.weight_hh_l0[2, 4] = value
        for _ in range(3):
            assert layer(x)[0][0, 0].isnan().nonzero().flatten().tolist() == [2]


@pytest.mark.parametrize("isa", cpu.instruction_sets())
@pytest.mark.parametrize("cell", ["rnn", "gru", "gru_reset_before", "lstm", "lstm_peephole", "lstm_layernorm"])
@pytest.mark.parametrize("sizes", [(32, 32), (5, 19)])
def test_gradients_of_a_few_steps_have_the_bits_of_many(sizes, cell, isa, monkeypatch):
    monkeypatch.setenv("RECURRA_ISA", isa)
    torch.manual_seed(6)
    layer, x = Recurrent(*sizes, cell=cell), torch.randn(9, 1, sizes[0])
    leaves, top = list(layer.parameters()), torch.randn(9, 1, sizes[1])
    top[8] = 0  # a step that nothing comes from changes no sum
    few = torch.autograd.grad(layer(x[:8])[0], leaves, top[:8])
    many = torch.autograd.grad(layer(x)[0], leaves, top)
    assert all(map(torch.equal, few, many))


def test_the_shortest_way_says_nothing_of_what_it_cannot_do():
    layer = LSTM(3, 5)
    packed = dict(layer.named_parameters())
    assert straight.Straight().run(layer.cell, torch.randn(6, 3), tuple(packed), tuple(packed.values())) is None


def test_an_engine_built_before_goes_the_long_way(monkeypatch):
    x = torch.randn(6, 4, 3)
    older = type("older", (), {k: staticmethod(getattr(cpu._native, k)) for k in ("Call", "forward", "isas")})
    with monkeypatch.context() as patched:
        patched.setattr(cpu, "_native", older)
        layer = LSTM(3, 5)
    expected = long_way(layer, x)
    monkeypatch.setattr(cpu, "_native", older)
    with torch.no_grad():
        assert torch.equal(layer(x)[0], expected[0])


def at_once(work, count=4):
    """What threads that start together make of work(0), work(1), ..."""
    ready = Barrier(count)

    def one(k):
        ready.wait()
        return work(k)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(count) as threads:
            return list(threads.map(one, range(count)))
    finally:
        sys.setswitchinterval(before)


def test_threads_that_call_one_layer_with_other_shapes_get_their_own_results():
    layer, shapes = LSTM(3, 16), [(1 + k % 4, 1 + k // 4) for k in range(16)]
    given = [torch.randn(T, N, 3) for T, N in shapes]
    with torch.no_grad():
        wanted = [by_the_long_way(layer, x)[0] for x in given]

    def calls(thread):
        mine = [(thread + n) % 16 for n in range(3000)]
        with torch.no_grad():
            return [k for k in mine if not torch.equal(layer(given[k])[0], wanted[k])]

    assert at_once(calls) == [[]] * 4


def test_threads_that_ask_for_the_same_gradients_all_get_them():
    layer = LSTM(3, 16)
    leaves = list(layer.parameters())
    for _ in range(100):
        output = layer(torch.randn(2, 1, 3))[0]
        top = torch.randn_like(output)
        found = at_once(lambda _, o=output, d=top: torch.autograd.grad(o, leaves, d, retain_graph=True))
        assert all(map(torch.equal, sum(found, ()), found[0] * len(found)))
