"""One rank of a training whose ranks a launcher has started, on one host or several: torchrun, srun, mpirun.

Every rank reads the config and the data where it is; only the first one reads and writes the run folder. What a resumed
run needs of that comes to the others as bytes, into a folder that is removed when they end: hosts need share no disk.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from recurra.api.folder import add_cells, open_settings
from recurra.api.inference import device_of
from recurra.api.places import RunFolder, recognised
from recurra.api.schema import read_settings
from recurra.api.training_run import TrainingRun, refuse_taken, resume_from, start
from recurra.base.contracts import Callback
from recurra.base.errors import ConfigError, RecurraError
from recurra.base.launchers import Place, place_of
from recurra.training import Checkpoints, FolderLock, Group, Meeting, choose_interface

# What is sent at once; the rest of a file follows.
PIECE = 2**24


@dataclass(frozen=True, slots=True)
class Joined:
    """This process as one of those that a launcher has started; `here` finds it.

    timeout: seconds without a heartbeat before a rank counts as gone, and all end
    auto_resume: resume the run in `out` where there is one of this config, else begin it
    """

    place: Place
    timeout: float = 60.0
    auto_resume: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.timeout <= 86_400:
            raise ConfigError(f"rank timeout: expected 1 to 86,400 seconds, got {self.timeout:g}.")

    @classmethod
    def here(cls, timeout: float = 60.0, *, auto_resume: bool = False) -> Joined | None:
        """As the environment describes this process; None where it was started alone. Raises ConfigError."""
        place = place_of(os.environ)
        return None if place is None else cls(place, timeout, auto_resume)


@dataclass(frozen=True, slots=True)
class Order:
    """What a call of `train` or `resume` asks for. config: None to resume      out: the run folder, on the first host

    device: a word, of which each rank takes its own
    """

    config: Path | Mapping[str, Any] | None
    out: Path
    overrides: Sequence[str]
    seed: int | None
    cells: Sequence[Path]
    device: str


class Rank:
    """This process among all ranks, which have met."""

    def __init__(self, joined: Joined, order: Order, watch: Callback) -> None:
        self.place, self._order, self._watch = joined.place, order, watch
        self.device = device_for(order.device, joined.place)
        choose_interface(joined.place)
        self.meeting = Meeting(joined.place, joined.timeout)
        self.group = Group(joined.place.number, joined.place.size, self.meeting.store, self.device.type)
        self._auto = joined.auto_resume
        self._stack = ExitStack()

    @property
    def first(self) -> bool:
        return self.place.number == 0

    def made(self, folder: RunFolder) -> TrainingRun:
        """Begin the run or resume it, as the first rank finds it."""
        order, watch = self._order, self._watch
        add_cells(order.cells)
        if self.first:
            self._stack.enter_context(FolderLock(folder.path, watch.note))
        there = self.first and (order.config is None or (self._auto and folder.mark.exists()))
        if bool(self.group.from_first([float(there)])[0]):
            return self._resumed(folder)
        assert order.config is not None
        settings = read_settings(order.config, order.overrides, order.seed)
        if self.first:
            refuse_taken(folder, order.config)
        return start(folder, settings, self.device, watch, self.group)

    def _resumed(self, folder: RunFolder) -> TrainingRun:
        order = self._order
        here = folder if self.first else RunFolder(Path(self._stack.enter_context(_temporary())))
        _share(self.group, folder, here, first=self.first)
        recognised(here.path)
        if order.config is None:
            _, settings = open_settings(here.path, order.cells, order.overrides)
        else:  # what differs from the run is refused, or said
            settings = read_settings(order.config, order.overrides, order.seed)
        return resume_from(here, settings, self.device, self._watch, self.group)

    def told_by_another(self, error: RecurraError) -> bool:
        """Whether another rank has said these words: what is wrong everywhere is said once."""
        return not self.meeting.says_first(str(error))

    def agreed(self, numbers: Sequence[float]) -> list[float]:
        """The first rank's numbers, once it is done with everything; then all may end."""
        found = self.group.from_first(numbers)
        self.meeting.leave()
        self.group.leave()
        return found

    def close(self) -> None:
        """Let go of the run folder, the heartbeat and the group, and remove what is of this process alone.

        A process that goes on after an error is no rank any more: the others must not wait for it, nor end it.
        """
        self._stack.close()
        self.meeting.leave()
        self.group.end()


@contextmanager
def _temporary() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="recurra-rank-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def device_for(word: str, place: Place) -> torch.device:
    """A rank's own device: of several of CUDA the one of its number on this host. Raises ConfigError."""
    device = device_of(word)
    if device.type != "cuda" or ":" in word:
        return device
    if place.local >= torch.cuda.device_count():
        raise ConfigError(
            f"device cuda: rank {place.number} is number {place.local + 1} on its host, which has "
            f"{torch.cuda.device_count()}; start one process for each, or take --device cpu."
        )
    torch.cuda.set_device(place.local)
    return torch.device("cuda", place.local)


def _share(group: Group, folder: RunFolder, here: RunFolder, *, first: bool) -> None:
    """The files that a resumed run is made from, from the first rank's folder to where the others have none."""
    names = _needed(folder) if first else []
    for name in json.loads(group.bytes_from(0, json.dumps(names).encode() if first else None)):
        if first:
            _send(group, folder.path / name)
        else:
            _receive(group, here.path / ("last.ckpt" if name.endswith(".ckpt") else name))


def _needed(folder: RunFolder) -> list[str]:
    """The mark, the config, a cell, and the newest good checkpoint."""
    found = Checkpoints(folder.path).newest()
    paths = [folder.mark, folder.config, folder.cell, *([found.path] if found else [])]
    return [path.name for path in paths if path.is_file()]


def _send(group: Group, path: Path) -> None:
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            group.bytes_from(0, piece)
    group.bytes_from(0, b"")


def _receive(group: Group, path: Path) -> None:
    with open(path, "wb") as file:
        while piece := group.bytes_from(0, None):
            file.write(piece)
