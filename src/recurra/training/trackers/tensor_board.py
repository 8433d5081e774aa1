"""TensorBoard: event files in the folder `tensorboard` of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recurra.base.optional import needs
from recurra.training.trackers.contract import flat


class TensorBoard:
    """Writes event files. A resumed run takes back what was written after its checkpoint."""

    def __init__(self, run: Path, config: Mapping[str, Any], step: int) -> None:
        self.refuse_missing()
        writers = needs("torch.utils.tensorboard", "tensorboard", "training.trackers: tensorboard")
        self._writer = writers.SummaryWriter(str(run / "tensorboard"), purge_step=step + 1 if step else None)
        if not step:
            rows = "\n".join(f"| {name} | {value} |" for name, value in flat(config))
            self._writer.add_text("config", f"| option | value |\n|---|---|\n{rows}")

    @staticmethod
    def refuse_missing() -> None:
        needs("tensorboard", "tensorboard", "training.trackers: tensorboard")

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def end(self) -> None:
        self._writer.close()
