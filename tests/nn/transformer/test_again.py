"""What a layer makes again for its gradient: the same bits, fewer numbers kept, and where all is kept."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn

from recurra.engine import cpu
from recurra.nn import TransformerEncoderLayer
from recurra.nn.transformer import Rows, again, layers
from recurra.nn.transformer.layers import fed_forward

pytestmark = pytest.mark.skipif(not cpu.available(), reason="this installation has no native engine")
LENGTHS = (5, 9, 1)


def layer_of(
    activation: str | Callable[[Tensor], Tensor] = "gelu", *, norm_first: bool = True, p: float = 0.2
) -> TransformerEncoderLayer:
    torch.manual_seed(0)
    return TransformerEncoderLayer(8, 2, 32, p, activation, norm_first=norm_first).train()


def gradients(layer: TransformerEncoderLayer) -> list[Tensor]:
    """Of a loss of what the layer says, dropout drawn with one seed."""
    torch.manual_seed(1)
    x = torch.randn(sum(LENGTHS), 8, requires_grad=True)
    said = layer.rows(x, Rows.of(max(LENGTHS), torch.tensor(LENGTHS)))
    return [said.detach(), *torch.autograd.grad(said.square().sum(), [x, *layer.parameters()])]


def keep_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "_can_be_made_again", lambda layer: False)
    monkeypatch.setattr(layers, "normed", lambda norm, x: (norm(x), nullcontext()))


@pytest.mark.parametrize("p", [0.0, 0.2])
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "silu", "relu", "swiglu"])
def test_gradients_have_the_bits_that_they_have_when_all_is_kept(
    activation: str, norm_first: bool, p: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = layer_of(activation, norm_first=norm_first, p=p)
    found = gradients(layer)
    keep_all(monkeypatch)
    for a, b in zip(found, gradients(layer), strict=True):
        assert torch.equal(a, b)


def not_kept(layer: TransformerEncoderLayer, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of what a layer makes again."""
    found: list[tuple[int, ...]] = []

    def watching(pack: Callable[[Tensor], object], unpack: Callable[[object], Tensor]) -> object:
        def watched(saved: Tensor) -> object:
            packed = pack(saved)
            if packed is None:
                found.append(tuple(saved.shape))
            return packed

        return torch.autograd.graph.saved_tensors_hooks(watched, unpack)

    monkeypatch.setattr(again, "saved_tensors_hooks", watching)
    gradients(layer)
    return found


def test_units_and_normed_rows_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    S = sum(LENGTHS)
    assert sorted(not_kept(layer_of(), monkeypatch)) == [(S, 8), (S, 8), (S, 32)]


def test_relu_without_dropout_and_norms_behind_keep_no_more_than_before(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not_kept(layer_of("relu", norm_first=False, p=0.0), monkeypatch) == []


def test_a_function_of_somebody_elses_is_called_once() -> None:
    calls = []

    def counted(x: Tensor) -> Tensor:
        calls.append(len(x))
        return x * torch.rand_like(x)

    gradients(layer_of(counted))
    assert calls == [sum(LENGTHS)]


def test_hooks_of_the_dropout_are_called() -> None:
    layer, calls = layer_of(), []
    layer.dropout.register_forward_hook(lambda *_: calls.append(1))
    gradients(layer)
    assert calls == [1]


def doubled(module: nn.Module, given: tuple[Tensor, ...], said: Tensor | None = None) -> object:
    return given[0] * 2.0 if said is None else said * 2.0


def doubled_in_place(module: nn.Module, given: tuple[Tensor, ...]) -> None:
    given[0].mul_(2.0)


@pytest.mark.parametrize("where", ["before a norm", "behind a norm", "before the second map"])
def test_what_hooks_change_has_the_gradients_of_the_change(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = layer_of()
    if where == "before a norm":
        layer.norm2.register_forward_pre_hook(doubled)
    elif where == "behind a norm":
        layer.norm1.register_forward_hook(doubled)
    else:
        layer.linear2.register_forward_pre_hook(doubled_in_place)
    found = gradients(layer)
    keep_all(monkeypatch)
    for a, b in zip(found, gradients(layer), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["weight", "bias"])
def test_a_norm_that_changes_before_the_gradient_of_another_part_is_an_error(name: str) -> None:
    layer = layer_of()
    said = layer.rows(torch.randn(9, 8), Rows.of(9, torch.tensor([9]))).sum()
    with torch.no_grad():
        getattr(layer.norm2, name).add_(1.0)
    with pytest.raises(RuntimeError, match=r"tensor \(8,\) .* changed in place"):
        torch.autograd.grad(said, layer.linear1.weight)


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_what_is_kept_goes_with_an_answer_whose_gradient_nobody_asks_for(activation: str) -> None:
    layer = layer_of(activation)
    x = torch.randn(sum(LENGTHS), 8, requires_grad=True) * 1.0
    gone = weakref.ref(x)
    said = layer.rows(x, Rows.of(max(LENGTHS), torch.tensor(LENGTHS)))
    assert said.requires_grad
    del x, said
    assert gone() is None


def test_a_weight_that_changes_before_the_gradient_is_an_error() -> None:
    layer = layer_of()
    x = torch.randn(4, 8, requires_grad=True)
    said = fed_forward(layer, x).sum()
    with torch.no_grad():
        layer.linear2.weight.mul_(2.0)
    with pytest.raises(RuntimeError, match="changed in place"):
        said.backward()


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_gradients_of_gradients_are_those_when_all_is_kept(activation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = layer_of(activation)

    def second() -> tuple[Tensor, ...]:
        torch.manual_seed(1)
        x = torch.randn(4, 8, requires_grad=True)
        (first,) = torch.autograd.grad(fed_forward(layer, x).square().sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), [x, layer.linear1.weight, layer.linear2.weight])

    found = second()
    keep_all(monkeypatch)
    for a, b in zip(found, second(), strict=True):
        assert torch.equal(a, b)


def test_nothing_is_made_again_of_other_types() -> None:
    layer = layer_of().double()
    x = torch.randn(4, 8, dtype=torch.float64, requires_grad=True)
    nn.functional.mse_loss(fed_forward(layer, x), x.detach()).backward()
    assert x.grad is not None
