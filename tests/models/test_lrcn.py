"""A network over each frame and recurrent layers: alone as together, frame by frame as whole, padding unread."""

from __future__ import annotations

import pytest
import torch

from recurra.base.errors import ConfigError
from recurra.models.encoders import ENCODERS, LRCN


def encoder(**options: object) -> LRCN:
    torch.manual_seed(0)
    found = ENCODERS["lrcn"](7 * 5 * 3, shape=(7, 5, 3), channels=(4, 6), hidden_size=5, **options)
    assert isinstance(found, LRCN)
    return found.eval()


def test_it_is_the_network_of_pictures_and_then_layers() -> None:
    lrcn = encoder(num_layers=2, outputs="mean")
    x = torch.randn(4, 1, 105)
    seen = torch.stack([lrcn.frame(one[None], torch.tensor([1]), {}).summary for one in x])
    expected = lrcn.recurrent(seen, torch.tensor([4]), {})
    found = lrcn(x, torch.tensor([4]), {})
    torch.testing.assert_close(found.outputs, expected.outputs)
    torch.testing.assert_close(found.summary, expected.summary)
    flat = encoder()
    places = flat.frame(x[:1], torch.tensor([1]), {}).outputs  # (P, 1, M): 2 x 2 places
    expected = flat.recurrent(places.reshape(1, 1, 4 * 6), torch.tensor([1]), {})
    torch.testing.assert_close(flat(x[:1], torch.tensor([1]), {}).summary, expected.summary)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_film_alone_has_the_bits_of_one_in_a_batch(bidirectional: bool) -> None:
    lrcn = encoder(bidirectional=bidirectional)
    x, lengths = torch.randn(6, 3, 105), torch.tensor([6, 2, 4])
    x[2:, 1] = float("nan")
    with torch.inference_mode():
        together = lrcn(x, lengths, {})
        for n, length in enumerate(lengths.tolist()):
            alone = lrcn(x[:length, n : n + 1].contiguous(), lengths[n : n + 1], {})
            assert torch.equal(alone.summary[0], together.summary[n])
            assert torch.equal(alone.outputs[:, 0], together.outputs[:length, n])


def test_padding_reaches_no_gradient() -> None:
    lrcn = encoder().train()
    x = torch.randn(5, 2, 105)
    x[1:, 1] = float("nan")
    lrcn(x, torch.tensor([5, 1]), {}).summary.sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in lrcn.parameters() if p.grad is not None)
    assert all(p.grad is not None for p in lrcn.frame.first.parameters())


def test_frames_may_come_one_by_one() -> None:
    lrcn = encoder()
    x = torch.randn(4, 1, 105)
    with torch.inference_mode():
        whole, states, step = lrcn(x, torch.tensor([4]), {}), {}, lrcn.incremental()
        for frame, expected in zip(x, whole.outputs, strict=True):
            found, states = step(frame, states)
            torch.testing.assert_close(found, expected)
    with pytest.raises(ConfigError, match="bidirectional"):
        encoder(bidirectional=True).incremental()
    assert LRCN.least_input({"shape": (7, 5)}) == 35
