"""FASTA: a header that begins with `>`, then the letters of a sequence over any number of lines.

The first word of a header is the field `id`, what follows it `description`; `key=value` in it is a field of its own,
so that `>seq1 label=donor` has a field `label`. Letters are as the file has them, small ones and `*` too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from recurra.base.words import as_written
from recurra.data.formats.format import Format
from recurra.data.formats.lines import MAX_LINE_BYTES, Line, Lines

_BETWEEN = re.compile(r"[ \t]+")
_PAIR = re.compile(r"([A-Za-z_]\w*)=(\S+)")


class FastaRows:
    """Rows of id, description, sequence, and what the description names."""

    columns = None

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def next_row(self) -> tuple[Line, Mapping[str, Any]]:
        """The next sequence; BadRowError for letters before the first header, or a header without a name."""
        line = next(self._lines)
        while not line.text.strip() or line.text.startswith(";"):
            line = next(self._lines)
        if not line.text.startswith(">"):
            raise self._lines.bad(f"expected a header such as '>seq1 label=a', got {as_written(line.text)}.", line)
        sequence = self._sequence(line)
        name, *rest = _BETWEEN.split(line.text[1:].strip(), maxsplit=1)
        description = "".join(rest)
        if not name:
            raise self._lines.bad("has no name behind '>'; expected one, such as '>seq1'.", line)
        pairs = {key: value for key, value in _PAIR.findall(description) if key not in ("id", "sequence")}
        return line, {"id": name, "description": description, **pairs, "sequence": sequence}

    def _sequence(self, header: Line) -> str:
        parts: list[str] = []
        size = 0
        for line in self._lines:
            if line.text.startswith(">"):
                self._lines.put_back([line])
                break
            if not line.text.startswith(";"):
                parts.append("".join(line.text.split()))
                size += len(parts[-1])
        if size > MAX_LINE_BYTES:
            raise self._lines.bad(f"has {size:,} letters, more than {MAX_LINE_BYTES:,}, the limit.", header)
        return "".join(parts)


FASTA = Format(
    doc="sequences of letters behind headers: DNA, RNA, proteins",
    suffixes=(".fasta", ".fa", ".fna", ".faa", ".ffn", ".fas"),
    open=lambda lines, options: FastaRows(lines),
    options=("paths", "encoding"),
    by_line=False,
)
