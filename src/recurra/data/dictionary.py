"""What is looked up of a word: in what was counted in the training rows, and in a user's own list of entries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from recurra.base.errors import ConfigError, DataError
from recurra.base.normal import name_of
from recurra.base.option import Opt
from recurra.base.registry import Registry

# The label of an entry that has none in its file.
UNLABELLED = "entry"


def read_entries(path: Path) -> list[tuple[str, str]]:
    """(entry, label) of each line that is not blank. Raises DataError, with file and line, for what is none."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is no UTF-8 (byte {error.start}). Save it as UTF-8.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}. Correct task.dictionary.file.") from None
    found = []
    for number, line in enumerate(lines, 1):
        entry, _, label = (part.strip() for part in line.partition("\t"))
        if not entry and not label:
            continue
        if not entry or "\t" in label or (line.count("\t") and not label):
            raise DataError(f"{path}:{number}: expected an entry, or an entry, a tab and its label, got {line!r:.60}.")
        found.append((entry, str(name_of(label)) if label else UNLABELLED))
    if not found:
        raise DataError(
            f"{path}: has no entry; expected one a line, a label behind a tab. Or leave out task.dictionary.file."
        )
    return found


class NoDictionary:
    """Nothing is looked up: a word is known by its vector, its letters and its pattern."""


class Lookup:
    """Each word is looked up in what the training rows had, its own sentence left out.

    Raises ConfigError where nothing would be looked up.
    """

    def __init__(
        self,
        *,
        words: Annotated[bool, Opt("how often the word had each tag: its share c / (m + 1) of m times")] = True,
        spans: Annotated[
            bool | None,
            Opt(
                "the word's tag in the longest stretch of words that was a span at least half of the time; null: where "
                "tags write spans"
            ),
        ] = None,
        file: Annotated[
            str | None,
            Opt("file of your own entries, one a line, a label behind a tab; the longest that fits counts; null: none"),
        ] = None,
    ) -> None:
        if not words and spans is False and file is None:
            raise ConfigError("words: is false and so is spans, so nothing is looked up; set one of them to true.")
        self.words, self.spans, self.file = words, spans, file

    def idle_without_spans(self, source: str) -> list[str]:
        """A sentence for what cannot be looked up where tags are plain."""
        plain = f"the tags of {source} are plain, so there are no spans"
        if self.spans:
            return [f"task.dictionary.spans: has no effect, because {plain}; leave it out."]
        if self.words or self.file is not None:
            return []
        return [f"task.dictionary.words: is false, and {plain}; set task.dictionary: none."]


DICTIONARIES: Registry[type[Lookup] | type[NoDictionary]] = Registry("dictionary")
DICTIONARIES.add("none", NoDictionary)
DICTIONARIES.add("lookup", Lookup)
