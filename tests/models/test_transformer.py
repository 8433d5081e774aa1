"""The Transformer as an encoder: alone and together, piece by piece, positions, and refusals."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from recurra.base.errors import ConfigError, ShapeError
from recurra.engine import cpu
from recurra.models.encoders import Transformer


def made(input_size: int = 6, **options: Any) -> Transformer:
    torch.manual_seed(0)
    return Transformer(input_size, **({"hidden_size": 16, "num_heads": 2, "dropout": 0.0} | options)).eval()


LENGTHS = [5, 12, 0, 1, 5]


def batch(size: int = 6) -> torch.Tensor:
    x = torch.full((13, len(LENGTHS), size), torch.nan)
    for n, length in enumerate(LENGTHS):
        x[:length, n] = torch.randn(length, size, generator=torch.Generator().manual_seed(n))
    return x


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"positions": "rotary", "norm": "rms", "activation": "swiglu"},
        {"positions": "learned", "norm_first": False},
        {"causal": True, "window": 4},
        {"causal": True, "positions": "none"},
    ],
)
def test_a_row_has_the_same_bits_alone_and_in_any_batch(options: dict[str, Any]) -> None:
    model, x = made(**options), batch()
    with torch.inference_mode():
        together = model(x, torch.tensor(LENGTHS), {})
        for n, length in enumerate(LENGTHS):
            alone = model(x[:length, n : n + 1], torch.tensor([length]), {})
            assert torch.equal(alone.outputs[:, 0], together.outputs[:length, n])
            assert torch.equal(alone.summary[0], together.summary[n])
            assert not together.outputs[length:, n].any()
            for name, state in alone.states.items():
                assert torch.equal(state[0], together.states[name][n]), name


@pytest.mark.parametrize("positions", ["sinusoid", "learned", "rotary", "none"])
@pytest.mark.parametrize("window", [3, 64])
def test_in_pieces_and_step_by_step_it_says_what_it_says_of_the_whole(positions: str, window: int) -> None:
    model = made(causal=True, window=window, positions=positions).double()
    x, lengths = torch.randn(11, 3, 6, dtype=torch.float64), torch.tensor([11, 7, 9])
    whole = model(x, lengths, {})
    first = model(x[:4], torch.tensor([4, 4, 4]), {})
    middle = model(x[4:6], torch.tensor([2, 0, 2]), first.states)
    assert torch.equal(middle.states["k_l1"][1], first.states["k_l1"][1])  # a row without steps keeps its states
    rest = x[6:].clone()
    rest[:3, 1] = x[4:7, 1]
    last = model(rest, torch.tensor([5, 3, 3]), middle.states)
    torch.testing.assert_close(last.summary, whole.summary, rtol=1e-10, atol=1e-12)
    for name, state in last.states.items():
        torch.testing.assert_close(state, whole.states[name], rtol=1e-10, atol=1e-12)
    assert {name: state.shape[1] for name, state in last.states.items()} == dict(model.state_sizes())
    step, states = model.incremental(), {}
    for t in range(7):
        said, states = step(x[t], states)
        torch.testing.assert_close(said, whole.outputs[t], rtol=1e-10, atol=1e-12)


@pytest.mark.skipif(not cpu.available(), reason="this installation has no native engine")
@pytest.mark.parametrize("positions", ["none", "sinusoid", "learned"])
def test_on_the_engine_pieces_and_steps_have_the_bits_of_the_whole(positions: str) -> None:
    """The window is shorter than the sequence, so that keys stand in other places than they do in the whole."""
    model = made(causal=True, window=13, positions=positions)
    x, lengths = torch.randn(60, 2, 6), torch.tensor([60, 41])
    whole = model(x, lengths, {})
    states, at = {}, 0
    for piece in (1, 5, 20, 15):
        found = model(x[at : at + piece], torch.tensor([piece, piece]), states)
        assert torch.equal(found.outputs, whole.outputs[at : at + piece])
        states, at = found.states, at + piece
    step, states = model.incremental(), {}
    for t in range(41):
        said, states = step(x[t], states)
        assert torch.equal(said, whole.outputs[t])


@pytest.mark.skipif(not cpu.available(), reason="this installation has no native engine")
@pytest.mark.parametrize("window", [13, 41])
def test_rotary_pieces_have_the_bits_of_the_whole_up_to_the_window_and_differ_by_rounding_beyond(window: int) -> None:
    model, x = made(causal=True, window=window, positions="rotary"), torch.randn(41, 1, 6)
    whole, states, found = model(x, torch.tensor([41]), {}).outputs, {}, []
    for piece in torch.split(x, [1, 5, 20, 15]):
        said = model(piece, torch.tensor([len(piece)]), states)
        found.append(said.outputs)
        states = said.states
    torch.testing.assert_close(torch.cat(found), whole, rtol=1e-5, atol=1e-5)  # float32: some roundings a layer
    assert torch.equal(torch.cat(found)[:window], whole[:window])


@pytest.mark.skipif(not cpu.available(), reason="this installation has no native engine")
@pytest.mark.parametrize("positions", ["none", "sinusoid", "learned", "rotary"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"norm_first": False, "activation": "relu"},
        {"norm": "rms", "activation": "swiglu", "feed_forward_size": 21},
        {"hidden_size": 96, "num_heads": 1, "activation": "geglu"},
    ],
    ids=str,
)
def test_packed_steps_say_what_float64_says_of_the_whole(
    positions: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The window, 13, is shorter than the sequence; the second row begins after six steps of the first."""
    model = made(**{"causal": True, "window": 13, "positions": positions} | options)
    x = torch.randn(40, 2, 6)
    exact = copy.deepcopy(model).double()
    whole = [exact(x[first:, n : n + 1].double(), torch.tensor([40 - first]), {}) for n, first in ((0, 0), (1, 6))]
    with torch.no_grad():
        step = model.incremental()
        monkeypatch.setattr(model, "forward", None)  # no step is one of the readable path
        alone: dict[str, torch.Tensor] = {}
        for t in range(6):
            said, alone = step(x[t, :1], alone)
            torch.testing.assert_close(said.double(), whole[0].outputs[t], atol=2e-5, rtol=1e-4)
        states = {name: torch.cat([state, torch.zeros_like(state)]) for name, state in alone.items()}
        for t in range(6, 40):
            said, states = step(x[t], states)
            first, alone = step(x[t, :1], alone)
            assert torch.equal(first, said[:1])
            for n, began in ((0, 0), (1, 6)):
                torch.testing.assert_close(said[n].double(), whole[n].outputs[t - began, 0], atol=2e-5, rtol=1e-4)
    for name, state in states.items():
        for n in range(2):
            torch.testing.assert_close(state[n].double(), whole[n].states[name][0], atol=2e-5, rtol=1e-4)


