"""What a config says of captions, before any data is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, RunError
from recurra.base.option import OneOf, Opt
from recurra.config import build
from recurra.data.fields import Field
from recurra.data.picture_features import PictureFeatures
from recurra.data.preparing import IN_MEMORY, Means
from recurra.decode import LENGTH_PENALTIES
from recurra.tasks import picture_options as p
from recurra.tasks.captioning.columns import suggested
from recurra.tasks.captioning.rows import CaptionExample, CaptionRow, read_row
from recurra.tasks.captioning.search import CaptionSearch
from recurra.tasks.captioning.seen import Seen as SeenCaptions
from recurra.tasks.captioning.sizing import sized
from recurra.tasks.captioning.task import Captioning
from recurra.tasks.contract import Needs, Suggestion
from recurra.tasks.picture_reader import PictureReader
from recurra.tasks.sizing import Choice, Options, Seen
from recurra.tasks.text import TextEncoder, reader_of
from recurra.tasks.translation.search import WIDEST_BEAM, Search


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptioningConfig:
    """A picture to a text: what is seen in it, by an encoder of pictures and any decoder."""

    needs: ClassVar = Needs(
        "encoder_decoder",
        {"inputs": p.INPUTS, "encoder": ("image", "transformer", "identity", "pictures")},
        {"decoder.embedding_size": 128, "decoder.hidden_size": 256},
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
    label_smoothing: Annotated[float, Opt("share of the target that is spread over the vocabulary", ge=0, lt=1)] = 0.0
    beam: Annotated[int, Opt("beam size; 1 is greedy search, as when epochs are compared", ge=1, le=WIDEST_BEAM)] = 3
    length_penalty: Annotated[
        p.Component, OneOf("how hypotheses of different lengths compare; without effect on beam: 1", LENGTH_PENALTIES)
    ] = "mean"
    longest: Annotated[
        int | None,
        Opt("tokens of a caption at most, its end among them; null: as the longest of training", ge=1, le=10_000),
    ] = None

    kept: p.Kept = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if problems := p.picture_problems(self):
            raise ConfigError(problems)

    @property
    def reader(self) -> PictureReader:
        """What a picture is read with; of features their width is not known yet."""
        return p.picture_reader(self)

    @property
    def max_length(self) -> None:
        """Captions are learned whole."""
        return None

    @property
    def step_fields(self) -> tuple[str, ...]:
        """Rows of one picture are its captions (`data.layout`)."""
        return (self.caption,)

    @property
    def inputs(self) -> tuple[Field, ...]:
        """The column of pictures."""
        return (self.reader.field,)

    @property
    def fields(self) -> tuple[str, ...]:
        """Columns that training data must have."""
        return (self.image, self.caption, *((self.group,) if self.group is not None else ()))

    @property
    def smallest_sizes(self) -> Mapping[str, int]:
        """`model_sizes` of the smallest data there is."""
        return {**p.smallest_sizes(self), "target": 8}

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

    def read(self, record: Record) -> CaptionRow:
        """A picture with its captions. Raises DataError, with file and line, if nothing can be learned from it."""
        return read_row(record, self.reader, self.caption, self.group)

    def fit(self, records: Sequence[Record], source: str) -> Captioning:
        """The task from training records, as `fit_examples`."""
        return self.fit_examples([self.read(record) for record in records], source)[0]

    def fit_examples(
        self, rows: Collection[CaptionRow], source: str, means: Means = IN_MEMORY
    ) -> tuple[Captioning, Iterator[CaptionExample]]:
        """The vocabulary of training captions, and the rows as examples. Raises DataError where there is no token."""
        first = next(iter(rows)).shown
        width = first.width if isinstance(first, PictureFeatures) else 0
        captions = [caption for row in rows for caption in row.captions]
        words = reader_of(self, captions, means)
        longest = self.longest or 1 + max(len(words.tokenizer.tokenize(caption)) for caption in captions)
        task = self._task(words, width, longest, SeenCaptions.of(captions))
        return task, task.examples(means.encoding(rows), means)

    def restore(self, data: Mapping[str, Any], origin: str) -> Captioning:
        """The task as a run folder holds it. Raises RunError that names `origin`."""
        try:
            words, width, longest = TextEncoder.from_json(data["words"], origin), data["width"], data["longest"]
            seen = SeenCaptions.from_json(data["seen"])
            if type(width) is not int or width < 0 or type(longest) is not int or not 1 <= longest <= 1_000_000:
                raise ValueError(f"width {width!r} and longest {longest!r}")
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{origin}: expected words of captions: {str(error)[:300]}.") from error
        return self._task(words, width, longest, seen)

    def _task(self, words: TextEncoder, width: int, longest: int, seen: SeenCaptions) -> Captioning:
        search = Search(self.beam, 1, build(self.length_penalty, LENGTH_PENALTIES), 1.0)
        return Captioning(self, replace(self.reader, width=width), words, CaptionSearch(search, longest), seen)
