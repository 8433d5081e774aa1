"""The sections of a config that belong to no single room: where the data is, and how training goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from recurra.base.errors import ConfigError
from recurra.base.option import OneOf, Opt
from recurra.base.registry import WithWords
from recurra.config import Section
from recurra.data.formats import FORMATS, ON_ERROR
from recurra.data.formats.csv import delimiter_of
from recurra.data.formats.encodings import checked
from recurra.data.layouts import LAYOUTS
from recurra.data.splits import SPLITS
from recurra.training import CLIPPINGS, ON_NONFINITE, OPTIMIZERS, SCHEDULES
from recurra.training.precision import FLOAT32, PRECISIONS
from recurra.training.trackers import TRACKERS

# How a file is read, whatever its format: options of `recurra.data.formats.read`.
FILE_OPTIONS = ("columns", "delimiter", "encoding", "sheet", "offsets")
# What an option that is a component holds: a section of a file, plain values, or only its word.
Component = Section | Mapping[str, Any] | str


@dataclass(frozen=True, kw_only=True, slots=True)
class DataOptions:
    """Which files, and what to do with a broken row."""

    train: Annotated[str, Opt("training file; paths are relative to where recurra is started")]
    dev: Annotated[
        str | None, Opt("validation file, on which epochs are compared; null: taken from train, see split")
    ] = None
    test: Annotated[str | None, Opt("test file, for the final scores; null: taken from train, unless dev is given")] = (
        None
    )
    format: Annotated[
        str,
        Opt(
            "format of all files; auto: by their names, and by what stands in them",
            choices=WithWords(("auto",), FORMATS),
        ),
    ] = "auto"
    columns: Annotated[
        tuple[str, ...] | Mapping[str, str] | None,
        Opt(
            "column names of a table without a header, or a map from a name to a field or to the path of a nested one, "
            "such as {text: payload.message}; null: as the file has them",
            named=True,
        ),
    ] = None
    delimiter: Annotated[str | None, Opt("sign between the cells of CSV; null: found in the first row")] = None
    encoding: Annotated[
        str | None, Opt("encoding of text files, such as windows-1252; null: UTF-8, or found and said")
    ] = None
    sheet: Annotated[str | None, Opt("sheet of a workbook; null: the first one")] = None
    offsets: Annotated[
        Literal["characters", "utf-16"] | None,
        Opt(
            "how an export of an annotation tool counts the places of spans; utf-16: as JavaScript, an emoji is two; "
            "null: characters (code points)"
        ),
    ] = None
    on_error: Annotated[str, Opt("a broken row stops the run, or is skipped and counted", choices=ON_ERROR)] = "stop"
    layout: Annotated[
        Component | None,
        OneOf("how rows make records: long, many rows one; wide, every column one; null: each row its own", LAYOUTS),
    ] = None
    store: Annotated[
        Literal["auto", "memory", "disk"],
        Opt("where prepared data is kept; auto: on the disk from 8 MiB of files on, where the task can do that"),
    ] = "auto"
    scratch: Annotated[
        str | None, Opt("folder for data on the disk, which goes when the run ends; null: $TMPDIR, or /var/tmp")
    ] = None
    shuffle_buffer: Annotated[
        int | None,
        Opt(
            "rows that are mixed at once, of training files that are read again in each epoch, in an order that is "
            "drawn: neither memory nor the disk holds more of them than this window; null: all rows are mixed",
            ge=1,
        ),
    ] = None
    workers: Annotated[
        int | None, Opt("processes that cut texts into tokens; null: one for each core", ge=1, le=256)
    ] = None
    split: Annotated[
        Component | None, OneOf("how dev and test are taken from train; null: random, where they are missing", SPLITS)
    ] = None

    @property
    def reading(self) -> dict[str, Any]:
        """What `recurra.data.formats.read` takes besides the path, the format and the fields."""
        return {name: getattr(self, name) for name in FILE_OPTIONS}

    def __post_init__(self) -> None:
        if self.encoding is not None:
            checked(self.encoding)
        if self.delimiter is not None:
            delimiter_of(self.delimiter)
        if self.split is not None and self.dev is not None:
            raise ConfigError("split: has no effect, because dev is a file of its own; leave one of them out.")
        if self.shuffle_buffer is not None and self.store == "memory":
            raise ConfigError(
                "shuffle_buffer: leaves train in its files, so store: memory has no effect; leave one of them out."
            )
        if self.shuffle_buffer is not None and self.layout is not None:
            raise ConfigError(
                "shuffle_buffer: reads each row again by itself, and layout makes records of rows of several places; "
                "leave one of them out."
            )
        if self.scratch is not None and self.store == "memory":
            raise ConfigError("scratch: has no effect with store: memory; leave one of them out.")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingOptions:
    """How long, in which steps, and what to watch."""

    epochs: Annotated[int, Opt("passes over the training data", ge=1, le=100_000)] = 10
    hours: Annotated[
        float | None,
        Opt(
            "time budget: training ends after so many hours, dev scores among them, if its epochs are not done before; "
            "the schedule then follows the share of the time that is spent; null: none",
            gt=0,
            le=10_000,
        ),
    ] = None
    batch_tokens: Annotated[int, Opt("tokens of a batch at most, padding included", ge=1)] = 8192
    batch_rows: Annotated[int, Opt("batch size: rows at most", ge=1)] = 64
    accumulate: Annotated[
        int, Opt("gradient accumulation: batches that make one step, as one large batch would", ge=1, le=10_000)
    ] = 1
    precision: Annotated[
        str,
        Opt(
            "of products in training; bfloat16: mixed precision, with weights, states that are carried on, losses and "
            "the optimizer in float32",
            choices=PRECISIONS,
        ),
    ] = FLOAT32
    optimizer: Annotated[Component, OneOf("optimizer", OPTIMIZERS)] = "adam"
    schedule: Annotated[Component, OneOf("learning-rate schedule", SCHEDULES)] = "constant"
    clipping: Annotated[Component, OneOf("gradient clipping", CLIPPINGS)] = "norm"
    l1: Annotated[float, Opt("strength of the L1 penalty on weights; 0 is none", ge=0)] = 0.0
    l2: Annotated[float, Opt("strength of the L2 penalty on weights; 0 is none", ge=0)] = 0.0
    average: Annotated[
        int | None,
        Opt(
            "dev scores and the best model are of the mean weights of the last so many epochs; null: none", ge=1, le=100
        ),
    ] = None
    average_decay: Annotated[
        float | None,
        Opt("the same of an exponential mean over all steps: what of it stays at each step, such as 0.999", gt=0, lt=1),
    ] = None
    select: Annotated[
        str, Opt("dev score that chooses the best epoch; auto: the one that is usual for the task", named=True)
    ] = "auto"
    patience: Annotated[
        int | None,
        Opt(
            "early stopping: epochs without a better score, once the score has left its floor; null: not counted",
            ge=1,
        ),
    ] = 3
    patience_share: Annotated[
        float | None,
        Opt(
            "early stopping: share of all steps without a better score; beside patience, both must pass",
            gt=0,
            le=1,
        ),
    ] = None
    checkpoint_every: Annotated[int, Opt("steps between checkpoints; one is written after each epoch too", ge=1)] = 200
    keep_checkpoints: Annotated[
        str,
        Opt(
            "checkpoints that stay when a run has ended; last: one, with which it can be trained longer",
            choices=("last", "all", "none"),
        ),
    ] = "last"
    report: Annotated[
        str,
        Opt(
            "what is made when training has ended; full: scores beside baselines, samples, pictures; scores: the "
            "model's scores alone",
            choices=("full", "scores"),
        ),
    ] = "full"
    trackers: Annotated[
        tuple[str, ...],
        Opt("where the numbers of the log are written too, such as [tensorboard]", choices=TRACKERS),
    ] = ()
    on_nonfinite: Annotated[Component, OneOf("what to do with NaN or infinity in loss or gradient", ON_NONFINITE)] = (
        "stop"
    )
    max_model_gib: Annotated[float, Opt("a larger model is refused, in GiB, before it takes memory", gt=0)] = 2.0
    features_gib: Annotated[
        float,
        Opt(
            "memory, in GiB, for what frozen layers say of texts, computed once and not in each epoch; 0: none is kept",
            ge=0,
            le=1024,
        ),
    ] = 1.0
    seed: Annotated[int, Opt("random seed", ge=0, le=2**63 - 1)] = 1
    init_from: Annotated[
        str | None,
        Opt(
            "run of a language model, masked or not, or of a text autoencoder, whose vectors of tokens and layers this "
            "model begins with"
        ),
    ] = None
    init_layers: Annotated[
        int | None,
        Opt("recurrent layers to take from there, from below; null: all, 0: the vectors alone; needs init_from", ge=0),
    ] = None
    init_vectors: Annotated[
        str | None,
        Opt("word vectors that the inputs begin with: a file of GloVe, word2vec, fastText or safetensors, or a run"),
    ] = None
    init_missing: Annotated[
        str,
        Opt(
            "vector of a word that the file lacks: mean of those that it has, zero, or random as without a file; needs "
            "init_vectors",
            choices=("mean", "zero", "random"),
        ),
    ] = "mean"
    init_frozen: Annotated[bool, Opt("the vectors of tokens stay as they begin; needs init_vectors")] = False
    init_words: Annotated[
        int,
        Opt(
            "words that join the vocabulary though no training row has them: the first so many of init_vectors",
            ge=0,
            le=5_000_000,
        ),
    ] = 0
    init_added: Annotated[
        bool, Opt("vectors of a file are added to random ones, and do not replace them; needs init_vectors")
    ] = False
    rate_decay: Annotated[
        float,
        Opt(
            "each layer has the rate of the layer above divided by this; ULMFiT takes 2.6; needs init_from or a folder",
            ge=1,
            le=100,
        ),
    ] = 1.0
    gradual_unfreezing: Annotated[
        bool,
        Opt("one more layer learns in each epoch, from the top (Howard & Ruder 2018); needs init_from or a folder"),
    ] = False

    @property
    def by_layer(self) -> list[str]:
        """Options that are for models which begin with weights from elsewhere, those that are given."""
        given = {"rate_decay": self.rate_decay != 1, "gradual_unfreezing": self.gradual_unfreezing}
        return [name for name, is_given in given.items() if is_given]

    def __post_init__(self) -> None:
        given = {
            "init_layers": self.init_layers is not None,
        }
        problems = [
            f"{name}: has no effect without init_from; leave it out, or name a run of a language model there."
            for name, is_given in given.items()
            if is_given and self.init_from is None
        ]
        of_vectors = {
            "init_missing": self.init_missing != "mean",
            "init_frozen": self.init_frozen,
            "init_words": self.init_words > 0,
            "init_added": self.init_added,
        }
        problems += [
            f"{name}: has no effect without init_vectors; leave it out, or name a file of word vectors there."
            for name, is_given in of_vectors.items()
            if is_given and self.init_vectors is None
        ]
        if self.average is not None and self.average_decay is not None:
            problems += ["average_decay: average makes a mean of the weights already; leave one of the two out."]
        if self.init_added and self.init_frozen:
            problems += ["init_added: random numbers that never learn only disturb; leave it or init_frozen out."]
        if self.init_vectors is not None and self.init_from is not None:
            problems += ["init_vectors: the language model of init_from has vectors already; leave one of the two out."]
        if problems:
            raise ConfigError(problems)
