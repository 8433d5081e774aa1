"""`predict --input --output`: what a row had stays, the answer stands beside it, and what is left out is named."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.api_room import done, refused, write_config
from recurra import api
from recurra.base.errors import ConfigError
from recurra.data.formats import read

ADDED = ["predicted", "score", "probability_bad", "probability_good", "note"]
ROWS = [
    {"id": "007", "text": 'lovely, "item"\nof two lines', "label": "bad", "more": "=1+1"},
    {"id": " 8", "text": "", "label": "", "more": "-5"},
    {"id": "9.50", "text": "awful item", "label": "good", "more": " spaces "},
]


def write(path: str, rows: list[dict[str, Any]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def jsonl(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


def test_a_csv_keeps_its_columns_and_their_order_and_the_truth_is_not_overwritten(run: Path) -> None:
    write("in.csv", ROWS)
    said = done("predict", run, "--input", "in.csv", "--output", "out.csv")
    assert said.err.endswith("out.csv: 3 predictions written.\n")
    found = [dict(record.fields) for record in read("out.csv")]
    assert list(found[0]) == [*ROWS[0], *ADDED]
    assert [{name: row[name] for name in ROWS[0]} for row in found] == ROWS
    answers = list(api.predict(run, api.read_for(run, "in.csv")))
    for row, answer in zip(found, answers, strict=True):
        assert row["predicted"] == answer["label"]
        assert row["note"] == answer.get("note", "")
        assert [row[f"probability_{label}"] for label in ("bad", "good")] == [
            str(answer["probabilities"].get(label, "")) for label in ("bad", "good")
        ]
        assert row["score"] == ("" if answer["score"] is None else str(answer["score"]))
    raw = Path("out.csv").read_text("utf-8")
    assert "'\\=1+1" in raw, "a spreadsheet must not run it"
    assert ",-5," in raw


def test_jsonl_keeps_values_of_every_type(run: Path) -> None:
    rows = [
        {"text": "lovely item", "label": "good", "n": 1, "x": 1.5, "b": True, "no": None, "l": [1, {"a": "ä"}]},
        {"text": " ", "n": 2**60},
    ]  # fmt: skip
    Path("in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done("predict", run, "--input", "in.jsonl", "--output", "out.jsonl")
    first, blank = jsonl("out.jsonl")
    assert {name: first[name] for name in rows[0]} == rows[0]
    assert list(first) == [*rows[0], *ADDED[:-1]]
    assert first["probability_bad"] + first["probability_good"] == pytest.approx(1)
    assert blank == {
        "text": " ", "n": 2**60, "predicted": "", "score": None, "probability_bad": None, "probability_good": None,
        "note": "blank text",
    }  # fmt: skip


def test_a_tsv_is_written_without_quotes_and_refuses_what_it_cannot_hold(run: Path) -> None:
    write("in.csv", [{"text": 'a "quoted" item', "more": "=1"}])
    done("predict", run, "--input", "in.csv", "--output", "out.tsv")
    (record,) = read("out.tsv")
    assert (record.fields["text"], record.fields["more"]) == ('a "quoted" item', "=1")
    write("in.csv", ROWS)
    said = refused("predict", run, "--input", "in.csv", "--output", "out2.tsv")
    assert "out2.tsv: row 1: a tab or a line break stands in 'lovely," in said
    assert not Path("out2.tsv").exists()


def test_the_same_file_may_be_predicted_again_and_names_that_are_taken_get_a_number(run: Path) -> None:
    write("in.csv", ROWS)
    done("predict", run, "--input", "in.csv", "--output", "once.csv")
    said = done("predict", run, "--input", "once.csv", "--output", "twice.csv")
    assert "a column 'predicted' is there already and stays as it is; that of the answers is 'predicted_2'." in said.err
    (first, *_), (again, *_) = (list(read(name)) for name in ("once.csv", "twice.csv"))
    assert list(again.fields) == [*first.fields, *(f"{name}_2" for name in ADDED)]
    assert {name: again.fields[name] for name in first.fields} == first.fields


def test_a_name_that_only_a_later_row_has_stops_and_nothing_is_written(run: Path) -> None:
    Path("in.jsonl").write_text('{"text": "a"}\n{"text": "b", "score": 3}\n')
    said = refused("predict", run, "--input", "in.jsonl", "--output", "out.jsonl")
    assert "in.jsonl:2: has a field 'score', which the first row lacks" in said
    assert not Path("out.jsonl").exists()


def test_texts_without_a_file_stand_in_the_run_s_own_column(run: Path) -> None:
    done("predict", run, "lovely item", "", "--output", "out.csv")
    assert [list(record.fields) for record in read("out.csv")] == [["text", *ADDED]] * 2


def test_the_input_is_never_overwritten(run: Path) -> None:
    write("in.csv", ROWS)
    before = Path("in.csv").read_bytes()
    Path("link.csv").symlink_to("in.csv")
    for name in ("in.csv", "./in.csv", "link.csv"):
        assert "is the input; choose another name" in refused("predict", run, "--input", "in.csv", "--output", name)
    assert Path("in.csv").read_bytes() == before


def test_broken_rows_are_skipped_named_and_the_others_keep_their_own_columns(run: Path) -> None:
    Path("in.csv").write_bytes(b"id,text\n1,lovely\n2\n3,sch\xf6n\n4,awful \xc3\xa9\n")
    assert "in.csv:3: expected 2 cells" in refused("predict", run, "--input", "in.csv", "--output", "out.csv")
    assert not Path("out.csv").exists()
    words = ("predict", run, "--input", "in.csv", "--set", "data.on_error=skip")
    said = done(*words, "--output", "out.csv")
    assert [record.fields["id"] for record in read("out.csv")] == ["1", "4"]
    assert "in.csv: 2 broken rows were skipped and have no answer, 2 have one:" in said.err
    assert "in.csv:3: expected 2 cells" in said.err
    assert "in.csv:4: byte 6 of the line, 0xF6, is not UTF-8" in said.err
    assert len(done(*words).out.splitlines()) == 2
    Path("in.jsonl").write_text('{"text": 3}\n{"text": "awful"}\n')
    said = done("predict", run, "--input", "in.jsonl", "--set", "data.on_error=skip", "--output", "out.jsonl")
    assert "in.jsonl:1: column 'text' holds 3, expected text." in said.err
    assert len(jsonl("out.jsonl")) == 1
    Path("in.jsonl").write_text('{"text": 3}\n')
    assert "in.jsonl: its only row was skipped" in refused(
        "predict", run, "--input", "in.jsonl", "--set", "data.on_error=skip"
    )


def test_how_a_file_is_read_can_be_set_and_nothing_else(run: Path) -> None:
    Path("in.data").write_text("lovely item\tgood\nawful item\tbad\nlovely\n")
    sets = ["--set", "data.format=tsv", "--set", "data.columns=[text, label]", "--set", "data.on_error=skip"]
    assert len(done("predict", run, "--input", "in.data", *sets).out.splitlines()) == 2
    said = done("evaluate", run, "in.data", *sets, "--json")
    assert "in.data: 1 broken row was skipped, 2 kept" in said.err
    assert "Skipped rows count in no score." in said.err
    assert said.json["baselines"], "the run's own data is read as before"
    refusal = "has no effect on predict, because a trained run keeps its settings. Known: data.format, data.columns, "
    for setting in ("model.encoder.hidden_size=3", "data.train=x.csv", "data.split=hash"):
        key = setting.partition("=")[0]
        assert f"--set {key}: {refusal}" in refused("predict", run, "--input", "in.data", "--set", setting)
    assert "--set data.train: has no effect on evaluate" in refused("evaluate", run, "in.data", "--set", "data.train=x")
    assert "unknown on_error choice 'skp'. Did you mean 'skip'?" in refused(
        "evaluate", run, "in.data", "--set", "data.on_error=skp"
    )
    assert "--set says how --input FILE is read" in refused("predict", run, "a", "--set", "data.on_error=skip")
    Path("data.csv").rename("moved.csv")
    assert done("evaluate", run, "--set", "data.train=moved.csv", "--json").json["scores"]
    with pytest.raises(ConfigError, match=r"--set task\.text: has no effect on predict"):
        api.source_for("run", "in.data", overrides=["task.text=x"])


def test_probabilities_of_many_labels_are_left_out_unless_they_are_asked_for(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("in.csv", ROWS[:1])
    done("predict", run, "--input", "in.csv", "--output", "out.csv", "--probabilities", "none")
    assert list(next(read("out.csv")).fields) == [*ROWS[0], "predicted", "score", "note"]
    monkeypatch.setattr("recurra.api.answers.MOST_COLUMNS", 1)
    said = done("predict", run, "--input", "in.csv", "--output", "out.csv")
    assert "2 labels are too many for a column each" in said.err
    assert list(next(read("out.csv")).fields) == [*ROWS[0], "predicted", "score", "note"]
    done("predict", run, "--input", "in.csv", "--output", "out.csv", "--probabilities", "all")
    assert list(next(read("out.csv")).fields) == [*ROWS[0], *ADDED]
    assert "--probabilities has no effect without --output" in refused("predict", run, "a", "--probabilities", "all")


def test_several_labels_stand_in_a_cell_as_the_files_of_the_run_have_them(here: Path) -> None:
    write("in.csv", [{"text": f"{'lovely ' * (n % 2)}item {n}", "label": "a;b" if n % 2 else "b"} for n in range(24)])
    write_config(task={"labels": "many", "separator": ";"}, data={"train": "in.csv"})
    done("train", "c.yaml", "--out", "run")
    done("predict", "run", "--input", "in.csv", "--output", "out.csv")
    done("predict", "run", "--input", "in.csv", "--output", "out.jsonl")
    record, row = next(read("out.csv")), jsonl("out.jsonl")[0]
    assert list(record.fields) == ["text", "label", "predicted", "probability_a", "probability_b", "note"]
    assert record.fields["predicted"] == ";".join(row["predicted"])


# -- tags --------------------------------------------------------------------------------------------------------------

SMALL: Mapping[str, Any] = {
    "model": {
        "inputs": {"embedding_size": 2, "character_embedding_size": 2, "character_size": 2},
        "encoder": {"hidden_size": 3},
    },
    "training": {"epochs": 1, "batch_rows": 8},
}
CONLL = "-DOCSTART- -X- O\n\nAnna NNP I-PER\nsleeps VBZ O\n\n\n# . O\n"
UD = """\
# sent_id = 1
# text = Anna don't
1\tAnna\t_\tPROPN\t_\t_\t0\troot\t_\tSpaceAfter=No
2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
2\tdo\t_\tAUX\t_\t_\t1\taux\t_\t_
3\tn't\t_\tPART\t_\t_\t1\tadvmod\t_\t_

