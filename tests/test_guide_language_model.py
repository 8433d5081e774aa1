"""The guide of language models works from its demo to its answers: its commands are run, in their order."""

from __future__ import annotations

import csv
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from recurra.api import demos
from recurra.cli import main
from recurra.data.embedded import topics

PAGE = Path(__file__).resolve().parents[1] / "docs/guide/language-model.md"
# That the commands work is tested here; how well the model does is measured where the page is written.
TINY = ["--set", "training.epochs=1", "--set", "model.encoder.hidden_size=8", "--set", "model.inputs.embedding_size=8"]
SETTINGS = {"model": {"inputs": {"embedding_size": 8}, "encoder": {"hidden_size": 8}}, "training": {"epochs": 1}}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few short topics and a small model in the place of the demo's."""
    few = {split: tuple((t, text[:200]) for t, text in rows[:12]) for split, rows in topics._splits().items()}
    monkeypatch.setattr(topics, "_splits", lambda: few)
    whole = demos.DEMOS["language_model"]
    settings = {name: {**section, **SETTINGS.get(name, {})} for name, section in whole.settings.items()}
    monkeypatch.setitem(demos.DEMOS, "language_model", replace(whole, settings=settings))
    monkeypatch.setattr("recurra.tasks.language_model.tables.SAMPLE", 10)


def test_the_guide_of_language_models_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    page = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    lines = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    lines, stages = lines[:-3], lines[-3:]
    assert [line.split()[2] for line in stages] == ["general.yaml", "own.yaml", "task.yaml"]  # tested below
    assert [line.split()[1] for line in lines] == [
        "demo", "generate", "generate", "predict", "data", "init", "check", "train", "evaluate", "predict",
    ]  # fmt: skip
    for line in lines:
        words = shlex.split(line)[1:]
        assert main(words + (TINY if words[0] == "train" else [])) == 0, f"{line}: {capsys.readouterr().err}"
    with open("judged.csv", newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(topics._splits()["dev"])
    config = Path("config.yaml").read_text(encoding="utf-8")
    for option in re.findall(r"^\| `([^|]*)` \|", page, re.MULTILINE):
        for name in re.findall(r"\w+", option):
            assert re.search(rf"\b{name}\b", config), f"{name}: no option of a language model"


def test_the_three_stages_of_the_page_begin_with_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```yaml\n(# (?:general|task)\.yaml.*?)^```$", PAGE.read_text(encoding="utf-8"), re.S | re.M)
    general, task = map(yaml.safe_load, blocks)
    beside = {"data": {"train": "own.txt"}, "task": {**general["task"], "document": "row"}}
    beside["training"] = {**general["training"], "init_from": "runs/general", "rate_decay": 2.6}
    texts = [f"the film {k} was {'good' if k % 2 else 'bad'} , so they said {k % 7}" for k in range(90)]
    for name in ("general.txt", "own.txt"):
        Path(name).write_text("\n".join(texts) + "\n", encoding="utf-8")
    with open("few.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *((text, k % 2) for k, text in enumerate(texts))])
    small = ["--set", "model.inputs.embedding_size=8", "--set", "model.encoder.hidden_size=8"]
    for stage, config in {"general": general, "own": {**general, **beside}, "task": task}.items():
        Path(f"{stage}.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        words = ["train", f"{stage}.yaml", "--out", f"runs/{stage}", "--set", "training.epochs=1", *small]
        assert main(words) == 0, capsys.readouterr().err
        said = capsys.readouterr()
        assert ("have their vectors from there, and 2 recurrent layers their weights" in said.out + said.err) == (
            stage != "general"
        )
