"""What is said of options of a model that stand at a wrong place, task by task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from recurra.api.schema import settings_of
from recurra.base.errors import ConfigError
from recurra.config import document_of


def refusals(task: str, model: Mapping[str, Any]) -> list[str]:
    document = document_of({"task": task, "model": model, "data": {"train": "rows.csv"}})
    with pytest.raises(ConfigError) as caught:
        settings_of(document, to_train=False)
    return list(caught.value.problems)


@pytest.mark.parametrize("task", ["classification", "translation", "language_model", "music"])
def test_a_hint_leads_to_no_option_of_a_component_that_the_task_cannot_use(task: str) -> None:
    """`backend` is an option of the inputs of tagging too, and these tasks have others."""
    assert refusals(task, {"backend": "aten"}) == [
        "config: model.backend: unknown option. It belongs at 'model.encoder.backend'."
    ]


def test_an_option_of_another_component_at_its_place_names_the_components_that_have_it() -> None:
    assert refusals("classification", {"encoder": {"name": "identity", "hidden_size": 8}}) == [
        "config: model.encoder.hidden_size: unknown option. It is an option of recurrent or awd; choose that, or "
        "leave it out."
    ]
    assert refusals("classification", {"encoder": {"name": "recurrent", "weight_drop": 0.5}}) == [
        "config: model.encoder.weight_drop: unknown option. It is an option of awd; choose that, or leave it out."
    ]


def test_a_backward_layer_is_refused_where_nothing_tells_the_token_before() -> None:
    encoder = {"name": "awd", "num_layers": 1, "last_layer": "hidden_size", "backward_layer": True}
    for task in ("classification", "tagging", "music", "translation"):
        (problem,) = refusals(task, {"encoder": encoder})
        assert problem == (
            "config: model.encoder.backward_layer: tells the token before each, which is learned with the head "
            "vocabulary alone; leave it out."
        )
