"""What a config says of a text autoencoder, before any text is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, RunError
from recurra.base.option import OneOf, Opt
from recurra.config import Section
from recurra.data.fields import Field
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.store import Fields
from recurra.data.tokenizers import TOKENIZERS
from recurra.models.options import WIDEST
from recurra.tasks.contract import Needs, Suggestion
from recurra.tasks.language_model.columns import text_column
from recurra.tasks.language_model.documents import TextRow
from recurra.tasks.language_model.reading import text_of
from recurra.tasks.sizing import Choice, Options, Seen
from recurra.tasks.text import TextEncoder, reader_of_rows
from recurra.tasks.text_autoencoding.rows import CodedText
from recurra.tasks.text_autoencoding.sizing import sized
from recurra.tasks.text_autoencoding.task import TextAutoencoding

# Words for a code that is a distribution.
VARIATIONAL = ("sequence_vae", "sentence_vae", "text_vae")


@dataclass(frozen=True, kw_only=True, slots=True)
class TextAutoencodingConfig:
    """A text to a short code, and back, token by token: for codes of texts, or to begin a classifier with."""

    needs: ClassVar = Needs(
        "text_autoencoder",
        {"inputs": ("tokens",), "encoder": ("recurrent", "transformer", "convolutional")},
        {
            "decoder.attention": "none",
            "decoder.style": "cho",
            "decoder.bridge": "mean",
            "decoder.readout": "state",
        },
    )

    keeps_tokens: ClassVar = False

    text: Annotated[str, Opt("column with the text; of a text file `text`", named=True)] = "text"
    tokenizer: Annotated[Section | Mapping[str, Any] | str, OneOf("how texts become tokens", TOKENIZERS)] = "words"
    min_count: Annotated[int, Opt("rarer tokens are read as unknown", ge=1)] = 1
    max_vocabulary: Annotated[
        int | None, Opt("entries of the vocabulary, 4 of them special; null is no limit", ge=5)
    ] = None
    max_length: Annotated[int | None, Opt("tokens of a text that are read, and written; null is no limit", ge=1)] = None
    code_size: Annotated[int, Opt("numbers that a text becomes", ge=1, le=WIDEST)] = 32
    variational: Annotated[
        bool, Opt("a code is a distribution, so that texts can be drawn; the bound on the likelihood is scored")
    ] = False
    importance_samples: Annotated[
        int,
        Opt(
            "codes drawn of each text for `nll`, a tighter bound; 0: none; not while epochs are compared", ge=0, le=1000
        ),
    ] = 0
    decoder_word_dropout: Annotated[
        float,
        Opt(
            "share of the tokens that the decoder reads as unknown in training, so that it needs the code (Bowman et "
            "al. 2016, section 3.1)",
            ge=0,
            le=1,
        ),
    ] = 0.0
    token_drop: Annotated[
        float,
        Opt("share of the tokens that the encoder does not read in training, and the decoder writes", ge=0, lt=1),
    ] = 0.0

    def __post_init__(self) -> None:
        if self.importance_samples and not self.variational:
            raise ConfigError("importance_samples: have no effect without variational; leave them out.")

    @classmethod
    def implies(cls, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a code that is a distribution means for the model: its KL weighs nothing at first."""
        latent = {"name": "variational", "warmup": "linear"}
        return {"model": {"latent": latent}} if options.get("variational") is True else {}

    @classmethod
    def called(cls, name: str) -> Mapping[str, Any]:
        """Options of the task that a name asks for."""
        return {"variational": True, "decoder_word_dropout": 0.3} if name in VARIATIONAL else {}

    @property
    def inputs(self) -> tuple[Field, ...]:
        """What is read; `predict TEXT` fills it."""
        return (Field(self.text),)

    @property
    def fields(self) -> tuple[str, ...]:
        """Columns that training data must have."""
        return (self.text,)

    def sizes(self, tokens: int) -> Mapping[str, int]:
        """`model_sizes` of a vocabulary of so many."""
        return {
            "tokens": tokens,
            "target": tokens,
            "code": self.code_size,
            "row": 0,
            "noisy": int(self.token_drop > 0),
            "variational": int(self.variational),
        }

    @property
    def smallest_sizes(self) -> Mapping[str, int]:
        """`model_sizes` of the smallest data there is."""
        return self.sizes(8)

    @classmethod
    def suggested(cls, rows: Sequence[Record], file: Path) -> Suggestion:
        """Options for a file, from its first rows. Raises DataError if no column holds text."""
        name, why = text_column(rows, file)
        task = {"text": name, "tokenizer": {"name": "words", "lowercase": True}}
        return Suggestion(task, said=(f"text: column '{name}', {why}.",))

    @classmethod
    def sized(cls, options: Options, seen: Seen) -> list[Choice]:
        """Choices by the size of the data: options of any section, with the reason for each."""
        return sized(options, seen)

    def read(self, record: Record) -> TextRow:
        """A text. Raises DataError, with file and line, for a record without one."""
        return TextRow(text_of(record, self.text, blank=False), record.origin)

    def unread(self, record: Record) -> TextRow:
        """The same of a text that may be blank."""
        return TextRow(text_of(record, self.text, blank=True), record.origin)

    @property
    def row_codec(self) -> Fields[TextRow]:
        return Fields(TextRow)

    def fit(self, records: Sequence[Record], source: str) -> TextAutoencoding:
        """The task from training records, as `fit_examples`."""
        return self.fit_examples([self.read(record) for record in records], source)[0]

    def fit_examples(
        self, rows: Collection[TextRow], source: str, means: Means = IN_MEMORY
    ) -> tuple[TextAutoencoding, Iterator[CodedText]]:
        """Tokenizer and vocabulary from training rows, and these as examples."""
        task = TextAutoencoding(self, reader_of_rows(self, rows, means))
        return task, task.examples(means.encoding(rows), means)

    def restore(self, data: Mapping[str, Any], origin: str) -> TextAutoencoding:
        """The task as a run folder holds it. Raises RunError that names `origin`."""
        if "reader" not in data:
            raise RunError(f"{origin}: expected a reader of texts.")
        return TextAutoencoding(self, TextEncoder.from_json(data["reader"], origin))
