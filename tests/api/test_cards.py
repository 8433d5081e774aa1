"""Model cards say what the run's files say, and folders of a hub make the same run again, or are refused."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.api_room import done, recurra, refused
from recurra.api import card, open_run, pull, push
from recurra.api.places import RunFolder
from recurra.api.sharing import MANIFEST, NEEDED
from recurra.base.errors import ConfigError, RunError
from recurra.tasks import TASKS
from recurra.tasks.hub import PIPELINE_TAGS

TEXT = "lovely item a1"


def parts(run: Path) -> tuple[dict[str, Any], str]:
    """The YAML of a card, and what is below it."""
    _, head, body = (run / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(head), body


def test_a_card_is_there_at_the_end_of_training_with_the_run_s_own_scores(run: Path) -> None:
    head, body = parts(run)
    assert (head["library_name"], head["license"], head["pipeline_tag"]) == (
        "recurra",
        "unknown",
        "text-classification",
    )
    stored = {(s["split"], s["name"]): s["value"] for s in json.loads((run / "scores.json").read_text())}
    results = head["model-index"][0]["results"]
    told = {(r["dataset"]["split"], m["name"]): m["value"] for r in results for m in r["metrics"]}
    assert told == {key: value for key, value in stored.items() if value is not None}
    assert "| accuracy | test |" in body
    assert "how much they change with the seed was not measured" in body
    weights = open_run(run).model
    assert f"Parameters: {sum(p.numel() for p in weights.state_dict().values()):,}," in body
    assert str(Path.cwd()) not in body, "where data lay is nobody's business"


def test_an_older_run_gets_one_and_a_license_and_a_person_s_own_stays(run: Path) -> None:
    (run / "README.md").unlink()
    assert done("card", run, "--license", "apache-2.0").out == f"{run / 'README.md'}\n"
    assert parts(run)[0]["license"] == "apache-2.0"
    assert done("card", run)
    assert parts(run)[0]["license"] == "unknown"
    (run / "README.md").write_text("my words")
    assert "was not written by recurra" in refused("card", run)
    with pytest.raises(ConfigError, match="license"):
        card(run, license="Apache License: 2")


def test_a_run_of_a_group_has_the_spread_of_the_group(run: Path) -> None:
    group = run.parent / "group"
    shutil.copytree(run, group / "seed-1")
    one = {
        "split": "test",
        "name": "accuracy",
        "unit": "0..1",
        "mean": 0.5,
        "deviation": 0.125,
        "values": {"a": 0, "b": 1},
    }
    (group / "summary.json").write_text(json.dumps([one]))
    (group / "group.json").write_text('{"format": 1, "runs": {"seed-1": []}}')
    card(group / "seed-1")
    assert "| 50.0 % ± 12.5 % of 2 |" in parts(group / "seed-1")[1]
    assert "was not measured" not in parts(group / "seed-1")[1]


def test_text_of_the_data_is_no_markup_in_a_card(run: Path) -> None:
    scores = json.loads((run / "scores.json").read_text())
    scores[0]["name"] = "f1[<img src=x>|`]"
    (run / "scores.json").write_text(json.dumps(scores))
    card(run)
    body = parts(run)[1]
    assert "<img" not in body.replace(r"\<", "")
    assert r"f1\[\<img src=x\>\|\`\]" in body
    mark = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**mark, "recurra": "<b>1</b>"}))
    card(run)
    assert "<b>" not in parts(run)[1].replace(r"\<", "")


def test_neither_folders_nor_keys_of_addresses_are_in_a_card(run: Path) -> None:
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(re.sub(r"(?m)^  train: \S+", "  train: https://host/a/rows.csv?key=s/ecret", text))
    card(run)
    assert "- train: rows.csv\n" in parts(run)[1]
    assert "ecret" not in (run / "README.md").read_text()


def test_push_makes_folders_above_and_says_which_places_travel(run: Path, tmp_path: Path) -> None:
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(re.sub(r"(?m)^  train: \S+", "  train: /home/me/rows.csv", text))
    said = done("push", run, tmp_path / "new" / "hub")
    assert "hub/config.yaml: tells where files lie: data.train: /home/me/rows.csv. If nobody" in said.err
    assert (tmp_path / "new" / "hub" / MANIFEST).is_file()


def test_every_word_for_hubs_is_of_a_task() -> None:
    assert set(PIPELINE_TAGS) <= set(TASKS)


def test_a_run_that_was_pushed_and_pulled_answers_as_before(run: Path, tmp_path: Path) -> None:
    said = done("push", run, tmp_path / "hub")
    assert said.out == f"{tmp_path / 'hub'}\n"
    names = {path.name for path in (tmp_path / "hub").iterdir()}
    assert {*NEEDED, MANIFEST} <= names
    assert names.isdisjoint({"last.ckpt", "best.ckpt", "examples.json", "log.jsonl", "report.html", "data"})
    assert json.loads((tmp_path / "hub" / MANIFEST).read_text())["model_type"] == "recurra"
    again = tmp_path / "again"
    assert done("pull", tmp_path / "hub", "--out", again).out == f"{again}\n"
    assert done("predict", again, TEXT).out == done("predict", run, TEXT).out
    assert parts(again) == parts(run)
    assert (again / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


def test_what_is_there_is_not_overwritten(run: Path, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    assert "is not overwritten" in refused("push", run, full)
    push(run, tmp_path / "hub")
    assert "is not overwritten" in refused("push", run, tmp_path / "hub")
    assert "is not overwritten" in refused("pull", tmp_path / "hub", "--out", full)
    assert [path.name for path in full.iterdir()] == ["mine.txt"]


def change(hub: Path, name: str, entry: Any) -> None:
    said = json.loads((hub / MANIFEST).read_text())
    said["files"][name] = entry
    (hub / MANIFEST).write_text(json.dumps(said))


def test_a_folder_that_was_changed_is_refused_and_leaves_nothing(run: Path, tmp_path: Path) -> None:
    hub, out = push(run, tmp_path / "hub"), tmp_path / "out"
    weights = hub / "model.safetensors"
    whole, manifest = weights.read_bytes(), (hub / MANIFEST).read_bytes()

    def said() -> str:
        found = recurra("pull", hub, "--out", out)
        assert (found.code, found.out) == (2, "")
        assert not [path for path in tmp_path.iterdir() if path.name.startswith((".tmp-", "out"))]
        (hub / MANIFEST).write_bytes(manifest)
        return found.err

    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "another digest or size" in said()
    weights.write_bytes(whole[:-4])
    assert "another digest or size" in said()
    weights.write_bytes(whole + b"more")
    assert "has more than" in said()
    weights.unlink()
    assert "is missing" in said()
    os.mkfifo(weights)
    assert "is missing" in said()
    weights.unlink()
    weights.write_bytes(whole)
    for name in ("../evil.txt", "/etc/passwd", "pytorch_model.bin", "last.ckpt"):
        change(hub, name, {"bytes": 1, "sha256": "0" * 64})
        assert "which a run does not have" in said()
    for entry in ({"bytes": 1 << 40, "sha256": "0"}, {"bytes": -1, "sha256": "0"}, {"bytes": 1}, [], {"bytes": True}):
        change(hub, "run.json", entry)
        assert "expected a SHA-256" in said()
    (hub / MANIFEST).write_text('{"model_type": "bert"}')
    assert "is not of recurra" in said()
    (hub / MANIFEST).write_text('{"model_type": "recurra", "files": {}}')
    assert "expected files" in said()
    assert pull(hub, out=out) == out


def test_weights_that_fit_their_digest_and_not_their_config_are_refused(run: Path, tmp_path: Path) -> None:
    hub = push(run, tmp_path / "hub")
    text = (hub / "config.yaml").read_text().replace("hidden_size: ", "hidden_size: 1")
    (hub / "config.yaml").write_text(text)
    import hashlib

    data = text.encode()
    change(hub, "config.yaml", {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    with pytest.raises(RunError):
        pull(hub, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_that_has_not_ended_does_not_travel(run: Path, tmp_path: Path) -> None:
    RunFolder(run).weights.unlink()
    assert "has not ended" in refused("push", run, tmp_path / "hub")
