"""Bridges by hand-computed numbers, and the schedules of scheduled sampling."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from recurra.base.errors import ConfigError
from recurra.cells import CELLS
from recurra.models import EncoderDecoder
from recurra.models.contract import Encoded, Ends
from recurra.models.decoders.bridge import BRIDGES
from recurra.models.decoders.scheduled_sampling import SAMPLING_SCHEDULES

# Two layers of an encoder with states h (2) and c (2), a batch of two: three positions, and none.
H = torch.tensor([[[1.0, 2.0], [0.0, 0.0]], [[3.0, 4.0], [0.0, 0.0]]])
C = H + 10
OUTPUTS = torch.tensor([[[1.0, 5.0], [9.0, 9.0]], [[2.0, 5.0], [9.0, 9.0]], [[6.0, 5.0], [9.0, 9.0]]])
STATES = {f"{name}_l{k}": s[k] for name, s in (("h", H), ("c", C)) for k in (0, 1)}
ENCODED = Encoded(OUTPUTS, torch.tensor([3, 0]), H[1], STATES)
SOURCE = Ends({"h": 2, "c": 2}, 2, 2)


def target(layers: int, **states: int) -> Ends:
    return Ends(states, layers, 1)


def crossed(word: str, to: Ends) -> tuple[tuple[Tensor, ...], ...]:
    """The decoder's first states, with every matrix all ones and every bias 0.5."""
    bridge = BRIDGES[word](SOURCE, to)
    with torch.no_grad():
        for name, parameter in bridge.named_parameters():
            parameter.fill_(0.5 if name.endswith("bias") else 1.0)
    found: tuple[tuple[Tensor, ...], ...] = bridge(ENCODED)
    return found


def test_zeros_are_zeros_and_last_is_the_encoders_own() -> None:
    assert [[s.tolist() for s in layer] for layer in crossed("zeros", target(1, h=1, m=3))] == [
        [[[0.0], [0.0]], [[0.0] * 3] * 2]
    ]
    copied = crossed("last", target(2, h=2, c=2))
    assert [[torch.equal(s, e[k]) for s, e in zip(copied[k], (H, C), strict=True)] for k in (0, 1)] == [[True] * 2] * 2


def test_linear_maps_each_state_of_each_layer_counted_from_the_top() -> None:
    """Sums of the states plus 0.5: 1 + 2, 3 + 4 for h and 20 more for c."""
    one = crossed("linear", target(1, h=1, c=1))
    assert [s.flatten().tolist() for s in one[0]] == [[7.5, 0.5], [27.5, 20.5]]
    three = crossed("linear", target(3, h=1))
    assert [layer[0].flatten().tolist() for layer in three] == [[3.5, 0.5], [3.5, 0.5], [7.5, 0.5]]


def test_a_memory_that_the_encoder_has_not_is_made_from_its_first_state_and_others_start_at_zero() -> None:
    bridge = BRIDGES["linear"](Ends({"h": 2}, 1, 2), target(1, h=1, c=1, n=1, m=1))
    assert sorted(dict(bridge.named_parameters())) == [f"maps.{s}_l0.{w}" for s in "ch" for w in ("bias", "weight")]
    h, c, n, m = bridge(Encoded(H[:1], torch.ones(2, dtype=torch.int64), H[0], {"h_l0": H[0]}))[0]
    assert (c != 0).all()
    assert not torch.equal(h, c)
    assert n.tolist() == m.tolist() == [[0.0], [0.0]]


def test_a_memory_that_means_nothing_alone_starts_at_zero_too() -> None:
    """c of an sLSTM is a sum that its n divides: from c = 5 and n = 0, h would be anything."""
    sizes = Ends({"h": 2, "c": 2, "n": 2, "m": 2}, 1, 2, CELLS["slstm"].together)
    bridge = BRIDGES["linear"](SOURCE, sizes)
    assert sorted(dict(bridge.named_parameters())) == ["maps.h_l0.bias", "maps.h_l0.weight"]


def test_tanh_is_linear_under_tanh_and_mean_reads_real_positions_only() -> None:
    assert crossed("tanh", target(1, h=1))[0][0].flatten().tolist() == pytest.approx([math.tanh(7.5), math.tanh(0.5)])
    (h,) = crossed("mean", target(1, h=1))[0]
    assert h.flatten().tolist() == pytest.approx([math.tanh(3.0 + 5.0 + 0.5), math.tanh(0.5)])


def test_last_is_refused_where_the_ends_differ() -> None:
    for unlike in (target(1, h=2, c=2), target(2, h=2), target(2, h=2, c=3)):
        with pytest.raises(ConfigError, match=r"bridge: last copies states, .* ends with 2 x \(h of 2, c of 2\)"):
            BRIDGES["last"](SOURCE, unlike)


@pytest.mark.parametrize(
    ("word", "options", "expected"),
    [
        ("linear", {"start": 0.9, "slope": 0.1, "floor": 0.2}, {0: 0.9, 1: 0.8, 7: 0.2, 100: 0.2}),
        ("exponential", {"k": 0.5}, {0: 1.0, 1: 0.5, 3: 0.125}),
        ("inverse_sigmoid", {"k": 10.0}, {0: 10 / 11, 10: 10 / (10 + math.e), 23: 10 / (10 + math.exp(2.3)), 10**9: 0}),
    ],
)
def test_schedules_are_those_of_the_paper(word: str, options: dict[str, float], expected: dict[int, float]) -> None:
    schedule = SAMPLING_SCHEDULES[word](**options)
    for update, probability in expected.items():
        assert schedule(update) == pytest.approx(probability, abs=1e-12)


@pytest.mark.parametrize("word", ["last", "linear", "tanh"])
def test_over_an_encoder_without_states_what_is_advised_can_be_made(word: str) -> None:
    none = Ends({}, 0, 4)
    with pytest.raises(ConfigError, match=r"final states, and it keeps none; set mean or zeros\.$"):
        BRIDGES[word](none, target(1, h=2))
    assert all(isinstance(BRIDGES[advised](none, target(1, h=2)), torch.nn.Module) for advised in ("mean", "zeros"))


def test_a_start_under_the_floor_is_refused() -> None:
    sampling = {"name": "linear", "start": 0.3, "floor": 0.6}
    with pytest.raises(ConfigError, match=r"^start: 0.3 has no effect under a floor of 0.6"):
        EncoderDecoder({"tokens": 9, "target": 8}, decoder={"name": "recurrent", "scheduled_sampling": sampling})
    assert SAMPLING_SCHEDULES["linear"](start=0.6, floor=0.6)(10**9) == 0.6
