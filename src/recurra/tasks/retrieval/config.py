"""What a config says of retrieval, before any data is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, RunError
from recurra.base.option import Opt
from recurra.data.fields import Field
from recurra.data.picture_features import PictureFeatures
from recurra.data.preparing import IN_MEMORY, Means
from recurra.tasks import picture_options as p
from recurra.tasks.captioning.columns import suggested
from recurra.tasks.captioning.rows import CaptionExample, CaptionRow, read_row
from recurra.tasks.contract import Needs, Suggestion
from recurra.tasks.options import refuse_accumulation
from recurra.tasks.picture_reader import PictureReader
from recurra.tasks.retrieval.sizing import sized
from recurra.tasks.retrieval.task import Retrieval
from recurra.tasks.sizing import Choice, Options, Seen
from recurra.tasks.text import TextEncoder, reader_of


@dataclass(frozen=True, kw_only=True, slots=True)
class RetrievalConfig:
    """Pictures and texts as vectors that are alike where one says what the other shows, for a search either way."""

    needs: ClassVar = Needs(
        "dual_encoder",
        {
            "inputs": p.INPUTS,
            "encoder": ("image", "transformer", "identity", "pictures"),
            "text_inputs": ("tokens",),
            "text_encoder": ("recurrent", "transformer", "convolutional", "identity"),
        },
        {"text_encoder.bidirectional": True},
    )

    image: p.ImageColumn = "image"
    caption: p.CaptionColumn = "caption"
    group: p.GroupColumn = None
    features: p.Features = False
    height: p.Height = 64
    width: p.Width = None
    resize: p.ResizeOption = "pad"
    colours: p.ColoursOption = "rgb"
    background: p.BackgroundOption = "white"
    flip: p.Flip = False
    shift: p.Shift = 0
    tokenizer: p.TokenizerOption = "words"
    min_count: p.MinCount = 1
    max_vocabulary: p.MaxVocabulary = None
    max_length: Annotated[int | None, Opt("tokens of a text that are read; null is no limit", ge=1)] = None
    kept: p.Kept = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if problems := p.picture_problems(self):
            raise ConfigError(problems)

    @property
    def step_fields(self) -> tuple[str, ...]:
        """Rows of one picture are its captions (`data.layout`)."""
        return (self.caption,)

    @property
    def inputs(self) -> tuple[Field, ...]:
        """The columns of pictures and of captions."""
        return (p.picture_reader(self).field, Field(self.caption))

    @property
    def fields(self) -> tuple[str, ...]:
        """Columns that training data must have."""
        return (self.image, self.caption, *((self.group,) if self.group is not None else ()))

    @property
    def smallest_sizes(self) -> Mapping[str, int]:
        """`model_sizes` of the smallest data there is."""
        return {**p.smallest_sizes(self), "tokens": 8}

    @classmethod
    def suggested(cls, rows: Sequence[Record], file: Path) -> Suggestion:
        """Options for a file, from its first rows. Raises ConfigError or DataError if its columns do not fit."""
        return suggested(rows, file)

    @classmethod
    def sized(cls, options: Options, seen: Seen) -> list[Choice]:
        """Choices by the size of the data: options of any section, with the reason for each."""
        return sized(options, seen)

    def refuse_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Raises ConfigError for inputs of pixels where there are features, and the other way round."""
        if problems := p.inputs_problem(self.features, str(inputs["name"])):
            raise ConfigError(problems)

    def refuse_training(self, training: Mapping[str, Any]) -> None:
        """Raises ConfigError for batches that are only added up: a pair is told apart from those of its own batch."""
        refuse_accumulation(training)

    def read(self, record: Record) -> CaptionRow:
        """A picture with its captions. Raises DataError, with file and line, if nothing can be learned from it."""
        return read_row(record, p.picture_reader(self), self.caption, self.group)

    def fit(self, records: Sequence[Record], source: str) -> Retrieval:
        """The task from training records, as `fit_examples`."""
        return self.fit_examples([self.read(record) for record in records], source)[0]

    def fit_examples(
        self, rows: Collection[CaptionRow], source: str, means: Means = IN_MEMORY
    ) -> tuple[Retrieval, Iterator[CaptionExample]]:
        """The vocabulary of training captions, and the rows as examples. Raises DataError where there is no token."""
        first = next(iter(rows)).shown
        width = first.width if isinstance(first, PictureFeatures) else 0
        words = reader_of(self, [caption for row in rows for caption in row.captions], means)
        task = Retrieval(self, p.picture_reader(self, width), words)
        return task, task.examples(means.encoding(rows), means)

    def restore(self, data: Mapping[str, Any], origin: str) -> Retrieval:
        """The task as a run folder holds it. Raises RunError that names `origin`."""
        try:
            words, width = TextEncoder.from_json(data["words"], origin), data["width"]
            if type(width) is not int or width < 0:
                raise ValueError(f"width {width!r}")
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{origin}: expected words of captions: {str(error)[:300]}.") from error
        reader: PictureReader = p.picture_reader(self, width)
        return Retrieval(self, reader, words)
