"""Answers by kind: their attributes are the keys of their JSON, and what was not asked for is no key."""

from __future__ import annotations

import dataclasses
import json
import pickle
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from recurra.base import answers, passages
from recurra.base.answers import (
    Attention,
    Candidate,
    Chords,
    Label,
    Labels,
    LogProb,
    Span,
    Spans,
    Tags,
    Text,
    TokenLogProb,
)

# Each with its JSON, as the command line and the service have written it since before there were these classes, and
# with what is read of it first.
ANSWERS: dict[str, tuple[Any, str, str]] = {
    "label": (
        Label("a b", "x", 0.75, {"x": 0.75, "y": 0.25}),
        '{"text": "a b", "label": "x", "score": 0.75, "probabilities": {"x": 0.75, "y": 0.25}}',
        "x",
    ),
    "no label": (
        Label(" ", "", None, {}, "blank text"),
        '{"text": " ", "label": "", "score": null, "probabilities": {}, "note": "blank text"}',
        "",
    ),
    "labels": (
        Labels("a", ("x", "y"), {"x": 0.5, "y": 0.875}),
        '{"text": "a", "labels": ["x", "y"], "probabilities": {"x": 0.5, "y": 0.875}}',
        "x, y",
    ),
    "text": (Text("là", 0.5, "there"), '{"output": "là", "score": 0.5, "text": "there"}', "là"),
    "text, all of it": (
        Text("a", 0.5, "b", (Candidate("a", 0.5, -1.5),), Attention(("a",), ("b", "c"), ((0.25, 0.75),))),
        '{"output": "a", "score": 0.5, "text": "b", "n_best": [{"output": "a", "score": 0.5, "log_prob": -1.5}], '
        '"attention": {"rows": ["a"], "columns": ["b", "c"], "weights": [[0.25, 0.75]]}}',
        "a",
    ),
    "spans": (
        Spans((Span("Ann", "PER", 0, 3, 0.5),), (("Ann", "B-PER"), ("ran", "O")), "Ann ran"),
        '{"spans": [{"text": "Ann", "label": "PER", "start": 0, "end": 3, "score": 0.5}], '
        '"tags": [["Ann", "B-PER"], ["ran", "O"]], "text": "Ann ran"}',
        "Ann (PER)",
    ),
    "tags": (
        Tags((Span("a", "DT", 0, 1), Span("b", "NN", 2, 3)), "a b"),
        '{"tokens": [{"text": "a", "label": "DT", "start": 0, "end": 1}, '
        '{"text": "b", "label": "NN", "start": 2, "end": 3}], "text": "a b"}',
        "a/DT b/NN",
    ),
    "how probable": (
        LogProb(-2.5, 3.5, 2, "a", (TokenLogProb("a", -2.0), TokenLogProb("", -0.5))),
        '{"log_prob": -2.5, "perplexity": 3.5, "num_tokens": 2, "text": "a", '
        '"tokens": [{"token": "a", "log_prob": -2.0}, {"token": "", "log_prob": -0.5}]}',
        "-2.5 nats",
    ),
    "chords": (
        Chords(-3.0, 1.5, 2, "C4 -"),
        '{"log_prob": -3.0, "nats_per_step": 1.5, "num_steps": 2, "chords": "C4 -"}',
        "-3.0 nats",
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_has_one_form_as_json_and_one_to_read(name: str) -> None:
    answer, written, read = ANSWERS[name]
    assert json.dumps(answer.to_dict(), ensure_ascii=False) == written
    assert str(answer) == read
    assert pickle.loads(pickle.dumps(answer)) == answer


def test_the_dict_of_an_answer_is_nobody_elses() -> None:
    answer = Label("a", "x", 1.0, {"x": 1.0})
    answer.to_dict()["probabilities"]["x"] = 0.0
    assert answer.probabilities == {"x": 1.0}
    with pytest.raises(FrozenInstanceError):
        answer.label = "y"  # type: ignore[misc]


def test_tags_of_tokens_are_read_as_those_beside_spans() -> None:
    assert ANSWERS["tags"][0].tags == (("a", "DT"), ("b", "NN"))


def test_any_answer_has_the_attributes_of_every_kind_and_no_other() -> None:
    classes = [one for module in (answers, passages) for one in vars(module).values() if isinstance(one, type)]
    kinds = [one for one in classes if isinstance(getattr(one, "kind", None), str)]
    assert len(kinds) >= 10
    fields = {field.name for kind in kinds for field in dataclasses.fields(kind)} | {"tags"}
    assert set(answers.AnyAnswer.__annotations__) == fields
