"""Where things are: the names in a run folder, and what can be said of a path before torch is imported.

`import torch` takes seconds, and a path that leads nowhere needs none of them; nor the 50 ms of configs and formats.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recurra import __version__
from recurra.base import plain_json
from recurra.base.errors import RunError
from recurra.base.shell import as_word

FORMAT = 2
# What a folder of several runs has in the place of run.json.
GROUP = "group.json"
# What the folder of a search over settings has.
STUDY = "search.json"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Names of the files in a run folder."""

    path: Path

    @property
    def mark(self) -> Path:
        return self.path / "run.json"

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def task(self) -> Path:
        return self.path / "task.json"

    @property
    def cell(self) -> Path:
        return self.path / "cell.json"

    @property
    def weights(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def examples(self) -> Path:
        return self.path / "examples.json"

    @property
    def findings(self) -> Path:
        return self.path / "findings.json"

    @property
    def log(self) -> Path:
        return self.path / "log.jsonl"

    @property
    def data(self) -> Path:
        """A folder with the data that a run was given as rows, and not as files; most runs have none."""
        return self.path / "data"

    @property
    def wish(self) -> Path:
        """There while another process asks the one that trains here to end the run with its best weights so far."""
        return self.path / ".finish"


def recognised(path: Path) -> RunFolder:
    """The folder of a run, of this format. Raises RunError."""
    folder = RunFolder(path)
    if not path.exists():
        raise RunError(f"{path}: no such folder; expected a run, as `recurra train` makes it.")
    if not folder.mark.is_file() and is_group(path):
        runs = read_json(path / GROUP).get("runs") or {"": []}
        raise RunError(
            f"{path}: a group of {len(runs)} runs, each with weights of its own. Name one of them: "
            f"{as_word(path / next(iter(runs)))}; its scores are beside the others' in {path / 'report.html'}."
        )
    if not folder.mark.is_file():
        raise RunError(f"{path}: not a run folder: it has no run.json. Expected a folder made by `recurra train`.")
    mark = read_json(folder.mark)
    if not isinstance(mark, Mapping) or type(mark.get("format")) is not int or mark["format"] < 1:
        raise RunError(f"{folder.mark}: damaged: expected a format and a version.")
    if mark["format"] > FORMAT:
        raise RunError(
            f"{path}: was written by recurra {mark.get('recurra')} in format {mark['format']}; this is {__version__}, "
            f"which reads formats up to {FORMAT}. Install the newer recurra."
        )
    if mark["format"] < FORMAT:
        raise RunError(
            f"{path}: was written by recurra {mark.get('recurra')} in format {mark['format']}, whose models had other "
            f"parts; expected format {FORMAT}. Train it again: recurra train CONFIG --out RUN, with the options of "
            f"its {folder.config.name} under model.inputs, model.encoder, model.head (docs/guide/config.md)."
        )
    return folder


def is_group(path: Path) -> bool:
    """Whether a folder holds several runs, of several seeds, folds or origins."""
    return (path / GROUP).is_file()


def is_search(path: Path) -> bool:
    """Whether a folder holds a search over settings."""
    return (path / STUDY).is_file()


def asks_for_runs(config: Path, overrides: Sequence[str] = ()) -> bool:
    """Whether a config is to be trained once for each fold, or each origin of a back-test."""
    from recurra.config import load, override

    data = override(load(config), overrides).tree.get("data")
    split = data.get("split") if isinstance(data, Mapping) else None
    if not isinstance(split, Mapping):
        return split in ("folds", "group_folds")
    if split.get("name") == "time":
        return split.get("refit") is not None and split.get("origin") is None
    return split.get("name") in ("folds", "group_folds") and split.get("fold") is None


def refuse_untrained(folder: RunFolder) -> None:
    """Raise RunError where training has not ended."""
    if not folder.weights.is_file():
        raise RunError(
            f"{folder.path}: has no model.safetensors: its training has not ended. Resume it with `recurra train "
            f"--resume {as_word(folder.path)}`, or end it with its best weights so far: `recurra finish "
            f"{as_word(folder.path)}`."
        )


def read_json(path: Path) -> Any:
    """A JSON file of a run folder. Raises RunError if it is missing, no file, too large or no JSON."""
    try:
        return plain_json.loads(read_file(path, plain_json.MAX_BYTES))
    except ValueError as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{path}: damaged: {error}. Copy the run folder again, or train again.") from None


def read_file(path: Path, limit: int) -> bytes:
    """All of a file, opened once: whoever replaces it meanwhile leaves the opened one whole.

    Raises RunError if it is missing, no file, cannot be read or has more bytes than the limit.
    """
    if not path.is_file():  # nor a pipe, which would wait for ever, nor a device, which never ends
        raise RunError(f"{path}: is missing; the run folder is not whole. Copy it again, or train again.")
    try:
        with open(path, "rb") as file:
            if (size := os.fstat(file.fileno()).st_size) > limit:
                raise RunError(f"{path}: has {size:,} bytes, expected at most {limit:,}.")
            return file.read(limit)
    except OSError as error:
        raise RunError(f"{path}: damaged: {error}. Copy the run folder again, or train again.") from None


def look_at_run(path: Path, *, trained: bool = True) -> None:
    """Raise RunError for what is no run folder, or, if `trained`, for one whose training has not ended."""
    folder = recognised(path)
    if trained:
        refuse_untrained(folder)


def look_at_config(path: Path, overrides: Sequence[str] = ()) -> None:
    """Raise ConfigError for a config that is missing or no YAML, and for a `--set` that is no setting at all."""
    from recurra.config import load, override

    override(load(path), overrides)


def look_at_file(path: Path) -> None:
    """Raise DataError for a data file that is missing, ConfigError for a folder of nothing that is known.

    A pattern, `train.{de,en}`, a glob and a URL are left to who reads them.
    """
    from recurra.data.formats import is_sharded, recognised
    from recurra.data.formats.lines import refuse_missing
    from recurra.data.formats.parallel import is_pattern

    if is_sharded(path):
        return
    if path.is_dir():
        recognised(path)
    elif not is_pattern(path):
        refuse_missing(path)
