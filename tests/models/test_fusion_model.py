"""A picture and a text read together: what stands behind what, rows alone and in batches, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.models import FusionModel
from recurra.models.fusion_model import one_behind_the_other

SIZES = {"height": 16, "width": 24, "channels": 3, "tokens": 9, "labels": 2}
SMALL = {
    "encoder": {"name": "image", "channels": [4, 6], "shape": [16, 24, 3]},
    "text_inputs": {"name": "tokens", "embedding_size": 5},
    "text_encoder": {"name": "recurrent", "hidden_size": 4, "bidirectional": True},
    "joint": {"name": "transformer", "hidden_size": 8, "num_layers": 2, "num_heads": 2},
    "head": {"name": "label", "pooling": "mean"},
    "embedding_size": 8,
}


def model(**other: object) -> FusionModel:
    torch.manual_seed(0)
    return FusionModel(SIZES, **{**SMALL, **other}).eval()  # type: ignore[arg-type]


def batch(rows: int = 3, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    lengths = torch.tensor([4, 1, 3][:rows])
    tokens = torch.from_numpy(rng.integers(4, 9, (4, rows)))
    pixels = torch.from_numpy(rng.integers(0, 256, (rows, 16, 24, 3)).astype(np.uint8))
    return Batch(
        {"pixels": pixels, "tokens": tokens, "text_lengths": lengths}, torch.ones(rows, dtype=torch.int64), {}, ()
    )


def test_steps_of_the_text_stand_behind_the_places_of_the_picture() -> None:
    first = torch.tensor([[[1.0], [5.0]], [[2.0], [float("nan")]]])  # (2, 2, 1); of the second row one is real
    second = torch.tensor([[[3.0], [6.0]], [[float("nan")], [7.0]], [[float("nan")], [8.0]]])
    x, lengths = one_behind_the_other(first, torch.tensor([2, 1]), second, torch.tensor([1, 3]))
    assert lengths.tolist() == [3, 4]
    assert x[:, 0, 0].tolist() == [1, 2, 3, 0]
    assert x[:, 1, 0].tolist() == [5, 6, 7, 8]
    x, lengths = one_behind_the_other(first, torch.tensor([2, 1]), second[:0], torch.tensor([0, 0]))
    assert (x[:, 0, 0].tolist(), lengths.tolist()) == ([1, 2], [2, 1])


@pytest.mark.parametrize("joint", ["transformer", "recurrent"])
def test_a_row_has_the_same_bits_alone_and_in_a_batch(joint: str) -> None:
    one = model(**({} if joint == "transformer" else {"joint": {"name": "recurrent", "hidden_size": 6}}))
    whole = batch()
    with torch.no_grad():
        together = one(whole).outputs["logits"]
        for n in range(3):
            length = int(whole.inputs["text_lengths"][n])
            inputs = {
                "pixels": whole.inputs["pixels"][n : n + 1],
                "tokens": whole.inputs["tokens"][:length, n : n + 1],
                "text_lengths": whole.inputs["text_lengths"][n : n + 1],
            }
            alone = one(Batch(inputs, whole.lengths[:1], {}, ())).outputs["logits"]
            torch.testing.assert_close(alone[0], together[n], atol=0, rtol=0)


def test_both_the_picture_and_the_text_reach_the_answer_and_have_gradients() -> None:
    one, whole = model(), batch()
    logits = one(whole).outputs["logits"]
    for name in ("pixels", "tokens"):
        other = {**whole.inputs, name: batch(seed=1).inputs[name]}
        assert not torch.equal(one(Batch(other, whole.lengths, {}, ())).outputs["logits"], logits)
    logits.sum().backward()
    assert [name for name, p in one.named_parameters() if p.grad is None or not p.grad.abs().sum()] == []


def test_parts_that_cannot_be_are_refused_together() -> None:
    bad = {"joint": {"name": "transformer", "hidden_size": 9, "num_heads": 2}}
    with pytest.raises(ConfigError) as caught:
        model(
            encoder={"name": "image", "channels": [4, 6], "shape": [24, 16, 3]},
            head={"name": "label", "pooling": "middle"},
            **bad,
        )
    assert len(caught.value.problems) == 3
    assert "pictures are 16 x 24 x 3, and the encoder would read them as 24 x 16 x 3" in caught.value.problems[0]
    assert caught.value.problems[1].startswith("num_heads: 2 do not divide 9")
    assert caught.value.problems[2].startswith("unknown pooling 'middle'")
