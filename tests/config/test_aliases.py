"""The names of other libraries lead to options that are there."""

from __future__ import annotations

import pytest

from recurra.api.schema import SCHEMA
from recurra.config.aliases import OURS, ours


def test_each_alias_leads_to_an_option_and_is_none_of_ours() -> None:
    assert [name for names in OURS.values() for name in names if not SCHEMA.places(name)] == []
    assert [theirs for theirs in OURS if SCHEMA.places(theirs)] == []


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
        ("tie_weights", ("model", "head"), "model.head.tied"),
        ("tie_weights", ("model", "decoder"), "model.decoder.tie"),
    ],
)
def test_the_usual_names_lead_to_the_usual_options(theirs: str, near: tuple[str, ...], place: str) -> None:
    places = (SCHEMA.places(name, near) for name in (theirs, *ours(theirs)))
    assert place in [each[0] for each in places if each]
