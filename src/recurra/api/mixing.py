"""The share of a model's wide part, fitted to dev after training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from recurra.api.inference import outputs
from recurra.api.prepare import Prepared
from recurra.api.trainer import Trainer
from recurra.base.contracts import Callback
from recurra.models import SequenceModel
from recurra.models.wide import Kernels, NoWide
from recurra.tasks import SolvesWide


def mix(trainer: Trainer, prepared: Prepared, watch: Callback) -> dict[str, str]:
    """Put the shares that fit dev into the model, and a fact that says what came of it; nothing for other models."""
    model, task, dev = trainer.model, prepared.task, prepared.splits["dev"]
    if not (isinstance(model, SequenceModel) and isinstance(task, SolvesWide)) or isinstance(model.wide, NoWide):
        return {}

    def said(wide: float, deep: float) -> list[Any]:
        model.wide.share.copy_(torch.tensor([wide, deep], dtype=torch.float32))
        return list(outputs(model, prepared.task, dev, device=trainer.device))

    def loss(rows: Sequence[Any]) -> str:
        return next(f"{s.value:.4g}" for s in prepared.task.score(rows, dev, "dev") if s.name == "log_loss")

    wide, deep = said(1, 0), said(0, 1)
    given = model.wide.given_share if isinstance(model.wide, Kernels) else None
    found = task.mixed(wide, deep, dev, given)
    both = said(found.first, found.second)
    how = "fitted" if given is None else f"a share of {given:g}, at temperatures that were fitted"
    sentence = (
        f"{model.wide.noun} {found.spread:.0%}, {_encoder(trainer)} {1 - found.spread:.0%} of the logits' variance, "
        f"{how} on {len(dev):,} dev rows; log loss {loss(wide)} and {loss(deep)} alone, {loss(both)} together"
    )
    watch.note(f"model.wide: {sentence}.")
    return {"wide and deep": sentence}


def _encoder(trainer: Trainer) -> str:
    return str(trainer.settings.tree["model"]["encoder"]["name"])
