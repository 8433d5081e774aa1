"""Bad data and bad configs end in a clear sentence, exit code 2, and nothing lost."""

from __future__ import annotations

import gzip
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
import yaml

from api.api_room import done, recurra, refused, rows, write_config, write_csv
from recurra.api.schema import read_settings, settings_of
from recurra.base.errors import ConfigError
from recurra.config import Document, load


@dataclass(frozen=True)
class Bad:
    """A spoilt data file. at_work: verbs that say the same of a file given to a trained run."""

    content: bytes | None
    sentence: str
    at_work: tuple[str, ...] = ("evaluate", "predict")


def table(lines: list[tuple[str, str]], header: str = "text,label") -> bytes:
    return "\n".join([header, *(f"{text},{label}" for text, label in lines)]).encode() + b"\n"


ROWS = table(rows())
SWAPPED = (
    "different labels, and each keeps one of its texts in train. If column 'label' holds the texts, swap task.text and "
    "task.label. Give more rows, or a file for dev."
)
BAD_DATA = {
    "missing": Bad(None, "data.csv: no such file."),
    "empty": Bad(b"", "data.csv: is empty, expected a header and rows."),
    "blank lines": Bad(b"\n\n\n", "data.csv: is empty, expected a header and rows."),
    "a header without rows": Bad(b"text,label\n", "data.csv: has no rows, only 1 line of header or blanks."),
    "wrong label column": Bad(
        table(rows(), "text,lable"), "data.csv:1: no column 'label'. Did you mean 'lable'? Columns: text, lable.",
        ("evaluate",),
    ),
    "wrong text column": Bad(table(rows(), "txt,label"), "data.csv:1: no column 'text'. Did you mean 'txt'?"),
    "duplicate columns": Bad(
        table(rows(), "text,text"), "data.csv:1: column 'text' appears twice in the header (text, text)."
    ),
    "one class": Bad(
        table([(text, "good") for text, _ in rows()]),
        "data.csv: expected at least 2 different labels, found 1 ('good') in 32 rows; there is nothing to tell apart.",
        (),
    ),
    "all labels missing": Bad(
        table([(text, "") for text, _ in rows()]),
        "data.csv:2: the label is empty; expected one label. Fill it in, or set data.on_error: skip.", ("evaluate",),
    ),
    "a blank text": Bad(b"text,label\na,x\n ,y\n", "data.csv:3: column 'text' is empty, expected text.", ("evaluate",)),
    "not UTF-8": Bad(ROWS + b"\xc3\xa9,good\nsch\xf6n,good\n", "data.csv:43: byte 4 of the line, 0xF6, is not UTF-8."),
    "NUL bytes": Bad(ROWS + b"a\0b,good\n", "data.csv:42: byte 2 of the line is NUL, which no text holds."),
    "UTF-16": Bad("text,label\nx,y\n".encode("utf-16-le"), "data.csv:1: the file looks like UTF-16LE"),
    "a line of 10 MB": Bad(
        ROWS + b"x" * 10_000_000 + b",good\n", "data.csv:42: the line is longer than 8,388,608 bytes, the limit."
    ),
    "swapped columns": Bad(
        b"label,text\n" + b"".join(b"some text %d,good\n" % n for n in range(30)),
        f"data.csv: no row can go to dev: 30 rows hold 30 {SWAPPED}",
        (),
    ),
    "a cell too many": Bad(ROWS + b"a,b,c\n", "data.csv:42: expected 2 cells (text, label), got 3: 'a | b | c'."),
    "an open quote": Bad(ROWS + b'"a,good\n', "data.csv:42: a quote opens here and is never closed."),
    "a torn gzip": Bad(gzip.compress(ROWS, mtime=0)[:-9], "the gzip file ends too early. Copy or download it again."),
    "too few rows": Bad(
        b"text,label\na,bad\nb,good\n",
        f"data.csv: no row can go to dev: 2 rows hold 2 {SWAPPED}",
        (),
    ),
}  # fmt: skip


