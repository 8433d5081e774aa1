"""The verbs together: from a raw file to a prediction, and everything that is said agrees with everything else."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from api.api_room import Listening, done, log_of, merged, recurra, refused, rows, write_config, write_csv
from recurra import api
from recurra.api import demos
from recurra.api.explaining import TOPICS
from recurra.api.schema import SCHEMA
from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError
from recurra.base.option import OneOf
from recurra.config import options_of
from recurra.data.embedded import EMBEDDED
from recurra.data.embedded.dates import ambiguous
from recurra.tasks import TranslationConfig
from recurra.tasks.bucketing import BucketSampler

SMALL = ["--set", "model.encoder.hidden_size=4", "--set", "model.inputs.embedding_size=3", "--set", "training.epochs=1"]


def as_csv(path: Path) -> None:
    write_csv(path, rows())


def as_tsv(path: Path) -> None:
    path.write_text("".join(f"{text}\t{label}\n" for text, label in [("text", "label"), *rows()]))


def as_jsonl(path: Path) -> None:
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows()))


def zipped(write: Callable[[Path], None]) -> Callable[[Path], None]:
    def both(path: Path) -> None:
        write(path)
        path.write_bytes(gzip.compress(path.read_bytes()))

    return both


FORMATS = {
    "d.csv": as_csv,
    "d.tsv": as_tsv,
    "d.jsonl": as_jsonl,
    "d.csv.gz": zipped(as_csv),
    "d.tsv.gz": zipped(as_tsv),
    "d.jsonl.gz": zipped(as_jsonl),
}


@pytest.mark.parametrize("name", FORMATS)
def test_init_check_train_evaluate_and_predict_agree_on_every_format(name: str, here: Path) -> None:
    FORMATS[name](Path(name))
    assert done("init", "classification", name, "-o", "c.yaml").err.endswith(
        "c.yaml: written. Next: recurra check c.yaml\n"
    )
    facts = done("check", "c.yaml", *SMALL, "--json").json["facts"]
    assert (facts["train rows"], facts["dev rows"], facts["test rows"], facts["labels"]) == (32, 4, 4, 2)
    trained = done("train", "c.yaml", *SMALL, "--out", "run", "--json").json
    assert trained["run"] == "run"
    assert trained["report"]["facts"]["parameters"] == facts["parameters"]
    of_test = done("evaluate", "run", "--json").json
    assert of_test["scores"] == [score for score in trained["report"]["scores"] if score["split"] == "test"]
    assert json.loads(Path("run/scores.json").read_text()) == trained["report"]["scores"]

    of_file = {score["name"]: score["value"] for score in done("evaluate", "run", name, "--json").json["scores"]}
    done("predict", "run", "--input", name, "--output", "out.jsonl")
    predicted = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [row["text"] for row in predicted] == [text for text, _ in rows()]
    assert [row["label"] for row in predicted] == [label for _, label in rows()], "the truth stays as it is"
    right = [row["predicted"] == label for row, (_, label) in zip(predicted, rows(), strict=True)]
    assert sum(right) / len(right) == pytest.approx(of_file["accuracy"], abs=1e-12)
    done("predict", "run", "--input", name, "--output", "out.csv")
    with open("out.csv", newline="") as file:
        assert [(row["text"], row["label"], row["predicted"]) for row in csv.DictReader(file)] == [
            (row["text"], row["label"], row["predicted"]) for row in predicted
        ]


def test_a_text_alone_gets_the_answer_that_it_gets_in_a_batch(run: Path) -> None:
    done("predict", run, "--input", "data.csv", "--output", "out.jsonl")
    distributed = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    texts = [text for text, _ in rows()]
    alone = [json.loads(done("predict", run, "--json", text).out) for text in texts[:6]]
    arguments = [json.loads(line) for line in done("predict", run, "--json", *texts).out.splitlines()]
    for one, other in [*zip(alone, distributed, strict=False), *zip(arguments, distributed, strict=True)]:
        assert one["label"] == other["predicted"]
        assert one["score"] == pytest.approx(other["score"], abs=1e-6)
        shares = {label: other[f"probability_{label}"] for label in ("bad", "good")}
        assert one["probabilities"] == pytest.approx(shares, abs=1e-6)
    assert sum(alone[0]["probabilities"].values()) == pytest.approx(1, abs=1e-9)
    assert alone[0]["score"] == max(alone[0]["probabilities"].values())


def test_texts_of_every_kind_are_answered(run: Path) -> None:
    texts = ["", "   ", "=1+1", "\U0001f600" * 50, "a" * 10_000, "<pad> <unk>", "zero\u200bwidth", "tab\there"]
    answers = done("predict", run, "--json", "--", *texts).out.splitlines()
    assert [json.loads(line)["text"] for line in answers] == texts
    labels = [json.loads(line)["label"] for line in answers]
    assert labels[:2] == ["", ""]
    assert all(label in ("good", "bad") for label in labels[2:])
    Path("in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    done("predict", run, "--input", "in.jsonl", "--output", "out.csv")
    with open("out.csv", newline="") as file:
        read = [row["text"] for row in csv.DictReader(file)]
    assert read == [f"'\\{text}" if text.startswith(("=", "\t")) else text for text in texts]


BLANKS = ["lovely item", "", " ", "\u200b", "awful item"]
REMARK = (
    "3 of 5 texts are blank (empty, or of white space and characters that cannot be seen), and have an empty answer"
)


def test_a_blank_text_has_no_label_and_its_neighbours_keep_their_lines(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = "".join(f"{text}\n" for text in BLANKS)
    Path("t.txt").write_text(typed, "utf-8")
    Path("t.csv").write_text("text,id\n" + "".join(f"{text},{n}\n" for n, text in enumerate(BLANKS)), "utf-8")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(typed.encode())))
    for words in (BLANKS, ["-"], ["--input", "t.txt"], ["--input", "t.csv"]):
        said = done("predict", run, *words)
        assert REMARK in said.err
        lines = [line.split("\t") for line in said.out.splitlines()]
        assert [line[0] for line in lines] == [lines[0][0], "", "", "", lines[4][0]]
        assert {lines[0][0], lines[4][0]} <= {"good", "bad"}
        assert [line[1] for line in lines[1:4]] == ["blank text"] * 3
    rows = [json.loads(line) for line in done("predict", run, "--json", *BLANKS).out.splitlines()]
    assert rows[1] == {"text": "", "label": "", "score": None, "probabilities": {}, "note": "blank text"}
    assert [row.get("note") for row in rows] == [None, *["blank text"] * 3, None]


def test_blank_texts_of_a_test_file_are_named_and_what_they_count_is_said(run: Path) -> None:
    write_csv(Path("t.csv"), [("lovely item", "good"), ("\u200b", "good"), ("awful item", "bad")])
    sentence = "t.csv:3: column 'text' holds nothing that can be seen, expected text."
    assert sentence in refused("evaluate", run, "t.csv")
    write_config(data={"on_error": "skip"})
    done("train", "c.yaml", "--out", "skips")
    said = done("evaluate", "skips", "t.csv", "--json")
    assert f"t.csv: 1 broken row was skipped, 2 kept; {sentence}" in said.err
    assert "Skipped rows count in no score." in said.err
    assert sum(s["value"] for s in said.json["scores"] if s["name"].startswith("support")) == 2


def test_predictions_come_in_order_beyond_one_chunk(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recurra.api.answers.CHUNK", 7)
    records = [Record({"text": f"item {'x ' * (n % 5)}{n}"}, Origin("list", n)) for n in range(20)]
    assert [row["text"] for row in api.predict(run, records)] == [record.fields["text"] for record in records]
    assert list(api.predict(run, [])) == []


def test_predictions_are_made_as_they_are_asked_for(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recurra.api.answers.CHUNK", 2)
    asked: list[int] = []

    def endless() -> Any:
        while True:
            asked.append(1)
            yield Record({"text": "x"}, Origin("endless"))

    answers = api.predict(api.open_run(run), endless())
    assert next(answers)["text"] == "x"
    assert len(asked) == 2


def test_many_labels_from_end_to_end(here: Path) -> None:
    lines = [(text, [label] * (n % 4 > 0) + ["short"] * (n % 3 == 0)) for n, (text, label) in enumerate(rows())]
    write_csv(Path("many.csv"), [(text, ";".join(labels)) for text, labels in lines])
    Path("many.jsonl").write_text("".join(json.dumps({"text": t, "label": labels}) + "\n" for t, labels in lines))
    answers = []
    for name, options in (("many.csv", {"separator": ";"}), ("many.jsonl", {})):
        write_config(task={"labels": "many", **options}, data={"train": name}, training={"epochs": 2})
        report = done("train", "c.yaml", "--out", f"run-{name}", "--json").json["report"]
        names = {score["name"] for score in report["scores"]}
        assert {"f1_micro", "f1[bad]", "f1[good]", "f1[short]"} <= names
        assert report["facts"]["best epoch by"].startswith("f1_micro, ")
        answers.append(done("predict", f"run-{name}", "--json", *[text for text, _ in lines[:5]]).out)
    csv_answers, jsonl_answers = ([json.loads(line) for line in answer.splitlines()] for answer in answers)
    assert csv_answers == jsonl_answers, "the split and everything after it see the same labels"
    for row in csv_answers:
        assert row["labels"] == [label for label, p in row["probabilities"].items() if p >= 0.5]
    said = done("evaluate", "run-many.csv", "many.csv", "--json").json
    done("predict", "run-many.csv", "--input", "many.csv", "--output", "out.jsonl")
    predicted = [set(json.loads(line)["predicted"]) for line in Path("out.jsonl").read_text().splitlines()]
    exact = sum(found == set(labels) for found, (_, labels) in zip(predicted, lines, strict=True)) / len(lines)
    assert {s["name"]: s["value"] for s in said["scores"]}["subset_accuracy"] == pytest.approx(exact, abs=1e-12)


def test_a_list_where_one_label_is_expected_is_refused_with_the_way_out(here: Path) -> None:
    Path("d.jsonl").write_text('{"text": "a", "label": ["x", "y"]}\n' * 9)
    write_config(data={"train": "d.jsonl"})
    said = refused("check", "c.yaml")
    assert 'd.jsonl:1: expected one label, got ["x", "y"]. Set task.labels: many' in said


def test_files_that_are_given_are_used_as_they_are(here: Path) -> None:
    write_csv(Path("train.csv"), rows(20))
    write_csv(Path("dev.csv"), rows(26)[20:])
    write_csv(Path("test.csv"), rows(40)[26:])
    sizes = {}
    for name, data in {
        "train": {"train": "train.csv"},
        "dev": {"train": "train.csv", "dev": "dev.csv"},
        "test": {"train": "train.csv", "test": "test.csv"},
        "all": {"train": "train.csv", "dev": "dev.csv", "test": "test.csv"},
    }.items():
        write_config(data=data)
        facts = done("check", "c.yaml", "--json").json["facts"]
        sizes[name] = [facts.get(f"{split} rows") for split in ("train", "dev", "test")]
    assert sizes == {"train": [16, 2, 2], "dev": [20, 6, None], "test": [18, 2, 14], "all": [20, 6, 14]}
    confusion = done("train", "c.yaml", "--out", "all", "--json").json["report"]["tables"][0]
    assert sum(sum(row[1:]) for row in confusion["rows"]) == 14, "the tables of a run are those of its test rows"
    write_config(data={"train": "train.csv", "dev": "dev.csv"})
    done("train", "c.yaml", "--out", "run")
    assert "its data has no split 'test'. Known: train, dev; or give a file." in refused("evaluate", "run")
    assert done("evaluate", "run", "--split", "dev")


def test_rows_that_stand_in_two_splits_are_counted_and_the_first_is_named(data: Path) -> None:
    write_csv(Path("test.csv"), [("new", "good"), rows()[3], rows()[5]])
    write_csv(Path("dev.csv"), [("newer", "bad"), ("newest", "good")])
    write_config(data={"dev": "dev.csv", "test": "test.csv"})
    said = done("train", "c.yaml", "--out", "run").err
    assert (
        "2 of 3 test rows stand in train too (first: test.csv:3 is data.csv:5), so the test scores are too good."
        in said
    )
    assert "dev rows stand in train" not in said
    assert any("2 of 3 test rows" in str(v) for v in done("check", "c.yaml", "--json").json["notes"])
    write_csv(data, rows() + rows())
    write_config()
    assert "stand in train" not in done("check", "c.yaml").err, "copies of a row go to one split"


def test_an_evaluated_file_that_was_learned_from_is_said_to_be(run: Path) -> None:
    said = done("evaluate", run, "data.csv").err
    assert "32 of 40 data.csv rows stand in train too (first: data.csv:2 is data.csv:2)" in said
    assert "not what it was trained on" not in said


def test_a_file_that_is_called_train_is_not_taken_for_the_training_rows(run: Path) -> None:
    Path("other").mkdir()
    write_csv(Path("other/train"), rows(8))
    said = done("evaluate", run, "other/train", "--set", "data.format=csv", "--json")
    assert {score["split"] for score in said.json["scores"]} == {"other/train"}
    assert said.err.count("train: column 'label'") == 1, "of the run's own data"


def test_scores_on_data_that_has_changed_since_are_said_to_be_doubtful(run: Path) -> None:
    write_csv(Path("data.csv"), rows(44))
    assert "the run's own data is not what it was trained on" in done("evaluate", run).err


def test_texts_that_are_cut_are_said_to_be(data: Path) -> None:
    said = done("check", "c.yaml", "--set", "task.max_length=2", "--set", "task.keep=end")
    assert "train texts cut: 32 of 32, 32 tokens (max_length 2)" in said.err
    assert "train texts cut" in said.out
    assert "cut" not in done("check", "c.yaml").err


def test_rows_that_are_skipped_are_counted_and_the_first_is_named(data: Path) -> None:
    data.write_bytes(data.read_bytes() + b"a,b,\xc3\xa9\n ,good\nx,\nsch\xf6n,good\n")
    said = done("train", "c.yaml", "--set", "data.on_error=skip", "--out", "run").err
    assert "data.csv: 4 broken rows were skipped, 40 kept; data.csv:42: expected 2 cells" in said
    assert "data.csv:42: expected 2 cells" in refused("train", "c.yaml")
    data.write_bytes(b"text,label\na\nb\n")
    assert "all 2 rows were skipped" in refused("check", "c.yaml", "--set", "data.on_error=skip")


def test_a_file_without_a_header_is_read_by_the_columns_that_the_config_names(here: Path) -> None:
    Path("d.tsv").write_text("".join(f"{label}\t{text}\n" for text, label in rows()))
    write_config(data={"train": "d.tsv", "columns": ["label", "text"]})
    assert done("check", "c.yaml", "--json").json["facts"]["train rows"] == 32
    done("train", "c.yaml", "--out", "run")
    done("evaluate", "run", "d.tsv")
    assert len(done("predict", "run", "--input", "d.tsv").out.splitlines()) == 40
    assert "d.tsv:1: no column 'text'." in refused("check", "c.yaml", "--set", "data.columns=null")


def test_set_and_seed_go_into_the_run_s_own_config(data: Path) -> None:
    done(
        "train",
        "c.yaml",
        "--out",
        "run",
        "--seed",
        "7",
        "--set",
        "model.head.pooling=mean",
        "--set",
        "task.min_count=2",
    )
    settings = api.open_run(Path("run")).settings
    assert settings.training.seed == 7
    assert settings.tree["model"]["head"]["pooling"] == "mean"
    assert settings.tree["task"]["min_count"] == 2
    assert settings.tree["training"]["optimizer"]["lr"] == 0.03


def test_a_run_gets_a_name_of_its_own(data: Path) -> None:
    for expected in ("runs/c", "runs/c-2"):
        assert done("train", "c.yaml", "--json").json["run"] == expected
    Path("spam").mkdir()
    write_config(Path("spam/config.yaml"))
    assert done("train", "spam/config.yaml", "--json").json["run"] == "runs/spam"


def test_a_reported_baseline_stands_beside_every_score(run: Path) -> None:
    report = done("evaluate", run, "--json").json
    assert set(report["baselines"]) == {"majority", "tfidf"}
    for scores in report["baselines"].values():
        assert {(s["name"], s["split"]) for s in scores} >= {("accuracy", "test"), ("f1_macro", "test")}
    assert [s["value"] for s in report["baselines"]["majority"] if s["name"] == "accuracy"] == [0.5]


def test_without_its_training_data_a_run_is_scored_without_baselines(run: Path) -> None:
    Path("data.csv").rename("other.csv")
    said = done("evaluate", run, "other.csv", "--json")
    assert "no baselines, because the training data cannot be read: data.csv: no such file" in said.err
    assert said.json["baselines"] == {}
    assert {s["name"] for s in said.json["scores"]} >= {"accuracy"}
    assert "data.csv: no such file" in refused("evaluate", run)


# A rate at which float32 weights stay as they are; by this seed they begin with a log loss under that of a coin.
STILL = {"optimizer": {"name": "sgd", "lr": 1e-9}, "select": "log_loss", "seed": 7}


def said_by(watch: Listening) -> str:
    return " ".join(watch.notes)


def test_early_stopping_ends_a_run_that_no_longer_improves(data: Path) -> None:
    write_config(training={**STILL, "epochs": 50, "patience": 2})
    watch = Listening()
    api.train(Path("c.yaml"), out=Path("run"), watch=watch)
    assert watch.epochs == [1, 2, 3]
    assert watch.total == 200
    assert watch.steps[-1] == 12
    assert "stopped after epoch 3 of 50 (step 12 of 200): log_loss was not better than at step 4." in said_by(watch)


@pytest.mark.parametrize(("schedule", "said"), [("cosine", True), ("constant", False), ("plateau", False)])
def test_a_run_that_patience_stops_says_that_its_rate_had_not_fallen(data: Path, schedule: str, said: bool) -> None:
    write_config(training={**STILL, "epochs": 50, "patience": 2, "schedule": schedule})
    trained = api.train(Path("c.yaml"))
    sentence = next(str(fact) for fact in trained.report.facts.values() if "training stopped after epoch" in str(fact))
    assert ("resume with --set training.patience=null" in sentence) == said
    assert ("of its highest, of 0% at the end of its schedule" in sentence) == said


def test_patience_can_be_a_share_of_all_steps(data: Path) -> None:
    write_config(training={**STILL, "epochs": 50, "patience": None, "patience_share": 0.1})
    watch = Listening()
    api.train(Path("c.yaml"), out=Path("run"), watch=watch)
    assert watch.steps[-1] == 4 + 20  # 10 % of 200 steps after the first epoch


def test_patience_waits_until_the_score_has_left_its_floor(data: Path) -> None:
    """Half of the rows have each label, and so one answer for all has an accuracy of 0.5."""
    write_config(training={**STILL, "select": "accuracy", "epochs": 15, "patience": 2})
    watch = Listening()
    api.train(Path("c.yaml"), out=Path("run"), watch=watch)
    assert watch.epochs == [*range(1, 16)]


def test_scores_are_made_without_dropout(data: Path) -> None:
    model = {"encoder": {"zoneout": 0.5}, "head": {"output_dropout": 0.5}}
    write_config(model=model, task={"calibration": "none"}, training={"epochs": 2})
    report = done("train", "c.yaml", "--out", "run", "--json").json["report"]
    for split in ("dev", "test"):
        again = done("evaluate", "run", "--split", split, "--json").json["scores"]
        assert again == [score for score in report["scores"] if score["split"] == split]
    best = [line for line in log_of("run") if line["event"] == "dev" and line["best"]][-1]
    assert best["log_loss"] == next(s["value"] for s in report["scores"] if s["name"] == "log_loss")


def test_the_dev_scores_move_a_plateau_schedule(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recurra.api.training_run.LOG_EVERY", 4)
    schedule = {"name": "plateau", "factor": 0.5, "patience": 1}
    write_config(training={"epochs": 3, "schedule": schedule, "optimizer": {"name": "sgd", "lr": 1e-9}})
    done("train", "c.yaml", "--out", "run")
    assert [line["lr"] for line in log_of("run") if line["event"] == "step"] == [1e-9, 1e-9, 0.5e-9]


def test_clipping_and_penalties_take_effect(data: Path) -> None:
    """With a gradient of no length but that of the penalties, the weights shrink by exactly lr * strength."""
    write_config(training={"epochs": 1, "batch_rows": 32, "optimizer": {"name": "sgd", "lr": 1.0}, "clipping": "none"})
    ends = {}
    for name, options in {
        "plain": [], "l2": ["training.l2=0.5"], "l1": ["training.l1=0.25"],
        "clipped": ["training.clipping={name: value, max_value: 1e-9}"],
    }.items():  # fmt: skip
        done("train", "c.yaml", "--out", name, *[word for option in options for word in ("--set", option)])
        ends[name] = api.open_run(Path(name)).model.state_dict()
    sizes = {"tokens": len(ends["plain"]["inputs.embedding.weight"]), "labels": 2}
    begin = api.open_run(Path("plain")).settings.model(sizes).state_dict()
    weight = "encoder.recurrent.weight_hh_l0"
    torch.testing.assert_close(ends["clipped"][weight], begin[weight], atol=1e-7, rtol=0)
    torch.testing.assert_close(ends["l2"][weight], ends["plain"][weight] - 0.5 * begin[weight])
    torch.testing.assert_close(ends["l1"][weight], ends["plain"][weight] - 0.25 * begin[weight].sign())


def test_a_run_of_very_many_epochs_begins_at_once(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[int] = []
    plan = BucketSampler.plan
    monkeypatch.setattr(BucketSampler, "plan", lambda self, epoch: planned.append(epoch) or plan(self, epoch))
    write_config(training={"epochs": 100_000, "patience": 1, "optimizer": {"name": "sgd", "lr": 1e-9}})
    watch = Listening()
    api.train(Path("c.yaml"), out=Path("run"), watch=watch)
    assert watch.total == 400_000
    assert len(planned) == 100 + 10  # an accuracy that never leaves its floor ends it after ten times the patience


def test_the_best_epoch_is_kept_and_not_the_last(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores are planted: 0.2, 0.9, 0.5. The weights of the second epoch must come out."""
    from recurra.api import training_run as recipe

    planted, kept, scores = [0.2, 0.9, 0.5], [], recipe._dev_scores

    def plant(training_run: Any, stopping: Any) -> Any:
        found = scores(training_run, stopping)
        kept.append({name: tensor.clone() for name, tensor in training_run.trainer.model.state_dict().items()})
        value = planted[len(kept) - 1]
        return tuple(type(s)(s.name, value, s.unit, s.better, s.split) if s.name == "f1_macro" else s for s in found)

    monkeypatch.setattr(recipe, "_dev_scores", plant)
    write_config(training={"epochs": 3, "select": "f1_macro"})
    trained = api.train(Path("c.yaml"), out=Path("run"))
    assert trained.report is not None
    assert trained.report.facts["best epoch by"] == "f1_macro, 0.9000 at step 8"
    state = api.open_run(Path("run")).model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in kept[1].items())
    assert not all(torch.equal(state[name], tensor) for name, tensor in kept[2].items())


