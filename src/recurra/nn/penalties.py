"""Penalties on what the last recurrent layer gives out: on its size, and on how much it changes from step to step."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def activation_penalties(outputs: Mapping[str, Tensor], real: Tensor) -> Tensor:
    """count (alpha mean d_t^2 + beta mean (h_t - h_{t-1})^2): what to add to the sum of nats of `count` real steps.

    outputs: "hidden" (T, N, D), d, after dropout; in training with penalties also "activation" (T, N, D), h, before it,
    and the strengths "penalty.activation" (alpha) and "penalty.temporal" (beta). A scalar; 0 without strengths.
    real: (T, N) bool. Means are over the real steps, or pairs of them, and D.
    Sources: Merity, McCann & Socher 2017, arXiv:1708.01009, section 3; Merity et al. 2017, arXiv:1708.02182, section
    4.6. Both write a norm; means of squares do not depend on the sizes of a batch.
    """
    total = outputs["hidden"].new_zeros(())
    count = int(real.sum())
    if (alpha := outputs.get("penalty.activation")) is not None and count:
        total = total + count * alpha * outputs["hidden"][real].square().mean()
    # A row is real from its first step on, so step t is real only where t - 1 is.
    if (beta := outputs.get("penalty.temporal")) is not None and bool(real[1:].any()):
        h = outputs["activation"]
        total = total + count * beta * (h[1:] - h[:-1])[real[1:]].square().mean()
    return total
