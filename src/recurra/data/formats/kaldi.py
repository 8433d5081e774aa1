"""Folders of speech: Kaldi's `wav.scp` beside `text`, or a text file beside each sound: NAME.wav, NAME.txt.

Source: kaldi-asr.org/doc/data_prep.html. Segments of recordings and commands in wav.scp are refused: nothing is run.
"""

from __future__ import annotations

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
        for name, (line, where) in _listed(folder / SCRIPT).items():
            if where.endswith("|"):
                yield f"{SCRIPT}:{line}: {name} is a command, which is not run; write its sound to a file."
                continue
            if name not in texts:
                yield f"{SCRIPT}:{line}: {name} has no line in {TEXTS}."
                continue
            used.add(name)
            row: dict[str, object] = {"audio": folder / where, "text": texts[name][1], "utterance": name}
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


def _listed(path: Path) -> dict[str, tuple[int, str]]:
    """A table of Kaldi's: a name, and what belongs to it, with its line. Raises DataError for one that comes twice."""
    found: dict[str, tuple[int, str]] = {}
    with open_lines(path) as lines:
        for line in lines:
            name, _, rest = line.text.strip().partition(" ")
            if not name:
                continue
            if name in found:
                raise DataError(f"{path}:{line.number}: '{name}' stands in line {found[name][0]} already.")
            found[name] = (line.number, rest.strip())
    return found


@contextmanager
def open_speech(path: Path, options: ReadOptions) -> Iterator[Folder]:
    """Open a folder of speech. Raises DataError for what is none, and for one of segments."""
    if not path.is_dir():
        raise DataError(f"{path}: is no folder.")
    if (path / SEGMENTS).is_file():
        raise DataError(f"{path}: has {SEGMENTS}, parts of recordings, which are not read; cut the sounds first.")
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
