"""Attention against NumPy loops written from the papers, and against what may stand in the padding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from oracles import attention as oracle
from oracles.loop import Array
from recurra.base.errors import ConfigError, ShapeError
from recurra.config import options_of
from recurra.nn import ATTENTIONS

S, N, T, Q = 6, 4, 5, 4
LENGTHS = (5, 2, 0, 1)
NAN = float("nan")
# (word, options): every attention, the local ones with every kind of score. Only `none` is missing: it is no module.
KINDS: list[tuple[str, dict[str, Any]]] = [
    ("additive", {}),
    ("additive", {"hidden_size": 7}),
    ("dot", {}),
    ("general", {}),
    ("concat", {"hidden_size": 3}),
    ("scaled_dot", {}),
    ("multi_head", {"num_heads": 2}),
    *(("local_monotonic", {"window": 1, "score": score}) for score in ("general", "dot", "concat", "additive")),
    ("local_predictive", {"window": 2}),
    ("local_predictive", {"window": 2, "normalize": False, "score": "concat"}),
]
kinds = pytest.mark.parametrize(("word", "options"), KINDS, ids=str)


def memory_size(word: str, options: dict[str, Any]) -> int:
    """Another than the query's, where it may be."""
    return Q if word in ("dot", "scaled_dot") or options.get("score") == "dot" else 6


def made(word: str, options: dict[str, Any]) -> Any:
    torch.manual_seed(3)
    module = ATTENTIONS[word](Q, memory_size(word, options), **options)
    assert module is not None
    return module.double()


def numbers(word: str, options: dict[str, Any], padding: float = NAN) -> tuple[Tensor, Tensor, Tensor]:
    """Queries (S, N, Q), a memory (T, N, M) with `padding` beyond its lengths, and the lengths."""
    rng = np.random.default_rng(5)
    memory = rng.normal(size=(T, N, memory_size(word, options)))
    for n, length in enumerate(LENGTHS):
        memory[length:, n] = padding
    return torch.tensor(rng.normal(size=(S, N, Q))), torch.tensor(memory), torch.tensor(LENGTHS)


def parameters(module: Any) -> dict[str, Array]:
    """The module's parameters by the papers' names."""
    names = {
        "score.query.weight": "W_a", "score.key.weight": "U_a", "score.key.bias": "b", "score.energy.weight": "v_a",
        "score.joint.weight": "W_a", "score.coverage.weight": "w_c", "region.hidden.weight": "W_p",
        "region.position.weight": "v_p", "query.weight": "W_Q", "key.weight": "W_K", "value.weight": "W_V",
        "output.weight": "W_O",
    }  # fmt: skip
    found = {names[name]: tensor.detach().numpy() for name, tensor in module.named_parameters()}
    if "W_a" not in found and "U_a" in found:
        found["W_a"] = found.pop("U_a")  # the one matrix of `general`
    return {name: a.reshape(-1) if name in ("v_a", "v_p", "w_c") else a for name, a in found.items()}


def expected(word: str, options: dict[str, Any], module: Any, q: Array, H: Array, t: int) -> tuple[Array, Array]:
    """Context and weights of one query at step t over the real positions H, by the oracle."""
    p = parameters(module)
    if word == "multi_head":
        return oracle.multi_head(q, H, p, options["num_heads"])
    score: oracle.Score = getattr(oracle, options.get("score", "general") if word.startswith("local") else word)
    regions: dict[str, Callable[[], Array]] = {
        "local_monotonic": lambda: oracle.local_monotonic(score, q, H, p, t=t, D=options["window"]),
        "local_predictive": lambda: oracle.local_predictive(
            score, q, H, p, D=options["window"], normalize=options.get("normalize", True)
        ),
    }
    weights = regions.get(word, lambda: oracle.everywhere(score, q, H, p))()
    return weights @ H, weights


@kinds
def test_contexts_and_weights_are_those_of_the_paper(word: str, options: dict[str, Any]) -> None:
    module, (query, memory, lengths) = made(word, options), numbers(word, options)
    contexts, weights = module(query, memory, lengths)
    for n, length in enumerate(LENGTHS):
        if not length:
            continue
        for t in range(S):
            context, row = expected(word, options, module, query[t, n].numpy(), memory[:length, n].numpy(), t)
            np.testing.assert_allclose(contexts[t, n].detach(), context, atol=1e-12)
            np.testing.assert_allclose(weights[t, n, :length].detach(), row, atol=1e-12)


