"""Which options differ from those of a checkpoint."""

from __future__ import annotations

import json
from typing import Any

import pytest

from recurra.api.changes import changes
from recurra.api.schema import read_settings


@pytest.mark.parametrize("before", [{"a": 2.0, "name": 3.0}, {"a": 2.0}, {"b": 1.0}, {"a": 9.0, "b": 3.0}, {}, "none"])
def test_a_map_of_the_users_own_keys_differs_whole_whichever_keys_come_or_go(before: Any) -> None:
    now = {"a": 2.0, "b": 3.0}
    settings = read_settings(
        {"task": {"name": "classification", "class_weights": now}, "data": {"train": "x"}}, [], None
    )
    tree = json.loads(json.dumps(settings.tree))
    assert changes(tree, settings) == []
    tree["task"]["class_weights"] = before
    assert [(c.name, c.before, c.now) for c in changes(tree, settings)] == [("task.class_weights", before, now)]
