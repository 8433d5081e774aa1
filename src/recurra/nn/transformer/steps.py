"""A causal encoder, packed for one step after another: each is one native call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from recurra.engine.kept_plan import KeptPlan
from recurra.engine.transformer import EncoderPlan, can_run, can_step, weights_of
from recurra.nn.transformer.hooks import is_watched
from recurra.nn.transformer.layers import TransformerEncoderLayer
from recurra.nn.transformer.numbers import encoder_layer_numbers, norm_numbers, tensors_of
from recurra.nn.transformer.positions import turns


class PackedSteps:
    """Layers with the weights of the time when it was made, for steps without gradients."""

    def __init__(self, plan: EncoderPlan, turned: int) -> None:
        self._plan = plan
        like = torch.empty(0, dtype=torch.float32)
        self._turns = turns(torch.arange(plan.window), turned, like) if turned else None

    @classmethod
    def of(
        cls, layers: Sequence[nn.Module] | nn.ModuleList, norm: nn.Module, window: int, kept: KeptPlan[EncoderPlan]
    ) -> PackedSteps | None:
        """Of causal layers and a norm behind the last; None where the readable path takes their steps.

        kept: where packed weights stay for the next time.
        That is so with gradients, for other types and devices, and for parts, or hooks, that native code does not know.
        """
        blocks = [block for block in layers if isinstance(block, TransformerEncoderLayer)]
        numbers = [found for block in blocks if (found := encoder_layer_numbers(block)) is not None]
        last = norm_numbers(norm)
        if (
            not numbers
            or len(numbers) < len(layers)
            or last is None
            or is_watched(norm)
            or any(map(is_watched, blocks))
        ):
            return None
        tensors = [t for t in (last.weight, last.bias) if t is not None] + [
            t for one in numbers for t in tensors_of(one)
        ]
        first = blocks[0].self_attn
        alike = {(one.self_attn.embed_dim, one.self_attn.num_heads, one.self_attn.rotary) for one in blocks}
        if not can_step(tensors):
            kept.drop()  # of a model that has gone to another type or device
            return None
        if len(alike) > 1:
            return None
        if not last.fits(first.embed_dim) or not all(one.fits(first.embed_dim) for one in numbers):
            return None
        copied, read, words = weights_of(numbers, [last])
        plan = kept.of(
            copied,
            read,
            (words, window, first.num_heads),
            lambda: EncoderPlan(numbers, last, num_heads=first.num_heads, window=window),
        )
        return cls(plan, first.head_dim if first.rotary else 0)

    def takes(self, x: Tensor, states: Mapping[str, Tensor]) -> bool:
        """Whether a step of these rows, N of any number, is one native call."""
        return not torch.is_grad_enabled() and can_run([x, *states.values()])

    def step(
        self, x: Tensor, seen: Tensor, before: Sequence[Sequence[Tensor | None]]
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """As of `EncoderPlan`."""
        return self._plan.step(x, seen, before, self._turns)