@kinds
def test_weights_sum_to_one_over_real_positions_and_an_empty_row_is_zero(word: str, options: dict[str, Any]) -> None:
    module, (query, memory, lengths) = made(word, options), numbers(word, options)
    contexts, weights = module(query, memory, lengths)
    assert weights.shape == (S, N, T)
    real = torch.arange(T) < lengths.unsqueeze(1)
    assert (weights >= 0).all()
    assert (weights[:, ~real] == 0).all()
    if options.get("normalize", True):
        torch.testing.assert_close(weights.sum(2), (lengths > 0).double().expand(S, N), atol=1e-12, rtol=0)
    assert (contexts[:, 2] == 0).all()


@kinds
def test_nan_in_the_padding_reaches_nothing_gradients_included(word: str, options: dict[str, Any]) -> None:
    found = []
    for padding in (NAN, 0.0):
        module, (query, memory, lengths) = made(word, options), numbers(word, options, padding)
        leaves = [query.requires_grad_(), memory.requires_grad_(), *module.parameters()]
        context, weights = module(query, memory, lengths)
        (context.square().sum() + weights.square().sum()).backward()
        gradients = [leaf.grad for leaf in leaves]
        assert all(g is not None and torch.isfinite(g).all() for g in gradients)
        found.append((context, weights, *gradients))
        assert (memory.grad[1:, 3] == 0).all()  # nothing flows into the padding
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@kinds
def test_gradients_are_those_of_finite_differences(word: str, options: dict[str, Any]) -> None:
    module, (query, memory, lengths) = made(word, options), numbers(word, options, 0.0)
    query, memory = query[:3].requires_grad_(), memory.requires_grad_()
    weights = list(module.parameters())
    names = [name for name, _ in module.named_parameters()]

    def run(query: Tensor, memory: Tensor, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = torch.func.functional_call(
            module, dict(zip(names, tensors, strict=True)), (query, memory, lengths)
        )
        return found

    assert torch.autograd.gradcheck(run, (query, memory, *weights), fast_mode=True)


@kinds
def test_one_step_is_the_same_alone_and_among_many(word: str, options: dict[str, Any]) -> None:
    module, (query, memory, lengths) = made(word, options), numbers(word, options)
    prepared = module.prepare(memory, lengths)
    contexts, weights = module.attend(query, prepared)
    for t in range(S):
        context, row = module.attend(query[t], prepared, start=t)
        torch.testing.assert_close(context, contexts[t], atol=1e-14, rtol=0)
        torch.testing.assert_close(row, weights[t], atol=1e-14, rtol=0)


@kinds
def test_a_row_is_the_same_alone_in_a_batch_and_when_it_is_selected(word: str, options: dict[str, Any]) -> None:
    module, (query, memory, lengths) = made(word, options), numbers(word, options)
    contexts, _ = module(query, memory, lengths)
    for n, length in enumerate(LENGTHS):
        alone, _ = module(query[:, n : n + 1], memory[:length, n : n + 1])
        torch.testing.assert_close(alone[:, 0], contexts[:, n], atol=1e-14, rtol=0)
    rows = torch.tensor([3, 0, 0, 2, 1, 0])
    moved, _ = module.attend(query[:, rows], module.prepare(memory, lengths).select(rows))
    torch.testing.assert_close(moved, contexts[:, rows], atol=1e-14, rtol=0)


def test_a_memory_without_positions_gives_a_context_of_zeros() -> None:
    for word, options in KINDS:
        module = made(word, options)
        query, memory, _ = numbers(word, options)
        context, weights = module(query, memory[:0], torch.zeros(N, dtype=torch.int64))
        assert (context == 0).all()
        assert weights.shape == (S, N, 0)


@kinds
@pytest.mark.parametrize(("steps", "rows", "positions"), [(0, N, T), (S, 0, T), (S, N, 0), (0, 0, 0)])
def test_no_queries_no_rows_and_no_positions_give_empty_results_and_gradients_of_zero(
    word: str, options: dict[str, Any], steps: int, rows: int, positions: int
) -> None:
    module, (query, memory, _) = made(word, options), numbers(word, options)
    query = query[:steps, :rows].clone().requires_grad_()
    memory = memory[:positions, :rows].clone().requires_grad_()
    context, weights = module(query, memory, torch.zeros(rows, dtype=torch.int64))
    assert context.shape == (steps, rows, module.context_size)
    assert weights.shape == (steps, rows, positions)
    assert not context.any()
    for gradient in torch.autograd.grad(context.sum() + weights.sum(), (query, memory, *module.parameters())):
        assert not gradient.any()


def test_a_monotonic_window_follows_the_step_and_stays_inside() -> None:
    """D = 1 and equal scores: three positions around t, two at the edge, and the last two when t is beyond."""
    module = made("local_monotonic", {"window": 1, "score": "dot"})
    _, weights = module(torch.zeros(8, 1, Q).double(), torch.ones(4, 1, Q).double())
    third = 1 / 3
    rows = [[0.5, 0.5, 0, 0], [third, third, third, 0], [0, third, third, third], [0, 0, 0.5, 0.5]]
    rows += [[0, 0, 0.5, 0.5]] * 4
    torch.testing.assert_close(weights[:, 0], torch.tensor(rows).double())


def test_a_predicted_position_moves_by_gradient() -> None:
    """The Gaussian is the only way in which p_t is learned: with equal scores it still has a gradient."""
    module = made("local_predictive", {"window": 2, "score": "dot"})
    query = torch.ones(1, 1, Q, dtype=torch.float64)
    _, weights = module(query, torch.zeros(9, 1, Q, dtype=torch.float64))
    weights[0, 0, 5].backward()
    assert module.region.position.weight.grad.abs().sum() > 0


def test_coverage_in_the_alignment_is_that_of_the_paper() -> None:
    module, (query, memory, lengths) = made("additive", {"coverage": True}), numbers("additive", {})
    rng = np.random.default_rng(7)
    coverage = torch.tensor(rng.uniform(size=(N, T)))
    context, weights = module.attend(query[0], module.prepare(memory, lengths), coverage=coverage)
    for n, length in enumerate(LENGTHS):
        if length:
            score = oracle.covered(coverage[n, :length].numpy())
            H = memory[:length, n].numpy()
            row = oracle.everywhere(score, query[0, n].numpy(), H, parameters(module))
            np.testing.assert_allclose(weights[n, :length].detach(), row, atol=1e-12)
            np.testing.assert_allclose(context[n].detach(), row @ H, atol=1e-12)


def test_coverage_is_given_if_and_only_if_it_is_read() -> None:
    query, memory, lengths = numbers("additive", {})
    with_it, without = made("additive", {"coverage": True}), made("additive", {})
    zeros = torch.zeros(N, T, dtype=torch.float64)
    with pytest.raises(ShapeError, match=r"reads the coverage \(4, 5\)"):
        with_it(query, memory, lengths)
    with pytest.raises(ShapeError, match="reads no coverage"):
        without.attend(query[0], without.prepare(memory, lengths), coverage=zeros)
    with pytest.raises(ShapeError, match=r"coverage has shape \(4, 4\), expected \(4, 5\), for one step"):
        with_it.attend(query[0], with_it.prepare(memory, lengths), coverage=zeros[:, :4])


@pytest.mark.parametrize(
    ("word", "options", "sentence"),
    [
        ("dot", {}, "dot: compares a query of 4 numbers with a memory of 6, expected equal sizes; use general"),
        ("scaled_dot", {}, "scaled_dot: compares a query of 4 numbers"),
        ("local_monotonic", {"score": "dot"}, "dot: compares"),
        ("local_predictive", {"score": "dott"}, "unknown score 'dott'. Did you mean 'dot'?"),
        ("multi_head", {"num_heads": 3}, "num_heads: 3 does not divide the query's 4 numbers"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(word: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence.replace("?", r"\?")):
        ATTENTIONS[word](4, 6, **options)


def test_shapes_that_do_not_fit_are_named() -> None:
    module, (query, memory, lengths) = made("general", {}), numbers("general", {})
    prepared = module.prepare(memory, lengths)
    with pytest.raises(ShapeError, match=r"the query has shape \(3, 4\), expected \(4, 4\) for one step"):
        module.attend(query[0, :3], prepared)
    with pytest.raises(ShapeError, match=r"the memory has shape \(5, 4\), expected \(T, N, M\)"):
        module.prepare(memory[..., 0], lengths)
    with pytest.raises(ShapeError, match=r"lengths run from 0 to 5, expected 0..4"):
        module.prepare(memory[:4], lengths)
    with pytest.raises(ShapeError, match=r"lengths are \(3,\)"):
        module.prepare(memory, lengths[:3])


def test_every_word_of_the_registry_is_tested_here() -> None:
    assert {word for word, _ in KINDS} | {"none"} == set(ATTENTIONS)
    assert ATTENTIONS["none"](4, 6) is None
    assert [option.name for option in options_of(ATTENTIONS["additive"])] == ["hidden_size", "coverage"]
