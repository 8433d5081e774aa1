"""A whole sequence to numbers."""

from __future__ import annotations

from typing import ClassVar

from recurra.models.heads.pooled import PooledHead


class NumbersHead(PooledHead):
    """Regression of a sequence: the steps become one vector (pooling), from which a linear layer says each number.

    outputs: "numbers" (N, D), D = sizes["targets"], in units of the targets' deviation.
    """

    output_name: ClassVar[str] = "numbers"
    size_name: ClassVar[str] = "targets"
