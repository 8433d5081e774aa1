"""What a config says of music, before any data is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.base.option import Opt
from recurra.data.fields import Field
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.store import Fields
from recurra.tasks.contract import Needs, Suggestion
from recurra.tasks.music.chords import HIGHEST, chords_of, note_name, outside
from recurra.tasks.music.sizing import sized
from recurra.tasks.music.task import Music, MusicPiece
from recurra.tasks.sizing import Choice, Options, Seen


@dataclass(frozen=True, kw_only=True, slots=True)
class MusicConfig:
    """Predict which notes sound next: pieces as chords, one a step."""

    needs: ClassVar = Needs(
        "sequence_model", {"inputs": ("vectors",), "head": ("notes",), "wide": ("none",)}, {"encoder.hidden_size": 150}
    )

    chords: Annotated[
        str, Opt("column with the chords of a piece: 'C4+E4+G4 D4+F4 -', or lists of MIDI numbers", named=True)
    ] = "chords"
    lowest: Annotated[int, Opt("MIDI number of the lowest note; 21 is the lowest key of a piano", ge=0, le=HIGHEST)] = (
        21
    )
    highest: Annotated[
        int, Opt("MIDI number of the highest note; 108 is the highest key of a piano", ge=0, le=HIGHEST)
    ] = 108
    steps_per_quarter: Annotated[int, Opt("steps of a quarter note, for MIDI files", ge=1, le=48)] = 1

    def __post_init__(self) -> None:
        if self.lowest > self.highest:
            raise ConfigError(f"highest: is {self.highest}, under lowest, {self.lowest}; expected at least that.")

    @property
    def inputs(self) -> tuple[Field, ...]:
        """What is read; `predict TEXT` fills the first one."""
        return (Field(self.chords),)

    @property
    def fields(self) -> tuple[str, ...]:
        """Columns that training data must have."""
        return (self.chords,)

    @property
    def smallest_sizes(self) -> Mapping[str, int]:
        """`model_sizes`, which the options alone tell."""
        return {"features": self.highest - self.lowest + 1}

    @classmethod
    def suggested(cls, rows: Sequence[Record], file: Path) -> Suggestion:
        """The first column whose rows are all chords. Raises DataError if there is none."""
        names = list(rows[0].fields)
        problem = ""
        for name in names:
            try:
                pieces = [chords_of(row, name) for row in rows]
            except DataError as error:
                problem = problem or str(error)
                continue
            if any(pieces):
                return Suggestion(
                    {"chords": name}, said=(f"chords: column '{name}', the first one whose rows are all chords.",)
                )
        raise DataError(f"{file}: no column holds chords; its columns are {', '.join(map(repr, names))}. {problem}")

    @classmethod
    def sized(cls, options: Options, seen: Seen) -> list[Choice]:
        """Choices by the size of the data: options of any section, with the reason for each."""
        return sized(seen)

    def read(self, record: Record) -> MusicPiece:
        """A piece. Raises DataError, with file, line and step, if nothing can be learned from it."""
        chords = chords_of(record, self.chords)
        if not chords:
            raise DataError(f"{record.origin}: column '{self.chords}' is empty, expected chords.")
        for number, chord in enumerate(chords, start=1):
            for note in outside(chord, self.lowest, self.highest):
                raise DataError(
                    f"{record.origin}: column '{self.chords}', step {number}: {note_name(note)} ({note}) is not in "
                    f"{self.lowest}..{self.highest}; set task.lowest and task.highest."
                )
        return MusicPiece(chords, record.origin)

    def fit(self, records: Sequence[Record], source: str) -> Music:
        """Nothing is learned from training records: the options say which notes there are."""
        return self._task()

    @property
    def row_codec(self) -> Fields[MusicPiece]:
        return Fields(MusicPiece)

    def fit_examples(
        self, rows: Collection[MusicPiece], source: str, means: Means = IN_MEMORY
    ) -> tuple[Music, Iterator[MusicPiece]]:
        """The same, and the rows, which are examples already."""
        return self._task(), means.encoding(rows)

    def restore(self, data: Mapping[str, Any], origin: str) -> Music:
        """The task as a run folder holds it. Raises RunError that names `origin`."""
        if (data.get("lowest"), data.get("highest")) != (self.lowest, self.highest):
            raise RunError(f"{origin}: expected music of the notes {self.lowest}..{self.highest}.")
        return self._task()

    def _task(self) -> Music:
        return Music(self.chords, self.lowest, self.highest, self.read, steps_per_quarter=self.steps_per_quarter)
