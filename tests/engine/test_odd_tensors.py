"""Tensors in every way a view can lie in memory, of every type, and wrong ones: the reference's answer, or a sentence.

benchmarks/odd_tensors.py draws 2,000 of them.
"""

from __future__ import annotations

from collections import Counter
from types import ModuleType

import pytest
import torch
from torch.autograd import forward_ad

from recurra.base.errors import ShapeError
from recurra.cells import CELLS
from recurra.engine import linear as engine_linear
from recurra.nn import GRU, Recurrent
from scripts_room import script


@pytest.fixture(scope="module")
def odd() -> ModuleType:
    return script("benchmarks/odd_tensors.py")


def test_odd_tensors_give_the_references_answer_or_a_sentence(odd: ModuleType) -> None:
    found = list(odd.outcomes(250, seed=3))
    counts = Counter(one.kind for one in found)
    assert [(one.what, one.detail) for one in found if one.kind == "broken"] == []
    assert counts["matched"] > 100
    assert counts["refused"] > 50
    assert all(any(way in one.what for one in found) for way in odd.LAYOUTS)


def test_every_layout_but_those_that_say_so_holds_the_same_numbers(odd: ModuleType) -> None:
    x = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    for word, lay in odd.LAYOUTS.items():
        found = lay(x)
        assert found.shape == x.shape, word
        assert torch.equal(found, x) == (word not in ("expanded", "overlapping")), word
    assert odd.negated(x).is_neg()
    assert odd.overlapping(x).stride() == (1, 5, 1)
    assert odd.expanded(x).stride()[0] == 0


def test_what_differs_is_seen(odd: ModuleType) -> None:
    right, one = {"output": torch.tensor([1.0, 2.0], dtype=torch.float64)}, {"output": 1e-5}
    assert odd.difference({"output": torch.tensor([1.0, 2.0])}, right, one) == ""
    assert "differs by" in odd.difference({"output": torch.tensor([1.0, 2.1])}, right, one)
    assert "differs by" in odd.difference({"output": torch.tensor([1.0, float("nan")])}, right, one)
    assert "expected (2,)" in odd.difference({"output": torch.tensor([1.0])}, right, one)
    assert "expected output" in odd.difference({}, right, one)


def test_a_tolerance_follows_from_the_error_of_the_equations_in_float32(odd: ModuleType) -> None:
    exact = {name: torch.tensor([4.0], dtype=torch.float64) for name in ("exact", "rounded", "lost")}
    rounded = {name: torch.tensor([4.0 + off]) for name, off in (("exact", 0), ("rounded", 2**-14), ("lost", 1))}
    assert odd.allowed(rounded, exact) == {"exact": 1e-5, "rounded": 1e-5 + odd.LUCK * 2**-16, "lost": odd.CEILING}


def test_equal_weights_magnify_the_roundings_of_layer_normalisation_in_the_reference_too(odd: ModuleType) -> None:
    """Rows that are all equal have no variance, so eps under the root is all: 1 / sqrt(1e-5) = 316 times a layer."""
    layer = Recurrent(1, 21, cell="lstm_layernorm", num_layers=2, backend="reference")
    with torch.no_grad():
        layer.weight_ih_l0.fill_(0.3)
    x = torch.randn(3, 2, 1, generator=torch.Generator().manual_seed(0), requires_grad=True)
    draw = odd.Draw(layer, x, None, None, "", "")
    exact, rounded = (odd.answer(odd.plainly(draw, dtype), 0) for dtype in (torch.float64, torch.float32))
    assert max(odd.error(rounded[name], right) for name, right in exact.items()) > odd.TOLERANCE[torch.float32]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x: x.to_sparse(), r"GRU: the input has the layout torch.sparse_coo, expected a dense tensor"),
        (lambda x: x.to_mkldnn(), r"GRU: the input has the layout torch._mkldnn"),
        (lambda x: torch.nested.as_nested_tensor([x[0], x[1, :1]]), r"GRU: the input is a nested tensor"),
    ],
)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_what_is_not_dense_is_refused(change, sentence):
    with pytest.raises(ShapeError, match=sentence):
        GRU(3, 4)(change(torch.zeros(2, 2, 3)))
    with pytest.raises(ShapeError, match=r"GRU: initial h has the layout torch.sparse_coo"):
        GRU(3, 4)(torch.zeros(2, 2, 3), torch.zeros(1, 2, 4).to_sparse())


def test_a_lazy_negation_is_heeded_by_linear_layers_too(odd: ModuleType) -> None:
    g = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(s, generator=g) for s in ((70, 5), (6, 5), (6,)))
    targets = torch.arange(70) % 6
    for function, rest in ((engine_linear.linear, ()), (engine_linear.cross_entropy, (targets, 0.1))):
        expected = function(x, weight, bias, *rest)
        assert torch.equal(function(odd.negated(x), odd.negated(weight), odd.negated(bias), *rest), expected)


@pytest.mark.parametrize("name", CELLS)
def test_torch_func_and_forward_mode_take_an_executor_that_can(name):
    """In float32, where "auto" would take the native engine."""
    torch.manual_seed(0)
    layer = Recurrent(3, 4, cell=name, proj_size=2 if name == "lstm_projected" else 0)
    parameters = {word: p.detach() for word, p in layer.named_parameters()}
    x, other = torch.randn(2, 3, 1, 3)

    def loss(parameters, x):
        return torch.func.functional_call(layer, parameters, (x,))[0].square().sum()

    loss(dict(layer.named_parameters()), x).backward()
    gradients = torch.func.grad(loss)(parameters, x)
    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, torch.stack([x, other]))
    for word, p in layer.named_parameters():
        torch.testing.assert_close(gradients[word], p.grad, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(each[word][0], p.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # torch, at its first tangent
@pytest.mark.parametrize("name", ["lstm_layernorm", "mgu"])
def test_a_tangent_is_carried_or_refused_but_never_lost(name):
    torch.manual_seed(0)
    layer, (x, way) = Recurrent(3, 4, cell=name), torch.randn(2, 3, 1, 3)
    with torch.no_grad(), forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(layer(forward_ad.make_dual(x, way))[0]).tangent
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(layer(x)[0].sum(), x)
    torch.testing.assert_close(tangent.sum(), (gradient * way).sum(), rtol=1e-4, atol=1e-5)
