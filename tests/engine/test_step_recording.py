"""A layer that is watched says the same as one that is not, and its steps are the states of the sequence."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from conformance.battery import CELLS_UNDER_TEST, assert_close, problem
from models.seq2seq_room import batch, log_probs, small
from recurra.engine import run, step_recording
from recurra.engine.step_recording import Recording
from recurra.lower import trace
from recurra.nn import LSTM

LENGTHS = [6, 2, 4]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("word", CELLS_UNDER_TEST)
def test_watching_changes_no_result_and_shows_every_state(word: str, reverse: bool) -> None:
    cell = CELLS_UNDER_TEST[word]
    call = problem(word, T=6, N=3).call(lengths=LENGTHS, reverse=reverse)
    seen: list[Recording] = []
    expected, got = run(call, backend="reference"), step_recording.run(call, seen.append)
    assert_close(got.output, expected.output, 1e-12)
    (trail,) = seen
    assert [m.t for m in trail.moments] == (list(range(5, -1, -1)) if reverse else list(range(6)))
    assert_close(trail.moments[-1].after[0], expected.states[0], 1e-12)
    for moment in trail.moments:
        real = step_recording.real_rows(moment)
        assert real.tolist() == [length > moment.t for length in LENGTHS]
        assert_close(moment.after[0][real], expected.output[moment.t][real], 1e-12)
        place = trace(cell).outputs[cell.states[0]]
        assert_close(moment.values[place][real], moment.after[0][real], 1e-12)  # no zoneout: the equations' own


def test_layers_and_directions_are_told_apart() -> None:
    layer = LSTM(3, 4, num_layers=2, bidirectional=True)
    seen: list[tuple[int, int, int]] = []
    layer.watch = lambda number, direction, trail: seen.append((number, direction, len(trail.moments)))
    x = torch.randn(5, 2, 3)
    watched_output, _ = layer(x)
    assert seen == [(0, 0, 5), (0, 1, 5), (1, 0, 5), (1, 1, 5)]
    layer.watch = None
    torch.testing.assert_close(watched_output, layer(x)[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("options", [{}, {"zoneout": 0.3, "variational_dropout": 0.2}], ids=str)
def test_a_decoder_that_feeds_back_is_seen_too(options: dict[str, Any]) -> None:
    """Attention before the cell: the decoder's layers run one step at a time, with fewer rows as targets end."""
    model = small(attention="additive", cell="gru", **options)
    torch.manual_seed(1)
    expected = log_probs(model(batch()).outputs)
    seen: list[Recording] = []
    model.decoder.recurrent.watch = lambda number, direction, trail: seen.append(trail)
    torch.manual_seed(1)
    assert torch.equal(log_probs(model(batch()).outputs), expected)
    (trail,) = seen
    assert [len(m.after[0]) for m in trail.moments] == [4, 3, 3, 1, 1]  # targets of 3, 5, 1 and 3 tokens
    named = set(trace(model.decoder.recurrent.cell).labels)
    assert all(named <= set(m.values) for m in trail.moments)


def test_decoding_is_seen_as_well() -> None:
    """Steps without gradients run on packed weights, and those cannot be looked into."""
    model = small(attention="additive", cell="gru").eval()
    seen: list[int] = []
    model.decoder.recurrent.watch = lambda number, direction, trail: seen.append(len(trail.moments))
    with torch.no_grad():
        state = model.start(batch())
        watched_step, state = model.step(torch.tensor([2, 2, 2, 2]), state)
    assert seen == [1]
    model.decoder.recurrent.watch = None
    with torch.no_grad():
        expected, _ = model.step(torch.tensor([2, 2, 2, 2]), model.start(batch()))
    torch.testing.assert_close(watched_step, expected, atol=1e-5, rtol=0)
