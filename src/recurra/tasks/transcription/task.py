"""Transcription: five verbs between recordings, the model and the words."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from recurra.base.answers import AnswerKind
from recurra.base.contracts import Batch, Loss, Prediction, Record, Score, Table
from recurra.base.errors import ConfigError
from recurra.base.transcripts import Transcript
from recurra.data.lexicons import Lexicon
from recurra.data.preparing import IN_MEMORY, Means
from recurra.data.sound import silence
from recurra.decode.ctc import Emitted, greedy
from recurra.decode.fusion import Fusion, NetworkScores
from recurra.decode.ngrams import NGrams
from recurra.decode.texts import Texts
from recurra.decode.word_beam import SpokenWords
from recurra.losses import fixed_sum
from recurra.metrics import Compared
from recurra.metrics.transcripts import edits, summed, transcript_scores
from recurra.report import RecordingFigure
from recurra.tasks.drawn import DrawnSampler
from recurra.tasks.options import refuse_options
from recurra.tasks.text import pad_sequence
from recurra.tasks.transcription.baselines import compared
from recurra.tasks.transcription.figures import delays, worst_recordings
from recurra.tasks.transcription.lexicon import SpokenLexicon
from recurra.tasks.transcription.methods import Decoding
from recurra.tasks.transcription.notes import UNPRONOUNCED, notes_of
from recurra.tasks.transcription.reading import SpeechReader, refuse_width
from recurra.tasks.transcription.rows import SpeechRow, Utterance, read_recording, read_speaker
from recurra.tasks.transcription.streaming import SpeechPredictor
from recurra.tasks.transcription.tables import transcript_tables
from recurra.tasks.transcription.texts import Units

if TYPE_CHECKING:
    from recurra.tasks.transcription.config import TranscriptionConfig


def _as_nats(
    words: object, plan: TranscriptionConfig, units: Units, lexicon: SpokenLexicon | None = None
) -> dict[str, float]:
    """Hot words, cleaned as texts are, with what each is worth.

    Raises ConfigError for anything else, and for words that are never said: two that are one, or with a strange unit,
    or without a pronunciation in a lexicon that has such.
    """
    if not isinstance(words, Mapping) or not all(
        isinstance(w, str) and isinstance(n, int | float) and not isinstance(n, bool) for w, n in words.items()
    ):
        raise ConfigError(f"hot_words: expected words with their nats, such as {{'recurra': 3.0}}, got {words!r}.")
    found = {plan.cleaned(word): float(nats) for word, nats in words.items()}
    if len(found) < len(words):
        raise ConfigError(f"hot_words: some are the same word, as the run reads texts: {', '.join(words)}.")
    _ = Texts(units.spelling, hot=found)  # what it refuses is said now
    for word in found:
        if lexicon is not None:
            if word not in lexicon:
                raise ConfigError(
                    f"hot_words: '{word}' has no pronunciation in the lexicon; add it there, or leave it out."
                )
            if not lexicon.is_said(word, units):
                raise ConfigError(f"hot_words: '{word}' needs units that no training text has; leave it out.")
        elif strange := units.numbers(word)[1]:
            raise ConfigError(
                f"hot_words: '{word}' needs {', '.join(map(repr, strange))}, which no training text has; leave it out."
            )
    return found


def _as_words(lexicon: object, plan: TranscriptionConfig, units: Units) -> frozenset[str]:
    """The words of a lexicon, cleaned as texts are; those with a unit that no training text has can never be said.

    Raises ConfigError for what is no collection of texts, and where no word is left.
    """
    if isinstance(lexicon, str) or not isinstance(lexicon, Collection) or not all(isinstance(w, str) for w in lexicon):
        raise ConfigError(f"lexicon: expected words, or the path of a file of them, got {str(lexicon)[:60]!r}.")
    cleaned = {word for text in lexicon for word in plan.cleaned(text).split()}
    found = frozenset(word for word in cleaned if not units.numbers(word)[1])
    if not found:
        raise ConfigError("lexicon: none of its words can be spelt with what training texts had; take another.")
    return found


def _as_spoken(lexicon: object, plan: TranscriptionConfig) -> SpokenLexicon:
    """Words with their pronunciations in the place of the run's. Raises ConfigError or DataError for anything else."""
    if not isinstance(lexicon, Lexicon):
        raise ConfigError(
            "lexicon: this run hears units of pronunciations; expected the path of a file with words and their "
            f"pronunciations, got {str(lexicon)[:60]!r}."
        )
    return SpokenLexicon.of(lexicon, plan.case, plan.punctuation, plan.stress)


