"""The verbs on questions about texts: from a SQuAD file to answers, a page, a look inside, and an ONNX file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.api_room import done, refused
from published_room import folder
from recurra import api
from recurra.api.callbacks import NoCallback
from recurra.api.prepare import prepare
from recurra.api.schema import read_settings
from recurra.service import Limits, open_runs
from service.service_room import Asked

PLACES = ("Oslo", "Rome", "Lima", "Bern", "Kyiv", "Baku", "Cairo", "Delhi", "Minsk", "Paris", "Quito", "Seoul")
LANDS = (
    "Norway",
    "Italy",
    "Peru",
    "Suiza",
    "Ukraine",
    "Azer",
    "Egypt",
    "India",
    "Belarus",
    "France",
    "Ecuador",
    "Korea",
)


def squad(nulls: bool) -> dict[str, Any]:
    """An article for each place, with two questions; with nulls also one that has no answer."""
    data = []
    for n, (place, land) in enumerate(zip(PLACES, LANDS, strict=True)):
        context = f"{place} is the capital of {land}. It has {n + 2} rivers."
        asked = [
            (f"Which capital has {land}?", place, 0),
            ("How many rivers?", str(n + 2), context.index(f" {n + 2} ") + 1),
        ]
        qas = [
            {"id": f"{n}-{k}", "question": q, "answers": [{"text": a, "answer_start": start}]}
            for k, (q, a, start) in enumerate(asked)
        ]
        if nulls:
            qas = [{**one, "is_impossible": False} for one in qas]
            qas.append({"id": f"{n}-x", "question": "Who was king?", "answers": [], "is_impossible": True})
        data.append({"title": place, "paragraphs": [{"context": context, "qas": qas}]})
    return {"version": "v2.0" if nulls else "1.1", "data": data}


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with dev.json, c.yaml and a finished run under the name `run`."""
    path = tmp_path_factory.mktemp("questions")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        Path("dev.json").write_text(json.dumps(squad(True)))
        config = yaml.safe_load(api.init("question_answering", "dev.json"))
        config["model"]["encoder"] |= {"hidden_size": 12, "num_layers": 1}
        config["model"]["inputs"] |= {"embedding_size": 12, "embedding_dropout": 0.0, "characters": "none"}
        config["model"]["head"]["output_dropout"] = 0.0
        config["training"] |= {"epochs": 15, "batch_rows": 8, "optimizer": {"name": "adam", "lr": 0.02}}
        Path("c.yaml").write_text(yaml.safe_dump(config))
        done("train", "c.yaml", "--out", "run")
    return path


