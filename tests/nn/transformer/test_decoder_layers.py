"""A Transformer's decoder layers: torch's layers, NumPy from the paper, a row alone and in a batch, refusals."""

from __future__ import annotations

from inspect import signature
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.nn import TransformerDecoder, TransformerDecoderLayer, TransformerEncoder, TransformerEncoderLayer
from recurra.nn.transformer import CrossAttention, Pairs, SelfAttention
from recurra.nn.transformer.layers import ACTIVATIONS

LENGTHS, READ = [5, 2, 7, 5, 5], [3, 6, 1, 3, 4]


def pair(**options: Any) -> tuple[TransformerDecoderLayer, nn.Module]:
    """Ours, causal, and torch's, with the same weights."""
    torch.manual_seed(0)
    options = {"d_model": 12, "nhead": 3, "dim_feedforward": 20, "dropout": 0.0} | options
    theirs = nn.TransformerDecoderLayer(**options).double()
    for p in theirs.parameters():
        nn.init.normal_(p, std=0.5)
    ours = TransformerDecoderLayer(**options, causal=True).double()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def masked(lengths: list[int], T: int) -> Tensor:
    return torch.arange(T) >= torch.tensor(lengths).unsqueeze(1)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_a_layer_and_its_gradients_are_torchs(norm_first: bool, activation: str, batch_first: bool, bias: bool) -> None:
    ours, theirs = pair(norm_first=norm_first, activation=activation, batch_first=batch_first, bias=bias)
    x, memory = torch.randn(7, 5, 12, dtype=torch.float64), torch.randn(6, 5, 12, dtype=torch.float64)
    real, read = ~masked(LENGTHS, 7).T.unsqueeze(2), ~masked(READ, 6).T.unsqueeze(2)
    if batch_first:
        x, memory, real, read = (y.transpose(0, 1) for y in (x, memory, real, read))
    weights, found = torch.randn_like(x), []
    triangle = nn.Transformer.generate_square_subsequent_mask(7, dtype=torch.bool)
    asked: tuple[dict[str, Any], dict[str, Any]] = (
        {"lengths": torch.tensor(LENGTHS), "memory_lengths": torch.tensor(READ)},
        {
            "tgt_mask": triangle,
            "tgt_key_padding_mask": masked(LENGTHS, 7),
            "memory_key_padding_mask": masked(READ, 6),
        },
    )
    for module, options in zip((ours, theirs), asked, strict=True):
        a, b = x.clone().requires_grad_(), memory.clone().requires_grad_()
        y = torch.where(real, module(a, b, **options), 0.0)
        (y * weights).sum().backward()
        assert a.grad is not None
        assert b.grad is not None
        inputs = [torch.where(real, a.grad, 0.0), torch.where(read, b.grad, 0.0)]
        found.append([y, *inputs, *(p.grad for p in module.parameters())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


def test_a_stack_takes_torchs_weights_and_gives_them_back() -> None:
    ours, theirs = pair(norm_first=True)
    stack = TransformerDecoder(ours, 3, nn.LayerNorm(12)).double()
    other = nn.TransformerDecoder(theirs, 3, nn.LayerNorm(12)).double()
    assert list(stack.state_dict()) == list(other.state_dict())
    other.load_state_dict(stack.state_dict())
    x, memory = torch.randn(4, 2, 12, dtype=torch.float64), torch.randn(6, 2, 12, dtype=torch.float64)
    triangle = nn.Transformer.generate_square_subsequent_mask(4, dtype=torch.float64)
    torch.testing.assert_close(stack(x, memory), other(x, memory, triangle), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(stack(x[:, 0], memory[:, 0]), stack(x, memory)[:, 0], rtol=0, atol=1e-12)


def test_a_layer_that_is_not_causal_is_torchs_without_a_mask() -> None:
    ours, theirs = pair()
    ours.self_attn.causal = False
    x, memory = torch.randn(4, 2, 12, dtype=torch.float64), torch.randn(6, 2, 12, dtype=torch.float64)
    torch.testing.assert_close(ours(x, memory), theirs(x, memory), rtol=1e-10, atol=1e-12)


# -- from the paper ----------------------------------------------------------------------------------------------------


def attended(p: dict[str, np.ndarray], name: str, x: np.ndarray, keys: np.ndarray, *, causal: bool) -> np.ndarray:
    """Vaswani et al. 2017, equation 1 and section 3.2.2, a query and a head at a time."""
    w, b = p[f"{name}.in_proj_weight"], p[f"{name}.in_proj_bias"]
    d, heads = x.shape[1], 3
    size, said = d // heads, np.zeros_like(x)
    q, k, v = x @ w[:d].T + b[:d], keys @ w[d : 2 * d].T + b[d : 2 * d], keys @ w[2 * d :].T + b[2 * d :]
    for t in range(len(x)):
        n = t + 1 if causal else len(keys)
        for h in range(heads):
            part = slice(h * size, (h + 1) * size)
            if n:
                scores = np.array([q[t, part] @ k[s, part] for s in range(n)]) / np.sqrt(size)
                weights = np.exp(scores) / np.exp(scores).sum()
                said[t, part] = sum(weights[s] * v[s, part] for s in range(n))
    return said @ p[f"{name}.out_proj.weight"].T + p[f"{name}.out_proj.bias"]


def normed(p: dict[str, np.ndarray], name: str, x: np.ndarray, *, rms: bool) -> np.ndarray:
    if rms:
        return x / np.sqrt((x**2).mean(1, keepdims=True) + 1e-5) * p[f"{name}.weight"]
    centred = x - x.mean(1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]


def fed(p: dict[str, np.ndarray], x: np.ndarray, activation: str) -> np.ndarray:
    erf = np.vectorize(__import__("math").erf)
    functions = {
        "relu": lambda z: np.maximum(z, 0),
        "gelu": lambda z: z * (1 + erf(z / np.sqrt(2))) / 2,
        "gelu_tanh": lambda z: z / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
        "silu": lambda z: z / (1 + np.exp(-z)),
    }
    y = x @ p["linear1.weight"].T + p["linear1.bias"]
    gates = {"reglu": "relu", "geglu": "gelu", "swiglu": "silu"}
    if activation in gates:
        half = y.shape[1] // 2
        y = functions[gates[activation]](y[:, :half]) * y[:, half:]
    else:
        y = functions[activation](y)
    return y @ p["linear2.weight"].T + p["linear2.bias"]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("norm_first", "norm"), [(True, "layer"), (False, "layer"), (True, "rms")])
def test_a_layer_is_the_papers_for_each_sequence_by_itself(activation: str, norm_first: bool, norm: str) -> None:
    torch.manual_seed(1)
    layer = TransformerDecoderLayer(12, 3, 10, 0.0, activation, norm_first=norm_first, norm=norm, causal=True).double()
    for p in layer.parameters():
        nn.init.normal_(p, std=0.5)
    p = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    x, memory = torch.randn(7, 5, 12, dtype=torch.float64), torch.randn(6, 5, 12, dtype=torch.float64)
    read = [3, 6, 0, 3, 4]  # the third source has no step: nothing is seen of it, and the bias is said
    found = layer(x, memory, lengths=torch.tensor(LENGTHS), memory_lengths=torch.tensor(read)).detach().numpy()
    for n, (length, seen) in enumerate(zip(LENGTHS, read, strict=True)):
        y, source = x[:length, n].numpy(), memory[:seen, n].numpy()

        def itself(z: np.ndarray) -> np.ndarray:
            return attended(p, "self_attn", z, z, causal=True)

        def other(z: np.ndarray, source: np.ndarray = source) -> np.ndarray:
            return attended(p, "multihead_attn", z, source, causal=False)

        for part, name in ((itself, "norm1"), (other, "norm2"), (lambda z: fed(p, z, activation), "norm3")):
            rms = norm == "rms"
            y = y + part(normed(p, name, y, rms=rms)) if norm_first else normed(p, name, y + part(y), rms=rms)
        np.testing.assert_allclose(found[:length, n], y, rtol=1e-9, atol=1e-10)
        assert not found[length:, n].any()


def test_a_row_has_the_same_bits_alone_and_in_any_batch() -> None:
    torch.manual_seed(2)
    stack = TransformerDecoder(TransformerDecoderLayer(32, 4, 64, causal=True), 2).eval()
    lengths, read = [9, 1, 40, 9, 0, 33, 9], [12, 40, 3, 12, 4, 0, 5]
    x, memory = torch.randn(40, 7, 32), torch.randn(40, 7, 32)
    for n in range(7):  # what stands in the padding is not read
        x[lengths[n] :, n], memory[read[n] :, n] = torch.nan, torch.nan
    with torch.inference_mode():
        together = stack(x, memory, lengths=torch.tensor(lengths), memory_lengths=torch.tensor(read))
        for n, (length, seen) in enumerate(zip(lengths, read, strict=True)):
            alone = stack(x[:length, n : n + 1], memory[:seen, n : n + 1])
            assert torch.equal(alone[:, 0], together[:length, n])
            assert not together[length:, n].any()


def test_garbage_in_either_padding_reaches_no_gradient() -> None:
    torch.manual_seed(3)
    layer = TransformerDecoderLayer(8, 2, 16, 0.0, causal=True).double()
    x, memory = torch.randn(4, 2, 8, dtype=torch.float64), torch.randn(5, 2, 8, dtype=torch.float64)
    x[2:, 1], memory[1:, 0] = torch.nan, torch.nan
    x.requires_grad_(), memory.requires_grad_()
    layer(x, memory, lengths=torch.tensor([4, 2]), memory_lengths=torch.tensor([1, 5])).square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters())
    assert not x.grad[2:, 1].any()
    assert not memory.grad[1:, 0].any()


def test_dropout_acts_in_training_and_only_there() -> None:
    torch.manual_seed(4)
    x, memory = torch.randn(6, 2, 8), torch.randn(5, 2, 8)
    for options in ({"dropout": 0.5}, {"dropout": 0.0, "attention_dropout": 0.5}):
        layer = TransformerDecoderLayer(8, 2, 16, causal=True, **options)
        assert not torch.equal(layer(x, memory), layer(x, memory))
        layer.eval()
        assert torch.equal(layer(x, memory), layer(x, memory))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"tgt_mask": torch.zeros(3, 3)}, "mask: is not read; give lengths"),
        ({"memory_key_padding_mask": torch.zeros(2, 3)}, "mask: is not read"),
        ({"tgt_is_causal": True}, "tgt_is_causal: the layers see later steps"),
        ({"memory_is_causal": True}, "memory_is_causal: a step of the target sees all of its source"),
        ({"lengths": torch.tensor([3, 4])}, r"^lengths: expected 2 numbers from 0 to 3"),
        ({"memory_lengths": torch.tensor([3])}, "memory_lengths: expected 2 numbers from 0 to 5"),
    ],
)
def test_what_cannot_take_effect_is_refused(options: dict[str, Any], word: str) -> None:
    stack = TransformerDecoder(TransformerDecoderLayer(8, 2), 1)
    for module in (stack, stack.layers[0]):
        with pytest.raises(ConfigError, match=word):
            module(torch.zeros(3, 2, 8), torch.zeros(5, 2, 8), **options)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="num_heads: 3 do not divide 8"):
        TransformerDecoderLayer(8, 3)
    with pytest.raises(ConfigError, match="activation: unknown word 'tanh'"):
        TransformerDecoderLayer(8, 2, activation="tanh")
    with pytest.raises(ConfigError, match="norm: unknown word 'batch'"):
        TransformerDecoderLayer(8, 2, norm="batch")
    with pytest.raises(ConfigError, match="memory: has 3 rows, and tgt 2"):
        TransformerDecoderLayer(8, 2)(torch.zeros(3, 2, 8), torch.zeros(3, 3, 8))
    with pytest.raises(ConfigError, match="have 2 and 3 dimensions"):
        TransformerDecoderLayer(8, 2)(torch.zeros(3, 8), torch.zeros(3, 3, 8))