def _refuse_other_units(lm: object, units: Units) -> None:
    """Raise ConfigError for what is no language model, and for one of characters beside other units."""
    if not isinstance(lm, Fusion):
        raise ConfigError(f"lm: expected a language model, got {lm!r}; recurra.api.predict opens one by its path.")
    name = units.tokenizer.to_json()["name"]
    if lm.by == "unit" and _judges_characters(lm.scores) and name != "characters":
        raise ConfigError(
            f"lm: judges characters, and the units of this run are {name}; take one of words, a run or an ARPA file."
        )


def _with_hot(words: SpokenWords, hot: Mapping[str, float] | None) -> SpokenWords:
    return words.with_hot(hot) if hot else words


def _judges_characters(scores: object) -> bool:
    """Models of the user may judge units of any kind."""
    return isinstance(scores, NetworkScores) or (isinstance(scores, NGrams) and scores.of_characters)


# A wider beam is slower in proportion. With a lexicon of pronunciations words are searched for unless a beam is said.
WIDEST_BEAM, WORD_BEAM = 1000, 64
NO_FRAMES = "no frames"
SILENT = "silence"
NOBODY = "no speaker of training, so scaled by itself"
NOTHING = Emitted((), (), (), (), 0, 0)


@dataclass(frozen=True, slots=True)
class Said:
    """What a model said of a recording. nats: what the reference costs, None where it is not known or cannot be said

    phones: with a lexicon of pronunciations, the most probable units, whatever words they make
    """

    emitted: Emitted
    text: str
    silent: bool = False
    nats: float | None = None
    phones: tuple[int, ...] = ()


