"""What a tracker is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable


class Tracker(Protocol):
    """Keeps the numbers of a training somewhere else than in its folder. What it raises is said, and ends it alone."""

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers after a step: `train/loss`, `train/lr`, `dev/accuracy`, ..."""

    def end(self) -> None:
        """The training has ended, or was stopped; it may be resumed later."""


class TrackerMaker(Protocol):
    """Makes a tracker. run: the folder of the run      config: its settings      step: steps done, of a resumed run"""

    def __call__(self, run: Path, config: Mapping[str, Any], step: int) -> Tracker: ...


@runtime_checkable
class NeedsPackage(Protocol):
    """A tracker whose package may be missing."""

    @staticmethod
    def refuse_missing() -> None:
        """Raise ConfigError, with the command to install it."""


def plain(name: str) -> str:
    """A score's name as every tracker takes it: `f1[spam mail]` becomes `f1/spam mail`."""
    return re.sub(r"[^\w\-./ ]", "_", name.replace("[", "/").removesuffix("]"))


def flat(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """The options of a config by their dotted paths."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value
