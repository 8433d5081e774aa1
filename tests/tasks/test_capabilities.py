"""What a task can have besides the verbs, and what the page on tasks says of it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from recurra.tasks import (
    Autoencoding,
    AutoencodingConfig,
    Classification,
    ClassificationConfig,
    Dialogue,
    DialogueConfig,
    LanguageModelConfig,
    LanguageModelling,
    MaskedLM,
    MaskedLMConfig,
    MultipleChoice,
    MultipleChoiceConfig,
    Music,
    MusicConfig,
    QuestionAnswering,
    QuestionAnsweringConfig,
    ResponseSelection,
    ResponseSelectionConfig,
    Tagging,
    TaggingConfig,
    TextAutoencoding,
    TextAutoencodingConfig,
    TextRegression,
    TextRegressionConfig,
    Translation,
    TranslationConfig,
    WordVectorLearning,
    WordVectorsConfig,
    contract,
)

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "adding" / "task.md").read_text("utf-8")
CAPABILITIES = {name: one for name, one in vars(contract).items() if getattr(one, "_is_runtime_protocol", False)}


@pytest.mark.parametrize("name", CAPABILITIES)
def test_the_page_on_tasks_names_each_capability_with_its_members(name: str) -> None:
    line = next(line for line in PAGE.splitlines() if f"`{name}`" in line)
    named = set(re.findall(r"`(\w+)(?:\([^)]*\))?`", line))
    assert set(contract.members(CAPABILITIES[name])) <= named


HAS = {
    Autoencoding: "Codes DecodesInCollate DrawsCharts DrawsMaps Explains Exports KeepsExamples MeasuresLoss Plays "
    "ReadsInPieces ScoresSteps TriedWith ValidatesFaster WritesFromCodes",
    AutoencodingConfig: "ChoosesBySize KeepsRows ReadsOnce ReadsSteps",
    TextAutoencoding: "Embeds KeepsExamples ValidatesFaster WritesFromCodes WritesSamples",
    TextAutoencodingConfig: "ChoosesBySize KeepsRows ReadsOnce",
    Classification: "Calibrates Embeds Explains Judged KeepsExamples ReadsInPieces ReadsPieces SaysLabels SolvesWide",
    Translation: "DrawsCharts DrawsMaps Explains Judged KeepsExamples Streams TakesOptions ValidatesFaster",
    LanguageModelling: (
        "DrawsCharts Embeds Explains Generates KeepsExamples NamesUnknown Plays ReadsInPieces ReadsLetters "
        "ScoresTokens Suggests TakesOptions WritesSamples"
    ),
    ResponseSelection: "Chats Embeds FitsThreshold KeepsExamples LeavesOut TakesOptions ValidatesFaster",
    Dialogue: "Chats Embeds FitsThreshold KeepsExamples LeavesOut TakesOptions ValidatesFaster",
    Tagging: (
        "Calibrates Embeds Explains Judged KeepsExamples LeavesOut ReadsLetters ReadsPieces TagsTokens ValidatesFaster"
    ),
    Music: "DrawsMaps Explains Generates KeepsExamples Plays WritesSamples",
    QuestionAnswering: ("Embeds Explains FitsThreshold Judged ReadsPieces TakesOptions"),
    TextRegression: "Embeds Explains Judged KeepsExamples MeasuresLoss ReadsPieces",
    MultipleChoice: "Embeds Explains Judged ReadsPieces TriedWith",
    WordVectorLearning: "Embeds GivesVectors KeepsExamples MovesModel WritesSamples",
    MaskedLM: "Embeds Explains KeepsExamples ReadsPieces TakesOptions",
    ClassificationConfig: "ChoosesBySize KeepsRows LabelsRows MindsInputs ReadsOnce",
    TranslationConfig: "ChoosesBySize KeepsRows ReadsOnce",
    LanguageModelConfig: "ChoosesBySize KeepsRows MindsInputs ReadsOn ReadsOnce",
    TaggingConfig: "ChoosesBySize KeepsRows MindsInputs ReadsOnce",
    ResponseSelectionConfig: "ChoosesBySize KeepsRows ReadsOnce ReadsSteps TrainsItself",
    DialogueConfig: "ChoosesBySize KeepsRows ReadsOnce ReadsSteps",
    MusicConfig: "ChoosesBySize KeepsRows ReadsOnce",
    QuestionAnsweringConfig: "ChoosesBySize ReadsOnce",
    MaskedLMConfig: "ChoosesBySize KeepsRows MindsInputs ReadsOn ReadsOnce",
    TextRegressionConfig: "ChoosesBySize KeepsRows ReadsOnce",
    MultipleChoiceConfig: "ChoosesBySize LabelsRows ReadsOnce",
    WordVectorsConfig: "ChoosesBySize KeepsRows ReadsOn ReadsOnce TrainsItself",
}
OF_CONFIGS = {
    "ChoosesBySize",
    "KeepsRows",
    "LabelsRows",
    "MindsInputs",
    "ReadsOn",
    "ReadsOnce",
    "ReadsSteps",
    "TrainsItself",
}
# Set when a task is made, so that its class does not show them.
SET_LATER = {"labels", "letters", "temperature", "label"}


@pytest.mark.parametrize("kind", HAS, ids=lambda kind: kind.__name__)
def test_a_task_has_what_it_can_do_and_no_stubs_for_what_others_can(kind: type) -> None:
    declared = {name for one in kind.__mro__[:-1] for name in (*vars(one), *inspect.get_annotations(one))}
    known = {*declared, *SET_LATER & set(inspect.get_annotations(kind.__init__))}
    asked = CAPABILITIES.keys() & OF_CONFIGS if kind.__name__.endswith("Config") else CAPABILITIES.keys() - OF_CONFIGS
    found = {name for name in asked if known.issuperset(contract.members(CAPABILITIES[name]))}
    assert sorted(found) == HAS[kind].split()


class Costly:
    """A task whose properties nobody may evaluate to find out what it can do."""

    @property
    def for_validation(self) -> None:
        pytest.fail("evaluated")

    @property
    def vocabulary(self) -> None:
        pytest.fail("evaluated")

    @property
    def labels(self) -> None:
        pytest.fail("evaluated")


def test_what_a_task_can_do_is_asked_without_evaluating_its_properties() -> None:
    task: Any = Costly()
    assert isinstance(task, contract.ValidatesFaster)
    assert isinstance(task, contract.Embeds | contract.Generates)
    assert not isinstance(task, contract.SaysLabels)  # it has labels, and no separator


def test_what_is_set_when_a_task_is_made_counts_too() -> None:
    task: Any = Costly()
    task.separator = "|"
    assert isinstance(task, contract.SaysLabels)
    assert contract.members(contract.Generates) == ("use", "writer")
