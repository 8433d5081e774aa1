"""What a config says of a transcription, before any data is read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.base.option import OneOf, Opt
from recurra.config import Section, build
from recurra.data.fields import Field
from recurra.data.lexicons import Lexicon
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.scaling import Scaler
from recurra.data.spectra import SPECTRA, Spectrum
from recurra.data.tokenizers import TOKENIZERS
from recurra.models.contract import JoinsSteps
from recurra.models.inputs import INPUTS
from recurra.tasks.contract import Needs, Suggestion
from recurra.tasks.sizing import Choice, Options, Seen
from recurra.tasks.transcription.augmenting import Augmentation
from recurra.tasks.transcription.columns import suggested
from recurra.tasks.transcription.lexicon import SpokenLexicon, Stress
from recurra.tasks.transcription.methods import METHODS, Ctc, Method
from recurra.tasks.transcription.reading import Scaling, SpeechReader, decoded, floored, refuse_width
from recurra.tasks.transcription.rows import SpeechRow, Utterance, read_recording, read_speaker, read_text
from recurra.tasks.transcription.sizing import sized
from recurra.tasks.transcription.task import Transcription
from recurra.tasks.transcription.texts import Case, Punctuation, Units, cleaned

# Milliseconds from one frame to the next of features that do not say it: what nearly all have.
USUAL_STEP = 10.0
# What cuts texts into units that a model can learn to say.
CUTTERS = ("characters", "spaces", "words", "subwords")


@dataclass(frozen=True, kw_only=True, slots=True)
class TranscriptionConfig:
    """What is said in a recording: speech to text, by CTC, a transducer or attention, as `model.head` says."""

    needs: ClassVar = Needs(
        "sequence_model",
        {"inputs": ("vectors", "frames"), "head": ("ctc", "transducer", "attention"), "wide": ("none",)},
        {"encoder.bidirectional": True},
    )

    audio: Annotated[str, Opt("column of recordings: sound files, or files of features", named=True)] = "audio"
    text: Annotated[str, Opt("column with what is said", named=True)] = "text"
    sound: Annotated[
        Section | Mapping[str, Any] | str | None,
        OneOf("recordings are sounds, read as log-mel features by this definition; null: they are features", SPECTRA),
    ] = None
    frame_size: Annotated[
        int | None, Opt("numbers of a frame in Sphinx's files, which do not say it; null is 13", ge=1, le=4096)
    ] = None
    step_ms: Annotated[
        float | None, Opt("ms from frame to frame of features, for the times of words; null is 10", gt=0, le=1000)
    ] = None
    scaling: Annotated[
        Scaling,
        Opt(
            "features by mean and deviation: of the utterance; of all training recordings of its speaker; of the "
            "training data; running: of all that came before in the recording, which can be streamed"
        ),
    ] = "utterance"
    speaker: Annotated[str | None, Opt("column with who speaks; only with scaling: speaker")] = None
    floor: Annotated[
        float | None,
        Opt(
            "numbers are at least this: digital silence lies far below any room, and would rule the scales",
            ge=-1000,
            le=1000,
        ),
    ] = None
    deltas: Annotated[int, Opt("slopes beside the features, and slopes of these", ge=0, le=2)] = 0
    stack: Annotated[int, Opt("frames that are read as one step", ge=1, le=32)] = 3
    tokenizer: Annotated[
        Section | Mapping[str, Any] | str,
        OneOf("units of the text: characters; spaces, for words or phones; words; subwords", TOKENIZERS),
    ] = "characters"
    lexicon: Annotated[
        str | None,
        Opt(
            "file of words with their pronunciations (CMUdict; Kaldi's lexicon.txt and lexiconp.txt): texts are words, "
            "units are what they are said by, and answers are words; only with tokenizer: spaces and model.head: ctc"
        ),
    ] = None
    stress: Annotated[
        Stress, Opt("digits behind units of the lexicon, 0 to 2; drop: AH0 and AH1 are one; only with lexicon")
    ] = "keep"
    case: Annotated[Case, Opt("letters of the texts, in training and in scores")] = "keep"
    punctuation: Annotated[Punctuation, Opt("drop: signs are left out but inside of words")] = "keep"
    speed: Annotated[
        float,
        Opt("training recordings are slower or faster by this share at most; sounds change their pitch", ge=0, le=0.5),
    ] = 0.0
    noise_db: Annotated[
        float | None,
        Opt("white noise in training, so many decibels below the speech, or up to 20 more", ge=-20, le=100),
    ] = None
    noise_stretches: Annotated[
        int,
        Opt(
            "that noise comes and goes: it is in so many stretches, each of its own loudness and colour; 0: white, all "
            "along; only with noise_db",
            ge=0,
            le=100,
        ),
    ] = 0
    warp: Annotated[
        float,
        Opt(
            "in training the middle of a spectrum moves up or down, by 2/3 of this share at most, as other voices have "
            "it (VTLP), such as 0.08",
            ge=0,
            le=0.3,
        ),
    ] = 0.0
    cepstra: Annotated[
        bool, Opt("features are cepstra, their mean first (Sphinx's MFCC), and not bands; only with warp")
    ] = False
    time_masks: Annotated[int, Opt("stretches of frames that training hides (SpecAugment)", ge=0, le=100)] = 0
    time_mask_width: Annotated[
        int,
        Opt("frames of such a stretch at most, and a fifth of the recording; only with time_masks", ge=1),
    ] = 25
    band_masks: Annotated[int, Opt("stretches of the numbers of a frame that training hides", ge=0, le=100)] = 0
    band_mask_width: Annotated[int, Opt("numbers of such a stretch at most; only with band_masks", ge=1)] = 8
    # By the head and the inputs of the model, which `for_model` is told: a way to learn, and steps that become one.
    method: Method = field(default_factory=Ctc, init=False, compare=False)
    joined: int = field(default=1, init=False, compare=False)

    def __post_init__(self) -> None:
        problems = []
        if self.audio == self.text:
            problems.append(f"text: is '{self.text}', the column of recordings too; expected another column.")
        if (self.scaling == "speaker") != (self.speaker is not None):
            problems.append(
                "speaker: has no effect without scaling: speaker; leave it out, or set that."
                if self.speaker is not None
                else "speaker: is missing; scaling: speaker needs the column with who speaks."
            )
        if self.cutter not in CUTTERS:
            problems.append(
                f"tokenizer: {self.cutter} does not make units of speech; take one of {', '.join(CUTTERS)}."
            )
        if self.lexicon is not None and self.cutter != "spaces":
            problems.append("tokenizer: units of a lexicon stand between spaces; set task.tokenizer: spaces.")
        if self.lexicon is None and self.stress != "keep":
            problems.append("stress: has no effect without lexicon; leave it out, or set lexicon.")
        if self._cutting.get("lowercase"):
            problems.append("tokenizer.lowercase: scores would still mind capitals; set task.case: lower instead.")
        if self.sound is not None:
            for name in ("frame_size", "step_ms"):
                if getattr(self, name) is not None:
                    problems.append(f"{name}: has no effect with sound; leave it out.")
        elif self.noise_db is not None:
            problems.append("noise_db: is added to sounds, and these are features; leave it out, or set sound.")
        if self.noise_stretches and self.noise_db is None:
            problems.append("noise_stretches: has no effect without noise_db; leave it out, or set noise_db.")
        if self.cepstra and not self.warp:
            problems.append("cepstra: has no effect without warp; leave it out, or set warp.")
        if self.cepstra and self.sound is not None:
            problems.append("cepstra: sounds are read as bands; leave it out.")
        for name, usual in (("time_mask", 25), ("band_mask", 8)):
            if not getattr(self, f"{name}s") and getattr(self, f"{name}_width") != usual:
                problems.append(f"{name}_width: has no effect without {name}s; leave it out, or set {name}s.")
        if problems:
            raise ConfigError(problems)
        _ = self.spectrum  # what its options refuse is said now

    def for_model(self, model: Mapping[str, Any]) -> TranscriptionConfig:
        """The same for a model with this head and these inputs."""
        found, inputs, head = copy(self), model["inputs"], model["head"]
        word = head["name"] if head["name"] in METHODS else Ctc.word
        if self.lexicon is not None and word != Ctc.word:
            raise ConfigError(f"lexicon: words by their pronunciations need model.head: ctc, and this is {word}.")
        object.__setattr__(found, "method", METHODS[word](head))
        component: Any = INPUTS[inputs["name"]]
        object.__setattr__(found, "joined", component.joined(inputs) if isinstance(component, JoinsSteps) else 1)
        return found

    @property
    def cutter(self) -> str:
        """The word of the tokenizer."""
        return str(self._cutting["name"])

    @property
    def _cutting(self) -> Mapping[str, Any]:
        """The options of the tokenizer."""
        given = self.tokenizer.options if isinstance(self.tokenizer, Section) else self.tokenizer
        return {"name": given} if isinstance(given, str) else given

    @property
    def spectrum(self) -> Spectrum | None:
        """How sounds become numbers; None where they are numbers already."""
        made: Spectrum | None = None if self.sound is None else build(self.sound, SPECTRA)
        return made

    @property
    def augmentation(self) -> Augmentation:
        """What training does to recordings."""
        return Augmentation(
            self.speed,
            self.noise_db,
            self.time_masks,
            self.time_mask_width,
            self.band_masks,
            self.band_mask_width,
            self.warp,
            self.cepstra,
            self.noise_stretches,
        )

    @property
    def inputs(self) -> tuple[Field, ...]:
        """The column of recordings."""
        return (Field(self.audio, "frames" if self.sound is None else "audio"),)

    @property
    def fields(self) -> tuple[str, ...]:
        """Columns that training data must have."""
        return (self.audio, self.text) if self.speaker is None else (self.audio, self.text, self.speaker)

    @property
    def smallest_sizes(self) -> Mapping[str, int]:
        """`model_sizes` of the smallest data there is."""
        spectrum = self.spectrum
        width = 1 if spectrum is None else spectrum.num_features
        return {"features": width * (1 + self.deltas) * self.stack, "units": 2}

    @classmethod
    def suggested(cls, rows: Sequence[Record], file: Path) -> Suggestion:
        """Options for a file, from its first rows. Raises ConfigError or DataError if its columns do not fit."""
        return suggested(rows, file)

    @classmethod
    def by_lexicon(cls, file: str) -> Mapping[str, Any]:
        """The options with a file of words and their pronunciations."""
        return {"lexicon": file, "tokenizer": {"name": "spaces"}}

    @classmethod
    def sized(cls, options: Options, seen: Seen) -> list[Choice]:
        """Choices by the size of the data: options of any section, with the reason for each."""
        return sized(options, seen)

    def cleaned(self, text: str) -> str:
        """A text as it is learned and scored."""
        return cleaned(text, self.case, self.punctuation)

    def read(self, record: Record) -> SpeechRow:
        """A recording with its text. Raises DataError, with file and line, if nothing can be learned from it."""
        recording = read_recording(record, self.audio, self.spectrum, self.frame_size)
        speaker = read_speaker(record, self.speaker, gold=True)
        return SpeechRow(recording, self.cleaned(read_text(record, self.text)), record.origin, speaker)

    def fit(self, records: Sequence[Record], source: str) -> Transcription:
        """The task from training records, as `fit_examples`."""
        return self.fit_examples([self.read(record) for record in records], source)[0]

    def fit_examples(
        self, rows: Collection[SpeechRow], source: str, means: Means = IN_MEMORY
    ) -> tuple[Transcription, Iterator[Utterance]]:
        """Units and scales from training rows, and these as examples.

        Raises DataError where nothing is said at all, and for features of another width than the first.
        """
        lexicon = self.read_lexicon()
        texts = [row.text if lexicon is None else lexicon.said(row.text)[0] for row in rows]
        units = Units.fit(build(self.tokenizer, TOKENIZERS).train(texts), texts)
        if not units.units:
            unsaid = () if lexicon is None else [word for row in rows for word in lexicon.said(row.text)[1]]
            if unsaid:
                raise DataError(
                    f"{source}: column '{self.text}': no word has a pronunciation in task.lexicon, {self.lexicon}; the "
                    f"first is '{unsaid[0][:60]}'. Set task.case and task.punctuation so that words are written as "
                    "there, or take another."
                )
            raise DataError(f"{source}: nothing is said in any recording; expected texts in column '{self.text}'.")
        if lexicon is not None:
            lexicon = lexicon.counted([row.text for row in rows])
        task = Transcription(self, self._reader_of(rows), units, lexicon=lexicon)
        return task, task.examples(means.encoding(rows), means)

    def read_lexicon(self) -> SpokenLexicon | None:
        """The words with their pronunciations. Raises DataError, with file and line, for a file of something else."""
        if self.lexicon is None:
            return None
        return SpokenLexicon.of(Lexicon.read(Path(self.lexicon)), self.case, self.punctuation, self.stress)

    def _reader_of(self, rows: Collection[SpeechRow]) -> SpeechReader:
        spectrum = self.spectrum
        first = next(iter(rows)).recording
        width = spectrum.num_features if spectrum is not None else first.width  # type: ignore[union-attr]
        for row in rows:
            refuse_width(row.recording, width)

        def fitted(how: Any, some: Iterable[SpeechRow]) -> Scaler:
            return Scaler.fit(how, (floored(decoded(row.recording, spectrum)[0], self.floor) for row in some), width)

        scaler = fitted("standard" if self.scaling in ("training", "running") else "none", rows)
        groups: dict[str, list[SpeechRow]] = {}
        for row in rows if self.scaling == "speaker" else ():
            groups.setdefault(row.speaker, []).append(row)
        speakers = {name: fitted("standard", some) for name, some in groups.items()}
        seconds = self._step_seconds(spectrum)
        return SpeechReader(
            width, seconds, self.scaling, self.deltas, self.stack, scaler, self.floor, speakers=speakers
        )

    def _step_seconds(self, spectrum: Spectrum | None) -> float:
        if spectrum is not None:
            return spectrum.step / spectrum.rate
        return (self.step_ms or USUAL_STEP) / 1000

    def restore(self, data: Mapping[str, Any], origin: str) -> Transcription:
        """The task as a run folder holds it. Raises RunError that names `origin`."""
        try:
            reader, units = SpeechReader.from_json(data["reader"]), Units.from_json(data["units"])
            lexicon = None if self.lexicon is None else SpokenLexicon.from_json(data["lexicon"])
        except (KeyError, TypeError, ValueError, RunError) as error:
            what = "scales and units of speech" + (", and words of a lexicon" if self.lexicon is not None else "")
            raise RunError(f"{origin}: expected {what}: {str(error)[:300].rstrip('.')}.") from error
        return Transcription(self, reader, units, lexicon=lexicon)
