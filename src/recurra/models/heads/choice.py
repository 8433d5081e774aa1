"""A whole sequence to one number: how well a choice fits."""

from __future__ import annotations

from typing import ClassVar

from recurra.models.heads.pooled import PooledHead


class ChoiceHead(PooledHead):
    """Multiple choice: the steps become one vector (pooling), from which a linear layer says how well the choice fits.

    outputs: "choice_logits" (R, 1), a row for each choice of each question; sizes["scores"] is 1.
    """

    output_name: ClassVar[str] = "choice_logits"
    size_name: ClassVar[str] = "scores"
