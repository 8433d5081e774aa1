"""Whole networks made of layers. Each takes a Batch and returns a Prediction; none knows a label or a loss.

classifier   a sequence to one vector of logits
"""

from __future__ import annotations

from torch import nn

from recurra.base.registry import Registry
from recurra.models.classifier import Classifier

MODELS: Registry[type[nn.Module]] = Registry("model")
MODELS.add("classifier", Classifier)

__all__ = ["MODELS", "Classifier"]
