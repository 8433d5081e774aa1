"""What a config says of captions, before any data is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, RunError
from recurra.base.option import OneOf, Opt
from recurra.config import Section, build
from recurra.data.fields import Field
from recurra.data.picture_features import PictureFeatures
from recurra.data.pictures import Background, Colours, PictureSize, Resize
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.tokenizers import TOKENIZERS
from recurra.decode import LENGTH_PENALTIES
from recurra.tasks.captioning.columns import suggested
from recurra.tasks.captioning.rows import CaptionExample, CaptionRow, read_row
from recurra.tasks.captioning.search import CaptionSearch
from recurra.tasks.captioning.seen import Seen as SeenCaptions
from recurra.tasks.captioning.sizing import sized
from recurra.tasks.captioning.task import Captioning
from recurra.tasks.contract import Needs, Suggestion
from recurra.tasks.picture_reader import Moves, PictureReader
from recurra.tasks.sizing import Choice, Options, Seen
from recurra.tasks.text import TextEncoder, reader_of
from recurra.tasks.translation.search import WIDEST_BEAM, Search

Component = Section | Mapping[str, Any] | str
# Options of pixels, with their defaults: without effect on features.
PIXELS: Mapping[str, Any] = {
    "height": 64, "width": None, "resize": "pad", "colours": "rgb", "background": "white", "flip": False, "shift": 0,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptioningConfig:
    """A picture to a text: what is seen in it, by an encoder of pictures and any decoder."""

    needs: ClassVar = Needs(
        "encoder_decoder",
        {"inputs": ("images", "patches", "vectors"), "encoder": ("image", "transformer", "identity", "pictures")},
        {"decoder.embedding_size": 128, "decoder.hidden_size": 256},
    )

    image: Annotated[str, Opt("column of pictures: PNG, JPEG or WebP files, or files of features", named=True)] = (
        "image"
    )
    caption: Annotated[str, Opt("column with captions: a text, or a list of them", named=True)] = "caption"
    group: Annotated[
        str | None, Opt("column whose values keep pictures together in one split; null: equal pictures", named=True)
    ] = None
    features: Annotated[
        bool, Opt("files hold features of another network (.npy): (F,), (places, F) or (height, width, F)")
    ] = False
    height: Annotated[int, Opt("pixels of a picture's height, as it is read", ge=8, le=1024)] = 64
    width: Annotated[int | None, Opt("pixels of its width; null: as of its height", ge=8, le=1024)] = None
    resize: Annotated[
        Resize, Opt("pad: the whole picture, with background beside it; crop: its middle; stretch: each side by itself")
    ] = "pad"
    colours: Annotated[Colours, Opt("rgb, or grey: one number a pixel")] = "rgb"
    background: Annotated[Background, Opt("of what is padded, and behind what is transparent")] = "white"
    flip: Annotated[bool, Opt("training mirrors half of the pictures; not for captions that say left and right")] = (
        False
    )
    shift: Annotated[int, Opt("training moves a picture by so many pixels at most, each way", ge=0, le=64)] = 0
    tokenizer: Annotated[Component, OneOf("tokenizer of the captions", TOKENIZERS)] = "words"
    min_count: Annotated[int, Opt("rarer tokens are read as unknown", ge=1)] = 1
    max_vocabulary: Annotated[
        int | None, Opt("entries of the vocabulary, 4 of them special; null is no limit", ge=5)
    ] = None
    label_smoothing: Annotated[float, Opt("share of the target that is spread over the vocabulary", ge=0, lt=1)] = 0.0
    beam: Annotated[int, Opt("beam size; 1 is greedy search, as when epochs are compared", ge=1, le=WIDEST_BEAM)] = 3
    length_penalty: Annotated[
        Component, OneOf("how hypotheses of different lengths compare; without effect on beam: 1", LENGTH_PENALTIES)
    ] = "mean"
    longest: Annotated[
        int | None, Opt("tokens of a caption at most; null: as the longest of training", ge=1, le=10_000)
    ] = None

    def __post_init__(self) -> None:
        columns = {name: getattr(self, name) for name in ("image", "caption", "group")}
        problems = [
            f"{name}: is '{column}', the column of {other} too; expected another column."
            for k, (name, column) in enumerate(columns.items())
            for other in list(columns)[:k]
            if column is not None and columns[other] == column
        ]
        if self.features:
            problems += [
                f"{name}: has no effect with features; leave it out."
                for name, usual in PIXELS.items()
                if getattr(self, name) != usual
            ]
        if problems:
            raise ConfigError(problems)

    @property
    def reader(self) -> PictureReader:
        """What a picture is read with; of features their width is not known yet."""
        size = PictureSize(self.height, self.width or self.height, self.resize, self.colours, self.background)
        return PictureReader(self.image, None if self.features else size)

    @property
    def moves(self) -> Moves:
        """What training does to pictures."""
        return Moves(self.flip, self.shift)

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
    def splits(self) -> tuple[str, ...]:
        """Ways to take dev and test from train; the first one where the config names none."""
        return ("random", "hash", "folds", "ordered")

    @property
    def smallest_sizes(self) -> Mapping[str, int]:
        """`model_sizes` of the smallest data there is."""
        return {**self.reader.sizes, "target": 8, **({"features": 1} if self.features else {})}

    @classmethod
    def format_of(cls, file: Path) -> str:
        """The format of a file that `init` reads; auto: by its name."""
        return "auto"

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
        if (inputs["name"] == "vectors") != self.features:
            fit = "vectors" if self.features else "images or patches"
            what = "features" if self.features else "pictures"
            raise ConfigError(f"model.inputs: {inputs['name']} do not read {what}; set {fit}.")

    def read(self, record: Record) -> CaptionRow:
        """A picture with its captions. Raises DataError, with file and line, if nothing can be learned from it."""
        return read_row(record, self.reader, self.caption, self.group)

    def check(self, record: Record) -> None:
        """Raise DataError, with file and line, if this record cannot be learned from."""
        self.read(record)

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
        longest = self.longest or max(len(words.tokenizer.tokenize(caption)) for caption in captions)
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
