"""log.jsonl: one JSON object a line, appended as training goes, and cut back on a resume so that nothing is twice."""

from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path

from recurra.base.atomic import replacing
from recurra.base.errors import TrainingError

Value = str | int | float | bool | None


class Log:
    """Appends lines to `path`, after its first `keep` whole lines; `lines` is their number now.

    A checkpoint holds `lines`. Lines written after it would be written again by the resumed run, so they are cut;
    counting lines, not steps, also covers a line of scores that belongs to the step of the checkpoint itself.
    """

    def __init__(self, path: Path, *, keep: int = 0) -> None:
        kept = whole_lines(path)[:keep]
        with replacing(path) as file:
            file.write(b"".join(kept))
        self._path = path
        self.lines = len(kept)

    def write(self, **values: Value) -> None:
        """Append one line. NaN and infinity become null: JSON has no words for them."""
        clean = {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in values.items()}
        line = json.dumps(clean, ensure_ascii=False, allow_nan=False) + "\n"
        append(self._path, line.encode("utf-8"))
        self.lines += 1


def append(path: Path, line: bytes) -> None:
    """Add `line` at the end, or leave the file as it was and raise TrainingError (a full disk)."""
    # A kill can tear this line, never one before it.
    with open(path, "ab", buffering=0) as file:
        before = file.tell()
        try:
            written = file.write(line)
            if written != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            file.truncate(before)
            raise TrainingError(
                f"{path}: not written: {error.strerror}; {len(line)} bytes needed. Free some space, then resume."
            ) from error


def read(path: Path) -> list[dict[str, Value]]:
    """All whole lines of a log, also while it is being written; a torn last line is left out."""
    return [json.loads(line) for line in whole_lines(path)]


def whole_lines(path: Path) -> list[bytes]:
    """The lines up to the first that is torn or not JSON; none if there is no file."""
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines(keepends=True)
    torn = next((i for i, line in enumerate(lines) if not _is_whole(line)), len(lines))
    return lines[:torn]


def _is_whole(line: bytes) -> bool:
    try:
        return line.endswith(b"\n") and isinstance(json.loads(line), dict)
    except ValueError:
        return False
