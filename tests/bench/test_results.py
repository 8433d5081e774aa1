"""What follows from measured values: ratios, means, JSON, text, tables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from recurra.base.errors import DataError
from recurra.bench import markdown
from recurra.bench.configuration import MODES, Configuration
from recurra.bench.peers import PEERS, choose_peers
from recurra.bench.results import Machine, as_json, line, mean_lines, this_machine
from recurra.bench.row import Row, geometric_mean, means

MACHINE = Machine("Test CPU", 2, "avx2", 1, {"recurra": "1.0"})
FIRST = Row(
    Configuration("train", "lstm", 10, 2, 3, 4), 1, "cpu", 2.0, {"torch": 3.0, "jax": 8.0}, operations=5e9, peak=2e10
)
SECOND = Row(Configuration("train", "lstm", 20, 2, 3, 4), 1, "cpu", 4.0, {"torch": 24.0, "jax": 2.0}, operations=1e9)
ALONE = Row(Configuration("infer", "mgu", 10, 2, 3, 4), 1, "reference", 1500.0, {})
LENGTHS = Row(Configuration("lengths", "gru", 10, 2, 3, 4), 1, "cpu", 0.5, {"torch_packed": 5.0}, token_time=1.125)


def test_ratios_say_how_many_times_a_peer_takes():
    assert FIRST.ratios == {"torch": 1.5, "jax": 4.0}
    assert (FIRST.best_peer, FIRST.best_ratio) == ("torch", 1.5)
    assert (SECOND.best_peer, SECOND.best_ratio) == ("jax", 0.5)
    assert FIRST.share == 0.25
    assert SECOND.share is None
    assert (ALONE.best_peer, ALONE.best_ratio, ALONE.ratios) == (None, None, {})


def test_the_mean_of_ratios_is_geometric():
    assert geometric_mean([1.0, 4.0]) == pytest.approx(2.0)
    assert geometric_mean([0.5, 2.0, 8.0]) == pytest.approx(2.0)
    train, infer = means([FIRST, SECOND, ALONE])
    assert (train.mode, train.cell, train.count) == ("train", "lstm", 2)
    assert train.peers == pytest.approx({"torch": 3.0, "jax": 2**0.5})  # (1.5 * 6) ** 0.5, (4 * 0.5) ** 0.5
    assert train.best == pytest.approx(0.75**0.5)  # torch at the first, jax at the second
    assert (infer.best, infer.peers) == (None, {})


def test_json_has_names_that_stay():
    got = json.loads(json.dumps(as_json(MACHINE, [FIRST, LENGTHS])))
    assert got["machine"] == {
        "processor": "Test CPU", "cores": 2, "instruction_set": "avx2", "threads": 1, "clock": "CPU time",
        "versions": {"recurra": "1.0"},
    }  # fmt: skip
    assert got["rows"][0] == {
        "mode": "train", "cell": "lstm", "T": 10, "N": 2, "I": 3, "H": 4, "threads": 1, "executor": "cpu",
        "unit": "ms", "value": 2.0, "gflop_per_second": 5.0, "peak_gflop_per_second": 20.0, "share_of_peak": 0.25,
        "token_time": None, "floors": None, "bound": None,
        "peers": {"torch": {"value": 3.0, "ratio": 1.5}, "jax": {"value": 8.0, "ratio": 4.0}},
        "best_peer": "torch", "best_ratio": 1.5,
    }  # fmt: skip
    assert got["rows"][1]["token_time"] == 1.125
    assert got["means"][1] == {
        "mode": "lengths", "cell": "gru", "count": 1, "best": pytest.approx(10),
        "peers": {"torch_packed": pytest.approx(10)},
    }  # fmt: skip


def test_the_part_that_takes_most_at_least_is_the_bound():
    row = replace(FIRST, floors={"products": 0.5, "gates": 1.2, "weights": 0.1})
    assert row.bound == "gates"
    assert row.as_json()["floors"] == {"products": 0.5, "gates": 1.2, "weights": 0.1}
    assert "(products 25%, gates 60%, weights 5%)" in line(row)
    assert FIRST.bound is None


def test_text_has_the_best_peer_first():
    words = " ".join(line(FIRST).split())
    assert words == "train lstm 10x2x3x4 2.00 ms 5.0 GFLOP/s 25% of peak best peer torch 1.50x; jax 4.00x"
    assert line(LENGTHS).split()[3:] == ["0.500", "ms", "1.12", "a", "token", "best", "peer", "torch_packed", "10.00x"]
    assert line(ALONE).split() == ["infer", "mgu", "10x2x3x4", "1500", "ms"]
    heading, first = mean_lines([FIRST, SECOND])
    assert heading.startswith("geometric means")
    assert first.split() == ["train", "lstm", "best", "peers", "0.87x;", "torch", "3.00x,", "jax", "1.41x"]


def test_the_machine_is_named_with_what_ran():
    machine = this_machine(choose_peers(["torch"]), 2)
    assert set(machine.versions) == {"Python", "recurra", "torch"}
    assert machine.cores >= 1
    assert "2 threads, wall time" in machine.line()
    assert MACHINE.line() == "Test CPU, 2 cores; 1 thread, CPU time, float32, native engine avx2; recurra 1.0"


PAGE = """# Mine