@pytest.mark.skipif(not cpu.available(), reason="this installation has no native engine")
def test_packed_steps_have_the_same_bits_for_any_number_of_threads_and_leave_what_they_read() -> None:
    model = made(hidden_size=256, causal=True, window=4, positions="rotary", feed_forward_size=2048)
    x, threads = torch.randn(5, 9, 6), torch.get_num_threads()
    found = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            with torch.no_grad():
                step, states = model.incremental(), {}
                for t in range(5):
                    before = {name: state.clone() for name, state in states.items()}
                    said, after = step(x[t], states)
                    assert all(torch.equal(states[name], before[name]) for name in before)
                    states = after
            found.append([said, *states.values()])
    finally:
        torch.set_num_threads(threads)
    assert all(map(torch.equal, *found))


@pytest.mark.skipif(not cpu.available(), reason="this installation has no native engine")
def test_steps_of_what_native_code_does_not_know_take_the_readable_path() -> None:
    model, x = made(causal=True, window=4), torch.randn(3, 2, 6)
    seen = []
    model.blocks[0].register_forward_hook(lambda *_: seen.append(1))
    with torch.no_grad():
        step, states = model.incremental(), {}
        for t in range(3):
            said, states = step(x[t], states)
    torch.testing.assert_close(said, model(x, torch.tensor([3, 3]), {}).summary)
    model = made(causal=True, window=4)
    with torch.no_grad():
        step = model.incremental()
    said, _ = step(x[0].requires_grad_(), {})  # gradients are asked for after all
    assert said.requires_grad


