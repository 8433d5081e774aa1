"""Recordings in a report: the worst with spectrogram, units and sound; how late the words of a stream are shown."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from recurra.base.contracts import Table
from recurra.base.errors import ConfigError
from recurra.data.frame_files import Frames
from recurra.data.sound import samples_of, wav
from recurra.metrics.transcripts import edits
from recurra.models import SequenceModel
from recurra.models.heads import CtcHead
from recurra.report import RecordingFigure, Unit
from recurra.tasks.transcription.aligning import aligned
from recurra.tasks.transcription.reading import decoded, floored
from recurra.tasks.transcription.rows import Utterance

if TYPE_CHECKING:
    from recurra.tasks.transcription.task import Said, Transcription

# Recordings that are shown, and seconds of each that can be heard; recordings that are streamed, in pieces of so long.
WORST, HEARD, STREAMED, PIECE = 6, 10.0, 20, 0.1
# A sound has ended where no sample is more than this share of its loudest.
QUIET = 0.01
# Seconds of a recording that is streamed, at most; steps by states of a text that is placed: a byte each.
LONGEST, PLACED = 60.0, 20_000_000
# Characters of a title.
TITLE = 120


def worst_recordings(
    task: Transcription, model: torch.nn.Module, outputs: Sequence[Said], examples: Sequence[Utterance], device: Any
) -> Iterator[RecordingFigure]:
    """Those with the most edits of words; where nothing is wrong the first one."""
    wrong = [edits((e.text or "").split(), one.text.split()).all for e, one in zip(examples, outputs, strict=True)]
    order = sorted(range(len(examples)), key=lambda n: -wrong[n])
    there = [n for n in order if not examples[n].is_blank]
    for n in [n for n in there if wrong[n]][:WORST] or there[:1]:
        yield _figure(task, model, outputs[n], examples[n], wrong[n], device)


def _figure(
    task: Transcription, model: torch.nn.Module, said: Said, example: Utterance, wrong: int, device: Any
) -> RecordingFigure:
    levels = floored(decoded(example.recording, task.spectrum)[0], task.reader.floor)
    names = task.units.spelling
    step = task.reader.seconds
    spans = zip(said.emitted.units, said.emitted.starts, said.emitted.ends, strict=True)
    lines = [("heard", tuple(Unit(_shown(names[u]), a * step, b * step) for u, a, b in spans))]
    if (places := _placed(task, model, example, device)) is not None:
        spans = zip(example.units, *zip(*places, strict=True), strict=True) if places else zip((), (), (), strict=True)
        lines.append(("said", tuple(Unit(_shown(names[u]), a * step, b * step) for u, a, b in spans)))
    texts = f"said: {example.text or '(nothing)'}; heard: {said.text or '(nothing)'}"
    title = f"{example.recording.name.rpartition('/')[2]}: {wrong} wrong; {texts}"
    short = title if len(title) <= TITLE else f"{title[: TITLE - 1]}…"
    return RecordingFigure(short, levels, task.reader.step_seconds, tuple(lines), _sound(task, example))


def _placed(
    task: Transcription, model: torch.nn.Module, example: Utterance, device: Any
) -> tuple[tuple[int, int], ...] | None:
    """Where the network itself would say the reference; None for a network that gives no unit to a step."""
    if not isinstance(model, SequenceModel) or not isinstance(model.head, CtcHead) or example.strange:
        return None
    if example.length * (2 * len(example.units) + 1) > PLACED:
        return None
    with torch.inference_mode():
        steps = example.length // task.reader.joined
        logits = model(task.collate([example], [0]).to(device)).outputs["logits"][:steps, 0]
        return aligned(logits.double().log_softmax(1).cpu().numpy(), example.units)


def _sound(task: Transcription, example: Utterance) -> bytes:
    """The first seconds of it as a WAV file; none of features."""
    if task.spectrum is None or isinstance(example.recording, Frames):
        return b""
    samples = samples_of(example.recording, task.spectrum)[: round(HEARD * task.spectrum.rate)]
    return wav(samples.clip(-1, 1).astype(np.float64), task.spectrum.rate)


def _shown(spelt: str) -> str:
    return spelt.strip() or "\u2423"


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds of one recording: of each word from its end, by the network's own times, to when it was shown for good;

    last: of the last one from the end of the sound; None where nothing was said      computing, sound: seconds
    """

    words: tuple[float, ...]
    last: float | None
    computing: float
    sound: float


