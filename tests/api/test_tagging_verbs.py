"""The verbs on tagged sentences: from files to answers, and a clear sentence for everything that is wrong with them."""

from __future__ import annotations

import csv
import json
import random
import re
import shutil
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.api_room import Listening, done, kept_of, refused
from recurra import api
from recurra.api import demos
from recurra.data.embedded import quantities

NAMES, PLACES = ("Anna", "Bob", "Carl", "Dora"), ("Rome", "Oslo", "New York", "Port Said")
TINY: Mapping[str, Mapping[str, Any]] = {
    "task": {"name": "tagging"},
    "data": {"train": "d.conll"},
    "model": {
        "inputs": {"embedding_size": 3, "character_embedding_size": 2, "character_size": 2},
        "encoder": {"hidden_size": 4},
    },
    "training": {"epochs": 1, "batch_rows": 8, "optimizer": {"name": "adam", "lr": 0.03}},
}


def sentences(number: int = 40) -> list[list[tuple[str, str]]]:
    """Who is where, no sentence twice, in scheme bio."""
    rows = []
    for n in range(number):
        place = PLACES[n // 4 % 4].split()
        spans = [(NAMES[n % 4], "B-PER"), ("is", "O"), ("in", "O")]
        spans += [(word, f"{'BI'[k > 0]}-LOC") for k, word in enumerate(place)]
        rows.append([*spans, (f"now{'abcdefgh'[n % 8]}{'abcdefgh'[n // 8]}", "O")])
    return rows


def write_conll(rows: list[list[tuple[str, str]]], name: str = "d.conll", *, end: str = "\n", start: str = "") -> None:
    blocks = ["".join(f"{word} {tag}{end}" for word, tag in row) for row in rows]
    Path(name).write_bytes((start + end.join(blocks)).encode())


def write_yaml(name: str = "c.yaml", **sections: Mapping[str, Any]) -> None:
    tree = {key: {**TINY.get(key, {}), **sections.get(key, {})} for key in TINY.keys() | sections.keys()}
    Path(name).write_text(yaml.safe_dump(tree), "utf-8")


@pytest.fixture(scope="session")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with d.conll, c.yaml and a finished run under the name `run`."""
    folder = tmp_path_factory.mktemp("tagged")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_conll(sentences())
        write_yaml(training={"epochs": 4})
        done("train", "c.yaml", "--out", "run")
    return folder


@pytest.fixture
def run(tagged: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The trained run; we are in its folder. It is only read."""
    monkeypatch.chdir(tagged)
    return Path("run")


# -- from files to answers ---------------------------------------------------------------------------------------------


def test_a_file_goes_all_the_way(here: Path) -> None:
    write_conll(sentences())
    assert done("init", "tagging", "d.conll", "-o", "first.yaml")
    config = yaml.safe_load(Path("first.yaml").read_text())
    assert (config["task"]["tokens"], config["task"]["tags"], config["model"]["name"]) == (
        "token",
        "tag",
        "sequence_model",
    )
    checked = done("check", "first.yaml", "--json").json
    assert "task.file_scheme: auto found bio; the model learns iobes." in checked["notes"]
    assert checked["facts"]["tags"] == 9
    write_yaml(task={"scheme": "iobes"})
    report = done("train", "c.yaml", "--out", "run", "--json").json["report"]
    assert report["facts"]["best epoch by"].startswith("f1_micro, ")
    assert set(report["baselines"]) == {"frequent", "dictionary"}
    assert [table["caption"] for table in report["tables"]] == [
        "What became of the spans",
        "Confusion matrix of tokens: rows are true tags, columns are predictions",
        "Most confused tags",
        "Reliability: how often answers of a given confidence are right",
        "Sentences with the most mistakes",
    ]
    page = Path("run/report.html").read_text()
    assert "What became of the spans" in page
    assert "f1_strict" in page


def test_probabilities_fit_dev_the_run_keeps_that_and_a_run_without_a_temperature_has_1(here: Path) -> None:
    def scores(folder: str) -> dict[str, float]:
        found = done("evaluate", folder, "--split", "dev", "--json").json["scores"]
        return {one["name"]: one["value"] for one in found}

    draw = random.Random(2)  # tags that do not follow from the words, and large steps: too sure of itself
    write_conll([[(word, draw.choice(["B-PER", "O", "B-LOC"])) for word, _ in row] for row in sentences()])
    write_yaml(training={"epochs": 3, "batch_rows": 2, "optimizer": {"name": "adam", "lr": 0.1}})
    report = done("train", "c.yaml", "--out", "run", "--json").json["report"]
    assert re.match(r"temperature \d\.\d+, fitted on \d+ dev rows: log loss [\d.]+ to ", report["facts"]["calibration"])
    kept = scores("run")
    assert kept["log_loss"] == next(
        s["value"] for s in report["scores"] if (s["split"], s["name"]) == ("dev", "log_loss")
    )
    shutil.copytree("run", "old")
    task = json.loads(Path("old/task.json").read_text())
    assert task.pop("temperature") > 1.05
    Path("old/task.json").write_text(json.dumps(task))
    plain = scores("old")
    assert plain["log_loss"] > kept["log_loss"]
    assert {k: v for k, v in plain.items() if "f1" in k} == {k: v for k, v in kept.items() if "f1" in k}


def test_every_form_of_the_same_sentences_gives_the_same_weights(here: Path) -> None:
    rows = sentences()
    write_conll(rows)
    write_conll(rows, "crlf.conll", end="\r\n", start="\ufeff")
    words, tags = [[w for w, _ in row] for row in rows], [[t for _, t in row] for row in rows]
    lists = [{"token": one, "tag": other} for one, other in zip(words, tags, strict=True)]
    Path("lists.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lists))
    spaced = [f"{' '.join(one)}\t{' '.join(other)}\n" for one, other in zip(words, tags, strict=True)]
    Path("spaced.tsv").write_text("token\ttag\n" + "".join(spaced))
    texts = []
    for row in words:
        text, place = " ".join(row), " ".join(row[3:-1])
        spans = [[0, len(row[0]), "PER"], [text.index(place), text.index(place) + len(place), "LOC"]]
        texts.append(json.dumps({"token": text, "tag": spans}) + "\n")
    Path("texts.jsonl").write_text("".join(texts))
    weights = set()
    for name in ("d.conll", "crlf.conll", "lists.jsonl", "spaced.tsv", "texts.jsonl"):
        write_yaml(data={"train": name})
        done("train", "c.yaml", "--out", f"run-{name}")
        weights.add(Path(f"run-{name}/model.safetensors").read_bytes())
    assert len(weights) == 1


def test_parts_of_speech_of_conllu_are_learned_as_they_are(here: Path) -> None:
    lines = []
    for n in range(30):
        words = [("the", "DET"), (("dog", "cat")[n % 2], "NOUN"), (f"runs{n}", "VERB")]
        lines += [f"{k}\t{w}\t_\t{t}\t_\t_\t0\t_\t_\t_" for k, (w, t) in enumerate(words, 1)] + [""]
    Path("d.conllu").write_text("\n".join(lines) + "\n")
    config = yaml.safe_load(done("init", "tagging", "d.conllu").out)
    assert (config["task"]["tokens"], config["task"]["tags"]) == ("form", "upos")
    write_yaml(
        task={"tokens": "form", "tags": "upos"}, data={"train": "d.conllu"}, model={"head": {"output": "softmax"}}
    )
    said = done("train", "c.yaml", "--out", "run")
    assert "task.file_scheme: auto found plain tags, 3 of them." in said.err
    assert set(json.loads(Path("run/baselines.json").read_text())) == {"frequent"}
    assert done("predict", "run", "the dog").out.count("/") == 2


def test_evaluate_and_predict_agree_with_the_report(run: Path) -> None:
    of_run = json.loads(Path("run/scores.json").read_text())
    said = done("evaluate", "run", "--json").json
    assert said["scores"] == [score for score in of_run if score["split"] == "test"]
    of_file = {s["name"]: s["value"] for s in done("evaluate", "run", "d.conll", "--json").json["scores"]}
    right = found = true = 0
    for row, tags in zip(api.predict(run, api.read_for(run, Path("d.conll"))), sentences(), strict=True):
        words = [word for word, _ in tags]
        place = " ".join(words[3:-1])
        expected = {(words[0], "PER", 0), (place, "LOC", row["text"].index(place))}
        spans = {(one["text"], one["label"], one["start"]) for one in row["spans"]}
        right, found, true = right + len(spans & expected), found + len(spans), true + 2
    assert of_file["precision_micro"] == pytest.approx(right / max(found, 1))
    assert of_file["recall_micro"] == pytest.approx(right / true)


def test_predictions_keep_the_characters_of_a_raw_text(run: Path, tmp_path: Path) -> None:
    text = "  Bob is   in\tNew York, he says.  "
    row = json.loads(done("predict", run, "--json", text).out)
    assert row["text"] == text
    for one in row["spans"]:
        assert text[one["start"] : one["end"]] == one["text"]
        assert 0 < one["score"] <= 1
    done("predict", run, text, "", "--output", tmp_path / "p.csv")
    with open(tmp_path / "p.csv", newline="", encoding="utf-8") as file:
        first, empty = csv.DictReader(file)
    assert json.loads(first["predicted"]) == row["spans"]
    assert (empty["predicted"], empty["token"], empty["note"]) == ("[]", "", "blank text")
    done("predict", run, "--input", "d.conll", "--output", tmp_path / "p.jsonl")
    found = [json.loads(line)["token"] for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert found == [[word for word, _ in row] for row in sentences()]


def test_a_text_alone_gets_the_answer_that_it_gets_in_a_batch(run: Path) -> None:
    texts = ["Anna is in Port Said now1", "Rome", "Bob and Carl and Dora are in Oslo, New York or Rome"]
    distributed = [json.loads(line) for line in done("predict", run, "--json", *texts).out.splitlines()]
    for text, expected in zip(texts, distributed, strict=True):
        alone = json.loads(done("predict", run, "--json", text).out)
        assert [{**one, "score": 0} for one in alone["spans"]] == [{**one, "score": 0} for one in expected["spans"]]
        scores = [one["score"] for one in expected["spans"]]
        assert [one["score"] for one in alone["spans"]] == pytest.approx(scores, abs=1e-5)


def test_a_stopped_run_goes_on_as_if_it_had_never_stopped(here: Path) -> None:
    write_conll(sentences())
    write_yaml(training={"epochs": 2}, model={"inputs": {"word_dropout": 0.2, "embedding_dropout": 0.3}})
    done("train", "c.yaml", "--out", "whole")

    class Stopping(Listening):
        def step(self, progress: Any, speed: float, seconds_left: float) -> None:
            super().step(progress, speed, seconds_left)
            if progress.step == 3:
                signal.raise_signal(signal.SIGINT)

    assert api.train(Path("c.yaml"), out=Path("run"), watch=Stopping()).stopped_by is not None
    assert api.resume(Path("run")).report is not None
    assert kept_of("run") == kept_of("whole")


def test_the_demo_finds_spans_in_real_lists(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = demos.DEMOS["tagging"]
    small = {"inputs": {"embedding_size": 4, "character_size": 4}, "encoder": {"hidden_size": 4}}
    settings = {**whole.settings, "model": small, "training": {**whole.settings["training"], "epochs": 1}}
    monkeypatch.setitem(demos.DEMOS, "tagging", replace(whole, settings=settings))  # type: ignore[arg-type]
    monkeypatch.setattr(quantities, "_ROWS", {"train": 6, "dev": 1, "test": 2})
    quantities._rows.cache_clear()
    said = done("demo", "tagging", "--out", "here/tagging")
    quantities._rows.cache_clear()
    assert "Where are the dates and the numbers? Lists of things in 40 languages" in said.err
    assert re.search(r"The 80 test texts hold 1\d\d of them\.", said.err)
    assert "dictionary" in said.out
    text = "Frankreich, 12 km und 4. März 2001"
    answer = json.loads(done("predict", "here/tagging", "--json", text).out)
    assert all(text[one["start"] : one["end"]] == one["text"] for one in answer["spans"])


# -- what is wrong with the data ---------------------------------------------------------------------------------------


def test_a_row_without_its_tag_is_named_or_its_sentence_is_skipped(here: Path) -> None:
    write_conll(sentences())
    lines = Path("d.conll").read_text().splitlines()
    Path("d.conll").write_text("\n".join(line if n != 8 else "is" for n, line in enumerate(lines, 1)))
    write_yaml()
    assert "d.conll:8: expected 2 columns (token, tag) but found 1: 'is'." in refused("check", "c.yaml")
    write_yaml(data={"on_error": "skip"})
    assert "d.conll: 1 broken row was skipped, 39 kept; d.conll:8: expected 2" in done("check", "c.yaml").err


def test_a_tag_that_the_scheme_forbids_is_named_skipped_or_repaired(here: Path) -> None:
    rows = sentences()
    rows[2][3] = (rows[2][3][0], "I-LOC")
    write_conll(rows)
    write_yaml()
    said = refused("check", "c.yaml")
    assert "d.conll:16: tag 'I-LOC' stands after 'O'; in scheme bio, B-X begins a span and I-X continues it." in said
    write_yaml(task={"file_scheme": "bio"}, data={"on_error": "skip"})
    assert "d.conll: 1 broken row was skipped, 39 kept; d.conll:16: tag 'I-LOC'" in done("check", "c.yaml").err
    write_yaml(task={"repair": True})
    assert done("check", "c.yaml", "--json").json["facts"]["tags"] == 5


def test_schemes_that_are_mixed_in_one_file_are_named(here: Path) -> None:
    rows = sentences()
    rows[5] = [(word, {"B-PER": "S-PER", "B-LOC": "S-LOC"}.get(tag, tag)) for word, tag in rows[5]]
    write_conll(rows)
    write_yaml()
    said = refused("check", "c.yaml")
    assert "d.conll:31: tag 'S-PER' is not of scheme bio; expected O, B-..., I-.... Correct the tag" in said
    write_yaml(task={"file_scheme": "bio"}, data={"on_error": "skip"})
    assert "d.conll: 1 broken row was skipped, 39 kept; d.conll:31: tag 'S-PER'" in done("check", "c.yaml").err


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        (
            [[3, 7, "LOC"], [0, 4, "X"]],
            "the spans 0-4 ('in R') and 3-7 ('Rome') overlap, and a token can have one tag.",
        ),
        ([[3, 6, "LOC"]], "span 3-6 ('Rom') of label 'LOC' cuts through the token 'Rome' at 3-7."),
    ],
)
def test_spans_that_overlap_or_cut_through_a_token_are_named(spans: list[Any], message: str, here: Path) -> None:
    rows = [{"token": f"Rome {n}", "tag": [[0, 4, "LOC"]]} for n in range(20)]
    rows.append({"token": "in Rome", "tag": spans})
    Path("d.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    write_yaml(data={"train": "d.jsonl"})
    assert f"d.jsonl:21: {message}" in refused("check", "c.yaml")


def test_a_tag_that_training_never_saw_is_said_and_counts_as_a_mistake(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "new.conll"
    path.write_text("Acme B-ORG\nis O\nin O\nRome B-LOC\n")
    said = done("evaluate", run, path, "--json")
    assert "new.conll: 1 of 4 tags were never seen in training, and no model can say them: 'ORG'" in said.err
    values = {score["name"]: score["value"] for score in said.json["scores"]}
    assert values["recall[ORG]"] == 0.0
    assert values["recall_micro"] <= 0.5


def test_a_sentence_of_ten_thousand_tokens_is_learned_from_left_out_and_answered(run: Path, tmp_path: Path) -> None:
    text = "Anna is in Rome " * 2500
    row = json.loads(done("predict", run, "--json", text).out)
    assert row["text"] == text
    assert all(text[one["start"] : one["end"]] == one["text"] for one in row["spans"])
    write_conll([*sentences(4), [("a", "O")] * 10_000], str(tmp_path / "long.conll"))
    splits = {"train": str(tmp_path / "long.conll"), "dev": "d.conll", "test": "d.conll"}
    config = tmp_path / "c.yaml"
    write_yaml(str(config), data=splits)
    report = done("train", config, "--out", tmp_path / "long", "--json").json["report"]
    assert report["facts"]["train tokens"] == 10_000 + 20
    write_yaml(str(config), data=splits, task={"max_length": 100})
    said = done("check", config, "--json").json
    assert "train: 1 of 5 sentences were left out" in " ".join(said["notes"])
    assert said["facts"]["train tokens"] == 20


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        (
            {"model": {"name": "classifier"}},
            "model.name: unknown model for tagging 'classifier'. Known: sequence_model.",
        ),
        ({"task": {"scheme": "bilou"}}, "task.scheme: expected one of auto, plain, bio, iobes"),
        ({"task": {"tags": "token"}}, "task.tags: is 'token', the column of tokens too"),
        ({"task": {"label": "x"}}, "task.label: unknown option."),
        ({"task": {"tokens": "tokn"}}, "d.conll:1: no column 'tokn'. Did you mean 'token'?"),
        ({"task": {"tags": "ner"}}, "d.conll:1: no column 'ner'."),
        (
            {"model": {"inputs": {"characters": "none", "character_size": 4}}},
            "character_size: has no effect with characters: none",
        ),
        ({"training": {"select": "accuracy"}}, "there is no score 'accuracy' to choose by. Known: precision_micro"),
    ],
)
def test_options_that_do_not_fit_are_named(sections: dict[str, Any], sentence: str, here: Path) -> None:
    write_conll(sentences())
    write_yaml(**sections)
    assert sentence in refused("check", "c.yaml")


def test_columns_that_nobody_can_tell_apart_are_named(here: Path) -> None:
    Path("d.csv").write_text("a,b\nx,y\n")
    assert "d.csv: no column looks like tokens: 'a', 'b'. Give it a common name" in refused("init", "tagging", "d.csv")
    Path("d.csv").write_text("text,b\nx,y\n")
    assert "d.csv: no column looks like tags: 'text', 'b'." in refused("init", "tagging", "d.csv")


def test_options_of_a_translation_are_refused(run: Path) -> None:
    assert "beam: has no effect, because a tagging has no such option" in refused("predict", run, "a", "--beam", "2")
