"""Commands that are shown to a person, who may copy them into a shell."""

from __future__ import annotations

import shlex
from os import PathLike


def as_word(path: str | PathLike[str]) -> str:
    """A path as one word of a shell, quoted where it must be; one that looks like an option begins with `./`."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)
