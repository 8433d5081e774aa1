"""A decoder of attention, packed for one step after another: each is one native call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recurra.engine.kept_plan import KeptPlan
from recurra.engine.transformer import DecoderPlan, StepOfRows, WrittenOn, can_step, can_write_on, weights_of
from recurra.nn import Embedding, SteadyLinear
from recurra.nn.transformer import TransformerDecoderLayer
from recurra.nn.transformer.hooks import is_hooked
from recurra.nn.transformer.numbers import decoder_layer_numbers, linear_numbers, norm_numbers, tensors_of
from recurra.nn.transformer.positions import Places, turns

# Steps whose positions are made at once.
STEPS = 32


@dataclass(frozen=True, slots=True)
class Written:
    """What a step reads of those before it and of the sources, and where it writes, as `StepOfRows` has them."""

    held: Tensor
    room: int
    source: Tensor
    places: Tensor
    layers: Sequence[tuple[Tensor, Tensor, Tensor, Tensor]]


class PackedDecoder:
    """A decoder's parts with the weights of the time when it was made, for steps without gradients."""

    def __init__(self, plan: DecoderPlan, places: Places, turned: int) -> None:
        self._plan, self._positions, self._turned = plan, places, turned
        self._places = self._turns = plan.table.new_empty(0, 0)

    @classmethod
    def of(
        cls,
        whole: nn.Module,
        *,
        embedding: Embedding,
        places: Places,
        layers: Sequence[TransformerDecoderLayer],
        norm: nn.Module,
        output: SteadyLinear,
        kept: KeptPlan[DecoderPlan],
    ) -> PackedDecoder | None:
        """Of the parts of a decoder, `whole`; None where the readable path takes its steps.

        kept: where packed weights stay for the next search
        That is so with gradients, for other types and devices, for parts, or hooks, that native code does not know, and
        for sizes that do not fit.
        """
        numbers = [found for layer in layers if (found := decoder_layer_numbers(layer)) is not None]
        last = norm_numbers(norm)
        if len(numbers) < len(layers) or not numbers or last is None or is_hooked(whole):
            return None
        ends = [t for t in (embedding.weight, last.weight, last.bias, output.weight, output.bias) if t is not None]
        if not can_step([*ends, *(t for one in numbers for t in tensors_of(one))]):
            kept.drop()  # of a model that has gone to another type or device
            return None
        (V, d), map_to_tokens = embedding.weight.shape, linear_numbers(output)
        if not (
            map_to_tokens.fits(V, d) and last.fits(d) and all(one.fits(d) for one in numbers) and _are_alike(layers)
        ):
            return None
        first = layers[0].self_attn

        def packed() -> DecoderPlan:
            return DecoderPlan(
                numbers,
                last,
                map_to_tokens,
                table=embedding.weight,
                scale=places.scale,
                num_heads=first.num_heads,
            )

        copied, read, words = weights_of(numbers, [last], map_to_tokens)
        plan = kept.of(copied, [embedding.weight, *read], (words, places.scale, first.num_heads), packed)
        return cls(plan, places, first.head_dim if first.rotary else 0)

    def log_probs(self, tokens: Tensor, read: Written) -> Tensor:
        """(B, V) of what comes after tokens (B,)."""
        return self._plan.step(self._rows(tokens, read))

    def best(self, tokens: Tensor, read: Written, k: int) -> tuple[Tensor, Tensor]:
        """The k greatest log-probabilities (B, k), the first of equals first, and their tokens."""
        return self._plan.best(self._rows(tokens, read), k)

    def write_on(
        self, tokens: Tensor, read: Written, *, steps: int, end: int, left: Tensor, never: Sequence[int]
    ) -> WrittenOn | None:
        """Up to so many steps of a greedy search, as `DecoderPlan.write_on` makes them; None of an older engine."""
        if not can_write_on():
            return None
        rows = self._rows(tokens, read, steps)
        return self._plan.write_on(rows, end=end, left=left.to(torch.int64).contiguous(), never=never)

    def _rows(self, tokens: Tensor, read: Written, steps: int | None = None) -> StepOfRows:
        """Of one step; or of several, with positions for all of them, or for as many as have been made."""
        at = len(read.held)
        if at >= len(self._places):
            self._extend(at)
        where = at if steps is None else slice(at, at + steps)
        turn = self._turns[where] if self._turned else None
        tokens = tokens.to(torch.int64).contiguous()
        place = self._places[where]
        return StepOfRows(tokens, place, turn, read.held, read.room, read.source, read.places, read.layers)

    def _extend(self, at: int) -> None:
        """Make positions up to step `at` and beyond, as far as there are any; refuse a step that has none."""
        table = self._positions.table
        most = max(2 * at, STEPS) if table is None else min(max(2 * at, STEPS), table.num_embeddings)
        like, steps = self._plan.table, torch.arange(max(most, at + 1), device=self._plan.table.device)
        self._places = self._positions(like.new_zeros(len(steps), like.shape[1]), steps).contiguous()
        if self._turned:
            self._turns = turns(steps, self._turned, like)


def _are_alike(layers: Sequence[TransformerDecoderLayer]) -> bool:
    """Whether attention is cut into as many heads everywhere, and turned in all layers or none."""
    itself = {(one.self_attn.embed_dim, one.self_attn.num_heads, one.self_attn.rotary) for one in layers}
    across = {(one.multihead_attn.embed_dim, one.multihead_attn.num_heads) for one in layers}
    return len(itself) == 1 and across == {kind[:2] for kind in itself}
