"""Runs as folders in Hugging Face's layout, and back: weights, config.json with digests, the model card. No network.

The digests in config.json find what was damaged on the way. They do not say who made the folder: who can change a file
can change its digest. Nothing in it is executed, whatever it holds.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recurra import __version__
from recurra.api.cards import CARD, card
from recurra.api.folder import MAX_CONFIG_BYTES, open_run
from recurra.api.given import AnyPath, path_of
from recurra.api.places import FORMAT, read_json, recognised, refuse_untrained
from recurra.api.training import fresh
from recurra.base import plain_json
from recurra.base.atomic import PREFIX, sync, sync_folder, write_text
from recurra.base.errors import RunError
from recurra.config import load

MANIFEST = "config.json"
MODEL_TYPE = "recurra"
# The files that travel, each with the most bytes that it may have. Rows of the data and checkpoints stay at home.
NEEDED: Mapping[str, int] = {
    "run.json": 1 << 16,
    "config.yaml": MAX_CONFIG_BYTES,
    "task.json": plain_json.MAX_BYTES,
    "model.safetensors": 64 << 30,
    CARD: 1 << 22,
}
OTHERS: Mapping[str, int] = {
    "cell.json": plain_json.MAX_BYTES,
    "scores.json": plain_json.MAX_BYTES,
    "baselines.json": plain_json.MAX_BYTES,
    "findings.json": plain_json.MAX_BYTES,
}
LIMITS: Mapping[str, int] = {**NEEDED, **OTHERS}
_PIECE = 1 << 20


def push(
    run: AnyPath, folder: AnyPath, *, cells: Iterable[AnyPath] = (), note: Callable[[str], None] = lambda _: None
) -> Path:
    """Write a trained run as a folder that a model hub takes: safetensors, config.json, README.md.

    What a run needs to answer and its scores are in it; rows of its data, examples, log and checkpoints are not.
    note: hears which places on this machine its config tells
    Raises RunError for what is no trained run, a damaged one, or a folder that has something in it.
    """
    source, target = recognised(path_of(run, "run")), path_of(folder, "folder")
    refuse_untrained(source)
    if not (source.path / CARD).is_file():
        card(source.path)
    open_run(source.path, cells)  # a damaged run must not travel
    names = [name for name in LIMITS if (source.path / name).is_file()]
    with _becoming(target) as made:
        files = {name: _copied(source.path / name, made / name, LIMITS[name]) for name in names}
        said = {"model_type": MODEL_TYPE, "library_name": MODEL_TYPE, "format": FORMAT, "recurra": __version__}
        write_text(made / MANIFEST, json.dumps({**said, "files": files}, indent=2) + "\n")
    if told := ", ".join(_places(load(source.config).tree)):
        note(
            f"{target / source.config.name}: tells where files lie: {told}. If nobody is to read that, change it in "
            f"{source.config} and push again."
        )
    return target


def pull(folder: AnyPath, *, out: AnyPath | None = None, cells: Iterable[AnyPath] = ()) -> Path:
    """Make a run of a folder that `push` wrote, wherever it was since; return the run's folder.

    out: the run folder to make; by default a new one under runs/, with the folder's name
    Only files that a run has are read, each with its size and digest checked, and the whole as any run is.
    Raises RunError for another folder, a damaged one, or where `out` has something in it.
    """
    source = path_of(folder, "folder")
    files = _manifest(source)
    target = path_of(out, "out") if out is not None else fresh(Path("runs") / source.resolve().name)
    with _becoming(target) as made:
        for name, said in files.items():
            found = _copied(source / name, made / name, said["bytes"])
            if found != said:
                raise RunError(f"{source / name}: is not the file that {MANIFEST} tells of: another digest or size.")
        open_run(made, cells)
    return target


def _places(tree: Any, path: str = "") -> Iterator[str]:
    """The options of a config that say where something lies, by more than a place below the folder it is read in."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _places(value, f"{path}.{key}" if path else str(key))
    elif isinstance(tree, list):
        for value in tree:
            yield from _places(value, path)
    elif isinstance(tree, str) and (tree.startswith(("/", "~", "../")) or "://" in tree or ":\\" in tree[:3]):
        yield f"{path}: {tree}"


def _manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """The files that config.json tells of, with bytes and SHA-256. Raises RunError for what is none of ours."""
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder; expected one that `recurra push` wrote.")
    if not (folder / MANIFEST).is_file():
        raise RunError(f"{folder}: has no {MANIFEST}; expected a folder that `recurra push` wrote.")
    said = read_json(folder / MANIFEST)
    if not isinstance(said, Mapping) or said.get("model_type") != MODEL_TYPE:
        raise RunError(
            f"{folder / MANIFEST}: is not of recurra. Weights of BERT and its kind begin a run instead: "
            "model.encoder: {name: pretrained, folder: ...}."
        )
    files = said.get("files")
    if not isinstance(files, Mapping) or not files.keys() >= NEEDED.keys():
        raise RunError(f"{folder / MANIFEST}: expected files, with {', '.join(NEEDED)} among them.")
    return {name: _entry(folder, name, entry) for name, entry in files.items()}


def _entry(folder: Path, name: str, entry: Any) -> dict[str, Any]:
    """A file's bytes and digest. Only the names of a run's files are taken, so none leads out of the folder."""
    if name not in LIMITS:
        raise RunError(f"{folder / MANIFEST}: tells of the file {name!r}, which a run does not have.")
    size = entry.get("bytes") if isinstance(entry, Mapping) else None
    if type(size) is not int or not 0 <= size <= LIMITS[name] or not isinstance(entry.get("sha256"), str):
        raise RunError(
            f"{folder / MANIFEST}: {name}: expected a SHA-256 and at most {LIMITS[name]:,} bytes, "
            f"got {str(entry)[:80]}."
        )
    return {"bytes": size, "sha256": entry["sha256"]}


def _copied(source: Path, target: Path, limit: int) -> dict[str, Any]:
    """Copy a file of at most `limit` bytes; its bytes and digest, of what was written. Raises RunError."""
    if not source.is_file():  # nor a pipe, which would wait for ever
        raise RunError(f"{source}: is missing; the folder is not whole. Copy it again.")
    digest, size = hashlib.sha256(), 0
    with open(source, "rb") as file, open(target, "xb") as copy:
        while piece := file.read(_PIECE):
            size += len(piece)
            if size > limit:
                raise RunError(f"{source}: has more than {limit:,} bytes, which is more than it should.")
            digest.update(piece)
            copy.write(piece)
        copy.flush()
        sync(copy.fileno())
    return {"bytes": size, "sha256": digest.hexdigest()}


@contextmanager
def _becoming(target: Path) -> Iterator[Path]:
    """A folder that becomes `target` when the block ends well, and vanishes when it raises.

    Raises RunError where something is there already: an empty folder is nothing.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise RunError(f"{target}: is there already, and is not overwritten. Choose another folder.")
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    made = target.parent / f"{PREFIX}{os.getpid()}-{os.urandom(4).hex()}-{target.name}"
    made.mkdir()
    try:
        yield made
        sync_folder(made)
        os.replace(made, target)
    except BaseException as error:
        shutil.rmtree(made, ignore_errors=True)
        if isinstance(error, OSError) and error.filename in (None, str(made)):
            error.filename = str(target)
        raise
    sync_folder(target.parent)
