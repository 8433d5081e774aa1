"""The transducer's head against its equations in NumPy, every alignment written down."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oracles import transducer as oracle
from recurra.base.contracts import Batch, Prediction
from recurra.base.errors import ConfigError
from recurra.models import SequenceModel
from recurra.models.heads import TransducerHead
from recurra.tasks.transcription.methods import Transducer

LENGTHS, TARGETS, U = [4, 1, 3], [[2, 1], [], [1, 1]], 2


def model_for(**head: object) -> SequenceModel:
    torch.manual_seed(0)
    encoder = {"name": "recurrent", "cell": "rnn", "hidden_size": 4}
    small = {"name": "transducer", "cell": "rnn", "hidden_size": 3, "embedding_size": 2, "joint_size": 5}
    return SequenceModel({"features": 2, "units": 3}, inputs="vectors", encoder=encoder, head={**small, **head}).eval()


def batch() -> Batch:
    features = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32))
    units = torch.tensor([[*one, *[0] * (U - len(one))] for one in TARGETS])
    lengths = torch.tensor([len(one) for one in TARGETS])
    given = {"features": features, **Transducer().inputs(units, lengths)}
    return Batch(given, torch.tensor(LENGTHS), {"units": units, "unit_lengths": lengths}, ())


def in_numpy(model: SequenceModel, frames: torch.Tensor, target: list[int]) -> np.ndarray:
    """Logits (T, U + 1, V): a tanh network reads the blank and the units; W tanh(left + right) + b."""
    w = {name: one.detach().double().numpy() for name, one in model.head.named_parameters()}
    h, said = np.zeros(3), []
    for unit in [0, *target]:
        x = w["embedding.weight"][unit]
        both = w["prediction.bias_ih_l0"] + w["prediction.bias_hh_l0"]
        h = np.tanh(w["prediction.weight_ih_l0"] @ x + w["prediction.weight_hh_l0"] @ h + both)
        said.append(w["right.weight"] @ h)
    left = frames.detach().double().numpy() @ w["left.weight"].T + w["left.bias"]
    return np.tanh(left[:, None] + np.array(said)[None]) @ w["output.weight"].T + w["output.bias"]


def test_the_loss_is_that_of_every_alignment() -> None:
    model, given = model_for(), batch()
    encoded = model._encoded(given).outputs
    outputs = model(given).outputs
    nats = Transducer().nats(outputs, given.lengths, given.targets, None).tolist()
    for n, (length, target) in enumerate(zip(LENGTHS, TARGETS, strict=True)):
        p = oracle.by_alignments(in_numpy(model, encoded[:length, n], target), target)
        assert nats[n] == pytest.approx(-np.log(p), rel=1e-5)
    some = torch.tensor([2])
    targets = {name: one[some] for name, one in given.targets.items()}
    assert Transducer().nats(outputs, given.lengths[some], targets, some).tolist() == pytest.approx(nats[2:])


def test_fast_emit_makes_gradients_of_units_larger() -> None:
    model, given = model_for(fast_emit=0.5), batch()
    outputs = model(given).outputs
    Transducer().nats(outputs, given.lengths, given.targets, None).sum().backward()
    wanted = np.zeros(3)
    for n, (length, target) in enumerate(zip(LENGTHS, TARGETS, strict=True)):
        logits = in_numpy(model, model._encoded(given).outputs[:length, n], target)
        wanted += oracle.loss(logits, target, fast_emit=0.5)[1].sum((0, 1))
    np.testing.assert_allclose(model.head.output.bias.grad.numpy(), wanted, atol=1e-5)


def test_units_one_by_one_are_read_as_all_at_once() -> None:
    model, given = model_for(cell="lstm", num_layers=2), batch()
    said = model(given).outputs["said"]
    with torch.no_grad():
        reader = model.head.reader()
        state = reader.select(reader.begin, torch.zeros(3, dtype=torch.int64))
        for u, tokens in enumerate(given.inputs["target"]):
            found, state = reader.step(tokens, state)
            real = given.inputs["target_lengths"] > u
            torch.testing.assert_close(found[real], said[u][real], atol=1e-6, rtol=0)


def test_without_a_target_a_model_says_its_frames_alone() -> None:
    given = batch()
    found = model_for()(Batch({"features": given.inputs["features"]}, given.lengths, {}, ()))
    assert isinstance(found, Prediction)
    assert set(found.outputs) == {"frames"}


def test_training_may_begin_on_the_blank() -> None:
    head = TransducerHead(4, {"units": 5}, None, blank_share=0.9)
    share = torch.softmax(head.output.bias, 0)
    assert share.tolist() == pytest.approx([0.9] + [0.025] * 4)


def test_a_cell_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="cell"):
        model_for(cell="none")
