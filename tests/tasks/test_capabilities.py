"""What a task can have besides the verbs, and what the page on tasks says of it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from recurra.tasks import (
    Classification,
    ClassificationConfig,
    LanguageModelConfig,
    LanguageModelling,
    Music,
    MusicConfig,
    Tagging,
    TaggingConfig,
    Translation,
    TranslationConfig,
    contract,
)

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "adding" / "task.md").read_text("utf-8")
CAPABILITIES = {name: one for name, one in vars(contract).items() if getattr(one, "_is_runtime_protocol", False)}


def members(capability: Any) -> set[str]:
    return {name for name in {*vars(capability), *capability.__annotations__} if not name.startswith("_")}


@pytest.mark.parametrize("name", CAPABILITIES)
def test_the_page_on_tasks_names_each_capability_with_its_members(name: str) -> None:
    line = next(line for line in PAGE.splitlines() if f"`{name}`" in line)
    named = set(re.findall(r"`(\w+)(?:\([^)]*\))?`", line))
    assert members(CAPABILITIES[name]) <= named


HAS = {
    Classification: "Calibrates Embeds Explains Judged ReadsInPieces SaysLabels",
    Translation: "DrawsCharts DrawsMaps Explains Judged Streams TakesOptions ValidatesFaster",
    LanguageModelling: (
        "DrawsCharts Embeds Explains Generates NamesUnknown Plays ReadsInPieces Suggests TakesOptions WritesSamples"
    ),
    Tagging: "Embeds Explains Judged TagsTokens ValidatesFaster",
    Music: "DrawsMaps Explains Generates Plays WritesSamples",
    ClassificationConfig: "ChoosesBySize LabelsRows ReadsOnce",
    TranslationConfig: "ChoosesBySize ReadsOnce",
    LanguageModelConfig: "ChoosesBySize ReadsOn ReadsOnce",
    TaggingConfig: "ChoosesBySize ReadsOnce",
    MusicConfig: "ChoosesBySize",
}
OF_CONFIGS = {"ChoosesBySize", "LabelsRows", "ReadsOn", "ReadsOnce", "ReadsSteps"}
# Set when a task is made, so that its class does not show them.
SET_LATER = {"labels", "temperature", "label"}


@pytest.mark.parametrize("kind", HAS, ids=lambda kind: kind.__name__)
def test_a_task_has_what_it_can_do_and_no_stubs_for_what_others_can(kind: type) -> None:
    declared = {name for one in kind.__mro__[:-1] for name in (*vars(one), *inspect.get_annotations(one))}
    known = {*declared, *SET_LATER & set(inspect.get_annotations(kind.__init__))}
    asked = CAPABILITIES.keys() & OF_CONFIGS if kind.__name__.endswith("Config") else CAPABILITIES.keys() - OF_CONFIGS
    found = {name for name in asked if members(CAPABILITIES[name]) <= known}
    assert sorted(found) == HAS[kind].split()
