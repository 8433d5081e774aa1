"""This machine: recurra beside torch.nn and every installed peer, interleaved in one run.

configuration what is measured: modes, cells, sizes, and the words that choose them
problem       the numbers: inputs, weights, lengths, the same for everybody
clock         medians of several works in turn; CPU time of one thread, wall time of more
peak          the machine's fused multiply-adds a second, measured in turn with the rest
roofline      what a configuration takes at least: by products, functions, and reading
peers/        who is measured, and how each is used at its best
measure       one configuration: everybody prepares, then all are measured
memory        what a training step adds to the resident memory, in a process of its own
row           one measured configuration, ratios, geometric means
results       a whole run as JSON and as text
markdown      its tables on a page, between markers

    from recurra import bench

    with bench.opened(bench.choose_peers(None), threads=1, seconds=0.5) as machine:
        rows = [machine.row(one) for one in bench.choose(modes=["train"], cells=["lstm"])]
"""

from __future__ import annotations

from recurra.bench.configuration import GRID, MODES, Configuration, choose, known_cells
from recurra.bench.measure import Bench, opened
from recurra.bench.peers import PEERS, choose_peers, missing
from recurra.bench.results import Machine, as_json, line, mean_lines, this_machine
from recurra.bench.row import Mean, Row, means

__all__ = [
    "GRID",
    "MODES",
    "PEERS",
    "Bench",
    "Configuration",
    "Machine",
    "Mean",
    "Row",
    "as_json",
    "choose",
    "choose_peers",
    "known_cells",
    "line",
    "mean_lines",
    "means",
    "missing",
    "opened",
    "this_machine",
]
