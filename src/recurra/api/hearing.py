"""Hear: what is said in a file of sound, or in samples that come, stretch by stretch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import torch

from recurra.api.answers import answered
from recurra.api.defaults import in_float32
from recurra.api.folder import OpenRun
from recurra.api.given import AnyPath, path_of
from recurra.api.inference import device_of
from recurra.base.contracts import Listener, Origin
from recurra.base.errors import ConfigError, DataError
from recurra.data.incoming import IncomingSamples
from recurra.data.sound import MOST_STREAMED, samples_in_blocks, sound_of
from recurra.data.spectra.contract import Samples
from recurra.tasks import Hears

# Seconds of a file that are heard at once, and of samples that come before the answer is looked at again.
BLOCK, PIECE = 10.0, 0.2


@dataclass(frozen=True, slots=True)
class HeardPiece:
    """What came of some more sound. final: stretches that will not change, as JSON has them; partial: what may

    seconds: heard so far      spent: seconds of computing so far
    """

    final: tuple[Mapping[str, Any], ...]
    partial: str
    seconds: float
    spent: float


def refuse_deaf(run: OpenRun) -> Any:
    """The task of a run that hears. Raises ConfigError for another, and for one that reads features."""
    task = run.task
    if not isinstance(task, Hears):
        word = run.settings.tree["task"]["name"]
        raise ConfigError(f"{run.folder.path}: a run of task {word} does not turn sound into text; use predict.")
    if task.rate is None:
        raise ConfigError(f"{run.folder.path}: this run reads features and no sound; use predict --input FILE.")
    return task


def hear_file(
    run: OpenRun,
    file: AnyPath,
    *,
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
    watch: Listener | None = None,
) -> Iterator[HeardPiece]:
    """A file of sound, some seconds at a time where the model can; otherwise as a whole, and so with options.

    options: of a search, as `predict` has them: beam, lm, hot_words, lexicon
    Raises ConfigError for a run that does not hear; DataError for a file that is no sound, or of another rate.
    """
    task = refuse_deaf(run)
    path = path_of(file, "file")
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    if options:
        return _whole(run, path, task.column, options, device, watch)
    try:
        task.listener(run.model)
    except ConfigError as reason:
        if watch is not None:
            watch.note(f"{path}: heard as a whole, as this model needs the end first: {reason.problems[0]}")
        return _whole(run, path, task.column, {}, device, watch)
    sound = sound_of(path, Origin(str(path)), task.column, MOST_STREAMED)
    return _heard(Hearing(run, device=device), samples_in_blocks(sound, task.spectrum, BLOCK))


def hear_stream(run: OpenRun, stream: BinaryIO, *, device: str = "auto") -> Iterator[HeardPiece]:
    """Samples of 16 bits, little-endian, one channel, at the rate of the run, as they come; a WAV header may be first.

    Raises ConfigError, with all reasons, for a model that needs the end of a recording first.
    """
    task = refuse_deaf(run)
    incoming = IncomingSamples(task.rate, "standard input", task.rate)
    return _heard(Hearing(run, device=device), _coming(stream, incoming, 2 * max(1, round(PIECE * task.rate))))


class Hearing:
    """What is said in samples that come; as much is kept as the stretch that is not over needs, and no more.

    Raises ConfigError for a run that does not hear, or, with all reasons, that needs the end of a recording first.
    """

    def __init__(self, run: OpenRun, *, device: str = "auto") -> None:
        self._listener = refuse_deaf(run).listener(run.model)
        run.model.to(device_of(device)).eval()
        self._place = self._listener.begin()
        self._spent = 0.0

    def feed(self, samples: Samples) -> HeardPiece:
        """What has become of it with some more samples (S,), in -1..1."""
        return self._timed(lambda: _step(self._listener, self._place, samples))

    def end(self) -> HeardPiece:
        """What was said at last."""
        return self._timed(lambda: self._listener.ended(self._place))

    def _timed(self, work: Callable[[], Any]) -> HeardPiece:
        begun = time.perf_counter()
        self._place, said = self._listener.taken(work())
        self._spent += time.perf_counter() - begun
        return HeardPiece(tuple(said["final"]), said["partial"], said["seconds"], self._spent)


def _coming(stream: BinaryIO, incoming: IncomingSamples, size: int) -> Iterator[Samples]:
    read = getattr(stream, "read1", stream.read)
    while piece := read(size):
        yield incoming.feed(piece)
    yield incoming.end()


def _heard(hearing: Hearing, pieces: Iterable[Samples]) -> Iterator[HeardPiece]:
    for piece in pieces:
        yield hearing.feed(piece)
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
