"""Transformer layers: torch's layers, NumPy from the papers, a row alone and in a batch, gradients, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from recurra.base.errors import ConfigError
from recurra.nn.transformer import Rows, SelfAttention, TransformerEncoder, TransformerEncoderLayer, rotated, sinusoids


def pair(dtype: torch.dtype = torch.float64, **options: Any) -> tuple[TransformerEncoderLayer, nn.Module]:
    """Ours and torch's, with the same weights."""
    torch.manual_seed(0)
    options = {"d_model": 12, "nhead": 3, "dim_feedforward": 20, "dropout": 0.0} | options
    theirs = nn.TransformerEncoderLayer(**options).to(dtype)
    ours = TransformerEncoderLayer(**options).to(dtype)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def masked(lengths: list[int], T: int) -> torch.Tensor:
    return torch.arange(T) >= torch.tensor(lengths).unsqueeze(1)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_layer_and_its_gradients_are_torchs(norm_first: bool, activation: str, batch_first: bool) -> None:
    ours, theirs = pair(norm_first=norm_first, activation=activation, batch_first=batch_first)
    lengths, T = [5, 2, 7, 5], 7
    x = torch.randn(T, 4, 12, dtype=torch.float64)
    x = x.transpose(0, 1) if batch_first else x
    real = ~masked(lengths, T)
    real = real if batch_first else real.T
    weights = torch.randn_like(x)
    found = []
    for module, options in (
        (ours, {"lengths": torch.tensor(lengths)}),
        (theirs, {"src_key_padding_mask": masked(lengths, T)}),
    ):
        given = x.clone().requires_grad_()
        y = torch.where(real.unsqueeze(2), module(given, **options), 0.0)
        (y * weights).sum().backward()
        found.append([y, torch.where(real.unsqueeze(2), given.grad, 0.0), *(p.grad for p in module.parameters())])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def test_state_dicts_are_torchs_in_both_directions() -> None:
    ours, theirs = pair()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    stack = TransformerEncoder(ours, 3, nn.LayerNorm(12)).double()
    other = nn.TransformerEncoder(theirs, 3, nn.LayerNorm(12), enable_nested_tensor=False).double()
    other.load_state_dict(stack.state_dict())
    x = torch.randn(4, 2, 12, dtype=torch.float64)
    torch.testing.assert_close(stack(x), other(x), rtol=1e-10, atol=1e-12)


def test_a_causal_layer_is_torchs_with_its_triangle() -> None:
    ours, theirs = pair()
    causal = TransformerEncoderLayer(12, 3, 20, 0.0, causal=True).double()
    causal.load_state_dict(ours.state_dict())
    x = torch.randn(6, 2, 12, dtype=torch.float64)
    triangle = nn.Transformer.generate_square_subsequent_mask(6, dtype=torch.float64)
    torch.testing.assert_close(causal(x), theirs(x, triangle), rtol=1e-10, atol=1e-12)


def attended(module: SelfAttention, x: np.ndarray, sees: Any, turn: Any = None) -> np.ndarray:
    """(T, d) of one sequence (T, d), a query at a time, from Vaswani et al. 2017, section 3.2."""
    w, b = (p.detach().double().numpy() for p in (module.in_proj_weight, module.in_proj_bias))
    d, heads = module.embed_dim, module.num_heads
    size = d // heads
    q, k, v = ((x @ w[i * d : (i + 1) * d].T + b[i * d : (i + 1) * d]).reshape(-1, heads, size) for i in range(3))
    said = np.zeros((len(x), d))
    for h in range(heads):
        for t in range(len(x)):
            keys = [s for s in range(len(x)) if sees(t, s)]
            turned = turn or (lambda vector, place: vector)
            scores = np.array([turned(q[t, h], t) @ turned(k[s, h], s) for s in keys]) / np.sqrt(size)
            weights = np.exp(scores - scores.max())
            weights /= weights.sum()
            said[t, h * size : (h + 1) * size] = weights @ np.stack([v[s, h] for s in keys])
    out, bias = (p.detach().double().numpy() for p in (module.out_proj.weight, module.out_proj.bias))
    return said @ out.T + bias


def turned(vector: np.ndarray, place: int) -> np.ndarray:
    """Pairs of halves as complex numbers, turned by place / 10000^(2i / D): Su et al. 2021, equation 15."""
    half = len(vector) // 2
    turns = np.exp(1j * place / 10_000.0 ** (2 * np.arange(half) / len(vector)))
    pairs = (vector[:half] + 1j * vector[half:]) * turns
    return np.concatenate([pairs.real, pairs.imag])