@pytest.fixture
def here(learned: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(learned)
    return learned


ROW = {"question": "Which capital has Chad?", "context": "Baku is the capital of Chad. It has 3 rivers."}


def asked(path: Path, *rows: Mapping[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_init_finds_the_columns_and_keeps_articles_together(here: Path) -> None:
    said = done("init", "qa", "dev.json")
    assert "group: column 'title', by its name." in said.err
    config = yaml.safe_load(said.out)
    assert config["task"]["answer"] == "answers"
    assert (config["task"]["group"], config["task"]["id"]) == ("title", "id")


def test_no_article_has_questions_in_two_splits(here: Path) -> None:
    splits = prepare(read_settings(here / "c.yaml"), NoCallback()).splits
    articles = {name: {e.context.split()[0] for e in examples} for name, examples in splits.items()}
    assert set(articles) == {"train", "dev", "test"}
    assert sum(map(len, articles.values())) == len(set.union(*articles.values())) == len(PLACES)


def test_a_model_learns_to_answer_and_beats_the_words_in_common(here: Path) -> None:
    report = json.loads((here / "run" / "scores.json").read_text())
    scores = {(s["split"], s["name"]): s["value"] for s in report}
    baselines = json.loads((here / "run" / "baselines.json").read_text())
    best = max(s["value"] for one in baselines.values() for s in one if (s["split"], s["name"]) == ("dev", "f1"))
    assert scores["dev", "f1"] > best
    assert {name for split, name in scores if split == "test"} == {
        "exact_match", "f1", "answered_exact_match", "answered_f1", "unanswered_exact_match"
    }  # fmt: skip


def test_the_threshold_that_was_tuned_is_said_and_kept(here: Path) -> None:
    assert "threshold" in (here / "run" / "report.html").read_text()
    kept = json.loads((here / "run" / "task.json").read_text())["threshold"]
    assert api.open_run(here / "run").task.threshold == kept


def test_evaluate_gives_the_same_scores_again(here: Path) -> None:
    before = json.loads((here / "run" / "scores.json").read_text())
    again = done("evaluate", "run", "--json").json["scores"]
    assert [s for s in again if s["split"] == "test"] == [s for s in before if s["split"] == "test"]


def test_answers_are_places_in_the_text_that_was_given(here: Path) -> None:
    (found,) = api.predict("run", [ROW])
    assert ROW["context"][found["start"] : found["end"]] == found["answer"]
    assert found["answer"] == "Baku"
    (more,) = api.predict("run", [ROW], options={"n_best": 2})
    assert any(one["answer"] == "" and one["start"] is None for one in more["n_best"])
    told = done("predict", "run", "--input", str(asked(here / "new.jsonl", ROW)))
    assert told.out.startswith(f"Baku\t{100 * found['score']:.1f} %\t0\t4\t{ROW['question']}")
    done("predict", "run", "--input", "new.jsonl", "--output", "said.csv")
    assert "predicted,score" in (here / "said.csv").read_text()


def test_a_question_without_its_context_is_told_what_is_missing(here: Path) -> None:
    assert "no column 'context'" in refused("predict", "run", "Which capital?")
    told = done("predict", "run", ROW["question"], "--with", f"context={ROW['context']}", "--json").json
    assert told["answer"] == "Baku"
    assert "--with place=x: expected context" in refused("predict", "run", "x", "--with", "place=x")
    assert "--with stands beside TEXT" in refused("predict", "run", "--input", "new.jsonl", "--with", "context=x")
    several = done("predict", "run", ROW["question"], "--with", f"context={ROW['context']}", "--n-best", "3").out
    assert "\n  2. " in several
    assert "%\tno answer\n" in several


def test_inspect_shows_which_tokens_spoke_for_the_answer(here: Path) -> None:
    found = api.inspect("run", ROW)
    assert found.meaning == "the log-probability of 'Baku'"
    assert found.tokens[:4] == ("[CLS]", "Which", "capital", "has")
    assert abs(found.saliency.gap) < 1e-3
    assert found.tables[0].caption == "Answers"
    done("inspect", "run", ROW["question"], "--with", f"context={ROW['context']}")


def test_the_file_for_onnx_says_what_the_model_says(here: Path) -> None:
    pytest.importorskip("onnx", reason="needs onnx")
    done("export", "run", "--onnx", "run.onnx")
    assert (here / "run.onnx").stat().st_size > 1000


def test_the_service_answers_questions_about_texts(here: Path) -> None:
    served = Asked(open_runs([here / "run"], device="cpu"), Limits(), None)
    (one,) = served.get("/models").json()["models"]
    tried = served.post("/predict", served.service.example("/predict"))
    assert tried.status_code == 200, tried.text
    assert (one["answer"], one["input"], one["inputs"]) == ("span", "question", ["question", "context"])
    found = served.post("/predict", {"records": [ROW]}).json()["predictions"][0]
    assert (found["answer"], found["start"], found["end"]) == ("Baku", 0, 4)


def test_published_weights_answer_too_and_show_their_heads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "tiny")
    Path("dev.json").write_text(json.dumps(squad(False)))
    config = {
        "task": {"name": "question_answering", "group": "title", "window": 24, "max_question": 12},
        "data": {"train": "dev.json"},
        "model": {"encoder": {"name": "pretrained", "folder": "tiny"}},
        "training": {"epochs": 1},
    }
    Path("c.yaml").write_text(yaml.safe_dump(config))
    trained = done("train", "c.yaml", "--out", "run")
    assert "contexts are longer than task.window = 24 tokens" in trained.err
    found = api.inspect("run", ROW)
    assert found.maps[0].title.startswith("Attention of layer 1, head 1")
    assert "Heads of attention" in [table.caption for table in found.tables]
    assert "BertForQuestionAnswering" in done("export", "run", "--transformers", "bert").out
