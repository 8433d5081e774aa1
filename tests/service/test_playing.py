"""A model of music behind HTTP: it scores pieces, and goes on with them chord by chord."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from api.api_room import done
from recurra import api
from recurra.service import Limits, open_runs
from service.service_room import Asked, events


@pytest.fixture(scope="module")
def player(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of task music."""
    folder = tmp_path_factory.mktemp("player")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rows = [{"chords": [[60 + k % 7, 67], [], [64]]} for k in range(30)]
        Path("d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        config = {"task": {"name": "music"}, "data": {"train": "d.jsonl"}, "model": {"encoder": {"hidden_size": 4}}}
        Path("c.yaml").write_text(json.dumps({**config, "training": {"epochs": 1}}), "utf-8")
        done("train", "c.yaml", "--out", "songs")
    return folder / "songs"


def test_it_scores_and_writes_what_the_verbs_do(player: Path) -> None:
    asked = Asked(open_runs([player], device="cpu"), Limits(), None)
    rows = asked.post("/predict", {"texts": ["C4 E4+G4"]}).json()["predictions"]
    assert rows[0]["chords"] == "C4 E4+G4"
    answer = asked.post("/generate", {"text": "C4", "options": {"length": 4, "seed": 2}})
    *tokens, (last, whole) = events(answer.text)
    pieces = [piece.text for piece in api.generate(player, "C4", length=4, seed=2, device="cpu")]
    assert [data["piece"] for _, data in tokens] == pieces
    assert (last, whole["text"]) == ("done", "".join(pieces))
    refused = asked.post("/generate", {"text": "H4"})
    assert refused.status_code == 422
    assert "'H4' is no note" in refused.json()["error"]
    assert "top_k: has no effect on music" in asked.post("/generate", {"text": "", "options": {"top_k": 3}}).text
    assert asked.service.stop(10)
