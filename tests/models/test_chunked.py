"""Attention in chunks against loops over steps; pieces of any size; what a step sees, and what not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recurra.models.encoders import ENCODERS

SIZES = {"hidden_size": 8, "num_heads": 2, "num_layers": 2, "feed_forward_size": 12}


def encoder(**options):
    torch.manual_seed(0)
    return ENCODERS["chunked"](5, **{**SIZES, "chunk": 4, "ahead": 2, "left": 3, **options}).eval()


def numbers(T, N=1, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(T, N, 5)).astype(np.float32))


def by_loops(model, x):
    """(T, 8) float64: chunk by chunk and layer by layer, with what each layer has said of earlier chunks beside."""
    weights = {name: one.detach().double().numpy() for name, one in model.named_parameters()}
    chunk, ahead, left = model.chunks.steps, model.chunks.ahead, model.chunks.left

    def linear(name, y):
        return y @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(name, y):
        y = (y - y.mean(1, keepdims=True)) / np.sqrt(y.var(1, keepdims=True) + 1e-5)
        return y * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def gelu(y):
        from math import erf, sqrt

        return np.vectorize(lambda v: v * 0.5 * (1 + erf(v / sqrt(2))))(y)

    def attended(name, own, seen):
        W, b = weights[f"{name}.self_attn.in_proj_weight"], weights[f"{name}.self_attn.in_proj_bias"]
        q, k, v = own @ W[:8].T + b[:8], seen @ W[8:16].T + b[8:16], seen @ W[16:].T + b[16:]
        out = np.zeros_like(own)
        for head in (slice(0, 4), slice(4, 8)):
            scores = np.exp(q[:, head] @ k[:, head].T / 2)
            out[:, head] = scores / scores.sum(1, keepdims=True) @ v[:, head]
        return linear(f"{name}.self_attn.out_proj", out)

    T, first = len(x), linear("project", x.double().numpy()[:, 0])
    said, found = [np.zeros((0, 8)) for _ in range(3)], []
    for begin in range(0, T, chunk):
        y, own = first[begin : begin + chunk + ahead], min(chunk, T - begin)
        for k in range(2):
            name, z = f"blocks.{k}", norm(f"blocks.{k}.norm1", y)
            before = said[k][max(len(said[k]) - left, 0) :]
            said[k] = np.concatenate([said[k], z[:own]])
            y = y + attended(name, z, np.concatenate([before, z]))
            y = y + linear(f"{name}.linear2", gelu(linear(f"{name}.linear1", norm(f"{name}.norm2", y))))
        found.append(norm("norm", y)[:own])
    return np.concatenate(found)


@pytest.mark.parametrize("options", [{}, {"ahead": 0}, {"left": 0}, {"left": 9, "chunk": 1}, {"chunk": 30}])
def test_chunks_are_what_loops_over_them_say(options):
    model, x = encoder(positions="none", **options), numbers(17)
    with torch.no_grad():
        found = model(x, torch.tensor([17]), {}).outputs[:, 0]
    np.testing.assert_allclose(found.numpy(), by_loops(model, x), atol=2e-5)  # float32


@pytest.mark.parametrize("positions", ["rotary", "sinusoid", "none"])
@pytest.mark.parametrize("options", [{}, {"ahead": 0}, {"left": 0}, {"chunk": 1, "ahead": 0}, {"left": 2, "ahead": 7}])
def test_pieces_have_the_bits_of_the_whole(positions, options):
    model, x, lengths = encoder(positions=positions, **options), numbers(23, 2), torch.tensor([23, 14])
    with torch.no_grad():
        whole = model(x, lengths, {}).outputs
        for sizes in ([23], [1] * 23, [5, 0, 11, 7]):
            states, found, first = {}, [[], []], 0
            for size in (*sizes, 0):
                left = (lengths - first).clamp(0, size)
                piece = model.piece(x[first : first + size], left, states, last=first == 23)
                states, first = piece.states, first + size
                for n in range(2):
                    found[n].append(piece.outputs[: piece.lengths[n], n])
            for n, length in enumerate(lengths.tolist()):
                assert torch.equal(torch.cat(found[n]), whole[:length, n])


def test_a_step_is_said_as_soon_as_what_it_sees_is_there():
    model, x, states, said = encoder(), numbers(20), {}, []
    assert model.waits == 5
    with torch.no_grad():
        for t in range(20):
            piece = model.piece(x[t : t + 1], torch.tensor([1]), states, last=False)
            states = piece.states
            said.append(int(piece.lengths[0]))
    assert said == [0] * 5 + [4, 0, 0, 0] * 3 + [4, 0, 0]


def test_a_row_has_the_same_bits_alone_and_among_others_and_padding_reaches_nothing():
    model, x, lengths = encoder(), numbers(13, 3), torch.tensor([13, 0, 6])
    x[6:, 2] = torch.nan
    with torch.no_grad():
        together = model(x, lengths, {})
        for n, length in enumerate(lengths.tolist()):
            alone = model(x[:length, n : n + 1], lengths[n : n + 1], {})
            assert torch.equal(alone.outputs[:, 0], together.outputs[:length, n])
            assert torch.equal(alone.summary[0], together.summary[n])


def test_no_step_sees_further_than_it_says_however_many_layers():
    model, x = encoder(num_layers=4), numbers(16).requires_grad_()
    model(x, torch.tensor([16]), {}).outputs[5, 0, 0].backward()  # of the second chunk: steps 4 to 7, and 8 and 9
    seen = x.grad[:, 0].abs().sum(1) > 0
    assert seen[4:10].all()
    assert not seen[10:].any()


def test_gradients_are_those_of_double_numbers():
    model, x = encoder(dropout=0.0), numbers(11)
    wide = encoder(dropout=0.0).double()
    found = []
    for one, given in ((model.train(), x), (wide.train(), x.double())):
        one(given, torch.tensor([11]), {}).outputs.square().sum().backward()
        found.append([p.grad for p in one.parameters()])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-3, atol=1e-4)


def test_with_all_weights_of_attention_dropped_training_stays_finite():
    model = encoder(dropout=0.0).train()
    for block in model.blocks:
        block.self_attn.dropout = 1.0
    one, other = numbers(9), numbers(9)
    other[3] += 1.0
    found = [model(x, torch.tensor([9]), {}).outputs for x in (one, other)]
    changed = (found[0] != found[1]).any(2)[:, 0]
    assert changed.tolist() == [step == 3 for step in range(9)], "no step sees another"


@pytest.mark.parametrize("lengths", [[5, 3], [0, 0], [7, 0]])
def test_outputs_have_as_many_steps_as_inputs_zero_where_padded(lengths):
    model, x = encoder(), numbers(7, 2)
    found, shorter = (model(each, torch.tensor(lengths), {}).outputs for each in (x, x[: max(lengths)]))
    assert found.shape == (7, 2, 8)
    assert torch.equal(found[: max(lengths)], shorter)
    assert not found[max(lengths) :].any()
