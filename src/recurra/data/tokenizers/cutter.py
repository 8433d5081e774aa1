"""A tokenizer, and what becomes of line breaks: what a worker has to know to cut the texts of a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recurra.data.tokenizers.tokenizer import Tokenizer, tokenizer_from_json


@dataclass(frozen=True, slots=True)
class Cutter:
    """Cuts a text into tokens.

    by_line: each line by itself, however its end is written      between, end: tokens between lines and behind the
      last one; "" for none
    """

    tokenizer: Tokenizer
    by_line: bool = False
    between: str = ""
    end: str = ""

    def __call__(self, text: str) -> list[str]:
        if not self.by_line:
            return self.tokenizer.tokenize(text)
        found: list[str] = []
        for number, line in enumerate(lines_of(text)):
            if number and self.between:
                found.append(self.between)
            found += self.tokenizer.tokenize(line)
        return [*found, self.end] if self.end else found

    def to_json(self) -> dict[str, Any]:
        """All that `cutter_from_json` needs."""
        named = {"by_line": self.by_line, "between": self.between, "end": self.end}
        return {"tokenizer": self.tokenizer.to_json(), **named}


def cutter_from_json(data: Mapping[str, Any]) -> Cutter:
    """The opposite of `Cutter.to_json`."""
    return Cutter(tokenizer_from_json(data["tokenizer"]), data["by_line"], data["between"], data["end"])


def lines_of(text: str) -> list[str]:
    """The lines of a text, however their ends are written; one at least."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
