"""The classifier: shapes, padding that changes nothing, and every cell and pooling that there is."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn

from models.models_room import classifier
from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.cells import CELLS
from recurra.lower import projects
from recurra.models import MODELS, SequenceModel
from recurra.nn import POOLS

TOKENS, LABELS = 11, 3


def batch_of(*rows: Sequence[int], targets: Sequence[int] | None = None) -> Batch:
    """Rows of token ids, padded with zeros."""
    T = max((len(row) for row in rows), default=0)
    tokens = torch.tensor([[row[t] if t < len(row) else 0 for row in rows] for t in range(T)], dtype=torch.int64)
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
    labels = {} if targets is None else {"labels": torch.tensor(targets)}
    return Batch({"tokens": tokens.reshape(T, len(rows))}, lengths, labels, tuple(range(len(rows))))


def small(**options: Any) -> SequenceModel:
    torch.manual_seed(0)
    given: dict[str, Any] = {"embedding_size": 3, "hidden_size": 4, **options}
    if projects(CELLS[given.get("cell", "lstm")]):
        given.setdefault("proj_size", 2)
    return classifier(TOKENS, LABELS, **given)


ROWS = ([5, 7, 9, 4, 6], [8], [], [10, 4])


@pytest.mark.parametrize("pooling", POOLS)
@pytest.mark.parametrize("cell", CELLS.keys())
def test_every_cell_with_every_pooling_takes_a_step_and_does_not_notice_padding(cell: str, pooling: str) -> None:
    model = small(cell=cell, pooling=pooling)
    batch = batch_of(*ROWS)
    logits = model(batch).outputs["logits"]
    nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0])).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    model.eval()
    together = model(batch).outputs["logits"]
    assert together.shape == (len(ROWS), LABELS)
    for n, row in enumerate(ROWS):
        alone = model(batch_of(row)).outputs["logits"][0]
        torch.testing.assert_close(alone, together[n], atol=1e-6, rtol=0)
    assert not torch.equal(together[0], together[1])


@pytest.mark.parametrize(
    "options", [{"num_layers": 2, "merge": "sum"}, {"bidirectional": False}, {"embedding_size": "one_hot"}], ids=str
)
def test_padding_changes_no_gradient(options: dict[str, Any]) -> None:
    model = small(**options).double()
    alone = copy.deepcopy(model)
    model(batch_of(*ROWS)).outputs["logits"].square().sum().backward()
    for row in ROWS:
        alone(batch_of(row)).outputs["logits"].square().sum().backward()
    for (name, together), single in zip(model.named_parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(together.grad, single.grad, atol=1e-12, rtol=1e-12, msg=name)


def test_logits_are_the_last_layer_of_what_the_parts_give() -> None:
    """Written out for one row, one direction, last state: embedding, torch's LSTM, linear."""
    model = small(bidirectional=False).eval()
    lstm = nn.LSTM(3, 4)
    lstm.load_state_dict(model.encoder.recurrent.state_dict())
    tokens = [5, 7, 9]
    x = model.inputs.embedding.weight[torch.tensor(tokens)].unsqueeze(1)
    _, (h, _) = lstm(x)
    expected = h[-1] @ model.head.output.weight.T + model.head.output.bias
    torch.testing.assert_close(model(batch_of(tokens)).outputs["logits"], expected, atol=1e-6, rtol=0)


def test_an_empty_row_has_the_logits_of_nothing() -> None:
    for pooling in POOLS:
        model = small(pooling=pooling).eval()
        torch.testing.assert_close(model(batch_of([], [5])).outputs["logits"][0], model.head.output.bias)
        torch.testing.assert_close(model(batch_of([])).outputs["logits"][0], model.head.output.bias)


def test_padding_has_no_vector_and_learns_none() -> None:
    model = small()
    assert model.inputs.embedding.weight[0].abs().sum() == 0
    model(batch_of(*ROWS)).outputs["logits"].sum().backward()
    assert model.inputs.embedding.weight.grad is not None
    assert model.inputs.embedding.weight.grad[0].abs().sum() == 0
    assert model.inputs.embedding.weight.grad[5].abs().sum() > 0


def test_one_hot_tokens_learn_no_table() -> None:
    model = small(embedding_size="one_hot")
    assert model.encoder.recurrent.input_size == TOKENS
    assert [name for name, _ in model.named_parameters() if name.startswith("embedding")] == []
    assert [name for name in model.state_dict() if name.startswith("embedding")] == []


@pytest.mark.parametrize(
    "option", ["word_dropout", "embedding_dropout", "output_dropout", "variational_dropout", "zoneout", "dropout"]
)
def test_each_dropout_acts_in_training_and_only_there(option: str) -> None:
    model = small(**{option: 0.5, "num_layers": 2}, pooling="mean")
    batch = batch_of([5, 7, 9, 4, 6], [8, 4])

    def twice() -> bool:
        return torch.equal(model(batch).outputs["logits"], model(batch).outputs["logits"])

    torch.manual_seed(1)
    assert not twice()
    model.eval()
    assert twice()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"dropout": 0.5}, "dropout"),
        ({"bidirectional": False, "merge": "sum"}, "merge"),
        ({"proj_size": 2}, "proj_size"),
        ({"cell": "lstm_projected", "proj_size": 0}, "proj_size"),
        ({"cell": "gru", "forget_bias": 1.0}, "forget"),
        ({"cell": "lsmt"}, "unknown cell 'lsmt'. Did you mean 'lstm'?"),
        ({"pooling": "men"}, "unknown pooling 'men'. Did you mean 'mean'?"),
    ],
)
def test_options_that_cannot_take_effect_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence.replace("?", r"\?")):
        classifier(TOKENS, LABELS, **{"embedding_size": 3, "hidden_size": 4, **options})


def test_the_forget_bias_and_the_initialisation_reach_the_layer() -> None:
    model = small(forget_bias=1.5, init="orthogonal", bidirectional=False)
    state = model.encoder.recurrent.state_dict()
    torch.testing.assert_close(state["bias_ih_l0"][4:8] + state["bias_hh_l0"][4:8], torch.full((4,), 1.5))
    block = state["weight_hh_l0"][:4]
    torch.testing.assert_close(block @ block.T, torch.eye(4), atol=1e-5, rtol=0)


def test_the_model_is_registered() -> None:
    assert MODELS["sequence_model"] is SequenceModel
