"""Hear: what is said in a file of sound, or in samples that come, stretch by stretch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import torch

from recurra.api.answers import answered
from recurra.api.defaults import in_float32
from recurra.api.folder import OpenRun
from recurra.api.fusing import with_fusion
from recurra.api.given import AnyPath, path_of
from recurra.api.inference import device_of
from recurra.base.contracts import Listener, Origin
from recurra.base.errors import ConfigError, DataError
from recurra.data.incoming import IncomingSamples, Resampler
from recurra.data.sound import MOST_STREAMED, samples_in_blocks, sound_of
from recurra.data.spectra.contract import Samples
from recurra.tasks import Hears
from recurra.tasks.options import task_with

# Seconds of a file that are heard at once, and of samples that come before the answer is looked at again.
BLOCK, PIECE = 10.0, 0.2
# Samples of a second, for the first piece, whose rate nobody knows yet.
FIRST = 8_000


@dataclass(frozen=True, slots=True)
class HeardPiece:
    """What came of some more sound. final: stretches that will not change, as JSON has them; partial: what may

    seconds: heard so far      spent: seconds of computing so far
    """

    final: tuple[Mapping[str, Any], ...]
    partial: str
    seconds: float
    spent: float


def refuse_deaf(run: OpenRun, options: Mapping[str, Any] | None = None) -> Any:
    """The task of a run that hears, with options of `predict`. Raises ConfigError for another, or one of features."""
    task = run.task
    if not isinstance(task, Hears):
        word = run.settings.tree["task"]["name"]
        raise ConfigError(f"{run.folder.path}: a run of task {word} does not turn sound into text; use predict.")
    if task.rate is None:
        raise ConfigError(f"{run.folder.path}: this run reads features and no sound; use predict --input FILE.")
    return task_with(run.task, with_fusion(options or {}), str(run.settings.tree["task"]["name"]))


def hear_file(
    run: OpenRun,
    file: AnyPath,
    *,
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
    watch: Listener | None = None,
) -> Iterator[HeardPiece]:
    """A file of sound, some seconds at a time where the model can; otherwise as a whole.

    options: of a search, as `predict` has them: beam, lm, hot_words, lexicon
    Raises ConfigError for a run that does not hear; DataError for a file that is no sound, or of another rate.
    """
    options = with_fusion(options or {})  # once: opening a large language model takes seconds
    task = refuse_deaf(run, options)
    path = path_of(file, "file")
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    try:
        task.listener(run.model)
    except ConfigError as reason:
        if watch is not None:
            watch.note(f"{path}: heard as a whole, as this model needs the end first: {reason.problems[0]}")
        return _whole(run, path, task.column, options, device, watch)
    sound = sound_of(path, Origin(str(path)), task.column, MOST_STREAMED)
    blocks = ((block, sound.rate) for block in samples_in_blocks(sound, task.spectrum, BLOCK))
    return _heard(Hearing(run, options=options, device=device, where=str(path)), blocks)


def hear_stream(
    run: OpenRun,
    stream: BinaryIO,
    *,
    rate: int | None = None,
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
) -> Iterator[HeardPiece]:
    """Samples of 16 bits, little-endian, one channel, as they come; a WAV header may be first.

    rate: of samples without a header; None: of the run. Another one is resampled where `task.sound.resample` says so
    options: of a search, as `predict` has them
    Raises ConfigError, with all reasons, for a model that needs the end of a recording first.
    """
    hearing = Hearing(run, options=options, device=device, where="standard input")
    return _heard(hearing, _coming(stream, hearing.incoming(rate, assumed=hearing.rate), PIECE))


class Hearing:
    """What is said in samples that come; as much is kept as the stretch that is not over needs, and no more.

    Raises ConfigError for a run that does not hear, or, with all reasons, that needs the end of a recording first.
    """

    def __init__(
        self,
        run: OpenRun,
        *,
        options: Mapping[str, Any] | None = None,
        device: str = "auto",
        where: str = "sound",
    ) -> None:
        """options: of a search, as `predict` has them      where: for messages"""
        task = refuse_deaf(run, options)
        self._listener, self._where, self._takes_any = task.listener(run.model), where, task.spectrum.resample
        self.rate: int = task.rate
        run.model.to(device_of(device)).eval()
        self._place = self._listener.begin()
        self._resampler: Resampler | None = None
        self._spent = 0.0

    def incoming(self, named: int | None, *, assumed: int | None = None) -> IncomingSamples:
        """What reads bytes for it. named, assumed: the rate that was said, and the one of samples where none was"""
        return IncomingSamples(self.rate, self._where, named, assumed=assumed, any_rate=self._takes_any)

    def feed(self, samples: Samples, rate: int | None = None) -> HeardPiece:
        """What has become of it with some more samples (S,), in -1..1. rate: of all of them; None: the run's"""
        if rate is not None and rate != self.rate and self._resampler is None:
            self._resampler = Resampler(rate, self.rate, self._where)
        return self._timed(samples, last=False)

    def end(self) -> HeardPiece:
        """What was said at last."""
        return self._timed(np.zeros(0, np.float32), last=True)

    def _timed(self, samples: Samples, *, last: bool) -> HeardPiece:
        begun = time.perf_counter()
        if self._resampler is not None:
            samples = self._resampler.feed(samples, last=last)
        place = _step(self._listener, self._place, samples)
        self._place, said = self._listener.taken(self._listener.ended(place) if last else place)
        self._spent += time.perf_counter() - begun
        return HeardPiece(tuple(said["final"]), said["partial"], said["seconds"], self._spent)


def _coming(stream: BinaryIO, incoming: IncomingSamples, seconds: float) -> Iterator[tuple[Samples, int | None]]:
    read = getattr(stream, "read1", stream.read)
    while piece := read(2 * max(1, round(seconds * (incoming.rate or FIRST)))):
        yield incoming.feed(piece), incoming.rate
    yield incoming.end(), incoming.rate


def _heard(hearing: Hearing, pieces: Iterable[tuple[Samples, int | None]]) -> Iterator[HeardPiece]:
    for samples, rate in pieces:
        yield hearing.feed(samples, rate)
    yield hearing.end()


@in_float32
def _step(listener: Any, place: Any, piece: Samples) -> Any:
    with torch.inference_mode():
        return listener.hear(place, np.ascontiguousarray(piece))


def _whole(
    run: OpenRun, path: Any, column: str, options: Mapping[str, Any], device: str, watch: Listener | None
) -> Iterator[HeardPiece]:
    begun = time.perf_counter()
    (one,) = answered(run, [{column: path}], options=options, device=device, watch=watch)
    answer = one.answer.to_dict()
    words = answer["words"]
    start, end = (words[0]["start"], words[-1]["end"]) if words else (0.0, answer["seconds"])
    final = ({"text": answer["output"], "start": start, "end": end, "words": words},) if words else ()
    yield HeardPiece(final, "", answer["seconds"], time.perf_counter() - begun)
