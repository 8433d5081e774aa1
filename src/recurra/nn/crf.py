"""Linear-chain conditional random field: a score for a whole labelling, from each step's scores and each pair's.

    score(y) = first[y_1] + sum_t emissions[t, y_t] + sum_t transitions[y_{t-1}, y_t] + last[y_T]
    p(y) = exp(score(y)) / Z,  Z the sum of exp(score) over all L^T labellings

Lafferty, McCallum & Pereira 2001; as the output of a recurrent network: Huang et al. 2015, arXiv:1508.01991; Lample et
al. 2016, arXiv:1603.01360, section 2.2 (whose y_0 and y_{n+1} are `first` and `last`).

In all of them emissions is (T, N, L), lengths (N,) whole numbers in 0..T on any device, transitions (L, L) [from, to],
first and last (L,). What stands in the padding reaches nothing. A sequence of length 0 has one labelling, of score 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from recurra.base.errors import ConfigError, ShapeError
from recurra.engine import sequence_mask
from recurra.engine.memory import kinds, restored

# With scores of pairs no further apart than this, the scaled algorithm loses only what is below e^(40 - 87) of a sum,
# as e^-87 is the smallest normal float32; with scores further apart, such as forbidden pairs, sums are made of logs.
WIDEST_SCALED = 40.0
# The same for float64, whose smallest normal number is e^-708: with an emission and a pair this far below the best, and
# then once more, e^-600 is left.
WIDEST = 300.0

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Places = NDArray[np.int64]


def crf_nats(
    emissions: Tensor, labels: Tensor, lengths: Tensor, transitions: Tensor, first: Tensor, last: Tensor
) -> Tensor:
    """-log p(labels) of each sequence, in nats: (N,), differentiable in all scores, which must be finite.

    labels: (T, N) int64 in 0..L-1, anything where padded
    At least in float32, also under autocast.
    Raises ShapeError if sizes or devices do not fit, or a label of a real step is out of range.
    """
    _check("crf_nats", emissions, lengths, transitions, first, last)
    real = sequence_mask(lengths.to(emissions.device), len(emissions))
    _check_labels(labels, real, emissions)
    emissions, transitions, first, last = _one_type(emissions, transitions, first, last)
    emissions = _without_padding(emissions, real)
    # The same number taken from every label's score changes no probability, and keeps sums over many steps small.
    emissions = emissions - emissions.detach().amax(2, keepdim=True)
    score = _score(emissions, torch.where(real, labels, 0), real, transitions, first, last)
    return _log_z(emissions, real, transitions, first, last) - score


@torch.no_grad()
def marginals(
    emissions: Tensor,
    lengths: Tensor,
    transitions: Tensor,
    first: Tensor,
    last: Tensor,
    *,
    allowed: Tensor | None = None,
    allowed_first: Tensor | None = None,
    allowed_last: Tensor | None = None,
) -> Tensor:
    """The probability of each label at each step, over all labellings, or all allowed ones: (T, N, L), 0 where padded.

    allowed, allowed_first, allowed_last: as for `viterbi`. Computed in float64 on the CPU, returned in the type of
    emissions and on their device; no gradient.
    Raises ShapeError if sizes or devices do not fit, ConfigError if a sequence has no allowed labelling.
    """
    _check("marginals", emissions, lengths, transitions, first, last)
    pairs = _constrained(transitions, allowed, "allowed")
    starts = _constrained(first, allowed_first, "allowed_first")
    ends = _constrained(last, allowed_last, "allowed_last")
    steps, real = _arrays(emissions, lengths)
    steps = steps - steps.max(2, keepdims=True, initial=-np.inf)
    spread = -steps.min(initial=0.0) + max(map(_spread, (pairs, starts, ends)))
    # A comparison with NaN is false.
    found = (_chances if spread <= WIDEST else _chances_of_logs)(steps, real, pairs, starts, ends)
    _check_possible("marginals", np.logical_and.reduce(np.isfinite(found), (0, 2)))
    return torch.from_numpy(found).to(emissions)


@torch.no_grad()
def viterbi(
    emissions: Tensor,
    lengths: Tensor,
    transitions: Tensor,
    first: Tensor,
    last: Tensor,
    allowed: Tensor | None = None,
    allowed_first: Tensor | None = None,
    allowed_last: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The labelling of the highest score among the allowed ones (Viterbi 1967), exactly, in float64 on the CPU.

    allowed: (L, L) bool [from, to], True where a label may follow another; None allows all
    allowed_first, allowed_last: (L,) bool, True where a label may be the first or the last one
    Returns labels (T, N) int64, 0 where padded, and their scores (N,) in the type of emissions; on their device.
    Raises ShapeError if sizes or devices do not fit; ConfigError if a sequence has no allowed labelling, or none with
    a score that is a number.
    """
    _check("viterbi", emissions, lengths, transitions, first, last)
    pairs = _constrained(transitions, allowed, "allowed")
    starts = _constrained(first, allowed_first, "allowed_first")
    ends = _constrained(last, allowed_last, "allowed_last")
    steps, real = _arrays(emissions, lengths)
    if not len(steps):
        return emissions.new_zeros(emissions.shape[:2], dtype=torch.int64), emissions.new_zeros(emissions.shape[1])
    ending, pointers = _best_scores(steps, real, pairs, starts)
    ending = ending + ends
    label = ending.argmax(1)
    scores = np.where(real[0], ending[np.arange(len(label)), label], 0.0)
    _check_possible("viterbi", np.isfinite(scores))
    way = np.where(real, _walk_back(label, pointers), 0)
    return torch.from_numpy(way).to(emissions.device), torch.from_numpy(scores).to(emissions)


