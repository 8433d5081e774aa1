"""All layers of an encoder in one native call: the papers in NumPy, bits, and where layers run one by one."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from oracles import transformer as oracle
from recurra.engine import cpu
from recurra.nn import TransformerEncoder, TransformerEncoderLayer
from recurra.nn.transformer import Rows, whole
from recurra.nn.transformer.layers import made_norm
from recurra.nn.transformer.whole import through

pytestmark = pytest.mark.skipif(not cpu.available(), reason="this installation has no native engine")
LENGTHS = (17, 1, 0, 50, 5)  # more queries than attention holds at once, and none

WAYS: Sequence[dict[str, Any]] = (
    {"activation": "relu"},
    {"activation": "gelu", "norm_first": True},
    {"activation": "swiglu", "norm": "rms", "norm_first": True, "rotary": True},
    {"activation": "gelu_tanh", "dim_feedforward": 37, "rotary": True},
    {"activation": "geglu", "norm_first": True, "dim_feedforward": 20},
    {"activation": "silu", "norm": "rms"},
)


def made(d: int = 16, heads: int = 2, **options: Any) -> TransformerEncoder:
    torch.manual_seed(0)
    layer = TransformerEncoderLayer(d, heads, **{"dim_feedforward": 4 * d, **options})
    last = made_norm(options.get("norm", "layer"), d, 1e-5, bias=True) if options.get("norm_first") else None
    model = TransformerEncoder(layer, 2, last)
    for name, p in model.named_parameters():
        if p.dim() == 1:
            nn.init.normal_(p, 1.0 if "norm" in name and "weight" in name else 0.0, 0.3)
        else:
            nn.init.normal_(p, 0.0, p.shape[1] ** -0.5)  # each layer of its own
    return model.eval()


def texts(d: int) -> tuple[Tensor, Rows]:
    """Rows of all sequences, one behind the other."""
    random = torch.Generator().manual_seed(1)
    rows = Rows.of(max(LENGTHS), torch.tensor(LENGTHS))
    return torch.randn(sum(LENGTHS), d, generator=random), rows


def ran_at_once(model: TransformerEncoder, x: Tensor, rows: Rows) -> bool:
    return whole._at_once(list(model.layers), x, rows, model.norm) is not None


@pytest.mark.parametrize(("d", "heads"), [(16, 2), (10, 1), (72, 2)])
@pytest.mark.parametrize("options", WAYS)
def test_it_is_the_papers(options: dict[str, Any], d: int, heads: int) -> None:
    model, (x, rows) = made(d, heads, **options), texts(d)
    with torch.no_grad():
        assert ran_at_once(model, x, rows)
        found = through(model.layers, x, rows, model.norm).numpy()
    words = {k: v for k, v in options.items() if k != "dim_feedforward"}
    weights = {name: p.double().numpy() for name, p in model.state_dict().items()}
    how = oracle.Manner(heads, **{"norm_first": False, **words})
    for group in rows.groups:
        own = x[group.rows].double().numpy()
        expected = oracle.encoder(weights, own, 2, how, last=model.norm is not None)
        np.testing.assert_allclose(found[group.rows], expected, rtol=2e-5, atol=2e-5)  # float32


@pytest.mark.parametrize("options", WAYS)
def test_a_sequence_has_the_same_bits_alone_among_others_and_on_two_threads(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "SMALLEST_SHARED_CALL", 0)
    model, (x, rows), threads = made(24, 3, **options), texts(24), torch.get_num_threads()
    with torch.no_grad():
        together = through(model.layers, x, rows, model.norm)
        try:
            torch.set_num_threads(2)
            assert torch.equal(through(model.layers, x, rows, model.norm), together)
        finally:
            torch.set_num_threads(threads)
        for group in rows.groups:
            alone = Rows.of(group.length, torch.tensor([group.length]))
            assert torch.equal(through(model.layers, x[group.rows], alone, model.norm), together[group.rows])


def test_many_rows_go_through_the_feed_forward_part_in_pieces() -> None:
    model = made(8, 1, activation="relu", dim_feedforward=12)
    rows, x = Rows.of(300, torch.tensor([300] * 4)), torch.randn(1200, 8)
    with torch.no_grad():
        found = through(model.layers, x, rows)
        alone = Rows.of(300, torch.tensor([300]))
        for n in range(4):
            part = slice(300 * n, 300 * n + 300)
            assert torch.equal(through(model.layers, x[part], alone), found[part])


def test_the_rows_that_are_given_stay_as_they_are() -> None:
    model, (x, rows) = made(), texts(16)
    before = x.clone()
    with torch.no_grad():
        through(model.layers, x, rows)
    assert torch.equal(x, before)


def test_a_change_of_the_weights_is_seen() -> None:
    model, (x, rows) = made(), texts(16)
    with torch.no_grad():
        first = through(model.layers, x, rows)
        block = model.layers[0]
        assert isinstance(block, TransformerEncoderLayer)
        block.linear1.weight.data.mul_(2.0)
        assert not torch.equal(through(model.layers, x, rows), first)


def exchanged_weight(block: TransformerEncoderLayer) -> None:
    block.linear1.weight = nn.Parameter(block.linear1.weight * 2.0)


def exchanged_part(block: TransformerEncoderLayer) -> None:
    block.linear2 = nn.Linear(block.linear2.in_features, block.linear2.out_features)


def exchanged_norm(block: TransformerEncoderLayer) -> None:
    block.norm1 = nn.RMSNorm(16, eps=1e-6)


def exchanged_layer(block: TransformerEncoderLayer) -> None:
    block.self_attn.out_proj = nn.Linear(16, 16, bias=False)


def other_order(block: TransformerEncoderLayer) -> None:
    block.norm_first = True


def other_eps(block: TransformerEncoderLayer) -> None:
    block.norm2.eps = 0.5


def other_activation(block: TransformerEncoderLayer) -> None:
    block.activation = nn.functional.silu


CHANGES = (
    exchanged_weight,
    exchanged_part,
    exchanged_norm,
    exchanged_layer,
    other_order,
    other_eps,
    other_activation,
)


@pytest.mark.parametrize("change", CHANGES)
def test_a_layer_that_was_changed_is_read_again(change: Callable[[TransformerEncoderLayer], None]) -> None:
    model, (x, rows) = made(), texts(16)
    with torch.no_grad():
        first = through(model.layers, x, rows)
        block = model.layers[1]
        assert isinstance(block, TransformerEncoderLayer)
        change(block)
        model.eval()
        assert ran_at_once(model, x, rows)
        found, expected = through(model.layers, x, rows), x
        for each in model.layers:
            assert isinstance(each, TransformerEncoderLayer)
            expected = each.rows(expected, rows)
    assert not torch.equal(found, first)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("kind", ["plain", "buffer"])
def test_a_tensor_in_the_place_of_a_parameter_is_read_again(kind: str) -> None:
    model, (x, rows) = made(), texts(16)
    block = model.layers[1]
    assert isinstance(block, TransformerEncoderLayer)
    weight = block.linear1.weight.detach().clone()
    del block.linear1.weight
    if kind == "plain":
        block.linear1.weight = weight  # type: ignore[assignment]
    else:
        block.linear1.register_buffer("weight", weight)
    with torch.no_grad():
        assert ran_at_once(model, x, rows)
        first = through(model.layers, x, rows)
        block.linear1.weight = weight * 2.0  # type: ignore[assignment]
        found = through(model.layers, x, rows)
        block.linear1.weight = weight  # type: ignore[assignment]
        assert not torch.equal(found, first)
        assert torch.equal(through(model.layers, x, rows), first)


def test_weights_that_do_not_lie_in_order_give_the_same_bits() -> None:
    model, (x, rows) = made(), texts(16)
    with torch.no_grad():
        first = through(model.layers, x, rows)
        for p in model.layers.parameters():
            if p.dim() == 2:
                p.data = p.data.T.contiguous().T
        assert ran_at_once(model, x, rows)
        assert torch.equal(through(model.layers, x, rows), first)


def test_a_copy_has_numbers_of_its_own_and_layers_do_not_stay() -> None:
    model, (x, rows) = made(), texts(16)
    with torch.no_grad():
        first = through(model.layers, x, rows)
        other = copy.deepcopy(model)
        other.layers[0].linear1.weight.mul_(2.0)
        assert not torch.equal(through(other.layers, x, rows), first)
        assert torch.equal(through(model.layers, x, rows), first)
    gone = weakref.ref(model.layers[0])
    del model
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("seen", [None, [3]])
def test_rows_of_one_sequence_are_those_of_any_number(seen: list[int] | None) -> None:
    one = Rows.of(9, torch.tensor([7]), seen)
    any_number = Rows._ordered([0], [7], seen or [0], 9, torch.device("cpu"))
    assert torch.equal(one.place, any_number.place)
    assert torch.equal(one.steps, any_number.steps)
    assert torch.equal(one.spans.table, any_number.spans.table)
    assert (one.groups, one.T, one.N, one.spans.products) == (any_number.groups, 9, 1, any_number.spans.products)
    x = torch.randn(9, 1, 4)
    assert torch.equal(one.padded(one.packed(x)), torch.cat([x[:7], torch.zeros(2, 1, 4)]))
    full = Rows.of(7, torch.tensor([7]))
    assert torch.equal(full.packed(x[:7]), one.packed(x))
    assert torch.equal(full.padded(one.packed(x)), x[:7])


def test_layers_run_one_by_one_where_something_else_wants_to() -> None:
    model, (x, rows) = made(), texts(16)
    block = model.layers[1]
    assert isinstance(block, TransformerEncoderLayer)
    assert not ran_at_once(model, x, rows)  # gradients
    with torch.no_grad():
        assert ran_at_once(model, x, rows)
        assert not ran_at_once(model.double(), x.double(), rows)
        model.float().train()
        assert not ran_at_once(model, x, rows)
        model.eval()
        block.dropout1.train()
        assert not ran_at_once(model, x, rows)
        block.dropout1.eval()
        handle = block.norm2.register_forward_hook(lambda *_: None)
        assert not ran_at_once(model, x, rows)
        handle.remove()
        assert ran_at_once(model, x, rows)
        block.self_attn.causal = True
        assert not ran_at_once(model, x, rows)
        block.self_attn.causal = False
        block.activation = torch.tanh
        assert not ran_at_once(model, x, rows)


def test_frozen_weights_run_at_once_where_gradients_are_on() -> None:
    model, (x, rows) = made().requires_grad_(False), texts(16)
    assert ran_at_once(model, x, rows)
    assert not ran_at_once(model, x.requires_grad_(), rows)


def first_of(model: TransformerEncoder) -> TransformerEncoderLayer:
    block = model.layers[0]
    assert isinstance(block, TransformerEncoderLayer)
    return block


@pytest.mark.parametrize("width", [12, 20])
def test_rows_of_another_width_are_an_error(width: int) -> None:
    model, (x, rows) = made(), texts(width)
    with torch.no_grad(), pytest.raises(RuntimeError, match=r"shape|size"):
        through(model.layers, x, rows)


def test_parts_of_other_sizes_are_an_error() -> None:
    def narrow(block: TransformerEncoderLayer) -> None:
        block.linear1 = nn.Linear(16, 60)

    def biased(block: TransformerEncoderLayer) -> None:
        block.linear2.bias = nn.Parameter(torch.zeros(15))

    def normed(block: TransformerEncoderLayer) -> None:
        block.norm1 = nn.LayerNorm(8)

    def plain(block: TransformerEncoderLayer) -> None:
        block.norm2 = nn.LayerNorm(8, elementwise_affine=False)

    for change in (narrow, biased, normed, plain):
        model, (x, rows) = made(), texts(16)
        change(first_of(model))
        with torch.no_grad(), pytest.raises(RuntimeError, match=r"shape|size|expand"):
            through(model.eval().layers, x, rows)
