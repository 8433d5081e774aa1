"""The verbs on running text: from a file to a continued text, resume in mid-stream, and what is wrong with files."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.api_room import Listening, done, kept_of, recurra, refused, rows, write_config, write_csv
from recurra import api
from recurra.api import training_run as recipe
from recurra.base.contracts import Progress, Record
from recurra.training import TruncatedBPTT
from training.toys import exit_of, fork_child

WORDS = ("the", "cat", "sat", "on", "a", "mat", "and", "dog", "ran")
TINY: Mapping[str, Mapping[str, Any]] = {
    "task": {"name": "language_model", "tokenizer": "spaces", "bptt": 5},
    "data": {"train": "d.txt"},
    "model": {"inputs": {"embedding_size": 6}, "encoder": {"hidden_size": 6}},
    "training": {"epochs": 2, "batch_rows": 3, "optimizer": {"name": "adam", "lr": 0.02}},
}


def text(number: int = 60) -> str:
    """Lines of a few words in a fixed order, blank ones among them."""
    lines = [" ".join(WORDS[(n * k + k) % 9] for k in range(1, 3 + n % 5)) if n % 6 else "" for n in range(number)]
    return "".join(f"{line}\n" for line in lines)


def write_yaml(name: str = "c.yaml", **sections: Mapping[str, Any]) -> None:
    tree = {key: {**TINY.get(key, {}), **sections.get(key, {})} for key in TINY.keys() | sections.keys()}
    Path(name).write_text(yaml.safe_dump(tree), "utf-8")


@pytest.fixture(autouse=True)
def short_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing three samples takes longer than training a tiny model."""
    monkeypatch.setattr("recurra.tasks.language_model.tables.SAMPLE", 10)


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with d.txt, c.yaml and a finished run under the name `run`."""
    folder = tmp_path_factory.mktemp("written")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("d.txt").write_text(text())
        write_yaml()
        done("train", "c.yaml", "--out", "run")
    return folder


@pytest.fixture
def run(written: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The trained run; we are in its folder. It is only read."""
    monkeypatch.chdir(written)
    return Path("run")


# -- from a file to a text ---------------------------------------------------------------------------------------------


def test_a_text_file_goes_all_the_way(here: Path) -> None:
    Path("d.txt").write_text(text())
    done("init", "language_model", "d.txt", "-o", "first.yaml")
    config = yaml.safe_load(Path("first.yaml").read_text())
    assert (config["task"]["document"], config["task"]["tokenizer"]["name"]) == ("file", "characters")
    assert (
        "d.txt: split in order, its end is for dev and test; set data.split to choose."
        in done("check", "first.yaml").err
    )
    write_yaml()
    said = done("train", "c.yaml", "--out", "run", "--json")
    report = said.json["report"]
    assert [(s["name"], s["split"]) for s in report["scores"]] == [
        (name, split) for split in ("dev", "test") for name in ("perplexity", "bits_per_character", "log_loss")
    ]
    assert set(report["baselines"]) == {"unigram", "bigram"}
    assert "Written by the model" in [table["caption"] for table in report["tables"]]
    assert "recurra generate run" in done("train", "--resume", "run").err
    page = Path("run/report.html").read_text()
    assert "Loss by position in the document" in page


def test_rows_of_a_table_are_documents(here: Path) -> None:
    write_csv(Path("data.csv"), rows())
    config = yaml.safe_load(done("init", "language_model", "data.csv").out)
    assert (config["task"]["text"], config["task"]["document"]) == ("text", "row")
    write_yaml(task={"document": "row"}, data={"train": "data.csv"})
    facts = done("train", "c.yaml", "--out", "run", "--json").json["report"]["facts"]
    assert (facts["train documents"], facts["dev documents"], facts["test documents"]) == (32, 4, 4)


def test_evaluate_agrees_with_the_report_and_a_file_is_read_as_one_document(run: Path) -> None:
    of_run = json.loads(Path("run/scores.json").read_text())
    assert done("evaluate", "run", "--json").json["scores"] == [s for s in of_run if s["split"] == "test"]
    lines = text().splitlines(keepends=True)
    ends = [sum(map(len, lines[: k + 1])) for k in range(len(lines))]
    last = [line for line, end in zip(lines, ends, strict=True) if end > 0.9 * ends[-1]]
    Path("last.txt").write_text("".join(last))
    scores = done("evaluate", "run", "last.txt", "--json").json["scores"]
    assert [s["value"] for s in scores] == [s["value"] for s in of_run if s["split"] == "test"]


