"""The page of benchmarks/table.py from numbers by hand."""

from __future__ import annotations

from typing import Any

import pytest

from scripts_room import script

table = script("benchmarks/table.py")


def row(cell: str, value: float, peers: dict[str, float], T: int = 10, mode: str = "train") -> dict[str, Any]:
    best = min(peers, key=peers.__getitem__)
    return {
        "floors": {"products": value / 2, "gates": value / 4, "weights": 0.0, "streams": value / 8},
        "mode": mode, "cell": cell, "T": T, "N": 2, "I": 3, "H": 4, "threads": 1, "unit": "ms", "value": value,
        "share_of_peak": 0.5, "bound": "products", "best_peer": best, "best_ratio": peers[best] / value,
        "peers": {name: {"value": v, "ratio": v / value} for name, v in peers.items()},
    }  # fmt: skip


def test_a_line_has_the_best_peer_its_floors_and_the_run_before():
    now = {"train": [row("lstm", 2.0, {"torch": 3.0, "jax": 8.0}), row("gru", 1.0, {"torch": 6.0})]}
    before = {"train": [row("lstm", 3.0, {"torch": 3.0, "jax": 4.0})]}
    text = "\n".join(table.page(now, before))
    assert "| lstm | 10, 2, 3, 4 | 2 ms | 50% | 1.50x torch | **50%** | 25% | 0% | 12% | 3 ms | 1.50x |" in text
    assert "| gru | 10, 2, 3, 4 | 1 ms | 50% | 6.00x torch | **50%** | 25% | 0% | 12% |  |  |" in text
    # 1.5 and 6: the root of 9. Peers: torch as before, jax twice as long.
    assert "lstm 1.50x, gru 6.00x; all 3.00x" in text
    assert "Peers take 1.41x as long" in text


def test_a_call_itself_is_what_no_steps_would_take():
    """1 step in 21 us and 100 in 219: a step takes 2, and the rest of the first 19."""
    short, long = (row("rnn", t, {"jax": 0.5}, T, "infer") for t, T in ((0.021, 1), (0.219, 100)))
    text = "\n".join(table.page({"calls": [short, long]}, {}))
    assert "| infer rnn | 21.0 us | 219.0 us | 19.0 us | 23.81x jax | 2.28x jax |" in text


def test_memory_and_the_loss_have_tables_of_their_own():
    lean = row("gru", 30.0, {"flax": 24.0}, mode="memory") | {"unit": "MiB"}
    ours = {"milliseconds": 61.0, "share of peak": 0.7}
    loss = {"M, D, V": [400, 200, 10000], "recurra": ours, "times as fast as torch": 1.27}
    text = "\n".join(table.page({"memory": [lean], "loss": [loss]}, {}))
    assert "| gru | 10, 2, 3, 4 | 30 MiB | 0.80x flax |" in text
    assert "| 400, 200, 10000 | 61.0 ms, 70% | 1.27x |" in text


def test_an_unknown_part_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["table.py", "--parts", "trian"])
    with pytest.raises(SystemExit):
        table.main()
    assert "no such part: trian" in capsys.readouterr().err
