"""What heads look at: against the layer itself, whose output is the mean of values by these weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recurra.base.contracts import Batch
from recurra.models import SequenceModel
from recurra.nn.transformer.attention import SelfAttention
from recurra.nn.transformer.rows import Rows
from recurra.tasks.encoder_attention import attention_maps, attention_table, attention_weights


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def test_weights_are_softmax_of_queries_and_keys_by_head() -> None:
    torch.manual_seed(0)
    layer = SelfAttention(6, 2).double()
    x = torch.randn(5, 6, dtype=torch.float64)
    w, b = (p.detach().numpy() for p in (layer.in_proj_weight, layer.in_proj_bias) if p is not None)
    q, k, _ = np.split(x.numpy() @ w.T + b, 3, 1)
    found = layer.weights(x, Rows.of(5, torch.tensor([5]))).detach().numpy()
    for head in range(2):
        own = slice(3 * head, 3 * head + 3)
        np.testing.assert_allclose(found[head], softmax(q[:, own] @ k[:, own].T / np.sqrt(3)), atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"rotary": True}, {"causal": True}, {"causal": True, "window": 3}])
def test_means_by_these_weights_are_what_the_layer_says(options: dict[str, int]) -> None:
    torch.manual_seed(1)
    layer = SelfAttention(8, 2, **options).eval()
    x, rows = torch.randn(7, 8), Rows.of(7, torch.tensor([7]))
    with torch.no_grad():
        values = layer.projected(x)[2].view(7, 2, 4)
        means = torch.einsum("hst,thd->shd", layer.weights(x, rows), values).flatten(1)
        torch.testing.assert_close(layer.out_proj(means), layer(x, rows)[0], atol=1e-5, rtol=0)


def test_a_model_shows_each_head_of_each_layer_for_the_tokens_that_are_asked_for() -> None:
    torch.manual_seed(2)
    model = SequenceModel(
        {"tokens": 9, "labels": 2},
        inputs={"name": "tokens", "embedding_size": 4},
        encoder={"name": "transformer", "hidden_size": 8, "num_heads": 2, "num_layers": 2},
    ).eval()
    batch = Batch({"tokens": torch.tensor([[4], [5], [6], [7]])}, torch.tensor([4]), {}, (0,))
    weights = attention_weights(model, batch)
    assert weights is not None
    assert weights.shape == (2, 2, 4, 4)
    torch.testing.assert_close(weights.sum(3), torch.ones(2, 2, 4))
    maps = list(attention_maps(weights, ("a", "b", "c", "d"), slice(0, 2)))
    assert [one.title for one in maps] == [f"Attention of layer {n}, head {k}" for n in (1, 2) for k in (1, 2)]
    assert (maps[0].rows, maps[0].columns) == (("a", "b"), ("a", "b", "c", "d"))
    assert len(attention_table(weights)[0].rows) == 4


def test_a_model_without_attention_has_nothing_to_show() -> None:
    model = SequenceModel({"tokens": 9, "labels": 2}, encoder={"name": "recurrent", "hidden_size": 4}).eval()
    batch = Batch({"tokens": torch.tensor([[4], [5]])}, torch.tensor([2]), {}, (0,))
    assert attention_weights(model, batch) is None
    assert attention_table(None) == ()
    assert list(attention_maps(None, ("a",), slice(0, 1))) == []
