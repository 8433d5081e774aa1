"""What a config says of pictures with texts, before any data is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, RunError
from recurra.base.normal import spellings
from recurra.base.option import Opt
from recurra.data.fields import Field
from recurra.data.formats import field as cell_of
from recurra.data.picture_features import PictureFeatures
from recurra.data.preparing import IN_MEMORY, Means
from recurra.tasks import picture_options as p
from recurra.tasks.contract import Needs, Suggestion
from recurra.tasks.label_task import class_weights, labels_from_json
from recurra.tasks.labels import OneLabel, label_set
from recurra.tasks.picture_reader import PictureReader
from recurra.tasks.picture_text.columns import suggested
from recurra.tasks.picture_text.rows import PictureTextExample, PictureTextRow, read_text
from recurra.tasks.picture_text.sizing import sized
from recurra.tasks.picture_text.task import PictureTextClassification
from recurra.tasks.sizing import Choice, Options, Seen
from recurra.tasks.text import TextEncoder, reader_of


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureTextConfig:
    """A label of a picture and a text together, such as whether a sentence is true of a picture."""

    needs: ClassVar = Needs(
        "fusion_model",
        {
            "inputs": p.INPUTS,
            "encoder": ("image", "transformer", "identity", "pictures"),
            "text_inputs": ("tokens",),
            "text_encoder": ("recurrent", "transformer", "convolutional", "identity"),
            "joint": ("transformer", "recurrent", "convolutional"),
            "head": ("label",),
        },
        {"text_encoder.bidirectional": True, "head.pooling": "mean"},
    )

    image: p.ImageColumn = "image"
    text: Annotated[str, Opt("column with the text", named=True)] = "text"
    label: Annotated[str, Opt("column with the label", named=True)] = "label"
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
    class_weights: Annotated[
        Literal["none", "balanced"] | dict[str, float],
        Opt("weight of each label in the loss; balanced: every label counts alike", gt=0),
    ] = "none"
    label_smoothing: Annotated[float, Opt("share of the target that is spread over all labels", ge=0, lt=1)] = 0.0
    calibration: Annotated[
        Literal["temperature", "none"],
        Opt("calibration of probabilities; temperature: scaled to fit dev, no answer changes (Guo et al. 2017)"),
    ] = "temperature"
    kept: p.Kept = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        problems = p.pixel_problems(self)
        columns = (self.image, self.text, self.label)
        if len(set(columns)) < len(columns):
            problems.append(f"image, text, label: expected three columns, got {', '.join(columns)}.")
        if problems:
            raise ConfigError(problems)

    @property
    def kind(self) -> OneLabel:
        return OneLabel()

    @property
    def inputs(self) -> tuple[Field, ...]:
        """The columns of pictures and of texts."""
        return (p.picture_reader(self).field, Field(self.text))

    @property
    def fields(self) -> tuple[str, ...]:
        """Columns that training data must have."""
        return self.image, self.text, self.label

    @property
    def smallest_sizes(self) -> Mapping[str, int]:
        """`model_sizes` of the smallest data there is."""
        return {**p.smallest_sizes(self), "tokens": 8, "labels": 2}

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

    def read(self, record: Record) -> PictureTextRow:
        """A picture with its text and label. Raises DataError, with file and line, if nothing can be learned of it."""
        text = read_text(record, self.text)
        gold, spelt = self.kind.read(cell_of(record, self.label), record.origin)
        return PictureTextRow(p.picture_reader(self).read(record), text, gold, spelt)

    def fit(self, records: Sequence[Record], source: str) -> PictureTextClassification:
        """The task from training records, as `fit_examples`."""
        return self.fit_examples([self.read(record) for record in records], source)[0]

    def fit_examples(
        self, rows: Collection[PictureTextRow], source: str, means: Means = IN_MEMORY
    ) -> tuple[PictureTextClassification, Iterator[PictureTextExample]]:
        """Vocabulary and labels of training rows, and these as examples. Raises DataError if nothing can be learned."""
        first = next(iter(rows)).shown
        width = first.width if isinstance(first, PictureFeatures) else 0
        golds = Counter(row.gold for row in rows)
        labels = label_set(self.kind, golds, source)
        words = reader_of(self, [row.text for row in rows], means)
        merged = spellings(dict.fromkeys(one for row in rows for one in row.spelt))
        weights = class_weights(self, labels, golds)
        task = PictureTextClassification(self, p.picture_reader(self, width), words, labels, weights, merged)
        return task, task.examples(means.encoding(rows), means)

    def restore(self, data: Mapping[str, Any], origin: str) -> PictureTextClassification:
        """The task as a run folder holds it. Raises RunError that names `origin`."""
        try:
            words, width, (labels, weights, temperature) = data["words"], data["width"], labels_from_json(data)
            if type(width) is not int or width < 0:
                raise ValueError(f"width {width!r}")
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise RunError(f"{origin}: expected words and labels of pictures: {str(error)[:300]}.") from error
        reader: PictureReader = p.picture_reader(self, width)
        texts = TextEncoder.from_json(words, origin)
        return PictureTextClassification(self, reader, texts, labels, weights, temperature=temperature)
