"""Train and resume: from a file, a frame or rows to a Run."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from recurra import api
from recurra.api.defaults import in_float32
from recurra.api.folder import open_settings
from recurra.api.given import AnyPath, path_of
from recurra.api.places import RunFolder
from recurra.api.training import fresh, name_of
from recurra.base.errors import RunError
from recurra.python.files import files_of
from recurra.python.options import options_of, put, section
from recurra.python.reading import settings_of
from recurra.python.rows import is_path
from recurra.python.run import Run, load
from recurra.python.watching import Progress, heard
from recurra.tasks import TASKS

# A path, a data frame, a list of dicts, a dict of columns, a list of texts.
Data: TypeAlias = Any
# Who gives one of these has not what the size of the data suggests.
_SIZES = {("training",), ("training", "epochs"), ("training", "batch_rows")}


@in_float32
def train(
    data: Data,
    *,
    task: str,
    out: AnyPath | None = None,
    dev: Data | None = None,
    test: Data | None = None,
    config: Mapping[str, Any] | None = None,
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
    progress: Progress = True,
    **options: Any,
) -> Run:
    """Train a model of a task on data, as `recurra init` and `recurra train` do, and give the run.

    data: the path of a file, or rows in memory: a data frame of any library, a list of dicts, a dict of columns, a list
      of texts for a language model; rows are kept in the run folder, so that the run can be resumed
    dev, test: the same; they are taken from data where they are not given
    task: a word such as classification, tagging or series_classification, or a usual name (sentiment, ner, lm)
    out: the run folder to make; by default a new one under runs/
    config: options as the sections of a config, {"model": {"encoder": {"cell": "gru"}}}, or by dotted names
    options: the same by their own names: epochs=5, seed=2, hidden_size=256, text="body", label="topic"
    cells: files with cells of your own, which are run
    progress: True shows a bar, False nothing; or a callback (`recurra.base.contracts.Callback`), which hears all
    What is not given is chosen by the data; the choices and their reasons are told to `progress`.
    Raises ConfigError, DataError, RunError (`out` holds a run) or TrainingError; KeyboardInterrupt where it was
    interrupted, with how to resume.
    """
    placed = options_of(task, config, options)
    with heard(progress) as watch:
        folder = _folder(out, data, task)
        with files_of(folder, {"train": data, "dev": dev, "test": test}, watch) as files:
            given = {"task": section(placed, "task"), "data": section(placed, "data")}
            found = api.draft(task, files["train"], given=given, watch=watch)
            for line in (*found.said, *([] if _SIZES & {path for path, _ in placed} else [f"{found.size}."])):
                watch.note(line)
            tree: dict[str, Any] = dict(found.tree)
            others = [(("data", name), file) for name, file in files.items() if name != "train"]
            for path, value in [*others, *placed]:
                put(tree, path, value)
            trained = api.train(tree, out=folder, device=device, cells=cells, watch=watch)
        return _run(trained, device, progress)


@in_float32
def resume(
    run: AnyPath,
    *,
    config: Mapping[str, Any] | None = None,
    device: str = "auto",
    cells: Iterable[AnyPath] = (),
    progress: Progress = True,
    **options: Any,
) -> Run:
    """Resume a run that was stopped, bit for bit, or train one that has ended longer: epochs=20.

    config, options: as for `train`; only those that a run may change (epochs, patience, lr, ...)
    Raises RunError for a folder that is no run, or an option that a run keeps; else as `train`.
    """
    folder = path_of(run, "run")
    word = str(open_settings(folder, cells, to_train=False)[1].tree["task"]["name"])
    settings = settings_of(options_of(word, config, options))
    with heard(progress) as watch:
        return _run(api.resume(folder, overrides=settings, device=device, cells=cells, watch=watch), device, progress)


def _folder(out: AnyPath | None, data: object, task: str) -> Path:
    """The run folder to make. Raises RunError where there is a run already."""
    if out is None:
        return fresh(Path("runs") / (name_of(path_of(data, "data")) if is_path(data) else TASKS.called(task)))
    folder = path_of(out, "out")
    if RunFolder(folder).mark.exists():
        raise RunError(
            f"{folder}: already holds a run. Open it with recurra.load({str(folder)!r}), resume it with "
            f"recurra.resume({str(folder)!r}), or choose another folder."
        )
    return folder


def _run(trained: api.Trained, device: str, progress: Progress) -> Run:
    """The run that a training has come to. One that was stopped stops the caller too."""
    if trained.stopped_by is None:
        return load(trained.run, device=device, progress=progress)
    if trained.stopped_by != signal.SIGINT:
        signal.raise_signal(trained.stopped_by)
    name = repr(str(trained.run))
    end = f", or end it with its best weights so far: recurra.api.finish({name})" if trained.can_finish else ""
    raise KeyboardInterrupt(f"{trained.run}: stopped, and everything is saved. Resume with recurra.resume({name}){end}")