def test_what_auto_has_chosen_is_said(data: Path) -> None:
    said = done("train", "c.yaml", "--out", "run").err
    for sentence in (
        "data.csv: read as csv.",
        "split at random",
        "model.encoder.backend: auto selected ",
        "training.select: auto",
    ):
        assert sentence in said


def test_nothing_is_said_twice(data: Path) -> None:
    lines = done("train", "c.yaml", "--out", "run").err.splitlines()
    assert len(lines) == len(set(lines))


# -- init --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "text", "label", "tokenizer"),
    [
        ("review,stars\nwhat a fine film,5\nnever see it again,1\n", "review", "stars", "words"),
        ("id,Sentiment,tweet\n1,pos,so good to be here\n2,neg,so bad to be here\n", "tweet", "Sentiment", "words"),
        ("name,language\nZürich,de\nGenève,fr\n", "name", "language", "characters"),
        ("a,b\nx,a long text that stands here\nx,another text of this kind\ny,and one\n", "b", "a", "words"),
    ],
)
def test_init_guesses_which_column_is_which(content: str, text: str, label: str, tokenizer: str, here: Path) -> None:
    Path("d.csv").write_text(content)
    done("init", "classification", "d.csv", "-o", "c.yaml")
    tree = api.schema.read_settings(Path("c.yaml")).tree["task"]
    assert (tree["text"], tree["label"], tree["tokenizer"]["name"]) == (text, label, tokenizer)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("d.csv", "only\nx\n", "d.csv: expected at least two columns, a text and a label, found 'only' (read as csv)."),
        ("d.txt", "a line\n", "d.txt: expected at least two columns, a text and a label, found 'text' (read as text)."),
        ("d.csv", "x" * 80 + ",y\na,b\n", "d.csv: its first line does not look like column names"),
        (
            "d.doc",
            "x",
            "d.doc: the name does not tell the format. Rename it, to end in one of .csv, .tsv, ",
        ),
        ("d.csv", "text,label\n", "d.csv: has no rows"),
        ("d.jsonl", '{"a": 1, "label": "x"}\n{"a": 2, "label": "y"}\n', "d.jsonl: column 'a' does not hold text"),
        ("d.jsonl", '{"text": "a", "label": "x"}\n{"label": "y"}\n', "d.jsonl:2: no column 'text'."),
    ],
)
def test_init_refuses_what_it_cannot_tell_apart(name: str, content: str, sentence: str, here: Path) -> None:
    Path(name).write_text(content)
    assert sentence in refused("init", "classification", name)


