"""The run folder: what it holds, how it is written, and how it is read back with suspicion.

run.json           format and version          config.yaml   resolved, every default written out
task.json          tokenizer, vocabulary, labels, data        cell.json   a user's cell, as data; only if there is one
model.safetensors  the best weights            log.jsonl     one line a few steps, one an epoch, one for the end
last.ckpt          to resume; until the run ends last.prev.ckpt and best.ckpt beside it
scores.json baselines.json report.html *.png   README.md   the model card
data/train.jsonl dev.jsonl test.jsonl   the rows of a run that was trained on rows in memory, to resume and score it
examples.json      a few texts of dev or test, to try the run with
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from recurra import __version__
from recurra.api.defaults import in_float32
from recurra.api.given import AnyPath, path_of, paths_of
from recurra.api.places import FORMAT, RunFolder, read_file, read_json, recognised, refuse_untrained
from recurra.api.schema import Settings, settings_of
from recurra.base.atomic import write_text
from recurra.base.errors import ConfigError, RunError
from recurra.cells import BUILT_IN, CELLS, Cell
from recurra.cells.user import cells_of
from recurra.config import override
from recurra.config import parse_bytes as parse_config
from recurra.config import write as config_text
from recurra.engine.compact import FLOAT32
from recurra.lower import equal, from_json, to_json, trace
from recurra.nn import quantize
from recurra.tasks import Task
from recurra.training import Checkpoints, check_weights, load_weights
from recurra.training.lock import FILE as LOCK
from recurra.training.log import read as read_log

# A config is read in Python, 4 us a byte: half a second for this. It is a few kilobytes, and more for class_weights.
MAX_CONFIG_BYTES = 128 * 2**10


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A trained run, ready to answer. fingerprint: of the data that it was trained on, as `prepare` makes it."""

    folder: RunFolder
    settings: Settings
    task: Task
    model: torch.nn.Module
    fingerprint: str


# Without its last line a YAML file is still one, of other options: defaults would take the place of what was cut off.
END = "# The end of this config; without this line it was cut short."


def describe(folder: RunFolder, settings: Settings) -> None:
    """Write what is known before training: mark, config, and the user's cell, if the model has one.

    Raises ConfigError for a config that is too long to be read back.
    """
    write_config(folder, settings)
    if (cell := _own_cell(settings)) is not None:
        write_text(folder.cell, _json(to_json(cell)))
    # Last, so that a folder with a mark has a config.
    write_text(folder.mark, _json({"format": FORMAT, "recurra": __version__}))


def _own_cell(settings: Settings) -> Cell | None:
    """The cell of the model that is not one of ours. Raises ConfigError where there are two of them."""
    parts = [part for part in settings.tree["model"].values() if isinstance(part, Mapping)]
    own = sorted({str(part.get("cell")) for part in parts} & set(CELLS) - BUILT_IN)
    if len(own) > 1:
        raise ConfigError(f"model: has the cells {' and '.join(own)}, and a run folder holds one cell of your own.")
    return CELLS[own[0]] if own else None


def write_config(folder: RunFolder, settings: Settings) -> None:
    """Write the config with every option. Raises ConfigError for one that is too long to be read back."""
    text = f"{config_text(settings.resolved, settings.schema).rstrip()}\n\n{END}\n"
    if len(text.encode("utf-8")) > MAX_CONFIG_BYTES:
        raise ConfigError(
            f"{folder.config}: would have {len(text.encode('utf-8')):,} bytes with every option written out, expected "
            f"at most {MAX_CONFIG_BYTES:,}; name fewer labels in class_weights, or shorter paths."
        )
    write_text(folder.config, text)


def forget(folder: RunFolder) -> None:
    """Take away what `describe` wrote, and the folder if nothing else is in it. The caller holds the folder's lock."""
    # The mark first, so that a folder with a mark has a config.
    for path in (folder.mark, folder.config, folder.cell, folder.path / LOCK):
        path.unlink(missing_ok=True)
    with suppress(OSError):  # not empty: there are files that are not ours
        folder.path.rmdir()


def write_task(folder: RunFolder, task: Task, fingerprint: str) -> None:
    """Write what reading a text and naming an answer needs, and which data that was learned from."""
    write_text(folder.task, _json({**task.to_json(), "data": fingerprint}))


def has_ended(folder: RunFolder) -> bool:
    """Whether a run's scores and report are those of its last step: its log ends with the end."""
    return folder.weights.is_file() and [line.get("event") for line in read_log(folder.log)[-1:]] == ["end"]


