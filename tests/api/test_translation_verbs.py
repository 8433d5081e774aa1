"""The verbs on parallel text: from files to answers, and a clear sentence for everything that is wrong with them."""

from __future__ import annotations

import csv
import json
import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from api.api_room import Listening, done, kept_of, refused
from recurra import api
from recurra.api.configuring import draft
from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, RunError
from recurra.tasks import ClassificationConfig
from recurra.tasks.options import task_with

WORDS = ("one", "two", "three", "four", "five")
TINY: Mapping[str, Mapping[str, Any]] = {
    "task": {"name": "translation", "scores": "exact", "beam": 2},
    "data": {"train": "d.tsv"},
    "model": {"inputs": {"embedding_size": 3}, "encoder": {"hidden_size": 4}, "decoder": {"embedding_size": 3}},
    "training": {"epochs": 1, "batch_rows": 8, "optimizer": {"name": "adam", "lr": 0.03}},
}


def pairs(number: int = 40) -> list[tuple[str, str]]:
    """Words, and the same the other way round with their first letters; no source twice."""
    sources = [[WORDS[(n // 5**k) % 5] for k in range(2 + n % 2)] for n in range(number)]
    return [(f"{' '.join(words)} {n}", " ".join(word[0] for word in words[::-1])) for n, words in enumerate(sources)]


def write_tsv(rows: list[tuple[str, str]], name: str = "d.tsv", header: str = "source\ttarget") -> None:
    Path(name).write_text("\n".join([header, *("\t".join(row) for row in rows)]) + "\n", "utf-8")


def write_parallel(rows: list[tuple[str, str]], stem: str = "t") -> None:
    for name, column in (("en", 0), ("xx", 1)):
        Path(f"{stem}.{name}").write_text("".join(f"{row[column]}\n" for row in rows), "utf-8")


def write_yaml(name: str = "c.yaml", **sections: Mapping[str, Any]) -> None:
    tree = {key: {**TINY.get(key, {}), **sections.get(key, {})} for key in TINY.keys() | sections.keys()}
    Path(name).write_text(yaml.safe_dump(tree), "utf-8")


PARALLEL: Mapping[str, Any] = {
    "task": {"source": "en", "target": "xx"},
    "data": {"train": "t.{en,xx}", "split": {"name": "random", "dev": 0.2, "test": 0.2}},
}


@pytest.fixture(scope="session")
def translated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with d.tsv, c.yaml and a finished run under the name `run`."""
    folder = tmp_path_factory.mktemp("translated")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_tsv(pairs())
        write_yaml()
        done("train", "c.yaml", "--out", "run")
    return folder


@pytest.fixture
def run(translated: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The trained run; we are in its folder. It is only read."""
    monkeypatch.chdir(translated)
    return Path("run")


# -- from files to answers ---------------------------------------------------------------------------------------------


def test_two_parallel_files_go_all_the_way(here: Path) -> None:
    write_parallel(pairs())
    assert done("init", "translation", "t.{en,xx}", "-o", "first.yaml")
    config = yaml.safe_load(Path("first.yaml").read_text())
    assert (config["task"]["source"], config["task"]["target"], config["model"]["name"]) == (
        "en", "xx", "encoder_decoder",
    )  # fmt: skip
    write_yaml(**PARALLEL)
    facts = done("check", "c.yaml", "--json").json["facts"]
    assert (facts["train rows"], facts["dev rows"], facts["test rows"]) == (24, 8, 8)
    report = done("train", "c.yaml", "--out", "run", "--json").json["report"]
    assert report["facts"]["best epoch by"].startswith("exact_match, ")
    assert {"exact_match", "token_accuracy", "perplexity", "log_loss"} == {s["name"] for s in report["scores"]}
    assert set(report["baselines"]) == {"copy", "frequent", "unigrams"}
    assert "exact_match by source length" in [table["caption"] for table in report["tables"]]
    write_parallel(pairs(4), "new")
    assert "2 of 4 new.{en,xx} rows stand in train" in done("evaluate", "run", "new.{en,xx}").err
    done("predict", "run", "--input", "new.{en}", "--output", "out.jsonl")
    assert [json.loads(line)["en"] for line in Path("out.jsonl").read_text().splitlines()] == [
        source for source, _ in pairs(4)
    ]


def test_a_summary_by_its_name_is_scored_as_one(tmp_path: Path) -> None:
    rows = [["article", "headline"], *([f"Ann said that {k} dogs ran away.", f"{k} dogs run away"] for k in range(20))]
    with (tmp_path / "news.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    for name, scores in (
        ("Headlines", "summarization"),
        ("summarization", "summarization"),
        ("seq2seq", "translation"),
    ):
        found = draft(name, tmp_path / "news.csv")
        assert found.tree["task"]["scores"] == scores
        assert any(line.startswith("scores:") for line in found.said) == (scores == "translation")


def test_every_format_gives_the_same_run(here: Path) -> None:
    write_tsv(pairs())
    Path("d.jsonl").write_text("".join(json.dumps({"source": s, "target": t}) + "\n" for s, t in pairs()))
    weights = []
    for name in ("d.tsv", "d.jsonl"):
        write_yaml(data={"train": name})
        done("train", "c.yaml", "--out", f"run-{name}")
        weights.append(Path(f"run-{name}/model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_evaluate_and_predict_agree_with_the_report(run: Path) -> None:
    of_run = json.loads(Path("run/scores.json").read_text())
    said = done("evaluate", "run", "--json").json
    assert said["scores"] == [score for score in of_run if score["split"] == "test"]
    of_file = {s["name"]: s["value"] for s in done("evaluate", "run", "d.tsv", "--json").json["scores"]}
    rows = [row["output"] for row in api.predict(run, api.read_for(run, Path("d.tsv")))]
    right = [output == target for output, (_, target) in zip(rows, pairs(), strict=True)]
    assert sum(right) / len(right) == pytest.approx(of_file["exact_match"], abs=1e-12)


def test_a_text_alone_gets_the_answer_that_it_gets_in_a_batch(run: Path) -> None:
    texts = ["one two 1", "three four five one 7", "two"]
    distributed = [
        json.loads(line) for line in done("predict", run, "--json", "--n-best", "2", *texts).out.splitlines()
    ]
    for text, expected in zip(texts, distributed, strict=True):
        alone = json.loads(done("predict", run, "--json", "--n-best", "2", text).out)
        assert alone["output"] == expected["output"]
        assert [one["log_prob"] for one in alone["n_best"]] == pytest.approx(
            [one["log_prob"] for one in expected["n_best"]], abs=1e-4
        )


def test_attention_is_shown_written_and_drawn(run: Path, tmp_path: Path) -> None:
    shown = done("predict", run, "one two 1", "--attention").out.splitlines()
    assert shown[1].split() == ["one", "two", "1"]
    found = json.loads(done("predict", run, "one two 1", "--attention", "--json").out)["attention"]
    assert len(found["weights"]) == len(found["rows"]) == len(shown) - 2
    assert all(sum(row) == pytest.approx(1, abs=1e-5) for row in found["weights"])
    done("predict", run, "one two 1", "two", "--attention", "--output", tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    done("predict", run, "one two 1", "--attention", "--output", tmp_path / "a.csv")
    with open(tmp_path / "a.csv", newline="") as file:
        assert json.loads(next(csv.DictReader(file))["attention"]) == found


def test_a_stopped_run_goes_on_as_if_it_had_never_stopped(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tsv(pairs())
    write_yaml(training={"epochs": 2}, model={"decoder": {"scheduled_sampling": {"name": "linear", "slope": 0.1}}})
    done("train", "c.yaml", "--out", "whole")

    class Stopping(Listening):
        def step(self, progress: Any, speed: float, seconds_left: float) -> None:
            super().step(progress, speed, seconds_left)
            if progress.step == 3:
                signal.raise_signal(signal.SIGINT)

    assert api.train(Path("c.yaml"), out=Path("run"), watch=Stopping()).stopped_by is not None
    assert api.resume(Path("run")).report is not None
    assert kept_of("run") == kept_of("whole")


# -- what is wrong with the data ---------------------------------------------------------------------------------------


def test_files_of_different_lengths_are_refused_whatever_is_skipped(here: Path) -> None:
    write_parallel(pairs())
    Path("t.xx").write_text("".join(Path("t.xx").read_text().splitlines(keepends=True)[:37]))
    for on_error in ("stop", "skip"):
        write_yaml(task=PARALLEL["task"], data={"train": "t.{en,xx}", "on_error": on_error})
        assert "t.xx:38: is missing: t.en has 40 lines, t.xx has 37 lines" in refused("check", "c.yaml")


def test_empty_lines_are_named_or_skipped_and_counted(here: Path) -> None:
    rows = [(s, "" if n in (3, 9) else t) for n, (s, t) in enumerate(pairs(), start=1)]
    write_parallel(rows)
    write_yaml(**PARALLEL)
    assert "t.{en,xx}:3: column 'xx' is empty, expected text." in refused("check", "c.yaml")
    write_yaml(task=PARALLEL["task"], data={"train": "t.{en,xx}", "on_error": "skip"})
    assert "t.{en,xx}: 2 broken rows were skipped, 38 kept; t.{en,xx}:3: column 'xx'" in done("check", "c.yaml").err


def test_rows_that_are_too_long_are_counted(here: Path) -> None:
    write_tsv(pairs())
    write_yaml(task={"max_source_length": 3})
    said = done("check", "c.yaml", "--json").json
    notes = [note for note in said["notes"] if note.startswith("train: ")]
    assert len(notes) == 1
    assert "rows were left out, because they are longer than max_source_length 3; the first: d.tsv:" in notes[0]
    assert said["facts"]["train rows"] < 32
    write_yaml(task={"max_source_length": 1})
    assert "all 32 training rows are longer than task.max_source_length 1" in refused("check", "c.yaml")


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("source\ttargt", "d.tsv:1: no column 'target'. Did you mean 'targt'?"),
        ("source\tsource", "d.tsv:1: column 'source' appears twice in the header"),
    ],
)
def test_columns_that_are_missing_are_named(header: str, sentence: str, here: Path) -> None:
    write_tsv(pairs(), header=header)
    write_yaml()
    assert sentence in refused("check", "c.yaml")


# -- what is wrong with the config -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        (
            {"model": {"name": "classifier"}},
            "model.name: unknown model for translation 'classifier'. Known: encoder_decoder.",
        ),
        ({"task": {"scores": "blue"}}, "task.scores: unknown scores 'blue'."),
        (
            {"task": {"length_penalty": {"name": "wu", "alpha": -1}}},
            "task.length_penalty.alpha: expected a number",
        ),
        ({"task": {"beam": 0}}, "task.beam: expected an integer >= 1"),
        ({"task": {"label": "x"}}, "task.label: unknown option."),
        ({"task": {"group": "target"}}, "task.group: is 'target', the column of target too"),
        ({"model": {"decoder": {"tie": "all", "embedding_size": 3}}}, "model.decoder.tie: all needs one vocabulary"),
        (
            {"training": {"select": "bleu"}},
            "there is no score 'bleu' to choose by. Known: exact_match",
        ),
    ],
)
def test_options_that_do_not_fit_are_named(sections: dict[str, Any], sentence: str, here: Path) -> None:
    write_tsv(pairs())
    write_yaml(**sections)
    said = refused("check", "c.yaml")
    assert sentence in said


def test_a_shared_vocabulary_lets_all_embeddings_be_one(here: Path) -> None:
    write_tsv(pairs())
    write_yaml(task={"vocabulary": "shared"}, model={"decoder": {"tie": "all", "embedding_size": 3}})
    facts = done("check", "c.yaml", "--json").json["facts"]
    assert facts["vocabulary"] > 10
    assert "source vocabulary" not in facts


# -- what is wrong with a question -------------------------------------------------------------------------------------


def test_what_training_never_saw_is_said_with_the_answer(run: Path) -> None:
    said = done("predict", run, "one zebra", "one two three four five 1 2 3 4 5 6 7")
    assert len(said.out.splitlines()) == 2
    assert re.search(r"\d of 2 texts holds? tokens that training never saw, .* as unknown: 'zebra'", said.err)
    assert "1 of 2 sources is longer than the longest source of training (4 tokens)" in said.err
    assert "the first: argument:2, with 12 tokens." in said.err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--n-best", "3"), "n_best: expected at most beam, which is 2, got 3. Widen the beam.\n"),
        (("--beam", "0"), "beam: expected a whole number from 1 to 1000, got 0.\n"),
        (("--beam", "4000"), "beam: expected a whole number from 1 to 1000, got 4000.\n"),
        (("--beam", "x"), "recurra predict: argument --beam: expected a whole number from 0, got 'x'."),
        (
            ("--output", "a.png"),
            "--output a.png: expected a name that ends in .csv, .tsv, .jsonl, .conll, .bio, .iob, .iob2, .iobes or "
            ".conllu, or a folder, whose name has no ending. A",
        ),
    ],
)
def test_options_of_predict_that_cannot_be_are_refused(options: tuple[str, ...], sentence: str, run: Path) -> None:
    assert refused("predict", run, "one", *options).startswith(sentence)


def test_a_model_without_attention_shows_none(here: Path) -> None:
    write_tsv(pairs())
    write_yaml(model={"decoder": {"attention": "none"}})
    done("train", "c.yaml", "--out", "blind")
    assert "Attention" not in Path("blind/report.html").read_text()
    assert "attention: this model has none" in refused("predict", "blind", "one", "--attention")
    assert done("predict", "blind", "one").out


def test_nothing_to_read_is_answered_and_nothing_is_attended_to(run: Path) -> None:
    found = json.loads(done("predict", run, "--json", "--attention", "").out)
    assert found["text"] == ""
    assert found["attention"]["columns"] == []
    assert all(row == [] for row in found["attention"]["weights"])


def test_weights_that_are_not_finite_are_named(run: Path) -> None:
    opened = api.open_run(run)
    with torch.no_grad():
        next(iter(opened.model.parameters())).fill_(float("nan"))
    with pytest.raises(RunError, match=r"log-probabilities hold NaN\. Its input or its weights are not finite"):
        list(api.predict(opened, [Record({"source": "one"}, Origin("here"))]))


def test_options_of_a_translation_are_refused_by_a_classification(here: Path) -> None:
    rows = [Record({"text": "a", "label": label}, Origin("d", n)) for n, label in enumerate("xy")]
    with pytest.raises(ConfigError, match="beam: has no effect, because a classification has no such option"):
        task_with(ClassificationConfig().fit(rows, "d"), {"beam": 2}, "classification")
