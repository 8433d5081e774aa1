"""A row of a decoder has the same bits alone and among others, at once and step by step."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from recurra.base.contracts import Batch
from recurra.data.tokenizers import BOS, EOS
from recurra.engine import cpu
from recurra.models import DecoderOnly, EncoderDecoder
from recurra.tasks.text import pad_sequence
from recurra.tasks.translation.batches import read_by_decoder
from recurra.tasks.translation.losses import forced_rows

pytestmark = pytest.mark.skipif(not cpu.available(), reason="needs the native engine")

TOKENS = 60
BOTH = {"name": "recurrent", "hidden_size": 24, "bidirectional": True}
MODELS: dict[str, dict[str, Any]] = {
    "sutskever": {"encoder": BOTH, "decoder": {"attention": "none", "num_layers": 2}},
    "cho": {"encoder": BOTH, "decoder": {"attention": "none", "style": "cho", "bridge": "mean"}},
    "transformer": {"encoder": {"name": "transformer", "hidden_size": 16}, "decoder": {"name": "transformer"}},
    "language model": {"encoder": {"name": "recurrent", "hidden_size": 16}},
}


@pytest.mark.parametrize("name", MODELS)
def test_rows_have_the_same_bits_alone_and_among_others(name: str) -> None:
    parts = dict(MODELS[name])
    if parts.get("decoder", {}).get("name") is None and "decoder" in parts:
        parts["decoder"] = {"name": "recurrent", "embedding_size": 16, **parts["decoder"]}
    torch.manual_seed(2)
    made = EncoderDecoder if "decoder" in parts else DecoderOnly
    sizes, inputs = {"tokens": TOKENS, "target": TOKENS}, {"name": "tokens", "embedding_size": 16}
    model = made(sizes, inputs=inputs, **parts).eval()
    draw = torch.Generator().manual_seed(3)
    sources, targets = (
        [torch.randint(5, TOKENS, (n,), generator=draw).tolist() for n in lengths]
        for lengths in ((1, 8, 3, 5, 2, 7, 8, 4, 6), (0, 6, 2, 3, 1, 5, 4, 6, 2))
    )
    with torch.inference_mode():
        among = batch_of(sources, targets)
        found, forced = model(among).outputs["hidden"], forced_rows(model(among), among)
        said, _ = model.step(torch.full((9,), BOS), model.start(among))
        for n, (source, target) in enumerate(zip(sources, targets, strict=True)):
            own = batch_of([source], [target])
            assert torch.equal(model(own).outputs["hidden"][: len(target) + 1, 0], found[: len(target) + 1, n])
            assert forced_rows(model(own), own) == [forced[n]]
            assert torch.equal(model.step(torch.tensor([BOS]), model.start(own))[0][0], said[n])


def batch_of(sources: list[list[int]], targets: list[list[int]]) -> Batch:
    inputs = {"tokens": pad_sequence(sources), **read_by_decoder(targets)}
    wanted = {"tokens": pad_sequence([[*one, EOS] for one in targets])}
    return Batch(inputs, torch.tensor([len(one) for one in sources]), wanted, ())