def spoil(path: Path, bad: Bad) -> None:
    path.unlink(missing_ok=True)
    if bad.content is not None:
        path.write_bytes(bad.content)


@pytest.mark.parametrize("bad", BAD_DATA.values(), ids=BAD_DATA)
def test_bad_training_data_is_named_before_anything_is_trained(bad: Bad, data: Path) -> None:
    spoil(data, bad)
    for said in (refused("check", "c.yaml"), refused("train", "c.yaml", "--out", "run")):
        assert bad.sentence in said
        assert len(said) < 1000
    assert not Path("run").exists(), "a run that could not begin leaves nothing in the way of the next try"


@pytest.mark.parametrize("bad", BAD_DATA.values(), ids=BAD_DATA)
def test_a_bad_file_for_a_trained_run_is_named_and_the_run_stays_as_it_was(bad: Bad, run: Path) -> None:
    before = contents(run)
    Path("work").mkdir()
    spoil(Path("work/data.csv"), bad)
    words = {"evaluate": ["work/data.csv"], "predict": ["--input", "work/data.csv", "--output", "out.csv"]}
    for verb in bad.at_work:
        assert bad.sentence in refused(verb, run, *words[verb])
    assert list(Path().glob("*out.csv")) == []
    assert contents(run) == before


def contents(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.iterdir()}


def test_a_folder_is_no_data_file(data: Path) -> None:
    data.unlink()
    data.mkdir()
    assert "data.csv: is a folder, expected a file." in refused("train", "c.yaml")


def test_after_the_data_is_mended_the_same_command_runs(data: Path) -> None:
    good = data.read_bytes()
    data.write_bytes(b"text,label\n")
    refused("train", "c.yaml", "--out", "run")
    data.write_bytes(good)
    done("train", "c.yaml", "--out", "run")


def test_a_run_that_cannot_begin_takes_nothing_of_the_users_away(data: Path) -> None:
    Path("run").mkdir()
    Path("run/mine.txt").write_text("mine")
    data.write_bytes(b"")
    refused("train", "c.yaml", "--out", "run")
    assert contents(Path("run")) == {"mine.txt": b"mine"}


def test_a_run_never_overwrites_another_or_the_config_that_it_is_made_from(run: Path) -> None:
    before = contents(run)
    assert refused("train", "c.yaml", "--out", run) == (
        "run: already holds a run. Resume it with `recurra train --resume run`, or choose another folder with --out.\n"
    )
    Path("run/run.json").unlink()  # the checkpoints are a run's too
    assert "run: already holds a run." in refused("train", "c.yaml", "--out", run)
    assert contents(run).keys() == before.keys() - {"run.json"}
    Path("mine").mkdir()
    text = write_config(Path("mine/config.yaml")).read_text()
    assert "would be overwritten by the run's own config" in refused("train", "mine/config.yaml", "--out", "mine")
    assert Path("mine/config.yaml").read_text() == text
    assert "data.csv: is a file; expected the name of a new folder" in refused("train", "c.yaml", "--out", "data.csv")


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_label_that_training_never_saw_is_named_before_the_first_step(split: str, data: Path) -> None:
    write_csv(Path("other.csv"), [("a", "good"), ("b", "goood"), ("c", "bad")])
    write_csv(Path("dev.csv"), rows(8))
    write_config(data={"dev": "dev.csv", split: "other.csv"})
    sentence = "other.csv:3: label 'goood' does not occur in the training data. Did you mean 'good'?\n"
    assert refused("check", "c.yaml").endswith(sentence)
    said = refused("train", "c.yaml", "--out", "run")
    assert said.endswith(sentence)
    assert "epoch" not in said


def test_a_label_that_training_never_saw_is_named_when_a_run_is_evaluated(run: Path) -> None:
    write_csv(Path("other.csv"), [("a", "good"), ("b", "xyzzy")])
    sentence = "other.csv:3: label 'xyzzy' does not occur in the training data. Known: bad, good.\n"
    assert refused("evaluate", run, "other.csv").endswith(sentence)
    done("predict", run, "--input", "other.csv")  # labels play no part there


