"""What heads of a Transformer's encoder looked at: softmax(Q K^T / sqrt(d)) in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recurra.base.contracts import Batch
from recurra.doctor.self_attention import attention_by_head, attention_maps
from recurra.models import SequenceModel


def model_of(**options: object) -> SequenceModel:
    torch.manual_seed(1)
    encoder = {"name": "transformer", "hidden_size": 8, "num_heads": 2, "num_layers": 2, "norm_first": False, **options}
    model = SequenceModel(
        {"tokens": 9, "labels": 2}, inputs={"name": "tokens", "embedding_size": 8}, encoder=encoder, head="label"
    )
    return model.eval()


def one(*tokens: int) -> Batch:
    return Batch({"tokens": torch.tensor(tokens)[:, None]}, torch.tensor([len(tokens)]), {}, (0,))


@pytest.mark.parametrize("causal", [False, True])
def test_weights_are_those_of_the_definition(causal: bool) -> None:
    model = model_of(**({"causal": True, "window": 3} if causal else {}))
    found = attention_by_head(model, one(4, 5, 6, 7, 8))
    assert found is not None
    assert found.shape == (2, 2, 5, 5)
    seen: list[torch.Tensor] = []
    block = model.encoder.blocks[0]
    handle = block.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    original = block.with_keys
    block.with_keys = lambda x, *rest: (seen.append(x), original(x, *rest))[1]
    with torch.no_grad():
        model(one(4, 5, 6, 7, 8))
    handle.remove()
    x = seen[0].double().numpy()
    w = block.self_attn.in_proj_weight.detach().double().numpy()
    b = block.self_attn.in_proj_bias.detach().double().numpy()
    q, k = x @ w[:8].T + b[:8], x @ w[8:16].T + b[8:16]
    for head in range(2):
        part = slice(4 * head, 4 * head + 4)
        scores = q[:, part] @ k[:, part].T / 2
        if causal:
            at = np.arange(5)
            scores[(at[None] > at[:, None]) | (at[None] <= at[:, None] - 3)] = -np.inf
        expected = np.exp(scores - scores.max(1, keepdims=True))
        np.testing.assert_allclose(found[0, head], expected / expected.sum(1, keepdims=True), atol=1e-6)


def test_there_is_a_map_for_each_head_and_none_of_other_models() -> None:
    weights = attention_by_head(model_of(), one(4, 5, 6))
    titles = [one.title for one in attention_maps(weights, ("a", "b", "c"))]
    assert len(titles) == 4
    assert "layer 2, head 2" in titles[3]
    many = torch.full((5, 8, 3, 3), 1 / 3)
    assert len(list(attention_maps(many, ("a", "b", "c")))) == 5
    other = SequenceModel({"tokens": 9, "labels": 2})
    assert attention_by_head(other.eval(), one(4, 5)) is None
