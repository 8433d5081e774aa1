"""Encoders, alone and before a decoder, by hand-computed numbers."""

from __future__ import annotations

import pytest
import torch

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.models import EncoderDecoder
from recurra.models.encoders import AWD, Identity


def test_an_empty_piece_leaves_the_state_of_no_layers_as_it_was() -> None:
    x = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    before = torch.tensor([[7.0, 8.0], [5.0, 6.0]])
    found = Identity(2)(x, torch.tensor([1, 0]), {"h_l0": before})
    assert found.states["h_l0"].tolist() == found.summary.tolist() == [[1.0, 2.0], [5.0, 6.0]]
    empty = Identity(2)(x[:0], torch.tensor([0, 0]), {"h_l0": before})
    assert empty.summary.tolist() == before.tolist()


@pytest.mark.parametrize("bridge", ["linear", "tanh", "mean", "zeros"])
def test_layers_of_two_widths_go_over_a_bridge(bridge: str) -> None:
    """The last layer of AWD is as wide as its input, 4, and the ones below have 6 units."""
    torch.manual_seed(0)
    model = EncoderDecoder(
        {"tokens": 9, "target": 8},
        inputs={"name": "tokens", "embedding_size": 4},
        encoder={"name": "awd", "hidden_size": 6, "num_layers": 2},
        decoder={"name": "recurrent", "embedding_size": 3, "bridge": bridge},
    )
    tokens = torch.tensor([[3, 4], [5, 0], [6, 0]])
    inputs = {"tokens": tokens, "target": torch.tensor([[1, 1], [2, 2]]), "target_lengths": torch.tensor([2, 2])}
    batch = Batch(inputs, torch.tensor([3, 1]), {}, ())
    encoded = model.eval()._encoded(batch)
    assert [layer[0].shape[1] for layer in model.start(batch).states] == [6, 6]
    if bridge in ("linear", "tanh"):
        top = model.decoder.bridge.maps["h_l1"]
        expected = encoded.states["h_l1"] @ top.weight.T + top.bias
        expected = expected if bridge == "linear" else expected.tanh()
        torch.testing.assert_close(model.start(batch).states[1][0], expected)
    assert model(batch).outputs["hidden"].shape[:2] == (2, 2)


def test_states_of_two_widths_are_not_copied_to_layers_of_one() -> None:
    with pytest.raises(ConfigError, match=r"bridge: last copies states.*of 6.*of 4.*starts with 2 x \(h of 6"):
        EncoderDecoder(
            {"tokens": 9, "target": 8},
            inputs={"name": "tokens", "embedding_size": 4},
            encoder={"name": "awd", "hidden_size": 6, "num_layers": 2},
            decoder={"name": "recurrent", "embedding_size": 3, "bridge": "last"},
        )


def test_the_width_of_the_last_layer_is_no_option_of_a_cell_that_projects() -> None:
    """Each of its layers gives out proj_size numbers, the last one too."""
    with pytest.raises(ConfigError, match=r"last_layer: has no effect with cell lstm_projected, .* proj_size"):
        AWD(6, cell="lstm_projected", hidden_size=8, proj_size=4, last_layer="hidden_size")
    assert AWD(6, cell="lstm_projected", hidden_size=8, proj_size=4).output_size == 4
