"""Attention of single queries, readable and on the engine: NumPy from the paper, a query alone and among others."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from recurra.engine import attention, cpu
from recurra.engine.attention import Reads, attend

COUNTS = (3, 0, 17, 1, 8, 3)


def numbers(d: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, Reads]:
    random = torch.Generator().manual_seed(0)
    q, keys, values = (torch.randn(n, d, generator=random).to(dtype) for n in (len(COUNTS), 20, 20))
    rows = torch.randint(0, 20, (sum(COUNTS),), generator=random)  # some come twice, none stand in order
    return q, keys, values, Reads.of(rows, COUNTS)


def expected(q: Tensor, keys: Tensor, values: Tensor, reads: Reads, heads: int) -> np.ndarray:
    """Vaswani et al. 2017, equation 1, in float64, a query and a head at a time."""
    found, size, first = np.zeros(q.shape), q.shape[1] // heads, 0
    k, v = (part.double().numpy() for part in (keys, values))
    for b, count in enumerate(reads.counts):
        rows = reads.rows[first : first + count].tolist()
        first += count
        for h in range(heads if count else 0):
            part = slice(h * size, (h + 1) * size)
            weights = np.exp(k[rows, part] @ q[b, part].double().numpy() / np.sqrt(size))
            found[b, part] = weights / weights.sum() @ v[rows, part]
    return found


@pytest.fixture(params=["as it runs here", "readable"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "readable":
        monkeypatch.setattr(attention, "_can_run", lambda *_: False)
    elif not cpu.available():
        pytest.skip("this installation has no native engine")
    return str(request.param)


@pytest.mark.parametrize(("d", "heads"), [(8, 2), (12, 4), (32, 1), (40, 2), (96, 3), (6, 1)])
def test_it_is_the_papers_whichever_rows_a_query_reads(d: int, heads: int, path: str) -> None:
    given = numbers(d)
    with torch.inference_mode():
        found = attend(*given, heads)
    np.testing.assert_allclose(found.numpy(), expected(*given, heads), atol=2e-6)  # float32
    assert not found[1].any()


def test_a_query_has_the_same_bits_alone_and_among_others(path: str) -> None:
    q, keys, values, reads = numbers(40)
    with torch.inference_mode():
        together = attend(q, keys, values, reads, 2)
        for b, count in enumerate(COUNTS):
            first = int(reads.ends[b])
            own = Reads.of(reads.rows[first : first + count], (count,))
            assert torch.equal(attend(q[b : b + 1], keys, values, own, 2)[0], together[b])


def test_in_float64_and_with_gradients_the_readable_path_runs() -> None:
    q, keys, values, reads = numbers(12, torch.float64)
    q.requires_grad_()
    found = attend(q, keys, values, reads, 4)
    np.testing.assert_allclose(found.detach().numpy(), expected(q.detach(), keys, values, reads, 4), rtol=1e-12)
    found.sum().backward()
    assert q.grad is not None
    assert torch.isfinite(q.grad).all()


def test_large_scores_overflow_nowhere(path: str) -> None:
    q, keys, values, reads = numbers(8)
    with torch.inference_mode():
        found = attend(100 * q, 100 * keys, values, reads, 2)
    assert torch.isfinite(found).all()
    assert found.abs().max() <= values.abs().max()