def _best_scores(steps: Array, real: Bools, pairs: Array, starts: Array) -> tuple[Array, list[Places]]:
    """The best score that ends in each label (N, L), and for each step but the first the label (N, L) before it."""
    best, pointers = starts + steps[0], []
    stay = np.arange(steps.shape[2])
    into, whole = np.ascontiguousarray(pairs.T), np.logical_and.reduce(real, 1).tolist()
    for t in range(1, len(steps)):
        scores = best[:, None] + into  # (N, to, from)
        before = scores.argmax(2)
        better = scores.max(2) + steps[t]
        if not whole[t]:
            better, before = np.where(real[t, :, None], better, best), np.where(real[t, :, None], before, stay)
        best = better
        pointers.append(before)
    return best, pointers


def _walk_back(label: Places, pointers: list[Places]) -> Places:
    """The labels (T, N) of the way that ends in `label` (N,)."""
    way, rows = [label], np.arange(len(label))
    for before in reversed(pointers):
        way.append(before[rows, way[-1]])
    return np.stack(way[::-1])


def _chances(steps: Array, real: Bools, pairs: Array, starts: Array, ends: Array) -> Array:
    """p(y_t = k) (T, N, L) with probabilities that are made to sum to one at each step: Rabiner 1989, section V.A."""
    ahead, behind = np.empty_like(steps), np.empty_like(steps)
    with np.errstate(invalid="ignore"):  # 0 / 0, and inf - inf, where nothing is allowed
        E, begin, final = (np.exp(scores - scores.max()) for scores in (pairs, starts, ends))
        x, whole = np.exp(steps), np.logical_and.reduce(real, 1).tolist()
        for t in range(len(x)):
            p = x[t] * (ahead[t - 1] @ E if t else begin)
            p /= p.sum(1, keepdims=True)
            ahead[t] = p if whole[t] or not t else np.where(real[t, :, None], p, ahead[t - 1])
        behind[-1:] = final
        for t in range(len(x) - 2, -1, -1):
            p = (behind[t + 1] * x[t + 1]) @ E.T
            p /= p.max(1, keepdims=True)
            behind[t] = p if whole[t + 1] else np.where(real[t + 1, :, None], p, final)
        both = ahead * behind
        both /= both.sum(2, keepdims=True)
    return np.where(real[:, :, None], both, 0.0)


def _chances_of_logs(steps: Array, real: Bools, pairs: Array, starts: Array, ends: Array) -> Array:
    """The same with sums of logs, for scores of any size."""
    ahead, behind = np.empty_like(steps), np.empty_like(steps)
    for t in range(len(steps)):
        a = steps[t] + (_log_sum(ahead[t - 1], pairs) if t else starts)
        ahead[t] = np.where(real[t, :, None], a, ahead[t - 1]) if t else a
    behind[-1:] = ends
    for t in range(len(steps) - 2, -1, -1):
        b = _log_sum(behind[t + 1] + steps[t + 1], pairs.T)
        behind[t] = np.where(real[t + 1, :, None], b, ends)
    both = ahead + behind
    with np.errstate(invalid="ignore"):  # -inf - -inf where nothing is allowed
        both = np.exp(both - both.max(2, keepdims=True, initial=-np.inf))
        both /= both.sum(2, keepdims=True)
    return np.where(real[:, :, None], both, 0.0)


