"""What is a film, by names alone: a video, or a folder of pictures. Loads no package, as formats must not."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from recurra.base.contracts import Origin
from recurra.base.errors import DataError

# Of pictures, and of videos.
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v")


def is_film(path: Path) -> bool:
    """Whether a path is a video by its name, or a folder of pictures."""
    if path.is_dir():
        return bool(pictures_in(path))
    return path.suffix.lower() in VIDEOS


def names_film(value: Any, origin: Origin) -> bool:
    """Whether a value of a file names a film, relative to that file."""
    if not isinstance(value, str | Path) or not str(value).strip() or len(str(value)) > 1000:
        return False
    return is_film(Path(origin.path).parent / str(value).strip())


def pictures_in(folder: Path) -> list[str]:
    """The names of pictures in a folder, numbers in them by their value."""
    try:
        names = [name for name in os.listdir(folder) if name.lower().endswith(SUFFIXES) and not name.startswith(".")]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}.") from None
    return sorted(
        names, key=lambda name: [(int(p), "") if p.isdecimal() else (-1, p) for p in re.split(r"(\d+)", name)]
    )
