"""Films: frames in order, from a folder of pictures or, by the package PyAV (`recurra[video]`), from a video.

Pictures of a folder are in the order of their names, 2 before 10. Which frames are read is said by number: every k-th,
or so many evenly apart. Pixels are counted by the header of a picture, or of a video, before anything is decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Origin
from recurra.base.errors import ConfigError, DataError
from recurra.base.option import Opt
from recurra.base.optional import needs
from recurra.base.registry import Registry
from recurra.base.words import counted
from recurra.data.film_names import SUFFIXES, VIDEOS, pictures_in
from recurra.data.pictures import (
    MOST_PIXELS,
    Background,
    Colours,
    PictureSize,
    Pixels,
    Resize,
    picture_of,
    pixels_of,
    sized_pixels,
)

EXTRA = "video"
# What a video is, whatever its name says: FFmpeg reads lists of other files and addresses too, and none is followed.
_OPENED = {"format_whitelist": "mov,avi,matroska,mpeg,mpegvideo,mpegts,m4v", "protocol_whitelist": "file"}
# Frames of a film as it is, and those of it that are read.
MOST_FRAMES, MOST_READ = 100_000, 4_096
# Numbers of all frames of a film that are read: 1 GiB as a network reads them.
MOST_NUMBERS = 2**28
Side = Annotated[int, Opt("pixels", ge=1, le=1024)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Frames:
    """Which frames of a film are read, and at which size; a step is a frame, its pixels from -1, black, to 1."""

    height: Side = 32
    width: Side = 32
    resize: Annotated[Resize, Opt("pad: the whole frame, background beside it; crop: its middle; stretch")] = "pad"
    colours: Annotated[Colours, Opt("rgb: three numbers a pixel; grey: one")] = "rgb"
    background: Annotated[Background, Opt("of what is padded, and behind what is transparent")] = "black"
    every: Annotated[int, Opt("every so many frames one is read, from the first on", ge=1, le=10_000)] = 1
    number: Annotated[
        int | None,
        Opt("so many frames are read, evenly apart, or all of a shorter film; null: all", ge=1, le=MOST_READ),
    ] = None

    def __post_init__(self) -> None:
        if self.number is not None and self.every != 1:
            raise ConfigError("every: has no effect with number, which says how far frames are apart; leave one out.")

    @property
    def size(self) -> PictureSize:
        return PictureSize(self.height, self.width, self.resize, self.colours, self.background)

    @property
    def num_features(self) -> int:
        """Numbers of a frame."""
        return self.height * self.width * self.size.channels

    def chosen(self, frames: int) -> list[int]:
        """The places of the frames that are read, of a film of so many."""
        if self.number is None:
            return list(range(0, frames, self.every))
        if self.number == 1 or frames <= self.number:
            return list(range(min(frames, self.number)))
        return [round(k * (frames - 1) / (self.number - 1)) for k in range(self.number)]


FRAMES: Registry[type[Frames]] = Registry("frames")
FRAMES.add("pictures", Frames)


def frames_of(value: Any, origin: Origin, column: str, how: Frames) -> NDArray[np.float32]:
    """(T, numbers) of a film: a folder, a video, or a list of the bytes of pictures; names are relative to the file.

    Raises DataError, a sentence, for a film without frames, or with one that is damaged or too large; ConfigError
    without the package that reads it.
    """
    where = f"{origin}: column '{column}'"
    if isinstance(value, list | tuple) and value and all(isinstance(one, bytes) for one in value):
        found = _of_pictures(value, origin, column, how)
    elif isinstance(value, str | Path) and str(value).strip():
        path = value if isinstance(value, Path) else Path(origin.path).parent / value.strip()
        found = _of_path(path, where, column, how)
    else:
        raise DataError(f"{where} holds {value!r:.60}, expected the name of a folder of pictures, or of a video.")
    return np.stack([one.reshape(-1) for one in found]).astype(np.float32) / np.float32(127.5) - np.float32(1)


def _of_path(path: Path, where: str, column: str, how: Frames) -> list[Pixels]:
    if path.is_dir():
        names = pictures_in(path)
        if not names:
            raise DataError(f"{where}: {path}: has no frame; expected pictures: {', '.join(SUFFIXES)}.")
        return _of_pictures([path / name for name in names], Origin(str(path)), column, how)
    if not path.is_file():
        raise DataError(f"{where}: {path}: no such file or folder.")
    if path.suffix.lower() not in VIDEOS:
        raise DataError(f"{where}: {path}: expected a folder of pictures, or a video: {', '.join(VIDEOS)}.")
    return _of_video(path, where, how)


def _of_pictures(sources: Sequence[Any], origin: Origin, column: str, how: Frames) -> list[Pixels]:
    places = _bounded(how, len(sources), origin)
    return [pixels_of(picture_of(sources[k], origin, column), how.size) for k in places]


def _of_video(path: Path, where: str, how: Frames) -> list[Pixels]:
    """The frames of the first stream of pictures. Those between are decoded too: frames build on one another."""
    av = needs("av", EXTRA, f"{where}: {path}: a video")
    try:
        with av.open(str(path), options=_OPENED) as film:
            number = _counted(film, path, where)
        places = set(_bounded(how, number, Origin(str(path))))
        found: list[Pixels] = []
        with av.open(str(path), options=_OPENED) as film:
            film.streams.video[0].codec_context.options = {"max_pixels": str(MOST_PIXELS)}
            for k, frame in enumerate(islice(film.decode(video=0), max(places) + 1)):
                if frame.width * frame.height > MOST_PIXELS:
                    raise DataError(f"{where}: {path}: frame {k + 1} has more than {MOST_PIXELS:,} pixels, the limit.")
                if k in places:
                    found.append(sized_pixels(frame.to_ndarray(format="rgb24"), how.size))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        told = (str(error).splitlines() or [type(error).__name__])[0][:120].rstrip(".")
        raise DataError(f"{where}: {path}: is no video that can be read: {told}. Copy or convert it.") from None
    if not found:
        raise DataError(f"{where}: {path}: no frame can be decoded; has it a key frame? Convert it, or cut it at one.")
    return found


def _counted(film: Any, path: Path, where: str) -> int:
    """How many frames a video has, from its packets. Raises DataError where there are none, or they are too large."""
    if not film.streams.video:
        raise DataError(f"{where}: {path}: has no pictures, only sound or text.")
    stream = film.streams.video[0]
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > MOST_PIXELS:
        raise DataError(
            f"{where}: {path}: has {width:,} by {height:,} pixels a frame, more than {MOST_PIXELS:,}, the limit; it "
            "was not decoded. Make it smaller."
        )
    number = 0
    for packet in film.demux(stream):
        number += packet.size > 0
        if number > MOST_FRAMES:
            break
    return number


def _bounded(how: Frames, frames: int, origin: Origin) -> list[int]:
    """The places that are read. Raises DataError for a film without frames, or of more than can be read."""
    places = how.chosen(frames)
    if not places:
        raise DataError(f"{origin}: has no frame. Leave it out, or set data.on_error: skip.")
    if frames > MOST_FRAMES or len(places) > MOST_READ:
        raise DataError(
            f"{origin}: has {counted(frames, 'frame')}, of which {len(places):,} would be read, expected at most "
            f"{MOST_READ:,} of {MOST_FRAMES:,}. Set task.frames.number, or cut it."
        )
    if len(places) * how.num_features > MOST_NUMBERS:
        raise DataError(
            f"{origin}: {len(places):,} frames of {how.num_features:,} numbers would be read, expected "
            f"{MOST_NUMBERS:,} in all at most. Set task.frames.number, or smaller height and width."
        )
    return places
