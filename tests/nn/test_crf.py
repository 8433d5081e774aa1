"""The conditional random field against every labelling, one by one, and what no sequence may notice of another."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oracles import crf as oracle
from recurra.base.errors import ConfigError, ShapeError
from recurra.nn.crf import WIDEST, WIDEST_SCALED, crf_nats, marginals, viterbi

T, L = 5, 3
LENGTHS = [5, 3, 0, 1, 4, 2]
N = len(LENGTHS)
NAN = float("nan")
# Scores of pairs near one another take the scaled algorithm, far ones sums of logs.
SPREADS = pytest.mark.parametrize("spread", [1.0, 3 * WIDEST_SCALED], ids=["scaled", "logs"])
# Label 2 continues what 1 began, as I- does with B- in BIO.
CONSTRAINTS = (
    np.array([[True, True, False], [True, True, True], [True, True, True]]),
    np.array([True, True, False]),
    np.array([True, True, True]),
)


def scores(spread=1.0, seed=0, dtype=torch.float64):
    """Emissions, transitions, first, last; among the transitions two that are `spread` apart."""
    rng = np.random.default_rng(seed)
    emissions, transitions, first, last = (2 * rng.normal(size=s) for s in ((T, N, L), (L, L), (L,), (L,)))
    transitions = transitions.clip(-3, 3)
    if spread > WIDEST_SCALED:
        transitions[0, 1], transitions[2, 0] = -spread / 2, spread / 2
    return [torch.tensor(a, dtype=dtype) for a in (emissions, transitions, first, last)]


def labels_for(seed=1):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, L, size=(T, N)))


def everything(tensors, n, constraints=None):
    """All labellings of sequence n with their scores, by brute force."""
    emissions, *rest = (a.double().numpy() for a in tensors)
    return oracle.all_scores(emissions[: LENGTHS[n], n], *rest, constraints)


def brute_force_nats(tensors, labels):
    nats = []
    for n, length in enumerate(LENGTHS):
        every = everything(tensors, n)
        nats.append(oracle.log_z(every) - every[tuple(labels[:length, n].tolist())])
    return torch.tensor(nats, dtype=torch.float64)


@SPREADS
def test_nats_are_those_of_brute_force_over_all_labellings(spread):
    tensors, labels = scores(spread), labels_for()
    found = crf_nats(tensors[0], labels, torch.tensor(LENGTHS), *tensors[1:])
    torch.testing.assert_close(found, brute_force_nats(tensors, labels), atol=1e-11, rtol=1e-12)
    assert found[2] == 0.0


@SPREADS
def test_float32_and_bfloat16_are_summed_in_float32(spread):
    labels, lengths = labels_for(), torch.tensor(LENGTHS)
    for dtype in (torch.float32, torch.bfloat16):
        tensors = scores(spread, dtype=dtype)
        found = crf_nats(tensors[0], labels, lengths, *tensors[1:])
        assert found.dtype == torch.float32
        # Scores up to 100 are summed, whose float32 neighbours are 8e-6 apart.
        torch.testing.assert_close(found.double(), brute_force_nats(tensors, labels), atol=1e-4, rtol=1e-6)


@SPREADS
def test_gradients_of_nats_agree_with_finite_differences(spread):
    labels, lengths = labels_for(), torch.tensor(LENGTHS)
    tensors = [a.requires_grad_() for a in scores(spread)]
    assert torch.autograd.gradcheck(lambda e, *rest: crf_nats(e, labels, lengths, *rest), tensors)


@SPREADS
def test_a_sequence_alone_is_a_sequence_in_a_batch_gradients_too(spread):
    tensors, labels, lengths = scores(spread, dtype=torch.float32), labels_for(), torch.tensor(LENGTHS)
    together = [a.clone().requires_grad_() for a in tensors]
    nats = crf_nats(together[0], labels, lengths, *together[1:])
    nats.sum().backward()
    best, best_scores = viterbi(tensors[0], lengths, *tensors[1:])
    probabilities = marginals(tensors[0], lengths, *tensors[1:])
    shared = [torch.zeros_like(a) for a in tensors[1:]]
    for n, length in enumerate(LENGTHS):
        alone = [tensors[0][:length, n : n + 1].clone().requires_grad_()]
        alone += [a.clone().requires_grad_() for a in tensors[1:]]
        one = lengths[n : n + 1]
        single = crf_nats(alone[0], labels[:length, n : n + 1], one, *alone[1:])
        torch.testing.assert_close(single[0], nats[n], atol=1e-6, rtol=1e-6)
        gradients = torch.autograd.grad(single.sum(), alone, allow_unused=True, materialize_grads=True)
        torch.testing.assert_close(gradients[0][:, 0], together[0].grad[:length, n], atol=1e-6, rtol=0)
        shared = [total + gradient for total, gradient in zip(shared, gradients[1:], strict=True)]
        way, score = viterbi(alone[0], one, *tensors[1:])
        assert torch.equal(way[:, 0], best[:length, n])
        assert torch.equal(score[0], best_scores[n])
        expected = probabilities[:length, n]
        torch.testing.assert_close(marginals(alone[0], one, *tensors[1:])[:, 0], expected, atol=1e-6, rtol=0)
    for total, parameter in zip(shared, together[1:], strict=True):
        torch.testing.assert_close(total, parameter.grad, atol=5e-6, rtol=0)


@SPREADS
@pytest.mark.parametrize("filling", [NAN, float("inf"), 1e30])
def test_padding_may_hold_anything_and_reaches_nothing(spread, filling):
    tensors, lengths = scores(spread), torch.tensor(LENGTHS)
    padded = torch.arange(T).unsqueeze(1) >= lengths
    poisoned = torch.where(padded.unsqueeze(2), filling, tensors[0])
    wild = torch.where(padded, -100, labels_for())
    found = []
    for emissions, labels in ((tensors[0], labels_for()), (poisoned, wild)):
        leaves = [a.clone().requires_grad_() for a in (emissions, *tensors[1:])]
        nats = crf_nats(leaves[0], labels, lengths, *leaves[1:])
        gradients = torch.autograd.grad(nats.sum(), leaves)
        assert not gradients[0][padded].any()
        found.append([nats, *gradients, *viterbi(emissions, lengths, *tensors[1:])])
        found[-1].append(marginals(emissions, lengths, *tensors[1:]))
    for clean, filled in zip(*found, strict=True):
        assert torch.equal(clean, filled)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("constraints", [None, CONSTRAINTS], ids=["free", "constrained"])
def test_viterbi_finds_the_best_of_all_allowed_labellings(seed, constraints):
    tensors = scores(seed=seed)
    masks = () if constraints is None else tuple(map(torch.from_numpy, constraints))
    labels, best = viterbi(tensors[0], torch.tensor(LENGTHS), *tensors[1:], *masks)
    for n, length in enumerate(LENGTHS):
        labelling, score = oracle.best(everything(tensors, n, constraints))
        assert tuple(labels[:length, n].tolist()) == labelling
        assert labels[length:, n].tolist() == [0] * (T - length)
        assert best[n].item() == pytest.approx(score, abs=1e-12)


def test_constraints_hold_where_the_scores_speak_against_them():
    """Label 2 has the best score everywhere, may not come first, and only follows 1 or itself."""
    emissions = torch.tensor([0.0, 1.0, 9.0]).expand(T, N, L)
    zeros = torch.zeros(L, L), torch.zeros(L), torch.zeros(L)
    labels, _ = viterbi(emissions, torch.tensor(LENGTHS), *zeros, *map(torch.from_numpy, CONSTRAINTS))
    assert labels[:, 0].tolist() == [1, 2, 2, 2, 2]
    assert labels[:, 3].tolist() == [1, 0, 0, 0, 0]
    only_zero_last = torch.tensor([True, False, False])
    labels, _ = viterbi(emissions, torch.tensor(LENGTHS), *zeros, allowed_last=only_zero_last)
    assert labels[:, 0].tolist() == [2, 2, 2, 2, 0]


@pytest.mark.parametrize("spread", [1.0, 0.9 * WIDEST, 3 * WIDEST], ids=["near", "far", "logs"])
@pytest.mark.parametrize("constraints", [None, CONSTRAINTS], ids=["free", "constrained"])
def test_marginals_are_those_of_brute_force(spread, constraints):
    tensors = scores(spread)
    names = ("allowed", "allowed_first", "allowed_last")
    masks = {} if constraints is None else dict(zip(names, map(torch.from_numpy, constraints), strict=True))
    with torch.inference_mode():
        found = marginals(tensors[0].clone(), torch.tensor(LENGTHS), *tensors[1:], **masks)
    for n, length in enumerate(LENGTHS):
        expected = oracle.marginals(everything(tensors, n, constraints), length, L)
        np.testing.assert_allclose(found[:length, n].numpy(), expected, atol=1e-12)
        assert not found[length:, n].any()


@pytest.mark.parametrize("far", [0.4 * WIDEST, 3 * WIDEST], ids=["scaled", "logs"])
def test_a_label_that_only_constraints_lead_to_is_certain_however_bad_its_scores(far):
    """Label 2 must be last and only follows 1 and itself, and both have the worst scores everywhere."""
    emissions = torch.tensor([far, 0.0, 0.0], dtype=torch.float64).expand(T, 1, L).contiguous()
    pairs = torch.zeros(L, L, dtype=torch.float64)
    pairs[0, 0] = far
    allowed = torch.from_numpy(CONSTRAINTS[0])
    only_two = torch.tensor([False, False, True])
    found = marginals(emissions, torch.tensor([T]), pairs, pairs[2], pairs[2], allowed=allowed, allowed_last=only_two)[
        :, 0
    ]
    assert found[-1].tolist() == pytest.approx([0, 0, 1])
    assert found[-2].tolist() == pytest.approx([0, 1, 0])
    assert found[0].tolist() == pytest.approx([1, 0, 0])


def test_without_transitions_a_field_is_a_softmax_at_each_step():
    """The identity -log p(y) = sum_t cross-entropy, for scores so large that exp alone would overflow."""
    emissions, labels = 100 * scores(dtype=torch.float32)[0], labels_for()
    zeros = torch.zeros(L, L), torch.zeros(L), torch.zeros(L)
    nats = crf_nats(emissions, labels, torch.full((N,), T), *zeros)
    each = torch.nn.functional.cross_entropy(emissions.flatten(0, 1), labels.flatten(), reduction="none")
    torch.testing.assert_close(nats, each.view(T, N).sum(0), rtol=1e-5, atol=1e-4)


def test_ten_thousand_steps_are_as_exact_as_a_few():
    """Each step costs log 2 with two labels that are alike; emissions of 50 would sum to 500,000."""
    steps = 10_000
    with torch.no_grad():
        nats = crf_nats(
            torch.full((steps, 1, 2), 50.0),
            torch.zeros(steps, 1, dtype=torch.int64),
            torch.tensor([steps]),
            torch.zeros(2, 2),
            torch.zeros(2),
            torch.zeros(2),
        )
    assert nats.item() == pytest.approx(steps * np.log(2), rel=1e-6)


def test_no_steps_and_no_sequences_give_zeros_and_nothing():
    emissions, *rest = (a.requires_grad_() for a in scores())
    none = torch.zeros(N, dtype=torch.int64)
    nats = crf_nats(emissions[:0], labels_for()[:0], none, *rest)
    assert nats.tolist() == [0.0] * N
    nats.sum().backward()
    labels, best = viterbi(emissions[:0], none, *rest)
    assert labels.shape == (0, N)
    assert best.tolist() == [0.0] * N
    assert marginals(emissions[:0], none, *rest).shape == (0, N, L)
    assert crf_nats(emissions[:, :0], labels_for()[:, :0], none[:0], *rest).shape == (0,)
    assert viterbi(emissions[:, :0], none[:0], *rest)[0].shape == (T, 0)


def test_constraints_that_allow_nothing_are_told_and_not_broken():
    tensors = scores()
    nothing = torch.zeros(L, dtype=torch.bool)
    for ask in (viterbi, marginals):
        with pytest.raises(ConfigError, match="sequence 0 has no labelling with a finite score"):
            ask(tensors[0], torch.tensor(LENGTHS), *tensors[1:], allowed_first=nothing)
    broken = tensors[0].clone()
    broken[0, 3] = NAN
    with pytest.raises(ConfigError, match="sequence 3 has no labelling"):
        viterbi(broken, torch.tensor(LENGTHS), *tensors[1:])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"emissions": torch.zeros(T, N)}, r"emissions has shape \(5, 6\), expected \(T, N, L\)"),
        ({"transitions": torch.zeros(L, 2)}, r"transitions has shape \(3, 2\), expected \(3, 3\)"),
        ({"last": torch.zeros(1)}, r"last has shape \(1,\), expected \(3,\)"),
        ({"lengths": torch.tensor([6, 3, 0, 1, 4, 2])}, r"lengths must be whole numbers in 0\.\.5"),
        ({"labels": torch.zeros(T, 1, dtype=torch.int64)}, r"labels has shape \(5, 1\)"),
        ({"labels": torch.full((T, N), 3)}, r"label 3 at step 0 of sequence 0, expected 0\.\.2"),
    ],
)
def test_what_does_not_fit_is_named(change, sentence):
    names = ("emissions", "transitions", "first", "last")
    given = dict(zip(names, scores(), strict=True)) | {"labels": labels_for(), "lengths": torch.tensor(LENGTHS)}
    with pytest.raises(ShapeError, match=sentence):
        crf_nats(**(given | change))


def test_a_constraint_of_another_shape_is_named():
    emissions, *rest = scores()
    with pytest.raises(ShapeError, match=r"allowed has shape \(3,\) and type torch\.bool, expected \(3, 3\) of bool"):
        viterbi(emissions, torch.tensor(LENGTHS), *rest, torch.ones(L, dtype=torch.bool))
