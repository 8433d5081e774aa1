"""Folders of speech: Kaldi's `wav.scp` beside `text`, or a text file beside each sound: NAME.wav, NAME.txt.

Source: kaldi-asr.org/doc/data_prep.html. Commands in wav.scp are refused: nothing is run. With `segments` an utterance
is a part of a recording, and is named as one: FILE#t=START,END.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from recurra.base.contracts import Origin
from recurra.base.errors import DataError
from recurra.base.words import counted
from recurra.data.formats.documents import Folder, has, names_in, parts_of, text_of
from recurra.data.formats.format import Format, ReadOptions
from recurra.data.formats.lines import open_lines
from recurra.data.formats.sounds import SUFFIXES

SCRIPT, TEXTS, SEGMENTS, SPEAKERS = "wav.scp", "text", "segments", "utt2spk"
TRANSCRIPTS = (".txt", ".lab")
_COMMAND = "is a command, which is not run; write its sound to a file."
_BETWEEN = re.compile(r"[ \t]+")
_TIMES = re.compile(r"(?P<sound>\S+)\s+(?P<start>\d+(\.\d+)?)\s+(?P<end>\d+(\.\d+)?)")


class SpeechRows:
    """Rows of recordings: `audio`, a Path, and `text`; of Kaldi's folders also `utterance`, and `speaker` if known."""

    def __init__(self, source: Folder) -> None:
        self._source = source
        self._kaldi = (source.folder / SCRIPT).is_file()
        self.columns: tuple[str, ...] = ("audio", "text")
        if self._kaldi:
            self._speakers = _listed(source.folder / SPEAKERS) if (source.folder / SPEAKERS).is_file() else None
            self.columns += ("utterance",) if self._speakers is None else ("utterance", "speaker")
        self._rows = self._of_kaldi() if self._kaldi else self._side_by_side()

    def next_row(self) -> tuple[Origin, Mapping[str, object]]:
        """The next recording; BadRowError for one without a text, or a line that is no recording."""
        found = next(self._rows)
        self._source.number += 1
        if isinstance(found, str):
            raise self._source.bad(found)
        return found

    def _of_kaldi(self) -> Iterator[tuple[Origin, Mapping[str, object]] | str]:
        folder = self._source.folder
        texts, used = _listed(folder / TEXTS), set()
        table, utterances = _utterances(folder)
        for name, (line, where) in utterances.items():
            if isinstance(where, str):
                yield f"{table}:{line}: {name} {where}"
                continue
            if name not in texts:
                yield f"{table}:{line}: {name} has no line in {TEXTS}."
                continue
            used.add(name)
            row: dict[str, object] = {"audio": where, "text": texts[name][1], "utterance": name}
            if self._speakers is not None:
                row["speaker"] = self._speakers.get(name, (0, ""))[1]
            yield Origin(str(folder / TEXTS), texts[name][0]), row
        if left := len(texts) - len(used):
            self._source.said.append(f"left out: {counted(left, 'text')} without a recording.")

    def _side_by_side(self) -> Iterator[tuple[Origin, Mapping[str, object]] | str]:
        folder = self._source.folder
        for name in names_in(folder):
            if not name.lower().endswith(SUFFIXES):
                continue
            beside = [folder / (Path(name).stem + ending) for ending in TRANSCRIPTS]
            found = next((one for one in beside if one.is_file()), None)
            if found is None:
                yield f"{name} has no text beside it; expected {beside[0].name}."
                continue
            text = " ".join(text_of(found, self._source.encoding).split())
            yield Origin(str(found)), {"audio": folder / name, "text": text}


def _utterances(folder: Path) -> tuple[str, dict[str, tuple[int, Path | str]]]:
    """Which table names them, and of each its line and its sound, or a sentence on what is wrong with it."""
    sounds: dict[str, tuple[int, Path | str]] = {
        name: (line, _COMMAND if where.endswith("|") else folder / where)
        for name, (line, where) in _listed(folder / SCRIPT).items()
    }
    if not (folder / SEGMENTS).is_file():
        return SCRIPT, sounds
    parts = _listed(folder / SEGMENTS)
    return SEGMENTS, {name: (line, _part(sounds, of)) for name, (line, of) in parts.items()}


def _part(sounds: Mapping[str, tuple[int, Path | str]], of: str) -> Path | str:
    """A part of a recording, of its name and its two times in seconds."""
    found = _TIMES.fullmatch(of)
    if found is None:
        return f"holds '{of:.60}', expected a recording and two times in seconds."
    if found["sound"] not in sounds:
        return f"is of {found['sound']}, which has no line in {SCRIPT}."
    _, where = sounds[found["sound"]]
    return where if isinstance(where, str) else Path(f"{where}#t={found['start']},{found['end']}")


def _listed(path: Path) -> dict[str, tuple[int, str]]:
    """A table of Kaldi's: a name, and what belongs to it, with its line. Raises DataError for one that comes twice."""
    found: dict[str, tuple[int, str]] = {}
    with open_lines(path) as lines:
        for line in lines:
            name, *rest = _BETWEEN.split(line.text.strip(), maxsplit=1)
            if not name:
                continue
            if name in found:
                raise DataError(f"{path}:{line.number}: '{name}' stands in line {found[name][0]} already.")
            found[name] = (line.number, "".join(rest))
    return found


@contextmanager
def open_speech(path: Path, options: ReadOptions) -> Iterator[Folder]:
    """Open a folder of speech. Raises DataError for what is none."""
    if not path.is_dir():
        raise DataError(f"{path}: is no folder.")
    if (path / SCRIPT).is_file() and not (path / TEXTS).is_file():
        raise DataError(f"{path}: has {SCRIPT} and no {TEXTS}.")
    if not _takes(path):
        raise DataError(f"{path}: holds neither {SCRIPT} and {TEXTS}, nor sounds with texts beside them.")
    yield Folder(path, options.encoding)


def splits_of(path: Path) -> Mapping[str, Path]:
    """The folders of splits in a folder, where those hold speech."""
    parts = {} if _holds(path) else parts_of(path)
    return parts if parts and all(_holds(part) for part in parts.values()) else {}


def _holds(path: Path) -> str:
    if (path / SCRIPT).is_file():
        return f"it holds {SCRIPT}, as Kaldi's folders do"
    if not (has(path, SUFFIXES) and has(path, TRANSCRIPTS)):
        return ""
    sounds, texts = ({Path(n).stem for n in names_in(path) if n.lower().endswith(s)} for s in (SUFFIXES, TRANSCRIPTS))
    return "it holds sounds with texts beside them" if sounds & texts else ""


def _takes(path: Path) -> str:
    if not path.is_dir():
        return ""
    return _holds(path) or ("its folders train, dev and test hold speech" if splits_of(path) else "")


KALDI = Format(
    doc="speech: Kaldi's wav.scp and text, or a .txt beside each sound, in a folder",
    suffixes=(),
    open=lambda source, options: SpeechRows(source),
    options=("encoding",),
    opened=open_speech,
    takes=_takes,
    by_line=False,
    splits=splits_of,
)