def test_two_columns_are_read_as_one_text_from_training_to_prediction(here: Path) -> None:
    with open("two.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["title", "body", "label"])
        table.writerows([text.split()[0], " ".join(text.split()[1:]), label] for text, label in rows())
    Path("c.yaml").write_text(yaml.safe_dump({"task": {"text": ["title", "body"]}, "data": {"train": "two.csv"}}))
    done("train", "c.yaml", *SMALL, "--out", "run")
    predicted = [json.loads(line) for line in done("predict", "run", "--input", "two.csv", "--json").out.splitlines()]
    assert [row["text"].split() for row in predicted] == [text.split() for text, _ in rows()]
    assert json.loads(done("predict", "run", "one text", "--json").out)["text"] == "one text"


def test_what_init_has_chosen_is_said_and_stands_in_the_config(here: Path) -> None:
    Path("d.csv").write_text("review,stars\nwhat a fine film,5\nnever see it again,nan\n")
    said = done("init", "classification", "d.csv")
    lines = [
        "text: column 'review', by its name.",
        "label: column 'stars', with the fewest different values; 2 labels: 5 (1), nan (1).",
        "label: 'nan' (1 times) may be no label but a value that is missing; fill it in, or remove it.",
        "tokenizer: words in lower case; 4.0 words a text on average.",
        "training: 2 rows, so 50 epochs in batches of 8 rows; the config says why, after `here:`.",
    ]
    assert said.err.splitlines() == lines
    assert all(f"# {line}\n" in said.out for line in lines)


def test_init_takes_rows_of_json_whose_other_fields_differ(here: Path) -> None:
    Path("d.jsonl").write_text('{"text": "a b c d", "label": "x", "id": 1}\n{"text": "d e f g", "label": "y"}\n')
    assert "text: text " in done("init", "classification", "d.jsonl").out


def test_init_of_an_unknown_task_names_the_known_ones(data: Path) -> None:
    assert refused("init", "clasification", "data.csv") == (
        "unknown task 'clasification'. Did you mean 'classification'?\n"
    )


# -- explain, data, demo -----------------------------------------------------------------------------------------------


def test_every_topic_and_every_word_of_it_is_explained(here: Path) -> None:
    topics = done("explain", "--json").json["topics"]
    assert {"cell", "task", "model", "tokenizer", "format", "optimizer", "schedule", "split"} <= topics.keys()
    for topic in topics:
        words = done("explain", topic, "--json").json[topic]
        assert words
        for word, sentence in words.items():
            assert sentence, f"{topic} {word} has no first sentence"
            assert done("explain", topic, word).out.strip()


def test_every_component_that_a_config_can_choose_is_a_topic(here: Path) -> None:
    """The comments of a config point at `recurra explain KIND WORD`."""

    def components(maker: Any) -> Iterator[OneOf]:
        for option in options_of(maker):
            if isinstance(option.note, OneOf):
                yield from below(option.note)

    def below(note: OneOf) -> Iterator[OneOf]:
        yield note
        for _, maker in note.registry.items():
            yield from components(maker)

    sections = SCHEMA.sections.values()
    found = [
        one for each in sections for one in (below(each) if isinstance(each, OneOf) else components(each.constructor))
    ]
    kinds = {getattr(note.registry, "kind", "").partition(" ")[0]: note for note in found}
    missing = {
        kind: [word for word in note.registry if word not in TOPICS.get(kind, {})] for kind, note in kinds.items()
    }
    assert {kind: words for kind, words in missing.items() if kind and words} == {}


def test_an_option_is_explained_by_its_path(here: Path) -> None:
    said = done("explain", "model.head.pooling").out
    assert said.startswith("model.head.pooling (label): how the steps become one vector. ")
    assert done("explain", "model.encoder.hidden_size").out.splitlines() == [
        "model.encoder.hidden_size (recurrent): units per layer and direction. integer >= 1 and <= 65536; default 128.",
        "model.encoder.hidden_size (awd): units per layer and direction. integer >= 1 and <= 65536; default 200.",
        "model.encoder.hidden_size (convolutional): units of each layer. integer >= 1 and <= 65536; default 128.",
        "model.encoder.hidden_size (lrcn): units per layer and direction. integer >= 1 and <= 65536; default 128.",
        "model.encoder.hidden_size (transformer): numbers of a step. integer >= 1 and <= 65536; default 128.",
        "model.encoder.hidden_size (chunked): numbers of a step. integer >= 1 and <= 65536; default 128.",
        "model.encoder.hidden_size (pretrained): numbers of a step; as model.inputs.embedding_size. integer >= 1 and "
        "<= 65536; default 128.",
        "model.encoder.hidden_size (elmo): units per layer and direction. integer >= 1 and <= 65536; default 128.",
    ]
    assert "training.epochs: passes over the training data." in done("explain", "training").out
    assert refused("explain", "model.hiden_size") == (
        "section 'model' has no option 'hiden_size'. Did you mean 'model.encoder.hidden_size'?\n"
    )
    assert "unknown cell 'lsmt'. Did you mean 'lstm'?" in refused("explain", "cell", "lsmt")
    assert "nothing to explain under 'cel'. Did you mean 'cell'?" in refused("explain", "cel")


def test_embedded_data_is_listed_and_exported(here: Path) -> None:
    listed = done("data", "list", "--json").json
    names = next(one for one in listed if one["name"] == "names")
    assert names["columns"][:2] == ["name", "language"]
    assert "train " in names["rows"]
    paths = [Path(line) for line in done("data", "export", "names", "d").out.splitlines()]
    assert [path.name for path in paths] == ["names_train.csv", "names_dev.csv", "names_test.csv"]
    assert all(path.read_text("utf-8").startswith("name,language") for path in paths)
    assert "unknown embedded data set 'nams'. Did you mean 'names'?" in refused("data", "export", "nams")


def make_small(name: str, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A demo on a part of its data, with a tiny model, for one epoch: the same path in a second."""
    chosen = demos.DEMOS[name]
    tables = {part: {"embedding_size": 4} for part in ("inputs", "decoder") if part in chosen.settings["model"]}
    small = {"model": {**tables, "encoder": {"hidden_size": 4}}, "training": {"epochs": 1}}
    settings = merged(chosen.settings, small)
    monkeypatch.setitem(demos.DEMOS, name, replace(chosen, settings=settings))  # type: ignore[arg-type]
    write = demos.write_csv

    def less(name: str, folder: Path) -> tuple[Path, ...]:
        paths = write(name, folder)
        for path in paths:
            lines = path.read_text("utf-8").splitlines(keepends=True)
            path.write_text("".join([lines[0], *lines[1::part]]), "utf-8")
        return paths

    monkeypatch.setattr(demos, "write_csv", less)


def test_the_demo_reads_every_date_that_a_text_can_mean() -> None:
    options = {name: value for name, value in demos.DEMOS["dates"].settings["task"].items() if name != "name"}
    columns = TranslationConfig(**options).columns
    answers = [columns.answers(record) for record in EMBEDDED["dates"].records("test")]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", answer) for several in answers for answer in several)
    assert sum(len(several) > 1 for several in answers) == ambiguous("test") > 100


def test_the_demo_trains_on_real_dates(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_small("dates", 40, monkeypatch)
    said = done("demo", "dates", "--out", "here/dates")
    assert re.search(r"[\d,]+ of 4,000 test texts can mean several dates", said.err)
    assert "exact_match by language" in said.out
    assert "Next:\n  recurra predict here/dates" in said.err
    page = Path("here/dates/report.html").read_text("utf-8")
    assert page.count('class="weight"') > 100, "the attention of some examples is drawn"
    answer = json.loads(done("predict", "here/dates", "--json", "--attention", "4. März 2001").out)
    assert answer["attention"]["columns"] == list("4. märz 2001")
    assert len(answer["attention"]["weights"]) in (len(answer["output"]), len(answer["output"]) + 1)


def test_the_demo_trains_on_real_names(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_small("names", 10, monkeypatch)
    said = done("demo", "names", "--out", "here/names")
    assert "Which language is this name?" in said.err
    assert "accuracy" in said.out
    assert "Next:\n  recurra predict here/names" in said.err
    assert Path("here/names-data/names.yaml").is_file()
    label = json.loads(done("predict", "here/names", "--json", "Deutschland").out)["label"]
    assert isinstance(label, str)
    assert done("check", "here/names-data/names.yaml")
    assert "unknown demo 'nams'. Did you mean 'names'?" in refused("demo", "nams")


def test_the_same_verbs_in_python(data: Path) -> None:
    trained = api.train(Path("c.yaml"), out=Path("run"))
    assert trained.report is not None
    assert trained.stopped_by is None
    run = api.open_run(trained.run)
    assert next(iter(api.predict(run, [Record({"text": "fine"}, Origin("here"))])))["label"] in ("good", "bad")
    assert api.evaluate(Path("run"), Path("data.csv")).scores
    assert api.check(Path("c.yaml")).facts["labels"] == 2
    with pytest.raises(ConfigError):
        api.init("nothing", Path("data.csv"))
    assert recurra("--version").out.startswith("recurra ")