class Wrapped(nn.Module):
    """Somebody's module around a layer."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *given: Any) -> Any:
        return self.layer(*given)


STACKS = [
    (TransformerEncoder, TransformerEncoderLayer, nn.TransformerEncoderLayer),
    (TransformerDecoder, TransformerDecoderLayer, nn.TransformerDecoderLayer),
]


@pytest.mark.parametrize(("stack", "ours", "theirs"), STACKS)
def test_a_stack_of_another_class_is_refused_and_so_is_one_exchanged_later(stack: Any, ours: Any, theirs: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^layers: number 0 is a torch.*, expected recurra.nn.{ours.__name__}"):
        stack(theirs(8, 2), 2)
    made = stack(ours(8, 2), 2).eval()
    made.layers[1] = Wrapped(made.layers[1])
    x = (torch.zeros(3, 2, 8),) * (2 if ours is TransformerDecoderLayer else 1)
    with pytest.raises(ConfigError, match=r"^layers: number 1 is a .*Wrapped, expected"):
        made(*x)


@pytest.mark.parametrize(("stack", "ours", "theirs"), STACKS)
def test_a_layer_of_a_class_that_is_made_from_ours_runs(stack: Any, ours: Any, theirs: Any) -> None:
    class Doubled(ours):
        def parts(self, *given: Any) -> Any:
            return 2 * super().parts(*given)

        def with_keys(self, *given: Any) -> Any:
            x, *keys = super().with_keys(*given)
            return 2 * x, *keys

    torch.manual_seed(0)
    plain, x = stack(ours(8, 2, 16), 1).eval(), torch.randn(3, 2, 8)
    made = stack(Doubled(8, 2, 16), 1).eval()
    made.load_state_dict(plain.state_dict())
    given = (x, x) if ours is TransformerDecoderLayer else (x,)
    with torch.no_grad():
        torch.testing.assert_close(made(*given), 2 * plain(*given))


@pytest.mark.parametrize(("options", "word"), [
    ({"nhead": 0}, "num_heads: 0 do not divide 8; expected a divisor, from 1 on"),
    ({"attention_dropout": 1.5}, "attention_dropout: expected a probability from 0 to 1, got 1.5"),
])  # fmt: skip
def test_options_of_attention_that_cannot_be_are_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        TransformerDecoderLayer(**({"d_model": 8, "nhead": 2} | options))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", [SelfAttention, CrossAttention])
def test_with_all_weights_of_attention_dropped_it_says_its_output_bias(kind: Any, dtype: torch.dtype) -> None:
    """As torch: the mean of nothing is zero, and so is the gradient of what was dropped."""
    torch.manual_seed(0)
    module = kind(8, 2, dropout=1.0).to(dtype)
    nn.init.normal_(module.out_proj.bias)
    x = torch.randn(5, 8, dtype=dtype, requires_grad=True)
    pairs = Pairs.of(3, torch.tensor([3, 2]), 3, torch.tensor([3, 2]))
    said = module(x, pairs.target)[0] if kind is SelfAttention else module(x, module.keys_and_values(x), pairs)
    assert torch.equal(said, module.out_proj.bias.expand(5, 8))
    said.sum().backward()
    assert x.grad is not None
    assert not x.grad.any()


LAYERS = [(TransformerEncoderLayer, nn.TransformerEncoderLayer), (TransformerDecoderLayer, nn.TransformerDecoderLayer)]


@pytest.mark.parametrize("norm", ["layer", "rms"])
@pytest.mark.parametrize(("ours", "theirs"), LAYERS)
def test_the_constructor_takes_what_torchs_takes_in_the_same_order(ours: Any, theirs: Any, norm: str) -> None:
    words = [name for name, each in signature(theirs).parameters.items()]
    assert [name for name in signature(ours).parameters if name in words] == words
    for device, dtype in (("cpu", torch.float64), ("meta", torch.bfloat16)):
        layer = ours(8, 2, 16, 0.1, "relu", 1e-5, False, False, True, device, dtype, norm=norm)
        assert {(p.device.type, p.dtype) for p in layer.parameters()} == {(device, dtype)}


def test_a_layer_that_is_made_in_double_numbers_runs_in_them() -> None:
    x = torch.randn(3, 2, 8, dtype=torch.float64)
    assert TransformerDecoderLayer(8, 2, 16, dtype=torch.float64)(x, x).dtype is torch.float64
    assert TransformerEncoderLayer(8, 2, 16, dtype=torch.float64)(x).dtype is torch.float64


@pytest.mark.parametrize("given", [torch.tensor([2.7, 1.0]), torch.tensor([True, True]), [2, 1]], ids=str)
@pytest.mark.parametrize("name", ["lengths", "memory_lengths"])
def test_lengths_that_are_no_whole_numbers_are_refused(given: Any, name: str) -> None:
    x = torch.zeros(3, 2, 8)
    with pytest.raises(ConfigError, match=rf"^{name}: expected a tensor of 2 whole numbers from 0 to 3, got a "):
        TransformerDecoderLayer(8, 2)(x, x, **{name: given})
    if name == "lengths":
        with pytest.raises(ConfigError, match=r"^lengths: expected a tensor of 2 whole numbers from 0 to 3, got a "):
            TransformerEncoder(TransformerEncoderLayer(8, 2), 1)(x, lengths=given)


def test_a_call_that_says_causal_needs_a_layer_that_is() -> None:
    x = torch.randn(3, 2, 8)
    for causal in (False, True):
        layer = TransformerEncoderLayer(8, 2, 16, causal=causal)
        stack = TransformerEncoder(layer, 1).eval()
        for module in (layer.eval(), stack):
            assert torch.equal(module(x, is_causal=False), module(x))
            if causal:
                assert torch.equal(module(x, is_causal=True), module(x))
            else:
                with pytest.raises(ConfigError, match=r"^is_causal: the layers see later steps"):
                    module(x, is_causal=True)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize(("stack", "ours", "theirs"), STACKS)
def test_hooks_of_each_part_run_in_a_stack_with_the_rows_of_all_real_steps(
    stack: Any, ours: Any, theirs: Any, grad: bool
) -> None:
    made, x, called = stack(ours(8, 2, 16), 1).eval(), torch.randn(3, 2, 8), dict[str, Any]()
    names = [name for name, part in made.layers[0].named_modules() if name]

    def seen(name: str, given: tuple[Any, ...]) -> None:
        called[name] = tuple(given[0].shape[:1])

    for name in names:
        made.layers[0].get_submodule(name).register_forward_hook(
            lambda module, given, said, name=name: seen(name, given)
        )
    lengths = {"lengths": torch.tensor([3, 1])}
    with torch.set_grad_enabled(grad):
        made(*((x, x) if ours is TransformerDecoderLayer else (x,)), **lengths)
    assert called == dict.fromkeys(names, (4,))