# sent_id = 2
1\tBob\t_\t_\t_\t_\t0\troot\t_\t_
1.1\tsleeps\t_\tVERB\t_\t_\t_\t_\t_\t_
2\tis\t_\t_\t_\t_\t1\tcop\t_\tx=1

"""


@pytest.fixture(scope="module")
def taggers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs `spans` (iob1, three columns) and `words` (parts of speech of CoNLL-U)."""
    folder = tmp_path_factory.mktemp("taggers")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        names = [f"{'ABCDEF'[n % 6]}na{n}" for n in range(24)]
        Path("s.conll").write_text("".join(f"{name} NNP I-PER\nis VBZ O\n\n" for name in names))
        Path("w.conllu").write_text(
            "".join(
                f"1\t{name}\t_\tPROPN\t_\t_\t0\troot\t_\t_\n2\tis\t_\tVERB\t_\t_\t1\tcop\t_\t_\n\n" for name in names
            )
        )
        for name, task, data in (
            ("spans", {"file_scheme": "iob1"}, "s.conll"),
            ("words", {"tokens": "form", "tags": "upos"}, "w.conllu"),
        ):
            tree = {**SMALL, "task": {"name": "tagging", **task}, "data": {"train": data}}
            Path("c.yaml").write_text(yaml.safe_dump(tree))
            done("train", "c.yaml", "--out", name)
    return folder


