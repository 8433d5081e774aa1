"""What a config says of an autoencoder, before any data is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.base.option import OneOf, Opt
from recurra.config import Section
from recurra.data.fields import Field
from recurra.data.noise import NOISES
from recurra.data.preparing import IN_MEMORY, Means
from recurra.losses.likelihoods import LIKELIHOODS, MOST_CATEGORIES, Likelihood
from recurra.models.options import WIDEST
from recurra.tasks.autoencoding.code_map import label_of
from recurra.tasks.autoencoding.columns import autoencoding_suggested
from recurra.tasks.autoencoding.notes import refusal, roll_of
from recurra.tasks.autoencoding.sizing import sized
from recurra.tasks.autoencoding.statistics import Statistics
from recurra.tasks.autoencoding.task import Autoencoding
from recurra.tasks.contract import Needs, Suggestion
from recurra.tasks.series_plan import AnyRow, SeriesPlan
from recurra.tasks.series_reader import Raw, SeriesReader, raw_series
from recurra.tasks.series_task import AnyExample
from recurra.tasks.sizing import Choice, Options, Seen


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoencodingConfig(SeriesPlan):
    """A row to a short code, and back: to denoise, compress, fill in, generate, or to begin a classifier with."""

    needs: ClassVar = Needs(
        "autoencoder",
        {"inputs": ("vectors",), "encoder": ("dense", "pictures", "recurrent", "transformer", "convolutional")},
    )

    code_size: Annotated[int, Opt("numbers that a row becomes", ge=1, le=WIDEST)] = 16
    likelihood: Annotated[str, Opt("what a number is judged by", choices=LIKELIHOODS)] = "squared_error"
    variational: Annotated[
        bool, Opt("a code is a distribution, so that rows can be drawn; the bound on the likelihood is scored")
    ] = False
    importance_samples: Annotated[
        int,
        Opt(
            "codes drawn of each row for `nll`, a tighter bound; 0: none; not while epochs are compared",
            ge=0,
            le=10_000,
        ),
    ] = 0
    noise: Annotated[
        Section | Mapping[str, Any] | str | None,
        OneOf("done to rows that the model reads, and not to those it should say; null: nothing", NOISES),
    ] = None
    binarize: Annotated[
        Literal["none", "threshold", "static"],
        Opt("scaled numbers become 0 or 1: from 0.5 on, or drawn once with them as probabilities, by binarize_seed"),
    ] = "none"
    notes: Annotated[
        tuple[int, ...] | None,
        Opt(
            "values are chords of music, of notes from a lowest to a highest MIDI number: a number for each note, 1 "
            "where it sounds; null: they are numbers"
        ),
    ] = None
    steps_per_quarter: Annotated[
        int | None, Opt("steps of a quarter note, for MIDI files; null: 1; needs notes", ge=1, le=48)
    ] = None
    binarize_seed: Annotated[int | None, Opt("of binarize: static; null: 0", ge=0)] = None

    def __post_init__(self) -> None:
        problems = self.input_problems()
        if self.sound is not None:
            problems.append("sound: an autoencoder reads numbers and pictures; leave it out.")
        if self.scaling == "series":
            problems.append("scaling: by a row itself cannot be undone; take standard, range or none.")
        if self.binarize != "none" and self.scaling not in ("range", "none"):
            problems.append(f"binarize: reads numbers from 0 to 1; set scaling to range or none, not {self.scaling}.")
        if self.binarize_seed is not None and self.binarize != "static":
            problems.append("binarize_seed: has no effect without binarize: static; leave it out.")
        if self.likelihood in ("bernoulli", "categorical") and self.scaling == "standard":
            problems.append(f"scaling: standard leaves no whole numbers for likelihood {self.likelihood}; take none.")
        if self.variational and not self.likelihood_of(2).is_density:
            problems.append(
                "likelihood: squared_error is none, and variational needs one; take gaussian, for grey pixels "
                "continuous_bernoulli, or bernoulli for 0 and 1."
            )
        if self.importance_samples and not self.variational:
            problems.append("importance_samples: have no effect without variational; leave them out.")
        problems += self._note_problems()
        if problems:
            raise ConfigError(problems)

    def _note_problems(self) -> list[str]:
        """What does not go together with chords."""
        if self.notes is None:
            return ["steps_per_quarter: has no effect without notes; leave it out."] * bool(self.steps_per_quarter)
        problems = [refusal(self.notes)] if refusal(self.notes) else []
        if len(self.columns) > 1:
            problems.append("values: with notes it is one column, of chords; expected its name alone.")
        if self.scaling != "none":
            problems.append(f"scaling: notes are 0 or 1 already; set none, not {self.scaling}.")
        if self.missing != "refuse":
            problems.append("missing: has no effect with notes, where nothing is missing; leave it out.")
        if self.binarize != "none":
            problems.append("binarize: has no effect with notes, which are 0 or 1 already; leave it out.")
        return problems

    @property
    def inputs(self) -> tuple[Field, ...]:
        """The columns of numbers, or the one of chords."""
        return tuple(Field(name, "numbers" if self.notes is None else "text") for name in self.columns)

    @property
    def step_fields(self) -> tuple[str, ...]:
        """The columns whose rows may be steps: not those of chords."""
        return self.columns if self.notes is None else ()

    @property
    def least_features(self) -> int:
        """Numbers of a step in the smallest data there is."""
        return len(self.columns) if self.notes is None else self.notes[1] - self.notes[0] + 1

    def raw_of(self, record: Record) -> Raw:
        """(T, F) the numbers of a record, or its notes."""
        if self.notes is not None:
            return roll_of(record, self.columns[0], self.notes)
        return raw_series(record, self.columns, self.missing)

    @classmethod
    def implies(cls, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a code that is a distribution means for the model, where the config leaves it open."""
        return {"model": {"latent": {"name": "variational"}}} if options.get("variational") is True else {}

    @classmethod
    def called(cls, name: str) -> Mapping[str, Any]:
        """Options of the task that a name asks for."""
        vae = name in ("vae", "variational_autoencoder", "music_vae")
        return {"variational": True} if vae else {}

    @property
    def fields(self) -> tuple[str, ...]:
        """Columns that training data must have."""
        return self.columns

    @property
    def smallest_sizes(self) -> Mapping[str, int]:
        """`model_sizes` of the smallest data there is."""
        likelihood = self.likelihood_of(2)
        return {
            "features": self.least_features * (2 if self.missing == "mask" else 1),
            "values": self.least_features,
            "code": self.code_size,
            "row": 0,
            "noisy": int(self.noise is not None),
            "steps": 0,
            "variational": int(self.variational),
            "parameters": likelihood.size,
            "shared": likelihood.shared,
        }

    @classmethod
    def suggested(cls, rows: Sequence[Record], file: Path) -> Suggestion:
        """Options for a file, from its first rows. Raises ConfigError or DataError if its columns do not fit."""
        return autoencoding_suggested(rows, file)

    @classmethod
    def sized(cls, options: Options, seen: Seen) -> list[Choice]:
        """Choices by the size of the data: options of any section, with the reason for each."""
        return sized(options, seen)

    def wanted(self, record: Record) -> tuple[Any, str, tuple[str, ...]]:
        """Nothing but the row itself; what it is, where a column tells, is for a map of codes."""
        return label_of(record, self.columns), "", ()

    def likelihood_of(self, categories: int) -> Likelihood:
        """What a number is judged by."""
        return LIKELIHOODS[self.likelihood](categories)

    def fit(self, records: Sequence[Record], source: str) -> Autoencoding:
        """The task from training records, as `fit_examples`."""
        return self.fit_examples([self.read(record) for record in records], source)[0]

    def fit_examples(
        self, rows: Collection[AnyRow], source: str, means: Means = IN_MEMORY
    ) -> tuple[Autoencoding, Iterator[AnyExample]]:
        """Scales and statistics from training rows, and these as examples.

        Raises DataError for rows of other numbers of features than the first, for numbers that the likelihood does not
        allow, and for a single row.
        """
        if len(rows) < 2:
            raise DataError(f"{source}: has one row to learn from; an autoencoder needs at least two.")
        reader = self.reader_of(rows, source)
        task = Autoencoding(self, reader, Statistics.none(len(reader.scaler.shift)))
        found = Statistics.of((task.scaled(row) for row in rows), len(reader.scaler.shift), self._categories)
        fitted = Autoencoding(self, reader, found)
        for row in rows:
            fitted.refuse_values(fitted.scaled(row), row.origin)
        return fitted, fitted.examples(means.encoding(rows))

    @property
    def _categories(self) -> int:
        """Categories that numbers may have, at most; 0 where they have none."""
        return MOST_CATEGORIES if self.likelihood == "categorical" else 0

    def restore(self, data: Mapping[str, Any], origin: str) -> Autoencoding:
        """The task as a run folder holds it. Raises RunError that names `origin`."""
        try:
            reader, statistics = SeriesReader.from_json(data["reader"]), Statistics.from_json(data["statistics"])
            if len(statistics.mean) != len(reader.scaler.shift):
                raise ValueError(f"statistics of {len(statistics.mean)} numbers")
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            reason = f"no '{error.args[0]}'" if isinstance(error, KeyError) else str(error)[:300]
            raise RunError(
                f"{origin}: expected scales of rows, and their statistics, but: {reason}. Train it again."
            ) from error
        return Autoencoding(self, reader, statistics)
