"""The guide of serving: what it asks is answered as it shows, and its limits are those of the code."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from api.api_room import done
from recurra.data.fields import FIELD_KINDS
from recurra.service import Limits, open_runs
from recurra.service import limits as most
from recurra.service.hearing import LEAST
from recurra.service.models import AROUND
from service.service_room import Asked
from service.test_process import KEY

GUIDES = Path(__file__).resolve().parents[1] / "docs/guide"
PAGE = (GUIDES / "serve.md").read_text(encoding="utf-8")
TINY = ["--set", "training.epochs=1", "--set", "model.encoder.hidden_size=8", "--set", "model.inputs.embedding_size=8"]


def typed() -> list[tuple[list[str], str]]:
    """The words of each command of the page, and what stands below it."""
    found: list[tuple[list[str], str]] = []
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE):
        for part in re.split(r"^\$ ", block.replace("\\\n", ""), flags=re.MULTILINE)[1:]:
            line, _, answer = part.partition("\n")
            found.append((shlex.split(line), answer))
    return found


def shape(value: Any) -> Any:
    """Keys and kinds; the numbers are those of another training."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(inner) for inner in value] if isinstance(value, list) else type(value).__name__


def test_what_the_guide_asks_is_answered_as_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = (GUIDES / "from-csv.md").read_text(encoding="utf-8")
    make_file = re.search(r"^```python\n(.*?)^```$", first, re.DOTALL | re.MULTILINE)
    assert make_file is not None
    exec(compile(make_file[1], "from-csv.md", "exec"), {})
    done("init", "classification", "parcels.csv", "-o", "config.yaml")
    commands = typed()
    for words, _ in commands:
        if words[:2] == ["recurra", "train"]:
            done(*words[1:], *TINY)
        elif words[:2] == ["ln", "-s"]:
            Path(words[3]).symlink_to(words[2])
    asked = Asked(open_runs(map(Path, ("runs/parcels", "runs/live", "runs/current")), device="cpu"), Limits(), KEY)
    session, number = "", 0
    for words, shown in commands:
        if words[:2] == ["ln", "-sfn"]:
            Path(words[3]).unlink()
            Path(words[3]).symlink_to(words[2])
        if words[0] != "curl" or "-T" in words:  # a sound, for a run that hears: tests/service/test_hearing.py
            continue
        number += 1
        if number == 8:
            weights = Path("runs/parcels-2/model.safetensors")
            weights.write_bytes(weights.read_bytes()[:-10])
        path = words[1].removeprefix("localhost:8000").replace("$SESSION", session)
        body = json.loads(words[words.index("-d") + 1]) if "-d" in words else None
        answer = asked.post(path, body, headers={"Authorization": f"Bearer {KEY}"}).json()
        session = answer.get("session", session)
        for known in re.findall(r'"(?:error|label|text|task|model|version|outcome|notes|tokens|seconds)":', shown):
            assert known.strip('":') in json.dumps(shape(answer)), f"{words}: {known}"
        if number == 8:  # the sizes are those of another network
            assert answer["error"].startswith("current/model.safetensors: damaged or not a safetensors file: ")
        elif '"error"' in shown:
            assert answer["error"] == json.loads(shown[shown.index(":") + 1 : shown.index(",[...]")])
        else:
            assert "error" not in answer
    assert number == 8
    assert asked.service.stop(10)


def test_the_limits_of_the_guide_are_those_of_the_code() -> None:
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$", PAGE, re.MULTILINE))
    usual = Limits()

    def numbers(row: str) -> list[int]:
        return [int(n) for n in re.findall(r"\d+", rows[row].replace(",", ""))]

    largest = max(FIELD_KINDS[kind].schema.get("maxLength", 0) for kind in ("image", "audio")) + AROUND
    assert numbers("body") == [usual.body_bytes >> 20, *map(int, f"{largest / 2**20:.1f}".split("."))]
    assert numbers("bodies of all requests at once") == [usual.bodies_bytes >> 20]
    assert numbers("texts or records of a request") == [most.MOST_RECORDS]
    assert numbers("a text, a field of a record") == [most.LONGEST_TEXT]
    assert numbers("beam, answers") == [most.WIDEST_BEAM]
    assert numbers("sounds that are heard at once")[0] == usual.sounds
    assert numbers("a sound that is heard while it comes") == [
        usual.sound_seconds / 3600,
        usual.sound_idle,
        0,
        100 * LEAST,
    ]  # 0.05 s
    assert numbers("tokens of a generation") == [most.MOST_TOKENS]
    assert numbers("requests that wait for a model") == [usual.waiting]
    assert numbers("requests of all kinds at once") == [usual.requests]
    assert numbers("time of an answer") == [usual.seconds]
    assert numbers("time of a head, of a body") == [usual.header_seconds] == [usual.body_seconds]
    assert f"{usual.sessions:,} are kept" in PAGE
    assert usual.delay == 0.002
    assert usual.session_seconds == 600
    assert usual.drain_seconds == 8


def test_every_request_of_the_guide_is_in_the_description() -> None:
    asked = Asked({}, Limits(), None)
    described = {
        f"{method.upper()} {path}"
        for path, methods in asked.get("/openapi.json").json()["paths"].items()
        for method in methods
    }
    named = set(re.findall(r"`((?:GET|POST|DELETE) [^`]+)`", PAGE))
    assert named - {"GET /openapi.json", "GET /docs"} == described
    assert asked.service.stop(10)
