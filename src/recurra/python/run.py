"""A trained run as a person uses it: ask it, score it, look into it, hand it to other programs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from recurra import api
from recurra.api.defaults import in_float32
from recurra.api.folder import OpenRun, open_run
from recurra.api.fusing import with_fusion
from recurra.api.given import AnyPath, path_of, refusal
from recurra.api.places import RunFolder
from recurra.api.reporting import read_report
from recurra.base.answers import AnyAnswer
from recurra.base.contracts import Record
from recurra.base.errors import ConfigError
from recurra.python.evaluation import Evaluation
from recurra.python.frames import with_answers
from recurra.python.reading import FILE_OPTIONS, only_reading, split_options
from recurra.python.rows import frame_of, is_path, list_of, rows_of, rows_of_frame
from recurra.python.watching import Progress, heard
from recurra.report.markup import Markup, join, tag
from recurra.tasks import SaysLabels, SuggestedWord
from recurra.tasks.options import task_with

if TYPE_CHECKING:
    from narwhals.typing import IntoDataFrameT

# What ends of file names say of what is exported.
_ONNX, _TORCH = (".onnx",), (".safetensors",)


@in_float32
def load(
    path: AnyPath,
    *,
    device: str = "auto",
    weights: str = "float32",
    cells: Iterable[AnyPath] = (),
    progress: Progress = True,
) -> Run:
    """Open a run folder. device: where it answers; auto takes a GPU where there is one

    weights: what the matrices of its recurrent layers become: float32; bfloat16 takes half the memory, int8 a quarter;
             bfloat16_products rounds what they multiply too (see `recurra.nn.quantize`)
    cells: files with cells of your own, which are run; a run folder holds its own cell as data, and needs none
    progress: who hears its notes: True prints them on standard error, False keeps silent; or a callback
    Raises RunError for a folder that is no run, is damaged, or whose training has not ended;
    ConfigError for weights that its model cannot have.
    """
    return Run(open_run(path_of(path, "path"), cells, weights), device=device, progress=progress)


class Run:
    """A trained run; `recurra.load` and `recurra.train` make it. Raises ConfigError for a device that is not there."""

    def __init__(self, opened: OpenRun, *, device: str = "auto", progress: Progress = True) -> None:
        self._open = opened
        self._folder = RunFolder(opened.folder.path.resolve())
        self._device = device
        self._progress = progress

    # -- what it is ------------------------------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """Its folder, from the root on, so that it stays the same where the program goes to another folder."""
        return self._folder.path

    @property
    def task(self) -> str:
        """The word of its task."""
        return str(self._open.settings.tree["task"]["name"])

    @property
    def config(self) -> dict[str, Any]:
        """Its config, every default written out."""
        return {name: dict(section) for name, section in self._open.settings.tree.items()}

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that it tells apart. Raises ConfigError for a task without labels."""
        task = self._open.task
        if not isinstance(task, SaysLabels):
            raise ConfigError(f"labels: {self.path} is a run of task {self.task}, which has none.")
        return task.labels

    @property
    def model(self) -> Any:
        """Its network, a torch.nn.Module."""
        return self._open.model

    @property
    def report(self) -> Evaluation:
        """The scores at the end of its training, beside the baselines'; its folder has a page of them, report.html."""
        return Evaluation(read_report(self._folder))

    @property
    def scores(self) -> dict[str, float]:
        """The scores at the end of its training, on test where there was one, else on dev."""
        return self.report.scores

    # -- answers ---------------------------------------------------------------------------------------------------

    @overload
    def predict(self, data: str | Mapping[str, Any] | Record, **options: Any) -> AnyAnswer: ...
    @overload
    def predict(self, data: os.PathLike[str], **options: Any) -> list[AnyAnswer]: ...
    @overload
    def predict(self, data: IntoDataFrameT, **options: Any) -> IntoDataFrameT: ...
    @overload
    def predict(self, data: Iterable[Any], **options: Any) -> list[AnyAnswer]: ...
    @in_float32
    def predict(self, data: Any, **options: Any) -> Any:
        """Answers in the form of the question; labels are not needed.

        data: a text or a row as a dict gives one answer; a list (or array, or column) of them a list of answers; a
          pathlib.Path the answers to the rows of that file; a data frame the same frame with columns added:
          predicted, score, and probability_X for each label X, where there are at most 50
        options: how to answer, as the task has it: beam, n_best and attention of a translation, tokens of a language
          model; and of a file how it is read: format, columns, delimiter, encoding, sheet, offsets, layout,
          on_error, as in the section `data` of a config (columns={"text": "body"})
        An answer has attributes by its kind (`recurra.base.answers`), and to_dict(), which is its JSON.
        Raises ConfigError for what are no rows, or an option that the task does not have; DataError for a row that
        cannot be read.
        """
        reading, options = split_options(options, is_file=isinstance(data, os.PathLike))
        options = with_fusion(options)
        self._refuse_unknown(options, is_file=isinstance(data, os.PathLike))
        with heard(self._progress) as watch:
            ask = partial(api.answered, self._open, options=options, device=self._device, watch=watch)
            if isinstance(data, str | Mapping | Record):
                return next(iter(ask([_no_file(data)]))).answer
            if (frame := frame_of(data)) is not None:
                return with_answers(frame, self._open, ask, watch)
            rows = api.source_for(self._open, data, overrides=reading) if is_path(data) else self._rows(data)
            return [one.answer for one in ask(rows)]

    def _refuse_unknown(self, options: Mapping[str, Any], *, is_file: bool) -> None:
        """Raise ConfigError for an option that the task does not have; of a file with those of its reading."""
        try:
            task_with(self._open.task, options, self.task)
        except ConfigError as error:
            known = f" How a file is read: {', '.join(FILE_OPTIONS)}." if is_file else ""
            raise ConfigError([f"{problem}{known}" for problem in error.problems]) from None

    def _rows(self, data: object) -> Iterable[Any]:
        """Rows as the verbs take them; of a run that reads tokens or numbers, a list of them is a row too."""
        if isinstance(data, bytes | type) or not isinstance(data, Iterable):
            raise refusal("data", "a text, a list of texts or dicts, a data frame or a pathlib.Path", data)
        first = self._open.settings.plan.inputs[0]
        lists = self._open.task.answer_kind == "tags" or first.kind == "numbers"
        return ({first.name: list_of(row)} if lists and list_of(row) is not None else row for row in data)

    @in_float32
    def generate(
        self,
        prompt: str = "",
        *,
        num: int = 1,
        length: int = 200,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        stop: str | None = None,
        seed: int = 0,
    ) -> str | list[str]:
        """The prompt with what follows it, of a language model or of music; a list of `num` of them for more than one.

        length: tokens that are added, at most, or chords; the other options are those of `recurra.api.generate`
        Raises ConfigError for a run that does not write, or an option out of its range.
        """
        how = {"length": length, "temperature": temperature, "top_k": top_k, "top_p": top_p, "stop": stop, "seed": seed}
        with heard(self._progress) as watch:
            given: dict[str, Any] = {**how, "num": num, "device": self._device, "watch": watch}
            pieces = api.generate(self._open, prompt, **given)
            texts = [prompt] * num
            for piece in pieces:
                texts[piece.number] += piece.text
        return texts[0] if num == 1 else texts

    @in_float32
    def generate_rows(self, **options: Any) -> list[dict[str, Any]]:
        """Rows of an autoencoder, by column: drawn, or on the way between two; of each number what is expected.

        options: num, temperature, seed and length of rows that are drawn; between=(row, row), steps and path of a
          way, as `recurra.api.coding.generate_rows` has them
        Raises ConfigError for a run without codes, or whose codes are no distribution unless `between` is given.
        """
        _refuse_unknown(options, ("num", "temperature", "seed", "length", "between", "steps", "path"))
        return api.generate_rows(self._open, device=self._device, **options).rows

    @in_float32
    def inpaint(
        self, data: Any, *, lines: tuple[int, int] | None = None, columns: tuple[int, int] | None = None
    ) -> list[dict[str, Any]]:
        """Rows with what a run says in the place of numbers that are missing; what is known stays as it was.

        data: a path, a data frame, or rows as a list of dicts      lines, columns: hidden in every row, from 1
        Raises ConfigError for a run that was not trained with task.missing: mask.
        """
        with heard(self._progress) as watch:
            return api.inpaint(
                self._open, _series_of(data, "data"), lines=lines, columns=columns, device=self._device, watch=watch
            ).rows

    @in_float32
    def compress(
        self,
        data: Any,
        path: AnyPath | None = None,
        *,
        bits: int | None = None,
        error: float | None = None,
        beside: bool = False,
    ) -> api.Compressed:
        """Rows as codes whose numbers have a few bits each: `.content`, `.bits_a_value`, `.error`, written to `path`.

        bits: 1 to 24 (8)      error: in their place, the fewest bits with at most this mean squared error, scaled
        beside: `.pca`, the error of principal components of the training data, which is read again for it
        """
        with heard(self._progress) as watch:
            how: dict[str, Any] = {"bits": bits, "error": error, "beside": beside, "device": self._device}
            return api.compress(self._open, _series_of(data, "data"), path, **how, watch=watch)

    @in_float32
    def decompress(self, data: AnyPath | bytes) -> list[dict[str, Any]]:
        """The rows of what `compress` has written. data: a path, or the content

        Raises DataError for what is damaged, RunError for what another run has compressed.
        """
        return api.decompress(self._open, data, device=self._device).rows

    @in_float32
    def suggest(self, text: str, number: int = 5) -> Sequence[SuggestedWord]:
        """The most probable words at the end of a text, each with its probability.

        Raises ConfigError for a run that suggests none.
        """
        with heard(self._progress) as watch:
            return api.suggest(self._open, text, number, device=self._device, watch=watch)

    @in_float32
    def detect(
        self,
        data: Any,
        *,
        threshold: str | None = None,
        clean: Any = None,
        labels: AnyPath | None = None,
        stride: int | None = None,
        smooth: int = 1,
        beside: Sequence[str] | None = None,
        save: AnyPath | None = None,
    ) -> api.Detected:
        """How unusual each point of series is: scores, higher is worse, and flags above a threshold from clean data.

        data: a path, a data frame, or rows as a list of dicts      clean: the same, or the number of steps at the
          beginning of each series that have no anomaly; None: the run's own training data
        threshold: "quantile=0.999", "alarms=0.5" (a day), "tail=0.0001", "value=3", or a file that `save` has written
        labels: a column of 0 and 1, or a file with columns start and end (and series): scores beside baselines
        The other options are those of `recurra.api.detecting.DetectOptions`.
        Raises ConfigError for a run whose task scores no steps, RunError for a threshold of another run.
        """
        options = api.DetectOptions(
            threshold=threshold,
            clean=clean if clean is None or isinstance(clean, int) else _series_of(clean, "clean"),
            labels=labels,
            stride=stride,
            smooth=smooth,
            beside=beside,
        )
        with heard(self._progress) as watch:
            return api.detect(
                self._open, _series_of(data, "data"), options=options, save=save, device=self._device, watch=watch
            )

    # -- how good, and why -----------------------------------------------------------------------------------------

    @in_float32
    def evaluate(
        self, data: Any = None, *, split: str | None = None, options: Mapping[str, Any] | None = None, **reading: Any
    ) -> Evaluation:
        """Score the run on other data, or on a split of its own data, beside the baselines.

        data: a path, a data frame, or rows as a list of dicts or a dict of columns
        split: of its own data: train, dev or test, which is the default; together with data it is refused
        options: how to answer, as `predict` has them: {"beam": 16, "lm": "words.arpa"}
        reading: how a file is read, by the names of the section `data` of a config: format, columns, delimiter,
          encoding, sheet, offsets, layout, on_error (columns={"text": "body"}); without data also where the run's own
          data is now: train, dev, test
        Raises ConfigError for a split that its data does not have, DataError for a label that training never saw.
        """
        if data is not None and split is not None:
            raise ConfigError("split: chooses a part of the run's own data; leave it out beside other data.")
        given = data
        settings = only_reading(reading, is_file=is_path(data), is_own=data is None)
        if data is not None and not is_path(data):
            frame = frame_of(data)
            given = [*(rows_of_frame(frame) if frame is not None else rows_of(data, "data"))]
        with heard(self._progress) as watch:
            how: dict[str, Any] = {"overrides": settings, "options": options, "device": self._device, "watch": watch}
            return Evaluation(api.evaluate(self._open, given, split=split or "test", **how))

    @in_float32
    def explain(self, text: str | Mapping[str, Any]) -> api.Inspection:
        """What the model looked at while it answered: how much each token adds, gates, states, attention.

        text: or a row as a dict, as `predict` takes it
        `.saliency.steps` has a number for each of `.tokens`; docs/guide/inspect.md says what they are.
        Raises DataError for a text without tokens or a series without steps, ConfigError for a model that cannot be
        looked into.
        """
        return api.inspect(self._open, text, device=self._device)

    # -- other programs --------------------------------------------------------------------------------------------

    @in_float32
    def export(self, path: AnyPath, *, target: str = "any") -> Path:
        """Write the model for other programs: NAME.onnx for ONNX runtimes, NAME.safetensors for modules of torch.nn.

        target: the program that will run an ONNX file: any, onnxruntime, openvino
        Returns the path. Raises ConfigError for another ending or a model that has no such form.
        """
        file = path_of(path, "path")
        if file.suffix in _ONNX:
            api.export_onnx(self._open, file, target=target)
        elif file.suffix in _TORCH:
            api.export_torch(self._open, file)
        else:
            raise ConfigError(f"path: expected a name that ends in .onnx or .safetensors, got '{file}'.")
        return file

    def __fspath__(self) -> str:
        return str(self.path)

    def _repr_html_(self) -> str:
        page = self.path / "report.html"
        said = join(tag("b", f"{self._open.folder.path}"), f": {self.task}, {self._parameters:,} parameters")
        return tag("div", tag("div", said), Markup(self.report._repr_html_()), tag("div", f"The whole report: {page}"))

    @property
    def _parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters())

    def __repr__(self) -> str:
        return f"Run('{self._open.folder.path}'): {self.task}"


def _refuse_unknown(options: Mapping[str, Any], known: Sequence[str]) -> None:
    if unknown := [name for name in options if name not in known]:
        raise ConfigError([f"{name}: unknown option. Known: {', '.join(known)}." for name in unknown])


def _series_of(data: Any, name: str) -> Any:
    """A path as it is; a data frame and rows as dicts."""
    if is_path(data):
        return data
    frame = frame_of(data)
    return [*(rows_of_frame(frame) if frame is not None else rows_of(data, name))]


def _no_file(data: Any) -> Any:
    """A single text or row. Raises ConfigError where it is the name of a file: who gives that wants its rows."""
    if isinstance(data, str) and len(data) < 1024 and "\0" not in data and os.path.isfile(data):
        raise ConfigError(
            f"data: {data!r} is the name of a file. For answers to its rows use predict(pathlib.Path({data!r})); for "
            f"an answer to these words, predict([{data!r}])."
        )
    return data
