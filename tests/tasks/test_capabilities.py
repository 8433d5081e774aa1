"""What a task can have besides the verbs, and what the page on tasks says of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from recurra.tasks import contract

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "adding" / "task.md").read_text("utf-8")
CAPABILITIES = {name: one for name, one in vars(contract).items() if getattr(one, "_is_runtime_protocol", False)}


def members(capability: Any) -> set[str]:
    return {name for name in {*vars(capability), *capability.__annotations__} if not name.startswith("_")}


@pytest.mark.parametrize("name", CAPABILITIES)
def test_the_page_on_tasks_names_each_capability_with_its_members(name: str) -> None:
    line = next(line for line in PAGE.splitlines() if f"`{name}`" in line)
    named = set(re.findall(r"`(\w+)(?:\([^)]*\))?`", line))
    assert members(CAPABILITIES[name]) <= named
