"""Attention of sequences to themselves, each to its own steps: no mask, no score of a step that is padding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.base.errors import ConfigError
from recurra.nn.linear import SteadyLinear
from recurra.nn.transformer.positions import rotated
from recurra.nn.transformer.rows import Group, Rows

# Steps before a piece, of one layer: keys and values (N, W, d) each, the latest last.
Cache = tuple[Tensor, Tensor]


class SelfAttention(nn.Module):
    """softmax(Q K^T / sqrt(d_k)) V in several heads, concatenated and projected (Vaswani et al. 2017, section 3.2).

    Parameters are called as those of torch.nn.MultiheadAttention: in_proj_weight (3 d, d), out_proj.
    causal: a step sees itself and what is before it      window: at most so many steps, itself among them; 0: all
    rotary: queries and keys are turned by their positions      dropout: of the weights, in training
    Raises ConfigError if num_heads does not divide embed_dim, and for rotary heads of odd size.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        *,
        dropout: float = 0.0,
        bias: bool = True,
        causal: bool = False,
        window: int = 0,
        rotary: bool = False,
    ) -> None:
        super().__init__()
        if embed_dim % num_heads:
            raise ConfigError(f"num_heads: {num_heads} do not divide {embed_dim}; expected a divisor.")
        if rotary and (embed_dim // num_heads) % 2:
            raise ConfigError(f"num_heads: heads of {embed_dim // num_heads} numbers; rotation needs an even number.")
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.dropout, self.causal, self.window, self.rotary = dropout, causal, window, rotary
        self.in_proj_weight = nn.Parameter(torch.empty(3 * embed_dim, embed_dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * embed_dim)) if bias else None
        self.out_proj = SteadyLinear(embed_dim, embed_dim, bias=bias)
        nn.init.xavier_uniform_(self.in_proj_weight)
        if bias:
            nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, rows: Rows, cache: Cache | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """(S, d) of rows (S, d), with their keys and values (S, d), which a cache may keep.

        cache: keys and values (N, W, d) of the steps before, the latest last, of which a group has seen `seen`
        """
        q, k, v = self._projected(x).chunk(3, 1)
        found = [self._attended(group, q, k, v, cache) for group in rows.groups]
        return self.out_proj(torch.cat(found) if found else q), k, v

    def _projected(self, x: Tensor) -> Tensor:
        from recurra.engine.linear import linear, steady_linear

        return (linear if self.training else steady_linear)(x, self.in_proj_weight, self.in_proj_bias)

    def _attended(self, group: Group, q: Tensor, k: Tensor, v: Tensor, cache: Cache | None) -> Tensor:
        """(n L, d) of the sequences of a group, all at once."""
        n, L, seen = group.sequences, group.length, group.seen
        queries, keys, values = (part[group.rows].view(n, L, self.num_heads, self.head_dim) for part in (q, k, v))
        if cache is not None and seen:
            before = [self._before(part, group) for part in cache]
            keys, values = torch.cat([before[0], keys], 1), torch.cat([before[1], values], 1)
        queries, keys, values = (part.transpose(1, 2) for part in (queries, keys, values))
        if self.rotary:
            queries, keys = rotated(queries, seen), rotated(keys, 0)
        mask = self._mask(L, seen, q.device)
        said = F.scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=self.causal and mask is None and L > 1,
        )
        return said.transpose(1, 2).reshape(n * L, self.embed_dim)

    def _before(self, part: Tensor, group: Group) -> Tensor:
        members: Sequence[int] = group.members
        return part[list(members), -group.seen :].view(len(members), group.seen, self.num_heads, self.head_dim)

    def _mask(self, L: int, seen: int, device: torch.device) -> Tensor | None:
        """(L, seen + L): which keys a query sees; None where it sees all, or all up to its own place from the first."""
        if not self.causal or (not seen and not (0 < self.window < L)):
            return None
        at = torch.arange(seen, seen + L, device=device).unsqueeze(1)
        other = torch.arange(seen + L, device=device)
        sees = other <= at
        return sees & (other > at - self.window) if self.window else sees
