"""A Transformer: each step is a weighted mean of the steps that it sees, layer on layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.engine.kept_plan import KeptPlan
from recurra.engine.transformer import EncoderPlan
from recurra.models import options as o
from recurra.models.contract import Encoded, Ends, Layer, Step
from recurra.models.encoders.convolutional import last_real
from recurra.nn import SteadyLinear
from recurra.nn.dropout import QuickDropout
from recurra.nn.transformer import Rows, TransformerEncoderLayer
from recurra.nn.transformer.attention import Cache
from recurra.nn.transformer.hooks import is_watched
from recurra.nn.transformer.layers import NORMS, of_kind
from recurra.nn.transformer.positions import Places, unused_positions
from recurra.nn.transformer.steps import PackedSteps
from recurra.nn.transformer.whole import through


class Transformer(nn.Module):
    """Layers of attention over all steps, or over those before: x (T, N, I) to outputs (T, N, hidden_size).

    Vectors of steps come to hidden_size by a linear map where they have another size, and are multiplied by its root
    where positions are added (Vaswani et al. 2017, arXiv:1706.03762, section 3.4). norm_first puts each norm in front
    of its part and one behind the last layer, and trains without warm-up (Xiong et al. 2020, arXiv:2002.04745).
    Nothing is computed for padding, and a row has the same bits alone and in any batch. The summary is the last step
    of a causal one, else the mean of all: of steps that see everything no single one is the whole.
    causal: it may come piece by piece: the keys and values of the last `window` steps are its state, "k_l0", "v_l0",
    and "steps_l0", how many steps there have been. Pieces have the bits of the whole, but for rotary positions of a
    sequence longer than the window: angles count from the first step that a piece knows, and scores, which depend on
    distances alone, differ by rounding. So do the steps of `incremental`, one native call each without gradients.
    Raises ConfigError for options that cannot take effect.
    """

    def __init__(
        self,
        input_size: int,
        *,
        hidden_size: o.HiddenNumbers = 128,
        num_layers: o.NumLayers = 2,
        num_heads: o.NumHeads = 4,
        feed_forward_size: o.FeedForwardSize = None,
        activation: o.Activation = "gelu",
        norm: o.Norm = "layer",
        norm_first: o.NormFirst = True,
        positions: o.PositionsOption = "sinusoid",
        max_positions: o.MaxPositions = None,
        causal: Annotated[
            bool, Opt("a step sees what is before it alone, so that a sequence may come in pieces")
        ] = False,
        window: Annotated[
            int | None, Opt("steps that a step sees, with causal: itself and those before; null: 256", ge=1, le=65_536)
        ] = None,
        dropout: o.PartDropout = 0.1,
        attention_dropout: o.AttentionDropout = 0.0,
    ) -> None:
        super().__init__()
        if found := _problems(positions, max_positions, causal, window):
            raise ConfigError(found)
        self.output_size, self.causal, self.positions = hidden_size, causal, positions
        self.window = (window or 256) if causal else 0
        self.project = SteadyLinear(input_size, hidden_size) if input_size != hidden_size else nn.Identity()
        self.places = Places(hidden_size, positions, max_positions)
        self.blocks = nn.ModuleList(
            TransformerEncoderLayer(
                hidden_size,
                num_heads,
                feed_forward_size or 4 * hidden_size,
                dropout,
                activation,
                norm_first=norm_first,
                norm=norm,
                attention_dropout=attention_dropout,
                causal=causal,
                window=self.window,
                rotary=positions == "rotary",
            )
            for _ in range(num_layers)
        )
        self.norm = NORMS[norm](hidden_size, eps=1e-5) if norm_first else nn.Identity()
        self.dropout = QuickDropout(dropout)
        self.kept_plan: KeptPlan[EncoderPlan] = KeptPlan()

    def most_steps(self, states: Mapping[str, Tensor]) -> int | Tensor | None:
        """Steps behind these states, of each row (N,) or of all, that have a position; None: any number."""
        if self.places.most is None or "steps_l0" not in states:
            return self.places.most
        return self.places.most - states["steps_l0"][:, 0].to(torch.int64)

    def forward(self, x: Tensor, lengths: Tensor, states: Mapping[str, Tensor]) -> Encoded:
        if torch.is_grad_enabled():
            self.kept_plan.drop()
        before = [int(n) for n in states["steps_l0"][:, 0].tolist()] if "steps_l0" in states else [0] * x.shape[1]
        rows = Rows.of(len(x), lengths, [min(n, self.window) for n in before])
        y = self._placed(rows.packed(x), rows, before)
        if not self.causal:
            y = through(self.blocks, y, rows, self.norm)
            return Encoded(rows.padded(y), lengths, rows.means(y), {})
        after: dict[str, Tensor] = {}
        for k, block in enumerate(of_kind(TransformerEncoderLayer, self.blocks)):
            cache = self._cache(states, k, x.shape[1], y)
            y, keys, values = block.with_keys(y, rows, cache)
            after |= {
                f"{n}_l{k}": self._kept(*pair, rows)
                for n, pair in zip("kv", zip((keys, values), cache, strict=True), strict=True)
            }
        outputs = rows.padded(self.norm(y))
        counts = torch.tensor(before, dtype=torch.int64, device=x.device) + lengths
        after["steps_l0"] = counts.to(x.dtype).unsqueeze(1)
        return Encoded(outputs, lengths, last_real(outputs, lengths), after)

    def _placed(self, x: Tensor, rows: Rows, before: list[int]) -> Tensor:
        """(S, hidden_size): vectors of steps with their positions."""
        at = (
            rows.steps + torch.tensor(before, dtype=torch.int64, device=x.device)[rows.place % rows.N]
            if any(before)
            else rows.steps
        )
        x = self.places(self.project(x), at)
        found: Tensor = self.dropout(x)
        return found

    def _cache(self, states: Mapping[str, Tensor], layer: int, N: int, like: Tensor) -> Cache:
        """Keys and values (N, W, d) of the steps before, the latest last; zeros where there were none."""
        shape = (N, self.window, self.output_size)
        each = [states.get(f"{name}_l{layer}") for name in "kv"]
        keys, values = (like.new_zeros(shape) if one is None else one.view(shape) for one in each)
        return keys, values

    def _kept(self, new: Tensor, old: Tensor, rows: Rows) -> Tensor:
        """(N, W d): the last W of what was known (N, W, d) and of the rows (S, d) that came."""
        if len(rows.groups) == 1 and rows.groups[0].sequences == len(old):
            came = new.view(len(old), rows.groups[0].length, -1)[:, -self.window :]
            return torch.cat([old[:, came.shape[1] :], came], 1).flatten(1)
        found = old.clone()
        for group in rows.groups:
            came = new[group.rows].view(group.sequences, group.length, -1)
            members = list(group.members)
            found[members] = torch.cat([old[members], came], 1)[:, -self.window :]
        return found.flatten(1)

    def state_sizes(self) -> Mapping[str, int]:
        if not self.causal:
            return {}
        width = self.window * self.output_size
        return {"steps_l0": 1} | {f"{name}_l{k}": width for k in range(len(self.blocks)) for name in "kv"}

    def incremental(self) -> Step:
        if not self.causal:
            raise ConfigError(self.cannot_stream())

        # Dropout that is on alone, and hooks, are what the whole has too.
        packed = None if is_watched(self) else PackedSteps.of(self.blocks, self.norm, self.window, self.kept_plan)

        def step(x: Tensor, states: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
            if packed is not None and packed.takes(x, states):
                return self._packed_step(packed, x, states)
            found = self(x.unsqueeze(0), torch.ones(len(x), dtype=torch.int64, device=x.device), states)
            return found.summary, dict(found.states)

        return step

    def _packed_step(
        self, packed: PackedSteps, x: Tensor, states: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        counts = states["steps_l0"] if "steps_l0" in states else x.new_zeros(len(x), 1)
        seen = counts[:, 0].to(torch.int64)
        shape = (len(x), self.window, self.output_size)
        before = [
            [None if (one := states.get(f"{name}_l{k}")) is None else one.view(shape) for name in "kv"]
            for k in range(len(self.blocks))
        ]
        said, kept = packed.step(self.places(self.project(x), seen), seen, before)
        after = {
            f"{name}_l{k}": one.flatten(1) for k, pair in enumerate(kept) for name, one in zip("kv", pair, strict=True)
        }
        return said, after | {"steps_l0": counts + 1}

    def ends(self) -> Ends:
        return Ends({}, 0, self.output_size)

    def layers(self) -> list[Layer]:
        return [dict(block.named_parameters()) for block in self.blocks]

    def cannot_stream(self) -> list[str]:
        if self.causal:
            return []
        return ["causal: each step sees all of a sequence, later ones too; train with causal: true to stream."]


def _problems(positions: str, max_positions: int | None, causal: bool, window: int | None) -> list[str]:
    found = unused_positions(positions, max_positions)
    if window is not None and not causal:
        found.append("window: has no effect without causal, where a step sees all; leave it out.")
    return found
