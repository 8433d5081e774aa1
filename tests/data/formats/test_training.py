"""From a file that people have to a trained run, by the config that init writes and the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from api.api_room import done
from data.formats.formats_room import ROWS, as_jsonl
from data.formats.test_annotations import PLAIN, brat, classes, prodigy

SMALL = ("--set", "training.epochs=1", "--set", "model.encoder.hidden_size=4")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_of_texts_is_trained_on_scored_and_answered_for(here: Path) -> None:
    rows = classes(here / "texts")
    said = done("init", "classification", "texts", "-o", "c.yaml").err
    assert "texts: read as folders, as its folders hold texts, and each is a class." in said
    done("check", "c.yaml")
    done("train", "c.yaml", "--out", "run", *SMALL)
    done("evaluate", "run", "texts")
    done("predict", "run", "--input", "texts", "--output", "out.csv")
    assert len((here / "out.csv").read_text().splitlines()) >= 1 + len(rows)


def test_an_export_of_prodigy_is_trained_on_and_says_what_it_left_out(here: Path) -> None:
    prodigy(here)
    done("init", "ner", "prodigy.jsonl", "-o", "c.yaml")
    said = done("train", "c.yaml", "--out", "run", *SMALL).err
    assert "prodigy.jsonl: 2 rejected and left out, 1 ignored and left out." in said
    brat(here)
    done("evaluate", "run", "brat")
    as_jsonl(here / "new.jsonl", PLAIN[:3])
    assert len(done("predict", "run", "--input", "new.jsonl", "--json").out.splitlines()) == 3


def test_a_list_of_nested_json_is_trained_on_and_plain_json_is_answered_for(here: Path) -> None:
    rows = [{"payload": {"message": row["text"]}, "label": row["label"]} for row in ROWS]
    (here / "a.json").write_text(json.dumps({"data": rows}))
    done("init", "classification", "a.json", "-o", "c.yaml")
    done("train", "c.yaml", "--out", "run", *SMALL)
    said = done("predict", "run", "--input", "a.json", "--output", "out.jsonl", "--set", "data.on_error=skip")
    assert len((here / "out.jsonl").read_text().splitlines()) == len(rows), said.err


def test_reading_files_imports_no_package_that_only_some_of_them_need() -> None:
    program = (
        "import sys, recurra.data.formats as formats; formats.recognised('a.csv'); list(map(str, formats.FORMATS));"
        "print([name for name in ('pyarrow', 'openpyxl', 'pandas', 'torch') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"