@pytest.fixture
def tagged(taggers: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(taggers)
    return taggers


def tags_of(run: str, file: str) -> list[tuple[str, ...]]:
    return [one.tags or () for one in api.answered(run, api.source_for(run, file))]


def test_conll_is_copied_line_by_line_with_the_tag_behind_the_truth(tagged: Path) -> None:
    Path("in.conll").write_text(CONLL)
    done("predict", "spans", "--input", "in.conll", "--output", "out.conll")
    (anna, sleeps), (sign,) = tags_of("spans", "in.conll")
    assert Path("out.conll").read_text() == (
        f"-DOCSTART- -X- O\n\nAnna NNP I-PER {anna}\nsleeps VBZ O {sleeps}\n\n\n# . O {sign}\n"
    )
    assert {anna, sleeps, sign} <= {"I-PER", "B-PER", "O"}


def test_tags_are_written_in_the_scheme_of_the_files(tagged: Path) -> None:
    task: Any = api.open_run("spans").task
    tags = ("B-PER", "I-PER", "O", "B-PER", "B-PER")
    assert list(task.tagset.in_file(tags)) == ["I-PER", "I-PER", "O", "I-PER", "B-PER"]


def test_conllu_keeps_comments_ranges_and_columns_and_a_tag_goes_where_there_is_none(tagged: Path) -> None:
    Path("in.conllu").write_text(UD)
    said = done("predict", "words", "--input", "in.conllu", "--output", "out.conllu")
    assert "upos holds tags, which stay; the predicted ones are in MISC as Predicted=TAG." in said.err
    (a, b, c), (d, e) = tags_of("words", "in.conllu")
    expected = (
        UD.replace("SpaceAfter=No", f"SpaceAfter=No|Predicted={a}")
        .replace("aux\t_\t_", f"aux\t_\tPredicted={b}")
        .replace("advmod\t_\t_", f"advmod\t_\tPredicted={c}")
        .replace("1\tBob\t_\t_", f"1\tBob\t_\t{d}")
        .replace("2\tis\t_\t_", f"2\tis\t_\t{e}")
    )
    assert Path("out.conllu").read_text() == expected
    assert list(read("out.conllu"))[1].fields["upos"] == [d, e]
    Path("named.conll").write_text(UD)
    done("predict", "words", "--input", "named.conll", "--output", "out.conll")
    assert Path("out.conll").read_text() == expected, "a file of CoNLL-U is one whatever it is called"
    again = done("predict", "words", "--input", "out.conllu", "--output", "again.conllu")
    assert again.code == 0
    assert f"SpaceAfter=No|Predicted={a}|Predicted2={a}" in Path("again.conllu").read_text()


def test_a_sentence_that_is_skipped_has_no_lines(tagged: Path) -> None:
    Path("in.conll").write_bytes(b"Anna NNP O\n\nBob O\nsleeps VBZ O\n\nsch\xf6n JJ O\n\nCarl NNP O\n")
    assert "in.conll:3: expected 3 columns" in refused("predict", "spans", "--input", "in.conll", "--output", "o.conll")
    said = done("predict", "spans", "--input", "in.conll", "--output", "o.conll", "--set", "data.on_error=skip")
    assert "in.conll: 2 broken rows were skipped and have no answer, 2 have one:" in said.err
    assert [line.split()[:3] for line in Path("o.conll").read_text().splitlines()] == [
        ["Anna", "NNP", "O"], [], ["Carl", "NNP", "O"],
    ]  # fmt: skip


def test_raw_texts_become_tokens_with_tags_and_lists_keep_their_form(tagged: Path) -> None:
    done("predict", "spans", "Anna is .", "", "--output", "out.conll")
    lines = Path("out.conll").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines] == ["Anna", "is", ".", "", ""]
    Path("in.conll").write_text(CONLL)
    done("predict", "spans", "--input", "in.conll", "--output", "out.jsonl")
    first = jsonl("out.jsonl")[0]
    assert list(first) == ["token", "pos", "tag", "predicted"]
    assert (first["token"], first["tag"]) == (["Anna", "sleeps"], ["I-PER", "O"])
    assert first["predicted"] == list(tags_of("spans", "in.conll")[0])


def test_what_conll_cannot_be_made_of_is_refused_and_writes_nothing(tagged: Path, run: Path) -> None:
    assert "this run answers with no tags; use .csv" in refused("predict", run, "a", "--output", "o.conll")
    assert "CoNLL-U is written from CoNLL-U" in refused("predict", tagged / "spans", "a", "--output", "o.conllu")
    assert list(Path().glob("o.*")) == []