# -- configs -----------------------------------------------------------------------------------------------------------

FIVE_MISTAKES = """\
task:
  name: classification
  tokenizer: wrds
data:
  train: data.csv
  on_error: ignore
model:
  hiden_size: 8
  encoder: {dropout: 1.5}
training:
  epochs: 1e1
"""


def test_a_config_with_five_mistakes_names_all_five_each_with_its_line(data: Path) -> None:
    Path("five.yaml").write_text(FIVE_MISTAKES)
    expected = [
        "five.yaml:3: task.tokenizer: unknown tokenizer 'wrds'. Did you mean 'words'?",
        "five.yaml:6: data.on_error: unknown on_error choice 'ignore'. Known: stop, skip.",
        "five.yaml:8: model.hiden_size: unknown option. Did you mean 'model.encoder.hidden_size'?",
        "five.yaml:9: model.encoder.dropout: expected a number >= 0 and < 1, got 1.5.",
        "five.yaml:11: training.epochs: expected an integer >= 1 and <= 100000, got 10.0. Write 10.",
    ]
    for words in (["check", "five.yaml"], ["train", "five.yaml", "--out", "run"]):
        lines = refused(*words).splitlines()
        assert len(lines) == 5
        assert [line.startswith(start) for line, start in zip(lines, expected, strict=True)] == [True] * 5, lines
    said = recurra("check", "five.yaml", "--json")
    assert (said.code, said.json["ok"], len(said.json["problems"])) == (2, False, 5)
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("training.select=accuraci", "training.select: there is no score 'accuraci' to choose by. Known: accuracy, "),
        ("training.select=support[bad]", "there is no score 'support[bad]' to choose by"),
        ("task.class_weights={goood: 2}", "class_weights: unknown label 'goood'. Did you mean 'good'?"),
        ("task.text=txt", "no column 'txt'. Did you mean 'text'?"),
        ("task.label=text", "label: is 'text', the text column too; expected another column."),
        ("task.separator=;", "separator: has no effect with labels: one"),
        ("task.min_count=1000", "Lower min_count"),
        ("data.dev=dev.csv", "dev.csv: no such file."),
        ("data.format=jsonl", "data.csv:1: not JSON"),
        ("data.columns=[text, label]", "data.csv:1: the first line is a header, but `columns` is set"),
        ("data.columns=[text, text]", "columns: expected a list of different names"),
        ("model.encoder.dropout=0.5", "dropout"),
        ("model.encoder.merge=sum", "merge"),
        ("model.encoder.proj_size=2", "proj_size"),
        ("training.optimizer={name: sgd, nesterov: true}", "nesterov: needs momentum > 0"),
        ("training.seed=99999999999999999999", "--set training.seed: expected an integer >= 0 and <="),
    ],
)
def test_an_option_that_cannot_work_is_refused_by_check_and_before_training(
    setting: str, sentence: str, data: Path
) -> None:
    extra = ["--set", "model.encoder.bidirectional=false"] if "merge" in setting else []
    for words in (["check", "c.yaml"], ["train", "c.yaml", "--out", "run"]):
        assert sentence in refused(*words, "--set", setting, *extra)
    assert not Path("run").exists()


@pytest.mark.parametrize("word", ["cuda:77", "meta", "toaster"])
def test_a_device_that_is_not_there_is_refused(word: str, run: Path) -> None:
    for words in (["train", "c.yaml"], ["train", "--resume", run], ["evaluate", run], ["predict", run, "x"]):
        said = refused(*words, "--device", word)
        assert f"device '{word}' cannot be used" in said
        assert ("cuda, cpu or auto" in said) == torch.cuda.is_available()


