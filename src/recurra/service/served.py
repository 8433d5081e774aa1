"""The runs that are served, by name, and what each can do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from recurra.api.answering import device_of, outputs
from recurra.api.folder import Run, open_run
from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, RunError
from recurra.service.refusals import RefusedError

Runs = Mapping[str, "Served"]


@dataclass(frozen=True, slots=True)
class Served:
    """One run under its name, ready to answer."""

    name: str
    word: str
    run: Run
    device: torch.device

    @property
    def input_field(self) -> str:
        """The field of a record that the run reads."""
        return self.run.settings.plan.input_field

    @property
    def report(self) -> Path:
        """report.html of the run; it need not be there."""
        return self.run.folder.path / "report.html"

    @property
    def parameters(self) -> int:
        """Numbers that were learned."""
        return sum(p.numel() for p in self.run.model.parameters())


def open_runs(paths: Iterable[Path], *, device: str = "auto", cells: Iterable[Path] = ()) -> dict[str, Served]:
    """The runs, each under the name of its folder; each has answered once, so that a broken one is found now.

    Raises RunError for a folder that is no trained run or gives no finite numbers, ConfigError for two of one name.
    """
    target, kept = device_of(device), tuple(cells)
    found: dict[str, Served] = {}
    for path in paths:
        name = path.resolve().name
        if name in found:
            raise ConfigError(
                f"{path}: a run named '{name}' is served already; runs are chosen by the names of their folders. "
                "Rename one folder."
            )
        found[name] = _open(name, path, target, kept)
    return found


def _open(name: str, path: Path, device: torch.device, cells: tuple[Path, ...]) -> Served:
    run = open_run(path, cells)
    run.model.to(device)
    served = Served(name, str(run.settings.tree["task"]["name"]), run, device)
    bad = next((key for key, t in run.model.state_dict().items() if not torch.isfinite(t).all()), None)
    if bad is not None:
        raise RunError(f"{path}: its weight '{bad}' holds numbers that are not finite. Train again.")
    task = run.task.draft
    outputs(run.model, task, [task.example(first_record(served), gold=False)], device=device)
    return served


def first_record(served: Served) -> Record:
    """Something to answer before anybody asks: for music a rest, for others a short text."""
    return Record({served.input_field: "-"}, Origin("start"))


def chosen(runs: Runs, name: str | None) -> Served:
    """The run of that name; the only one, where no name is given. Raises RefusedError, 404 or 422."""
    if name is None and len(runs) == 1:
        return next(iter(runs.values()))
    if name is None:
        raise RefusedError(422, f"model: is missing, and several are served. Known: {', '.join(runs)}.")
    if name not in runs:
        raise RefusedError(404, f"model: there is none of this name. Known: {', '.join(runs)}.")
    return runs[name]


def records_of(served: Served, texts: list[str] | None, records: list[dict[str, Any]] | None) -> list[Record]:
    """Texts and rows of a request as records; a text goes where the run's data has its texts."""
    if texts is not None:
        return [Record({served.input_field: text}, Origin(f"texts[{n}]")) for n, text in enumerate(texts)]
    return [Record(fields, Origin(f"records[{n}]")) for n, fields in enumerate(records or [])]
