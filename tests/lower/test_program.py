"""What stands in memory for each token and what for a step alone: by hand from the cells' equations."""

from __future__ import annotations

import pytest

from recurra.cells import CELLS
from recurra.lower import gradient
from recurra.lower.program import _order_of_kept, build


def vectors(program, kind):
    return sum(area.count for area in program.areas if area.kind == kind and area.width == "H")


@pytest.mark.parametrize("name", sorted(CELLS))
def test_nothing_is_kept_for_each_token_but_what_the_gradient_needs(name):
    forward = build(CELLS[name])[0]
    widths = [forward.graph.nodes[at].width for at in gradient(CELLS[name]).tape]
    kept = {kind: vectors(forward, kind) for kind in ("keep", "old", "new")}
    assert sum(kept.values()) == widths.count("H")
    assert max(kept["old"], kept["new"]) <= 1


def test_states_that_the_output_tells_are_kept_nowhere_else():
    """tanh' of h; z h and r h of the GRU; the LSTM's c is not in the output."""
    assert [
        (vectors(build(CELLS[name])[0], "old"), vectors(build(CELLS[name])[0], "new"))
        for name in ("rnn", "gru", "lstm")
    ] == [
        (0, 1),
        (1, 0),
        (0, 0),
    ]


def test_what_one_stage_hands_to_the_next_lasts_for_a_step():
    """1 - z and z h of the GRU stand between its stages; c, the eight products and their means in layer norm's."""
    assert vectors(build(CELLS["gru_reset_before"])[0], "scratch") == 2
    assert vectors(build(CELLS["lstm_layernorm"])[0], "scratch") == 9
    assert vectors(build(CELLS["lstm"])[0], "scratch") == 0


def test_scratch_of_stages_that_go_row_by_row_is_one_row():
    """All of layer norm's, forward and back; not the GRU's, which waits for a product over all rows."""
    of_row = {
        name: [[a.of_row for a in p.areas if a.kind == "scratch"] for p in build(CELLS[name])[:2]] for name in CELLS
    }
    assert of_row["lstm_layernorm"] == [[True, True], [True, True]]
    assert of_row["gru_reset_before"] == [[False], [False]]
    assert of_row["gru"] == [[], [False]]


@pytest.mark.parametrize("name", ["lstm", "gru", "gru_reset_before", "mgu", "lstm_layernorm"])
def test_deltas_take_no_memory_of_their_own(name):
    deltas = [area for area in build(CELLS[name])[1].areas if area.kind == "delta"]
    assert [area.over_kept for area in deltas] == [True]


def test_a_value_that_is_read_late_is_kept_behind_those_that_deltas_replace_early():
    """gru_reset_before: the deltas of n and z come first, over z and n; that of r over what is read with it."""
    assert _order_of_kept([0, 0, 1], [1, 1, 0, 0]) == [2, 3, 0, 1]
    assert _order_of_kept([0, 1], [0, 1, 2]) == [0, 1, 2]  # it fits as it is
    assert _order_of_kept([1, 0], [1, 0, 1]) == [0, 1, 2]
    assert _order_of_kept([1, 0], [0, 1, 2]) == [1, 0, 2]
    assert _order_of_kept([0, 0], [0, 1, 1]) is None  # only one value is free after the first stage
