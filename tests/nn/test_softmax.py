"""Output layers over a vocabulary: the paper's values, probabilities that sum to one, torch's layer, memory."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from oracles import adaptive_softmax as oracle
from recurra.base.errors import ConfigError, ShapeError
from recurra.engine import cpu, sequence_mask
from recurra.nn import AdaptiveSoftmax, FullSoftmax, softmax_log_probabilities, softmax_nats

V, D, T, N = 13, 8, 5, 4
CUTOFFS = [3, 7]
LENGTHS = torch.tensor([5, 2, 0, 3])


def layer(word: str) -> nn.Module:
    torch.manual_seed(0)
    shared = nn.Parameter(torch.randn(V, D))
    made = {
        "full": lambda: FullSoftmax(V, D),
        "full_tied": lambda: FullSoftmax(V, D, shared),
        "adaptive": lambda: AdaptiveSoftmax(V, D, CUTOFFS, 2.0),
        "adaptive_tied": lambda: AdaptiveSoftmax(V, D, CUTOFFS, 1.0, shared),
    }[word]()
    for parameter in made.parameters():
        nn.init.normal_(parameter)
    return made


KINDS = ["full", "full_tied", "adaptive", "adaptive_tied"]


def asked(made: nn.Module, dtype: torch.dtype = torch.float64, garbage: float = 0.0):
    """Outputs of a model, targets and what is real; `garbage` in what is not."""
    g = torch.Generator().manual_seed(1)
    hidden = torch.randn(T, N, D, generator=g).to(dtype)
    targets = torch.randint(0, V, (T, N), generator=g)
    real = sequence_mask(LENGTHS, T)
    hidden = torch.where(real.unsqueeze(2), hidden, garbage).requires_grad_()
    return {"hidden": hidden, **made.to(dtype)()}, torch.where(real, targets, -5 if garbage else 0), real


@pytest.mark.parametrize("kind", KINDS)
def test_the_probabilities_of_all_tokens_sum_to_one(kind):
    outputs, _, _ = asked(layer(kind))
    total = softmax_log_probabilities(outputs).exp().sum(-1)
    torch.testing.assert_close(total, torch.ones_like(total), atol=1e-12, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_nats_are_minus_the_log_probability_of_each_real_target_in_time_and_then_row(kind, dtype):
    outputs, targets, real = asked(layer(kind), dtype)
    nats = softmax_nats(outputs, targets, real)
    logs = softmax_log_probabilities(outputs)
    expected = [-logs[t, n, targets[t, n]] for t in range(T) for n in range(N) if real[t, n]]
    torch.testing.assert_close(nats, torch.stack(expected), atol=1e-5 if dtype == torch.float32 else 1e-12, rtol=0)


@pytest.mark.parametrize("tied", [False, True])
def test_the_adaptive_softmax_is_the_papers_written_out_in_numpy(tied):
    made = layer("adaptive_tied" if tied else "adaptive")
    outputs, _, _ = asked(made)
    a = {name: p.detach().numpy() for name, p in made.named_parameters()}
    edges = [0, *CUTOFFS, V]
    spans = list(pairwise(edges))
    words = [a["weight"][lo:hi] for lo, hi in spans] if tied else [a[f"words.{k}"] for k in range(3)]
    projections = [None, *([np.eye(D)] * 2 if tied else [a[f"projections.{k}"] for k in range(2)])]
    biases = [a["bias"][lo:hi] for lo, hi in spans]
    logs = softmax_log_probabilities(outputs)[1, 0].detach().numpy()
    h = outputs["hidden"][1, 0].detach().numpy()
    for token in range(V):
        expected = oracle.log_probability(
            h, token, CUTOFFS, words, biases, a["clusters"], a["cluster_bias"], projections
        )
        assert logs[token] == pytest.approx(expected, abs=1e-12)


def test_torchs_adaptive_softmax_with_the_same_weights_has_the_same_values_and_gradients():
    ours = AdaptiveSoftmax(V, D, CUTOFFS, 2.0).double()
    theirs = nn.AdaptiveLogSoftmaxWithLoss(D, V, CUTOFFS, div_value=2.0, head_bias=True, dtype=torch.float64)
    with torch.no_grad():
        ours.bias[: CUTOFFS[0]].normal_()  # torch has no bias in the clusters
        ours.cluster_bias.normal_()
        theirs.head.weight.copy_(torch.cat([ours.words[0], ours.clusters]))
        theirs.head.bias.copy_(torch.cat([ours.bias[: CUTOFFS[0]], ours.cluster_bias]))
        for k, (projection, words) in enumerate(theirs.tail):
            assert projection.weight.shape == ours.projections[k].shape  # D / 2, D / 4
            projection.weight.copy_(ours.projections[k])
            words.weight.copy_(ours.words[k + 1])
    outputs, targets, _ = asked(ours)
    everywhere = torch.ones(T, N, dtype=torch.bool)
    x = outputs["hidden"]
    nats = softmax_nats(outputs, targets, everywhere)
    torch.testing.assert_close(softmax_log_probabilities(outputs).flatten(0, 1), theirs.log_prob(x.flatten(0, 1)))
    found = theirs(x.flatten(0, 1), targets.flatten())
    torch.testing.assert_close(nats, -found.output, atol=1e-12, rtol=0)
    parts = [x, ours.clusters, *ours.projections, *ours.words[1:]]
    head = theirs.head.weight
    twins = [x, head, *(t[0].weight for t in theirs.tail), *(t[1].weight for t in theirs.tail)]
    mine, other = (torch.autograd.grad(s, p) for s, p in ((nats.sum(), parts), (-found.output.sum(), twins)))
    torch.testing.assert_close(mine[1], other[1][CUTOFFS[0] :], atol=1e-12, rtol=0)
    for k in (0, *range(2, len(mine))):
        torch.testing.assert_close(mine[k], other[k], atol=1e-12, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_float64_autograd(kind):
    made = layer(kind)
    wide, targets, real = asked(made)
    expected = torch.autograd.grad(softmax_nats(wide, targets, real).mean(), [wide["hidden"], *made.parameters()])
    narrow, _, _ = asked(made, torch.float32)
    got = torch.autograd.grad(softmax_nats(narrow, targets, real).mean(), [narrow["hidden"], *made.parameters()])
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a.double(), b, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_garbage_in_the_padding_changes_no_bit_of_nats_and_gradients(kind):
    made = layer(kind)
    found = []
    for garbage in (0.0, math.nan):
        outputs, targets, real = asked(made, torch.float32, garbage)
        nats = softmax_nats(outputs, targets, real)
        found.append([nats, *torch.autograd.grad(nats.mean(), [outputs["hidden"], *made.parameters()])])
    for clean, other in zip(*found, strict=True):
        assert torch.equal(clean, other)


@pytest.mark.parametrize("kind", KINDS)
def test_no_real_step_gives_no_nats_and_zero_gradients(kind):
    outputs, targets, real = asked(layer(kind), torch.float32)
    nats = softmax_nats(outputs, targets, torch.zeros_like(real))
    assert nats.shape == (0,)
    (gradient,) = torch.autograd.grad(nats.sum(), outputs["hidden"])
    assert not gradient.any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_target_that_is_no_token_is_refused(kind):
    outputs, targets, real = asked(layer(kind))
    targets[0, 0] = V
    with pytest.raises(ShapeError, match="expected 0 to"):
        softmax_nats(outputs, targets, real)


class Largest(TorchDispatchMode):
    """The number of elements of the largest tensor that torch makes."""

    size = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        found = function(*arguments, **(keywords or {}))
        self.size = max([self.size, *(t.numel() for t in tree_leaves(found) if isinstance(t, torch.Tensor))])
        return found


@pytest.mark.skipif(not cpu.available(), reason="recurra was installed without its native engine")
@pytest.mark.parametrize("kind", ["full", "adaptive"])
def test_training_never_holds_a_score_for_every_token_at_every_step(kind):
    vocabulary, steps, size = 4000, 64, 4
    made = FullSoftmax(vocabulary, size) if kind == "full" else AdaptiveSoftmax(vocabulary, size, [1000], 2.0)
    hidden = torch.randn(steps, 1, size, requires_grad=True)
    targets = torch.arange(steps).unsqueeze(1) * 60
    with Largest() as seen:
        softmax_nats({"hidden": hidden, **made()}, targets, torch.ones(steps, 1, dtype=torch.bool)).mean().backward()
    # The table itself is the largest, and one score for each token and step would be 16 times as much.
    assert seen.size == vocabulary * size if kind == "full" else seen.size < vocabulary * size


def test_cutoffs_that_do_not_cut_and_shared_weights_that_narrow_are_refused():
    for wrong in ([], [0, 3], [3, 3], [5, 13]):
        with pytest.raises(ConfigError, match=r"cutoffs: are .*, expected rising numbers from 1 to 12"):
            AdaptiveSoftmax(V, D, wrong)
    with pytest.raises(ConfigError, match="div_value: is 4, expected 1"):
        AdaptiveSoftmax(V, D, CUTOFFS, weight=nn.Parameter(torch.zeros(V, D)))
