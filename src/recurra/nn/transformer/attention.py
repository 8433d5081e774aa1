"""Attention of sequences to themselves, and to others: each to its own steps, with no mask and no score of padding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.base.errors import ConfigError
from recurra.engine.linear import linear, steady_linear
from recurra.engine.span_attention import Spans, attend, can_attend
from recurra.nn.dropout import quick_dropout
from recurra.nn.linear import SteadyLinear
from recurra.nn.transformer.positions import kept_turns, rotated, rotated_at
from recurra.nn.transformer.rows import Group, Pairs, Rows

# Steps before a piece, of one layer: keys and values (N, W, d) each, the latest last.
Cache = tuple[Tensor, Tensor]
Device = torch.device | str | None


class _Attention(nn.Module):
    """What attention to oneself and to others share: maps, heads, and the dropout of the weights."""

    in_proj_weight: nn.Parameter
    in_proj_bias: nn.Parameter | None
    out_proj: SteadyLinear

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        *,
        dropout: float = 0.0,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        _refuse_sizes(embed_dim, num_heads, dropout)
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.dropout = dropout
        # Drawn as torch.nn.MultiheadAttention draws them.
        weight = torch.empty(3 * embed_dim, embed_dim, device=device, dtype=dtype)
        self.in_proj_weight = nn.Parameter(weight)
        self.in_proj_bias = nn.Parameter(weight.new_zeros(3 * embed_dim)) if bias else None
        self.out_proj = SteadyLinear(embed_dim, embed_dim, bias=bias, device=device, dtype=dtype)
        nn.init.xavier_uniform_(self.in_proj_weight)
        if bias:
            nn.init.zeros_(self.out_proj.bias)

    @property
    def drops(self) -> float:
        """The dropout of the weights now."""
        return self.dropout if self.training else 0.0

    def _mapped(self, x: Tensor, which: slice) -> Tensor:
        """Rows through a part of in_proj_weight."""
        bias = None if self.in_proj_bias is None else self.in_proj_bias[which]
        return (linear if self.training else steady_linear)(x, self.in_proj_weight[which], bias)


class SelfAttention(_Attention):
    """softmax(Q K^T / sqrt(d_k)) V in several heads, concatenated and projected (Vaswani et al. 2017, section 3.2).

    Parameters are called as those of torch.nn.MultiheadAttention: in_proj_weight (3 d, d), out_proj.
    causal: a step sees itself and what is before it
    window: at most so many steps, itself among them, where it is causal; 0: all
    rotary: queries and keys are turned by their positions      dropout: of the weights, in training, 0..1
    Raises ConfigError for heads that do not divide embed_dim, rotary ones of odd size, a window where a step sees later
    ones, and numbers that cannot be.
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
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(embed_dim, num_heads, dropout=dropout, bias=bias, device=device, dtype=dtype)
        _refuse_window(window, causal=causal)
        if rotary and self.head_dim % 2:
            raise ConfigError(f"num_heads: heads of {self.head_dim} numbers; rotation needs an even number.")
        self.causal, self.window, self.rotary = causal, window, rotary

    def forward(self, x: Tensor, rows: Rows, cache: Cache | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """(S, d) of rows (S, d), with their keys and values (S, d), which a cache may keep.

        cache: keys and values (N, W, d) of the steps before, the latest last, of which a group has seen `seen`
        """
        q, k, v = self.projected(x)
        if cache is None and can_attend(q, k, v, dropout=self.drops):
            return self.out_proj(self.over(q, k, v, rows.spans)), k, v
        sizes = [group.sequences * group.length for group in rows.groups]
        # Split, not sliced: the gradient of a slice is a matrix of all rows, zero but for the group's.
        parts = zip(rows.groups, *(torch.split(each, sizes) for each in (q, k, v)), strict=True) if sizes else ()
        found = [self._attended(group, q, k, v, cache) for group, q, k, v in parts]
        return self.out_proj(torch.cat(found) if found else q), k, v

    def weights(self, x: Tensor, rows: Rows) -> Tensor:
        """(heads, T, T) of the rows (T, d) of one sequence: how much each step takes of each, without dropout.

        rows: on any device
        """
        q, k, _ = self.projected(x)
        turned = [
            self._turned(part, rows.steps.to(x.device)).view(len(x), self.num_heads, self.head_dim) for part in (q, k)
        ]
        scores = torch.einsum("shd,thd->hst", *turned) / self.head_dim**0.5
        if self.causal:
            at = torch.arange(len(x), device=x.device)
            back = at.unsqueeze(1) - at
            unseen = (back < 0) | (back >= self.window) if self.window else back < 0
            scores = scores.masked_fill(unseen, -torch.inf)
        found: Tensor = scores.softmax(2)
        return found

    def _turned(self, rows: Tensor, steps: Tensor) -> Tensor:
        """(R, d), each head turned by its step (R,); as they are without rotation."""
        if not self.rotary:
            return rows
        return rotated_at(rows.view(-1, self.num_heads, self.head_dim), steps.unsqueeze(1)).flatten(1)

    def over(self, q: Tensor, k: Tensor, v: Tensor, spans: Spans) -> Tensor:
        """(Q, d): the means of values (K, d) that queries (Q, d) take by keys (K, d), for rows that `can_attend`.

        Rotary queries and keys are turned here: a key by its place in its span, the last query as the last key.
        """
        most = int(spans.table[:, 3].max()) if self.rotary and len(spans.table) else 0
        turns = kept_turns(most, self.head_dim) if self.rotary else None
        return attend(
            q, k, v, spans, self.num_heads, causal=self.causal, window=self.window, dropout=self.drops, turns=turns
        )

    def projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (S, d) of rows (S, d)."""
        q, k, v = self._mapped(x, slice(None)).chunk(3, 1)
        return q, k, v

    def _attended(self, group: Group, q: Tensor, k: Tensor, v: Tensor, cache: Cache | None) -> Tensor:
        """(n L, d) of the sequences of a group, all at once. q, k, v: (n L, d), of its rows"""
        n, L, seen = group.sequences, group.length, group.seen
        queries, keys, values = (part.view(n, L, self.num_heads, self.head_dim) for part in (q, k, v))
        if cache is not None and seen:
            before = [self._before(part, group) for part in cache]
            keys, values = torch.cat([before[0], keys], 1), torch.cat([before[1], values], 1)
        if can_attend(q, k, v, dropout=self.drops):
            spans = Spans.of(*(torch.full((n,), steps, dtype=torch.int64) for steps in (L, seen + L)))
            keys, values = (part.reshape(-1, self.embed_dim) for part in (keys, values))
            return self.over(q, keys, values, spans)
        queries, keys, values = (part.transpose(1, 2) for part in (queries, keys, values))
        if self.rotary:
            queries, keys = rotated(queries, seen), rotated(keys, 0)
        mask = self._mask(L, seen, q.device)
        said = attended(
            queries,
            keys,
            values,
            mask,
            self.drops,
            is_causal=self.causal and mask is None and L > 1,
        )
        return said.transpose(1, 2).reshape(n * L, self.embed_dim)

    def _before(self, part: Tensor, group: Group) -> Tensor:
        members: Sequence[int] = group.members
        # Of all sequences a view: their places are in order where they are one group.
        own = part[:, -group.seen :] if len(members) == len(part) else part[list(members), -group.seen :]
        return own.view(len(own), group.seen, self.num_heads, self.head_dim)

    def _mask(self, L: int, seen: int, device: torch.device) -> Tensor | None:
        """(L, seen + L): which keys a query sees; None where it sees all, or all up to its own place from the first."""
        if not self.causal or (not seen and not (0 < self.window < L)):
            return None
        at = torch.arange(seen, seen + L, device=device).unsqueeze(1)
        other = torch.arange(seen + L, device=device)
        sees = other <= at
        return sees & (other > at - self.window) if self.window else sees


class CrossAttention(_Attention):
    """A target's steps to weighted means of its source's: queries of the one, keys and values of the other.

    Parameters are called as those of torch.nn.MultiheadAttention: in_proj_weight (3 d, d), out_proj.
    Of a source without steps the mean is zero, and the layer says its output bias, in training as in service.
    Raises ConfigError if num_heads does not divide embed_dim, and for a dropout outside 0..1.
    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.3.
    """

    def forward(self, x: Tensor, memory: Cache, pairs: Pairs) -> Tensor:
        """(S, d) of a target's rows (S, d). memory: keys and values of the source's rows, as `keys_and_values`"""
        q = self.queries(x)
        if can_attend(q, *memory, dropout=self.drops):
            means: Tensor = self.out_proj(attend(q, *memory, pairs.spans, self.num_heads, dropout=self.drops))
            return means
        found = [self._attended(q, memory, *group) for group in pairs.groups]
        said: Tensor = self.out_proj(torch.cat(found) if found else q)
        return said

    def queries(self, x: Tensor) -> Tensor:
        """(S, d) of a target's rows (S, d)."""
        return self._mapped(x, slice(0, self.embed_dim))

    def keys_and_values(self, source: Tensor) -> Cache:
        """Keys and values (R, d) each, of a source's rows (R, d)."""
        k, v = self._mapped(source, slice(self.embed_dim, None)).chunk(2, 1)
        return k, v

    def weights(self, x: Tensor, keys: Tensor, pairs: Pairs) -> Tensor:
        """(heads, T, N, S): how much of each source step is in the mean of each target step, zero where padded."""
        q = self.queries(x)
        found = q.new_zeros(self.num_heads, pairs.target.T, pairs.target.N, pairs.source.T)
        for target, source in pairs.groups:
            a, b = self._heads(q, target), self._heads(keys, source)
            each = torch.softmax(a @ b.transpose(2, 3) * self.head_dim**-0.5, 3)
            members = list(target.members)
            found[:, : target.length, members, : source.length] = each.permute(1, 2, 0, 3)
        return found

    def _attended(self, q: Tensor, memory: Cache, target: Group, source: Group) -> Tensor:
        """(n L, d) of the sequences of a group, all at once."""
        if not source.length:
            return q.new_zeros(target.sequences * target.length, self.embed_dim)
        queries, keys, values = self._heads(q, target), *(self._heads(part, source) for part in memory)
        said = attended(queries, keys, values, None, self.drops)
        return said.transpose(1, 2).reshape(target.sequences * target.length, self.embed_dim)

    def _heads(self, part: Tensor, group: Group) -> Tensor:
        """(n, heads, L, d / heads) of a group's rows."""
        return part[group.rows].view(group.sequences, group.length, self.num_heads, self.head_dim).transpose(1, 2)


def attended(
    queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, dropout: float, *, is_causal: bool = False
) -> Tensor:
    """softmax(Q K^T / sqrt(d)) V of (n, heads, L, d), with dropout of the weights.

    mask: (L, S), which keys a query sees, at least one; None: all, or with `is_causal` those up to its own place
    """
    if not dropout:
        return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, is_causal=is_causal)
    scores = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-2, -1)
    if is_causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return quick_dropout(torch.softmax(scores, -1), dropout) @ values


def _refuse_sizes(embed_dim: int, num_heads: int, dropout: float) -> None:
    if num_heads < 1 or embed_dim < 1 or embed_dim % num_heads:
        raise ConfigError(f"num_heads: {num_heads} do not divide {embed_dim}; expected a divisor, from 1 on.")
    if not 0 <= dropout <= 1:
        raise ConfigError(
            f"attention_dropout: expected a probability from 0 to 1, got {dropout}; where it is left out it is dropout."
        )


def _refuse_window(window: int, *, causal: bool) -> None:
    if type(window) is not int or window < 0:
        raise ConfigError(f"window: expected a whole number of steps from 0 on, 0 being all, got {window!r}.")
    if window and not causal:
        raise ConfigError(
            f"window: {window} has no effect where a step sees later ones; leave it out, or make the layer with "
            "causal=True."
        )