def test_predict_says_how_probable_a_text_is(run: Path) -> None:
    (row,) = api.predict(run, [Record({"text": "the cat"}, next(iter(api.read_for(run, Path("d.txt")))).origin)])
    assert row["num_tokens"] == 3
    said = done("predict", "run", "the cat", "--tokens", "--json").json
    assert said["log_prob"] == row["log_prob"] == pytest.approx(sum(t["log_prob"] for t in said["tokens"]))
    assert [t["token"] for t in said["tokens"]] == ["the", "cat", "\n"]
    assert done("predict", "run", "the cat").out.startswith(f"{row['log_prob']:.1f} nats\tperplexity ")
    said = done("predict", "run", "the zebra")
    assert "1 of 1 texts holds tokens that training never saw, which are read as unknown: 'zebra'" in said.err
    assert "beam: has no effect" in refused("predict", "run", "the cat", "--beam", "2")


def test_generate_is_reproducible_by_seed_and_streams_what_json_has(run: Path) -> None:
    words = ("generate", "run", "--prompt", "the cat", "--length", "8", "--seed", "4")
    first = done(*words).out
    assert first == done(*words).out != done(*words[:-1], "5").out
    (said,) = done(*words, "--json").json
    assert f"the cat{said['text']}\n" == first
    both = done(*words, "--num", "2", "--json").json
    assert both[0] == said
    assert both[1]["text"] != said["text"]
    greedy = [done("generate", "run", "--temperature", "0", "--seed", s, "--length", "5").out for s in "12"]
    assert greedy[0] == greedy[1]
    cut = done(*words, "--stop", said["text"].split()[1], "--json").json[0]
    assert (cut["text"], cut["ended"]) == (said["text"][: said["text"].index(said["text"].split()[1])], True)


def test_generate_refuses_what_it_cannot_do(run: Path, tmp_path: Path) -> None:
    assert "top_p: expected a number above 0" in refused("generate", "run", "--top-p", "2")
    assert "length: expected a whole number from 1" in refused("generate", "run", "--length", "0")
    assert "num: expected a whole number from 1 to 1,000" in refused("generate", "run", "--num", "0")
    assert "--suggest writes nothing, so --seed" in refused("generate", "run", "--suggest", "3", "--seed", "1")
    assert "expected a number, got 'hot'" in refused("generate", "run", "--temperature", "hot")
    assert "the prompt holds tokens that training never saw" in done("generate", "run", "--prompt", "zebra").err


def test_generate_needs_a_language_model(here: Path) -> None:
    write_csv(Path("data.csv"), rows())
    write_config()
    done("train", "c.yaml", "--out", "other")
    assert "is a run of task classification, expected one of task language_model" in refused("generate", "other")


def test_suggest_completes_the_word_that_is_typed(run: Path) -> None:
    words = done("generate", "run", "--prompt", "the cat s", "--suggest", "5", "--json").json
    assert [one["word"] for one in words] == ["sat"]
    assert words[0]["probability"] == pytest.approx(1)
    assert len(done("generate", "run", "--suggest", "4").out.splitlines()) == 4


# -- resume ------------------------------------------------------------------------------------------------------------


class Stopper(Listening):
    """Sends a signal to this process right after a step."""

    def __init__(self, step: int, number: int) -> None:
        super().__init__()
        self.at, self.number = step, number

    def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
        super().step(progress, speed, seconds_left)
        if progress.step == self.at:
            os.kill(os.getpid(), self.number)


HARD: Mapping[str, Mapping[str, Any]] = {
    "model": {
        "inputs": {"word_dropout": 0.1},
        "encoder": {"dropout": 0.2, "weight_drop": 0.3, "locked_dropout": True},
        "head": {
            "output_dropout": 0.2, "activation_penalty": 1.0, "temporal_penalty": 1.0, "locked_dropout": True,
        },
    },
    "training": {"checkpoint_every": 4, "epochs": 2},
}  # fmt: skip


def test_a_run_that_is_stopped_or_killed_in_mid_stream_and_resumed_ends_with_the_same_bits(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "LOG_EVERY", 1)
    Path("d.txt").write_text(text())
    write_yaml(**HARD)
    watch = Listening()
    api.train(Path("c.yaml"), out=Path("whole"), watch=watch)
    assert len(watch.steps) > 12
    api.train(Path("c.yaml"), out=Path("cut"), watch=Stopper(3, signal.SIGTERM))

    def killed() -> int:
        api.resume(Path("cut"), watch=Stopper(7, signal.SIGKILL))
        return 0

    assert exit_of(fork_child(killed)) == -signal.SIGKILL
    api.resume(Path("cut"), watch=Stopper(10, signal.SIGINT))
    assert api.resume(Path("cut")).report is not None
    assert kept_of("cut") == kept_of("whole")


