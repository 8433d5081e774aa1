"""A whole sequence to the logits of labels."""

from __future__ import annotations

from typing import ClassVar

from recurra.models.heads.pooled import PooledHead


class LabelHead(PooledHead):
    """Sequence classification: the steps become one vector (pooling), from which a linear layer scores each label.

    outputs: "logits" (N, L), L = sizes["labels"].
    """

    output_name: ClassVar[str] = "logits"
    size_name: ClassVar[str] = "labels"