def has_best(folder: RunFolder) -> bool:
    """Whether a dev score has chosen weights that the run could end with.

    The log does not tell: its line comes before the weights are saved. Raises RunError if all checkpoints are damaged.
    """
    checkpoints = Checkpoints(folder.path)
    if checkpoints.best.is_file():
        return True
    found = checkpoints.newest()
    return found is not None and found.checkpoint.best.get("value") is not None


def opened(run: AnyPath | OpenRun, cells: Iterable[AnyPath] = ()) -> OpenRun:
    """A run that is open already, or the one in a folder. Raises as `open_run` does."""
    return run if isinstance(run, OpenRun) else open_run(run, cells)


@in_float32
def open_run(path: AnyPath, cells: Iterable[AnyPath] = (), weights: str = FLOAT32) -> OpenRun:
    """Read a trained run. weights: what the matrices of its recurrent layers become, by `recurra.nn.quantize`

    Raises RunError if the folder is not one, is damaged, or training has not ended yet; ConfigError for weights that
    the model cannot have.
    """
    folder, settings = open_settings(path, cells, to_train=False)
    refuse_untrained(folder)
    stored = read_json(folder.task)
    task = settings.plan.restore(stored, str(folder.task))
    # Before the model takes memory: its sizes come from files that anybody may have written.
    check_weights(folder.weights, settings.outline(task.model_sizes))
    model = settings.model(task.model_sizes)
    load_weights(folder.weights, model)
    model.eval()
    if weights != FLOAT32:
        quantize(model, weights, inplace=True)
    return OpenRun(folder, settings, task, model, str(stored.get("data")))


def open_settings(
    path: AnyPath, cells: Iterable[AnyPath] = (), overrides: Sequence[str] = (), *, to_train: bool = True
) -> tuple[RunFolder, Settings]:
    """The folder, recognised, and its config with `overrides` on top; `to_train` as in settings_of.

    Raises RunError; ConfigError for an override.
    """
    folder = recognised(path_of(path, "run"))
    given = add_cells(cells)
    if folder.cell.is_file():
        _adopt(folder.cell, given)
    data = read_file(folder.config, MAX_CONFIG_BYTES)
    try:
        document = parse_config(data, str(folder.config))
        if not data.rstrip().endswith(END.encode()):
            raise RunError(f"{folder.config}: damaged: its last line is missing: {END!r}. Copy the run folder again.")
        document = replace(document, tree=at_home(document.tree, folder))
        settings = settings_of(document, to_train=to_train)
    except ConfigError as error:
        raise RunError("\n".join(error.problems)) from error
    return folder, settings_of(override(document, overrides)) if overrides else settings


def at_home(tree: Mapping[str, Any], folder: RunFolder) -> Mapping[str, Any]:
    """A config whose data files lay in the run's own folder, which has been moved: with where they are now."""
    data = tree.get("data")
    if not isinstance(data, Mapping):
        return tree
    moved = {name: _moved(value, folder) for name, value in data.items() if name in ("train", "dev", "test")}
    return {**tree, "data": {**data, **moved}}


def _moved(value: object, folder: RunFolder) -> object:
    if not isinstance(value, str) or Path(value).parent.name != folder.data.name or Path(value).exists():
        return value
    here = folder.data / Path(value).name
    return str(here.resolve()) if here.is_file() else value


def add_cells(paths: Iterable[AnyPath]) -> set[str]:
    """Register the cells of a user's files, so that a config can name them; return the names. Raises ConfigError."""
    names = set()
    for path in paths_of(paths, "cells"):
        for cell in cells_of(path):
            if cell.name in BUILT_IN:
                raise ConfigError(f"{path}: cell '{cell.name}' is built in; give yours another name.")
            trace(cell)  # what is wrong with its equations is said now
            CELLS.replace(cell.name, cell)
            names.add(cell.name)
    return names


def _adopt(path: Path, given: Collection[str]) -> None:
    """Register the cell that a run folder holds as data. If the user's file has just given one, it must be the same."""
    cell = from_json(read_json(path), str(path))
    if cell.name in BUILT_IN:
        raise RunError(
            f"{path}: holds a cell named '{cell.name}', which is built in; this is not as recurra writes it."
        )
    if cell.name not in given:
        CELLS.replace(cell.name, cell)
    elif not equal(CELLS[cell.name], cell):
        raise RunError(
            f"{path}: trained with another cell '{cell.name}' than the one given now: its equations differ. "
            "Leave out --cell (the run folder holds its cell), or train again."
        )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"
