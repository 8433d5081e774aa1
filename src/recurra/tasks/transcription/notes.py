"""What a person should know of recordings and texts before training begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recurra.base.words import counted
from recurra.data.frame_files import Frames
from recurra.data.sound import samples_of
from recurra.tasks.transcription.reading import SILENCE
from recurra.tasks.transcription.rows import Utterance

if TYPE_CHECKING:
    from recurra.tasks.transcription.lexicon import SpokenLexicon
    from recurra.tasks.transcription.task import Transcription

UNPRONOUNCED = "words without a pronunciation in the lexicon, or with units that no training text has"
# Recordings that are listened to, from the first on, to find silence and clipping.
LISTENED = 2_000
# Samples at the largest number from which on a recording counts as clipped, as a share, and that number.
CLIPPED, FULL = 1e-3, 0.999
# Steps for a unit on average from which on CTC finds room for each: blanks and pauses take steps too.
FEWEST = 3.0
# The share of its power that a sound has above this part of the highest frequency of its rate, at least: speech of its
# own rate has -20 to -40 dB there, what was made at half of it no more than its noise. Seconds that are looked at.
UPPER, ABOVE, LOOKED = 1e-5, 0.55, 10


def notes_of(task: Transcription, examples: Sequence[Utterance], split: str) -> tuple[str, ...]:
    """Of a split, a sentence each."""
    if split == "train":
        return tuple(_of_all(task, examples, split))
    return (*_of_texts(task, examples, split), *_of_speakers(task, examples, split))


def _of_all(task: Transcription, examples: Sequence[Utterance], split: str) -> Iterator[str]:
    plan, seconds = task.plan, sum(e.seconds for e in examples)
    what = "features" if task.spectrum is None else f"sounds of {task.spectrum.rate:,} Hz; {task.spectrum.said()}"
    yield f"train: {len(examples):,} recordings, {seconds / 60:.1f} minutes, of {what}."
    yield f"texts: case {plan.case}, punctuation {plan.punctuation}, as they are learned and scored."
    shown = " ".join(repr(unit)[1:-1] if unit != " " else "space" for unit in task.units.units[:40])
    yield f"train: {len(task.units) - 1:,} units: {shown}{' ...' if len(task.units) > 41 else ''}"
    yield from _of_texts(task, examples, split)
    if task.lexicon is not None:
        yield from _of_lexicon(task, task.lexicon)
    if short := [e for e in examples if not e.fits]:
        first = short[0]
        yield (
            f"train: {_of(short, examples)} too short for their text and left out, as {plan.method.why}; "
            f"the first: {first.origin}, {first.heard} steps for {first.needed}. Lower task.stack, or mend it."
        )
    yield from _of_room(task, examples)
    yield from _of_levels(task, examples)


def _of_room(task: Transcription, examples: Sequence[Utterance]) -> Iterator[str]:
    """Steps that are too few for what is said in them."""
    said = sum(len(e.units) for e in examples)
    each = sum(e.heard for e in examples) / max(said, 1)
    if said and each < FEWEST and task.reader.stack > 1 and task.plan.method.word == "ctc":
        yield (
            f"train: {each:.1f} steps for a unit, pauses among them: so few lose units that are said fast. Set "
            f"task.stack: {max(int(task.reader.stack * each / FEWEST), 1)}, or take larger units, such as subwords."
        )


def _of_speakers(task: Transcription, examples: Sequence[Utterance], split: str) -> Iterator[str]:
    """Speakers that training never had, where scales are those of speakers."""
    known = task.reader.speakers
    if task.reader.scaling == "speaker" and (new := {e.speaker for e in examples} - known.keys()):
        yield (
            f"{split}: {counted(len(new), 'speaker')} not among the {len(known):,} of training, such as '{min(new)}': "
            "each of their recordings is scaled by itself."
        )


def _of_lexicon(task: Transcription, lexicon: SpokenLexicon) -> Iterator[str]:
    known = len(lexicon.ways(task.units))
    yield (
        f"task.lexicon: {known:,} words can be said with these units, of {len(lexicon):,}; answers are searched for "
        f"among them, with a beam of {task.beam} unless another is asked for. Without a language model (lm) words "
        "count by how often the texts of training have them."
    )
    if lexicon.strange:
        yield (
            f"task.lexicon: {lexicon.strange:,} lines are left out, as with case {task.plan.case} and punctuation "
            f"{task.plan.punctuation} their words are none, or several."
        )


def _of_texts(task: Transcription, examples: Sequence[Utterance], split: str) -> Iterator[str]:
    if strange := [e for e in examples if e.strange]:
        first = strange[0]
        what = "spelt with what no training text has, and cannot be got right"
        if task.lexicon is not None:
            what = "of words without a pronunciation in the lexicon, and left out of training"
            if split != "train":
                what = f"of {UNPRONOUNCED}, and cannot be got right"
        yield (
            f"{split}: {_of(strange, examples)} {what}; the first: {first.origin}: "
            f"{', '.join(map(repr, first.strange[:5]))}."
        )
    if empty := [e for e in examples if not e.units and not e.strange]:
        yield f"{split}: {_of(empty, examples)} without a text: nothing should be said; the first: {empty[0].origin}."


def _of_levels(task: Transcription, examples: Sequence[Utterance]) -> Iterator[str]:
    """Silence and clipping, of sounds."""
    if task.spectrum is None:
        return
    silent, clipped, digital, narrow = [], [], [], []
    for e in examples[:LISTENED]:
        assert not isinstance(e.recording, Frames)
        samples = samples_of(e.recording, task.spectrum)
        loud = np.abs(samples)
        if _is_narrow(samples, task.spectrum.rate):
            narrow.append(e)
        if loud.max(initial=0.0) <= SILENCE:
            silent.append(e)
        elif task.plan.floor is None and _has_zeros(loud, task.spectrum.rate):
            digital.append(e)
        elif (loud >= FULL).mean() > CLIPPED:
            clipped.append(e)
    for what, found in (
        ("silent", silent),
        ("with stretches of digital silence, which rules the scales: set task.floor", digital),
        ("clipped: more than 1 sample in 1,000 is at the limit", clipped),
        (
            f"without sound above {ABOVE * task.spectrum.rate / 2:,.0f} Hz, as if made at a lower rate than "
            f"{task.spectrum.rate:,} Hz: set task.sound.rate to that, such as {task.spectrum.rate // 2:,}, and "
            "task.sound.resample: true",
            narrow,
        ),
    ):
        if found:
            yield f"train: {_of(found, examples[:LISTENED])} {what}; the first: {found[0].origin}."


def _is_narrow(samples: NDArray[np.float32], rate: int) -> bool:
    """Whether a sound has next to nothing in the upper half of the frequencies that its rate can have."""
    some = samples[: LOOKED * rate].astype(np.float64)
    if len(some) < rate // 10 or np.abs(some).max() <= SILENCE:
        return False
    power = np.abs(np.fft.rfft((some - some.mean()) * np.hanning(len(some)))) ** 2
    return bool(power[round(ABOVE * len(power)) :].sum() < UPPER * power.sum())


def _has_zeros(loud: NDArray[np.float32], rate: int) -> bool:
    """Whether all samples of a twentieth of a second are 0."""
    size = max(1, rate // 20)
    whole = len(loud) // size * size
    return bool((loud[:whole].reshape(-1, size).max(1, initial=0.0) == 0).any())


def _of(some: Sequence[Utterance], examples: Sequence[Utterance]) -> str:
    return f"{len(some):,} of {len(examples):,} recordings {'is' if len(some) == 1 else 'are'}"
