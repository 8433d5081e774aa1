"""The tags that a model says: in which scheme, and what may follow what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.base.normal import name_of
from recurra.data.schemes import (
    PLAIN,
    SCHEMES,
    Reading,
    SchemeName,
    Span,
    Tags,
    parts,
    problem,
    read_default,
)
from recurra.data.spelling import HYPHENS, OUTSIDE, Spelling, spelling_from_json
from recurra.tasks.tagging.sentences import place_of


@dataclass(frozen=True, slots=True)
class Allowed:
    """Which tag may follow which (L, L) [from, to], which may be the first and which the last one (L,); all bool."""

    pairs: Tensor
    first: Tensor
    last: Tensor


@dataclass(frozen=True, slots=True)
class TagSet:
    """written: the scheme of the files      learned: the scheme of the model      tags: all that it can say

    spelling: how the files write tags; `tags` are as recurra has them
    repair: read tags that the files' scheme does not allow, as conlleval does, where they are else refused
    """

    written: SchemeName
    spelling: Spelling
    learned: SchemeName
    tags: tuple[str, ...]
    repair: bool

    @classmethod
    def fit(
        cls, rows: Iterable[Tags], *, reading: Reading, learned: SchemeName | None, repair: bool, source: str
    ) -> TagSet:
        """The tags of training sentences, and for spans those that the scheme has beside them.

        learned: None for the scheme of the files; of iob1, bio
        Raises ConfigError for a scheme of spans where the files have plain tags.
        """
        written, spelling = reading.scheme, reading.spelling
        if learned is None:
            learned = "bio" if written == "iob1" else written
        if learned != PLAIN and written == PLAIN:
            raise ConfigError(
                f"task.scheme: is {learned}, and the tags of {source} are plain: each stands for itself. "
                "Use scheme: plain, or set task.file_scheme."
            )
        used = {tag for row in rows for tag in (row if written == PLAIN else spelling.read(row))}
        if learned == PLAIN:
            return cls(written, spelling, learned, tuple(sorted(used)), repair)
        labels = sorted({parts(tag)[1] for tag in used if tag != OUTSIDE})
        return cls(written, spelling, learned, SCHEMES[learned].tags(labels), repair)

    @property
    def has_spans(self) -> bool:
        return self.learned != PLAIN

    def read(self, tags: Tags, record: Record) -> tuple[str, ...]:
        """The tags of a file as the model has them.

        Raises DataError, with file and line, for what the files' scheme does not allow.
        """
        if self.written == PLAIN:
            return tuple(tags)
        tags = self.spelling.read(tags)
        check_tags(self.written, tags, record, spelling=self.spelling, repair=self.repair)
        if self.written == self.learned and not self.repair:
            return tuple(tags)
        if self.learned == PLAIN:
            return tuple(tags)
        return tuple(SCHEMES[self.learned].write(read_default(tags), len(tags)))

    def in_file(self, tags: Tags) -> tuple[str, ...]:
        """Tags that the model said as the files write them: in their scheme, and spelled as there."""
        if self.written == PLAIN:
            return tuple(tags)
        if self.learned == PLAIN:
            return self.spelling.write(tags)
        return self.spelling.write(SCHEMES[self.written].write(read_default(tags), len(tags)))

    def spans(self, tags: Tags) -> list[Span]:
        """The spans of any tags, as conlleval reads them."""
        return read_default(tags)

    def allowed(self) -> Allowed | None:
        """What the scheme allows; None where everything is."""
        if self.learned == PLAIN:
            return None
        allows = SCHEMES[self.learned].allows
        return Allowed(
            torch.tensor([[allows(one, other) for other in self.tags] for one in self.tags], dtype=torch.bool),
            torch.tensor([allows(OUTSIDE, tag) for tag in self.tags], dtype=torch.bool),
            torch.tensor([allows(tag, OUTSIDE) for tag in self.tags], dtype=torch.bool),
        )

    def unknown(self, tags: Iterable[str]) -> list[int]:
        """The places of tags that the model cannot say."""
        known = set(self.tags)
        return [place for place, tag in enumerate(tags) if tag not in known]

    def to_json(self) -> dict[str, Any]:
        """Everything but `repair`, which the config says."""
        return {
            "written": self.written,
            "spelling": self.spelling.to_json(),
            "learned": self.learned,
            "tags": list(self.tags),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], origin: str, *, repair: bool) -> TagSet:
        """The inverse of `to_json`. Raises RunError that names `origin`."""
        try:
            written, learned, tags = data["written"], data["learned"], data["tags"]
            for scheme in (written, learned):
                if scheme != PLAIN and scheme not in SCHEMES:
                    raise ValueError(f"scheme {scheme!r}")
            spelling = spelling_from_json(data["spelling"])
            if not isinstance(tags, list) or not tags or not all(isinstance(tag, str) for tag in tags):
                raise ValueError("tags are not a list of text")
            tags = [name_of(tag) for tag in tags]
            if len(set(tags)) != len(tags):
                raise ValueError("a tag stands there twice")
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{origin}: expected the tags of a tagging: {str(error)[:300]}.") from error
        return cls(written, spelling, learned, tuple(tags), repair)


def check_tags(scheme: SchemeName, tags: Tags, record: Record, *, spelling: Spelling = HYPHENS, repair: bool) -> None:
    """Raise DataError, with file and line, for tags that a scheme lacks or, unless `repair`, forbids where they are.

    tags: as recurra has them      spelling: how the message shows them
    """
    if scheme == PLAIN:
        return
    if (found := problem(SCHEMES[scheme], tags, spelling)) is None:
        return
    number, sentence = found
    strange = parts(tags[number])[0] not in (OUTSIDE, *SCHEMES[scheme].letters)
    if repair and not strange:
        return
    step = (
        "Correct the tag, or say with task.file_scheme how the tags are written."
        if strange
        else "Correct the tag, set task.repair: true to read such tags as conlleval does, or say with task.file_scheme "
        "how the tags are written."
    )
    raise DataError(f"{place_of(record, number)}: {sentence} {step}")
