"""How well a query fits a position: one number for each pair, before the softmax.

Each score has `keys(values)`, what it makes of the values (N, T, M) once a batch, and maps queries (N, S, Q) and keys
to scores (N, S, T). No number of one row depends on another row.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.engine import linear
from recurra.nn.linear import SteadyLinear

# Numbers of v . tanh(q + k) at once without gradients: 0.5 MB, so that sum, tanh and product meet in the L2 cache.
_IN_CACHE = 1 << 17


class Dot(nn.Module):
    """score(h_t, h_s) = h_t . h_s (Luong, Pham & Manning 2015, arXiv:1508.04025, eq. 8, dot).

    Raises ConfigError unless query and memory are of one size.
    """

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        _expect_equal("dot", query_size, memory_size)

    def keys(self, values: Tensor) -> Tensor:
        """The values themselves."""
        return values

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        return torch.bmm(query, keys.transpose(1, 2))


class ScaledDot(nn.Module):
    """score(q, k) = q . k / sqrt(d) (Vaswani et al. 2017, arXiv:1706.03762, eq. 1).

    Raises ConfigError unless query and memory are of one size.
    """

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        _expect_equal("scaled_dot", query_size, memory_size)
        self.scale = 1 / math.sqrt(query_size)

    def keys(self, values: Tensor) -> Tensor:
        """The values themselves."""
        return values

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        # The query is scaled, not the scores: it has fewer numbers.
        return torch.bmm(query * self.scale, keys.transpose(1, 2))


class General(nn.Module):
    """score(h_t, h_s) = h_t . W h_s (Luong et al. 2015, eq. 8, general)."""

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.key = SteadyLinear(memory_size, query_size, bias=False)

    def keys(self, values: Tensor) -> Tensor:
        """W h_s, (N, T, Q): it does not wait for the query."""
        projected: Tensor = self.key(values)
        return projected

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        return torch.bmm(query, keys.transpose(1, 2))


class Concat(nn.Module):
    """score(h_t, h_s) = v . tanh(W [h_t; h_s]) (Luong et al. 2015, eq. 8, concat): W (A, Q + M), v (A,), no biases.

    hidden_size: A, the query's size if None
    """

    def __init__(self, query_size: int, memory_size: int, hidden_size: int | None = None) -> None:
        super().__init__()
        self.sizes = (query_size, memory_size)
        self.joint = nn.Linear(query_size + memory_size, hidden_size or query_size, bias=False)
        self.energy = nn.Linear(self.joint.out_features, 1, bias=False)

    def keys(self, values: Tensor) -> Tensor:
        """The memory's share of W [h_t; h_s], (N, T, A)."""
        weight = self.joint.weight[:, self.sizes[0] :]
        if self.training:
            return nn.functional.linear(values, weight)
        return linear.steady_linear(values, weight, None)

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        from_query = nn.functional.linear(query, self.joint.weight[:, : self.sizes[0]])
        return feed_forward_energy(from_query, keys, self.energy.weight)


class Additive(nn.Module):
    """score(s_{i-1}, h_j) = v . tanh(W s_{i-1} + U h_j + b) (Bahdanau, Cho & Bengio 2015, arXiv:1409.0473, A.1.2).

    hidden_size: A, the units of the alignment network; the query's size if None
    coverage: add w c_j inside the tanh, where c_j is the attention that position j has had so far
              (See, Liu & Manning 2017, arXiv:1704.04368, eq. 11; Tu et al. 2016, arXiv:1601.04811)
    """

    def __init__(
        self, query_size: int, memory_size: int, hidden_size: int | None = None, *, coverage: bool = False
    ) -> None:
        super().__init__()
        hidden_size = hidden_size or query_size
        self.query = nn.Linear(query_size, hidden_size, bias=False)
        self.key = SteadyLinear(memory_size, hidden_size)
        self.energy = nn.Linear(hidden_size, 1, bias=False)
        self.coverage = nn.Linear(1, hidden_size, bias=False) if coverage else None

    def keys(self, values: Tensor) -> Tensor:
        """U h_j + b, (N, T, A): it does not wait for the decoder (A.1.2: "can be pre-computed")."""
        projected: Tensor = self.key(values)
        return projected

    def forward(self, query: Tensor, keys: Tensor, coverage: Tensor | None = None) -> Tensor:
        """coverage: (N, T), needed if the score was made with it; then for one query a row."""
        if self.coverage is not None:
            assert coverage is not None
            keys = keys + self.coverage(coverage.unsqueeze(2))
        return feed_forward_energy(self.query(query), keys, self.energy.weight)


def feed_forward_energy(query: Tensor, keys: Tensor, v: Tensor) -> Tensor:
    """v . tanh(q + k) for every pair: query (N, S, A), keys (N, T, A), v (1, A) -> (N, S, T)."""
    if torch.is_grad_enabled():  # then all of the tanh is kept
        return _energy(query, keys, v)
    numbers = query.shape[1] * keys.shape[1] * keys.shape[2]  # of a row
    rows = max(1, _IN_CACHE // max(1, numbers))
    parts = zip(torch.split(query, rows), torch.split(keys, rows), strict=True)
    return torch.cat([_energy(some, their_keys, v) for some, their_keys in parts])


def _energy(query: Tensor, keys: Tensor, v: Tensor) -> Tensor:
    hidden = (query.unsqueeze(2) + keys.unsqueeze(1)).tanh_()
    return torch.matmul(hidden, v.squeeze(0))


def _expect_equal(word: str, query_size: int, memory_size: int) -> None:
    if query_size != memory_size:
        raise ConfigError(
            f"{word}: compares a query of {query_size} numbers with a memory of {memory_size}, expected equal sizes; "
            "use general, or make the decoder as wide as the encoder's output."
        )
