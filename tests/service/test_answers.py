"""What the service answers: the same as the command line, for texts and rows, whole, streamed and in pieces."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from recurra import api
from recurra.base.contracts import Origin, Record
from recurra.base.errors import DataError
from recurra.service import LoadedModel, page
from recurra.tasks import AnswerKind
from service.service_room import Ask, Client, events

TEXTS = ["fine item a1", "awful", "", "never seen words", "x " * 300]
NOTE = (
    "1 of 5 texts is blank (empty, or of white space and characters that cannot be seen), and has an empty answer; "
    "the first: texts[2]."
)


def by_the_api(served: LoadedModel, texts: list[str], **options: object) -> list[dict[str, object]]:
    records = [Record({served.input_field: text}, Origin("here")) for text in texts]
    return list(api.predict(served.run, records, options=options, device="cpu"))


@pytest.mark.parametrize("name", ["moods", "both"])
def test_a_classifier_answers_as_the_verb_predict_does(ask: Ask, served: dict[str, LoadedModel], name: str) -> None:
    answer = ask().post("/predict", {"model": name, "texts": TEXTS})
    assert answer.status_code == 200
    assert answer.json() == {
        "model": name,
        "version": served[name].version,
        "task": "classification",
        "predictions": by_the_api(served[name], TEXTS),
        "notes": [NOTE],
    }


def test_a_translation_answers_with_its_options_and_says_what_one_should_know(
    ask: Ask, served: dict[str, LoadedModel]
) -> None:
    options = {"beam": 4, "n_best": 3, "attention": True}
    answer = ask("digits").post("/predict", {"texts": ["12 12", "1 X"], "options": options}).json()
    assert answer["predictions"] == by_the_api(served["digits"], ["12 12", "1 X"], **options)
    assert len(answer["predictions"][0]["n_best"]) == 3
    assert any("training never saw" in note and "'X'" in note and "texts[1]" in note for note in answer["notes"])


def test_rows_go_where_the_rows_of_a_file_go(ask: Ask, served: dict[str, LoadedModel]) -> None:
    rows = [{"text": "fine", "label": "good", "more": [1, None]}, {"text": "awful"}]
    answer = ask("moods").post("/predict", {"records": rows}).json()
    assert answer["predictions"] == by_the_api(served["moods"], ["fine", "awful"])


@pytest.mark.parametrize("row", [{"title": "x"}, {"text": 3}, {"text": None}, {}])
def test_a_broken_row_is_refused_in_the_words_of_a_file(ask: Ask, served: dict[str, LoadedModel], row: dict) -> None:
    with pytest.raises(DataError) as caught:
        served["moods"].run.task.example(Record(row, Origin("records[1]")), gold=False)
    answer = ask("moods").post("/predict", {"records": [{"text": "fine"}, row]})
    assert (answer.status_code, answer.json()["problems"]) == (422, [str(caught.value)])


def test_an_option_that_the_task_does_not_have_is_refused(ask: Ask) -> None:
    answer = ask("moods").post("/predict", {"texts": ["a"], "options": {"beam": 2, "attention": False}})
    assert answer.status_code == 422
    assert [problem.partition(":")[0] for problem in answer.json()["problems"]] == ["beam", "attention"]


def test_texts_or_rows_but_not_both_and_not_neither(ask: Ask) -> None:
    for body in ({}, {"texts": ["a"], "records": [{"text": "a"}]}):
        answer = ask("moods").post("/predict", body)
        assert (answer.status_code, answer.json()["error"]) == (422, "texts, records: expected one of the two.")


def test_a_run_is_chosen_by_its_name(ask: Ask) -> None:
    several = ask("moods", "digits")
    assert several.post("/predict", {"model": "digits", "texts": ["1"]}).json()["task"] == "translation"
    unclear = several.post("/predict", {"texts": ["1"]})
    assert (unclear.status_code, unclear.json()["error"]) == (
        422,
        "model: is missing, and several are served. Known: moods, digits.",
    )
    unknown = several.post("/predict", {"model": "../moods", "texts": ["1"]})
    assert (unknown.status_code, unknown.json()["error"]) == (
        404,
        "model: there is none of this name. Known: moods, digits.",
    )


@pytest.mark.parametrize("text", ["12 12", "31", "", "99 99 99"])
def test_a_translation_is_spoken_token_by_token(ask: Ask, served: dict[str, LoadedModel], text: str) -> None:
    answer = ask("digits").post("/generate", {"text": text})
    assert answer.headers["content-type"].startswith("text/event-stream")
    *tokens, (last, whole) = events(answer.text)
    (greedy,) = by_the_api(served["digits"], [text], beam=1)
    assert (last, whole["text"], whole["tokens"]) == ("done", greedy["output"], len(tokens))
    assert {name for name, _ in tokens} <= {"token"}
    assert "".join(data["piece"] for _, data in tokens) == greedy["output"]


def test_a_blank_text_is_answered_with_nothing_and_a_note(ask: Ask) -> None:
    texts = ["fine item", "", "\u200b \n"]
    empty = {"moods": {"label": "", "score": None, "probabilities": {}}, "digits": {"output": "", "score": None}}
    for name, nothing in empty.items():
        answer = ask(name).post("/predict", {"texts": texts}).json()
        first, *blank = answer["predictions"]
        assert "note" not in first
        assert blank == [{**nothing, "text": text, "note": "blank text"} for text in texts[1:]]
        assert answer["notes"][0].startswith("2 of 3 texts are blank")
    *tokens, (last, whole) = events(ask("digits").post("/generate", {"text": " \u200b"}).text)
    assert (tokens, last, whole["text"], whole["tokens"]) == ([], "done", "", 0)
    assert whole["notes"][0].startswith("1 of 1 texts is blank")


def test_what_does_not_speak_says_so(ask: Ask) -> None:
    answer = ask("moods").post("/generate", {"text": "a"})
    assert answer.status_code == 409
    assert "a classification does not write texts; use /predict" in answer.json()["error"]


def test_a_session_answers_for_all_of_the_text_so_far(ask: Ask, served: dict[str, LoadedModel]) -> None:
    async def talk(client: Client) -> None:
        begun = await client.post("/sessions", json={"model": "moods"})
        assert begun.status_code == 201
        path, text = f"/sessions/{begun.json()['session']}", ""
        for piece in ["fi", "ne it", "em", " ", "awful", "", " cold"]:
            text += piece
            fed = (await client.post(path, json={"text": piece})).json()
            (expected,) = by_the_api(served["moods"], [text])
            # Only the order of products in a call differs.
            assert fed["prediction"]["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-6)
        assert (await client.delete(path)).status_code == 204
        for gone in (await client.delete(path), await client.post(path, json={"text": "a"})):
            assert gone.status_code == 404
            assert "Begin another with POST /sessions" in gone.json()["error"]

    ask().run(talk)


def test_a_run_that_needs_the_whole_text_has_no_sessions_and_says_why(ask: Ask) -> None:
    asked = ask()
    both = asked.post("/sessions", {"model": "both"})
    assert both.status_code == 409
    assert both.json()["problems"][0].startswith(
        "model.encoder.bidirectional: a bidirectional model needs the whole text"
    )
    digits = asked.post("/sessions", {"model": "digits"})
    assert (digits.status_code, digits.json()["error"]) == (
        409,
        "model: a translation reads all of a text before it answers; use /predict.",
    )


def test_models_say_what_they_can(ask: Ask) -> None:
    moods, both, digits = ask().get("/models").json()["models"]
    assert [one["name"] for one in (moods, both, digits)] == ["moods", "both", "digits"]
    assert (moods["sessions"], moods["generates"], moods["options"]) == ([], False, [])
    assert len(both["sessions"]) == 1
    assert (digits["generates"], digits["options"]) == (True, ["beam", "n_best", "attention", "join"])
    assert [one["answer"] for one in (moods, both, digits)] == ["label", "label", "text"]
    assert moods["parameters"] > 0


def test_the_page_has_a_view_for_each_kind_of_answer() -> None:
    script = page.content_of("page.js")
    (views,) = re.findall(r"const views = new Map\(\[(.*?)\]\);", script, re.DOTALL)
    found = re.findall(r'\["(\w+)", \w+View\]', views) + re.findall(r'views\.set\("(\w+)", (?!with)', script)
    # The last four by what a run reads or can do: vectors of words, sound, conversations, and pictures. A view that
    # gets something beside it is set again, by a function `with...`.
    assert sorted(found) == sorted([*get_args(AnswerKind), "words", "hearing", "chat", "picture"])


def test_the_report_of_a_run_is_one_click_away(ask: Ask, folder: Path) -> None:
    asked = ask("moods")
    path = asked.get("/models").json()["models"][0]["report"]
    answer = asked.get(path)
    assert answer.content == (folder / "moods/report.html").read_bytes()
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    for other in ("/models/digits/report", "/models/..%2Fmoods/report", "/models/%2e%2e/report", "/models//report"):
        assert asked.get(other).status_code == 404, other


def test_the_page_asks_nothing_of_other_hosts(ask: Ask) -> None:
    asked = ask("moods")
    policy = asked.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for path, kind in {
        "/": "html",
        "/page.css": "css",
        "/page.js": "javascript",
        "/recorder.js": "javascript",
        "/icon.svg": "svg",
    }.items():
        answer = asked.get(path)
        assert answer.status_code == 200
        assert kind in answer.headers["content-type"]
        assert "//" not in answer.text.replace("http://www.w3.org/2000/svg", "").replace("// ", "")
    for path in ("/page.py", "/page.css/page.js", "/%2e%2e%2fapp.py", "/page/page.js"):
        assert asked.get(path).status_code == 404, path


def test_the_examples_of_a_run_are_texts_of_its_data_that_it_answers(ask: Ask, folder: Path, writer: Path) -> None:
    data = (folder / "data.csv").read_text() + (folder / "pairs.csv").read_text()
    asked = ask("moods", "digits")
    for model in asked.get("/models").json()["models"]:
        assert 1 <= len(model["examples"]) <= 3
        assert all(text in data for text in model["examples"])
        answer = asked.post("/predict", {"model": model["name"], "texts": model["examples"]})
        assert answer.status_code == 200
    begun = json.loads((writer / "examples.json").read_text())["texts"]
    assert begun == ["the cat sat on the mat"]  # of its one sentence, six words to go on from
