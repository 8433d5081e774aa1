"""A language model that replies: one text of source and target, alone and among others, at once and step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.data.tokenizers import BOS, EOS
from recurra.models import DecoderOnly
from recurra.tasks.dialogue.losses import dialogue_loss
from recurra.tasks.text import pad_sequence
from recurra.tasks.translation.batches import read_by_decoder

SIZES = {"tokens": 11, "target": 11}
ENCODERS: dict[str, dict[str, Any]] = {
    "recurrent": {"name": "recurrent", "hidden_size": 6, "cell": "gru"},
    "transformer": {"name": "transformer", "hidden_size": 6, "num_heads": 2, "num_layers": 2, "causal": True},
}
SOURCES, TARGETS = [[5, 6, EOS, 7], [8], [], [9, 4]], [[6, 5], [], [7, 7, 4], [10]]


def network(encoder: str = "recurrent", **options: Any) -> DecoderOnly:
    torch.manual_seed(1)
    inputs = {"name": "tokens", "embedding_size": 6}
    return DecoderOnly(SIZES, inputs=inputs, encoder=ENCODERS[encoder], **options).eval()


def batch_of(sources: list[list[int]], targets: list[list[int]]) -> Batch:
    lengths = torch.tensor([len(one) for one in sources])
    inputs = {"tokens": pad_sequence(sources), **read_by_decoder(targets)}
    return Batch(inputs, lengths, {"tokens": pad_sequence([[*one, EOS] for one in targets])}, ())


def log_probs(out: Any) -> np.ndarray[Any, Any]:
    """(S, N, V) of a model's outputs, in float64."""
    hidden, weight, bias = (out[name].detach().double().numpy() for name in ("hidden", "weight", "bias"))
    logits = hidden @ weight.T + bias
    return np.asarray(logits - np.log(np.exp(logits).sum(-1, keepdims=True)))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_what_is_said_of_a_target_is_what_the_network_says_of_source_start_and_target_as_one_text(encoder: str) -> None:
    model = network(encoder)
    with torch.no_grad():
        found = model(batch_of(SOURCES, TARGETS)).outputs["hidden"]
        for n, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True)):
            whole = torch.tensor([*source, BOS, *target]).unsqueeze(1)
            alone = model.network(Batch({"tokens": whole}, torch.tensor([len(whole)]), {}, ())).outputs["hidden"]
            assert torch.equal(found[: len(target) + 1, n], alone[len(source) :, 0])


@pytest.mark.parametrize("encoder", ENCODERS)
def test_steps_say_what_is_said_at_once_and_rows_can_be_chosen(encoder: str) -> None:
    model, target = network(encoder), [6, 7, 5]
    forced = log_probs(model(batch_of(SOURCES, [target] * 4)).outputs)
    state = model.start(batch_of(SOURCES, [target] * 4))
    order = torch.tensor([3, 0, 0, 2])
    for step, token in enumerate([BOS, *target]):
        said, state = model.step(torch.full((4,), token), state)
        # float32 states, in another order of sums
        np.testing.assert_allclose(said.numpy(), forced[step, order if step > 1 else slice(None)], atol=2e-6)
        if step == 1:
            state = model.select(state, order)


def test_all_turns_are_learned_with_the_ends_between_them_and_evaluated_by_the_reply_alone() -> None:
    model, batch = network(learns="turns"), batch_of(SOURCES, TARGETS)
    plain = dialogue_loss(model(batch), batch, 0.0)
    found = dialogue_loss(model.train()(batch), batch, 0.0)  # there is no dropout
    nats, count = 0.0, 0
    for source, target in zip(SOURCES, TARGETS, strict=True):
        read = torch.tensor([*source, BOS, *target]).unsqueeze(1)
        outputs = model.network(Batch({"tokens": read}, torch.tensor([len(read)]), {}, ())).outputs
        said = log_probs({**outputs, "weight": outputs["output.weight"], "bias": outputs["output.bias"]})
        follows = [*source[1:], *([EOS] if source else []), *target, EOS]  # the last turn has its end before the start
        nats -= sum(said[t, 0, token] for t, token in enumerate(follows))
        count += len(follows)
    assert (plain.count, found.count) == (sum(len(one) + 1 for one in TARGETS), count)
    assert found.total.item() == pytest.approx(nats, rel=1e-6)
    assert found.parts["replies"].item() == pytest.approx(plain.total.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"head": {"name": "vocabulary", "softmax": "adaptive"}}, "softmax: adaptive cannot be used where replies"),
        ({"head": {"name": "vocabulary", "temporal_penalty": 1.0}}, "temporal_penalty: has no effect on replies"),
        ({"encoder": {"name": "transformer", "hidden_size": 6, "num_heads": 2}}, "the head predicts what follows"),
        ({"encoder": {"name": "recurrent", "hidden_size": 3, "bidirectional": True}}, "needs the whole text"),
    ],
)
def test_what_has_no_effect_or_sees_the_reply_before_it_is_said_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        DecoderOnly(
            {"tokens": 60, "target": 60},
            inputs={"name": "tokens", "embedding_size": 6},
            **{"encoder": ENCODERS["recurrent"], **options},
        )