@pytest.mark.skipif(not cpu.available(), reason="this installation has no native engine")
@pytest.mark.parametrize("window", [1, 2])
def test_packed_steps_of_short_windows_and_of_states_that_somebody_made(window: int) -> None:
    model, x = made(causal=True, window=window, positions="rotary"), torch.randn(6, 2, 6)
    whole = model(x, torch.tensor([6, 6]), {}).outputs
    with torch.no_grad():
        step, states = model.incremental(), {}
        for t in range(6):
            said, states = step(x[t], states)
            torch.testing.assert_close(said, whole[t], atol=2e-5, rtol=1e-4)
            states = {name: state.T.contiguous().T for name, state in states.items()}
        # A count below 0 was a place in front of the keys.
        none, _ = step(x[0], states | {"steps_l0": torch.zeros(2, 1)})
        for count in (-3.0, -1e9, torch.nan):
            assert torch.equal(step(x[0], states | {"steps_l0": torch.full((2, 1), count)})[0], none)
        with pytest.raises(ShapeError, match=r"a step of 2 rows: seen has shape \(1,\), expected \(2,\)"):
            step(x[0], states | {"steps_l0": torch.zeros(1, 1)})


def test_a_causal_step_knows_of_no_later_one_and_of_none_beyond_its_window() -> None:
    x = torch.randn(9, 1, 6)
    model = made(causal=True, window=3, num_layers=1)
    changed = x.clone()
    changed[5] += 1
    a, b = (model(one, torch.tensor([9]), {}).outputs[:, 0] for one in (x, changed))
    assert [bool((a[t] != b[t]).any()) for t in range(9)] == [False] * 5 + [True] * 3 + [False]


def test_the_summary_is_the_mean_of_all_steps_where_each_sees_all() -> None:
    model, x = made(), batch()
    found = model(x, torch.tensor(LENGTHS), {})
    for n, length in enumerate(LENGTHS):
        mean = found.outputs[:length, n].double().mean(0).detach().numpy() if length else np.zeros(16)
        np.testing.assert_allclose(found.summary[n].detach().numpy(), mean, atol=1e-6)


def test_positions_tell_steps_apart_and_without_them_the_order_is_not_seen() -> None:
    x, lengths = torch.randn(5, 1, 6, dtype=torch.float64), torch.tensor([5])
    for positions, seen in (("none", False), ("sinusoid", True), ("learned", True), ("rotary", True)):
        model = made(positions=positions).double()
        a, b = model(x, lengths, {}).summary, model(x.flip(0), lengths, {}).summary
        assert torch.allclose(a, b, atol=1e-9) != seen, positions


def test_a_sequence_without_a_position_left_is_an_error_that_counts() -> None:
    model = made(positions="learned", max_positions=4, causal=True)
    with pytest.raises(ConfigError, match="max_positions: a sequence has 5 steps, and there are positions for 4"):
        model(torch.randn(5, 1, 6), torch.tensor([5]), {})
    first = model(torch.randn(4, 1, 6), torch.tensor([4]), {})
    with pytest.raises(ConfigError, match="max_positions: a sequence has 5 steps"):
        model(torch.randn(1, 1, 6), torch.tensor([1]), first.states)


def test_layers_have_names_from_below_and_what_sees_all_cannot_stream() -> None:
    model = made(num_layers=3)
    names = {"self_attn.in_proj_weight", "linear1.weight", "norm2.bias"}
    assert len(model.layers()) == 3
    assert all(names <= set(layer) for layer in model.layers())
    (why,) = model.cannot_stream()
    assert why.startswith("causal: each step sees all of a sequence")
    with pytest.raises(ConfigError, match="causal:"):
        model.incremental()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"num_heads": 3}, "num_heads: 3 do not divide 16"),
        ({"max_positions": 9}, "max_positions: has no effect with positions: sinusoid"),
        ({"window": 9}, "window: has no effect without causal"),
    ],
)
def test_what_cannot_take_effect_is_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        made(**options)


@pytest.mark.parametrize("part", ["dropout", "blocks.0.dropout1"])
def test_dropout_that_is_on_alone_is_drawn_in_steps_as_in_the_whole(part: str) -> None:
    model, x = made(causal=True, dropout=0.5), torch.randn(1, 2, 6)
    model.get_submodule(part).train()
    with torch.no_grad():
        torch.manual_seed(1)
        expected = model(x, torch.tensor([1, 1]), {}).summary
        step = model.incremental()
        torch.manual_seed(1)
        assert torch.equal(step(x[0], {})[0], expected)
        assert not torch.equal(step(x[0], {})[0], expected)