<!-- bench: machine -->
<!-- end -->

Mine, before.

<!-- bench: peers -->
<!-- end -->

<!-- bench: train -->
old
<!-- end -->

<!-- bench: infer -->
kept
<!-- end -->
Mine, after.
"""

WRITTEN = f"""# Mine

<!-- bench: machine -->
{MACHINE.line()}.
<!-- end -->

Mine, before.

<!-- bench: peers -->
| peer | what it is |
|---|---|
LEGEND
<!-- end -->

<!-- bench: train -->
One training step: forward, backward, all gradients.

| T, N, I, H | lstm |
|---|---|
| 10, 2, 3, 4 | 2 ms, 25 %, 1.50x torch |
| 20, 2, 3, 4 | 4 ms, 0.50x jax |

| geometric mean | best peer each | torch | jax |
|---|---|---|---|
| lstm | 0.87x | 3.00x | 1.41x |
<!-- end -->

<!-- bench: infer -->
kept
<!-- end -->
Mine, after.
"""


def test_tables_are_written_between_the_markers_and_the_rest_stays(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    legend = "\n".join(f"| `{name}` | {peer.doc} |" for name, peer in PEERS.items())
    for _ in range(2):
        markdown.update(page, MACHINE, [FIRST, SECOND])
        assert page.read_text() == WRITTEN.replace("LEGEND", legend)
    assert markdown.blocks(MACHINE, [ALONE])["infer"].splitlines()[4] == "| 10, 2, 3, 4 | 1500 ms |"


def test_the_page_of_performance_has_a_place_for_every_table():
    text = (Path(__file__).parents[2] / "docs" / "performance.md").read_text()
    for name in ("machine", "peers", *MODES):
        assert text.count(f"<!-- bench: {name} -->") == 1
    assert text.count("<!-- end -->") == 2 + len(MODES)


def test_a_page_without_a_place_is_refused_and_stays(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    with pytest.raises(DataError, match=r"page\.md: expected '<!-- bench: lengths -->'"):
        markdown.update(page, MACHINE, [FIRST, LENGTHS])
    assert page.read_text() == PAGE
    with pytest.raises(DataError, match=r"page\.md: expected '<!-- bench: lengths -->'"):
        markdown.check(page, ["train", "lengths"])
    page.write_text(PAGE.replace("old\n<!-- end -->", "old, with no end"))
    with pytest.raises(DataError, match=r"page\.md: expected '<!-- bench: train -->'"):
        markdown.update(page, MACHINE, [FIRST])
