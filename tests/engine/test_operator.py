"""Calls that are recorded (torch.compile, torch.export, torch.jit.trace) give the numbers of calls that are run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from models.models_room import classifier
from recurra.base.contracts import Batch
from recurra.base.errors import RunError, ShapeError
from recurra.cells import CELLS, cell
from recurra.cells.language import tanh
from recurra.engine import Call, Result, Weights, cpu, linear, operator, run
from recurra.lower import layout
from recurra.nn import GRU, LSTM, Linear, Recurrent, linear_cross_entropy

pytestmark = [
    pytest.mark.skipif(not cpu.available(), reason="recurra was installed without its native engine"),
    # torch's own, from the recorders.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]

X, LENGTHS = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([5, 2, 0])


def leaves(call: Call) -> list[Tensor]:
    return [call.x, *call.states, *call.weights.packed.values()]


def some_call(name: str, T: int = 5) -> Call:
    """With everything that a call can have."""
    g, kind = torch.Generator().manual_seed(1), CELLS[name]
    sizes = {"I": 4, "H": 6, "P": 3}
    packed = {p.name: (0.3 * torch.randn(p.shape(sizes), generator=g)).requires_grad_() for p in layout(kind)}
    widths = [sizes[kind.size(s)] for s in kind.states]
    states = tuple((0.1 + torch.rand(3, w, generator=g)).requires_grad_() for w in widths)
    zones = (torch.rand(T, 3, widths[0], generator=g) < 0.3, 0.25, None, None)[: len(widths)]
    x = torch.randn(T, 3, 4, generator=g).requires_grad_()
    mask = (torch.rand(3, widths[0], generator=g) < 0.5) * 2.0
    return Call(x, states, Weights(kind, packed), LENGTHS.clamp(max=T), True, zones, mask)


def gradients(result: Result, wanted: Sequence[Tensor]) -> list[Tensor]:
    made = [result.output, *result.states]
    total = torch.stack([t.square().sum() for t in made]).sum()
    return made + list(torch.autograd.grad(total, wanted, materialize_grads=True))


def assert_same(got: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    for a, b in zip(got, expected, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", CELLS)
def test_the_operator_has_the_bits_of_the_engine(name):
    call = some_call(name)
    assert operator.has_operator(call.cell)
    assert_same(gradients(operator.run(call), leaves(call)), gradients(run(call, backend="cpu"), leaves(call)))
    plain = replace(call, lengths=None, reverse=False, zoneout=(), recurrent_mask=None)
    asked = [call.states[0], *call.weights.packed.values()][:2]
    assert_same(gradients(operator.run(plain), asked), gradients(run(plain, backend="cpu"), asked))


def test_without_a_step_the_states_and_their_gradients_go_through():
    call = some_call("lstm", T=0)
    expected = gradients(run(call, backend="reference"), leaves(call))
    assert_same(gradients(operator.run(call), leaves(call)), expected)


def test_torch_finds_the_operator_well_made():
    call = replace(some_call("gru"), zoneout=())
    torch.library.opcheck(
        torch.ops.recurra.recurrence.default,
        (call.x, list(call.states), list(call.weights.packed.values()), LENGTHS, [], None, "gru", True, [0.0]),
        test_utils=("test_schema", "test_faketensor", "test_autograd_registration"),
    )


def trained(layer: nn.Module, call: nn.Module, x: Tensor, **options: Tensor) -> list[Tensor]:
    torch.manual_seed(3)
    output, states = call(x, **options)
    return gradients(Result(output, states if isinstance(states, tuple) else (states,)), list(layer.parameters()))


@pytest.mark.parametrize("options", [{"bidirectional": True}, {"variational_dropout": 0.3, "zoneout": 0.2}])
def test_a_compiled_layer_is_one_graph_with_the_same_bits(options):
    layer = LSTM(4, 6, **options)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert_same(trained(layer, compiled, X, lengths=LENGTHS), trained(layer, layer, X, lengths=LENGTHS))


@cell()
def own(x, h, p):
    return tanh(p.W("h", x) + p.R("h", h))


@pytest.mark.parametrize(
    "layer",
    [Recurrent(4, 6, cell=own), LSTM(4, 6, backend="reference"), GRU(4, 6, dtype=torch.float64)],
    ids=["a user's cell", "reference", "float64"],
)
def test_what_the_operator_has_not_breaks_the_graph_and_gives_the_answer(layer):
    x = X.to(layer.weight_ih_l0.dtype)
    compiled = torch.compile(layer, backend="eager")
    assert_same(trained(layer, compiled, x, lengths=LENGTHS), trained(layer, layer, x, lengths=LENGTHS))


def test_lengths_out_of_range_are_refused_by_a_compiled_layer_too():
    with pytest.raises(ShapeError, match=r"lengths are \[6, 2, 0\], expected 0 to T = 5"):
        torch.compile(LSTM(4, 6), backend="eager")(X, lengths=torch.tensor([6, 2, 0]))


class Output(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        return self.layer(x, lengths=lengths)[0]


OTHER = torch.randn(9, 4, 4, generator=torch.Generator().manual_seed(1)), torch.tensor([9, 1, 0, 4])


def test_an_exported_layer_takes_other_times_and_batches():
    module = Output(LSTM(4, 6, bidirectional=True))
    T, N = torch.export.Dim("T", min=1, max=99), torch.export.Dim("N", min=1, max=99)
    program = torch.export.export(module, (X, LENGTHS), dynamic_shapes=({0: T, 1: N}, {0: N}))
    nodes = [node for node in program.graph.nodes if "recurra.recurrence" in str(node.target)]
    assert len(nodes) == 2
    assert torch.equal(program.module()(*OTHER), module(*OTHER))


def test_a_traced_layer_takes_other_times_and_batches():
    module = Output(LSTM(4, 6, bidirectional=True))
    assert torch.equal(torch.jit.trace(module, (X, LENGTHS))(*OTHER), module(*OTHER))


def test_linear_layers_are_recorded_as_torchs_own():
    layer, rows, targets = Linear(4, 6), X.reshape(-1, 4), torch.arange(15) % 6
    found = torch.compile(
        lambda x, t: linear_cross_entropy(x, layer.weight, layer.bias, t) + layer(x).sum(1),
        backend="eager",
        fullgraph=True,
    )
    expected = linear_cross_entropy(rows, layer.weight, layer.bias, targets) + layer(rows).sum(1)
    torch.testing.assert_close(found(rows, targets), expected)  # the order of summation differs
    with pytest.raises(IndexError, match="Target -100 is out of bounds"):
        found(rows, targets.index_fill(0, torch.tensor([2]), -100))


def test_a_compiled_classifier_is_one_graph():
    model = classifier(20, 3, embedding_size=5, hidden_size=6).eval()
    batch = Batch({"tokens": torch.arange(15).view(5, 3)}, LENGTHS, {}, ())
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    # A head's product is torch's where it is recorded, and sums in another order.
    torch.testing.assert_close(compiled(batch).outputs["logits"], model(batch).outputs["logits"])


def test_batches_of_gradients_are_refused_in_a_sentence_or_right(monkeypatch):
    monkeypatch.setattr(linear, "tiles_beat_torch", lambda: True)
    layer, rows = Linear(4, 6), torch.randn(70, 4)
    tops, x = torch.randn(3, 70, 6), X.clone().requires_grad_()
    (found,) = torch.autograd.grad(layer(rows), [layer.weight], tops, is_grads_batched=True)
    torch.testing.assert_close(found, tops.transpose(1, 2) @ rows)
    output, _ = GRU(4, 6)(x)
    with pytest.raises(RunError, match="no batched gradients"):
        torch.autograd.grad(output, x, torch.ones(2, *output.shape), is_grads_batched=True)
    nats = linear_cross_entropy(rows.requires_grad_(), layer.weight, layer.bias, torch.zeros(70, dtype=torch.int64))
    with pytest.raises(RunError, match="no gradients in batches"):
        torch.autograd.grad(nats, rows, torch.ones(2, 70), is_grads_batched=True)
