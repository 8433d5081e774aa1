"""The verbs on a masked language model: from a text to filled places; the same bits after a stop; a time budget."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from api.api_room import Listening, done, kept_of, log_of, refused
from api.test_resume import Stopper
from recurra import api
from recurra.api import training_run
from recurra.data.formats import read

SMALL = {
    "inputs": {"name": "word_pieces", "embedding_size": 16, "max_positions": 32},
    "encoder": {"name": "pretrained", "hidden_size": 16, "num_layers": 1, "num_heads": 2, "pooler": False},
}


def text(number: int = 60) -> str:
    """Lines in which a colour follows from the thing."""
    rng = np.random.default_rng(3)
    things = [("grass", "green"), ("snow", "white"), ("coal", "black")]
    lines = []
    for n in range(number):
        thing, colour = things[rng.integers(3)]
        lines.append(f"the {thing} is {colour}.\n" + "\n" * (n % 7 == 6))
    return "".join(lines)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with t.txt, c.yaml and a finished run under the name `run`."""
    folder = tmp_path_factory.mktemp("mlm")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("t.txt").write_text(text())
        config = yaml.safe_load(api.init("masked_lm", "t.txt"))
        config["model"] |= SMALL
        config["task"] |= {"max_length": 32, "tokenizer": {"name": "wordpiece", "vocab_size": 80}}
        config["training"] |= {"epochs": 3, "batch_rows": 2, "accumulate": 2}
        Path("c.yaml").write_text(yaml.safe_dump(config))
        done("train", "c.yaml", "--out", "run")
    return folder


@pytest.fixture
def here(learned: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(learned)
    return learned


def test_init_states_the_vocabulary_and_what_is_packed(here: Path) -> None:
    said = done("init", "masked_lm", "t.txt")
    assert "document: file, as its lines are one text." in said.err
    tree = yaml.safe_load(said.out)
    assert tree["task"]["tokenizer"] == {"name": "wordpiece", "vocab_size": 4000, "lowercase": True}
    assert "about 240 words" in said.out


def test_a_report_has_the_scores_beside_those_of_counting(here: Path) -> None:
    scores = json.loads((here / "run" / "scores.json").read_text())
    assert [one["name"] for one in scores] == ["perplexity", "log_loss", "accuracy"]
    assert "unigram" in (here / "run" / "report.html").read_text()
    assert "at most 4 rows and 8,192 tokens" in done("train", "c.yaml", "--set", "training.epochs=1").err


def test_predict_fills_and_says_where_there_is_nothing_to_fill(here: Path) -> None:
    said = done("predict", "run", "the snow is [MASK].", "the end", "--json", "--n-best", "3")
    first, other = (json.loads(line) for line in said.out.splitlines())
    assert len(first["masks"]) == 1
    assert len(first["masks"][0]) == 3
    assert first["output"].startswith("the snow is ")
    assert first["score"] == first["masks"][0][0]["probability"]
    assert other["masks"] == []
    assert other["note"] == "no [MASK] in the text"
    assert "1 of 2 texts has no [MASK]" in said.err


def test_a_run_has_texts_to_try_it_with(here: Path) -> None:
    texts = json.loads((here / "run" / "examples.json").read_text())["texts"]
    assert texts
    assert all(one.count("[MASK]") == 1 for one in texts)
    assert done("predict", "run", *texts, "--json").err == ""


def test_a_person_reads_the_best_pieces_below_the_text(here: Path) -> None:
    lines = done("predict", "run", "the snow is [MASK].").out.splitlines()
    assert lines[0].startswith("the snow is ")
    assert lines[1].startswith("  1. ")
    assert lines[1].count("%") == 5


def test_a_folder_of_texts_is_read_file_by_file(here: Path) -> None:
    Path("texts").mkdir()
    Path("texts/b.txt").write_text("the snow is white.\n\nthe end\n")
    Path("texts/a.txt").write_text("the grass is green.\n")
    Path("texts/notes.md").write_text("nothing\n")
    said = done("init", "masked_lm", "texts")
    assert "document: file" in said.err
    rows = list(read(Path("texts"), format="auto"))
    assert [(row.fields["text"], str(row.origin)) for row in rows] == [
        ("the grass is green.", "texts/a.txt:1"),
        ("the snow is white.", "texts/b.txt:1"),
        ("", "texts/b.txt:2"),
        ("the end", "texts/b.txt:3"),
    ]


def test_texts_have_vectors(here: Path) -> None:
    done("encode", "run", "the snow is white.", "the grass", "--output", "v.npy")
    assert np.load("v.npy").shape == (2, 16)


def test_evaluate_scores_other_texts_and_always_hides_the_same(here: Path) -> None:
    Path("more.txt").write_text(text(30))
    first, again = (done("evaluate", "run", "more.txt", "--json").json for _ in range(2))
    assert first["scores"] == again["scores"]


@pytest.mark.parametrize("stop", [2, 7])
def test_a_run_that_is_stopped_and_resumed_hides_the_same_and_ends_with_the_same_bits(stop: int, here: Path) -> None:
    name = f"cut-{stop}"
    assert api.train("c.yaml", out=name, watch=Stopper(stop)).stopped_by == signal.SIGTERM
    assert api.resume(name).report is not None
    assert kept_of(name) == kept_of("run")


def test_a_time_budget_ends_a_run_and_the_rate_follows_the_time(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by 10 s each time it is looked at, once a step: 100 s are ten steps and the last."""
    now = iter(range(0, 10**6, 10))
    monkeypatch.setattr(training_run, "time", SimpleNamespace(perf_counter=lambda: next(now)))
    monkeypatch.setattr(training_run, "LOG_EVERY", 1)
    config = yaml.safe_load(Path("c.yaml").read_text())
    config["training"] |= {"hours": 100 / 3600, "accumulate": 1, "epochs": 50, "batch_rows": 1, "batch_tokens": 40}
    config["training"] |= {"optimizer": {"name": "adamw", "lr": 1.0}, "schedule": {"name": "linear", "warmup": 0.1}}
    config["data"] = {"train": "t.txt", "dev": "t.txt"}
    heard = Listening()
    ended = api.train(config, out="timed", watch=heard)
    assert ended.report is not None
    assert heard.steps == list(range(1, 12))
    rates = [line["lr"] for line in log_of("timed") if line["event"] == "step"]
    # t = 1 + 10,000 of the share that is spent; up over the first 1,000, then straight down over 9,000.
    expected = [1 / 1000] + [1 - (1000 * k - 1000) / 9000 for k in range(1, 10)] + [1 / 9000]
    np.testing.assert_allclose(rates, expected, rtol=1e-9)
    assert heard.epochs == [1]


def test_epochs_that_end_before_the_time_does_are_said(here: Path) -> None:
    said = done("train", "c.yaml", "--set", "training.hours=5", "--set", "training.epochs=1")
    assert "training.hours: all 1 epochs were done after" in said.err
    assert "set training.epochs higher" in said.err


def test_a_budget_may_be_raised_when_a_run_is_resumed(here: Path) -> None:
    done("train", "c.yaml", "--out", "longer", "--set", "training.hours=5", "--set", "training.epochs=1")
    said = done("train", "--resume", "longer", "--set", "training.hours=6", "--set", "training.epochs=2")
    assert "training.hours: was 5.0, is 6.0 now" in said.err


def test_a_tokenizer_without_marks_is_refused_with_its_line(here: Path) -> None:
    said = refused("train", "c.yaml", "--set", "task.tokenizer=words")
    assert "tokenizer: 'words' has no [MASK]; expected wordpiece" in said
