"""The runs that are served, by name, and what each can do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from recurra.api.folder import OpenRun, open_run
from recurra.api.fusing import with_fusion
from recurra.api.inference import device_of, outputs
from recurra.api.places import RunFolder
from recurra.api.samples import read_samples
from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, RunError
from recurra.base.normal import name_of
from recurra.data.fields import FIELD_KINDS, TEXT, Field
from recurra.nn import num_parameters
from recurra.service.errors import RefusedError
from recurra.service.galleries import Gallery, gallery_of
from recurra.service.limits import LONGEST_NAME, Limits
from recurra.service.searched_texts import SearchedTexts, texts_of
from recurra.service.versions import Stamp, stamp_of, version_of
from recurra.tasks import FindsPictures, Hears, ReadsInPieces, TriedWith
from recurra.tasks.options import for_validation, task_with

Runs = Mapping[str, "LoadedModel"]
# Bytes of a body around the file that it holds: names, other fields, options.
AROUND = 2**16


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside the runs that can use it. images: a folder of pictures that are searched

    index: where their vectors are kept; None: in the run's folder
    texts: a file whose lines are searched by a picture      text_index: where their vectors are kept, as `index`
    search: of speech, as `predict` has it: lm, lm_weight, lm_bonus
    """

    images: Path | None = None
    index: Path | None = None
    search: Mapping[str, Any] = field(default_factory=dict)
    texts: Path | None = None
    text_index: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """One version of a run under the run's name, ready to answer.

    version: of its files; stamp: of the same when they were read, which was `opened`
    weights: what the matrices of its recurrent layers are
    examples: texts to try it with      gallery, texts: the pictures, and the texts, that it searches
    """

    name: str
    word: str
    run: OpenRun
    device: torch.device
    version: str
    stamp: Stamp
    opened: datetime
    weights: str
    examples: tuple[str, ...]
    beside: Beside = field(default_factory=Beside)
    gallery: Gallery | None = None
    texts: SearchedTexts | None = None

    @property
    def inputs(self) -> tuple[Field, ...]:
        """The fields of a record that the run reads."""
        return self.run.settings.plan.inputs

    @property
    def input_field(self) -> str:
        """The first of them: where a text goes."""
        return self.inputs[0].name

    @property
    def search(self) -> Mapping[str, Any]:
        """What stands beside a beam of the run: options of `predict`."""
        return self.beside.search if isinstance(self.run.task, Hears) else {}

    def options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Options of an answer, with what stands beside a beam where there is one."""
        usual = self.run.task.beam if isinstance(self.run.task, Hears) else 1
        beam = given.get("beam", usual)
        return {**self.search, **given} if isinstance(beam, int) and beam > 1 else dict(given)

    @property
    def report(self) -> Path:
        """report.html of the run; it need not be there."""
        return self.run.folder.path / "report.html"

    @property
    def parameters(self) -> int:
        """Numbers that were learned."""
        return num_parameters(self.run.model)


def open_runs(
    paths: Iterable[Path],
    *,
    device: str = "auto",
    cells: Iterable[Path] = (),
    weights: str = "float32",
    beside: Beside | None = None,
    note: Callable[[str], None] = lambda message: None,
) -> dict[str, LoadedModel]:
    """The runs, each under the name of its folder; each has answered once, so that a broken one is found now.

    weights: as `api.open_run` takes it, for all of them      beside: what stands beside those that can use it
    note: called with what one should know of the pictures and texts
    A run that is reached by a link has the link's name, so that it keeps it when the link points elsewhere.
    Raises RunError for a folder that is no trained run or gives no finite numbers, ConfigError for two of one name, or
    a model that cannot have such weights, or what stands beside them and no run can use.
    """
    target, kept, near = device_of(device), tuple(cells), beside or Beside()
    near = replace(near, search=with_fusion(near.search))  # once: opening a large language model takes seconds
    found: dict[str, LoadedModel] = {}
    for path in paths:
        name = _name_of(path)
        if name in found:
            raise ConfigError(
                f"{path}: a run named '{name}' is served already; runs are chosen by the names of their folders. "
                "Rename one folder."
            )
        found[name] = _read(name, path, target, kept, weights, near)
        warm_up(found[name])
    _refuse_idle(near, list(found.values()))  # before an index is written
    return {name: _with_searches(one, note) for name, one in found.items()}


def _refuse_idle(beside: Beside, models: Sequence[LoadedModel]) -> None:
    """Raise ConfigError for what no run can use, or two would write."""
    if beside.search and not any(one.search for one in models):
        raise ConfigError("lm: no run that is served turns sound into text, so it has no effect; leave it out.")
    searching = [one.name for one in models if isinstance(one.run.task, FindsPictures)]
    for name, searched in (("images", beside.images), ("texts", beside.texts)):
        if searched is not None and not searching:
            raise ConfigError(
                f"{name}: no run that is served compares pictures with texts. Train one that does: recurra init "
                "retrieval FILE."
            )
    for name, index, what in (("index", beside.index, "pictures"), ("text-index", beside.text_index, "texts")):
        if index is not None and len(searching) > 1:
            raise ConfigError(f"{name}: is of one run, and {', '.join(searching)} search {what}; leave it out.")
    if beside.index is not None and beside.index == beside.text_index:
        raise ConfigError("text-index: is the file of the pictures' vectors too; give it another name.")


def body_bytes_of(models: Iterable[LoadedModel]) -> int:
    """What a body may have where nobody says: 1 MiB, or room for the largest picture or sound that a run reads."""
    schemas = [FIELD_KINDS[field.kind].schema for model in models for field in model.inputs]
    each = [found if isinstance(found := one.get("items"), Mapping) else one for one in schemas]
    files = [int(one["maxLength"]) for one in each if one.get("contentEncoding") == "base64"]
    return max([Limits().body_bytes, *(longest + AROUND for longest in files)])


def _name_of(path: Path) -> str:
    """What requests call the run. Raises ConfigError for a name that none can hold."""
    name = path.name if path.name not in ("", "..") else path.resolve().name
    link = "Give it another one, or serve a link to it: ln -s RUN NAME."
    if len(name) > LONGEST_NAME:
        raise ConfigError(f"{path}: its name has {len(name)} characters, expected at most {LONGEST_NAME}. {link}")
    if any("\ud800" <= character <= "\udfff" for character in name):  # bytes that Python could not decode
        raise ConfigError(f"{path}: its name is not UTF-8, which requests are written in. {link}")
    return name


def reload(old: LoadedModel) -> LoadedModel:
    """What the folder of a run holds now; the same version, where its files, and those it searches, are the same.

    No code of a user is run: a cell comes from the folder.
    Raises RunError for a folder that holds no whole run, or one of another task or for another field.
    """
    path = old.run.folder.path
    same_searched = all(one is None or one.is_current for one in (old.gallery, old.texts))
    if stamp_of(old.run.folder) == old.stamp and same_searched:
        return old
    new = _read(old.name, path, old.device, (), old.weights, old.beside)
    if new.version == old.version and same_searched:
        return old
    if (new.word, new.inputs) != (old.word, old.inputs):
        raise RunError(
            f"{path}: holds a run of {new.word} that reads {_named(new)}; under the name '{old.name}' clients "
            f"expect {old.word} that reads {_named(old)}. Start another service for it."
        )
    return _with_searches(new)


def warm_up(served: LoadedModel) -> None:
    """Answer once, so that a run that cannot is found before anybody asks."""
    task = served.run.task
    examples = [task.example(first_record(served), gold=False)]
    outputs(served.run.model, for_validation(task), examples, device=served.device)
    if isinstance(task, ReadsInPieces):
        with suppress(ConfigError):  # a reason, which sessions are refused with
            task.predictor(served.run.model)


def _read(
    name: str,
    path: Path,
    device: torch.device,
    cells: tuple[Path, ...],
    weights: str,
    beside: Beside,
) -> LoadedModel:
    """A version without the pictures and the texts that it searches."""
    folder = RunFolder(path)
    before = stamp_of(folder)
    run = open_run(path, cells, weights)
    version = version_of(folder)
    if stamp_of(folder) != before:
        raise RunError(f"{path}: its files were written while they were read. Try again when all of them are there.")
    run.model.to(device)
    bad = next((key for key, t in run.model.state_dict().items() if not torch.isfinite(t).all()), None)
    if bad is not None:
        raise RunError(f"{path}: its weight '{bad}' holds numbers that are not finite. Train again.")
    word = str(run.settings.tree["task"]["name"])
    if beside.search and isinstance(run.task, Hears):
        task_with(run.task, {**beside.search, "beam": 2}, word)  # a language model of other units is refused now
    samples, now = read_samples(run.folder), datetime.now(UTC)
    return LoadedModel(name, word, run, device, version, before, now, weights, samples, beside)


def _with_searches(served: LoadedModel, note: Callable[[str], None] = lambda message: None) -> LoadedModel:
    """The same with the pictures and the texts that it searches, if it can."""
    beside, run, device = served.beside, served.run, str(served.device)
    if not isinstance(run.task, FindsPictures):
        return served
    gallery = None if beside.images is None else gallery_of(run, beside.images, beside.index, device, note)
    texts = None if beside.texts is None else texts_of(run, beside.texts, beside.text_index, device, note)
    return replace(served, gallery=gallery, texts=texts)


def first_record(served: LoadedModel) -> Record:
    """Something to answer before anybody asks."""
    return Record(trial_fields(served), Origin("start"))


def trial_fields(served: LoadedModel) -> dict[str, Any]:
    """The smallest value of each field that is read, or what the task can be tried with."""
    task = served.run.task
    if isinstance(task, TriedWith):
        return dict(task.trial_fields)
    return {one.name: FIELD_KINDS[one.kind].smallest for one in served.inputs}


def chosen(runs: Runs, name: str | None) -> LoadedModel:
    """The run of that name; the only one, where no name is given. Raises RefusedError, 404 or 422."""
    if name is None and len(runs) == 1:
        return next(iter(runs.values()))
    if name is None:
        raise RefusedError(422, f"model: is missing, and several are served. Known: {', '.join(runs)}.")
    if name not in runs:
        raise RefusedError(404, f"model: there is none of this name. Known: {', '.join(runs)}.")
    return runs[name]


def records_of(served: LoadedModel, texts: list[str] | None, records: list[dict[str, Any]] | None) -> list[Record]:
    """Texts and rows of a request as records; a text goes where the run's data has its texts.

    Raises RefusedError, 422, with all fields that are larger than their kind allows.
    """
    # By any spelling, as fields are found: the limits of a field, and whether a name may be opened, hang on its kind.
    kinds = {name_of(one.name): FIELD_KINDS[one.kind] for one in served.inputs}
    problems: list[str] = []

    def checked(name: str, value: Any, place: str) -> Any:
        try:
            return kinds.get(name_of(name), TEXT).of_request(value)
        except ValueError as error:
            problems.append(f"{place}: {error}.")
            return None

    if texts is not None:
        first = served.input_field
        rows = [{first: checked(first, text, f"texts.{n}")} for n, text in enumerate(texts)]
    else:
        rows = [
            {name: checked(name, value, f"records.{n}.{name}") for name, value in fields.items()}
            for n, fields in enumerate(records or [])
        ]
    if problems:
        raise RefusedError(422, problems)
    where = "records" if texts is None else "texts"
    return [Record(fields, Origin(f"{where}[{n}]")) for n, fields in enumerate(rows)]


def _named(served: LoadedModel) -> str:
    return ", ".join(f"'{one.name}'" for one in served.inputs)
