"""Completion for shells: scripts that hold every command, option and name, so that a TAB starts no program.

verbs   what may be typed, from the parsers of the commands: the same declaration as their help
names   words of registries, from the tables of contents of their rooms, without torch
bash, zsh, fish   one script each
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from recurra.cli.completion import bash, fish, zsh
from recurra.cli.completion.verbs import Verb, verbs

SHELLS: Mapping[str, Callable[[Sequence[Verb]], str]] = {"bash": bash.script, "zsh": zsh.script, "fish": fish.script}

__all__ = ["SHELLS", "Verb", "verbs"]
