"""The words that people have for a task, and a data file in the place of a config."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from api.api_room import done, refused
from recurra.tasks import TASKS


@pytest.mark.parametrize(
    ("word", "task"),
    [
        ("ner", "tagging"), ("POS", "tagging"), ("sentiment", "classification"), ("spam", "classification"),
        ("summarization", "translation"), ("translate", "translation"), ("lm", "language_model"),
        ("language-model", "language-model"), ("part of speech", "tagging"), ("tagging", "tagging"), ("xyz", "xyz"),
    ],
)  # fmt: skip
def test_the_usual_words_for_a_task_lead_to_it(word: str, task: str) -> None:
    assert TASKS.called(word) == task


def test_init_takes_the_usual_word_and_says_which_task_it_is(data: Path) -> None:
    said = done("init", "sentiment", "data.csv")
    assert "'sentiment' is an example of the task classification.\n" in said.err
    assert said.out == done("init", "classification", "data.csv").out
    said = refused("init", "regression", "data.csv")
    assert (
        "'regression': several tasks are called so; expected text_regression, a number for a text or a pair, or" in said
    )


@pytest.mark.parametrize(("word", "method"), [("glove", "glove"), ("FastText", "subwords"), ("word2vec", "skip_gram")])
def test_init_takes_the_method_that_a_word_means(word: str, method: str, data: Path) -> None:
    written = yaml.safe_load(done("init", word, "data.csv").out)
    assert written["task"]["method"] == method
    assert (written["training"]["schedule"] == "constant") is (method == "glove")


def test_a_config_with_the_usual_word_is_led_to_the_task(data: Path) -> None:
    Path("c.yaml").write_text("task: {name: ner}\ndata: {train: data.csv}\n")
    assert "unknown task 'ner'. Did you mean 'tagging'?" in refused("check", "c.yaml")


@pytest.mark.parametrize("verb", ["train", "check"])
def test_a_data_file_in_the_place_of_a_config_leads_to_init(verb: str, data: Path) -> None:
    said = refused(verb, "data.csv")
    assert said.startswith(
        "data.csv: is data, and a config is expected. Write one for it first: `recurra init TASK data.csv"
    )
