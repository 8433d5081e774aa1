"""The gestures of made-up people: whole recordings, pairs that differ in their order alone, and a demo."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from recurra import api
from recurra.api import demos
from recurra.data.embedded import EMBEDDED
from recurra.data.embedded.gestures import COORDINATES, PATHS, PEOPLE, TIMES, _hand


def test_each_recording_is_whole_and_of_one_person() -> None:
    rows = [record.fields for record in EMBEDDED["gestures"].records("train")]
    assert rows == [record.fields for record in EMBEDDED["gestures"].records("train")]
    lengths = Counter(row["recording"] for row in rows)
    assert len(lengths) == PEOPLE * len(PATHS) * TIMES
    assert len({(row["recording"], row["person"], row["gesture"]) for row in rows}) == len(lengths)
    assert len({(row["recording"], row["frame"]) for row in rows}) == len(rows)
    lost = sum(row["right_hand_x"] == "" for row in rows)
    assert 0.02 < lost / len(rows) < 0.06
    assert all(row[name] for row in rows for name in COORDINATES if not name.startswith("right_hand"))


def test_half_of_the_gestures_are_others_run_backwards() -> None:
    times = [n / 30 for n in range(31)]
    for one, other in (("raise", "lower"), ("push", "pull"), ("swipe_left", "swipe_right")):
        path, back = ([_hand(PATHS[name], t) for t in times] for name in (one, other))
        assert sum(abs(a - b) for p, q in zip(path, back[::-1], strict=True) for a, b in zip(p, q, strict=True)) < 1e-9
        assert path != back


def test_the_demo_splits_by_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = demos.DEMOS["activity"]
    small = {**whole.settings, "training": {**whole.settings["training"], "epochs": 1, "report": "scores"}}
    small["model"] = {"encoder": {"name": "recurrent", "hidden_size": 2}, "head": {"pooling": "mean"}}
    monkeypatch.setitem(demos.DEMOS, "activity", replace(whole, settings=small))  # type: ignore[arg-type]
    trained = api.demo("activity", out=tmp_path / "run")
    assert trained.report is not None
    assert any(
        "12 groups by person: train 7, dev 2 (p04, p08), test 3" in str(v) for v in trained.report.facts.values()
    )
