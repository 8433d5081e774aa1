"""The written config says everything, and is read back as the same config."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from config.config_room import GOOD, SCHEMA
from recurra.base.normal import name_of
from recurra.config import parse, resolve, write
from recurra.config.resolve import Resolved
from recurra.config.write import WIDTH

EXPECTED = """\
# A config of the tests.
# An option that is left out has its default; an unknown one is an error.

task:                             # what to learn (one of classification; see
                                  # `recurra explain task classification`)
  name: classification
  text: "no"                      # column that holds the text (text; required)
  labels: []                      # the labels, in order (list of text; default [])
  weights: null                   # weight of a class in the loss
                                  # (map of text to numbers > 0 or null; default null)
  metrics: [accuracy]             # what is reported (list of any of accuracy, f1; default [accuracy])

model: tiny                       # the network (one of classifier, tiny; see `recurra explain model tiny`)

training:                         # the loop
  epochs: 10                      # passes over the training data (integer >= 1 and <= 1000; default 10)
  optimizer:                      # how weights follow gradients; default adam (one of sgd, adam; see
                                  # `recurra explain optimizer sgd`)
    name: sgd
    lr: 1.0e-05                   # step size (number > 0; default 0.1)
    momentum: 0.0                 # share of the last step that is kept (number >= 0 and < 1; default 0.0)
    nesterov: false               # look ahead (true or false; default false)
  second: null                    # another one (null or one of sgd, adam; default null)
  clip: 1.0                       # largest gradient norm; null does not clip
                                  # (number > 0 or null; default 1.0)
  patience: auto                  # epochs without a better score (integer >= 1 or auto; default auto)
"""


def written(text: str) -> str:
    return write(resolve(parse(text), SCHEMA), SCHEMA)


def test_a_written_config_is_the_manual() -> None:
    text = "task: {name: classification, text: no}\nmodel: tiny\ntraining: {optimizer: {name: sgd, lr: 1e-5}}"
    assert written(text) == EXPECTED


def test_long_lists_take_one_line_an_item_and_long_values_have_their_comment_above() -> None:
    labels = ", ".join(f"label_{n}" for n in range(40))
    text = written(f"task: {{name: classification, text: {'x' * 40}, labels: [{labels}]}}")
    assert "  labels:                         # the labels" in text
    assert "    - label_39\n" in text
    assert f"  # column that holds the text (text; required)\n  text: {'x' * 40}\n" in text
    assert max(len(line) for line in text.splitlines()) <= WIDTH


NAMES = st.text(max_size=12)
TREES = st.fixed_dictionaries(
    {
        "task": st.fixed_dictionaries(
            {
                "name": st.just("classification"),
                "text": NAMES,
                "labels": st.lists(NAMES, max_size=9),
                "weights": st.none() | st.dictionaries(NAMES.map(name_of), st.floats(1e-300, 1e300), max_size=9),
            }
        ),
        "model": st.just("tiny") | st.fixed_dictionaries({"hidden_size": st.integers(1, 10**17)}),
        "training": st.fixed_dictionaries(
            {
                "clip": st.none() | st.floats(min_value=0, exclude_min=True, allow_infinity=False),
                "patience": st.just("auto") | st.integers(1, 99),
                "second": st.none() | st.just("sgd"),
            }
        ),
    }
)


def resolve_tree(tree: dict[str, Any]) -> Resolved:
    document = parse(GOOD)
    return resolve(type(document)(document.name, tree, {}), SCHEMA)


@settings(max_examples=60, deadline=None)
@given(TREES)
def test_what_is_written_is_read_back_as_the_same_config(tree: dict[str, Any]) -> None:
    config = resolve_tree(tree)
    text = write(config, SCHEMA)
    assert resolve(parse(text), SCHEMA).tree == config.tree


@settings(max_examples=40, deadline=None)
@given(TREES)
def test_a_reader_of_yaml_1_1_sees_the_same_values(tree: dict[str, Any]) -> None:
    config = resolve_tree(tree)
    seen = yaml.safe_load(write(config, SCHEMA))
    assert seen["task"]["text"] == config.tree["task"]["text"]
    assert tuple(seen["task"]["labels"]) == config.tree["task"]["labels"]
    assert seen["task"]["weights"] == config.tree["task"]["weights"]
    assert seen["training"]["clip"] == config.tree["training"]["clip"]


@pytest.mark.parametrize(
    "word", ["no", "Y", "null", "1e-3", "1_000", "017", "2024-01-31", "- a", "a: b", "a #b", "*x", "é", "a b"]
)
def test_words_with_two_readings_are_written_so_that_there_is_one(word: str) -> None:
    text = written(f"task: {{name: classification, text: '{word}'}}")
    assert yaml.safe_load(text)["task"]["text"] == word
    assert parse(text).tree["task"]["text"] == word


@pytest.mark.parametrize("word", ["y", "N", "Off", "NULL"])
def test_words_that_some_reader_takes_for_a_switch_are_quoted(word: str) -> None:
    assert f'  text: "{word}" ' in written(f"task: {{name: classification, text: '{word}'}}")
