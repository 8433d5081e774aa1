"""Conversations from a raw file to replies: init's choices, training, evaluation, prediction, and what is said."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from api.api_room import Listening
from recurra import api
from recurra.api.configuring import draft
from recurra.base.errors import ConfigError, DataError
from recurra.data.embedded import EMBEDDED
from talk_room import TALKS, configured, talk_run


def write_rows(folder: Path, rows: list[dict[str, Any]], name: str = "chat.jsonl") -> Path:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / name


class Stopping(Listening):
    """Somebody who presses Ctrl-C in the third step."""

    def step(self, progress: Any, speed: float, seconds_left: float) -> None:
        super().step(progress, speed, seconds_left)
        if progress.step == 3:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("rows", "task", "data"),
    [
        ([{"topic": "x", "turns": one} for one in TALKS], {"turns": "turns"}, {}),
        (
            [{"id": str(k), "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
             for k in range(3)],
            {"turns": "messages", "conversation": "id", "replies_of": "assistant"}, {},
        ),
        (
            [{"conversation_id": k, "turn": n, "speaker": "AB"[n % 2], "text": text}
             for k, one in enumerate(TALKS) for n, text in enumerate(one)],
            {"turns": "text", "conversation": "conversation_id", "speaker": "speaker"},
            {"layout": {"name": "long", "id": "conversation_id", "time": "turn"}},
        ),
        ([{"dialog": "a __eou__ b"}, {"dialog": "c __eou__ d"}], {"turns": "dialog", "separator": "__eou__"}, {}),
        ([{"question": "a b", "answer": "c d"}, {"question": "e f", "answer": "g h"}],
         {"turns": ["question", "answer"], "context": 1}, {}),
    ],
)  # fmt: skip
def test_init_finds_turns_in_the_forms_that_files_have(
    tmp_path: Path, rows: list[dict[str, Any]], task: dict[str, Any], data: dict[str, Any]
) -> None:
    found = draft("chatbot", write_rows(tmp_path, rows)).tree
    assert {key: value for key, value in found["task"].items() if key not in ("name", "tokenizer")} == task
    assert {key: value for key, value in found["data"].items() if key != "train"} == data


def test_a_file_without_turns_is_refused_with_its_columns(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no column holds lists of turns.*Columns: a, b"):
        draft("dialogue", write_rows(tmp_path, [{"a": "x y", "b": "z w"}] * 3))


def test_a_row_a_turn_makes_conversations_that_no_split_tears(tmp_path: Path) -> None:
    rows = [
        {"who": "AB"[n % 2], "chat": k, "at": n, "text": text}
        for k, one in enumerate(TALKS)
        for n, text in enumerate(one)
    ]
    config = {
        "task": {"name": "dialogue", "turns": "text", "speaker": "who", "conversation": "chat", "context": 2},
        "data": {
            "train": str(write_rows(tmp_path, rows[::-1])),
            "layout": {"name": "long", "id": "chat", "time": "at"},
        },
        "model": {"inputs": {"embedding_size": 4}, "encoder": {"hidden_size": 4}, "decoder": {"embedding_size": 4}},
    }
    facts = api.check(config).facts
    assert [facts[f"{name} conversations"] for name in ("train", "dev", "test")] == [32, 4, 4]
    assert [facts[f"{name} replies"] for name in ("train", "dev", "test")] == [96, 12, 12]
    rows[5]["text"] = " "
    config["data"]["train"] = str(write_rows(tmp_path, rows))  # type: ignore[index]
    with pytest.raises(DataError, match=r"chat\.jsonl:6: turn 2 of 4 is empty"):
        api.check(config)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return talk_run(tmp_path_factory)


def test_a_run_says_in_its_report_what_it_found(run: Path) -> None:
    page = (run / "report.html").read_text()
    for words in (
        "recall_at_5",
        "distinct_2",
        "dull_share",
        "length_ratio",
        "What the scores are",
        "tfidf",
        "references",
    ):
        assert words in page
    assert re.search(r"of [0-9]+ dev contexts [0-9.]+% are under it", page)


def test_replies_are_predicted_for_texts_lists_and_messages(run: Path) -> None:
    messages = [{"role": "user", "content": "is 3 a number"}]
    found = list(
        api.predict(run, [{"turns": one} for one in ("is 3 a number", ["is 3 a number"], messages)], device="cpu")
    )
    assert found[0] == found[1] == found[2]
    (wide,) = api.predict(run, ["is 3 a number"], options={"beam": 3, "n_best": 2}, device="cpu")
    assert len(wide["n_best"]) == 2


def test_a_stopped_run_goes_on_to_the_bits_and_the_threshold_of_an_undisturbed_one(run: Path, tmp_path: Path) -> None:
    config, other = configured(tmp_path), tmp_path / "talks"
    assert api.train(config, out=other, device="cpu", watch=Stopping()).stopped_by is not None
    assert api.resume(other, device="cpu").report is not None
    for name in ("model.safetensors", "task.json"):
        assert (other / name).read_bytes() == (run / name).read_bytes(), name


def test_a_chat_replies_the_same_whatever_the_defaults_of_the_calling_program_are(run: Path) -> None:
    chat = api.chat(run, temperature=1.0, seed=3, device="cpu", always=True)
    usual = list(chat.say("is 3 a number"))
    chat.talk.forget()
    with torch.device("meta"):
        assert list(chat.say("is 3 a number")) == usual


def test_a_language_model_replies_from_the_raw_file_to_the_chat_and_the_scores_of_the_other_model(
    run: Path, tmp_path: Path
) -> None:
    file = write_rows(tmp_path, [{"turns": one} for one in TALKS])
    tree = draft("chat lm", file).tree
    assert (tree["task"]["name"], tree["model"]["name"]) == ("dialogue", "decoder_only")
    assert tree["model"]["head"]["output_dropout"] == tree["model"]["inputs"]["embedding_dropout"] == 0.3
    config = {**tree, "training": {"epochs": 2, "batch_rows": 16}}
    sizes = ["model.inputs.embedding_size=8", "model.encoder.hidden_size=8", "model.learns=turns", "task.refuse=0.2"]
    said = api.train(config, out=tmp_path / "lm", device="cpu", overrides=sizes)
    names = [(score.name, score.unit, score.split) for score in said.report.scores]
    other = json.loads((run / "scores.json").read_text())
    assert names == [(one["name"], one["unit"], one["split"]) for one in other]
    *_, last = api.chat(tmp_path / "lm", device="cpu", always=True).say("is 3 a number")
    assert not last.refused
    steps = [json.loads(line) for line in (tmp_path / "lm" / "log.jsonl").read_text().splitlines()]
    parts = {name for step in steps for name in step if name.startswith("loss_")}
    assert parts == {"loss_replies", "loss_turns_before"}
    with pytest.raises(
        ConfigError, match=r"encoder: 'convolutional' does not fit task dialogue; expected recurrent or"
    ):
        api.check(config, overrides=["model.encoder=convolutional"])
    with pytest.raises(ConfigError, match=r"model\.decoder"):
        api.check(config, overrides=["model.decoder.tie=all"])


def test_evaluate_finds_conversations_that_were_learned_from(run: Path, tmp_path: Path) -> None:
    heard: list[str] = []

    class Watch:
        def note(self, message: str) -> None:
            heard.append(message)

    file = write_rows(tmp_path, [{"turns": one} for one in TALKS], "others.jsonl")
    report = api.evaluate(run, file, device="cpu", watch=Watch())  # type: ignore[arg-type]
    assert {"perplexity", "recall_at_1", "dull_share"} <= {score.name for score in report.scores}
    assert any(one.startswith("leak: 32 of 40 conversations of others.jsonl stand in train too") for one in heard)


@pytest.fixture(scope="module")
def faq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faq")
    rows = [{"question": f"is {k} a number", "answer": f"yes {k} is one"} for k in range(120)]
    config = {
        "task": {"name": "response_selection", "turns": ["question", "answer"]},
        "data": {"train": str(write_rows(folder, rows))},
        "model": {"inputs": {"embedding_size": 6}, "encoder": {"hidden_size": 4}, "embedding_size": 8},
        "training": {"epochs": 1, "batch_rows": 32},
    }
    (folder / "c.yaml").write_text(yaml.safe_dump(config))
    api.train(folder / "c.yaml", out=folder / "faq", device="cpu")
    return folder / "faq"


def test_a_reply_is_chosen_from_the_raw_file_to_the_answer(faq: Path) -> None:
    (said,) = api.predict(faq, ["is 17 a number"], device="cpu")
    assert said["output"].startswith("yes ")
    assert "words (TF-IDF) weigh" in (faq / "report.html").read_text()
    with pytest.raises(ConfigError, match="temperature: has no effect, as this run chooses a reply and writes none"):
        api.chat(faq, temperature=0.5, device="cpu")


def test_a_stopped_run_that_chooses_goes_on_to_the_same_replies_and_weights(faq: Path, tmp_path: Path) -> None:
    other = tmp_path / "faq"
    assert api.train(faq.parent / "c.yaml", out=other, device="cpu", watch=Stopping()).stopped_by is not None
    assert api.resume(other, device="cpu").report is not None
    for name in ("model.safetensors", "task.json"):
        assert (other / name).read_bytes() == (faq / name).read_bytes(), name


def test_questions_of_the_reference_stand_in_no_answer_word_for_word() -> None:
    train = list(EMBEDDED["questions"].records("train"))
    answers = {one.fields["answer"] for one in train}
    for split in ("dev", "test"):
        rows = list(EMBEDDED["questions"].records(split))
        assert len(rows) > 20
        for one in rows:
            assert one.fields["answer"] in answers
            assert not any(one.fields["question"] in answer for answer in answers)
    assert len(train) > 1000
