"""The names of other libraries lead to options that are there."""

from __future__ import annotations

import pytest

from recurra.api.schema import SCHEMA
from recurra.config.aliases import OURS


def test_each_alias_leads_to_an_option_and_is_none_of_ours() -> None:
    assert [ours for ours in set(OURS.values()) if SCHEMA.owner(ours) is None] == []
    assert [theirs for theirs in OURS if SCHEMA.owner(theirs) is not None] == []


@pytest.mark.parametrize(
    ("theirs", "near", "place"),
    [
        ("learning_rate", ("training",), "training.optimizer.lr"),
        ("batch_size", ("training",), "training.batch_rows"),
        ("num_train_epochs", ("training",), "training.epochs"),
        ("hidden_dim", ("model",), "model.encoder.hidden_size"),
        ("max_seq_length", ("task",), "task.max_length"),
        ("max_grad_norm", ("training",), "training.clipping.max_norm"),
        ("weight_decay", ("model",), "training.optimizer.weight_decay"),
    ],
)
def test_the_usual_names_lead_to_the_usual_options(theirs: str, near: tuple[str, ...], place: str) -> None:
    assert SCHEMA.owner(OURS.get(theirs, theirs), near) == place