@pytest.mark.parametrize(
    ("options", "sees"),
    [
        ({}, lambda t, s: True),
        ({"causal": True}, lambda t, s: s <= t),
        ({"causal": True, "window": 3}, lambda t, s: t - 3 < s <= t),
        ({"rotary": True}, lambda t, s: True),
        ({"rotary": True, "causal": True, "window": 2}, lambda t, s: t - 2 < s <= t),
    ],
)
def test_attention_is_the_papers(options: dict[str, Any], sees: Any) -> None:
    torch.manual_seed(1)
    module = SelfAttention(12, 3, **options).double()
    nn.init.normal_(module.in_proj_bias)
    lengths, T = [4, 1, 6, 0, 4], 6
    x = torch.randn(T, 5, 12, dtype=torch.float64)
    rows = Rows.of(T, torch.tensor(lengths))
    found = rows.padded(module(rows.packed(x), rows)[0])
    for n, length in enumerate(lengths):
        expected = attended(module, x[:length, n].numpy(), sees, turned if options.get("rotary") else None)
        np.testing.assert_allclose(found[:length, n].detach().numpy(), expected, rtol=1e-10, atol=1e-12)
        assert not found[length:, n].any()


def test_positions_are_the_papers() -> None:
    found = sinusoids(torch.tensor([0, 3]), 4, torch.zeros(1, dtype=torch.float64)).numpy()
    p = 3.0
    expected = [[0, 1, 0, 1], [np.sin(p), np.cos(p), np.sin(p / 100), np.cos(p / 100)]]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    x = torch.randn(5, 6, dtype=torch.float64)
    each = np.stack([turned(x[t].numpy(), 2 + t) for t in range(5)])
    np.testing.assert_allclose(rotated(x, 2).numpy(), each, rtol=1e-12)


@pytest.mark.parametrize("activation", ["reglu", "geglu", "swiglu", "silu", "gelu_tanh"])
def test_feed_forward_parts_are_the_papers(activation: str) -> None:
    torch.manual_seed(2)
    layer = TransformerEncoderLayer(6, 2, 5, 0.0, activation, norm_first=True, norm="rms").double().eval()
    for p in layer.parameters():
        nn.init.normal_(p)
    with torch.no_grad():  # attention says nothing
        layer.self_attn.out_proj.weight.zero_()
        layer.self_attn.out_proj.bias.zero_()
    x = np.random.default_rng(0).normal(size=(3, 6))
    weights = {name: p.detach().numpy() for name, p in layer.named_parameters()}
    normed = x / np.sqrt((x**2).mean(1, keepdims=True) + 1e-5) * weights["norm2.weight"]
    hidden = normed @ weights["linear1.weight"].T + weights["linear1.bias"]
    erf = np.vectorize(__import__("math").erf)
    functions = {
        "reglu": lambda z: np.maximum(z, 0),
        "geglu": lambda z: z * (1 + erf(z / np.sqrt(2))) / 2,
        "swiglu": lambda z: z / (1 + np.exp(-z)),
        "silu": lambda z: z / (1 + np.exp(-z)),
        "gelu_tanh": lambda z: z / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
    }
    function = functions[activation]
    inside = function(hidden[:, :5]) * hidden[:, 5:] if activation in ("reglu", "geglu", "swiglu") else function(hidden)
    expected = x + inside @ weights["linear2.weight"].T + weights["linear2.bias"]
    np.testing.assert_allclose(layer(torch.from_numpy(x)).detach().numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize("options", [{}, {"causal": True}, {"rotary": True, "norm_first": True}])
def test_a_row_has_the_same_bits_alone_and_in_any_batch(options: dict[str, Any]) -> None:
    torch.manual_seed(3)
    stack = TransformerEncoder(TransformerEncoderLayer(32, 4, 64, **options), 2).eval()
    lengths = [9, 1, 40, 9, 0, 33, 2]
    x = torch.randn(40, 7, 32)
    for n, length in enumerate(lengths):
        x[length:, n] = torch.nan  # what stands in the padding is not read
    with torch.inference_mode():
        together = stack(x, lengths=torch.tensor(lengths))
        for n, length in enumerate(lengths):
            alone = stack(x[:length, n : n + 1])
            assert torch.equal(alone[:, 0], together[:length, n])
            assert not together[length:, n].any()


def test_garbage_in_the_padding_reaches_no_gradient() -> None:
    torch.manual_seed(4)
    layer = TransformerEncoderLayer(8, 2, 16, 0.0).double()
    x = torch.randn(4, 2, 8, dtype=torch.float64)
    x[2:, 1] = torch.nan
    x.requires_grad_()
    layer(x, lengths=torch.tensor([4, 2])).square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters())
    assert torch.isfinite(x.grad[:, 0]).all()
    assert not x.grad[2:, 1].any()