def test_a_resumed_run_would_differ_without_the_carried_state(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the test above can fail."""
    Path("d.txt").write_text(text())
    write_yaml(**HARD)
    api.train(Path("c.yaml"), out=Path("whole"))
    api.train(Path("c.yaml"), out=Path("cut"), watch=Stopper(3, signal.SIGTERM))
    monkeypatch.setattr(TruncatedBPTT, "restore", lambda self, state: None)
    api.resume(Path("cut"))
    assert Path("cut/model.safetensors").read_bytes() != Path("whole/model.safetensors").read_bytes()


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "d.txt: is empty, expected rows."),
        (b"\n\n \n\n\n\n\n\n\n\n\n\n\n", "d.txt: all 10 training rows are blank; expected text."),
        (b"a line\nbin\x00ary\n", "d.txt:2: byte 4 of the line is NUL, which no text holds."),
        (b"a line\n\xff\xfe\n", "d.txt:2: byte 1 of the line, 0xFF, is not UTF-8."),
        (b"one line alone\n", "d.txt: no row is left for dev out of 1 row. Give more rows, or a file for dev."),
    ],
)
def test_a_file_that_holds_no_text_is_refused_by_place(here: Path, content: bytes, sentence: str) -> None:
    Path("d.txt").write_bytes(content)
    write_yaml()
    assert sentence in refused("train", "c.yaml", "--out", "run")
    assert not Path("run").exists()


def test_crlf_and_bom_change_nothing(here: Path) -> None:
    runs = []
    for name, content in (("a", text().encode()), ("b", b"\xef\xbb\xbf" + text().replace("\n", "\r\n").encode())):
        Path("d.txt").write_bytes(content)
        write_yaml()
        done("train", "c.yaml", "--out", name)
        runs.append(Path(name, "model.safetensors").read_bytes())
    assert runs[0] == runs[1]


def test_a_corpus_smaller_than_one_chunk_and_with_fewer_tokens_than_rows_trains(here: Path) -> None:
    Path("d.txt").write_text("a b\nb a\na a\nb\n")
    write_yaml(task={"bptt": 1000}, training={"batch_rows": 500})
    done("train", "c.yaml", "--out", "run", "--set", "data.split={name: ordered, dev: 0.25, test: 0.25}")


def test_a_corpus_of_one_line_is_split_by_position(here: Path) -> None:
    line = "the cat sat on the mat and the dog ran to the door " * 40
    Path("d.txt").write_text(line)
    write_yaml()
    said = done("check", "c.yaml", "--json").json
    assert "d.txt: a row is cut where a split ends, as there are only 1 to split." in said["notes"]
    sizes = [said["facts"][f"{name} characters"] for name in ("train", "dev", "test")]
    assert sum(sizes) == len(line) + 3, "each piece counts its end"
    assert [size / len(line) for size in sizes] == pytest.approx([0.8, 0.1, 0.1], abs=0.01)


def test_a_document_is_not_torn_into_lines(here: Path) -> None:
    Path("d.txt").write_text(text())
    write_yaml(data={"split": "random"})
    assert "data.split: 'random' would tear apart rows" in refused("check", "c.yaml")
    write_yaml(data={"split": {"name": "ordered", "dev": 0.2, "test": 0}})
    facts = done("check", "c.yaml", "--json").json["facts"]
    assert "test tokens" not in facts
    write_yaml(task={"line_breaks": False, "tokenizer": "characters"})
    assert "c.yaml:" in (said := recurra("check", "c.yaml").err)
    assert "line_breaks: false would glue" in said


def test_a_model_that_overflows_stops_by_name_and_init_refuses_what_holds_no_text(here: Path) -> None:
    Path("d.txt").write_text(text())
    write_yaml(training={"optimizer": {"name": "sgd", "lr": 1e38}, "clipping": "none"})
    said = recurra("train", "c.yaml", "--out", "run")
    assert (said.code, "ower the learning rate" in said.err) == (1, True)
    Path("blank.txt").write_text("\n\n")
    assert "blank.txt: the first 2 rows are blank in column 'text'" in refused("init", "language_model", "blank.txt")
    Path("n.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    assert "n.jsonl: no column holds text; its columns are 'a'." in refused("init", "language_model", "n.jsonl")
    Path("b.txt").write_bytes(b"\x00\x01\x02\n")
    assert "b.txt:1: byte 1 of the line is NUL" in refused("init", "language_model", "b.txt")
