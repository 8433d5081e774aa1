"""Weights & Biases: offline, in the folder `wandb` of a run, unless WANDB_MODE says otherwise."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recurra.base.optional import needs
from recurra.training.trackers.contract import flat


class WeightsAndBiases:
    """Logs to one run, whose id follows from the run's folder, so that a resumed training goes on with it."""

    def __init__(self, run: Path, config: Mapping[str, Any], step: int) -> None:
        wandb = needs("wandb", "wandb", "training.trackers: wandb")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or "recurra",
            name=run.resolve().name,
            id=hashlib.sha256(str(run.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16],
            dir=str(run),
            config=dict(flat(config)),
            mode=os.environ.get("WANDB_MODE") or "offline",
            resume="allow" if step else None,
        )

    @staticmethod
    def refuse_missing() -> None:
        needs("wandb", "wandb", "training.trackers: wandb")

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def end(self) -> None:
        self._run.finish()