TOO_LARGE = [
    {"encoder": {"hidden_size": 65536}},
    {"encoder": {"hidden_size": 4096, "num_layers": 64}},
    {"encoder": {"hidden_size": 10**12}},
    {"encoder": {"hidden_size": 10**30}},
    {"encoder": {"num_layers": 10**9}},
    {"inputs": {"embedding_size": 10**9}},
    {"encoder": {"cell": "lstm_projected", "proj_size": 10**9}},
    {"encoder": {"hidden_size": 65536, "num_layers": 64, "init": "orthogonal", "cell": "rnn"}},
]


@pytest.mark.parametrize("model", TOO_LARGE, ids=str)
def test_a_huge_model_is_refused_in_under_a_second_and_before_it_takes_memory(
    model: dict[str, object], data: Path
) -> None:
    write_config(model=model)
    begin = time.process_time()
    with pytest.raises(ConfigError, match=r"c\.yaml:\d+: model[.:]") as caught:
        read_settings(Path("c.yaml"))  # without a look at the data
    assert time.process_time() - begin < 1.0
    assert len(caught.value.problems) == 1
    assert refused("train", "c.yaml", "--out", "run").startswith("c.yaml:")


def test_a_model_that_only_the_data_makes_huge_is_refused_before_it_takes_memory(data: Path) -> None:
    settings = read_settings(Path("c.yaml"), ["model.inputs.embedding_size=one_hot"])
    with pytest.raises(ConfigError, match=r"model: takes 37\.\d GiB, expected at most 2"):
        settings.model(
            {"tokens": 100_000, "labels": 2}
        )  # the table of one-hot rows is no parameter, and takes memory all the same
    settings = read_settings(Path("c.yaml"), ["model.inputs.embedding_size=1000"])
    with pytest.raises(ConfigError, match=r"model: takes 3\.\d GiB"):
        settings.model({"tokens": 1_000_000, "labels": 2})


def test_an_option_that_is_anything_at_all_gets_a_sentence_with_its_line(data: Path) -> None:
    """Every option in turn, with values of wrong kinds: nothing but ConfigError, and never a broken program."""
    document = load(Path("c.yaml"))
    wrong = [None, 10**40, 1e300, "xyzzy", [1]]
    for section, options in read_settings(Path("c.yaml")).tree.items():
        for option in options.keys() - {"name"}:
            for value in wrong:
                tree = {**document.tree, section: {**document.tree[section], option: value}}
                problems = problems_of(replace(document, tree=tree))
                assert all(problem.startswith("c.yaml:") for problem in problems), (section, option, value)


def problems_of(document: Document) -> tuple[str, ...]:
    try:
        settings_of(document)
    except ConfigError as error:
        return error.problems
    return ()


def test_what_a_config_file_cannot_be_is_refused(data: Path) -> None:
    cases: dict[str, bytes] = {
        "no.yaml: no such file": b"",
        "expected a map of sections": b"- a\n- b\n",
        "anchors (&) and aliases (*) are not supported": b"task: &a {name: classification}\ndata: *a\n",
        "tags are not supported": b"task: !!python/object/apply:os.system ['touch hacked']\n",
        "not UTF-8": b"task: \xff\n",
        "larger than 1 MiB": b"#" * (1 << 20) + b"\n#",
        "nested more than 20 levels": b"[" * 3000,
        "given twice": b"data: {train: a}\ndata: {train: b}\n",
    }
    for number, (sentence, content) in enumerate(cases.items()):
        path = Path(f"{number}.yaml" if content else "no.yaml")
        if content:
            path.write_bytes(content)
        assert sentence in refused("check", path)
        assert sentence in refused("train", path)
    assert not Path("hacked").exists()
    assert not Path("runs").exists()


def test_a_written_config_is_read_back_as_the_same(data: Path) -> None:
    text = done("init", "classification", "data.csv").out
    Path("init.yaml").write_text(text)
    settings = read_settings(Path("init.yaml"))
    assert settings.tree["data"]["train"] == "data.csv"
    assert yaml.safe_load(text)["task"]["label"] == "label"
