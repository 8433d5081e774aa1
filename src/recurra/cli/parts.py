"""Predictions for many files: a folder with a part for each, so that a run that was killed goes on where it was.

`predictions.json` says of which run, input and options the parts are; a part is written whole or not at all, so one
that is there is done. Memory holds a thousand rows at a time, however long the files are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recurra.base.atomic import write_text
from recurra.base.words import counted
from recurra.cli.failures import UsageError
from recurra.cli.tables import TABLES, rows_of
from recurra.cli.terminal import say

if TYPE_CHECKING:
    from recurra.api import OpenRun
    from recurra.base.contracts import Listener
    from recurra.data.formats import Shard

MARK = "predictions.json"
# What parts are written as where their files are no tables of text.
USUAL = ".jsonl"
CONLL = ("conll", "conllu")
WHAT: Mapping[str, str] = {
    "run": "of another run, or of this one before it was trained again",
    "input": "of other files, or of these before they were changed",
    "weights": "made with other --weights",
    "options": "made with other options",
}


def write_parts(
    folder: Path,
    given: str,
    run: OpenRun,
    *,
    overrides: Sequence[str],
    options: Mapping[str, object],
    probabilities: str | None,
    weights: str,
    device: str,
    watch: Listener,
) -> int:
    """Answer all rows of all files of a name, a part for each file; return how many were answered now.

    Raises UsageError for a folder that holds something else.
    """
    from recurra import api
    from recurra.data.formats.sentences import LINE
    from recurra.training import FolderLock

    shards = _shards(given, folder)
    mark = {
        "run": run_digest(run),
        "input": [[shard.name, shard.size, shard.version] for shard in shards],
        "weights": weights,
        "options": {**options, "set": list(overrides), "probabilities": probabilities},
    }
    _refuse_other(folder, mark)  # so that no lock is made in a folder of somebody else
    number = 0
    with FolderLock(folder, watch.note, "predicting"):
        _refuse_other(folder, mark)  # as another process may have made it meanwhile
        write_text(folder / MARK, json.dumps(mark, indent=1, sort_keys=True) + "\n")
        parts = [(shard, folder / part_name(place, shard)) for place, shard in enumerate(shards)]
        waiting = [(shard, part) for shard, part in parts if not part.exists()]
        if done := len(parts) - len(waiting):
            say(f"{folder}: {counted(done, 'part')} of {len(parts):,} already there, and kept.")
        wanted = None if probabilities is None else probabilities == "all"
        columns = api.columns_of(run, probabilities=wanted, watch=watch)
        format = api.source_for(run, shards[0], overrides=overrides, watch=watch).format if waiting else ""
        without = (LINE,) if format in CONLL else ()
        for shard, part in waiting:
            source = api.source_for(run, shard, format=format, overrides=overrides, watch=watch)
            answers = api.answered(run, source, options=options, device=device, watch=watch)
            rows = rows_of(answers, columns, without=without, as_table=part.suffix != USUAL)
            made = TABLES[part.suffix](part, rows)
            if not made:
                watch.note(f"{shard}: has no row, and its part has none.")
            number += made
    return number


def part_name(place: int, shard: Shard) -> str:
    """The name of a file's part: its place among the files, its own name, and what it is written as."""
    name = shard.name.rstrip("/").rpartition("/")[2].removesuffix(".gz")
    stem, suffix = Path(name).stem, Path(name).suffix.lower()
    return f"{place:05}-{stem}{suffix if suffix in TABLES else USUAL}"


def run_digest(run: OpenRun) -> str:
    """SHA-256 of what a run answers with: its weights, its task and its config."""
    found = hashlib.sha256()
    for path in (run.folder.weights, run.folder.task, run.folder.config):
        with open(path, "rb") as file:
            found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()


def _shards(given: str, folder: Path) -> list[Shard]:
    """The files of the input but for those in the folder of the parts, which a glob such as `**/*.csv` finds too."""
    from recurra.data.formats import is_sharded, shards_of

    if not is_sharded(given):
        return [_whole(given)]
    ours = folder.resolve()
    found = [one for one in shards_of(given) if one.system or not Path(one.name).resolve().is_relative_to(ours)]
    if not found:
        raise UsageError(f"--input {given}: all of its files are in the folder of --output; choose another folder.")
    return found


def _whole(given: str) -> Shard:
    """A file, a folder, or files side by side, as one."""
    from recurra.data.formats import Shard
    from recurra.data.formats.parallel import is_pattern, parallel_paths

    path = Path(given)
    beside = parallel_paths(path).values() if is_pattern(path) else ()
    files = sorted(beside or (path.rglob("*") if path.is_dir() else [path]))
    stats = [(str(one), stat.st_size, stat.st_mtime_ns) for one in files if one.is_file() for stat in [one.stat()]]
    version = hashlib.sha256(json.dumps(stats).encode()).hexdigest()
    return Shard(given, sum(size for _, size, _ in stats), version=version)


def _refuse_other(folder: Path, mark: Mapping[str, Any]) -> None:
    path = folder / MARK
    if not path.exists():
        if folder.exists() and (not folder.is_dir() or any(not one.name.startswith(".") for one in folder.iterdir())):
            raise UsageError(f"--output {folder}: is there and holds no predictions; choose another folder.")
        return
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError:
        found = None
    for name, what in WHAT.items():
        if not isinstance(found, dict) or found.get(name) != json.loads(json.dumps(mark[name])):
            raise UsageError(f"--output {folder}: holds predictions {what}; choose another folder, or remove this one.")
