"""Encoders, alone and before a decoder, by hand-computed numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.models import EncoderDecoder
from recurra.models.encoders import AWD, Convolutional, ELMo, Identity
from recurra.nn import Recurrent


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


@pytest.mark.parametrize("encoder", ["convolutional", "transformer"])
def test_an_encoder_without_states_goes_to_a_decoder_by_its_outputs_alone(encoder: str) -> None:
    def made(bridge: str) -> EncoderDecoder:
        return EncoderDecoder(
            {"tokens": 9, "target": 8},
            inputs={"name": "tokens", "embedding_size": 4},
            encoder={"name": encoder, "hidden_size": 8},
            decoder={"name": "recurrent", "embedding_size": 3, "hidden_size": 5, "bridge": bridge},
        )

    tokens = torch.tensor([[3, 4], [5, 0], [6, 0]])
    inputs = {"tokens": tokens, "target": torch.tensor([[1, 1], [2, 2]]), "target_lengths": torch.tensor([2, 2])}
    for bridge in ("zeros", "mean"):
        model = made(bridge).eval()
        assert model(Batch(inputs, torch.tensor([3, 1]), {}, ())).outputs["hidden"].shape == (2, 2, 5)
    for bridge in ("linear", "tanh"):
        with pytest.raises(
            ConfigError, match=f"bridge: {bridge} maps the encoder's final states, and it keeps none; set"
        ):
            made(bridge)


# -- layers of both directions, mixed ---------------------------------------------------------------------------------


def lstm(x: np.ndarray, layer: Recurrent) -> np.ndarray:
    """(T, M): one sequence through one LSTM layer, in float64."""
    w, u, b, d = (
        getattr(layer, f"{name}_l0").detach().double().numpy()
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    h = c = np.zeros(u.shape[1])
    found = []
    for row in x:
        i, f, g, o = np.split(w @ row + u @ h + b + d, 4)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
        found.append(h)
    return np.array(found).reshape(len(x), len(h))


@pytest.mark.parametrize(("input_size", "layers"), [(3, 2), (2, 2), (2, 1)])
def test_elmo_mixes_the_layers_of_each_direction_and_its_input_where_it_is_as_wide(
    input_size: int, layers: int
) -> None:
    torch.manual_seed(0)
    model = ELMo(input_size, hidden_size=3, num_layers=layers).eval()
    assert len(model.weights) == layers + (input_size == 3)
    with torch.no_grad():
        model.weights.copy_(torch.randn(len(model.weights)))
        model.scale.fill_(1.7)
    weights = np.exp(model.weights.detach().double().numpy())
    shares = 1.7 * weights / weights.sum()
    lengths = [5, 1, 0]
    x = torch.full((6, 3, input_size), torch.nan)
    for n, length in enumerate(lengths):
        x[:length, n] = torch.randn(length, input_size)
    found = model(x, torch.tensor(lengths), {})
    for n, length in enumerate(lengths):
        ahead = behind = row = x[:length, n].double().numpy()
        mixed, ends = np.zeros((length, 6)), np.zeros(6)
        parts = [(row, row)] if input_size == 3 else []
        for one, other in zip(model.ahead, model.behind, strict=True):
            ahead, behind = lstm(ahead, one), lstm(behind[::-1], other)[::-1]
            parts.append((ahead, behind))
        for share, (forward, backward) in zip(shares, parts, strict=True):
            mixed += share * np.concatenate([forward, backward], 1)
            ends += share * np.concatenate([forward[-1], backward[0]]) if length else 0
        np.testing.assert_allclose(found.outputs[:length, n].detach().numpy(), mixed, atol=1e-6)
        np.testing.assert_allclose(found.summary[n].detach().numpy(), ends, atol=1e-6)
        alone = model(x[:length, n : n + 1], torch.tensor([length]), {})
        assert torch.equal(alone.outputs[:, 0], found.outputs[:length, n])


def test_what_elmo_learns_reaches_every_layer_and_their_shares() -> None:
    torch.manual_seed(0)
    model = ELMo(3, hidden_size=3, num_layers=2)
    model(torch.randn(4, 2, 3), torch.tensor([4, 2]), {}).outputs[:2].square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


# -- convolutions ------------------------------------------------------------------------------------------------------


def convolved(model: Convolutional, x: np.ndarray) -> np.ndarray:
    """One sequence (T, I) by sums in float64, as the papers have it: steps that are not there are zero."""
    for k, (convolution, norm) in enumerate(zip(model.convolutions, model.norms, strict=True)):
        weight, bias, scale, shift = (
            p.detach().double().numpy() for p in (convolution.weight, convolution.bias, norm.weight, norm.bias)
        )
        size, space, T = weight.shape[2], convolution.dilation[0], len(x)
        y = np.tile(bias, (T, 1))
        for t in range(T):
            for j in range(size):
                place = t + (j - size // 2) * space
                if 0 <= place < T:
                    y[t] += weight[:, :, j] @ x[place]
        y = (y - y.mean(1, keepdims=True)) / np.sqrt(y.var(1, keepdims=True) + 1e-5) * scale + shift
        x = np.maximum(y, 0) + (x if k else 0)
    return x


@pytest.mark.parametrize(("layers", "kernel", "dilated"), [(1, 1, False), (1, 3, False), (3, 5, False), (3, 3, True)])
def test_convolutions_are_the_sums_of_the_papers_and_notice_no_padding(layers: int, kernel: int, dilated: bool) -> None:
    torch.manual_seed(0)
    model = Convolutional(2, hidden_size=4, num_layers=layers, kernel_size=kernel, dilated=dilated).eval()
    for norm in model.norms:
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
    lengths = [7, 1, 0, 4]
    x = torch.full((9, 4, 2), torch.nan)  # two steps of padding more than any row has
    for n, length in enumerate(lengths):
        x[:length, n] = torch.randn(length, 2)
    found = model(x, torch.tensor(lengths), {})
    for n, length in enumerate(lengths):
        expected = convolved(model, x[:length, n].double().numpy())
        np.testing.assert_allclose(found.outputs[:length, n].detach().numpy(), expected, atol=2e-6)
        last = expected[-1] if length else np.zeros(4)
        np.testing.assert_allclose(found.summary[n].detach().numpy(), last, atol=2e-6)
        assert not found.outputs[length:, n].any()


def test_padding_of_convolutions_has_no_gradient_and_weights_have_that_of_each_row_alone() -> None:
    torch.manual_seed(0)
    model = Convolutional(2, hidden_size=3, num_layers=2, kernel_size=3)
    rows = [torch.randn(4, 2), torch.randn(2, 2)]
    x = torch.nn.utils.rnn.pad_sequence(rows, padding_value=1e30).requires_grad_()
    model(x, torch.tensor([4, 2]), {}).outputs.square().sum().backward()
    assert x.grad is not None
    assert not x.grad[2:, 1].any()
    together = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    for row in rows:
        model(row.unsqueeze(1), torch.tensor([len(row)]), {}).outputs.square().sum().backward()
    for p, expected in zip(model.parameters(), together, strict=True):
        torch.testing.assert_close(p.grad, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel_size": 4}, "kernel_size: is 4, expected an odd number"),
        ({"dilated": True, "num_layers": 1}, "dilated: has no effect with one layer"),
        ({"dilated": True, "num_layers": 17}, "the last one would see 2\\^17 steps"),
    ],
)
def test_convolutions_that_cannot_be_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Convolutional(2, **options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="keeps no state"):
        Convolutional(2).incremental()