class Transcription:
    """Five verbs between the data and the model: example, collate, loss, predict, score. An output is a `Said`."""

    answer_kind: ClassVar[AnswerKind] = "text"
    input_key: ClassVar[str] = ""
    decodes: ClassVar[bool] = True
    options: ClassVar[tuple[str, ...]] = ("beam", "lm", "hot_words", "lexicon")

    def __init__(
        self,
        plan: TranscriptionConfig,
        reader: SpeechReader,
        units: Units,
        decoding: Decoding | None = None,
        *,
        lexicon: SpokenLexicon | None = None,
    ) -> None:
        self.plan, self.reader, self.units, self.lexicon = plan, replace(reader, joined=plan.joined), units, lexicon
        self.method, self.decoding = plan.method, decoding or self._usual()
        self.spectrum = plan.spectrum
        self.augmentation = plan.augmentation

    def _usual(self) -> Decoding:
        """Greedy, but where words are known by their pronunciations."""
        if self.lexicon is None:
            return Decoding()
        return Decoding(WORD_BEAM, spoken=self._spoken(self.lexicon, None, None))

    def _spoken(
        self, lexicon: SpokenLexicon, lm: Fusion | None, hot: Mapping[str, float] | None
    ) -> Callable[[], SpokenWords]:
        """The words of a lexicon with what they are worth, made when they are first needed.

        lm: None: words by how often the texts of training have them
        """
        assert self.lexicon is not None
        units, beside = self.units, lm or self.lexicon.usual
        return cache(lambda: _with_hot(lexicon.spoken(units, beside), hot))

    @property
    def model_sizes(self) -> Mapping[str, int]:
        """What a model has to know of the data: numbers of a step, and units with the blank."""
        return {"features": self.reader.size, "units": len(self.units)}

    @property
    def trial_fields(self) -> Mapping[str, Any]:
        """A second of silence, or as many steps of zeros."""
        if self.spectrum is not None:
            return {self.plan.audio: silence(self.spectrum.rate, self.spectrum.rate)}
        return {self.plan.audio: [[0.0] * self.reader.width] * (2 * self.reader.stack)}

    # -- the five verbs --------------------------------------------------------------------------------------------

    def example(self, record: Record, *, gold: bool = True) -> Utterance:
        """Read a record; without `gold` nobody knows the text, and the recording may have no frame.

        Raises DataError, with file and line, for what is no recording, or a text that is not there.
        """
        if gold:
            return self._example(self.plan.read(record))
        recording = read_recording(record, self.plan.audio, self.spectrum, self.plan.frame_size, blank=True)
        refuse_width(recording, self.reader.width)
        speaker = read_speaker(record, self.plan.speaker, gold=False)
        return Utterance(recording, self.reader, self.spectrum, None, (), (), speaker=speaker)

    def examples(self, rows: Iterable[SpeechRow], means: Means = IN_MEMORY) -> Iterator[Utterance]:
        """Rows as examples, one by one."""
        return map(self._example, rows)

    def _example(self, row: SpeechRow) -> Utterance:
        refuse_width(row.recording, self.reader.width)
        text, unsaid = (row.text, ()) if self.lexicon is None else self.lexicon.said(row.text)
        units, strange = self.units.numbers(text)
        strange = (*unsaid, *strange)
        needed = self.method.needed(units)
        by_words = self.lexicon is not None
        return Utterance(
            row.recording, self.reader, self.spectrum, row.text, units, strange, needed, row.speaker, by_words
        )

    def sampler(self, examples: Sequence[Utterance], *, batch_tokens: int, batch_rows: int, seed: int) -> DrawnSampler:
        """Those of like lengths together, with what each epoch does to them."""
        return DrawnSampler(examples, self.drawn, batch_tokens, batch_rows, seed)

    def drawn(self, examples: Sequence[Utterance], indices: Sequence[int], seed: int, epoch: int) -> Batch:
        """A batch of training, at the speed, with the noise and with the masks of an epoch."""
        if not examples:
            return Batch({}, torch.zeros(0, dtype=torch.int64), {}, ())
        if not self.augmentation.acts:
            return self.collate(examples, indices)
        draws = (self.augmentation.of(seed, epoch, e.recording.digest) for e in examples)
        read = [e.values(draw) for e, draw in zip(examples, draws, strict=True)]
        return self._batch(examples, read, indices)

    def collate(self, examples: Sequence[Utterance], indices: Sequence[int]) -> Batch:
        """features (T, N, F), zero where padded, silent (N,); targets units (N, U) and unit_lengths (N,)."""
        return self._batch(examples, [e.values() for e in examples], indices)

    def _batch(self, examples: Sequence[Utterance], read: Sequence[Any], indices: Sequence[int]) -> Batch:
        lengths = torch.tensor([len(values) for values, _ in read], dtype=torch.int64)
        features = np.zeros((max(map(int, lengths), default=0), len(read), self.reader.size), np.float32)
        for n, (values, _) in enumerate(read):
            features[: len(values), n] = values
        silent = torch.tensor([one for _, one in read], dtype=torch.bool)
        inputs, targets = {"features": torch.from_numpy(features), "silent": silent}, self._targets(examples)
        if targets:
            inputs |= self.method.inputs(targets["units"], targets["unit_lengths"])
        return Batch(inputs, lengths, targets, tuple(indices))

    def _targets(self, examples: Sequence[Utterance]) -> dict[str, torch.Tensor]:
        if not examples or any(e.text is None for e in examples):
            return {}
        units = pad_sequence([e.units for e in examples]).T.contiguous()
        return {"units": units, "unit_lengths": torch.tensor([len(e.units) for e in examples], dtype=torch.int64)}

    def loss(self, prediction: Prediction, batch: Batch) -> Loss:
        """-log p of the texts, in nats, over all ways to spread them; the targets are their units."""
        nats = self.method.nats(prediction.outputs, self._heard(batch), batch.targets, None)
        return Loss(fixed_sum(nats), int(batch.targets["unit_lengths"].sum()))

    def predict(self, model: torch.nn.Module, batch: Batch, examples: Sequence[Utterance]) -> list[Said]:
        """The text of each recording; of silence none. The model is in eval mode."""
        outputs = {name: one.float() for name, one in model(batch).outputs.items()}
        silent = batch.inputs["silent"].tolist()
        nats = self._known_nats(outputs, batch, examples)
        found = self.method.search(model, batch, outputs, self._heard(batch), self.decoding)
        phones = self._phones(outputs, batch, found)
        return [
            Said(one, "" if quiet else self.units.heard(one), quiet, cost, () if quiet else some)
            for one, quiet, cost, some in zip(found, silent, nats, phones, strict=True)
        ]

    def _phones(
        self, outputs: Mapping[str, torch.Tensor], batch: Batch, found: Sequence[Emitted]
    ) -> list[tuple[int, ...]]:
        """With a lexicon of pronunciations, the most probable units of each recording: with a beam of 1 those found."""
        if self.lexicon is None:
            return [()] * len(batch.indices)
        best = found if self.decoding.beam == 1 else greedy(outputs["logits"], self._heard(batch))
        return [one.units for one in best]

    def _heard(self, batch: Batch) -> torch.Tensor:
        """(N,) steps of which the head says something."""
        return batch.lengths // self.reader.joined

    def _known_nats(
        self, outputs: Mapping[str, torch.Tensor], batch: Batch, examples: Sequence[Utterance]
    ) -> list[float | None]:
        """What each reference costs; None where it is not known, or no path says it."""
        rows = [n for n, e in enumerate(examples) if e.text is not None and e.fits and not e.strange]
        found: list[float | None] = [None] * len(examples)
        if not rows or not batch.targets:
            return found
        at = torch.tensor(rows, dtype=torch.int64)
        targets = {name: one[at.to(one.device)] for name, one in batch.targets.items()}
        for n, cost in zip(rows, self.method.nats(outputs, self._heard(batch)[at], targets, at).tolist(), strict=True):
            found[n] = float(cost)
        return found

    def score(self, outputs: Sequence[Said], examples: Sequence[Utterance], split: str) -> tuple[Score, ...]:
        """WER, CER and what they consist of; blank_share of steps, length_ratio of texts; unit_nats, of a unit
        of references that are known and can be said; per, of the most probable units, with a lexicon of pronunciations:
        alone with a beam of 1, which hears no words."""
        found = (*self._rates(outputs, examples, split), *self._unit_rate(outputs, examples, split))
        known = [(one.nats, len(e.units)) for one, e in zip(outputs, examples, strict=True) if one.nats is not None]
        if not known:
            return found
        nats = sum(cost for cost, _ in known) / max(sum(number for _, number in known), 1)
        return (*found, Score("unit_nats", nats, "nats", "lower", split))

    def _rates(self, outputs: Sequence[Said], examples: Sequence[Utterance], split: str) -> tuple[Score, ...]:
        """Of texts; of units that are no words, how many steps say nothing, and how long they are."""
        if self.lexicon is not None and self.decoding.beam == 1:
            return _collapse_scores(outputs, [self.units.text(e.units) for e in examples], split)
        references = [e.text or "" for e in examples]
        return (
            *transcript_scores(references, [one.text for one in outputs], split),
            *_collapse_scores(outputs, references, split),
        )

    def _unit_rate(self, outputs: Sequence[Said], examples: Sequence[Utterance], split: str) -> tuple[Score, ...]:
        """Edits by units of the references, where every word has a pronunciation: the first one that it has."""
        if self.lexicon is None:
            return ()
        names = ("", *self.units.units)
        pairs = [(e.units, one.phones) for one, e in zip(outputs, examples, strict=True) if not e.strange]
        found = summed([edits([names[u] for u in a], [names[u] for u in b]) for a, b in pairs])
        return (Score("per", found.rate, "0..1", "lower", split),)

    def with_options(self, options: Mapping[str, Any]) -> Transcription:
        """The task with a beam of so many texts, a language model beside, words that are worth more nats, or no others.

        Raises ConfigError for other options, and for values that cannot be.
        """
        refuse_options(options, "transcription", self.options)
        now = self.decoding
        beam = options.get("beam", now.beam)
        if type(beam) is not int or not 1 <= beam <= WIDEST_BEAM:
            raise ConfigError(f"beam: expected a whole number from 1 to {WIDEST_BEAM}, got {beam!r}.")
        lm, hot_words = options.get("lm", now.lm), options.get("hot_words", now.hot_words)
        lexicon = options.get("lexicon", now.lexicon)
        if beam == 1 and (lm is not None or hot_words or lexicon is not None):
            raise ConfigError(
                "lm, hot_words, lexicon: have no effect with a beam of 1; take a beam of more texts, such as 16."
            )
        if lm is not None:
            _refuse_other_units(lm, self.units)
        if self.lexicon is not None:
            return self._by_pronunciations(self.lexicon, beam, lm, hot_words, lexicon)
        if hot_words is not None:
            hot_words = _as_nats(hot_words, self.plan, self.units)
        if lexicon is not None:
            lexicon = _as_words(lexicon, self.plan, self.units)
        return Transcription(
            self.plan, self.reader, self.units, Decoding(beam, lm, hot_words, self.units.spelling, lexicon)
        )

    def _by_pronunciations(
        self, words: SpokenLexicon, beam: int, lm: Fusion | None, hot: object, other: object
    ) -> Transcription:
        """The same with other words; with a beam of 1 units are heard and no words."""
        if other is not None and not isinstance(other, SpokenLexicon):
            other = _as_spoken(other, self.plan)
        used = words if other is None else other
        if not used.can_be_said(self.units):
            raise ConfigError("lexicon: none of its words can be said with the units of training; take another.")
        if lm is not None and lm.by == "unit":
            raise ConfigError("lm: judges units, and this run says words by their pronunciations; take one of words.")
        nats = None if hot is None else _as_nats(hot, self.plan, self.units, used)
        spoken = None if beam == 1 else self._spoken(used, lm, nats)
        return Transcription(
            self.plan, self.reader, self.units, Decoding(beam, lm, nats, (), other, spoken), lexicon=self.lexicon
        )

    @property
    def for_validation(self) -> Transcription:
        """With a lexicon of pronunciations the most probable units: a search for words takes far longer."""
        if self.lexicon is None:
            return self
        return Transcription(self.plan, self.reader, self.units, Decoding(), lexicon=self.lexicon)

    # -- around them -----------------------------------------------------------------------------------------------

    @property
    def usual_score(self) -> str:
        """The score that chooses the best epoch unless the config names another."""
        return "wer" if self.lexicon is None else "per"

    def possible_scores(self, examples: Sequence[Utterance]) -> tuple[Score, ...]:
        """The dev scores, with those of a model that says nothing."""
        nothing: tuple[Score, ...] = (Score("per", 1.0, "0..1", "lower", "dev"),)
        if self.lexicon is None:
            nothing = transcript_scores([e.text or "" for e in examples], [""] * len(examples), "dev")
        uniform = float(np.log(len(self.units))) * max(e.length for e in examples)
        return (*nothing, Score("unit_nats", uniform, "nats", "lower", "dev"))

    def perfect(self, examples: Sequence[Utterance]) -> list[Said]:
        """Outputs that say the references, as far as units can."""
        if self.lexicon is None:
            return [Said(NOTHING, self.units.text(e.units)) for e in examples]
        texts = [self.lexicon.answered(e.text or "", self.units) for e in examples]
        return [Said(NOTHING, text, phones=e.units) for text, e in zip(texts, examples, strict=True)]

    def doubts(self, examples: Sequence[Utterance], short: Sequence[Score]) -> tuple[str, ...]:
        """Texts that no unit can spell."""
        strange = [e for e in examples if e.strange]
        if not strange:
            return ()
        what = "what no training text has" if self.lexicon is None else UNPRONOUNCED
        return (
            f"{len(strange):,} of {len(examples):,} texts hold {what}; the first: "
            f"{strange[0].origin}: {', '.join(map(repr, strange[0].strange[:5]))}.",
        )

    def filter(self, examples: Sequence[Utterance], split: str) -> tuple[Sequence[Utterance], tuple[str, ...]]:
        """Those that can be learned from; recordings that are too short for their text are left out of training, and
        those with a word that has no pronunciation."""
        unsaid = self.lexicon is not None
        kept = [e for e in examples if e.fits and not (unsaid and e.strange)] if split == "train" else list(examples)
        return kept, notes_of(self, examples, split)

    def warnings(self, outputs: Sequence[Said], examples: Sequence[Utterance]) -> tuple[str, ...]:
        """Recordings without a frame, silent ones, and those of new speakers, where scales are those of speakers."""
        found, known = [], self.reader.speakers
        asked = self.reader.scaling == "speaker"
        for what, some in (
            (NO_FRAMES, [e for e in examples if e.is_blank]),
            (SILENT, [e for e, one in zip(examples, outputs, strict=True) if one.silent and not e.is_blank]),
            (NOBODY, [e for e in examples if asked and e.speaker not in known and not e.is_blank]),
        ):
            if some:
                found.append(f"{len(some):,} of {len(examples):,} recordings: {what}; the first: {some[0].origin}.")
        return tuple(found)

    def answer(self, example: Utterance, output: Said) -> Transcript:
        """The text with its words and their times."""
        if example.is_blank or output.silent:
            return Transcript("", None, round(example.seconds, 3), (), NO_FRAMES if example.is_blank else SILENT)
        sure = output.emitted.probabilities
        score = sum(sure) / len(sure) if sure else None
        words = self.units.words(output.emitted, self.reader.seconds)
        return Transcript(output.text, score, round(example.seconds, 3), words)

    def predictor(self, model: torch.nn.Module) -> SpeechPredictor:
        """What hears a recording piece by piece. Raises ConfigError, with all reasons, for a model that cannot."""
        return SpeechPredictor(self, model)

    @property
    def column(self) -> str:
        """Of recordings."""
        return self.plan.audio

    @property
    def rate(self) -> int | None:
        """Samples a second of sounds; None of features."""
        return None if self.spectrum is None else self.spectrum.rate

    @property
    def beam(self) -> int:
        """Texts that are followed."""
        return self.decoding.beam

    def listener(self, model: torch.nn.Module) -> SpeechPredictor:
        """The same for samples that are there as numbers, at the rate of the task."""
        return SpeechPredictor(self, model, rate_told=True)

    # -- for reports -----------------------------------------------------------------------------------------------

    def tables(self, outputs: Sequence[Said], examples: Sequence[Utterance]) -> tuple[Table, ...]:
        """Confusions of words and of letters, and the worst recordings."""
        return transcript_tables(outputs, self._as_answered(examples))

    def recordings(
        self, model: torch.nn.Module, outputs: Sequence[Said], examples: Sequence[Utterance], device: torch.device
    ) -> tuple[RecordingFigure, ...]:
        """The worst ones, with spectrogram, units and sound."""
        return tuple(worst_recordings(self, model, outputs, self._as_answered(examples), device))

    def _as_answered(self, examples: Sequence[Utterance]) -> Sequence[Utterance]:
        """With units as texts, where these are the answers and no words."""
        if self.lexicon is None or self.decoding.beam > 1:
            return examples
        return [replace(e, text=self.units.text(e.units)) for e in examples]

    def streamed(self, model: torch.nn.Module, examples: Sequence[Utterance]) -> tuple[Table, ...]:
        """How late words are shown, and how long a second of sound takes."""
        found = delays(self, model, examples)
        return () if found is None else (found,)

    def baselines(self, train: Sequence[Utterance], splits: Mapping[str, Sequence[Utterance]]) -> Compared:
        """What the most frequent text of training reaches."""
        return compared(train, splits)

    def facts(self, splits: Mapping[str, Sequence[Utterance]]) -> dict[str, str | int | float]:
        """Hours, words and units."""
        found: dict[str, str | int | float] = {"units": len(self.units) - 1}
        if self.lexicon is not None:
            found["words of the lexicon"] = len(self.lexicon)
        for name, examples in splits.items():
            found[f"{name} recordings"] = len(examples)
            found[f"{name} minutes"] = round(sum(e.seconds for e in examples) / 60, 2)
            found[f"{name} words"] = sum(len((e.text or "").split()) for e in examples)
        return found

    def to_json(self) -> dict[str, Any]:
        """What a run folder must hold to read and answer as in training."""
        found = {"reader": self.reader.to_json(), "units": self.units.to_json()}
        return found if self.lexicon is None else {**found, "lexicon": self.lexicon.to_json()}


def _collapse_scores(outputs: Sequence[Said], references: Sequence[str], split: str) -> tuple[Score, ...]:
    """How many steps say nothing, and how long what is said is beside the references, in letters."""
    frames = max(sum(one.emitted.frames for one in outputs), 1)
    blanks = sum(one.emitted.blanks for one in outputs) / frames
    ratio = sum(len(one.text) for one in outputs) / max(sum(map(len, references)), 1)
    return (
        Score("blank_share", blanks, "0..1", "neither", split),
        Score("length_ratio", ratio, "", "neither", split),
    )