def test_dropout_acts_in_training_and_only_there() -> None:
    torch.manual_seed(5)
    layer = TransformerEncoderLayer(8, 2, 16, 0.5)
    x = torch.randn(6, 2, 8)
    assert not torch.equal(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))
    kept = TransformerEncoderLayer(8, 2, 16, 0.0, attention_dropout=0.5)
    assert not torch.equal(kept(x), kept(x))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"nhead": 5}, "num_heads: 5 do not divide 12"),
        ({"nhead": 0}, "num_heads: 0 do not divide 12; expected a divisor, from 1 on"),
        ({"d_model": 0}, "num_heads: 3 do not divide 0"),
        ({"window": 2}, "window: 2 has no effect where a step sees later ones"),
        ({"window": -1, "causal": True}, "window: expected a whole number of steps from 0 on, 0 being all, got -1"),
        ({"window": 2.5, "causal": True}, "window: expected a whole number of steps .* got 2.5"),
        ({"attention_dropout": 1.5}, "attention_dropout: expected a probability from 0 to 1, got 1.5"),
        ({"attention_dropout": -0.1}, "attention_dropout: expected a probability from 0 to 1, got -0.1"),
        ({"attention_dropout": float("nan")}, "attention_dropout: expected a probability from 0 to 1, got nan"),
        ({"activation": "tanh"}, "activation: unknown word 'tanh'; expected one of relu"),
        ({"norm": "batch"}, "norm: unknown word 'batch'; expected one of layer, rms"),
        ({"nhead": 4, "rotary": True}, "num_heads: heads of 3 numbers; rotation needs an even number"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        TransformerEncoderLayer(**({"d_model": 12, "nhead": 3} | options))


def test_masks_and_wrong_lengths_are_refused() -> None:
    layer = TransformerEncoderLayer(12, 3)
    x = torch.randn(3, 2, 12)
    with pytest.raises(ConfigError, match="mask: is not read; give lengths"):
        layer(x, torch.zeros(3, 3))
    with pytest.raises(ConfigError, match="lengths: expected 2 numbers from 0 to 3, got \\[4, 1\\]"):
        layer(x, lengths=torch.tensor([4, 1]))
    with pytest.raises(ConfigError, match="src: has 4 dimensions"):
        layer(x.unsqueeze(0))


def in_data(layer: nn.Module) -> None:
    layer.get_parameter("linear1.weight").data[:, 4] += 1.0


def data_exchanged(layer: nn.Module) -> None:
    weight = layer.get_parameter("linear2.weight")
    weight.data = torch.randn(weight.shape)


def copied(layer: nn.Module) -> None:
    with torch.no_grad():
        layer.get_parameter("self_attn.in_proj_weight").copy_(torch.randn(36, 12))


def loaded(layer: nn.Module) -> None:
    layer.load_state_dict({name: torch.randn(t.shape) for name, t in layer.state_dict().items()})


def from_a_vector(layer: nn.Module) -> None:
    nn.utils.vector_to_parameters(torch.randn(sum(p.numel() for p in layer.parameters())), layer.parameters())


def by_numpy(layer: nn.Module) -> None:
    layer.get_parameter("self_attn.out_proj.weight").detach().numpy()[0, 0] = 3.0


def stepped(layer: nn.Module) -> None:
    layer(torch.randn(2, 1, 12)).square().sum().backward()
    torch.optim.AdamW(layer.parameters(), lr=0.1, fused=True).step()


@pytest.mark.parametrize("write", [in_data, data_exchanged, copied, loaded, from_a_vector, by_numpy, stepped])
@pytest.mark.parametrize("T", [1, 5])
def test_a_write_of_any_kind_to_the_weights_is_seen_by_the_next_call(T: int, write: Any) -> None:
    layer = pair(torch.float32)[0].eval()
    x = torch.randn(T, 1, 12)
    with torch.no_grad():
        before = [layer(x) for _ in range(3)][-1]
    write(layer)
    fresh = pair(torch.float32)[0].eval()
    fresh.load_state_dict({name: t.detach().clone() for name, t in layer.state_dict().items()})
    with torch.no_grad():
        assert torch.equal(layer(x), fresh(x))
        assert not torch.equal(layer(x), before)