def delays(task: Transcription, model: torch.nn.Module, examples: Sequence[Utterance]) -> Table | None:
    """How late the words of the first recordings are shown, when these come in pieces; None of features.

    A model that needs the end first has no delay but the whole recording, which the table says.
    """
    fit = (e for e in examples if not e.is_blank and not isinstance(e.recording, Frames) and e.seconds <= LONGEST)
    some = list(islice(fit, STREAMED))
    if task.spectrum is None or not some:
        return None
    try:
        predictor = task.listener(model)
    except ConfigError as reason:
        return Table("Heard as a stream", ("measure", "value"), (("not possible", reason.problems[0]),))
    found = [_streamed(task, predictor, e) for e in some]
    words = [delay for one in found for delay in one.words]
    last = [one.last for one in found if one.last is not None]
    rows: list[tuple[str | int | float, ...]] = [
        ("recordings, words", f"{len(found):,}, {len(words):,}"),
        ("a piece", f"{PIECE:g} s"),
    ]
    if predictor.waits:
        rows.append(("a step waits for what comes later, at most", f"{predictor.waits:.2f} s"))
    if words:
        what = "a word is shown for good after its last step"
        rows += [(f"{what}: half within", _seconds(words, 0.5)), (f"{what}: 90 % within", _seconds(words, 0.9))]
    if last:
        rows.append(
            (f"the last word, after no sample is above {QUIET:.0%} of the loudest: half within", _seconds(last, 0.5))
        )
    factor = sum(one.computing for one in found) / max(sum(one.sound for one in found), 1e-9)
    rows.append(("seconds of the processor for a second of sound, features included", f"{factor:.4f}"))
    return Table("Heard as a stream", ("measure", "value"), tuple(rows))


def _seconds(values: Sequence[float], share: float) -> str:
    return f"{float(np.quantile(values, share)):.2f} s"


def _streamed(task: Transcription, predictor: Any, example: Utterance) -> Delays:
    assert task.spectrum is not None
    assert not isinstance(example.recording, Frames)
    samples, rate = samples_of(example.recording, task.spectrum), task.spectrum.rate
    size, place, shown = round(PIECE * rate), predictor.begin(), []
    begun = time.process_time()
    for at in range(0, len(samples), size):
        place = predictor.hear(place, samples[at : at + size])
        said = predictor.said(place)
        shown.append((said["seconds"], said["output"].split()))
    place = predictor.ended(place)
    spent = time.process_time() - begun
    last = predictor.said(place)
    words = [word for one in last["final"] for word in one["words"]]
    loud = np.flatnonzero(np.abs(samples) > QUIET * np.abs(samples).max(initial=0.0))
    over = (int(loud[-1]) + 1) / rate if len(loud) else 0.0
    return delays_of(shown, words, over, spent, len(samples) / rate)


def delays_of(
    shown: Sequence[tuple[float, Sequence[str]]],
    words: Sequence[Mapping[str, Any]],
    over: float,
    spent: float,
    seconds: float,
) -> Delays:
    """From what was shown after so many seconds, and the words in the end. over: when the sound ended"""
    texts = [str(word["word"]) for word in words]
    times = [_for_good(shown, texts[: n + 1]) for n in range(len(texts))]
    known = [(at, float(word["end"])) for at, word in zip(times, words, strict=True) if at is not None]
    last = times[-1] - over if times and times[-1] is not None else None
    return Delays(tuple(at - end for at, end in known), last, spent, seconds)


def _for_good(shown: Sequence[tuple[float, Sequence[str]]], beginning: Sequence[str]) -> float | None:
    """When the text began with these words and did so ever after; None where it never did."""
    found = None
    for seconds, text in reversed(shown):
        if list(text[: len(beginning)]) != list(beginning):
            break
        found = seconds
    return found