def _log_sum(scores: Array, pairs: Array) -> Array:
    """log sum_i exp(scores[n, i] + pairs[i, j]): (N, L)."""
    found: Array = np.logaddexp.reduce(scores[:, :, None] + pairs, axis=1)
    return found


def _score(emissions: Tensor, labels: Tensor, real: Tensor, transitions: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """The score of each labelling, (N,). labels: 0 where padded."""
    if not len(emissions):
        return emissions.sum((0, 2))
    steps = emissions.gather(2, labels.unsqueeze(2)).squeeze(2)
    pairs = transitions[labels[:-1], labels[1:]]
    final = labels.gather(0, (real.sum(0, keepdim=True) - 1).clamp(min=0)).squeeze(0)
    ends = torch.where(real[0], first[labels[0]] + last[final], 0.0)
    return torch.where(real, steps, 0.0).sum(0) + torch.where(real[1:], pairs, 0.0).sum(0) + ends


def _log_z(emissions: Tensor, real: Tensor, transitions: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """log Z of each sequence, (N,), by the forward algorithm. Emissions are 0 where padded, and never above 0."""
    if not len(emissions):
        return emissions.sum((0, 2))
    spreads = [float(scores.max() - scores.min()) for scores in (transitions.detach(), first.detach(), last.detach())]
    if all(spread <= WIDEST_SCALED for spread in spreads):
        scaled: Tensor = _Scaled.apply(emissions, real, transitions, first, last)  # type: ignore[no-untyped-call]
        return scaled
    return _log_z_of_logs(emissions, real, transitions, first, last)


def _log_z_of_logs(emissions: Tensor, real: Tensor, transitions: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """log Z with sums of logs, for scores of any size: Lample et al. 2016, eq. 1's denominator, by recursion over t."""
    a = first + emissions[0]
    for t in range(1, len(emissions)):
        step = torch.logsumexp(a.unsqueeze(2) + transitions, 1) + emissions[t]
        a = torch.where(real[t].unsqueeze(1), step, a)
    return torch.where(real[0], torch.logsumexp(a + last, 1), 0.0)


class _Scaled(torch.autograd.Function):
    """log Z with probabilities that are made to sum to one at each step: Rabiner 1989, section V.A, and its gradient.

    Matrix products in place of N L^2 exponentials a step. Forward and backward on one core, 32 sequences: 112 us a step
    for 17 labels and 194 for 72; sums of logs take 258 and 1,473.
    """

    @staticmethod
    def forward(ctx: Any, emissions: Tensor, real: Tensor, transitions: Tensor, first: Tensor, last: Tensor) -> Tensor:
        E, x = (transitions - transitions.max()).exp(), emissions.exp()
        starts, ends = (first - first.max()).exp(), (last - last.max()).exp()
        p, c = _forward(x, real, E, starts)
        total = (p[-1] * ends).sum(1)
        saved = (real, E, x, ends, p, c, total)
        ctx.save_for_backward(*saved)
        ctx.kinds = kinds(saved)
        steps = real.sum(0)
        log_z = c.log().sum(0).squeeze(1) + total.log() + first.max() + last.max() + (steps - 1) * transitions.max()
        return torch.where(real[0], log_z, 0.0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:
        real, E, x, ends, p, c, total = restored(ctx.saved_tensors, ctx.kinds)
        d = torch.where(real[0], d, 0.0).unsqueeze(1)
        final = ends / total.unsqueeze(1)
        b, w = _backward(x, real, E, c, final)
        d_emissions = torch.where(real.unsqueeze(2), d * p * b, 0.0)
        d_transitions = E * ((d * p[:-1]).flatten(0, 1).T @ w[1:].flatten(0, 1))
        return d_emissions, None, d_transitions, d_emissions[0].sum(0), (d * p[-1] * final).sum(0)


def _forward(x: Tensor, real: Tensor, E: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
    """p(label | what was read so far) (T, N, L), and what each step was divided by (T, N, 1), 1 where padded."""
    p = starts * x[0]
    c = p.sum(1, keepdim=True)
    ps, cs = [p / c], [c]
    for t in range(1, len(x)):
        m = real[t].unsqueeze(1)
        step = (ps[-1] @ E) * x[t]
        cs.append(torch.where(m, step.sum(1, keepdim=True), 1.0))
        ps.append(torch.where(m, step / cs[-1], ps[-1]))
    return torch.stack(ps), torch.stack(cs)


def _backward(x: Tensor, real: Tensor, E: Tensor, c: Tensor, final: Tensor) -> tuple[Tensor, Tensor]:
    """b (T, N, L), whose product with p is the marginal, and x b / c (T, N, L), 0 where padded."""
    scaled = torch.where(real.unsqueeze(2), x / c, 0.0)
    b, bs, ws = final, [], []
    for t in range(len(x) - 1, -1, -1):
        bs.append(b)
        ws.append(scaled[t] * b)
        b = torch.where(real[t].unsqueeze(1), ws[-1] @ E.T, b)
    return torch.stack(bs[::-1]), torch.stack(ws[::-1])


def _without_padding(emissions: Tensor, real: Tensor) -> Tensor:
    return torch.where(real.unsqueeze(2), emissions, 0.0)


def _arrays(emissions: Tensor, lengths: Tensor) -> tuple[Array, Bools]:
    """Emissions (T, N, L), 0 where padded, and what is real (T, N)."""
    real = np.arange(len(emissions))[:, None] < lengths.cpu().numpy()
    steps: Array = emissions.detach().cpu().double().numpy()
    return steps if real.all() else np.where(real[:, :, None], steps, 0.0), real


def _constrained(scores: Tensor, allowed: Tensor | None, name: str) -> Array:
    """Scores with -inf where not allowed."""
    found: Array = scores.detach().cpu().double().numpy()
    if allowed is None:
        return found
    if allowed.shape != scores.shape or allowed.dtype != torch.bool:
        raise ShapeError(
            f"crf: {name} has shape {tuple(allowed.shape)} and type {allowed.dtype}, "
            f"expected {tuple(scores.shape)} of bool, True where allowed."
        )
    return np.where(allowed.cpu().numpy(), found, -np.inf)


def _spread(scores: Array) -> float:
    """How far scores that are allowed lie apart."""
    found = scores[scores > -np.inf]
    return float(np.ptp(found)) if found.size else 0.0


def _one_type(*tensors: Tensor) -> tuple[Tensor, ...]:
    """All in the widest type among them, float32 at least."""
    widest = torch.float32
    for tensor in tensors:
        widest = torch.promote_types(widest, tensor.dtype)
    return tuple(tensor.to(widest) for tensor in tensors)


def _check(name: str, emissions: Tensor, lengths: Tensor, transitions: Tensor, first: Tensor, last: Tensor) -> None:
    if emissions.dim() != 3 or not emissions.shape[2]:
        raise ShapeError(f"{name}: emissions has shape {tuple(emissions.shape)}, expected (T, N, L) with L >= 1.")
    T, N, L = emissions.shape
    expected = {"lengths": (lengths, (N,)), "transitions": (transitions, (L, L)), "first": (first, (L,))}
    for word, (tensor, shape) in {**expected, "last": (last, (L,))}.items():
        if tuple(tensor.shape) != shape:
            raise ShapeError(
                f"{name}: {word} has shape {tuple(tensor.shape)}, expected {shape}: emissions is {(T, N, L)}."
            )
        if word != "lengths" and tensor.device != emissions.device:
            raise ShapeError(
                f"{name}: {word} is on {tensor.device}, emissions on {emissions.device}; move one of them."
            )
    if lengths.is_floating_point() or (N and not 0 <= int(lengths.min()) <= int(lengths.max()) <= T):
        raise ShapeError(f"{name}: lengths must be whole numbers in 0..{T}, got {lengths.tolist()}.")


def _check_labels(labels: Tensor, real: Tensor, emissions: Tensor) -> None:
    if labels.shape != real.shape or labels.dtype != torch.int64:
        raise ShapeError(
            f"crf_nats: labels has shape {tuple(labels.shape)} and type {labels.dtype}, "
            f"expected {tuple(real.shape)} of int64."
        )
    if labels.device != emissions.device:
        raise ShapeError(f"crf_nats: labels is on {labels.device}, emissions on {emissions.device}; move one of them.")
    wrong = real & ((labels < 0) | (labels >= emissions.shape[2]))
    if wrong.any():
        t, n = wrong.nonzero()[0].tolist()
        raise ShapeError(
            f"crf_nats: label {int(labels[t, n])} at step {t} of sequence {n}, expected 0..{emissions.shape[2] - 1}."
        )


def _check_possible(name: str, found: Bools) -> None:
    if not found.all():
        raise ConfigError(
            f"{name}: sequence {int(found.argmin())} has no labelling with a finite score: "
            "its scores are not finite, or the constraints allow no labelling of its length."
        )
